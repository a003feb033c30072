"""Followers in virtual time: endpoints that fail, forget heads and lie, lost answers of the database, restarts, reorgs.

`make test-long` runs ten times as many seeds; the environment variable `INDEXER_SEEDS` asks for any number.
"""

import asyncio
import os
import random
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy.engine import Connection

from adapters.endpoints import Member, combine
from adapters.memory import Endpoint, FaultRates, MemoryChain, MemoryRules
from adapters.memory.chain import default_timing
from adapters.memory.ports import MemoryLocks
from core.model.errors import RetryableError
from core.model.types import Asset, AssetId, ChainId, Height
from core.runtime.clock import VirtualClock, run_virtually
from core.runtime.database import Database, InlineDatabase, create_schema
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections.balances import balance_at
from indexer.projections.rebuild import rebuild
from tests.indexer.test_swaps import projected
from tests.indexer.truth import all_facts, replay
from tests.support import LONG

CHAIN = ChainId("memory:sim")
COIN = AssetId(f"{CHAIN}/asset:coin")
T = TypeVar("T")
SEEDS = 1_000 if LONG else 100
DURATION_S = 60
SETTLE_S = 240
"""Virtual seconds that a follower gets to catch up, with its retries, once the faults are over."""


class FlakyDatabase:
    """Fails before a transaction, or after it was committed: the caller cannot tell which."""

    def __init__(self, database: Database, rng: random.Random) -> None:
        self._database, self._rng = database, rng
        self.rate = 0.1

    async def write(self, work: Callable[[Connection], T]) -> T:
        fate = self._rng.random()
        if fate < self.rate / 2:
            raise RetryableError("the database is locked")
        done = await self._database.write(work)
        if fate < self.rate:
            raise RetryableError("the connection was lost")
        return done

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._rng.random() < self.rate:
            raise RetryableError("the connection was lost")
        return await self._database.read(work)

    async def close(self) -> None:
        await self._database.close()


class Simulation:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = VirtualClock()
        rules = MemoryRules(default_timing(finality_depth=6), finality_depth=6)
        self.chain = MemoryChain(CHAIN, self.clock, {COIN: Asset(COIN, "COIN", 18)}, rules)
        self.account = self.chain.signer("somebody").account
        self.rates = FaultRates(error=0.15, latency_s=(0.0, 0.4), repeat_head=0.1, drop_head=0.3)
        # Every other seed has three operators, of whom one lies about every head.
        self.endpoints = [Endpoint(self.clock, seed + number, self.rates) for number in range(1 + seed % 2 * 2)]
        if len(self.endpoints) > 1:
            self.endpoints[self.rng.randrange(3)].lying = True
        self.truth = InlineDatabase()
        self.database = FlakyDatabase(self.truth, self.rng)
        self.follower: Follower | None = None

    async def live(self) -> None:
        """Blocks, events and reorgs, for a minute."""
        for _ in range(DURATION_S):
            for _ in range(self.rng.randrange(3)):
                self.chain.fund(self.account, COIN, self.rng.randrange(1, 2**200))
            self.chain.mine(self.rng.randrange(1, 4))
            loose = self.chain.height - self.chain.finalized_height
            if self.rng.random() < 0.3 and loose > 1:
                depth = self.rng.randrange(1, loose)
                self.chain.reorg(depth, depth + self.rng.randrange(3), keep=lambda _: self.rng.random() < 0.5)
            if len(self.endpoints) > 1 and self.rng.random() < 0.1:
                self.hush()
            await asyncio.sleep(self.rng.random() * 2)

    def hush(self) -> None:
        """Some endpoints fall silent and others come back: at times no quorum is left."""
        for endpoint in self.endpoints:
            endpoint.down = self.rng.random() < 0.3
            if self.rng.random() < 0.2:
                endpoint.hang()
            else:
                endpoint.wake()

    async def follow(self, until: asyncio.Event) -> None:
        """A follower that is stopped and started again, at any moment."""
        while not until.is_set():
            access = combine(
                [
                    Member(f"operator-{number}", self.chain.access(endpoint), MemoryLocks(self.chain, endpoint))
                    for number, endpoint in enumerate(self.endpoints)
                ]
            )
            self.follower = Follower(
                access.parameters,
                access.heads,
                access.blocks,
                self.database,
                FactSignal(),
                self.clock,
                Height(0),
                max_range=7,
            )
            running = asyncio.create_task(self.follower.run())
            stopping = asyncio.create_task(until.wait())
            await asyncio.wait(
                {running, stopping}, timeout=self.rng.uniform(2, 20), return_when=asyncio.FIRST_COMPLETED
            )
            if until.is_set():
                return await running
            running.cancel()
            stopping.cancel()
            for ended in await asyncio.gather(running, return_exceptions=True):
                # Opening the database may fail, as it does for a supervisor, which then starts it again.
                assert isinstance(ended, asyncio.CancelledError | RetryableError), ended

    async def run(self) -> None:
        await self.truth.write(lambda c: create_schema(c, tables.TABLES))
        over = asyncio.Event()
        following = asyncio.create_task(self.follow(over))
        await self.live()
        over.set()
        self.database.rate = 0.0
        for endpoint in self.endpoints:
            endpoint.rates = FaultRates()
            endpoint.down = False
            endpoint.wake()
        await asyncio.sleep(SETTLE_S)
        assert self.follower is not None
        assert self.follower.status.ready
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        chains, final = replay(await self.truth.read(all_facts))
        assert chains[CHAIN] == [self.chain.block(Height(h)) for h in range(self.chain.height + 1)]
        assert final[CHAIN] == self.chain.finalized_height
        await self.check_projections()
        await self.truth.close()

    async def check_projections(self) -> None:
        for height in range(self.chain.height + 1):
            balance = await self.chain.access().state.balance(self.account, COIN, Height(height))
            at = partial(balance_at, account=self.account, asset=COIN, height=Height(height))
            assert await self.truth.read(at) == balance
        grown = await self.truth.read(projected)
        await self.truth.write(rebuild)
        assert await self.truth.read(projected) == grown


@pytest.mark.endurance
@pytest.mark.parametrize("seed", range(int(os.environ.get("INDEXER_SEEDS", SEEDS))))
def test_facts_are_the_chain_whatever_fails(seed: int) -> None:
    async def main() -> None:
        await Simulation(seed).run()

    run_virtually(main())
