"""Numbers for long identifiers: a small dictionary that only grows, so that a number always means the same."""

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.lists import is_one_of, list_values, room_for
from indexer.writing import insert_rows

FEW: Final = 8
CHUNK: Final = 500
"""Names in one statement: few, or at most as many as this."""


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
    for name, number in _rows(connection, table, list(names), by_name=True):
        found[name] = number
    return found


def names_of(connection: Connection, table: sa.Table, given: Collection[int]) -> dict[int, str]:
    """Return the names behind numbers."""
    return {number: name for name, number in _rows(connection, table, list(given), by_name=False)}


def _rows(connection: Connection, table: sa.Table, wanted: Sequence[Any], by_name: bool) -> Iterator[Any]:
    """Names with their numbers, for some of the one or the other."""
    for first in range(0, len(wanted), CHUNK):
        part = wanted[first : first + CHUNK]
        room = room_for(connection.dialect, len(part), FEW, CHUNK)
        sql = _rows_sql(connection.dialect, table, room, by_name)
        yield from connection.exec_driver_sql(sql, list_values(part, room))


@lru_cache(maxsize=32)
def _highest(table: sa.Table) -> sa.Select[Any]:
    number, _ = table.c
    return sa.select(sa.func.max(number))


@lru_cache(maxsize=64)
def _rows_sql(dialect: sa.Dialect, table: sa.Table, room: int, by_name: bool) -> str:
    """For the driver: SQLAlchemy takes longer to write out a list of names than the database to find them."""
    number, name = table.c
    query = sa.select(name, number).where(is_one_of(name if by_name else number, room))
    return str(query.compile(dialect=dialect))
