"""Swaps of two memory chains as the indexer joins them, through reorgs, restarts and a rebuild."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, RejectedError
from core.model.types import BaseUnits, Height
from core.runtime.database import Database
from indexer import store
from indexer.feed import last_seq, public_preimage, read_facts
from indexer.follower import Follower
from indexer.projections import report_agreement
from indexer.projections.conservation import conservation
from indexer.projections.rebuild import PROJECTED, rebuild
from indexer.projections.swaps import JoinedSwap, SwapStatus
from tests.indexer.truth import all_facts, all_swaps, replay
from tests.indexer.world import COIN, PURSE, A, B, Deal, World
from tests.support import eventually


async def make_world(database: Database) -> World:
    world = World(database)
    await world.open()
    return world


async def swap(world: World, swap_id: str = "swap-1") -> JoinedSwap:
    await world.index()
    (found,) = (one for one in await world.database.read(all_swaps) if one.swap_id == swap_id)
    return found


async def report(world: World, deal: Deal, swap_id: str = "swap-1") -> bool:
    return await world.database.write(lambda c: report_agreement(c, deal.agreement(swap_id), world.clock.now_ns()))


def projected(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the projections, in order."""
    return {
        table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
        for table in PROJECTED
    }


async def check_rebuild(world: World) -> None:
    grown = await world.database.read(projected)
    await world.database.write(rebuild)
    assert await world.database.read(projected) == grown


