"""Numbers for long identifiers: a small dictionary that only grows, so that a number always means the same."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from indexer.writing import insert_rows

FEW: Final = 8
CHUNK: Final = 500
"""Names in one statement: few, or as many as this."""


def numbers(connection: Connection, table: sa.Table, names: Collection[str]) -> dict[str, int]:
    """Return the number of each name in `table`, whose two columns are the number and the name; new names get one.

    The caller holds the order of facts (`indexer.writing.hold_projections`): nobody else gives numbers meanwhile.
    """
    known = known_numbers(connection, table, names)
    new = sorted(name for name in names if name not in known)
    if new:
        number, name = table.c
        highest: int | None = connection.execute(_highest(table)).scalar()
        first = (highest or 0) + 1
        rows = list(enumerate(new, first))
        insert_rows(connection, table, (number.name, name.name), rows)
        known.update((one, given) for given, one in rows)
    return known


def known_numbers(connection: Connection, table: sa.Table, names: Collection[str]) -> dict[str, int]:
    """Return the numbers of those names that have one."""
    found: dict[str, int] = {}
    wanted = list(names)
    for first in range(0, len(wanted), CHUNK):
        part = wanted[first : first + CHUNK]
        # Always as many names, the last one again and again, so that two statements do for all.
        many = FEW if len(part) <= FEW else CHUNK
        part += [part[-1]] * (many - len(part))
        rows = connection.exec_driver_sql(_known_sql(connection.dialect, table, many), tuple(part))
        for name, number in rows:
            found[name] = number
    return found


def names_of(connection: Connection, table: sa.Table, given: Collection[int]) -> dict[int, str]:
    """Return the names behind numbers."""
    found: dict[int, str] = {}
    wanted = list(given)
    for first in range(0, len(wanted), CHUNK):
        part = wanted[first : first + CHUNK]
        many = FEW if len(part) <= FEW else CHUNK
        part += [part[-1]] * (many - len(part))
        for name, number in connection.exec_driver_sql(_names_sql(connection.dialect, table, many), tuple(part)):
            found[number] = name
    return found


@lru_cache(maxsize=32)
def _highest(table: sa.Table) -> sa.Select[Any]:
    number, _ = table.c
    return sa.select(sa.func.max(number))


@lru_cache(maxsize=32)
def _names_sql(dialect: sa.Dialect, table: sa.Table, many: int) -> str:
    number, name = table.c
    asked = [sa.bindparam(f"number_{place}", type_=number.type) for place in range(many)]
    return str(sa.select(name, number).where(number.in_(asked)).compile(dialect=dialect))


@lru_cache(maxsize=32)
def _known_sql(dialect: sa.Dialect, table: sa.Table, many: int) -> str:
    """For the driver: SQLAlchemy takes longer to write out a list of names than the database to find them."""
    number, name = table.c
    asked = [sa.bindparam(f"name_{place}", type_=name.type) for place in range(many)]
    return str(sa.select(name, number).where(name.in_(asked)).compile(dialect=dialect))
