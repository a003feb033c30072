"""One process of several leads: a lease that is renewed, and a database in which nobody but its holder writes.

    leadership = Leadership(database, "relayer", clock)
    lease = await leadership.taken()            # stands by until nobody has it, or who has it is silent
    fenced = FencedDatabase(database, lease)    # each write holds the lease; raises `FencedError` once another has it
    await leadership.keep(lease)                # renews it; raises `FencedError` once another has it

Clocks of different machines are never compared. Whoever stands by looks at the row: if it has not changed for `TERM_S`
of its own monotonic clock, the holder is silent. A look that fails begins the term again, so that a process which was
cut off from the database itself takes nothing from one that was not.

A holder that was paused inside a transaction would keep its locks, and with them whoever takes over, for as long as it
is paused. So whoever takes over has the server end what still keeps the row after `BLOCKED_S`, whatever that is in the
middle of (a COPY has no time limit of the server's own), and the server ends a holder's transaction that is idle.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError, FencedError, RetryableError
from core.runtime import leases
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.leases import NO_TERM, Lease
from core.runtime.logging import get_logger
from core.runtime.signals import Signal

T = TypeVar("T")

TERM_S: Final = 8.0
"""How long a holder is silent before another takes its lease."""
RENEW_S: Final = 2.0
LOOK_S: Final = 0.5
CALL_S: Final = 3.0
"""How long a look or a renewal may take: a database that hangs is one that does not answer."""
BLOCKED_S: Final = 1.0
"""How long the last transaction of a silent holder may keep the row from whoever takes over."""
IDLE_S: Final = 4.0
TAKE_S: Final = IDLE_S + 1.0
"""Without the right to end it, whoever takes over waits until the server does."""
TAKEN_OVER_S: Final = 15.0
"""Within this time a holder that is killed is followed: its term, a look, the end of its transaction, and the start."""

assert TERM_S > 2 * RENEW_S + CALL_S / 2
assert TERM_S + 2 * LOOK_S + TAKE_S < TAKEN_OVER_S

_OWN_BACKEND: Final = sa.text("SELECT pg_backend_pid()")
_END_BLOCKERS: Final = sa.text("""
WITH RECURSIVE blockers(pid) AS (
    SELECT unnest(pg_blocking_pids(:backend))
    UNION SELECT unnest(pg_blocking_pids(blockers.pid)) FROM blockers
)
SELECT count(pg_terminate_backend(pid)) FROM blockers JOIN pg_stat_activity USING (pid)
WHERE wait_event_type IS DISTINCT FROM 'Lock'
""")
"""Ends what `backend` waits for, at the bottom; others who wait as well are left alone."""
_IDLE_MS: Final = sa.text(f"SELECT set_config('idle_in_transaction_session_timeout', '{round(IDLE_S * 1000)}', true)")

log = get_logger("core.runtime.leadership")


class Leadership:
    """One process's part in who leads under `name`. `holder` names the process, and no other one."""

    def __init__(self, database: Database, name: str, clock: Clock) -> None:
        self.holder = f"{leases.this_process()} ({secrets.token_hex(3)})"
        self.leader: str | None = None
        """Who leads, as far as this process has seen."""
        self.changed = Signal()
        """Counts the changes of `leader`."""
        self._database = database
        self._name = name
        self._clock = clock

    async def taken(self) -> Lease:
        """Stand by until the lease is ours."""
        seen: Lease | None = None
        since_s, silent = self._clock.monotonic(), False
        while True:
            try:
                found = await self._soon(self._database.read(lambda c: leases.find(c, self._name)), CALL_S)
            except RetryableError as error:
                if not silent:
                    log.warning("who leads is not known", lease=self._name, reason=error.message)
                silent = True
                await self._clock.sleep(LOOK_S)
                continue
            if silent or found != seen:
                seen, since_s, silent = found, self._clock.monotonic(), False
            free = found is None or found.until_ns == NO_TERM
            self._note(None if found is None or free else found.holder)
            if free or self._clock.monotonic() - since_s >= TERM_S:
                lease = await self._tried(found)
                if lease is not None:
                    return lease
            await self._clock.sleep(LOOK_S)

    async def _tried(self, found: Lease | None) -> Lease | None:
        """Return our lease; None if another one was faster, or if the database does not let us take it yet."""
        backends: list[int] = []
        taking = asyncio.ensure_future(self._soon(self._database.write(partial(self._take, found, backends)), TAKE_S))
        try:
            done, _ = await asyncio.wait({taking}, timeout=BLOCKED_S)
            if not done and backends:
                await self._end_blockers(backends[-1])
            lease = await taking
        except RetryableError as error:
            log.info("the lease is not taken", lease=self._name, reason=error.message)
            return None
        finally:
            taking.cancel()
        log.info("leads now", lease=self._name, epoch=lease.epoch, after=None if found is None else found.holder)
        self._note(self.holder)
        return lease

    async def _end_blockers(self, backend: int) -> None:
        try:
            ended = await self._soon(
                self._database.write(lambda c: c.execute(_END_BLOCKERS, {"backend": backend}).scalar()), CALL_S
            )
            log.warning("what the silent holder was in the middle of is ended", lease=self._name, transactions=ended)
        except (RetryableError, FatalError) as error:
            log.warning("what keeps the lease cannot be ended", lease=self._name, reason=error.message)

    async def keep(self, lease: Lease) -> None:
        """Renew the lease for ever. Raise `FencedError` once another process has it."""
        silent = False
        while True:
            await self._clock.sleep(RENEW_S)
            try:
                await self._soon(self._database.write(lambda c: self._renew(c, lease)), CALL_S)
                if silent:
                    log.info("the lease is renewed again", lease=self._name)
                silent = False
            except FencedError:
                self._note(None)
                raise
            except RetryableError as error:
                if not silent:
                    log.warning("the lease is not renewed", lease=self._name, reason=error.message)
                silent = True

    async def release(self, lease: Lease) -> None:
        """Let another process lead at once. One that cannot be reached for that waits for the term."""
        try:
            await self._soon(self._database.write(lambda c: leases.release(c, lease.name, lease.epoch)), CALL_S)
        except RetryableError as error:
            log.warning("the lease is not released: others wait for its term", lease=self._name, reason=error.message)

    def _note(self, leader: str | None) -> None:
        if leader != self.leader:
            self.leader = leader
            self.changed.notify()

    def _until_ns(self) -> int:
        """For people, and so that each renewal changes the row; nobody compares it with a clock."""
        return self._clock.now_ns() + round(TERM_S * NS_PER_S)

    def _take(self, found: Lease | None, backends: list[int], connection: Connection) -> Lease:
        """Take over from exactly what was seen. Raise `LeaseHeldError` if the row has changed since."""
        bound_idle(connection)
        if connection.dialect.name == "postgresql":
            backends.append(connection.execute(_OWN_BACKEND).scalar_one())
        now_ns, until_ns = self._clock.now_ns(), self._until_ns()
        return leases.take_over(connection, found, self._name, self.holder, now_ns=now_ns, until_ns=until_ns)

    def _renew(self, connection: Connection, lease: Lease) -> None:
        bound_idle(connection)
        leases.renew(connection, lease.name, lease.epoch, until_ns=self._until_ns())

    async def _soon(self, call: Awaitable[T], within_s: float) -> T:
        try:
            async with asyncio.timeout(within_s):
                return await call
        except TimeoutError:
            raise RetryableError(f"the database did not answer in {within_s:.0f} s") from None


class FencedDatabase:
    """A database in which each write holds a lease, from before its first statement until its commit.

    `write` raises `FencedError`, and stores nothing, once another process has taken the lease. Reads are everybody's.
    """

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self._lease = lease

    async def write(self, work: Callable[[Connection], T]) -> T:
        def fenced(connection: Connection) -> T:
            bound_idle(connection)
            leases.fence(connection, self._lease.name, self._lease.epoch)
            return work(connection)

        return await self._database.write(fenced)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)

    async def close(self) -> None:
        """The database underneath stays open: who opened it closes it."""


def bound_idle(connection: Connection) -> None:
    """Let the server end this transaction if its process falls silent in it (PostgreSQL; SQLite has one process)."""
    if connection.dialect.name == "postgresql":
        connection.execute(_IDLE_MS)
