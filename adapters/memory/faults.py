"""How one endpoint of a memory chain misbehaves: by seeded rates, and by switches that a test throws.

Several endpoints of one chain each get an `Endpoint` of their own; the chain behind them is always honest.
"""

import asyncio
import hashlib
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from core.model.errors import RetryableError
from core.model.facts import Block, BlockHeader, HeadUpdate, LockObservation, LockStatus, LoggedEvent
from core.model.types import BlockRef, Height
from core.runtime.clock import Clock

LIE_AHEAD: Final = 7
"""How many blocks a lying endpoint invents on top of the head."""
LATE_TRIPS: Final = 10
"""How many latencies a late answer is on its way."""
SILENCE_S: Final = 3_600.0
"""How long a call hangs that nobody gives up."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Probabilities per call, and the bounds between which a call's latency is drawn, in seconds.

    `error`: the call fails before it does anything. `timeout`: it hangs for ever. `lost_reply`: a submission is taken,
    its answer lost. `late_answer`: what was found is on its way for `LATE_TRIPS` latencies, and answers to later
    calls overtake it. `repeat_head`, `drop_head`: a head notification comes twice, or never. `late_head`: it comes once
    more, behind the next one. `lie_lock`, `lie_head`: the answer is false.

    `late_events`: the share of blocks of which the endpoint says, for `late_events_s` after it first reported them,
    that they have no events. `calls_per_s`: more calls in a second of the clock are refused, None for no limit.
    """

    error: float = 0.0
    lost_reply: float = 0.0
    latency_s: tuple[float, float] = (0.0, 0.0)
    repeat_head: float = 0.0
    drop_head: float = 0.0
    lie_lock: float = 0.0
    lie_head: float = 0.0
    timeout: float = 0.0
    late_answer: float = 0.0
    late_head: float = 0.0
    late_events: float = 0.0
    late_events_s: float = 2.0
    calls_per_s: int | None = None


class Endpoint:
    """One endpoint's state of health. The switches hold until they are thrown back.

    `down`: every call fails. `dead_heads`: the head stream says nothing any more, and does not end.
    `lying`: what it says about locks and heads is false, the same for all liars of one `seed`. `lying_headers`: so is
    the hash of the blocks at these heights if a single header is asked for.
    `lag_blocks`: how many blocks it is behind. `counts` says how often each fault came to pass, by its name.
    """

    def __init__(self, clock: Clock, seed: int = 0, rates: FaultRates | None = None) -> None:
        self._clock = clock
        self._seed = seed
        self._rng = random.Random(seed)
        self._awake = asyncio.Event()
        self._awake.set()
        self.rates = rates or FaultRates()
        self.down = False
        self.dead_heads = False
        self.lying = False
        self.lying_headers: frozenset[int] = frozenset()
        self.lag_blocks = 0
        self.counts: Counter[str] = Counter()
        self._calls = 0
        self._newest_answer = 0
        self._second, self._in_second = -1, 0
        self._reported_at_s: dict[bytes, float] = {}

    def hang(self) -> None:
        """From now on calls neither answer nor fail, until `wake`."""
        self._awake.clear()

    def wake(self) -> None:
        self._awake.set()

    async def call(self) -> None:
        """Pass a call through the faults that come first. Raise `RetryableError` for one."""
        await self._travel()
        if not self._awake.is_set():
            self.counts["hang"] += 1
            await self._awake.wait()
        self._count_call()
        if self._happens("timeout"):
            await self._clock.sleep(SILENCE_S)
        if self.down:
            self.counts["down"] += 1
        if self.down or self._happens("error"):
            raise RetryableError("the endpoint does not answer; try again or use another")

    async def answer(self) -> None:
        """Pass a read's answer through the faults of the way back."""
        self._calls += 1
        number = self._calls
        if self._draws(self.rates.late_answer):
            await self._travel(LATE_TRIPS)
        if number < self._newest_answer:
            self.counts["late_answer"] += 1
        self._newest_answer = max(number, self._newest_answer)

    async def _travel(self, trips: int = 1) -> None:
        low_s, high_s = self.rates.latency_s
        if high_s > 0:
            await self._clock.sleep(trips * self._rng.uniform(low_s, high_s))

    def _count_call(self) -> None:
        if self.rates.calls_per_s is None:
            return
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second > self.rates.calls_per_s:
            self.counts["rate_limit"] += 1
            raise RetryableError("too many requests", status=429)

    def reply_to_submission(self) -> None:
        """Raise `RetryableError` if the answer to a submission that was taken is lost."""
        if self._happens("lost_reply"):
            raise RetryableError("the endpoint took the transaction, but its answer was lost")

    def notifications(self) -> int:
        """How often the next head notification arrives: 0, 1 or 2 times."""
        if self.dead_heads or self._happens("drop_head"):
            return 0
        return 2 if self._happens("repeat_head") else 1

    def comes_late(self) -> bool:
        """Return true if the head notification comes once more, behind the next one."""
        return not self.dead_heads and self._happens("late_head")

    def report_events(self, block: Block) -> tuple[LoggedEvent, ...]:
        """The block's events, or none of them while the endpoint still indexes it."""
        if not block.events or not self.rates.late_events:
            return block.events
        drawn = random.Random(f"{self._seed}/{block.header.ref.hash.hex()}").random()
        if drawn >= self.rates.late_events:
            return block.events
        now_s = self._clock.monotonic()
        if now_s - self._reported_at_s.setdefault(block.header.ref.hash, now_s) >= self.rates.late_events_s:
            return block.events
        self.counts["late_events"] += 1
        return ()

    def report_head(self, truth: HeadUpdate) -> HeadUpdate:
        """The truth, or an invented branch that is further on and final."""
        if not (self.lying or self._happens("lie_head")):
            return truth
        self.counts["lie"] += self.lying
        return HeadUpdate(self._invent(truth.head), self._invent(truth.finalized))

    def report_header(self, truth: BlockHeader) -> BlockHeader:
        """The truth, or another block at that height."""
        if truth.height not in self.lying_headers:
            return truth
        self.counts["lie_header"] += 1
        made_up = hashlib.sha256(f"{self._seed}/{truth.ref.hash.hex()}".encode()).digest()
        return replace(truth, ref=replace(truth.ref, hash=made_up))

    def report_lock(self, truth: LockObservation) -> LockObservation:
        """The truth, or what makes a victim fund or reveal: it is there, as agreed, and open."""
        if not (self.lying or self._happens("lie_lock")):
            return truth
        if truth.status is LockStatus.LOCKED and truth.terms_match:
            return replace(truth, status=LockStatus.ABSENT, terms_match=False)
        return replace(truth, status=LockStatus.LOCKED, terms_match=True)

    def report_refusal(self, truth: str | None) -> str | None:
        """The truth about why a payment would fail, or its contrary."""
        if not self.lying:
            return truth
        self.counts["lie"] += 1
        return "a reason that is not true" if truth is None else None

    def _invent(self, header: BlockHeader) -> BlockHeader:
        height = Height(header.height + LIE_AHEAD)
        made_up = hashlib.sha256(f"{self._seed}/{header.chain}/{height}".encode()).digest()
        parent = hashlib.sha256(made_up).digest()
        return BlockHeader(BlockRef(header.chain, height, made_up), parent, header.time)

    def _happens(self, fault: str) -> bool:
        rate: float = getattr(self.rates, fault)
        if not self._draws(rate):
            return False
        self.counts[fault] += 1
        return True

    def _draws(self, rate: float) -> bool:
        return rate > 0 and self._rng.random() < rate
