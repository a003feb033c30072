"""The database: SQLite by default, PostgreSQL for production, SQLite in memory for simulations.

SQL is written once, as plain functions over a SQLAlchemy `Connection`. `write` and `read` run one such function in one
transaction: on the writer thread (SQLite), through `AsyncConnection.run_sync` (PostgreSQL) or inline (simulations). No
network call belongs inside one. The function must be repeatable: it may have been rolled back and be called again.

    async def write(work: Callable[[Connection], T]) -> T       committed durably when it returns
    async def read(work: Callable[[Connection], T]) -> T        one consistent snapshot

Both raise `RetryableError` (locked, connection lost, too much queued), `ConflictError` (a constraint), `FatalError`
(disk full, unreadable or damaged file) and whatever `work` raises; then nothing of it is stored. If the caller is
cancelled meanwhile the transaction may or may not be committed: as after a crash, look.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from core.model.errors import FatalError, RetryableError
from core.runtime.database_errors import translating
from core.runtime.database_files import make_room
from core.runtime.database_threads import DatabaseThreads
from core.runtime.database_urls import PostgresAddress, SqliteAddress, parse_database_url
from core.runtime.statements import PreparedConnection

T = TypeVar("T")

BUSY_TIMEOUT_MS: Final = 5_000
"""How long SQLite waits for another process's lock before the work is refused as retryable."""
READERS: Final = 2
STATEMENTS_KEPT: Final = 512
"""Of each SQLite connection: more than a relayer's workers have."""
MAX_QUEUED: Final = 1_000
"""Reads and writes that may wait for one database; one more is refused as retryable."""
SCHEMA: Final = "0017"
"""The newest revision of `core.runtime.migrations`: what `create_schema` leads to."""
FIRST_SCHEMA: Final = "0000"
"""A database from before there were revisions: with a table `schema_version` of our own."""
NO_SCHEMA: Final = ""
SCHEMA_LOCK: Final = 0x6361_7573_6577_6179
"""PostgreSQL's advisory lock, held until its commit by whoever looks at the schema."""

METADATA: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All tables of all rooms; each room defines its own and gives their names a prefix of its own."""

schema_version = sa.Table("alembic_version", METADATA, sa.Column("version_num", sa.String(32), primary_key=True))
"""One row: the revision of this database. Its name and column are Alembic's."""


class Database(Protocol):
    """One database. `read` and `write` run a repeatable function over a `Connection` in one transaction."""

    async def write(self, work: Callable[[Connection], T]) -> T: ...

    async def read(self, work: Callable[[Connection], T]) -> T: ...

    async def close(self) -> None: ...


