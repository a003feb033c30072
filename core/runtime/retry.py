"""How long to wait before trying again: written-down lists, so that they can be read and tested."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from core.model.errors import RetryableError
from core.runtime.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds before the second, third … try. `spread` is the share by which a delay may grow at random, so that
    many who failed together do not come back together."""

    delays_s: tuple[float, ...]
    spread: float = 0.25

    def delay_s(self, failures: int, rng: random.Random | None = None) -> float:
        """The wait after `failures` failures in a row (1 or more); the last delay stands for all later ones."""
        if failures < 1:
            raise ValueError("a delay follows a failure")
        delay_s = self.delays_s[min(failures, len(self.delays_s)) - 1]
        return delay_s * (1 + self.spread * rng.random()) if rng else delay_s


CALL: Final = RetryPolicy((0.1, 0.3, 1.0, 2.0))
"""One call to an endpoint, inside a step that somebody waits for."""
WORKER: Final = RetryPolicy((0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0))
"""A worker whose step failed; it never gives up."""
FOLLOWER: Final = RetryPolicy((0.2, 0.5, 1.0, 2.0, 5.0))
"""Whoever reads a chain: exits wait for what it finds there, so that an endpoint or a database which is back is noticed
in seconds."""
MONEY: Final = RetryPolicy((0.2, 0.5, 1.0))
"""A worker that exits depend on: a database that is locked for a moment, again and again, must be no outage."""
MOMENT: Final = RetryPolicy((0.5, 1.0))
"""An effect that an endpoint or the database failed for a moment. A try needs many answers, and a timelock comes
nearer: what fails often is tried often."""
SURPRISE: Final = RetryPolicy((0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 8.0))
"""An effect that failed in a way that nobody planned for, as a signer may for a moment: at first it is tried often. A
fault that stays is not reported every second for ever."""
EFFECT: Final = RetryPolicy((0.5, 1.0, 2.0, 4.0, 8.0))
"""An effect in whose way something stands (an empty purse, a paused token); it never gives up either. Gates close
within a minute: what goes away is noticed in time."""


async def retrying(
    call: Callable[[], Awaitable[T]], policy: RetryPolicy, clock: Clock, rng: random.Random | None = None
) -> T:
    """Await `call` until it succeeds, at most once more than `policy` has delays.

    Raise the last `RetryableError`; every other exception at once.
    """
    failures = 0
    while True:
        try:
            return await call()
        except RetryableError:
            failures += 1
            if failures > len(policy.delays_s):
                raise
        await clock.sleep(policy.delay_s(failures, rng))
