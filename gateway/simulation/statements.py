"""Databases in memory, of which a story has many and asks each thousands of times: what is asked again is prepared, and
what is written can be noted.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.runtime.database import InlineDatabase
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
