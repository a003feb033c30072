"""How often an endpoint may be asked: a token bucket that providers' limits are configured into."""

import asyncio
import time
from typing import Final

from core.model.errors import RejectedError

MAX_CALLS_PER_S: Final = 100_000.0


class RateLimit:
    """At most `calls_per_s` calls a second on average, and one second's worth at once. None: no limit.

    A batch costs as many tokens as it has calls, as providers count them; one that costs more than the bucket holds
    waits until the debt is paid. Transactions are sent without asking: exits never wait.
    """

    def __init__(self, calls_per_s: float | None) -> None:
        """Raises `RejectedError` for a rate that is none."""
        if calls_per_s is not None and not 0 < calls_per_s <= MAX_CALLS_PER_S:
            raise RejectedError(f"calls_per_s = {calls_per_s} is not above 0 and at most {MAX_CALLS_PER_S:.0f}")
        self._rate = calls_per_s
        self._room = max(1.0, calls_per_s or 0.0)
        self._tokens = self._room
        self._seen_s: float | None = None

    def spend(self, cost: int, now_s: float) -> float:
        """Take `cost` tokens at `now_s` (monotonic seconds). Returns for how many seconds the caller then waits."""
        if self._rate is None:
            return 0.0
        if self._seen_s is not None:
            self._tokens = min(self._room, self._tokens + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        self._tokens -= cost
        return max(0.0, -self._tokens / self._rate)

    async def wait(self, cost: int = 1) -> None:
        """Return when `cost` calls may be made. Where the caller gives up meanwhile, they cost nothing."""
        delay_s = self.spend(cost, time.monotonic())
        if not delay_s:
            return
        try:
            await asyncio.sleep(delay_s)
        except asyncio.CancelledError:
            self._tokens += cost
            raise
