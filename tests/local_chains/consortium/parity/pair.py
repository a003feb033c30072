"""The same chain on a real CometBFT node and on the embedded engine.

Both start from one genesis file with one validator's key, and have the same transactions at the same heights up to
`Pair.height`. What must differ there (clocks, and with them the hashes and signatures of blocks) has the same name on
both sides: `known` maps each side's value to it.
"""

import asyncio
import base64
import hashlib
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import yarl

from core.model.consortium import (
    MAX_MESSAGES,
    Claim,
    Issue,
    Lock,
    Transfer,
    WriteRecord,
    quantity,
    transaction_hash,
)
from core.proofs.cometbft.types import KeyKind
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.engine.embedded import EmbeddedEngine, Pace, open_engine
from local_chains.consortium.engine.home import CONSENSUS_KEY_FILE, GENESIS_FILE, OPERATOR_KEY_FILE
from local_chains.consortium.rpc.server import MAX_SUBSCRIPTIONS, RpcServer
from tests.local_chains.consortium.abci.comet import make_network, need_cometbft
from tests.local_chains.consortium.parity.transport import Ask
from tests.local_chains.consortium.support import ANN, BEN, ISSUER, Actor
from tests.support import eventually

PREIMAGE: Final = bytes(range(32))
HASHLOCK: Final = hashlib.sha256(PREIMAGE).digest()
FAR_TIMELOCK: Final = 4_000_000_000
PAID: Final = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(7)))
LATE: Final = ANN.signed(9, Transfer("cnyd", BEN.address, quantity(7)))
"""Its sequence is not the account's: refused."""
STRANGER: Final = Actor("stranger")
"""Nobody answers for this account: it has a small share of a block."""
FILLING: Final = [
    STRANGER.signed(sequence, *[Transfer("cnyd", BEN.address, quantity(1))] * MAX_MESSAGES) for sequence in range(4)
]
"""More than the share of one block."""
TRANSACTIONS: Final = (
    (PAID, ISSUER.signed(0, Issue("cnyd", STRANGER.address, quantity(MAX_MESSAGES * len(FILLING))))),
    (
        ANN.signed(1, WriteRecord("notes", "one", b'{"a": 1}'), Transfer("gold", BEN.address, quantity(2))),
        ANN.signed(2, WriteRecord("notes", "two", b'{"a": [1, 2]}')),
        BEN.signed(0, Lock("cnyd", quantity(3), ANN.address, HASHLOCK, FAR_TIMELOCK)),
    ),
    (
        ANN.signed(3, Claim(BEN.address, PREIMAGE)),
        BEN.signed(1, Transfer("cnyd", ANN.address, quantity(1)), Transfer("cnyd", ISSUER.address, quantity(5))),
    ),
)
"""Sent one group after another."""
NEW: Final = ANN.signed(
    4,
    Transfer("cnyd", BEN.address, quantity(9)),
    Transfer("gold", BEN.address, quantity(1)),
    WriteRecord("dates", "2020-01-02", b"{}"),
)
"""Sent once subscribers wait for it."""
TX: Final = transaction_hash(PAID).hex()
SAME_HASHES: Final = ("validators_hash", "next_validators_hash", "consensus_hash", "evidence_hash", "last_results_hash")
ANSWER_S: Final = 10.0
START_S: Final = 30.0


@dataclass
class Engine:
    """One side. `hash` is block 2's, in hex."""

    url: str
    session: aiohttp.ClientSession
    hash: str = ""
    known: dict[str, str] = field(default_factory=dict)
    """This side's own values, by names that both sides have."""
    same: set[str] = field(default_factory=set)
    """Hashes that both sides must have."""

    async def ask(self, request: str | bytes | Ask) -> "Answer":
        """A path for GET, a body for POST; `{hash}`, `{tx}` and so on stand for this engine's."""
        if isinstance(request, str):
            request = Ask("GET", request)
        elif isinstance(request, bytes):
            request = Ask("POST", "", request)
        body = self.filled(request.body.decode("latin-1")).encode("latin-1")
        url = yarl.URL(f"{self.url}/{self.filled(request.target)}", encoded=True)
        async with self.session.request(
            request.method, url, data=body or None, headers=dict(request.headers), allow_redirects=False
        ) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def call(self, path: str) -> Any:
        return json.loads((await self.ask(path)).body)

    async def result(self, path: str) -> Any:
        answer = await self.call(path)
        assert "result" in answer, answer
        return answer["result"]

    async def has(self, path: str) -> bool:
        return "result" in await self.call(path)

    def filled(self, text: str) -> str:
        names = {
            "{hash}": self.hash,
            "{hash64}": base64.b64encode(bytes.fromhex(self.hash)).decode(),
            "{tx}": TX,
            "{TX}": TX.upper(),
            "{tx64}": base64.b64encode(bytes.fromhex(TX)).decode(),
            "{raw64}": base64.b64encode(PAID).decode(),
            "{rawhex}": PAID.hex(),
            "{late64}": base64.b64encode(LATE).decode(),
            "{ann}": ANN.address.hex(),
            "{ben}": BEN.address.hex(),
            "{hashlock}": HASHLOCK.hex(),
            "{new}": transaction_hash(NEW).hex(),
            "{NEW}": transaction_hash(NEW).hex().upper(),
        }
        for name, value in names.items():
            text = text.replace(name, value)
        return text

    async def learn(self, height: int) -> None:
        """Name this side's own values of the blocks up to `height`."""
        for number in range(1, height + 1):
            shown = await self.result(f"block?height={number}")
            header = shown["block"]["header"]
            clock = base64.b64decode(shown["block"]["data"]["txs"][0])
            commit = (await self.result(f"commit?height={number}"))["signed_header"]["commit"]
            results = await self.result(f"block_results?height={number}")
            self.same |= {header[name] for name in SAME_HASHES}
            after = base64.b64decode(results["app_hash"])
            values = {
                f"time {number}": header["time"] if number > 1 else "",
                f"block {number}": shown["block_id"]["hash"],
                f"parts {number}": shown["block_id"]["parts"]["hash"],
                f"data {number}": header["data_hash"],
                f"commit of {number}": header["last_commit_hash"] if number > 1 else "",
                f"state before {number}": header["app_hash"] if number > 1 else "",
                f"state after {number}": results["app_hash"],
                f"state {number}": after.hex().upper(),
                f"clock {number}": base64.b64encode(clock).decode(),
                f"clock's hash {number}": hashlib.sha256(clock).hexdigest().upper(),
                f"clock's leaf {number}": _leaf(clock),
                f"ledger time {number}": base64.b64encode(clock[-8:]).decode(),
                f"signature {number}": commit["signatures"][0]["signature"],
                f"vote's time {number}": commit["signatures"][0]["timestamp"],
            }
            self.known.update({value: name for name, value in values.items() if value})
        [validator] = (await self.result("validators"))["validators"]
        self.same |= {validator["address"], validator["pub_key"]["value"], validator["pub_key"]["type"]}
        self.hash = (await self.result("block?height=2"))["block_id"]["hash"]


