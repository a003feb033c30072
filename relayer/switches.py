"""Switches: what a relayer does not offer or fund for now. Its operator sets some, others come by themselves.

    scope      everything, one chain, or one pair
    cause      who set it, or what was seen; a switch that comes by itself goes by itself
    pause      no quotes, no openings, no watches, and no lock of ours is signed
    drain      no quotes, no openings, no watches; swaps that are agreed go on, and the relayer ends when none is open

Claims and refunds never ask a switch. Operators' switches are rows, so that they hold while no relayer runs and for
each that shares the database: an opening and a lock look at them in the transaction that stores it. What comes by
itself is each process's own, as it sees its own endpoints; its rows are for whoever looks, and lapse with the process.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NewType

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError, RetryableError
from core.model.types import AssetId, ChainId, chain_of
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import METADATA

Scope = NewType("Scope", str)
"""`all`, a CAIP-2 chain, or a pair as `Pair.id` has it."""

EVERYTHING: Final = Scope("all")
MAX_REASON_CHARS: Final = 200
MAX_PAUSE_S: Final = 366 * 24 * 3600
MAX_SWITCHES: Final = 200
"""Switches that an operator may have set at one time."""
SHOWN_FOR_S: Final = 30
"""For how long the row of a switch that came by itself holds: longer than a live process takes to write it again."""


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


# --- rows ---------------------------------------------------------------------------------------------------------

switches = sa.Table(
    "relayer_switches",
    METADATA,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("cause", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since_ns", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger),
)
"""`holder`: the process that a switch came up in by itself; empty for an operator's."""

TABLES: Final = (switches,)

OPERATOR: Final = ""
_S: Final = switches.c
_ALL: Final = sa.select(switches).order_by(_S.holder, _S.scope, _S.cause)
_OPERATORS: Final = sa.select(switches).where(_S.holder == OPERATOR).order_by(_S.scope, _S.cause)


def set_switch(connection: Connection, switch: Switch) -> None:
    """Store an operator's switch, in place of one of the same scope and cause.

    Raise `RejectedError` for a cause that is not an operator's, or if `MAX_SWITCHES` are set.
    """
    if not switch.cause.by_operator:
        raise RejectedError(f"{switch.cause} comes by itself: nobody sets it")
    known = operators(connection)
    same = [one for one in known if (one.scope, one.cause) == (switch.scope, switch.cause)]
    if not same and len(known) >= MAX_SWITCHES:
        raise RejectedError(f"{MAX_SWITCHES} switches are set already: pause a whole chain, or lift some")
    _delete(connection, OPERATOR, [switch.scope], [switch.cause])
    _insert(connection, OPERATOR, [switch])


def lift(connection: Connection, scope: Scope | None = None) -> list[Switch]:
    """Remove the operator's switches of this scope, None for all of them; return those that were set."""
    lifted = [one for one in operators(connection) if scope in (None, one.scope)]
    _delete(connection, OPERATOR, {one.scope for one in lifted}, list(Cause))
    return lifted


def operators(connection: Connection) -> list[Switch]:
    """Return the operator's switches, those that are over included."""
    return [_switch(row) for row in connection.execute(_OPERATORS)]


def standing(connection: Connection, now_ns: int) -> list[Switch]:
    """Return everything that holds now: the operator's, and what came by itself in any process; each once."""
    rows = (_switch(row) for row in connection.execute(_ALL))
    found = {(one.scope, one.cause): one for one in rows if one.holds(now_ns)}
    return list(found.values())


def note_own(connection: Connection, holder: str, own: Collection[Switch], now_ns: int) -> None:
    """Store what has come by itself in one process, for `SHOWN_FOR_S`. Rows whose time is over go."""
    connection.execute(
        sa.delete(switches).where((_S.holder == holder) | (_S.until_ns.is_not(None) & (_S.until_ns <= now_ns)))
    )
    _insert(connection, holder, own, now_ns + SHOWN_FOR_S * NS_PER_S)


def _insert(connection: Connection, holder: str, some: Collection[Switch], until_ns: int | None = None) -> None:
    rows = [
        {
            "scope": one.scope,
            "cause": one.cause.value,
            "holder": holder,
            "reason": one.reason,
            "since_ns": one.since_ns,
            "until_ns": one.until_ns if until_ns is None else until_ns,
        }
        for one in some
    ]
    if rows:
        connection.execute(sa.insert(switches), rows)


def _delete(connection: Connection, holder: str, scopes: Collection[Scope], causes: Collection[Cause]) -> None:
    same = _S.scope.in_(sorted(scopes)), _S.cause.in_(sorted(causes))
    connection.execute(sa.delete(switches).where(_S.holder == holder, *same))


def _switch(row: sa.Row[tuple[object, ...]]) -> Switch:
    return Switch(Scope(row.scope), Cause(row.cause), row.reason, row.since_ns, row.until_ns)


# --- in one process -----------------------------------------------------------------------------------------------


class Switches:
    """The switches of one process. `look` reads the operator's rows; `own` are those that came by themselves here.

    What is asked often (prices, lists) is answered by the last look; what binds (an opening, a lock) reads the rows in
    the caller's transaction.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._operators: tuple[Switch, ...] = ()
        self.own: tuple[Switch, ...] = ()

    def look(self, connection: Connection) -> None:
        """Read the operator's switches."""
        self._operators = tuple(operators(connection))

    def standing(self) -> list[Switch]:
        """Return what holds now, as of the last look."""
        now_ns = self._clock.now_ns()
        return [one for one in (*self._operators, *self.own) if one.holds(now_ns)]

    @property
    def drains(self) -> bool:
        return any(one.cause is Cause.DRAIN for one in self.standing())

    def of_pair(self, given: AssetId, wanted: AssetId) -> Switch | None:
        """Return what keeps a pair from being offered, None if nothing does; as of the last look."""
        return first_of(self.standing(), scopes_of(given, wanted), self._clock.now_ns())

    def check_offer(self, given: AssetId, wanted: AssetId, counted: bool = False) -> None:
        """Raise `PausedError` if nothing of the pair is offered, as of the last look. Low gas counts once the caller
        has `counted` it themselves: what is short is said with its numbers."""
        met = self.of_pair(given, wanted)
        if met is not None and (counted or met.cause is not Cause.LOW_GAS):
            met.refuse()

    def check_opening(self, connection: Connection, given: AssetId, wanted: AssetId, now_ns: int) -> None:
        """Raise `PausedError` if no swap of the pair is taken, by the rows as they are in this transaction."""
        self._check(connection, given, wanted, now_ns, locks=False)

    def check_lock(self, connection: Connection, given: AssetId, wanted: AssetId, now_ns: int) -> None:
        """Raise `PausedError` if no lock of ours is signed in a swap of the pair, by the rows as they are in this
        transaction."""
        self._check(connection, given, wanted, now_ns, locks=True)

    def may_lock(self, given: AssetId, wanted: AssetId) -> None:
        """Raise `PausedError` as `check_lock`, as of the last look."""
        if (met := first_of(self.standing(), scopes_of(given, wanted), self._clock.now_ns(), True)) is not None:
            met.refuse()

    def _check(self, connection: Connection, given: AssetId, wanted: AssetId, now_ns: int, locks: bool) -> None:
        # Not kept as the last look: this transaction may yet be rolled back, and begun again.
        now = (*operators(connection), *self.own)
        if (met := first_of(now, scopes_of(given, wanted), now_ns, locks)) is not None:
            met.refuse()


def scope_of_chain(chain: ChainId) -> Scope:
    return Scope(chain)
