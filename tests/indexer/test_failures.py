"""Failures of an endpoint cost a follower pauses that grow, until it gets on by anything at all."""

import asyncio
from typing import Any

from core.model.errors import RejectedError, RetryableError
from core.model.types import Height
from core.runtime.clock import VirtualClock, run_virtually
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.retry import FOLLOWER
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower, FollowerState
from tests.indexer.scripted import Parameters, ScriptedBlocks, ScriptedChain

BLOCKS = 1_000
RANGE = 10
FAILS_EVERY = 2


class Failing(ScriptedBlocks):
    """Every second range fails; ranges above `at_most` are refused, with a word that says so."""

    def __init__(self, chain: ScriptedChain, at_most: int = RANGE, fails_every: int = FAILS_EVERY) -> None:
        super().__init__(chain)
        self.at_most, self._fails_every, self.asked = at_most, fails_every, 0
        self.served: list[int] = []

    async def blocks(self, first: Height, last: Height) -> Any:
        if last - first >= self.at_most:
            raise RejectedError("slow", at_most=self.at_most)
        self.asked += 1
        if self.asked % self._fails_every == 0:
            raise RetryableError("it did not answer")
        self.served.append(last - first + 1)
        return await super().blocks(first, last)


async def followed(source: Failing, chain: ScriptedChain, blocks: int) -> float:
    """Seconds until all of it is followed."""
    clock = VirtualClock()
    database = InlineDatabase()
    await database.write(lambda c: create_schema(c, tables.TABLES))
    follower = Follower(Parameters(), chain, source, database, FactSignal(), clock, Height(0))
    running = asyncio.create_task(follower.run())
    begun_s = clock.monotonic()
    async with asyncio.timeout(10_000):
        while follower.status.tip is None or follower.status.tip.height < blocks:
            await clock.sleep(0.1)
    assert follower.status.state is FollowerState.LIVE
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return clock.monotonic() - begun_s


def test_failures_are_forgotten_at_the_first_progress() -> None:
    async def main() -> None:
        chain = ScriptedChain()
        chain.extend(BLOCKS)
        source = Failing(chain)
        taken_s = await followed(source, chain, BLOCKS)
        failures = source.asked // FAILS_EVERY
        assert taken_s < failures * FOLLOWER.delay_s(2), "no pause has grown beyond the second"

    run_virtually(main())


def test_range_follows_what_the_source_gives_in_time() -> None:
    """Down at once, and up again when the source has learnt that more is possible."""

    async def main() -> None:
        chain = ScriptedChain()
        chain.extend(BLOCKS)
        source = Failing(chain, at_most=7, fails_every=10**9)
        await followed(source, chain, BLOCKS)
        assert max(source.served) == 7
        assert len(source.served) <= BLOCKS / 7 * 1.3
        source.at_most, source.served = 200, []
        await followed(source, chain, BLOCKS)
        assert max(source.served) > 100

    run_virtually(main())


class NeverEmpty(ScriptedBlocks):
    """A source that nobody asks for no blocks at all."""

    async def blocks(self, first: Height, last: Height) -> Any:
        assert first <= last
        return await super().blocks(first, last)


def test_a_head_below_the_first_block_is_one_more_failure() -> None:
    """A node that reads the chain from its beginning again, or one of many behind one address that is a block behind.
    Whoever followed it asked for the blocks in between for ever, and let nothing else in the process run."""

    async def main() -> None:
        chain, clock, database = ScriptedChain(), VirtualClock(), InlineDatabase()
        chain.extend(20)
        await database.write(lambda c: create_schema(c, tables.TABLES))
        follower = Follower(Parameters(), chain, NeverEmpty(chain), database, FactSignal(), clock, Height(10))
        running = asyncio.create_task(follower.run())
        await clock.sleep(1)
        whole = list(chain.blocks)
        chain.shorten(15)
        await clock.sleep(60)
        seen = follower.status
        assert (seen.state, "is followed from 10 on" in seen.detail) == (FollowerState.UNREACHABLE, True)
        chain.switch(whole)
        await clock.sleep(60)
        assert follower.status.state is FollowerState.LIVE
        assert follower.status.tip == whole[-1].header
        assert not follower.status.alarms
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main())