async def test_a_swap_from_agreement_to_claim(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    assert await report(world, deal)
    assert not await report(world, deal)
    assert (await swap(world)).status is SwapStatus.AGREED
    first = await world.lock(deal.initiator)
    assert (await swap(world)).status is SwapStatus.INITIATOR_LOCKED
    second = await world.lock(deal.participant)
    assert (await swap(world)).status is SwapStatus.LOCKED
    await world.claim(deal.participant, second, deal.preimage)
    revealed = await swap(world)
    assert revealed.status is SwapStatus.REVEALED
    assert revealed.participant is not None
    assert revealed.participant.preimage == deal.preimage.expose()
    await world.claim(deal.initiator, first, deal.preimage)
    claimed = await swap(world)
    assert claimed.status is SwapStatus.CLAIMED
    assert claimed.others == ()
    assert claimed.initiator is not None
    assert claimed.initiator.lock_id == first
    await check_rebuild(world)


async def test_refunds(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    await report(world, deal)
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.refund(deal.participant, second)
    assert (await swap(world)).status is SwapStatus.REFUNDING
    await world.refund(deal.initiator, first)
    assert (await swap(world)).status is SwapStatus.REFUNDED
    sums = await database.read(lambda c: conservation(c, COIN, world.a.height))
    assert (sums.locked.amount, sums.refunded.amount, sums.open.amount) == (10**18, 10**18, 0)
    assert sums.ok
    await check_rebuild(world)


async def test_legs_are_never_merged_without_agreed_terms(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    await world.lock(deal.initiator)
    await world.lock(deal.participant)
    copied = replace(deal.participant, amount=BaseUnits(1))
    await world.lock(copied)
    await world.index()
    (listed,) = await database.read(all_swaps)
    assert listed.swap_id == f"hashlock:{deal.preimage.hashlock().hex()}"
    assert listed.status is SwapStatus.UNJOINED
    assert (listed.initiator, listed.participant) == (None, None)
    assert len(listed.others) == 3
    assert {pair.participant.terms.amount for pair in listed.candidates} == {1, 10_000}
    assert all(pair.initiator.terms == deal.initiator for pair in listed.candidates)
    await report(world, deal)
    (joined,) = await database.read(all_swaps)
    assert joined.status is SwapStatus.LOCKED
    assert [lock.terms for lock in joined.others] == [copied]
    await check_rebuild(world)


async def test_a_lock_with_other_terms_is_not_the_agreed_leg(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    await report(world, deal)
    await world.lock(replace(deal.initiator, amount=BaseUnits(deal.initiator.amount - 1)))
    found = await swap(world)
    assert found.status is SwapStatus.AGREED
    assert len(found.others) == 1


async def test_reorgs_undo_exactly(database: Database) -> None:
    world = await make_world(database)
    deal = world.deal()
    await report(world, deal)
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.finalize()
    before = await database.read(projected)
    await world.claim(deal.participant, second, deal.preimage)
    assert (await swap(world)).status is SwapStatus.REVEALED
    world.b.reorg(1, keep=lambda _: False)
    assert (await swap(world)).status is SwapStatus.LOCKED
    assert await database.read(projected) == before
    # What was public stays public: the preimage of the orphaned block is found.
    lock = deal.preimage.hashlock()
    assert await database.read(lambda c: public_preimage(c, lock)) == deal.preimage.expose()
    await world.claim(deal.initiator, first, deal.preimage)
    world.a.reorg(1, keep=lambda _: False)
    await world.index()
    assert await database.read(projected) == before
    await check_rebuild(world)
    chains, _ = replay(await database.read(all_facts))
    assert chains[A] == [world.a.block(Height(h)) for h in range(world.a.height + 1)]
    assert chains[B] == [world.b.block(Height(h)) for h in range(world.b.height + 1)]


async def test_other_terms_under_a_taken_id_are_refused(database: Database) -> None:
    world = await make_world(database)
    await report(world, world.deal(1))
    with pytest.raises(ConflictError, match="swap-1"):
        await report(world, world.deal(2))
    same_chain = world.deal(1)
    with pytest.raises(RejectedError, match="two chains"):
        Deal(same_chain.preimage, same_chain.initiator, same_chain.initiator).agreement()


async def test_a_database_of_another_chain_is_refused(database: Database) -> None:
    await make_world(database)
    other = World(database)
    await other.clock.advance(500)
    stranger = World(database, clock=other.clock)
    with pytest.raises(FatalError, match="give it a new database"):
        await stranger.followers[A].open()


async def test_two_followers_of_one_chain_never_write_twice(database: Database) -> None:
    world = await make_world(database)
    second = world.follower(world.a)
    await second.open()
    world.a.mine()
    await world.index()
    with pytest.raises(ConflictError):
        await second.catch_up(world.a.head)
    await second.open()
    world.a.mine()
    await second.catch_up(world.a.head)
    replay(await database.read(all_facts))


async def test_running_follower_survives_a_dead_endpoint_and_a_restart(database: Database) -> None:
    world = World(database)
    follower = world.followers[A]
    running = asyncio.create_task(follower.run())
    world.a.mine(40)
    await eventually(lambda: follower.status.tip is not None and follower.status.tip.height == world.a.height)
    assert follower.status.ready
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    world.a.reorg(2)
    world.a.mine(3)
    again = world.follower(world.a)
    running = asyncio.create_task(again.run())
    assert await world.signal.wait_beyond(40, timeout_s=5)
    await eventually(lambda: again.status.ready and again.status.tip == world.a.head.head)
    chains, final = replay(await database.read(all_facts))
    assert chains[A] == [world.a.block(Height(h)) for h in range(world.a.height + 1)]
    assert final[A] == world.a.finalized_height
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_facts_of_chains_written_side_by_side_have_one_order(database: Database) -> None:
    world = await make_world(database)
    seen: list[int] = []

    async def consume() -> None:
        while True:
            page = await database.read(lambda c: read_facts(c, seen[-1] if seen else 0, 7))
            seen.extend(fact.seq for fact in page)
            if not page:
                await world.signal.wait_beyond(seen[-1] if seen else 0)

    consumer = asyncio.create_task(consume())
    for _ in range(10):
        world.a.mine(3)
        world.b.mine(2)
        await asyncio.gather(world.followers[A].catch_up(world.a.head), world.followers[B].catch_up(world.b.head))
    last = await database.read(last_seq)
    await eventually(lambda: seen and seen[-1] == last)
    assert seen == list(range(1, last + 1))
    consumer.cancel()
    await asyncio.gather(consumer, return_exceptions=True)


async def test_writers_meet(database: Database) -> None:
    """Opening, following and reporting at once: whoever comes second waits, and sees what the first one did."""
    world = World(database)
    await asyncio.gather(*(follower.open() for follower in world.followers.values()))
    for number in range(1, 9):
        deal = world.deal(number)
        await world.lock(deal.initiator)
        await world.lock(deal.participant)
        reported = await asyncio.gather(
            report(world, deal, f"swap-{number}"),
            world.followers[A].catch_up(world.a.head),
            report(world, deal, f"swap-{number}"),
            world.followers[B].catch_up(world.b.head),
        )
        assert sorted(answer for answer in reported if answer is not None) == [False, True]
    listed = await database.read(all_swaps)
    assert [view.status for view in listed] == [SwapStatus.LOCKED] * 8
    await check_rebuild(world)


async def test_state_is_stored_for_other_processes(database: Database) -> None:
    world = await make_world(database)
    (a, b) = await database.read(store.chain_rows)
    assert (a.chain, a.state, a.head_height, a.alarms) == (A, "live", world.a.height, 0)
    assert a.tip == world.a.head.head
    assert b.finalized == world.b.head.finalized


async def test_amounts_beyond_any_column_add_up(database: Database) -> None:
    """A token may claim any balance; two such locks sum to more than 256 bits."""
    world = await make_world(database)
    huge = 2**256 - 1
    world.a.fund(world.initiator[A].account, COIN, huge - PURSE)
    for number in (1, 2):
        terms = replace(world.deal(number).initiator, amount=BaseUnits(2**255 - 1))
        await world.lock(terms)
    await world.index()
    sums = await database.read(lambda c: conservation(c, COIN, world.a.height))
    assert sums.locked.amount == sums.open.amount == 2 * (2**255 - 1)
    assert sums.ok


async def test_unmatched_settlements_are_reported(database: Database) -> None:
    world = World(database)
    deal = world.deal()
    lock_id = await world.lock(deal.initiator)
    late = world.a.access()
    follower = Follower(
        late.parameters, late.heads, late.blocks, database, world.signal, world.clock, Height(world.a.height + 1)
    )
    await follower.open()
    await world.claim(deal.initiator, lock_id, deal.preimage)
    await follower.catch_up(world.a.head)
    sums = await database.read(lambda c: conservation(c, COIN, world.a.height))
    assert sums.unmatched == 1
    assert not sums.ok
