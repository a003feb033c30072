"""A data set that stands in SQLite, copied into PostgreSQL table by table: minutes instead of an hour in which the
indexer stores the same rows once more."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, DropIndex

from bench._progress import progress
from core.runtime.database import METADATA, create_schema, open_database, schema_version

ROWS: Final = 20_000
"""Rows of one COPY."""


def copied(source: Path, url: str) -> None:
    """Drop the tables of the PostgreSQL at `url`, and make them with the rows of an SQLite file of the same schema."""
    asyncio.run(_copied(source, url))


async def _copied(source: Path, url: str) -> None:
    database = open_database(url)
    await database.write(METADATA.drop_all)
    await database.write(create_schema)
    await database.close()
    connection = await asyncpg.connect(url)
    indexes = [index for table in METADATA.sorted_tables for index in table.indexes]
    try:
        for index in indexes:
            await connection.execute(_sql(DropIndex(index)))
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as lite:
            await _rows(lite, connection)
        for index in indexes:  # in one go they take a fraction of the time
            await connection.execute(_sql(CreateIndex(index)))
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _rows(lite: sqlite3.Connection, connection: Any) -> None:
    there = {name for (name,) in lite.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    tables = [one for one in METADATA.sorted_tables if one.name in there and one is not schema_version]
    total = sum(lite.execute(_lite(sa.select(sa.func.count()).select_from(one))).fetchone()[0] for one in tables)
    with progress("copied, rows", total) as advance:
        for table in tables:
            names = [column.name for column in table.columns]
            await connection.execute(_sql(sa.delete(table)))
            for part in _parts(lite, table):
                await connection.copy_records_to_table(table.name, records=part, columns=names)
                advance(len(part))


def _parts(lite: sqlite3.Connection, table: sa.Table) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table; SQLite keeps true and false as numbers."""
    flags = [place for place, column in enumerate(table.columns) if isinstance(column.type, sa.Boolean)]
    cursor = lite.execute(_lite(sa.select(*table.columns)))
    while rows := cursor.fetchmany(ROWS):
        if flags:
            changed = [list(row) for row in rows]
            for row in changed:
                for place in flags:
                    row[place] = None if row[place] is None else bool(row[place])
            rows = list(map(tuple, changed))
        yield rows


def _lite(statement: sa.Select[Any]) -> str:
    return str(statement.compile(dialect=sqlite.dialect()))


def _sql(statement: Any) -> str:
    make: Any = postgresql.dialect  # the package gives it no types
    return str(statement.compile(dialect=make()))