class InlineDatabase:
    """SQLite in the calling thread, in memory unless `url` names a file: deterministic, for simulations and tests."""

    def __init__(
        self, url: str = "sqlite://", connect: Callable[[Engine], PreparedConnection] = PreparedConnection
    ) -> None:
        self._connect = connect
        self._path = _sqlite_path(url)
        self._engine = _memory_engine() if self._path is None else _sqlite_engine(self._path, _WRITER, NullPool)
        self._connection: PreparedConnection | None = None
        self._place = "in memory" if self._path is None else str(self._path)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return self._run(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._path is not None:
            return self._run(work)
        with translating(self._place):
            return self._opened().look(work)  # nobody else has it, and nothing else runs meanwhile

    def _run(self, work: Callable[[Connection], T]) -> T:
        with translating(self._place):
            return self._opened().run(work)

    def _opened(self) -> PreparedConnection:
        if self._connection is None:
            self._connection = self._connect(self._engine)
        return self._connection

    def copy(self) -> "InlineDatabase":
        """The same contents in memory, apart from now on: what a backup would hold."""
        made = InlineDatabase(connect=self._connect)
        source, target = (one._opened().connection.driver_connection for one in (self, made))
        if source is not None and target is not None:
            source.backup(target)
        return made

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SqliteDatabase:
    """One SQLite file, by URL or path: one writer thread, `READERS` reader threads, WAL and `synchronous=FULL`. What
    waits together shares a transaction (`core.runtime.database_threads`)."""

    def __init__(self, place: str | Path) -> None:
        self._path = place if isinstance(place, Path) else _sqlite_path(place)
        if self._path is None:
            raise FatalError("SQLite in memory has no threads to share it: use InlineDatabase")
        self._writer_engine = _sqlite_engine(self._path, _WRITER, StaticPool)
        self._reader_engine = _sqlite_engine(self._path, _READER, QueuePool, pool_size=READERS, max_overflow=0)
        sa.event.listen(self._reader_engine, "connect", _refuse_writes)
        place = str(self._path)
        self._writer = DatabaseThreads(self._writer_engine, place, 1, "database-writer", writes=True)
        self._readers = DatabaseThreads(self._reader_engine, place, READERS, "database-reader", writes=False)
        self._queued = 0

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._run(self._writer, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._run(self._readers, work)

    async def _run(self, threads: DatabaseThreads, work: Callable[[Connection], T]) -> T:
        if self._queued >= MAX_QUEUED:
            raise RetryableError(f"{MAX_QUEUED} pieces of work wait for the database already: try again later")
        self._queued += 1
        running = threads.run(work)
        running.add_done_callback(self._one_done)
        return await running

    def _one_done(self, _: object) -> None:
        self._queued -= 1

    async def close(self) -> None:
        """Wait for what is running, then let go of the file."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._writer.shutdown)
        await loop.run_in_executor(None, self._readers.shutdown)
        self._reader_engine.dispose()
        self._writer_engine.dispose()


def open_database(url: str) -> Database:
    """The database at `url`: `sqlite:///path/file.sqlite`, `postgresql://user:password@host/name`, or `sqlite://` in
    memory. Nothing is created but the file. Raise `FatalError` for anything else, and for a file that cannot be used.
    """
    match parse_database_url(url):
        case SqliteAddress(None):
            return InlineDatabase()
        case SqliteAddress():
            return SqliteDatabase(url)
        case PostgresAddress() as address:
            from core.runtime.database_postgres import PostgresDatabase

            return PostgresDatabase(address)


def ask(connection: Connection) -> None:
    """Ask the database something that needs no table: it answers, or the read raises."""
    connection.execute(sa.select(1)).scalar_one()


def create_schema(connection: Connection, tables: Sequence[sa.Table] | None = None) -> None:
    """Create what is missing of `tables` (all of `METADATA` by default); bring what an older version made up to date.

    Keep a copy of an SQLite file next to it before the file is changed. Raise `FatalError` if the database was written
    by a newer version, and what a revision of the schema raises.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
    stored = _stored_schema(connection)
    if stored > SCHEMA:
        raise FatalError(
            f"the database has schema {stored}, this Causeway knows up to {SCHEMA}: start the newer version",
            stored=stored,
            known=SCHEMA,
        )
    if NO_SCHEMA < stored < SCHEMA:
        # Alembic is loaded if there is work for it: most commands open a database and find none.
        from core.runtime.migrations import migrate

        migrate(connection, stored)
    if stored != SCHEMA:
        schema_version.create(connection, checkfirst=True)
        connection.execute(sa.delete(schema_version))
        connection.execute(sa.insert(schema_version).values(version_num=SCHEMA))
    create_missing(connection, METADATA, tables)


def create_missing(connection: Connection, metadata: sa.MetaData, tables: Sequence[sa.Table] | None = None) -> None:
    """Create those of the tables (all of the metadata's by default) that are not there: SQLAlchemy by itself would ask
    for each of them alone."""
    there = set(sa.inspect(connection).get_table_names())
    wanted = metadata.sorted_tables if tables is None else tables
    if missing := [table for table in wanted if table.name not in there]:
        metadata.create_all(connection, tables=missing)


def _stored_schema(connection: Connection) -> str:
    """The database's revision; `NO_SCHEMA` for one without tables of ours."""
    names = sa.inspect(connection)
    if names.has_table(schema_version.name):
        return str(connection.execute(sa.select(schema_version.c.version_num)).scalar_one())
    return FIRST_SCHEMA if names.has_table("schema_version") else NO_SCHEMA


def _sqlite_path(url: str) -> Path | None:
    address = parse_database_url(url)
    if not isinstance(address, SqliteAddress):
        raise FatalError("this is not the URL of a SQLite file: write sqlite:///FILE")
    return address.path


class _SqliteReader(SQLiteDialect_pysqlite):
    """The driver's own idea of when a transaction begins is switched off in `_prepare_sqlite`: it begins here. An event
    of SQLAlchemy's would do, too, but costs as much as a statement, and a little at every other one."""

    supports_statement_cache = True
    begin = "BEGIN"

    def do_begin(self, dbapi_connection: Any) -> None:
        dbapi_connection.cursor().execute(self.begin)

    # As text: made of SQLAlchemy's elements they are compiled each time, which takes longer than to execute them.

    def do_savepoint(self, connection: Connection, name: str) -> None:
        connection.exec_driver_sql(f"SAVEPOINT {name}")

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {name}")

    def do_release_savepoint(self, connection: Connection, name: str) -> None:
        connection.exec_driver_sql(f"RELEASE SAVEPOINT {name}")


class _SqliteWriter(_SqliteReader):
    """A writer takes its lock at the start: one that asked for it later could fail after it had read."""

    supports_statement_cache = True
    begin = "BEGIN IMMEDIATE"


_READER: Final = "sqlite+causeway_reader"
_WRITER: Final = "sqlite+causeway_writer"
registry.register("sqlite.causeway_reader", __name__, _SqliteReader.__name__)
registry.register("sqlite.causeway_writer", __name__, _SqliteWriter.__name__)


@cache
def _memory_engine() -> Engine:
    """For all databases in memory, each of which is one connection: what was compiled for one serves all."""
    return _sqlite_engine(None, _WRITER, NullPool)


def _sqlite_engine(path: Path | None, dialect: str, pool: type[sa.Pool], **sizes: int) -> Engine:
    if path is not None:
        make_room(path)
    url = URL.create(dialect, database=None if path is None else str(path))
    arguments = {"check_same_thread": False, "cached_statements": STATEMENTS_KEPT}
    engine = sa.create_engine(url, connect_args=arguments, poolclass=pool, **sizes)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _refuse_writes(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA query_only = ON")
