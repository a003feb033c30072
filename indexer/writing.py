"""Two things that writers of several processes need of SQL, said once for both databases."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from indexer.tables import fact_order


def insert_if_absent(connection: Connection, table: sa.Table, **values: Any) -> bool:
    """Insert a row unless one with its primary key is there. Returns whether it was inserted.

    Waits for another transaction that inserts the same row, and then sees its row.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    inserted = connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
    return inserted.rowcount == 1


def hold_projections(connection: Connection) -> None:
    """Let no other transaction change projections until this one ends: followers hold the same row."""
    connection.execute(sa.select(fact_order.c.id).with_for_update()).all()
