"""The tables of a chain's SQLite file.

Most of a block's rows go in through the driver itself, as plain tuples, which takes a fifth of the time; what lies at
random places of a large file is kept to one row a leaf and one a transaction. Many rows are one statement: SQLite then
works without the interpreter's lock, which it takes and gives back at every statement, while others use it.
"""

from functools import lru_cache
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

LAYOUT: Final = 8
"""It also stands for the ledger's rules: blocks that others made are not executed by new ones."""

METADATA: Final = sa.MetaData()

chain = sa.Table(
    "chain",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column("genesis_hash", sa.LargeBinary, nullable=False),
    # The height up to which `state` and `transactions` hold everything; what came after is in `redo` and `contents`.
    sa.Column("settled", sa.Integer, nullable=False),
)
blocks = sa.Table(
    "blocks",
    METADATA,
    sa.Column("height", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("block", sa.LargeBinary, nullable=False),
    sa.Column("commit", sa.LargeBinary, nullable=False),
    sa.Column("validators", sa.LargeBinary, nullable=False),
    sa.Column("results", sa.LargeBinary, nullable=False),
    sa.Column("results_hash", sa.LargeBinary, nullable=False),
    sa.Column("app_hash", sa.LargeBinary, nullable=False),
)
transactions = sa.Table(
    "transactions",
    METADATA,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
contents = sa.Table(
    "contents",
    METADATA,
    sa.Column("height", sa.Integer, primary_key=True, autoincrement=False),
    # The hashes of the block's transactions, 32 bytes each, and the marks of its events.
    sa.Column("hashes", sa.LargeBinary, nullable=False),
    sa.Column("marks", sa.LargeBinary, nullable=False),
)
state = sa.Table(
    "state",
    METADATA,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
redo = sa.Table(
    "redo",
    METADATA,
    sa.Column("height", sa.Integer, primary_key=True, autoincrement=False),
    # A MessagePack map of all keys that the block wrote to their new leaves, nil for none.
    sa.Column("leaves", sa.LargeBinary, nullable=False),
)
replaced = sa.Table(
    "replaced",
    METADATA,
    sa.Column("height", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.Integer, nullable=False),
    # A MessagePack map of all keys that the block wrote to the leaves that were there before, nil for none.
    sa.Column("leaves", sa.LargeBinary, nullable=False),
)

MAX_HEADERS: Final = 20
"""Headers in one answer, as in CometBFT's `/blockchain`."""
HEAD_BYTES: Final = 8_192
"""Of a block's JSON: more than block id and header ever take."""
HASH_BYTES: Final = 32
MAX_VARIABLES: Final = 999
"""Values in one statement: what every SQLite takes (sqlite.org/limits.html)."""


def _sql(statement: sa.Insert | sa.Delete) -> str:
    """The statement as the driver takes it, with its parameters in the order of the columns."""
    return str(statement.compile(dialect=sqlite.dialect()))


@lru_cache(maxsize=8)
def put(table: sa.Table, rows: int) -> str:
    """Insert this many rows with all columns, each instead of one that is there."""
    one = _sql(sa.insert(table).prefix_with("OR REPLACE"))
    into, values, row = one.partition(" VALUES ")
    return into + values + ", ".join([row] * rows)


DELETE_LEAF: Final = _sql(sa.delete(state).where(state.c.key == sa.bindparam("gone")))
DELETE_TRANSACTION: Final = _sql(
    sa.delete(transactions).where(
        transactions.c.hash == sa.bindparam("gone"), transactions.c.height < sa.bindparam("first")
    )
)
"""Bytes that failed in an old block may stand in a newer one again."""

# Made once: an SQL function refers to itself in a cycle, so one of every request is garbage for the collector, which
# holds the event loop up.

_entries = sa.func.length(contents.c.hashes) / HASH_BYTES
_first: Final[sa.BindParameter[int]] = sa.bindparam("first")
_last: Final[sa.BindParameter[int]] = sa.bindparam("last")

HEADS: Final = (
    sa.select(
        blocks.c.height,
        blocks.c.size,
        sa.func.substr(blocks.c.block, 1, HEAD_BYTES),
        blocks.c.commit,
        sa.func.coalesce(_entries, 0),
    )
    .select_from(blocks.outerjoin(contents, contents.c.height == blocks.c.height))
    .where(blocks.c.height.between(_first, _last))
    .order_by(blocks.c.height.desc())
    .limit(MAX_HEADERS)
)
"""Of blocks `first` to `last`, newest first."""
ENTRIES: Final = (
    sa.select(contents.c.height, _entries)
    .where(contents.c.height.between(_first, _last))
    .order_by(contents.c.height)
    .limit(sa.bindparam("most"))
)
"""How many entries blocks `first` to `last` have, `most` blocks."""
REPLACED_LATER: Final = (
    sa.select(replaced.c.leaves)
    # Most heights did not write the key: SQLite finds that out without handing them over.
    .where(replaced.c.height > sa.bindparam("height"), sa.func.instr(replaced.c.leaves, sa.bindparam("key")) > 0)
    .order_by(replaced.c.height)
)
WRITTEN_LAST: Final = (
    sa.select(redo.c.leaves).where(sa.func.instr(redo.c.leaves, sa.bindparam("key")) > 0).order_by(redo.c.height.desc())
)
# Each by the end of the index: SQLite would read the whole of it for both in one.
EXTENT: Final = sa.select(
    sa.select(sa.func.min(blocks.c.height)).scalar_subquery(), sa.select(sa.func.max(blocks.c.height)).scalar_subquery()
)
"""The first and the last block's height, null for none."""