def _leaf(raw: bytes) -> str:
    """The leaf hash of a transaction in the tree of its block (RFC 6962)."""
    return base64.b64encode(hashlib.sha256(b"\0" + hashlib.sha256(raw).digest()).digest()).decode()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Pair:
    comet: Engine
    ours: Engine
    height: int
    """Up to it both have the same transactions in the same blocks."""
    home: Path
    """Of the node, with the keys that both sides have."""


@asynccontextmanager
async def run_pair(directory: Path, kind: KeyKind = KeyKind.SECP256K1_ETH) -> AsyncIterator[Pair]:
    need_cometbft()
    make_network(directory / "comet", kind, validators=1)
    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        _same_settings(directory)
        network = await stack.enter_async_context(CometNetwork(directory / "comet"))
        comet = Engine(network.nodes[0].rpc_url, session)
        blocks = await _send_all(comet)
        embedded = await open_engine(_same_home(directory))
        stack.push_async_callback(embedded.close)
        ours = Engine(await _replayed(stack, embedded, blocks), session)
        for engine in (comet, ours):
            await engine.learn(len(blocks))
        running = asyncio.create_task(embedded.run(Pace(interval_s=0.2, min_delay_s=0.05)))
        try:
            await eventually(lambda: embedded.tip.height > len(blocks) + 1, START_S)
            yield Pair(comet, ours, len(blocks), directory / "comet" / "validators" / "0")
        finally:
            embedded.stop()
            await running


async def _send_all(comet: Engine) -> list[list[bytes]]:
    """Send every group, and return all blocks' transactions without their clocks."""
    await eventually(lambda: comet.has("block?height=2"), START_S)
    for group in TRANSACTIONS:
        for raw in group:
            assert (await comet.result(f"broadcast_tx_sync?tx=0x{raw.hex()}"))["code"] == 0
        for raw in group:
            await eventually(partial(comet.has, f"tx?hash=0x{transaction_hash(raw).hex()}"), START_S)
    last = int((await comet.result("status"))["sync_info"]["latest_block_height"])
    await eventually(lambda: comet.has(f"block_results?height={last + 2}"), START_S)
    blocks = [await comet.result(f"block?height={height}") for height in range(1, last + 1)]
    return [[base64.b64decode(raw) for raw in shown["block"]["data"]["txs"][1:]] for shown in blocks]


def _same_settings(directory: Path) -> None:
    """Give the node the number of subscriptions that the embedded engine allows, CometBFT's default."""
    file = directory / "comet" / "validators" / "0" / "config" / "config.toml"
    text = file.read_text()
    text, found = re.subn(r"(max_subscriptions_per_client) = \d+", rf"\1 = {MAX_SUBSCRIPTIONS}", text)
    assert found == 1
    file.write_text(text)


def _same_home(directory: Path) -> Path:
    """Make the embedded engine's home of the node's genesis file and keys."""
    theirs, home = directory / "comet" / "validators" / "0", directory / "ours"
    (home / "validators" / "0").mkdir(parents=True)
    shutil.copy(theirs / "config" / GENESIS_FILE, home / GENESIS_FILE)
    for name in (CONSENSUS_KEY_FILE, OPERATOR_KEY_FILE):
        shutil.copy(theirs / name, home / "validators" / "0" / name)
    return home


async def _replayed(stack: AsyncExitStack, engine: EmbeddedEngine, blocks: list[list[bytes]]) -> str:
    """Make the blocks with these transactions, and return the address of the RPC."""
    for transactions in blocks:
        for raw in transactions:
            assert not engine.submit(raw).code
        made = await engine.produce_block()
        assert list(made.block.txs[1:]) == transactions
    server = RpcServer(engine)
    port = await server.start("127.0.0.1", 0)
    stack.push_async_callback(server.stop)
    return f"http://127.0.0.1:{port}"
