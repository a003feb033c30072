"""Time and secrets, injected so that a whole gateway can run in virtual time from one seed.

`SystemClock` and `SystemSecrets` are for real runs, `ManualClock` for a test that moves time by hand. `run_virtually`
runs a program on an event loop whose time jumps to the next timer whenever nothing is left to do: there
`VirtualClock`, `asyncio.sleep` and `asyncio.timeout` all follow virtual time, and a run is repeatable.
"""

import asyncio
import hashlib
import heapq
import itertools
import secrets
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

from core.runtime.virtual_loop import VirtualLoop

T = TypeVar("T")

NS_PER_S: Final = 1_000_000_000
SETTLE_TURNS: Final = 32
"""Turns of the event loop that `ManualClock.advance` leaves to the sleepers it woke."""


class Clock(Protocol):
    """The source of time for code that decides nothing; decisions get the time as an event."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch; what the database stores."""

    def monotonic(self) -> float:
        """Seconds that never step back, for measuring durations only."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once, but not before other tasks had a turn, if they are not positive."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when `advance` is called."""

    def __init__(self, start_s: float = 1_700_000_000) -> None:
        self._now_ns = round(start_s * NS_PER_S)
        self._start_ns = self._now_ns
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now_ns / NS_PER_S

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic(self) -> float:
        return (self._now_ns - self._start_ns) / NS_PER_S

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ns + round(seconds * NS_PER_S), next(self._order), wake))
        await wake

    @property
    def sleeping(self) -> int:
        """How many tasks wait for this clock."""
        return sum(1 for _, _, wake in self._sleepers if not wake.done())

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: sleepers wake in the order of their times and see their own time on the clock.

        After each, other tasks get `SETTLE_TURNS` turns, so that one who sleeps again is woken again if due.
        """
        until = self._now_ns + round(seconds * NS_PER_S)
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, wake = heapq.heappop(self._sleepers)
            self._now_ns = max(self._now_ns, due)
            if not wake.done():
                wake.set_result(None)
                await self._settle()
        self._now_ns = until

    async def _settle(self) -> None:
        for _ in range(SETTLE_TURNS):
            await asyncio.sleep(0)


class VirtualClock:
    """Reads the running event loop's time; real only inside `run_virtually`, where it makes runs repeatable."""

    def __init__(self, start_s: float = 1_700_000_000) -> None:
        self._start_s = start_s

    def now(self) -> float:
        return self._start_s + self.monotonic()

    def now_ns(self) -> int:
        return round(self._start_s * NS_PER_S) + round(self.monotonic() * NS_PER_S)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in virtual time, which starts at 0 and passes only while every task sleeps.

    No sockets inside: they live in real time. What is handed to a thread is done at once. Raise RuntimeError when every
    task waits for something that no timer will bring.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class SecretSource(Protocol):
    """The source of fresh secrets."""

    def token_bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""


class SystemSecrets:
    """The operating system's generator."""

    def token_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


class SeededSecrets:
    """Repeatable bytes for simulations: SHA-256 of the seed and a counter. Never for anything of value."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._counter = itertools.count()

    def token_bytes(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            taken += hashlib.sha256(f"{self._seed}:{next(self._counter)}".encode()).digest()
        return taken[:count]


def loop_time() -> float:
    """Return monotonic seconds as the running event loop counts them, so that limits keep virtual time where loops do;
    outside of a loop the machine's."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


def true_seconds(now_ns: int) -> int:
    """True time as `htlc` wants it: whole Unix seconds, rounded up."""
    return -(-now_ns // NS_PER_S)


def show_time(seconds: int) -> str:
    """Return Unix seconds as people read them, as a number if no calendar has them: some come from outside."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"Unix time {seconds}"
