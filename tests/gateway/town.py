"""A devnet's chains without a relayer of its own, relayers as processes next to it, and gates before what they need."""

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from core.runtime.sockets import HOST, free_port
from gateway.config import (
    AccountConfig,
    ApiKeyConfig,
    ChainConfig,
    EndpointConfig,
    PairConfig,
    RegulatorConfig,
    RelayerConfig,
    to_toml,
)
from gateway.devnet import Devnet, DevnetSettings
from gateway.devnet.info import Keys
from relayer.keys.keystore import QUOTE_KEY, write_keystore

PASSPHRASE = "correct horse"
START_S = 60.0
QUOTE_SEED = bytes(31) + b"\7"


class Gate:
    """A port before another one. It is shut to begin with: nothing listens there."""

    def __init__(self, target: tuple[str, int] | None = None) -> None:
        self.port = free_port()
        self._target = target
        self._server: asyncio.Server | None = None
        self._flows: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._pass, HOST, self.port)

    async def shut(self) -> None:
        """Nothing listens any more, and what was open ends."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._end_flows()

    async def turn_to(self, target: tuple[str, int] | None) -> None:
        """Lead elsewhere from now on, None nowhere; what was open ends."""
        if target != self._target:
            self._target = target
            await self._end_flows()

    async def _end_flows(self) -> None:
        for flow in list(self._flows):
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._flows.add(own)
        writers = [writer]
        try:
            if self._target is None:
                return
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            ways = [
                asyncio.ensure_future(_copied(reader, far_writer)),
                asyncio.ensure_future(_copied(far_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in writers:
                one.transport.abort()
            self._flows.discard(own)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@dataclass
class RelayerProcess:
    """A daemon over its configuration file, `causeway relayer run`. `words` are its lines on standard output."""

    file: Path
    daemon: str = "relayer"
    process: asyncio.subprocess.Process | None = None
    url: str = ""
    words: list[dict[str, Any]] = field(default_factory=list)
    _reading: asyncio.Task[None] | None = None

    @property
    def log_file(self) -> Path:
        return self.file.with_suffix(".log")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def ready(self) -> bool:
        return any("ready" in word for word in self.words)

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self.words = []
        with self.log_file.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", self.daemon, "run", "--json", "--config", str(self.file),
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
                env={**os.environ, "CAUSEWAY_PASSPHRASE": PASSPHRASE, "ETH_HASH_BACKEND": "pysha3"},
            )  # fmt: skip
        assert self.process.stdout is not None
        async with asyncio.timeout(START_S):
            line = await self.process.stdout.readline()
        assert line, self.log_file.read_text()[-2000:]
        self.words.append(json.loads(line))
        self.url = self.words[0]["url"]
        self._reading = asyncio.create_task(self._read(self.process.stdout))

    async def _read(self, out: asyncio.StreamReader) -> None:
        async for line in out:
            self.words.append(json.loads(line))

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def ended(self) -> int:
        assert self.process is not None
        return await self.process.wait()

    async def end(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self._reading is not None:
            await self._reading

    async def is_ready(self) -> bool:
        """`/readyz` is 200."""
        return (await self.ask("/readyz"))[0] == 200

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Its log's lines with this event."""
        lines = (json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    async def ask(self, path: str, within_s: float = 10.0) -> tuple[int, Any]:
        """GET: status and answer. Status 0 if it does not answer."""
        try:
            timeout = aiohttp.ClientTimeout(total=within_s)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self.url + path) as response:
                text = await response.text()
                return response.status, json.loads(text) if "json" in response.content_type else text
        except (aiohttp.ClientError, TimeoutError):
            return 0, None


@dataclass
class Town:
    """`gates` stand before the devnet's chains, by their ids, and are open to begin with."""

    directory: Path
    devnet: Devnet
    gates: Mapping[str, Gate]

    @property
    def chains(self) -> tuple[ChainConfig, ...]:
        """The chains as one who goes through the gates configures them."""
        return tuple(self._behind(chain) for chain in self.devnet.info.chains)

    def _behind(self, chain: ChainConfig) -> ChainConfig:
        port = self.gates[chain.id].port
        endpoint = EndpointConfig(f"http://{HOST}:{port}", "gate", chain.endpoints[0].ws and f"ws://{HOST}:{port}")
        return msgspec.structs.replace(chain, endpoints=(endpoint,))

    def relayer(
        self, name: str, keys: Keys, database: str = "sqlite:///relayer.sqlite", policy: str = "devnet"
    ) -> RelayerProcess:
        """A relayer of the devnet's pairs with these keys, configured and not started."""
        directory = self.directory / name
        directory.mkdir()
        ethereum, consortium = self.chains
        secrets = {"ethereum": bytes.fromhex(keys.ethereum), "consortium": bytes.fromhex(keys.consortium)}
        write_keystore(directory / "keystore.json", PASSPHRASE, {**secrets, QUOTE_KEY: QUOTE_SEED})
        config = RelayerConfig(
            name=name,
            listen=f"{HOST}:0",
            database=database,
            keystore="keystore.json",
            passphrase_env="CAUSEWAY_PASSPHRASE",
            policy=policy,
            chains=(ethereum, consortium),
            accounts=(AccountConfig(ethereum.id, "ethereum"), AccountConfig(consortium.id, "consortium")),
            quote_key=QUOTE_KEY,
            pairs=pairs(ethereum.assets[0], consortium.assets[0]),
        )
        file = directory / "relayer.toml"
        file.write_text(to_toml(config))
        return RelayerProcess(file)

    def regulator(self) -> RelayerProcess:
        """A supervision API of the devnet's chains, configured and not started."""
        directory = self.directory / "regulator"
        directory.mkdir()
        key = ApiKeyConfig("officer", hashlib.sha256(b"a key").hexdigest(), ("read",))
        config = RegulatorConfig(
            name="regulator",
            listen=f"{HOST}:0",
            database="sqlite:///regulator.sqlite",
            chains=self.chains,
            keys=(key,),
            bridge=self.chains[1].id,
        )
        file = directory / "regulator.toml"
        file.write_text(to_toml(config))
        return RelayerProcess(file, "regulator")


def pairs(ether: str, yuan: str) -> tuple[PairConfig, ...]:
    return (
        PairConfig(ether, yuan, "1/500000000000", 10**15, 100 * 10**18),
        PairConfig(yuan, ether, "500000000000/1", 100, 200_000_000),
    )


@asynccontextmanager
async def town(directory: Path, users: Sequence[str] = ("alice", "bob")) -> AsyncIterator[Town]:
    """Anvil and a consortium chain, with accounts for `users`."""
    async with Devnet(DevnetSettings(directory / "devnet", relayers=(), users=users)) as devnet:
        gates = {chain.id: Gate(place_of(chain.endpoints[0].url)) for chain in devnet.info.chains}
        for gate in gates.values():
            await gate.open()
        try:
            yield Town(directory, devnet, gates)
        finally:
            for gate in gates.values():
                await gate.shut()


def place_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port
