"""One database, one daemon: a second one of the same kind is refused with the first one's process.

A SQLite file is held by a lock file next to it. A PostgreSQL is held by an advisory lock of a transaction that stays
open on a connection of its own: unlike a session's lock it also holds behind a pooler.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg

from core.model.errors import ConflictError, FatalError, RetryableError
from core.runtime.database_errors import translating
from core.runtime.database_postgres import connect
from core.runtime.database_urls import PostgresAddress, SqliteAddress, parse_database_url
from core.runtime.files import FileLock, Holder
from core.runtime.logging import get_logger

LOOK_S: Final = 5.0
"""How often the connection that holds a PostgreSQL is tried."""
CALL_TIMEOUT_S: Final = 10.0
MAX_HOLDER_CHARS: Final = 63
"""As long as PostgreSQL keeps an application's name (NAMEDATALEN)."""
_HOLDER: Final = """
SELECT application_name, client_addr::text FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = $1 AND objid = $2
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

log = get_logger("core.runtime.database")


class DatabaseHold:
    """The hold that `held` gives: run `watch` as long as the daemon runs."""

    def __init__(self, address: SqliteAddress | PostgresAddress, kind: str) -> None:
        self._address = address
        self._kind = kind
        self._connection: asyncpg.Connection | None = None

    async def watch(self) -> None:
        """Run until cancelled. Raise `FatalError` once another process holds the database."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not isinstance(self._address, PostgresAddress):
                continue
            try:
                await self._look()
            except RetryableError as error:
                log.warning("the database is not held", kind=self._kind, reason=error.message)
            except ConflictError as error:
                raise FatalError(f"the database was lost for a while, and now {error.message}") from error

    async def _look(self) -> None:
        address = self._address
        assert isinstance(address, PostgresAddress)
        if self._connection is not None:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._connection.execute("SELECT 1", timeout=CALL_TIMEOUT_S)
                return
            self.release()
        await self.take_postgres(address)

    async def take_postgres(self, address: PostgresAddress) -> None:
        """Raise `ConflictError` if another process holds it, and what reaching the database raises."""
        with translating(address.place, started=True):
            connection = await connect(address)
            try:
                other = await self._try(connection)
            except BaseException:
                connection.terminate()
                raise
        if other is not None:
            connection.terminate()
            raise ConflictError(
                f"the database at {address.place} is in use by another {self._kind} ({other}): "
                "stop it, or name another database"
            )
        self._connection = connection

    async def _try(self, connection: Any) -> str | None:
        """None once the lock is ours, else who has it."""
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await connection.execute("SET LOCAL statement_timeout = 0")
        holder = Holder.this()
        name = f"causeway {self._kind} {holder.pid} on {holder.host}"[:MAX_HOLDER_CHARS]
        await connection.fetchval("SELECT set_config('application_name', $1, true)", name)
        schema = await connection.fetchval("SELECT current_schema()")
        first, second = _key(self._kind, schema)
        if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", _signed(first), _signed(second)):
            return None
        row = await connection.fetchrow(_HOLDER, first, second)
        await transaction.rollback()
        return (
            "a process that is not shown" if row is None else f"{row[0] or 'unnamed'} from {row[1] or 'this machine'}"
        )

    def release(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


@asynccontextmanager
async def held(url: str, kind: str, shared: bool = False) -> AsyncIterator[DatabaseHold]:
    """Hold the database at `url` while the block runs: a SQLite file for all daemons, a PostgreSQL for one `kind`.

    `shared`: several may work on one PostgreSQL. Raise `ConflictError` if another process has it, and what reaching
    the database raises.
    """
    address = parse_database_url(url)
    hold = DatabaseHold(address, kind)
    if isinstance(address, SqliteAddress):
        if address.path is None:
            yield hold
            return
        lock = FileLock(address.path)
        lock.take("one database is for one daemon; stop it, or name another database")
        try:
            yield hold
        finally:
            lock.release()
        return
    if shared:
        yield hold
        return
    await hold.take_postgres(address)
    try:
        yield hold
    finally:
        hold.release()


def _key(kind: str, schema: str | None) -> tuple[int, int]:
    digest = hashlib.sha256(f"causeway {kind} {schema or ''}".encode()).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")


def _signed(number: int) -> int:
    """PostgreSQL takes two signed numbers of 32 bits, and shows them as unsigned object ids."""
    return number - 2**32 if number >= 2**31 else number
