"""Too few endpoints agree about what is final: blocks and preimages go on, nothing is final, and that is reported."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from adapters.endpoints import Member, combine
from adapters.memory import Endpoint
from adapters.memory.ports import MemoryLockReader
from core.model.types import Height
from core.runtime.clock import VirtualClock, run_virtually
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from indexer import tables
from indexer.feed import FactKind, FactSignal, public_preimage
from indexer.follower import Follower, FollowerState
from tests.indexer.truth import all_facts
from tests.indexer.world import A, World

SOON_S = 15.0
"""Longer than an endpoint that hangs is waited for the first time."""


class Disputed:
    """A world whose chain `a` is followed through three operators' endpoints."""

    def __init__(self) -> None:
        clock = VirtualClock()
        self.world = World(InlineDatabase(), clock)  # type: ignore[arg-type]
        self.endpoints = [Endpoint(clock, seed) for seed in range(3)]
        self.metrics = Metrics()
        self.follower = self.make_follower()

    def make_follower(self) -> Follower:
        chain = self.world.a
        access = combine(
            [
                Member(f"operator-{number}", chain.access(endpoint), MemoryLockReader(chain, endpoint))
                for number, endpoint in enumerate(self.endpoints)
            ]
        )
        return Follower(
            access.parameters, access.heads, access.blocks, self.world.database, FactSignal(), self.world.clock,
            Height(0), self.metrics,
        )  # fmt: skip

    def start(self) -> None:
        self.running = asyncio.create_task(self.follower.run())

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    async def final_height(self) -> int:
        facts = await self.world.database.read(all_facts)
        return max((fact.header.height for fact in facts if fact.kind is FactKind.FINALIZED), default=-1)


def play(story: Callable[[Disputed], Awaitable[None]]) -> None:
    async def main() -> None:
        told = Disputed()
        await told.world.database.write(lambda c: create_schema(c, tables.TABLES))
        told.start()
        await asyncio.sleep(SOON_S)
        assert told.follower.status.ready
        await story(told)
        await told.stop()

    run_virtually(main())


@pytest.mark.parametrize("how", ["down", "hanging"])
def test_preimage_is_seen_through_the_one_endpoint_that_is_left(how: str) -> None:
    async def story(told: Disputed) -> None:
        world, deal = told.world, told.world.deal()
        lock_id = await world.lock(deal.initiator)
        await asyncio.sleep(SOON_S)
        before = await told.final_height()
        for endpoint in told.endpoints[1:]:
            if how == "down":
                endpoint.down = True
            else:
                endpoint.hang()
        await asyncio.sleep(SOON_S)
        world.a.mine(5)
        await world.claim(deal.initiator, lock_id, deal.preimage)
        await asyncio.sleep(SOON_S)
        lock = deal.preimage.hashlock()
        assert await world.database.read(lambda c: public_preimage(c, lock)) == deal.preimage.expose()
        assert await told.final_height() == before < world.a.finalized_height
        status = told.follower.status
        assert (status.state, status.ready) == (FollowerState.DISPUTED, False)
        assert "operators" in status.detail
        assert told.metrics.value("indexer_finality_disputed", chain=A) == 1
        for endpoint in told.endpoints[1:]:
            endpoint.down = False
            endpoint.wake()
        await asyncio.sleep(SOON_S)
        assert await told.final_height() == world.a.finalized_height
        assert told.follower.status.ready
        assert told.metrics.value("indexer_finality_disputed", chain=A) == 0

    play(story)


def test_follower_that_starts_during_a_dispute_sees_preimages() -> None:
    async def story(told: Disputed) -> None:
        world, deal = told.world, told.world.deal()
        lock_id = await world.lock(deal.initiator)
        await asyncio.sleep(SOON_S)
        told.endpoints[0].down = told.endpoints[2].down = True
        before = await told.final_height()
        await told.stop()
        told.follower = told.make_follower()
        told.start()
        world.a.mine(5)
        await world.claim(deal.initiator, lock_id, deal.preimage)
        await asyncio.sleep(SOON_S)
        lock = deal.preimage.hashlock()
        assert await world.database.read(lambda c: public_preimage(c, lock)) == deal.preimage.expose()
        assert await told.final_height() == before
        assert told.follower.status.state is FollowerState.DISPUTED

    play(story)


def test_a_liar_among_three_neither_finalizes_nor_delays() -> None:
    async def story(told: Disputed) -> None:
        told.endpoints[1].lying = True
        for _ in range(20):
            told.world.a.mine(2)
            await asyncio.sleep(2)
            assert await told.final_height() <= told.world.a.finalized_height
        await asyncio.sleep(SOON_S)
        assert told.follower.status.ready
        assert await told.final_height() == told.world.a.finalized_height

    play(story)
