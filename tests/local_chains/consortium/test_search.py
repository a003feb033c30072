"""`tx_search` and `block_search`: the same queries find the same on the embedded engine and on a real node."""

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from core.model.consortium import (
    AssetMoved,
    LedgerEvent,
    Lock,
    LockRefunded,
    Transfer,
    decode_clock,
    event_to_attributes,
    quantity,
    transaction_hash,
)
from core.model.errors import RejectedError
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.engine.embedded import Pace
from local_chains.consortium.node import ConsortiumNode, init_home
from local_chains.consortium.rpc import methods, search
from local_chains.consortium.state.marks import MARK_BYTES, attribute_mark, block_marks, may_hold, name_mark
from tests.local_chains.consortium.abci.comet import begun, make_network, need_cometbft
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN
from tests.support import eventually

Call = Callable[..., Awaitable[Any]]
FAR_S = 1 << 39
HASHLOCK = hashlib.sha256(b"search").digest()
ANN_HEX, BEN_HEX = ANN.address.hex(), BEN.address.hex()
TRANSACTIONS = {
    "seven": ANN.signed(0, Transfer("cnyd", BEN.address, quantity(7))),
    "nine": ANN.signed(1, Transfer("cnyd", BEN.address, quantity(9))),
    "gold": ANN.signed(2, Transfer("gold", BEN.address, quantity(1))),
    "both": ANN.signed(
        3,
        Transfer("cnyd", ANN.address, quantity(9)),
        Transfer("gold", BEN.address, quantity(2)),
        Lock("cnyd", quantity(5), BEN.address, HASHLOCK, FAR_S),
    ),
    "back": BEN.signed(0, Transfer("cnyd", ANN.address, quantity(60))),
}
NAMES = {transaction_hash(raw): name for name, raw in TRANSACTIONS.items()}


@dataclass
class Searched:
    """A chain that has all the transactions, each in a block of its own."""

    call: Call
    heights: dict[str, int]


async def pay_all(call: Call) -> Searched:
    heights = {}
    for name, raw in TRANSACTIONS.items():
        sent = await call("broadcast_tx_commit", tx=base64.b64encode(raw).decode())
        assert sent["check_tx"]["code"] == sent["tx_result"]["code"] == 0, sent
        heights[name] = int(sent["height"])
    found = Searched(call, heights)

    async def indexed() -> bool:
        query = f"tx.height = {heights['back']}"
        return int((await call("tx_search", query=query))["total_count"]) >= 2

    await eventually(indexed)
    return found


@asynccontextmanager
async def embedded(directory: Path) -> AsyncIterator[Call]:
    init_home(directory, CHAIN, assets=ASSETS, accounts=ACCOUNTS)
    async with (
        ConsortiumNode(directory, pace=Pace(interval_s=0.2, min_delay_s=0.02)) as node,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
    ):

        async def call(method: str, **params: Any) -> Any:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with session.post(node.rpc_url, json=body) as response:
                answer = await response.json()
            if "error" in answer:
                raise RejectedError(answer["error"]["data"])
            return answer["result"]

        yield call


@asynccontextmanager
async def cometbft(directory: Path) -> AsyncIterator[Call]:
    need_cometbft()
    make_network(directory, validators=1)
    async with CometNetwork(directory) as network:
        await begun(network.nodes, 1)
        yield network.nodes[0].call


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[embedded, cometbft], ids=lambda make: make.__name__
)
async def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Searched]:
    async with request.param(tmp_path_factory.mktemp("search") / "chain") as call:
        yield await pay_all(call)


async def names(chain: Searched, query: str, **more: Any) -> list[str]:
    """Return what a search finds, in its order; the proposers' clocks are left out."""
    found = await chain.call("tx_search", query=query, per_page="100", **more)
    raws = [base64.b64decode(tx["tx"]) for tx in found["txs"]]
    assert [tx["hash"] for tx in found["txs"]] == [transaction_hash(raw).hex().upper() for raw in raws]
    assert int(found["total_count"]) == len(raws)
    assert all(transaction_hash(raw) in NAMES or decode_clock(raw) for raw in raws)
    return [NAMES[transaction_hash(raw)] for raw in raws if transaction_hash(raw) in NAMES]


