"""Switches: what a relayer does not offer or fund for now. Its operator sets some, others come by themselves.

    scope      everything, one chain, or one pair
    cause      who set it, or what was seen; a switch that comes by itself goes by itself
    pause      no quotes, no openings, no watches, and no lock of ours is signed
    drain      no quotes, no openings, no watches; swaps that are agreed go on, and the relayer ends when none is open

Claims and refunds never ask a switch. Operators' switches are rows, so that they hold while no relayer runs and for
each that shares the database: an opening and a lock look at them in the transaction that stores it. What comes by
itself is each process's own, as it sees its own endpoints; its rows are for whoever looks, and lapse with the process.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NewType

from core.model.errors import RejectedError, RetryableError
from core.model.types import AssetId, ChainId, chain_of
from core.runtime.clock import NS_PER_S

Scope = NewType("Scope", str)
"""`all`, a CAIP-2 chain, or a pair as `Pair.id` has it."""

EVERYTHING: Final = Scope("all")
MAX_REASON_CHARS: Final = 200
MAX_PAUSE_S: Final = 366 * 24 * 3600


class Cause(StrEnum):
    """Why a switch is set."""

    OPERATOR = "operator"
    DRAIN = "drain"
    FINALITY_STALL = "finality-stall"
    CLOCK_SKEW = "clock-skew"
    DEEP_REORG = "deep-reorg"
    QUORUM_LOST = "quorum-lost"
    LOW_GAS = "low-gas"

    @property
    def by_operator(self) -> bool:
        return self in (Cause.OPERATOR, Cause.DRAIN)

    @property
    def stops_locks(self) -> bool:
        """False for a drain, which keeps agreements, and for low gas: what an agreed swap needs is kept for it."""
        return self not in (Cause.DRAIN, Cause.LOW_GAS)


class PausedError(RetryableError):
    """A switch is set. `fields` has its `scope`, its `cause`, and `until` (Unix seconds, None if nobody knows)."""

    code = "paused"


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch. Times are nanoseconds since the Unix epoch; `until_ns` is None if it stays until it is lifted."""

    scope: Scope
    cause: Cause
    reason: str
    since_ns: int
    until_ns: int | None = None

    def __post_init__(self) -> None:
        if len(self.reason) > MAX_REASON_CHARS or not self.reason.isprintable():
            raise RejectedError(f"the reason is not one line of at most {MAX_REASON_CHARS} characters: shorten it")
        if self.until_ns is not None and not 0 < self.until_ns - self.since_ns <= MAX_PAUSE_S * NS_PER_S:
            raise RejectedError(f"a pause ends after now, and within {MAX_PAUSE_S // 86_400} days: choose another end")

    def holds(self, now_ns: int) -> bool:
        return self.until_ns is None or now_ns < self.until_ns

    @property
    def until_s(self) -> int | None:
        """Return its end in Unix seconds, rounded up."""
        return None if self.until_ns is None else -(-self.until_ns // NS_PER_S)

    @property
    def sentence(self) -> str:
        """Return one sentence: what stands still, why, and until when."""
        what = "this relayer" if self.scope == EVERYTHING else self.scope
        if self.cause is Cause.DRAIN:
            said = f"{what} ends when its swaps are done: nothing new is taken"
        else:
            said = f"{what} is paused" + (" by its operator" if self.cause.by_operator else "")
        if self.reason:
            said += f": {self.reason}"
        if self.cause.by_operator and self.until_s is not None:
            said += f"; until {datetime.fromtimestamp(self.until_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return said

    def refuse(self) -> None:
        """Raise `PausedError`."""
        until = self.until_s if self.cause.by_operator else None
        raise PausedError(self.sentence, scope=self.scope, cause=self.cause, until=until)


def pair_scope(given: AssetId, wanted: AssetId) -> Scope:
    """Return the scope of one pair."""
    return Scope(f"{given}>{wanted}")


def scopes_of(given: AssetId, wanted: AssetId) -> tuple[Scope, ...]:
    """Return every scope that a swap of these assets falls under, the widest first."""
    return EVERYTHING, Scope(chain_of(given)), Scope(chain_of(wanted)), pair_scope(given, wanted)


def first_of(switches: Iterable[Switch], scopes: Sequence[Scope], now_ns: int, locks: bool = False) -> Switch | None:
    """Return the switch that a swap under these scopes meets first, None if it meets none.

    Operators' own come first, then wider ones. `locks`: only of those that stop locks.
    """
    met = [
        one for one in switches if one.scope in scopes and one.holds(now_ns) and (one.cause.stops_locks or not locks)
    ]
    return min(met, key=lambda one: (not one.cause.by_operator, scopes.index(one.scope), one.cause), default=None)


def scope_of_chain(chain: ChainId) -> Scope:
    return Scope(chain)
