"""Starts and stops anvil, the development chain of the npm package `@foundry-rs/anvil`.

    async with AnvilChain(AnvilSettings()) as chain:
        chain.rpc_url, chain.ws_url

The accounts of `AnvilSettings.mnemonic` (BIP-44 path m/44'/60'/0'/0/i) hold `balance_eth` each and are the same on
every run, as on every anvil: they are public, and worth nothing anywhere else.
"""

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import aiohttp

from core.runtime import children
from core.runtime.children import Running
from core.runtime.sockets import HOST, free_port

START_TIMEOUT_S: Final = 30.0
START_POLL_S: Final = 0.05
STOP_TIMEOUT_S: Final = 10.0
MAX_START_ATTEMPTS: Final = 3
MAX_ERROR_BYTES: Final = 2_000
BINARY_VARIABLE: Final = "CAUSEWAY_ANVIL"
REPOSITORY: Final = Path(__file__).parents[2]

DEVELOPMENT_MNEMONIC: Final = "test test test test test test test test test test test junk"


class AnvilError(Exception):
    """anvil is missing or does not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class AnvilSettings:
    """How the chain behaves.

    `block_time_s` None mines a block for every transaction at once. Finality is 2 × `slots_in_an_epoch` blocks below
    the head. `port` 0 picks a free one. `state` names a file that the chain resumes from and is saved to at its end.
    `hardfork` is the rule set, by anvil's name of it.
    """

    chain_id: int = 31337
    port: int = 0
    block_time_s: int | None = 1
    slots_in_an_epoch: int = 1
    accounts: int = 10
    balance_eth: int = 10_000
    mnemonic: str = DEVELOPMENT_MNEMONIC
    # The default of 30 million would cap a block at about 600 locks.
    block_gas_limit: int = 300_000_000
    state: Path | None = None
    hardfork: str = "prague"


def find_anvil() -> Path:
    """The binary: $CAUSEWAY_ANVIL, else under node_modules, else on the PATH. Raise `AnvilError`."""
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise AnvilError(f"{BINARY_VARIABLE} names {named}, which is not an executable file")
        return Path(named)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"anvil-{sys.platform}-{machine}"
    for root in (REPOSITORY, Path.cwd()):
        binary = root / "node_modules" / "@foundry-rs" / package / "bin" / "anvil"
        if os.access(binary, os.X_OK):
            return binary
    on_path = shutil.which("anvil")
    if on_path is None:
        raise AnvilError("anvil is not installed here: run `make setup`")
    return Path(on_path)


class AnvilChain(Running):
    """One anvil process, from `start` (or `async with`) to `stop`. Answers RPC once started."""

    def __init__(self, settings: AnvilSettings | None = None) -> None:
        self.settings = settings or AnvilSettings()
        self.port = self.settings.port
        self._process: asyncio.subprocess.Process | None = None
        self._errors: IO[bytes] | None = None

    @property
    def rpc_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start and wait until RPC answers. Raise `AnvilError`."""
        if self._process is not None:
            raise AnvilError("this anvil is running already")
        binary = find_anvil()
        for attempt in range(1, MAX_START_ATTEMPTS + 1):
            self.port = self.settings.port or free_port()
            await self._launch(binary)
            try:
                await self._until_ready()
                return
            except AnvilError:
                await self.stop()
                # Somebody may have taken the port since it was found free.
                if self.settings.port or attempt == MAX_START_ATTEMPTS:
                    raise
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """End the process, which saves its state if that was asked for. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            await children.end(process, STOP_TIMEOUT_S)
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def command(self, binary: Path) -> list[str]:
        settings = self.settings
        arguments = {
            "--host": HOST,
            "--port": self.port,
            "--chain-id": settings.chain_id,
            "--hardfork": settings.hardfork,
            "--slots-in-an-epoch": settings.slots_in_an_epoch,
            "--accounts": settings.accounts,
            "--balance": settings.balance_eth,
            "--mnemonic": settings.mnemonic,
            "--gas-limit": settings.block_gas_limit,
        }
        if settings.block_time_s is not None:
            arguments["--block-time"] = settings.block_time_s
        if settings.state is not None:
            arguments["--state"] = str(settings.state)
        return [str(binary), "--quiet", *(str(part) for pair in arguments.items() for part in pair)]

    async def _launch(self, binary: Path) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop()
        self._process = await asyncio.create_subprocess_exec(
            *self.command(binary),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
        )

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=START_TIMEOUT_S)) as session:
            while True:
                assert self._process is not None
                if self._process.returncode is not None:
                    raise AnvilError(f"anvil ended while starting: {self._last_errors()}")
                try:
                    async with session.post(self.rpc_url, json=request) as response:
                        answer = await response.json()
                        if int(answer["result"], 16) == self.settings.chain_id:
                            return
                except (aiohttp.ClientError, KeyError, ValueError):
                    pass
                if asyncio.get_running_loop().time() > deadline:
                    raise AnvilError(f"anvil did not answer within {START_TIMEOUT_S:.0f} s")
                await asyncio.sleep(START_POLL_S)

    def _last_errors(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read()[-MAX_ERROR_BYTES:].decode(errors="replace").strip()
