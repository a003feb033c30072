"""Heads that stop without a word: noticed within two block times, and distinguished from an idle chain."""

import asyncio
from collections.abc import Awaitable, Callable

from adapters.memory import Endpoint, MemoryChain, MemoryRules
from adapters.memory.blockchain import default_timing
from core.model.types import ChainId, Height
from core.runtime.clock import VirtualClock, run_virtually
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import PROBE_CEILING_S, PROBE_FLOOR_S, Follower, FollowerState, probe_after_s

CHAIN = ChainId("memory:silent")


class Silent:
    """A chain with blocks of one second, and a follower of it."""

    producing: asyncio.Task[None]

    def __init__(self) -> None:
        clock = VirtualClock()
        self.chain = MemoryChain(CHAIN, clock, {}, MemoryRules(default_timing(block_time_s=1)))
        self.endpoint = Endpoint(clock)
        self.metrics = Metrics()
        self.database = InlineDatabase()
        access = self.chain.access(self.endpoint)
        self.follower = Follower(
            access.parameters, access.heads, access.blocks, self.database, FactSignal(), clock, Height(0), self.metrics
        )

    @property
    def followed(self) -> Height:
        tip = self.follower.status.tip
        return Height(-1) if tip is None else tip.height


def play(story: Callable[[Silent], Awaitable[None]]) -> None:
    async def main() -> None:
        silent = Silent()
        await silent.database.write(lambda c: create_schema(c, tables.TABLES))
        running = asyncio.create_task(silent.follower.run())
        silent.producing = asyncio.create_task(silent.chain.produce(1.0))
        await asyncio.sleep(10.5)
        assert silent.followed == silent.chain.height == 10
        await story(silent)
        for task in (running, silent.producing):
            task.cancel()
        await asyncio.gather(running, silent.producing, return_exceptions=True)

    run_virtually(main())


def test_a_dead_subscription_is_noticed_within_two_block_times() -> None:
    async def story(silent: Silent) -> None:
        # The last block came half a second ago.
        silent.endpoint.dead_heads = True
        await asyncio.sleep(1.5)
        assert silent.chain.height == 11
        assert silent.followed == 11
        for _ in range(20):
            await asyncio.sleep(1)
            assert silent.chain.height - silent.followed <= 1

    play(story)


def test_a_quiet_chain_is_not_called_dead() -> None:
    async def story(silent: Silent) -> None:
        quiet = silent.chain.height
        silent.producing.cancel()
        await asyncio.sleep(600)
        assert silent.followed == quiet
        assert silent.follower.status.state is FollowerState.LIVE
        assert silent.follower.status.ready
        assert silent.metrics.value("indexer_failed_steps_total", chain=CHAIN) is None

    play(story)


def test_how_long_silence_may_last_follows_the_block_time() -> None:
    assert probe_after_s(1) < 2
    assert probe_after_s(2) < 4
    assert probe_after_s(0.01) == PROBE_FLOOR_S
    assert probe_after_s(12) == PROBE_CEILING_S
