"""PostgreSQL through asyncpg: directly, or behind a pooler such as PgBouncer in transaction mode."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from core.model.errors import FatalError, RetryableError
from core.runtime.database_errors import translating
from core.runtime.database_urls import PostgresAddress
from core.runtime.logging import get_logger
from core.runtime.statements_postgres import PostgresConnection

T = TypeVar("T")

POSTGRES_CONNECTIONS: Final = 8
POSTGRES_TIMEOUT_S: Final = 10.0
"""How long one piece of work may wait for a connection."""
STATEMENTS_KEPT: Final = 100
"""Prepared statements of the driver's own for each connection (COPY and its like; SQLAlchemy keeps as many itself)."""
OLDEST_SERVER: Final = 120_000
"""The oldest `server_version_num` that is tried: PostgreSQL 12."""
ENCODING: Final = "UTF8"
_EXAMINE: Final = (
    "SELECT pg_backend_pid(), current_setting('server_encoding'), current_setting('server_version_num'),"
    " current_setting('server_version'), current_setting('transaction_read_only')"
)
_CHANGED_SERVER: Final = frozenset({"25006", "26000", "42P05", "0A000"})
"""Another server, or a pooler, stands where the one stood that was examined: connections are made again."""

_READS: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITES: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"

_NEXT_HOST: Final = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.TargetServerAttributeNotMatched,
)

log = get_logger("core.runtime.database")


class _PlainConnection(asyncpg.Connection):  # type: ignore[misc]
    """No column of ours is JSON: its codecs, which are looked up outside of any transaction, are left alone."""

    async def set_type_codec(self, *_: Any, **__: Any) -> None:
        return None


async def connect(address: PostgresAddress, **options: Any) -> asyncpg.Connection:
    """A connection to the first host that takes one. `options` go to `asyncpg.connect`.

    Each host gets `address.timeout_s`. Raise what the driver raises; of several hosts, the last one's error.
    """
    hosts: list[dict[str, Any]] = [{"host": host, "port": port} for host, port in address.hosts] or [{}]
    plain = {"timeout": address.timeout_s, "statement_cache_size": 0}
    dsn = f"postgresql://?{urlencode(address.words)}" if address.words else None
    for number, host in enumerate(hosts, 1):
        try:
            return await asyncpg.connect(dsn, **host, **address.settings, **{**plain, **options})
        except _NEXT_HOST:
            if number == len(hosts):
                raise
    raise AssertionError("at least one host is tried")


class _Dialect(PGDialect_asyncpg):
    """Transactions are begun and ended by `_transaction`: what SQLAlchemy believes to be autocommit is inside one."""

    supports_statement_cache = True

    # As text: it goes to the server at once, where a statement would be prepared first under a name of its own.

    def do_savepoint(self, connection: Connection, name: str) -> None:
        connection.exec_driver_sql(f"SAVEPOINT {name}")

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {name}")

    def do_release_savepoint(self, connection: Connection, name: str) -> None:
        connection.exec_driver_sql(f"RELEASE SAVEPOINT {name}")


registry.register("postgresql.causeway", __name__, _Dialect.__name__)


class PostgresDatabase:
    """At most `POSTGRES_CONNECTIONS` connections. The server is examined before the first piece of work.

    Behind a pooler statements have no names: it may hand each transaction to another connection of its own.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._engine: AsyncEngine | None = None
        self._opening = asyncio.Lock()
        self._worked = False
        self._named = True

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._run(work, _WRITES)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._run(work, _READS)

    async def _run(self, work: Callable[[Connection], T], begins: str) -> T:
        engine = await self._examined()
        try:
            with translating(self._address.place, started=self._worked):
                result: T = await greenlet_spawn(_transaction, engine.sync_engine, work, begins, self._named)
                self._worked = True
                return result
        except RetryableError as error:
            if error.fields.get("sqlstate") in _CHANGED_SERVER:
                await self._forget(engine)
            raise

    async def _examined(self) -> AsyncEngine:
        """The engine; the first call looks at the server. Raise `FatalError` for one that cannot be used at all."""
        if self._engine is not None:
            return self._engine
        async with self._opening:
            if self._engine is None:
                with translating(self._address.place, started=self._worked):
                    pooled = await self._examine()
                self._named = not pooled
                self._engine = self._make_engine(pooled)
            return self._engine

    async def _examine(self) -> bool:
        """Return true if a pooler stands between us and the server. Raise `FatalError` for a server of no use."""
        connection = await connect(self._address)
        place, announced = self._address.place, connection.get_server_pid()
        try:
            async with connection.transaction():
                row = await connection.fetchrow(_EXAMINE)
        finally:
            connection.terminate()
        pid, encoding, version, shown, read_only = row
        if int(version) < OLDEST_SERVER:
            raise FatalError(
                f"the database at {place} runs PostgreSQL {shown}: use version {OLDEST_SERVER // 10_000} or newer"
            )
        if encoding != ENCODING:
            raise FatalError(
                f"the database at {place} keeps text as {encoding}, which cannot hold every name of an asset: "
                "create one with ENCODING 'UTF8' TEMPLATE template0"
            )
        if read_only == "on":
            raise RetryableError(
                f"the database at {place} is read-only, as a standby is: name the primary, "
                "or every host with target_session_attrs=read-write; this is tried again",
                sqlstate="25006",
            )
        # A pooler announces a number of its own (PostgreSQL manual, 55.2.1, BackendKeyData).
        pooled: bool = pid != announced
        if pooled:
            log.info("the database is behind a pooler: statements are not prepared ahead", place=place)
        return pooled

    def _make_engine(self, pooled: bool) -> AsyncEngine:
        async def creator(**_: Any) -> asyncpg.Connection:
            kept = 0 if pooled else STATEMENTS_KEPT
            return await connect(self._address, connection_class=_PlainConnection, statement_cache_size=kept)

        # asyncpg asks for the unnamed statement with an empty name: a name is known to one connection of the pooler.
        unnamed = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": lambda: ""} if pooled else {}
        return create_async_engine(
            "postgresql+causeway://",
            isolation_level="AUTOCOMMIT",
            pool_size=POSTGRES_CONNECTIONS,
            max_overflow=0,
            pool_timeout=POSTGRES_TIMEOUT_S,
            connect_args={"async_creator_fn": creator, **unnamed},
        )

    async def _forget(self, engine: AsyncEngine) -> None:
        if self._engine is engine:
            self._engine = None
            await engine.dispose()

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()


def _transaction(engine: Engine, work: Callable[[Connection], T], begins: str, named: bool) -> T:
    """One piece of work in one transaction. In a greenlet, where the driver waits."""
    connection = _begun(engine, begins, named)
    try:
        return connection.run(work)
    except BaseException:
        connection.abandon()
        raise
    finally:
        connection.close()


def _begun(engine: Engine, begins: str, named: bool) -> PostgresConnection:
    """A connection whose transaction has begun. One that ended while nobody used it shows it here at the latest, before
    there is anything to lose, and another one is taken: the pool may be full of them."""
    for left in reversed(range(POSTGRES_CONNECTIONS + 1)):
        connection = PostgresConnection(engine, begins, named)
        try:
            connection.start()
            return connection
        except BaseException as error:
            connection.abandon()
            lost = connection.invalidated
            connection.close()
            if not (lost and left and isinstance(error, sa.exc.DBAPIError | OSError)):
                raise
    raise AssertionError("the last attempt returns or raises")
