"""The rows of switches, and the switches of one process: see `relayer.switches`. Functions over a `Connection`."""

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.model.types import AssetId
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import METADATA
from relayer.switches import Cause, Scope, Switch, first_of, scopes_of

MAX_SWITCHES: Final = 200
"""Switches that an operator may have set at one time."""
SHOWN_FOR_S: Final = 30
"""For how long the row of a switch that came by itself holds: longer than a live process takes to write it again."""

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
