"""How often an endpoint may be asked: a token bucket that providers' limits are configured into, and a pace that is
learnt from what they refuse (HTTP 429, RFC 6585; `Retry-After`, RFC 9110 section 10.2.3)."""

import asyncio
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from core.model.errors import RejectedError
from core.runtime.clock import loop_time

MAX_CALLS_PER_S: Final = 100_000.0


class RateLimit:
    """At most `calls_per_s` calls a second on average, and one second's worth at once. None: no limit.

    A batch costs as many tokens as it has calls, as providers count them; one that costs more than the bucket holds
    waits until the debt is paid. Transactions are sent without asking: exits never wait.
    """

    def __init__(self, calls_per_s: float | None) -> None:
        """Raise `RejectedError` for an invalid rate."""
        if calls_per_s is not None and not 0 < calls_per_s <= MAX_CALLS_PER_S:
            raise RejectedError(f"calls_per_s = {calls_per_s} is not above 0 and at most {MAX_CALLS_PER_S:.0f}")
        self._rate = calls_per_s
        self._room = max(1.0, calls_per_s or 0.0)
        self._tokens = self._room
        self._seen_s: float | None = None

    def spend(self, cost: int, now_s: float) -> float:
        """Take `cost` tokens at `now_s` (monotonic seconds). Return for how many seconds the caller then waits."""
        if self._rate is None:
            return 0.0
        if self._seen_s is not None:
            self._tokens = min(self._room, self._tokens + (now_s - self._seen_s) * self._rate)
        self._seen_s = now_s
        self._tokens -= cost
        return max(0.0, -self._tokens / self._rate)

    async def wait(self, cost: int = 1) -> None:
        """Return when `cost` calls may be made. If the caller gives up meanwhile, they cost nothing."""
        if self._rate is None:
            return
        delay_s = self.spend(cost, loop_time())
        if not delay_s:
            return
        try:
            await asyncio.sleep(delay_s)
        except asyncio.CancelledError:
            self._tokens += cost
            raise


MAX_PAUSE_S: Final = 300.0
"""An endpoint that wants to be left alone for longer is asked again after this: it may be a mistake."""
FIRST_PAUSE_S: Final = 0.5
"""After a refusal that names no time; it doubles with each one in a row."""
FIRST_GAP_S: Final = 0.1
MAX_GAP_S: Final = 10.0
GAP_GROWTH: Final = 1.5
GAP_DECAY: Final = 0.995
"""The gap between requests grows with each refusal and shrinks a little with each answer."""
MIN_GAP_S: Final = 0.005
MAX_HEADER_CHARS: Final = 64


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, at most `MAX_PAUSE_S`; None if it says nothing.

    `header` is a number of seconds or an HTTP date (RFC 9110 section 10.2.3), `now_s` the Unix time.
    """
    text = (header or "").strip()
    if not text or len(text) > MAX_HEADER_CHARS:
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(MAX_PAUSE_S, float(text))
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(MAX_PAUSE_S, max(0.0, seconds))


class Pace:
    """When the next request may be made, learnt from refusals. Nothing is held back before the first one."""

    def __init__(self, clock: Callable[[], float] = loop_time) -> None:
        self._clock = clock
        self._until_s = 0.0
        self._next_s = 0.0
        self._gap_s = 0.0
        self._refusals = 0

    @property
    def pause_s(self) -> float:
        """Return for how many more seconds the endpoint asks not to be called."""
        return max(0.0, self._until_s - self._clock()) if self._until_s else 0.0

    @property
    def gap_s(self) -> float:
        """The time from one request to the next, as far as it is learnt; 0 without a limit."""
        return self._gap_s

    def turn_s(self) -> float:
        """Take the next turn. Return for how many seconds the caller waits for it."""
        now_s = self._clock()
        at_s = max(now_s, self._next_s, self._until_s)
        self._next_s = at_s + self._gap_s
        return at_s - now_s

    def turns_within(self, seconds: float, most: int) -> int:
        """Return how many turns fit into this time, `most` if nothing limits them."""
        return most if self._gap_s * most <= seconds else max(1, int(seconds / self._gap_s))

    def refused(self, asked_s: float | None) -> float:
        """The endpoint was asked too often; `asked_s` is what its `Retry-After` says. Return the pause in seconds.

        Refusals of requests that were on their way together count as one.
        """
        now_s = self._clock()
        if now_s >= self._until_s:
            self._refusals += 1
            self._gap_s = min(MAX_GAP_S, max(FIRST_GAP_S, self._gap_s * GAP_GROWTH))
        backoff_s = FIRST_PAUSE_S * 2 ** min(10, max(0, self._refusals - 1))
        pause_s = min(MAX_PAUSE_S, backoff_s if asked_s is None else max(asked_s, FIRST_GAP_S))
        self._until_s = max(self._until_s, now_s + pause_s)
        return self._until_s - now_s

    def answered(self) -> None:
        """A request was answered: the refusals in a row are forgotten."""
        self._refusals = 0
        self._gap_s = self._gap_s * GAP_DECAY if self._gap_s > MIN_GAP_S else 0.0
