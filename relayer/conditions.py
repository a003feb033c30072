"""Conditions under which a relayer pauses a chain by itself, pure: what was seen of it goes in, switches come out.

| condition | comes if | goes if |
|---|---|---|
| finality-stall | nothing became final for twice its time while blocks came | finality moved on `MOVES` times |
| clock-skew | a head is outside of the bounds of `htlc.timelocks.check_skew` | it was inside for `CALM_LOOKS` looks |
| deep-reorg | what was final was replaced, and the operator has not acknowledged it | it is acknowledged |
| quorum-lost | endpoints were away or disagreed for `BAD_LOOKS` looks | they agreed for `CALM_LOOKS` looks |
| low-gas | the gas of all locks to come, all open exits and one more is not there | that of them and two more is |

Coming and going have bounds of their own, so that what is at a bound does not flap.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from core.model.facts import HeadUpdate
from core.model.ports import ChainTiming
from core.model.types import ChainId, Height
from core.runtime.clock import true_seconds
from htlc.timelocks import ClockSkewError, check_skew
from relayer.switches import MAX_REASON_CHARS, Cause, Switch, scope_of_chain

BAD_LOOKS: Final = 2
CALM_LOOKS: Final = 3
MOVES: Final = 2
STALL_FACTOR: Final = 2
ENDPOINTS_FAIL: Final = frozenset({"unreachable", "inconsistent", "disputed"})
"""Names of `indexer.follower.FollowerState` in which nothing can be verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLook:
    """One chain as it is seen now. None stands for what is not known, which changes nothing.

    `state` is the follower's. `alarms`: reorgs below finality that wait for the operator. `short` says
    that gas is short, `short_soon` that no more than one exit's gas is left above that; both empty if there is enough.
    """

    chain: ChainId
    timing: ChainTiming
    head: HeadUpdate | None = None
    state: str | None = None
    alarms: int = 0
    short: str | None = None
    short_soon: str | None = None


@dataclass(slots=True)
class _Trip:
    """One condition of one chain: on after `bad` bad looks in a row, off after `good` good ones."""

    bad: int = 1
    good: int = 1
    reason: str = ""
    since_ns: int | None = None
    _bad: int = 0
    _good: int = 0

    def see(self, fault: str, calm: bool, now_ns: int) -> None:
        """`fault` says what is wrong, empty if nothing is. Without a fault it may still not be `calm`."""
        self._bad = self._bad + 1 if fault else 0
        self._good = 0 if fault or not calm else self._good + 1
        if fault:
            self.reason = fault
        if self.since_ns is None and self._bad >= self.bad:
            self.since_ns = now_ns
        elif self.since_ns is not None and self._good >= self.good:
            self.since_ns = None


@dataclass(slots=True)
class _Finality:
    """When the newest final block was last replaced by a newer one, and how often since a stall."""

    height: Height
    head: Height
    moved_s: float
    moves: int = 0


@dataclass(slots=True)
class _Chain:
    stall: _Trip = field(default_factory=_Trip)
    skew: _Trip = field(default_factory=lambda: _Trip(good=CALM_LOOKS))
    reorg: _Trip = field(default_factory=_Trip)
    quorum: _Trip = field(default_factory=lambda: _Trip(bad=BAD_LOOKS, good=CALM_LOOKS))
    gas: _Trip = field(default_factory=_Trip)
    finality: _Finality | None = None

    def trips(self) -> Sequence[tuple[Cause, _Trip]]:
        return (
            (Cause.FINALITY_STALL, self.stall),
            (Cause.CLOCK_SKEW, self.skew),
            (Cause.DEEP_REORG, self.reorg),
            (Cause.QUORUM_LOST, self.quorum),
            (Cause.LOW_GAS, self.gas),
        )


class Conditions:
    """The conditions of all chains of one process, with what has to be remembered of former looks."""

    def __init__(self) -> None:
        self._chains: dict[ChainId, _Chain] = {}

    @property
    def standing(self) -> tuple[Switch, ...]:
        """The switches that hold since the last look, by chain."""
        return tuple(
            Switch(scope_of_chain(chain), cause, trip.reason[:MAX_REASON_CHARS], trip.since_ns)
            for chain, kept in sorted(self._chains.items())
            for cause, trip in kept.trips()
            if trip.since_ns is not None
        )

    def see(self, looks: Collection[ChainLook], now_ns: int, monotonic_s: float) -> tuple[Switch, ...]:
        """Take in what is seen now. Return the switches that hold from now on, by chain."""
        for look in looks:
            self._see(self._chains.setdefault(look.chain, _Chain()), look, now_ns, monotonic_s)
        return self.standing

    def _see(self, kept: _Chain, look: ChainLook, now_ns: int, monotonic_s: float) -> None:
        if look.head is not None:
            self._see_finality(kept, look.head, look.timing, now_ns, monotonic_s)
            kept.skew.see(_skew(look.head, look.timing, now_ns), True, now_ns)
        alarm = "a block that was final has been replaced, and the operator has not acknowledged it"
        kept.reorg.see(alarm if look.alarms else "", True, now_ns)
        if look.state is not None:
            fails = look.state in ENDPOINTS_FAIL
            # In words for everybody: an endpoint's own may hold its address. The follower's state has them.
            kept.quorum.see(f"too few of its endpoints answer and agree ({look.state})" if fails else "", True, now_ns)
        if look.short is not None:
            kept.gas.see(look.short, not look.short_soon, now_ns)

    def _see_finality(
        self, kept: _Chain, head: HeadUpdate, timing: ChainTiming, now_ns: int, monotonic_s: float
    ) -> None:
        final, newest = head.finalized.ref.height, head.head.ref.height
        seen = kept.finality
        if seen is None:
            kept.finality = _Finality(final, newest, monotonic_s)
            return
        if final > seen.height:
            seen.height, seen.head, seen.moved_s, seen.moves = final, newest, monotonic_s, seen.moves + 1
        elif final < seen.height:  # a reorg below finality, which is a condition of its own
            seen.height = final
        still_s = monotonic_s - seen.moved_s
        if newest > seen.head and still_s > stall_bound_s(timing):
            seen.moves = 0
            kept.stall.see(f"nothing became final for {still_s:.0f} s, block {final} is still the last", False, now_ns)
        else:
            kept.stall.see("", seen.moves >= MOVES, now_ns)


def stall_bound_s(timing: ChainTiming) -> int:
    """Return for how long finality may stand still while blocks come: twice its time, and what it takes to see it."""
    return STALL_FACTOR * timing.finality_s + timing.inclusion_s + timing.observation_s


def _skew(head: HeadUpdate, timing: ChainTiming, now_ns: int) -> str:
    try:
        check_skew(head.head.time, true_seconds(now_ns), timing)
    except ClockSkewError as error:
        return error.message
    return ""
