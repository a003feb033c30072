"""An insert that SQLAlchemy's everyday API does not have, for both databases."""

from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def insert_if_absent(connection: Connection, table: sa.Table, **values: Any) -> bool:
    """Insert a row unless one with its primary key is there. Return true if it was inserted.

    Waits for another transaction that inserts the same row, and then sees its row.
    """
    return connection.execute(_insert_if_absent(connection.dialect.name, table), values).rowcount == 1


@lru_cache(maxsize=64)
def _insert_if_absent(dialect: str, table: sa.Table) -> sa.Insert:
    inserts = postgresql if dialect == "postgresql" else sqlite
    insert: sa.Insert = inserts.insert(table).on_conflict_do_nothing()
    return insert
