"""How much one caller may ask: a token bucket for each API key, or for each address if there is no key."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final

from core.model.errors import RetryableError
from core.runtime.clock import Clock
from core.runtime.web.problems import Problem

MAX_CALLERS: Final = 10_000
"""Buckets kept; beyond that the one longest unused is forgotten, and its caller begins with a full one."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`burst` requests at once, `per_second` in the long run."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError("a rate limit allows something")


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimiter:
    """Counts by caller; `clock.monotonic` is what it goes by."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request. Raise a 429 `Problem` with `Retry-After` if the caller has asked too much."""
        now = self._clock.monotonic()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(self._limit.burst, now)
            if len(self._buckets) > MAX_CALLERS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(caller)
        refilled = bucket.tokens + max(0.0, now - bucket.at) * self._limit.per_second
        bucket.tokens, bucket.at = min(self._limit.burst, refilled), now
        if bucket.tokens < 1:
            wait_s = ceil((1 - bucket.tokens) / self._limit.per_second)
            raise Problem(
                429,
                "rate-limited",
                "Too many requests",
                f"At most {self._limit.burst} at once and {self._limit.per_second:g} a second: wait {wait_s} s.",
                headers={"Retry-After": str(wait_s)},
                retry_after_s=wait_s,
            )
        bucket.tokens -= 1


class Places:
    """Places that callers keep for a time, such as WebSockets: at most `total`, and `per_client` for one client."""

    def __init__(self, what: str, total: int, per_client: int) -> None:
        self._what, self._total, self._per_client = what, total, per_client
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """One place while the block runs. Raise `RetryableError` if there are none for this client."""
        for taken, most, whose in (
            (self._taken[client], self._per_client, "of one client"),
            (self._taken.total(), self._total, "in all"),
        ):
            if taken >= most:
                raise RetryableError(f"{most} {self._what} {whose} are open already: close some, or try again later")
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]
