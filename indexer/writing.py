"""Two things that writers need of SQL beyond SQLAlchemy's everyday API, said once for both databases."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from core.model.errors import require
from core.runtime.columns import Bytes32, BytewiseText, Uint256
from indexer.tables import fact_order

COPY_ROWS: Final = 1_000
"""The fewest rows that PostgreSQL gets by COPY."""
MAX_VARIABLES: Final = 999
"""Values in one statement: what every SQLite takes (sqlite.org/limits.html)."""

_HOLD: Final = sa.select(fact_order.c.id).with_for_update()


def insert_many(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """`insert_rows` of rows that all have the same keys."""
    if rows:
        names = tuple(column.name for column in table.c if column.name in rows[0])
        insert_rows(connection, table, names, list(map(itemgetter(*names), rows)))


def insert_rows(
    connection: Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows of the columns `names`, which stand in the table's order. In a transaction that has begun.

    As `connection.execute(sa.insert(table), …)`, which handles each value of each row by itself: here whole columns
    are turned into driver values, and many rows are one statement (COPY on PostgreSQL).
    """
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        _insert_sqlite(connection, table, names, _driver_rows(table, names, rows))
    elif len(rows) < COPY_ROWS:
        connection.execute(sa.insert(table), [dict(zip(names, row, strict=True)) for row in rows])
    else:
        _copy(connection, table, names, _driver_rows(table, names, rows))


def _driver_rows(table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """Other types than our own are the driver's own: integers, text, bytes, booleans."""
    bound = _bound(table, names)
    if not bound:
        return rows
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place, bind in bound:
        columns[place] = [None if value is None else bind(value, None) for value in columns[place]]
    return list(zip(*columns, strict=True))


@lru_cache(maxsize=64)
def _bound(table: sa.Table, names: tuple[str, ...]) -> list[tuple[int, Callable[[Any, Any], Any]]]:
    kinds: list[Any] = [table.c[name].type for name in names]
    own = Uint256 | Bytes32 | BytewiseText
    return [(place, kind.process_bind_param) for place, kind in enumerate(kinds) if isinstance(kind, own)]


def _insert_sqlite(
    connection: Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Many rows a statement: SQLite then works without the interpreter's lock, which it takes and gives back at every
    statement, while other threads decode what comes next."""
    many = MAX_VARIABLES // len(names)
    whole = len(rows) - len(rows) % many
    for first in range(0, whole, many):
        values = tuple(itertools.chain.from_iterable(rows[first : first + many]))
        connection.exec_driver_sql(_sqlite_insert(table, names, many), values)
    if whole < len(rows):
        connection.exec_driver_sql(_sqlite_insert(table, names, 1), list(rows[whole:]))


@lru_cache(maxsize=64)
def _sqlite_insert(table: sa.Table, names: tuple[str, ...], rows: int) -> str:
    one: Any = sa.insert(table).compile(dialect=sqlite.dialect(), column_keys=list(names))
    require(tuple(one.positiontup) == names, "rows are given in the order of the table's columns", table=table.name)
    into, values, row = str(one).partition(" VALUES ")
    return into + values + ", ".join([row] * rows)


def _copy(connection: Connection, table: sa.Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY through the driver; its errors become SQLAlchemy's, as those of any other statement."""
    adapted: Any = connection.connection.dbapi_connection
    statement = f"COPY {table.name}"
    try:
        adapted.run_async(lambda driver: driver.copy_records_to_table(table.name, records=rows, columns=names))
    except asyncpg.IntegrityConstraintViolationError as error:
        raise sa.exc.IntegrityError(statement, None, error) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        lost = adapted.driver_connection.is_closed()
        raise sa.exc.DBAPIError(statement, None, error, connection_invalidated=lost) from error


def hold_projections(connection: Connection) -> None:
    """Let no other transaction change projections until this one ends: followers hold the same row."""
    connection.execute(_HOLD).all()
