"""Sums that go on from an irreversible block are those of the whole history, whatever happens to the chain."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.database import Database
from indexer import reading, tables
from indexer.projections.conservation import conservation
from regulator_api.access.scope import Scope
from regulator_api.view import View, as_of
from regulator_api.view.figures import height_of
from regulator_api.view.totals import Totals
from tests.indexer.world import COIN, FINALITY, GOLD, A, B, World
from tests.regulator_api.api import Api
from tests.regulator_api.test_api import claimed_swap


def sums(totals: Totals, text: str | None = None) -> Any:
    """Return work that asks `totals` as of a moment, and compares the answer with the whole history's."""

    def work(connection: Connection) -> Any:
        view = View(connection, Scope(None, frozenset()), as_of(connection, text, None))
        found = totals.transfers(view), [totals.conservation(view, asset) for asset in (COIN, GOLD)]
        heights = {chain: height_of(view, chain) for chain in (A, B)}
        whole = (
            sum(reading.transfers(connection, chain, height) for chain, height in heights.items()),
            [conservation(connection, asset, heights[chain]) for chain, asset in ((A, COIN), (B, GOLD))],
        )
        assert found == whole
        return found

    return work


async def test_sums_grow_with_the_chain(world: World, api: Api, database: Database) -> None:
    totals = Totals()
    await database.read(sums(totals))
    await claimed_swap(world, api)
    early = f"{A}@{world.a.height},{B}@{world.b.height}"
    first = await database.read(sums(totals))
    await world.finalize()
    await database.read(sums(totals))
    deal = world.deal(2)
    lock_id = await world.lock(deal.initiator)
    await world.index()
    await database.read(sums(totals))
    await world.refund(deal.initiator, lock_id)  # its lock stands below the next irreversible block
    await world.lock(world.deal(3).initiator)
    for _ in range(FINALITY + 1):
        await world.index()
        await database.read(sums(totals))
        world.a.mine()
    world.a.reorg(FINALITY, keep=lambda _: False)
    await world.index()
    await database.read(sums(totals))
    assert await database.read(sums(totals, early)) == first
    assert await database.read(sums(totals, "finalized"))


async def test_what_is_irreversible_is_read_once(world: World, api: Api, database: Database) -> None:
    await claimed_swap(world, api)
    await world.finalize()
    totals = Totals()
    known = await database.read(sums(totals))
    events = tables.events
    await database.write(lambda c: c.execute(sa.delete(events).where(events.c.height <= world.a.finalized_height)))

    def again(connection: Connection) -> Any:
        view = View(connection, Scope(None, frozenset()), as_of(connection, None, None))
        return totals.transfers(view), [totals.conservation(view, asset) for asset in (COIN, GOLD)]

    moved, conserved = await database.read(again)
    assert (moved, [one.locked for one in conserved]) == (known[0], [one.locked for one in known[1]])


async def test_a_replaced_block_is_not_gone_on_from(world: World, api: Api, database: Database) -> None:
    await claimed_swap(world, api)
    await world.finalize()
    totals = Totals()
    before = await database.read(sums(totals))
    depth = world.a.height - 1
    world.a.reorg(depth, depth, keep=lambda _: False, deep=True)
    await world.index()
    after = await database.read(sums(totals))
    assert after[1][0].locked.count == 0 < before[1][0].locked.count
