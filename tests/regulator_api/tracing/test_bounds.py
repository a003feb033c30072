"""A trace through an account that deals with everybody: bounded in what is read, and reported."""

from typing import Any

from sqlalchemy.engine import Connection

from core.model.facts import Block, BlockHeader, LoggedEvent, Transferred
from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, ChainTime, Height
from core.runtime.database import InlineDatabase, create_schema
from indexer import store
from indexer.chain_view import ChainView, advance
from regulator_api.access.scope import EVERYTHING
from regulator_api.tracing.explore import Bounds, explore
from regulator_api.tracing.forward import forward
from regulator_api.tracing.model import MAX_ACCOUNT_MOVES, Ledger, Method, Network, Stop, Way
from regulator_api.view import View, as_of
from regulator_api.view.histories import Histories
from regulator_api.view.sources import of_account

CHAIN = ChainId("eip155:1")
COIN = AssetId(f"{CHAIN}/erc20:0x{'cc' * 20}")
NEIGHBOURS = 5_000


def account(number: int) -> AccountId:
    return AccountId(f"{CHAIN}:0x{number:040x}")


def paid(height: int, *payments: tuple[int, int, int]) -> Block:
    ref = BlockRef(CHAIN, Height(height), height.to_bytes(32, "big"))
    parent = b"" if height == 0 else (height - 1).to_bytes(32, "big")
    logged = tuple(
        LoggedEvent(ref, index.to_bytes(32, "big"), index, Transferred(COIN, account(a), account(b), BaseUnits(amount)))
        for index, (a, b, amount) in enumerate(payments)
    )
    return Block(BlockHeader(ref, parent, ChainTime(CHAIN, 1_000 + height)), logged)


async def test_an_exchange_without_a_label_ends_the_trace() -> None:
    thief, exchange = 1, 2
    blocks = [
        paid(0, (thief, exchange, 700), (thief, 3, 300)),
        paid(1, *((exchange, 10 + number, 1) for number in range(NEIGHBOURS))),
        paid(2, (3, 4, 300)),
    ]
    rows: list[int] = []

    def work(connection: Connection) -> Network:
        create_schema(connection)
        store.prepare(connection)
        store.register_chain(connection, CHAIN, b"\1" * 32, Height(0))
        view = ChainView(CHAIN, Height(0))
        step = advance(view, None, blocks, blocks[-1].header)
        store.commit(connection, view, step, store.Observation("live", "", blocks[-1].header, 1))
        seen = View(connection, EVERYTHING, as_of(connection, None, None))
        source = of_account(seen, Way.FORWARD, Ledger(account(thief), COIN), None, None)
        return explore(Counting(seen, rows), Way.FORWARD, source.edges, source.through, source.origin, Bounds(5))

    network = await InlineDatabase().write(work)
    assert network.stops == {Ledger(account(exchange), COIN): Stop.BUSY}
    # No more rows than the limit of one account, and one that says that there are more.
    assert max(rows) == MAX_ACCOUNT_MOVES + 1
    trace = forward(network, Method.FIFO)
    assert [(ledger.account, taint) for ledger, taint in trace.ends] == [(account(exchange), 700), (account(4), 300)]
    assert trace.sums is not None
    assert (trace.sums.source, trace.sums.stopped, trace.sums.conserved) == (1_000, 700, True)


class Counting(Histories):
    """Notes how many rows each question reads."""

    def __init__(self, view: View, rows: list[int]) -> None:
        super().__init__(view, lambda account, at_s: False)
        self._rows = rows

    def _moves(self, asked: Any, way: Way) -> Any:
        found = list(super()._moves(asked, way))
        counts = [sum(row.which == which for row in found) for which in range(len(asked))]
        self._rows += counts
        return found