@pytest.mark.asyncio(loop_scope="module")
class TestSearch:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (f"bank.transfer.sender = '{ANN_HEX}'", ["seven", "nine", "gold", "both"]),
            (f"bank.transfer.receiver = '{ANN_HEX}'", ["both", "back"]),
            ("bank.transfer.amount = 9", ["nine", "both"]),
            ("bank.transfer.amount = '9'", ["nine", "both"]),
            ("bank.transfer.amount > 7", ["nine", "both", "back"]),
            ("bank.transfer.amount >= 7 AND bank.transfer.amount < 60", ["seven", "nine", "both"]),
            (f"bank.transfer.asset = 'gold' AND bank.transfer.receiver = '{BEN_HEX}'", ["gold", "both"]),
            # The lock and both transfers are events of one transaction, but no event is all of them.
            ("bank.transfer.asset = 'gold' AND bank.transfer.amount = 9", []),
            (f"bank.transfer.amount = 9 AND htlc.lock.hashlock = '{HASHLOCK.hex()}'", []),
            (f"htlc.lock.hashlock = '{HASHLOCK.hex()}'", ["both"]),
            ("htlc.lock.hashlock EXISTS", ["both"]),
            (f"htlc.lock.hashlock CONTAINS '{HASHLOCK.hex()[5:20]}'", ["both"]),
            ("htlc.lock.hashlock = 'ff'", []),
            ("htlc.refund.sender EXISTS", []),
            ("tx.height >= 1 AND bank.transfer.asset = 'gold'", ["gold", "both"]),
            ("tx.height > 1000000 AND bank.transfer.asset = 'gold'", []),
            ("tx.height > 0", list(TRANSACTIONS)),
            # A height decides by its text alone, and only its whole part counts next to an event.
            ("tx.height = 01", []),
            ("tx.height = 'x' AND bank.transfer.asset = 'gold'", ["gold", "both"]),
            ("tx.height = 0 AND bank.transfer.asset = 'gold'", ["gold", "both"]),
            ("tx.height > 1000000 AND tx.height > 0", list(TRANSACTIONS)),
            ("tx.height EXISTS AND bank.transfer.asset = 'gold'", []),
            ("tx.height > DATE 2026-01-01", []),
            ("bank.transfer.amount > 60 AND bank.transfer.amount > 7", ["nine", "both", "back"]),
            ("bank.transfer.amount > 7 AND bank.transfer.amount < DATE 2026-01-01", []),
            ("bank.transfer.amount = DATE 2026-01-01", []),
            (f"tx.hash = '{transaction_hash(TRANSACTIONS['gold']).hex()}'", ["gold"]),
            (f"tx.hash = '{'00' * 32}'", []),
        ],
    )
    async def test_transactions_are_found_by_their_events(
        self, chain: Searched, query: str, expected: list[str]
    ) -> None:
        assert await names(chain, query) == expected
        assert await names(chain, query, order_by="asc") == expected
        assert await names(chain, query, order_by="desc") == expected[::-1]

    async def test_heights_narrow_a_search(self, chain: Searched) -> None:
        height = chain.heights["gold"]
        assert await names(chain, f"tx.height = {height}") == ["gold"]
        assert await names(chain, f"tx.height = {height} AND bank.transfer.asset = 'gold'") == ["gold"]
        assert await names(chain, f"tx.height = {height} AND bank.transfer.asset = 'cnyd'") == []
        assert await names(chain, f"tx.height < {height} AND bank.transfer.asset EXISTS") == ["seven", "nine"]

    async def test_pages(self, chain: Searched) -> None:
        query = f"bank.transfer.sender = '{ANN_HEX}'"
        pages = []
        for page in ("1", "2"):
            found = await chain.call("tx_search", query=query, page=page, per_page="3", prove=True)
            assert found["total_count"] == "4"
            assert all(tx["proof"]["root_hash"] for tx in found["txs"])
            pages.append([NAMES[bytes.fromhex(tx["hash"])] for tx in found["txs"]])
        assert pages == [["seven", "nine", "gold"], ["both"]]
        for wrong in ({"page": "3", "per_page": "3"}, {"order_by": "up"}):
            with pytest.raises(RejectedError):
                await chain.call("tx_search", query=query, **wrong)

    async def test_blocks_are_found_by_height(self, chain: Searched) -> None:
        async def heights(query: str, **more: Any) -> list[int]:
            found = await chain.call("block_search", query=query, **more)
            assert int(found["total_count"]) == len(found["blocks"])
            assert all(len(block["block_id"]["hash"]) == 64 for block in found["blocks"])
            return [int(block["block"]["header"]["height"]) for block in found["blocks"]]

        assert await heights("block.height = 2") == [2]
        assert await heights("block.height > 1 AND block.height <= 4") == [4, 3, 2]
        assert await heights("block.height > 1 AND block.height <= 4", order_by="asc") == [2, 3, 4]
        assert await heights("block.height = 1000000") == []
        assert await heights("block.height = 2.5") == [2]
        assert await heights("block.height = 2 AND block.height = 3") == [2]
        assert await heights("block.height < 4 AND block.height < 3", order_by="asc") == [1, 2]
        assert await heights("block.height EXISTS") == []
        # Transactions' events are not the block's.
        assert await heights("bank.transfer.amount = 9") == []
        with pytest.raises(RejectedError):
            await chain.call("block_search", query="block.height = 1", order_by="up")

    async def test_a_check_takes_nothing_in(self, chain: Searched) -> None:
        poor = BEN.signed(1, Transfer("cnyd", ANN.address, quantity(10**6)))
        assert (await chain.call("check_tx", tx=base64.b64encode(poor).decode()))["log"].startswith("insufficient")
        raw = BEN.signed(1, Transfer("cnyd", ANN.address, quantity(1)))
        assert (await chain.call("check_tx", tx=base64.b64encode(raw).decode()))["code"] == 0
        assert (await chain.call("num_unconfirmed_txs"))["total"] == "0"

    async def test_a_genesis_file_comes_in_chunks(self, chain: Searched) -> None:
        chunk = await chain.call("genesis_chunked", chunk="0")
        assert (chunk["chunk"], chunk["total"]) == ("0", "1")
        assert CHAIN.encode() in base64.b64decode(chunk["data"])
        with pytest.raises(RejectedError):
            await chain.call("genesis_chunked", chunk="1")


