"""Databases in memory, of which a story has many and asks each thousands of times: what is asked again is prepared, and
what is written can be noted. One that is given back in the end serves another story: SQLite has prepared what it asks.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.runtime.database import InlineDatabase, create_schema, schema_version
from core.runtime.statements import Found, Prepared, PreparedConnection, table_written


class NotingConnection(PreparedConnection):
    """A connection that notes which tables are written, while somebody wants to know."""

    written: set[str] | None = None

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        sa.event.listen(self, "before_cursor_execute", self._note)

    def exec_driver_sql(self, statement: str, parameters: Any = None, execution_options: Any = None) -> Any:
        if self.written is not None:
            return Connection.exec_driver_sql(self, statement, parameters, execution_options)
        return super().exec_driver_sql(statement, parameters, execution_options)

    def _ask(self, prepared: Prepared, values: Any, many: bool) -> Found:
        if self.written is not None and prepared.table is not None:
            self.written.add(prepared.table)
        return super()._ask(prepared, values, many)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if self.written is not None and (table := table_written(statement)) is not None:
            self.written.add(table)


@contextmanager
def written(connection: Connection) -> Iterator[set[str]]:
    """The tables that are written meanwhile."""
    tables: set[str] = set()
    if not isinstance(connection, NotingConnection):
        raise TypeError("only a connection of a database in memory notes what is written")
    connection.written = tables
    try:
        yield tables
    finally:
        connection.written = None


def memory_database() -> InlineDatabase:
    """An empty database."""
    return InlineDatabase(connect=NotingConnection)


_made: Final[list[InlineDatabase]] = []
_free: Final[defaultdict[str, list[InlineDatabase]]] = defaultdict(list)
"""Those that were given back, by who had them: each kind of process makes tables of its own, too."""


async def with_tables() -> InlineDatabase:
    """A database with all tables and no rows: a copy of the one that was made first, since making tables takes longer
    than copying them."""
    if not _made:
        made = memory_database()
        await made.write(create_schema)
        _made.append(made)
    return _made[0].copy()


async def taken(kind: str) -> InlineDatabase:
    """As `with_tables`, maybe one that was given back. It has room: its pages are its own already."""
    return _free[kind].pop() if _free[kind] else await with_tables()


async def give_back(kind: str, database: InlineDatabase) -> None:
    """Leave a database that nobody uses any more to the next one of its kind who takes one."""
    await database.write(_emptied)
    _free[kind].append(database)


def _emptied(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").all():
        # The numbers that SQLite has given go, too; its other tables of its own say nothing of rows.
        if name != schema_version.name and (name == "sqlite_sequence" or not name.startswith("sqlite_")):
            connection.execute(_all_of(name))


@cache
def _all_of(name: str) -> sa.Delete:
    return sa.delete(sa.table(name))
