"""Lists and small tables as the values of a statement that is compiled once, for both databases.

PostgreSQL takes a list as one value, an array, however long it is: the statement is the same text for all lengths, and
the server keeps one plan for it. SQLite gets each value by itself: a statement has room for a fixed number of them, the
last one is given again until it is full, and two sizes do for all lengths.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY


def takes_arrays(dialect: sa.Dialect) -> bool:
    """Return true for PostgreSQL."""
    return dialect.name == "postgresql"


def room_for(dialect: sa.Dialect, length: int, few: int, many: int) -> int:
    """Return the room of the statement that takes a list of this length, at most `many`; 0 if any length will do."""
    if takes_arrays(dialect):
        return 0
    return few if length <= few else many


def array_of(kind: sa.types.TypeEngine[Any]) -> Any:
    """The type of an array of values of such a column. Text has no length there: a longer one would be cut to it, and
    be another one."""
    return ARRAY(sa.Text() if isinstance(kind, sa.String) else kind)


def is_one_of(column: sa.ColumnElement[Any], room: int, name: str = "one") -> sa.ColumnElement[bool]:
    """The condition that a column is one of the values of `list_values`. `name` is that of no other parameter."""
    if not room:
        return column == sa.any_(sa.bindparam(name, type_=array_of(column.type)))
    return column.in_([sa.bindparam(f"{name}_{place}", type_=column.type) for place in range(room)])


def list_values(values: Sequence[Any], room: int) -> tuple[Any, ...]:
    """The driver's values for `is_one_of`. There is at least one."""
    return (*values, *[values[-1]] * (room - len(values))) if room else (list(values),)


def table_of(columns: Sequence[sa.Column[Any]], room: int) -> sa.FromClause:
    """A table, `asked`, of the rows of `table_values`, with columns of the names and types of these."""
    if room:
        empty = [tuple("" if isinstance(one.type, sa.String) else 0 for one in columns)] * room
        return sa.values(*columns, name="asked").data(empty).cte()
    arrays = [sa.bindparam(f"all_{one.name}", type_=array_of(one.type)) for one in columns]
    names = [sa.column(one.name, one.type) for one in columns]
    return sa.func.unnest(*arrays).table_valued(*names).render_derived(name="asked")


def table_values(rows: Sequence[tuple[Any, ...]], room: int) -> tuple[Any, ...]:
    """The driver's values for `table_of`. There is at least one row."""
    if room:
        return tuple(chain.from_iterable((*rows, *[rows[-1]] * (room - len(rows)))))
    return tuple(list(column) for column in zip(*rows, strict=True))
