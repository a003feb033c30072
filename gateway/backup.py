"""`causeway relayer backup` and `restore`: a consistent copy of a relayer's database in one file, and back.

The copy is a SQLite file with our own tables, whatever it was made of: one of a PostgreSQL may be restored into a file,
and one of a file into a PostgreSQL. It is as of one moment: SQLite's backup API and a snapshot of PostgreSQL
(REPEATABLE READ) see all of a transaction or nothing. The relayer may run meanwhile.
"""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from core.model.errors import ConflictError, FatalError, NotFoundError, RejectedError
from core.runtime.database import METADATA, SCHEMA, InlineDatabase, create_schema, schema_version
from core.runtime.database_hold import held
from core.runtime.database_urls import SqliteAddress, parse_database_url
from core.runtime.files import PRIVATE, make_directory, sync_directory
from gateway.config import RelayerConfig, resolve_database
from gateway.config.reading import check_database
from gateway.daemons import relayer  # noqa: F401  # every table that a relayer has is known from here on
from gateway.daemons.parts import opened_database

LEFTOVERS: Final = ("-wal", "-journal")
"""The endings of files next to an open database ("Temporary Files Used By SQLite"). SQLite plays those of a former
database into whatever takes its name."""
ROWS: Final = 500
"""Rows that are held in memory at once."""


async def back_up(config: RelayerConfig, base: Path, out: Path) -> int:
    """Write a copy of the configured database to the new file `out`, whole or not at all. Return its bytes.

    Raise `ConflictError` if the file exists, `NotFoundError` if there is no database, and what reading it raises.
    """
    path = _file_of(config, base)
    if path is not None and not path.exists():
        raise NotFoundError(f"there is no database at {path}: nothing has run with this configuration yet")
    with _new_file(out) as draft:
        if path is not None:
            await asyncio.to_thread(_copy_file, path, draft)
        else:
            async with opened_database(config.database, base) as database:
                await database.read(lambda connection: _copy_tables(connection, draft))
        return await asyncio.to_thread(_check, draft)


async def restore_copy(config: RelayerConfig, base: Path, copy: Path) -> int:
    """Put a copy into the configured database, which must be new. Return the copy's bytes.

    Raise `ConflictError` if the database holds anything, or if a process works on it; `RejectedError` for a file that
    is not a copy; `FatalError` for one that is damaged or of a newer version.
    """
    path = _file_of(config, base)
    size = await asyncio.to_thread(_check, copy)
    with held(resolve_database(config.database, base)):
        if path is not None:
            with _new_file(path) as draft:
                await asyncio.to_thread(_copy_file, copy, draft)
        else:
            await _pour(config, base, copy)
    return size


def _file_of(config: RelayerConfig, base: Path) -> Path | None:
    """The database's file, None for a PostgreSQL."""
    check_database(config.database, base)
    address = parse_database_url(resolve_database(config.database, base))
    return address.path if isinstance(address, SqliteAddress) else None


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A draft that is called `path` in the end, if the block succeeds and nothing is called so."""
    taken = ConflictError(f"{path} exists: name a file that does not, so that nothing older is lost")
    if path.exists():
        raise taken
    for left in (path.with_name(path.name + ending) for ending in LEFTOVERS):
        if left.exists():
            raise ConflictError(f"{left} is left of a former database, and would be played into this one: move it away")
    make_directory(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.fchmod(descriptor, PRIVATE)
    draft = Path(name)
    try:
        yield draft
        os.fsync(descriptor)
        os.link(draft, path)  # unlike a replacement it fails if somebody has taken the name meanwhile
        sync_directory(path.parent)
    except FileExistsError:
        raise taken from None
    finally:
        os.close(descriptor)
        for left in (draft, *path.parent.glob(f"{draft.name}-*")):
            left.unlink(missing_ok=True)


def _copy_file(path: Path, out: Path) -> None:
    """One SQLite file into another, as of one moment, also while others write."""
    readable = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    with closing(readable) as source, closing(sqlite3.connect(out)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")


def _copy_tables(connection: Connection, out: Path) -> None:
    """The tables of a snapshot of PostgreSQL into a SQLite file."""
    engine = sa.create_engine(URL.create("sqlite", database=str(out)))
    try:
        with engine.begin() as target:
            METADATA.create_all(target)
            _copy_rows(connection, target)
    finally:
        engine.dispose()


def _copy_rows(source: Connection, target: Connection) -> None:
    for table in METADATA.sorted_tables:
        rows = source.execution_options(yield_per=ROWS).execute(sa.select(table))
        for part in rows.partitions(ROWS):
            target.execute(sa.insert(table), [_values(row) for row in part])


def _values(row: Any) -> dict[str, Any]:
    return dict(row._mapping)


async def _pour(config: RelayerConfig, base: Path, copy: Path) -> None:
    """A copy into an empty PostgreSQL, all of it or nothing. One of an older version is brought up to date first."""
    with tempfile.TemporaryDirectory(prefix="causeway-restore-") as directory:
        draft = Path(directory) / "copy.sqlite"
        await asyncio.to_thread(_copy_file, copy, draft)
        older = InlineDatabase(f"sqlite:///{draft}")
        try:
            await older.write(create_schema)
        finally:
            await older.close()
        engine = sa.create_engine(URL.create("sqlite", database=str(draft)))
        try:
            async with opened_database(config.database, base) as database:
                await database.write(lambda connection: _fill(connection, engine))
        finally:
            engine.dispose()


def _fill(target: Connection, engine: sa.Engine) -> None:
    for table in METADATA.sorted_tables:
        if table is not schema_version and target.execute(sa.select(table).limit(1)).first() is not None:
            raise ConflictError("the database is not empty: name a new one to restore into")
    target.execute(sa.delete(schema_version))
    with engine.connect() as source:
        _copy_rows(source, target)
    for table in METADATA.sorted_tables:
        if (counted := table.autoincrement_column) is not None:
            place = sa.func.pg_get_serial_sequence(table.name, counted.name)
            last = sa.select(sa.func.max(counted)).scalar_subquery()
            target.execute(sa.select(sa.func.setval(place, last)).where(place.is_not(None), last.is_not(None)))


def _check(copy: Path) -> int:
    """Return the bytes of a whole copy of this version's, or an older one's, database.

    Raise `NotFoundError`, `RejectedError` or `FatalError` for any other file.
    """
    if not copy.is_file():
        raise NotFoundError(f"there is no file {copy}")
    try:
        with closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)) as opened:
            [[verdict]] = opened.execute("PRAGMA quick_check(1)").fetchall()
            [[schema]] = opened.execute("SELECT version_num FROM alembic_version").fetchall()
    except (sqlite3.DatabaseError, ValueError) as error:
        raise RejectedError(f"{copy} is not a copy that `causeway relayer backup` has made: {error}") from error
    if verdict != "ok":
        raise FatalError(f"{copy} is damaged ({verdict}): take an older copy")
    if str(schema) > SCHEMA:
        raise FatalError(f"{copy} has schema {schema}, this Causeway knows up to {SCHEMA}: use the newer version")
    return copy.stat().st_size
