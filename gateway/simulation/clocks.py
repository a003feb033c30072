"""The clocks of processes: all of them right, but for one that goes wrong where a plan has it."""

from core.runtime.clock import NS_PER_S, Clock
from gateway.simulation.plan import Plan, Rough


class WrongClock:
    """A `Clock` that is off by so many seconds from the second `at_s` of the story on."""

    def __init__(self, inner: Clock, at_s: float, off_s: int) -> None:
        self._inner = inner
        self._at_s = at_s
        self._wrong_s = off_s

    @property
    def _off_s(self) -> int:
        return self._wrong_s if self._inner.monotonic() >= self._at_s else 0

    def now(self) -> float:
        return self._inner.now() + self._off_s

    def now_ns(self) -> int:
        return self._inner.now_ns() + self._off_s * NS_PER_S

    def monotonic(self) -> float:
        return self._inner.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def clock_of(party: str, plan: Plan, clock: Clock) -> Clock:
    """The clock of a party's process."""
    if party != plan.clock_of:
        return clock
    return WrongClock(clock, plan.at_s[Rough.CLOCK_WRONG], plan.clock_off_s)