async def test_a_search_that_reads_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with embedded(tmp_path / "chain") as call:
        await pay_all(call)
        monkeypatch.setattr(search, "MAX_READ_BYTES", 600)
        with pytest.raises(RejectedError, match=r"narrow the query by tx\.height"):
            await call("tx_search", query="bank.transfer.amount > 0")
        assert (await call("tx_search", query="tx.height = 1"))["total_count"] == "1"
        monkeypatch.setattr(search, "MAX_BLOCKS", 2)
        with pytest.raises(RejectedError, match=r"narrow the query by block\.height"):
            await call("block_search", query="block.height > 0")


async def test_page_of_blocks_too_large_for_one_answer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with embedded(tmp_path / "chain") as call:
        await pay_all(call)
        monkeypatch.setattr(methods, "MAX_FOUND_BYTES", 600)
        with pytest.raises(RejectedError, match="lower per_page"):
            await call("block_search", query="block.height > 0")
        assert len((await call("block_search", query="block.height > 0", per_page="1"))["blocks"]) == 1


def test_marks_show_which_blocks_to_read() -> None:
    events: list[LedgerEvent] = [AssetMoved("cnyd", b"", BEN.address, 7), LockRefunded(ANN.address, HASHLOCK)]
    marks = block_marks(events * 2)
    attributes = [
        (f"{kind}.{key}", value) for kind, named in map(event_to_attributes, events) for key, value in named.items()
    ]
    assert len(marks) == 2 * len(attributes) * MARK_BYTES
    assert may_hold(marks, [attribute_mark(*one) for one in attributes] + [name_mark(name) for name, _ in attributes])
    one = attribute_mark("bank.transfer.amount", "7")
    assert not may_hold(marks, [one, attribute_mark("bank.transfer.amount", "8")])
    assert not may_hold(b"", [name_mark("bank.transfer.amount")])
    # A mark lies on the boundary of marks, not across two.
    shifted = marks[-1:] + marks[:-1]
    assert not may_hold(shifted, [name_mark("bank.transfer.amount")])
