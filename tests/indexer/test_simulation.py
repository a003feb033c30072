"""Followers in virtual time under every fault that we know of, each at a rate of its own that the seed draws.

Strangers use the chain as its rules allow, with ids of locks that come again and extreme terms. The chain is
reorganised (again and again, back to a former branch, while it is still read, below what is final); heads are dropped,
repeated and overtaken; answers come out of order, not at all, or say that a block has no events while the node still
indexes it; endpoints fail, refuse what comes too often and lie; the database loses answers; the follower dies at its
commits. Whatever happens, the facts must be what the chain was.

`make test-long` runs ten times as many seeds; the environment variable `INDEXER_SEEDS` asks for any number, or with
`first-last` for these alone. A failure names its seed.
"""

import asyncio
import hashlib
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapters.endpoints import Member, combine
from adapters.memory import Endpoint, FaultRates, MemoryChain, MemoryRules
from adapters.memory.blockchain import default_timing
from adapters.memory.ports import MemoryLockReader
from adapters.memory.transactions import Claim, Lock, Message, Refund, unsigned
from adapters.omitted import SETTLED_DEPTH
from core.model.consortium import quantity
from core.model.errors import RejectedError, RetryableError
from core.model.facts import Block, Locked
from core.model.types import MAX_TIMELOCK_S, Asset, AssetId, ChainId, Height, LockId, address_of
from core.runtime.clock import VirtualClock, run_virtually
from core.runtime.database import Database, InlineDatabase, create_schema
from indexer import tables
from indexer.feed import FactKind, FactSignal
from indexer.follower import Follower
from indexer.projections.balances import balance_at
from tests.indexer.recomputed import check_projections
from tests.indexer.truth import all_facts, replay
from tests.support import LONG

CHAIN = ChainId("memory:sim")
COIN = AssetId(f"{CHAIN}/asset:coin")
T = TypeVar("T")
BATCH = 25
"""Seeds of one test; over so many of them every fault must have come to pass."""
BEATS = 40
PAST = 30
"""Blocks that are there before the follower is."""
MAX_RANGE = 7
DEEPEST = SETTLED_DEPTH // 2
"""Blocks that a reorg replaces at most: those that a node still indexes must not seem settled."""
SETTLE_S = 240
"""Virtual seconds that a follower gets to catch up, with its retries, once the faults are over."""
QUIET_S = 6
"""Virtual seconds in which nothing happens any more, and nothing may be stored."""

CHAIN_FAULTS = {"reorg", "nested_reorg", "former_branch", "deep_reorg", "finality_broken", "reorg_in_backfill"}
ENDPOINT_FAULTS = {
    "error", "timeout", "hang", "down", "rate_limit", "lie", "drop_head", "repeat_head", "late_head", "late_answer",
    "late_events",
}  # fmt: skip
COMMITS = {"_register", "bring_up_to_date", "_commit", "_fail"}
"""The functions in which a follower writes."""
DATABASE_FAULTS = {f"{what} {where}" for what in ("crash_before", "crash_after") for where in COMMITS} | {
    "locked", "answer_lost", "restart",
}  # fmt: skip
STRANGE = {"lock_id_again", "lock_id_again_in_a_block", "longest_timelock", "hashlock_of_nothing"}
"""Acts of strangers for which nobody is to blame."""
FAULTS = CHAIN_FAULTS | ENDPOINT_FAULTS | DATABASE_FAULTS | STRANGE


@dataclass(frozen=True, slots=True)
class Rates:
    """Probabilities: of the chain's faults and of changes in an endpoint's health per beat, of the database's and of
    crashes per transaction; `nested_reorg` per reorg. `endpoint` is per call, notification or block."""

    reorg: float
    nested_reorg: float
    former_branch: float
    deep_reorg: float
    health: float
    locked: float
    answer_lost: float
    crash_before: float
    crash_after: float
    endpoint: FaultRates

    @classmethod
    def draw(cls, rng: random.Random) -> Self:
        def up_to(most: float) -> float:
            return rng.uniform(0, most)

        return cls(
            reorg=up_to(0.5),
            nested_reorg=up_to(0.8),
            former_branch=up_to(0.3),
            deep_reorg=up_to(0.1),
            health=up_to(0.3),
            locked=up_to(0.1),
            answer_lost=up_to(0.1),
            crash_before=up_to(0.2),
            crash_after=up_to(0.2),
            endpoint=FaultRates(
                error=up_to(0.1),
                timeout=up_to(0.015),
                latency_s=(0.0, up_to(0.3)),
                late_answer=up_to(0.8),
                repeat_head=up_to(0.3),
                drop_head=up_to(0.5),
                late_head=up_to(0.3),
                late_events=up_to(0.5),
                late_events_s=up_to(4.0),
                calls_per_s=rng.choice((None, rng.randint(3, 10))),
            ),
        )


