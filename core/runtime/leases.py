"""Leases: who may do what only one process may do at a time, and a fence against those who did it before.

Each time that a lease is taken its *epoch* goes up. A process does its work under the epoch that it got, and calls
`fence` in the very database transaction that stores the work: once somebody else has taken the lease, nothing more of
it is stored. That holds whatever the clocks of the machines say. Time decides one thing only, from when on somebody
else may take a lease whose holder is silent; clocks that differ make that earlier or later, never unsafe.

An epoch is at least the time at which it was given: it does not come again either once an older copy of the database,
which has never heard of it, has taken this one's place (unless clocks went back meanwhile as well).

A lease without a term (`NO_TERM`) is a mere fence: whoever comes next takes it at once, and who had it ends.

    lease = take(connection, name, holder, now_ns=…, until_ns=…)     raises `LeaseHeldError` while another has it
    take_over(connection, seen, name, holder, …)                     raises it if the lease is not as it was seen
    renew(connection, name, lease.epoch, until_ns=…)                 raises `FencedError` once another has taken it
    fence(connection, name, lease.epoch)                             the same; nobody takes it before we commit

Plain functions over a `Connection`, to be called inside `Database.write`; `check` also inside `Database.read`. Times
are nanoseconds since the Unix epoch.
"""

import os
import socket
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FencedError, RetryableError
from core.runtime.clock import NS_PER_S
from core.runtime.database import METADATA
from core.runtime.inserts import insert_if_absent

NO_TERM: Final = 0
"""As `until_ns`: anybody may take the lease at any time."""

leases = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger, nullable=False),
)
"""A row stays when its lease has ended: an epoch never comes again. 0: nobody has taken it yet."""

TABLES: Final = (leases,)

_OF_NAME: Final[sa.BindParameter[Any]] = sa.bindparam("of_name")
_LEASE: Final = sa.select(leases).where(leases.c.name == _OF_NAME)
_LEASE_HELD: Final = _LEASE.with_for_update()
_LEASE_SHARED: Final = _LEASE.with_for_update(read=True, key_share=True)
"""Of many who work under one lease none waits for another, nor for its renewal; who takes it waits for all of them
(PostgreSQL manual, 13.3.2: FOR KEY SHARE stands next to FOR NO KEY UPDATE, not to FOR UPDATE)."""
_CHANGE: Final = sa.update(leases).where(leases.c.name == _OF_NAME)
_CHANGE_OWN: Final = _CHANGE.where(leases.c.epoch == sa.bindparam("of_epoch"))


def this_process() -> str:
    """Return a holder's name for this process. (Its command line may have secrets, and is left out.)"""
    return f"process {os.getpid()} on {socket.gethostname()}"


class LeaseHeldError(RetryableError):
    """Another process has the lease, and its time is not over."""

    code = "lease-held"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who took it last, under which epoch, and until when others wait. `holder` is for people and for `take`."""

    name: str
    holder: str
    epoch: int
    until_ns: int


def take(connection: Connection, name: str, holder: str, *, now_ns: int, until_ns: int = NO_TERM) -> Lease:
    """Take the lease under a new epoch, which fences off whoever had it.

    Its own holder may take it at any time: a process that starts again does not wait for its former life. So where
    leases have terms, no two processes that run together may have one name. Raise `LeaseHeldError` while another
    holder's time is not over.
    """
    row = _held(connection, name)
    if row.holder != holder and row.until_ns > now_ns:
        left_s = (row.until_ns - now_ns) / NS_PER_S
        raise LeaseHeldError(f"{row.holder} has {name} for another {left_s:.1f} s", name=name, holder=row.holder)
    return _taken(connection, row, holder, now_ns, until_ns)


def take_over(
    connection: Connection, seen: Lease | None, name: str, holder: str, *, now_ns: int, until_ns: int
) -> Lease:
    """Take the lease from exactly what was seen of it (None: nobody had it), whatever its time says.

    Raise `LeaseHeldError` if somebody has taken or renewed it since.
    """
    row = _held(connection, name)
    seen_epoch, seen_ns = (0, NO_TERM) if seen is None else (seen.epoch, seen.until_ns)
    if row.epoch != seen_epoch or row.until_ns > seen_ns:
        raise LeaseHeldError(f"{row.holder} has taken or renewed {name} meanwhile", name=name, holder=row.holder)
    return _taken(connection, row, holder, now_ns, until_ns)


def _held(connection: Connection, name: str) -> Any:
    """Return the row, which is nobody else's until this transaction ends."""
    insert_if_absent(connection, leases, name=name, holder="", epoch=0, until_ns=NO_TERM)
    return connection.execute(_LEASE_HELD, {"of_name": name}).one()


def _taken(connection: Connection, row: Any, holder: str, now_ns: int, until_ns: int) -> Lease:
    lease = Lease(row.name, holder, max(row.epoch + 1, now_ns), until_ns)
    values = {"of_name": lease.name, "holder": holder, "epoch": lease.epoch, "until_ns": until_ns}
    connection.execute(_CHANGE, values)
    return lease


def renew(connection: Connection, name: str, epoch: int, *, until_ns: int) -> None:
    """Keep the lease until then. One whose time is over is kept, too, if nobody has taken it meanwhile.

    Raise `FencedError` if somebody has.
    """
    values = {"of_name": name, "of_epoch": epoch, "until_ns": until_ns}
    if connection.execute(_CHANGE_OWN, values).rowcount != 1:
        _refuse(name, find(connection, name))


def release(connection: Connection, name: str, epoch: int) -> None:
    """Let others take the lease from now on; nothing happens if one has taken it already."""
    connection.execute(_CHANGE_OWN, {"of_name": name, "of_epoch": epoch, "until_ns": NO_TERM})


def fence(connection: Connection, name: str, epoch: int) -> None:
    """Return if nobody has taken the lease since it was taken under `epoch`; nobody can before this transaction ends.

    Raise `FencedError` otherwise.
    """
    _check(name, epoch, connection.execute(_LEASE_SHARED, {"of_name": name}).one_or_none())


def check(connection: Connection, name: str, epoch: int) -> None:
    """As `fence`, for who only looks: nobody is kept from taking the lease meanwhile."""
    _check(name, epoch, connection.execute(_LEASE, {"of_name": name}).one_or_none())


def find(connection: Connection, name: str) -> Lease | None:
    """Return the lease as it was taken last, None if it never was."""
    row = connection.execute(_LEASE, {"of_name": name}).one_or_none()
    return None if row is None else Lease(row.name, row.holder, row.epoch, row.until_ns)


def _check(name: str, epoch: int, row: Any) -> None:
    if row is None or row.epoch != epoch:
        _refuse(name, row)


def _refuse(name: str, taken: Any) -> NoReturn:
    holder = "nobody known here" if taken is None else taken.holder
    raise FencedError(
        f"another process ({holder}) has taken over {name}: this one must not act for it any more", name=name
    )
