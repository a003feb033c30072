"""Balances as the indexer sums them up, against those that the chain itself keeps, at every height."""

import random
from functools import partial

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryChain
from core.model.errors import FatalError
from core.model.types import AssetId, ChainId, Height, LockId, LockTerms, Preimage
from core.runtime.clock import ManualClock, run_virtually
from core.runtime.database import Database, InlineDatabase, create_schema
from indexer import tables
from indexer.follower import Follower
from indexer.projections.balances import balance_at, holdings, supply
from indexer.projections.locks import locks_under
from indexer.projections.rebuild import VERSION, bring_up_to_date
from tests.indexer.test_swaps import check_rebuild
from tests.indexer.world import COIN, GOLD, PURSE, A, B, World


async def check_balances(world: World) -> None:
    """The projection knows of every account, at every height, what the chain knows."""
    for chain, asset in ((A, COIN), (B, GOLD)):
        for height in range(world.chain(chain).height + 1):
            await check_height(world, chain, asset, Height(height))


async def check_height(world: World, chain: ChainId, asset: AssetId, height: Height) -> None:
    true = {}
    for account in (world.initiator[chain].account, world.participant[chain].account):
        true[account] = await world.access(chain).state.balance(account, asset, height)
    for account, balance in true.items():
        assert await world.database.read(partial(balance_at, account=account, asset=asset, height=height)) == balance
    listed = await world.database.read(lambda c: holdings(c, asset, height, 10))
    assert {one.account: one.amount for one in listed} == {account: held for account, held in true.items() if held}
    sums = await world.database.read(lambda c: supply(c, asset, height))
    assert sums.adds_up
    assert sums.issued == (PURSE if height else 0)


async def test_balances_are_the_chain_s_own(database: Database) -> None:
    world = World(database)
    await world.open()
    claimed, refunded, left = world.deal(1), world.deal(2), world.deal(3)
    ids = [await world.lock(deal.initiator) for deal in (claimed, refunded, left)]
    await world.lock(left.participant)
    await world.claim(claimed.initiator, ids[0], claimed.preimage)
    await world.refund(refunded.initiator, ids[1])
    await world.index()
    await check_balances(world)
    open_locks = await database.read(lambda c: supply(c, COIN, world.a.height))
    assert open_locks.locked == left.initiator.amount
    await check_rebuild(world)


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_balances_follow_through_reorgs(seed: int) -> None:
    async def tell() -> None:
        rng = random.Random(seed)
        world = World(InlineDatabase(), clock=ManualClock())
        await world.database.write(lambda c: create_schema(c, tables.TABLES))
        await world.open()
        locked: list[tuple[LockTerms, LockId, Preimage]] = []
        for number in range(1, 9):
            deal = world.deal(number, rng.randrange(1, 10**6) * 10**14)
            match rng.choice(("lock", "claim", "reorg", "mine")):
                case "claim" if locked:
                    terms, lock_id, preimage = locked.pop()
                    await world.claim(terms, lock_id, preimage)
                case "reorg":
                    _reorg(world.a, rng)
                    locked.clear()
                case "mine":
                    world.a.mine(rng.randrange(1, 4))
                case _:
                    locked.append((deal.initiator, await world.lock(deal.initiator), deal.preimage))
            if rng.random() < 0.7:
                await world.index()
        await world.index()
        await check_balances(world)
        await check_rebuild(world)
        await world.database.close()

    run_virtually(tell())


def _reorg(chain: MemoryChain, rng: random.Random) -> None:
    loose = chain.height - chain.finalized_height
    if loose > 1:
        depth = rng.randrange(1, loose)
        chain.reorg(depth, depth + 1, keep=lambda _: rng.random() < 0.5)


async def test_projections_of_another_version_are_rebuilt_or_refused(database: Database) -> None:
    world = World(database)
    await world.open()
    assert not await database.write(bring_up_to_date)
    version = tables.projection_version
    await database.write(lambda c: c.execute(sa.delete(tables.balances)))
    await database.write(lambda c: c.execute(sa.update(version).values(version=VERSION - 1)))
    await world.followers[A].open()
    await check_balances(world)
    await database.write(lambda c: c.execute(sa.update(version).values(version=VERSION + 1)))
    with pytest.raises(FatalError, match="start the newer version"):
        await world.followers[A].open()


async def test_projections_left_alone_are_built_by_the_next_follower(database: Database) -> None:
    world = World(database)
    await world.open()
    access = world.a.access()
    plain = Follower(
        access.parameters,
        access.heads,
        access.blocks,
        database,
        world.signal,
        world.clock,
        Height(0),
        projected=False,
    )
    await plain.open()
    deal = world.deal()
    await world.lock(deal.initiator)
    await plain.catch_up(world.a.head)
    assert not await database.read(lambda c: locks_under(c, deal.initiator.hashlock, 1))
    await world.followers[A].open()
    assert len(await database.read(lambda c: locks_under(c, deal.initiator.hashlock, 2))) == 1
    await check_balances(world)
    await check_rebuild(world)