class Crashed(Exception):
    """The follower's process died."""


class FlakyDatabase:
    """Fails before a transaction, or after it was committed: the caller cannot know which, or does not live to."""

    def __init__(self, database: Database, rng: random.Random, rates: Rates, counts: Counter[str]) -> None:
        self._database, self._rng, self._rates, self._counts = database, rng, rates, counts
        self.healthy = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        where = work.__qualname__.removeprefix("Follower.").split(".")[0]
        if self._happens("locked"):
            raise RetryableError("the database is locked")
        if self._happens("crash_before", where):
            raise Crashed
        done = await self._database.write(work)
        if self._happens("crash_after", where):
            raise Crashed
        if self._happens("answer_lost"):
            raise RetryableError("the connection was lost")
        return done

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._happens("answer_lost"):
            raise RetryableError("the connection was lost")
        return await self._database.read(work)

    async def close(self) -> None:
        await self._database.close()

    def _happens(self, fault: str, where: str = "") -> bool:
        happens = not self.healthy and self._rng.random() < getattr(self._rates, fault)
        self._counts[f"{fault} {where}".rstrip()] += happens
        return happens


class History:
    """All that the chain ever was: its blocks by hash, and those that were final once."""

    def __init__(self, chain: MemoryChain) -> None:
        self._chain = chain
        self.blocks: dict[bytes, Block] = {}
        self.finals: set[bytes] = set()
        self.deep_reorgs = 0

    def note(self) -> None:
        height = self._chain.height
        while height >= 0 and (block := self._chain.block(height)).header.ref.hash not in self.blocks:
            self.blocks[block.header.ref.hash] = block
            height = Height(height - 1)
        height = self._chain.finalized_height
        while height >= 0 and (known := self._chain.block(height).header.ref.hash) not in self.finals:
            self.finals.add(known)
            height = Height(height - 1)


