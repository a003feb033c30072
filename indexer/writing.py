"""Three things that writers need of SQL beyond SQLAlchemy's everyday API, said once for both databases."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.util import await_only

from core.runtime.columns import Bytes32, Uint256
from indexer.tables import fact_order

COPY_ROWS: Final = 1_000
"""From so many rows on PostgreSQL gets them by COPY."""


def insert_if_absent(connection: Connection, table: sa.Table, **values: Any) -> bool:
    """Insert a row unless one with its primary key is there. Returns whether it was inserted.

    Waits for another transaction that inserts the same row, and then sees its row.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    inserted = connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
    return inserted.rowcount == 1


def insert_many(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same keys.

    As `connection.execute(sa.insert(table), rows)`, which handles each value of each row by itself: here whole columns
    are turned into driver values, and the driver gets tuples. In a transaction that has begun.
    """
    if not rows:
        return
    copied = connection.dialect.name == "postgresql" and len(rows) >= COPY_ROWS
    if connection.dialect.name == "postgresql" and not copied:
        connection.execute(sa.insert(table), rows)
        return
    names = tuple(rows[0]) if copied else _sqlite_insert(table, tuple(rows[0]))[1]
    columns = zip(*map(itemgetter(*names), rows), strict=True)
    values = [_driver_values(table.c[name].type, column) for name, column in zip(names, columns, strict=True)]
    records = list(zip(*values, strict=True))
    if copied:
        _copy(connection, table, names, records)
    else:
        connection.exec_driver_sql(_sqlite_insert(table, names)[0], records)


def _driver_values(kind: Any, column: Sequence[Any]) -> Sequence[Any]:
    """Other types than these two are the driver's own: integers, text, bytes, booleans."""
    if not isinstance(kind, Uint256 | Bytes32):
        return column
    bind: Callable[[Any, Any], Any] = kind.process_bind_param
    return [None if value is None else bind(value, None) for value in column]


@lru_cache(maxsize=64)
def _sqlite_insert(table: sa.Table, names: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The statement for the driver, and the order in which it takes the columns."""
    compiled: Any = sa.insert(table).compile(dialect=sqlite.dialect(), column_keys=list(names))
    return str(compiled), tuple(compiled.positiontup)


def _copy(connection: Connection, table: sa.Table, names: Sequence[str], records: list[tuple[Any, ...]]) -> None:
    """COPY through the driver; its errors become SQLAlchemy's, as those of any other statement."""
    adapted: Any = connection.connection.dbapi_connection
    dbapi: Any = connection.dialect.dbapi
    copying = adapted.driver_connection.copy_records_to_table(table.name, records=records, columns=names)
    try:
        await_only(copying)
    except Exception as error:
        # `_handle_exception` sorts asyncpg's errors into the classes of PEP 249 and always raises.
        try:
            adapted._handle_exception(error)
        except dbapi.Error as sorted_error:
            wrapped = sa.exc.DBAPIError.instance(
                f"COPY {table.name}",
                None,
                sorted_error,
                dbapi.Error,
                connection_invalidated=adapted.driver_connection.is_closed(),
            )
            raise wrapped from error
        raise


def hold_projections(connection: Connection) -> None:
    """Let no other transaction change projections until this one ends: followers hold the same row."""
    connection.execute(sa.select(fact_order.c.id).with_for_update()).all()
