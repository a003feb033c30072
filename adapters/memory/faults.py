"""How one endpoint of a memory chain misbehaves: by seeded rates, and by switches that a test throws.

Several endpoints of one chain each get an `Endpoint` of their own; the chain behind them is always honest.
"""

import asyncio
import hashlib
import random
from dataclasses import dataclass, replace
from typing import Final

from core.model.errors import RetryableError
from core.model.facts import BlockHeader, HeadUpdate, LockObservation, LockStatus
from core.model.types import BlockRef, Height
from core.runtime.clock import Clock

LIE_AHEAD: Final = 7
"""How many blocks a lying endpoint invents on top of the head."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Probabilities per call, and the bounds between which a call's latency is drawn, in seconds.

    `error`: the call fails before it does anything. `lost_reply`: a submission is taken, its answer lost.
    `repeat_head`, `drop_head`: a head notification comes twice, or never. `lie_lock`, `lie_head`: the answer is false.
    """

    error: float = 0.0
    lost_reply: float = 0.0
    latency_s: tuple[float, float] = (0.0, 0.0)
    repeat_head: float = 0.0
    drop_head: float = 0.0
    lie_lock: float = 0.0
    lie_head: float = 0.0


class Endpoint:
    """One endpoint's state of health. The switches hold until they are thrown back.

    `down`: every call fails. `dead_heads`: the head stream says nothing any more, and does not end.
    `lying`: what it says about locks and heads is false, the same for all liars of one `seed`.
    `lag_blocks`: it is so many blocks behind.
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
        self.lag_blocks = 0

    def hang(self) -> None:
        """From now on calls neither answer nor fail, until `wake`."""
        self._awake.clear()

    def wake(self) -> None:
        self._awake.set()

    async def call(self) -> None:
        """What every call goes through first. Raises `RetryableError`."""
        low_s, high_s = self.rates.latency_s
        if high_s > 0:
            await self._clock.sleep(self._rng.uniform(low_s, high_s))
        if not self._awake.is_set():
            await self._awake.wait()
        if self.down or self._happens(self.rates.error):
            raise RetryableError("the endpoint does not answer; try again or use another")

    def reply_to_submission(self) -> None:
        """Raises `RetryableError` where the answer to a submission that was taken is lost."""
        if self._happens(self.rates.lost_reply):
            raise RetryableError("the endpoint took the transaction, but its answer was lost")

    def notifications(self) -> int:
        """How often the next head notification arrives: 0, 1 or 2 times."""
        if self.dead_heads or self._happens(self.rates.drop_head):
            return 0
        return 2 if self._happens(self.rates.repeat_head) else 1

    def tell_head(self, truth: HeadUpdate) -> HeadUpdate:
        """The truth, or an invented branch that is further on and final."""
        if not (self.lying or self._happens(self.rates.lie_head)):
            return truth
        return HeadUpdate(self._invent(truth.head), self._invent(truth.finalized))

    def tell_lock(self, truth: LockObservation) -> LockObservation:
        """The truth, or what makes a victim fund or reveal: it is there, as agreed, and open."""
        if not (self.lying or self._happens(self.rates.lie_lock)):
            return truth
        if truth.status is LockStatus.LOCKED and truth.terms_match:
            return replace(truth, status=LockStatus.ABSENT, terms_match=False)
        return replace(truth, status=LockStatus.LOCKED, terms_match=True)

    def _invent(self, header: BlockHeader) -> BlockHeader:
        height = Height(header.height + LIE_AHEAD)
        made_up = hashlib.sha256(f"{self._seed}/{header.chain}/{height}".encode()).digest()
        parent = hashlib.sha256(made_up).digest()
        return BlockHeader(BlockRef(header.chain, height, made_up), parent, header.time)

    def _happens(self, rate: float) -> bool:
        return rate > 0 and self._rng.random() < rate