class Simulation:
    """One run. `truth` is an empty database, which is filled."""

    def __init__(self, seed: int, truth: Database) -> None:
        self.rng = random.Random(seed)
        self.rates = Rates.draw(self.rng)
        self.counts: Counter[str] = Counter()
        self.clock = VirtualClock()
        rules = MemoryRules(
            default_timing(finality_depth=6), finality_depth=6, suspects_of_256=64, lock_ids_repeat=True
        )
        self.chain = MemoryChain(CHAIN, self.clock, {COIN: Asset(COIN, "COIN", 18)}, rules)
        self.account = self.chain.signer("somebody").account
        self.strangers = [self.chain.signer(f"stranger {number}", {COIN: 2**220}) for number in range(2)]
        self.history = History(self.chain)
        # Every other seed has three operators, of whom one lies about every head.
        operators = 1 + seed % 2 * 2
        self.endpoints = [Endpoint(self.clock, 3 * seed + number, self.rates.endpoint) for number in range(operators)]
        if operators > 1:
            self.endpoints[self.rng.randrange(operators)].lying = True
        self.truth = truth
        self.database = FlakyDatabase(truth, self.rng, self.rates, self.counts)
        self.follower: Follower | None = None

    # --- the chain ---

    async def live(self) -> None:
        for _ in range(BEATS):
            await self.misuse()
            self.grow()
            if self.happens("reorg"):
                self.reorg()
                while self.happens("nested_reorg"):
                    await asyncio.sleep(self.rng.random() * 0.5)
                    self.reorg()
            if self.happens("former_branch"):
                self.go_back()
            if self.happens("deep_reorg"):
                self.reorg(deep=True)
                self.history.deep_reorgs += 1
            if self.rng.random() < self.rates.health:
                self.change_health()
            await asyncio.sleep(self.rng.random() * 2)

    def happens(self, fault: str) -> bool:
        happens: bool = self.rng.random() < getattr(self.rates, fault)
        self.counts[fault] += happens
        return happens

    def grow(self) -> None:
        for _ in range(self.rng.randrange(3)):
            self.chain.fund(self.account, COIN, self.rng.randrange(1, 2**200))
        self.chain.mine(self.rng.randrange(1, 4))
        self.history.note()

    async def misuse(self) -> None:
        """Strangers lock, claim and refund under few ids and few hashlocks, all of it as the rules allow."""
        sender = self.chain.access().transactions
        for stranger in self.strangers:
            latest = (await sender.sequences(stranger.account)).latest
            for number in range(self.rng.randrange(4)):
                call = unsigned(CHAIN, stranger.account, self.strange_message(), "strange")
                request = sender.assemble(call, latest + number, None, None)
                # What waits for a block already, or came back by a reorg, has the sequence.
                with suppress(RejectedError):
                    await sender.submit(sender.attach(request, await stranger.sign(request)))

    def strange_message(self) -> Message:
        rng, secret = self.rng, bytes([self.rng.randrange(2)]) * 32
        owner, other = rng.sample([address_of(stranger.account) for stranger in self.strangers], 2)
        place = f"{owner}/{rng.randrange(2)}"
        verb = rng.randrange(4)
        if verb == 0:
            return Claim(place, secret)
        if verb == 1:
            return Refund(place)
        now_s = int(self.clock.now())
        amount = quantity(rng.choice((1, rng.randrange(1, 2**20), 2**200)))
        hashlock = rng.choice((hashlib.sha256(secret).digest(), bytes(32), b"\xff" * 32))
        timelock = rng.choice((now_s + rng.randrange(1, 20), MAX_TIMELOCK_S))
        receiver = f"{CHAIN}:{rng.choice((owner, other, '0' * 40))}"
        return Lock(place, COIN, amount, receiver, hashlock, timelock)

    def reorg(self, deep: bool = False) -> None:
        loose = self.chain.height - self.chain.finalized_height
        if deep:
            # Below what the follower calls final, which lags behind the chain.
            known = 0 if self.follower is None else self.follower.status.finalized_height or 0
            fork = max(0, min(known, self.chain.finalized_height) - self.rng.randrange(1, 6))
            depth = min(self.chain.height - fork, DEEPEST)
        else:
            depth = self.rng.randrange(1, loose + 1)
        length = depth + self.rng.randrange(3) if deep else self.rng.randrange(1, depth + 3)
        if self.follower is not None and self.follower.status.lag_blocks > MAX_RANGE:
            self.counts["reorg_in_backfill"] += 1
        self.chain.reorg(depth, length, deep=deep)
        self.history.note()

    def go_back(self) -> None:
        try:
            self.chain.return_to_former()
        except ValueError:
            self.counts["former_branch"] -= 1
        self.history.note()

    def change_health(self) -> None:
        """Endpoints fall silent and others come back: at times no quorum is left."""
        for endpoint in self.endpoints:
            endpoint.down = self.rng.random() < 0.3
            if self.rng.random() < 0.2:
                endpoint.hang()
            else:
                endpoint.wake()

    # --- the follower ---

    async def follow(self) -> None:
        """A follower that dies, or is stopped at any moment, and is started again."""
        while True:
            self.follower = self.fresh()
            running = asyncio.create_task(self.follower.run())
            try:
                await asyncio.wait({running}, timeout=self.rng.uniform(2, 20))
                if self.database.healthy:
                    await asyncio.wait({running})
            finally:
                self.counts["restart"] += not running.done()
                running.cancel()
                [ended] = await asyncio.gather(running, return_exceptions=True)
            # Opening the database may fail, as it does for a supervisor, which then starts it again.
            assert isinstance(ended, asyncio.CancelledError | RetryableError | Crashed), ended
            await asyncio.sleep(self.rng.random() * 3)

    def fresh(self) -> Follower:
        access = combine(
            [
                Member(f"operator-{number}", self.chain.access(endpoint), MemoryLockReader(self.chain, endpoint))
                for number, endpoint in enumerate(self.endpoints)
            ]
        )
        return Follower(
            access.parameters,
            access.heads,
            access.blocks,
            self.database,
            FactSignal(),
            self.clock,
            Height(0),
            max_range=MAX_RANGE,
        )

    # --- the run ---

    async def run(self) -> Counter[str]:
        """Return how often each fault came to pass."""
        for _ in range(PAST // 2):
            self.grow()
        following = asyncio.create_task(self.follow())
        try:
            await self.live()
            self.heal()
            await self.settle(following)
            await self.check_facts()
            await self.check_projections()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        for endpoint in self.endpoints:
            self.counts += endpoint.counts
        return self.counts

    def heal(self) -> None:
        self.database.healthy = True
        for endpoint in self.endpoints:
            endpoint.rates = FaultRates()
            endpoint.down = False
            endpoint.wake()

    async def settle(self, following: asyncio.Task[None]) -> None:
        for _ in range(SETTLE_S):
            if following.done():
                await following
            if self.has_caught_up():
                return
            await asyncio.sleep(1)
        assert self.follower is not None
        raise AssertionError(f"the follower never caught up: {self.follower.status}")

    def has_caught_up(self) -> bool:
        assert self.follower is not None
        status = self.follower.status
        return status.tip == self.chain.head.head and status.finalized_height == self.chain.finalized_height

    async def check_facts(self) -> None:
        """They are the chain, contain nothing that it never was, and took back only what was not final or is marked."""
        facts = await self.truth.read(all_facts)
        marks = await self.truth.read(marked)
        chains, final = replay(facts, marks)
        assert chains[CHAIN] == [self.chain.block(Height(h)) for h in range(self.chain.height + 1)]
        assert final[CHAIN] == self.chain.finalized_height
        for fact in facts:
            block = self.history.blocks[fact.header.ref.hash]
            if fact.kind is FactKind.FINALIZED:
                assert block.header.ref.hash in self.history.finals
            else:
                assert block == Block(fact.header, fact.events)
        assert len(marks) <= self.history.deep_reorgs
        assert self.follower is not None
        assert self.follower.status.alarms == len(marks)
        self.counts["finality_broken"] += len(marks)
        await self.follower.acknowledge_alarms()
        await asyncio.sleep(QUIET_S)
        assert self.follower.status.ready
        assert await self.truth.read(all_facts) == facts

    async def check_projections(self) -> None:
        balances = tables.balances
        query = sa.select(balances.c.height, balances.c.balance).where(balances.c.account == self.account)
        rows: dict[int, str] = dict(await self.truth.read(lambda c: [tuple(row) for row in c.execute(query)]))
        state, balance = self.chain.access().state, 0
        for height in range(self.chain.height + 1):
            balance = int(rows.get(height, balance))
            assert balance == await state.balance(self.account, COIN, Height(height))
        asked = Height(self.rng.randrange(self.chain.height + 1))
        told = await self.truth.read(lambda c: balance_at(c, self.account, COIN, asked))
        assert told == await state.balance(self.account, COIN, asked)
        blocks = [self.chain.block(Height(height)) for height in range(self.chain.height + 1)]
        await check_projections(self.truth, CHAIN, blocks)
        self.count_strange(blocks)

    def count_strange(self, blocks: list[Block]) -> None:
        seen: set[LockId] = set()
        for block in blocks:
            made = [logged.event for logged in block.events if isinstance(logged.event, Locked)]
            names = [event.lock_id for event in made]
            self.counts["lock_id_again"] += sum(name in seen for name in names)
            self.counts["lock_id_again_in_a_block"] += len(names) - len(set(names))
            self.counts["longest_timelock"] += sum(one.terms.timelock.seconds == MAX_TIMELOCK_S for one in made)
            self.counts["hashlock_of_nothing"] += sum(not any(one.terms.hashlock) for one in made)
            seen.update(names)


def marked(connection: Connection) -> set[int]:
    """The facts with which reorgs below finality began."""
    return set(connection.execute(sa.select(tables.deep_reorgs.c.seq)).scalars())


def empty(connection: Connection) -> None:
    for table in reversed(tables.TABLES):
        connection.execute(sa.delete(table))


def seeds() -> range:
    asked = os.environ.get("INDEXER_SEEDS", "1000" if LONG else "100")
    first, dash, last = asked.partition("-")
    return range(int(first), int(last) + 1) if dash else range(int(asked))


@pytest.mark.endurance
@pytest.mark.parametrize("first", seeds()[::BATCH])
def test_facts_are_the_chain_whatever_fails(first: int) -> None:
    async def main(seed: int, database: Database) -> Counter[str]:
        await database.write(empty)
        return await Simulation(seed, database).run()

    batch = range(first, min(first + BATCH, seeds().stop))
    database = InlineDatabase()
    run_virtually(database.write(lambda c: create_schema(c, tables.TABLES)))
    counts: Counter[str] = Counter()
    for seed in batch:
        try:
            counts += run_virtually(main(seed, database))
        except BaseException as error:
            error.add_note(f"seed {seed}: INDEXER_SEEDS={seed}-{seed} runs it alone")
            raise
    run_virtually(database.close())
    never = FAULTS - {fault for fault, count in counts.items() if count}
    assert not never or len(batch) < BATCH, f"these faults never came to pass: {sorted(never)}"
