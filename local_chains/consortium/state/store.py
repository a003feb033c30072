"""Blocks, results and state in one SQLite file, each block with everything it did in one transaction.

Either a block, its commit, its results and its writes are all there after a crash, or none of them is. Of the last
`PROOF_HEIGHTS` blocks, or of the last `PROOF_WRITES` writes where those are fewer blocks, the leaves they replaced are
kept too, so that older states can be shown and proven.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from core.model.errors import FatalError
from core.runtime.database import SqliteDatabase
from local_chains.consortium.state.marks import may_hold

PROOF_HEIGHTS: Final = 1_000
"""How many heights back state is provable."""
PROOF_WRITES: Final = 1_000_000
"""How many writes back it is, at the most."""
MAX_HEADERS: Final = 20
"""Headers in one answer, as in CometBFT's `/blockchain`."""
MAX_PRUNED: Final = 1_000
"""Blocks that one transaction forgets."""
LAYOUT: Final = 3

_METADATA: Final = sa.MetaData()

_chain = sa.Table(
    "chain",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column("genesis_hash", sa.LargeBinary, nullable=False),
)
_blocks = sa.Table(
    "blocks",
    _METADATA,
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
_transactions = sa.Table(
    "transactions",
    _METADATA,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("height", sa.Integer, nullable=False, index=True),
    sa.Column("position", sa.Integer, nullable=False),
)
_marks = sa.Table(
    "marks",
    _METADATA,
    sa.Column("height", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("marks", sa.LargeBinary, nullable=False),
)
_state = sa.Table(
    "state",
    _METADATA,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
_replaced = sa.Table(
    "replaced",
    _METADATA,
    sa.Column("height", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("leaf", sa.LargeBinary),
    sqlite_with_rowid=False,
)


def _sql(statement: sa.Insert | sa.Delete) -> str:
    """The statement as the driver takes it, with its parameters in the order of the columns."""
    return str(statement.compile(dialect=sqlite.dialect()))


# A block writes tens of thousands of rows; handed to the driver as plain tuples they take a fifth of the time.
_PUT_LEAF: Final = _sql(sa.insert(_state).prefix_with("OR REPLACE"))
_DELETE_LEAF: Final = _sql(sa.delete(_state).where(_state.c.key == sa.bindparam("gone")))
_PUT_REPLACED: Final = _sql(sa.insert(_replaced))
_PUT_TRANSACTION: Final = _sql(sa.insert(_transactions).prefix_with("OR REPLACE"))


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One block as CometBFT's RPC shows it: `block`, `commit`, `validators` and `results` are JSON.

    `block` holds block id and block, `results` is the answer of `/block_results`, `commit` the one that made this very
    block final, `validators` the set of its height with priorities. `app_hash` is that of the state after it.
    """

    height: int
    hash: bytes
    size: int
    block: bytes
    commit: bytes
    validators: bytes
    results: bytes
    results_hash: bytes
    app_hash: bytes


@dataclass(frozen=True, slots=True)
class Changes:
    """What a block did to the state, and the leaves that were there before (None: no leaf)."""

    writes: Mapping[bytes, bytes | None]
    replaced: Mapping[bytes, bytes | None]


class Store:
    """The file `path`. Several nodes must not share one."""

    def __init__(self, path: Path) -> None:
        self._database = SqliteDatabase(f"sqlite:///{path}")
        self._kept: deque[tuple[int, int]] = deque()
        self._kept_writes = 0

    async def open(self, genesis_hash: bytes) -> None:
        """Create what is missing. Raises `FatalError` where the file belongs to another chain or layout."""
        await self._database.write(lambda connection: _prepare(connection, genesis_hash))
        for height, count in await self._database.read(_replaced_counts):
            self._count(height, count)

    @property
    def provable_from(self) -> int:
        """The oldest height whose state can be made again from the newest."""
        return self._kept[0][0] - 1 if self._kept else 0

    def _count(self, height: int, writes: int) -> None:
        self._kept.append((height, writes))
        self._kept_writes += writes
        while len(self._kept) > 1 and (
            self._kept[0][0] <= height - PROOF_HEIGHTS + 1 or self._kept_writes > PROOF_WRITES
        ):
            self._kept_writes -= self._kept.popleft()[1]

    async def close(self) -> None:
        await self._database.close()

    async def append(
        self, block: StoredBlock, transactions: tuple[bytes, ...], changes: Changes, marks: bytes = b""
    ) -> None:
        """Store a block, its transactions' hashes in order, its changes and the marks of its events.

        Durable when this returns.
        """
        first = self._kept[0][0] if self._kept else 0
        await self._database.write(lambda connection: _append(connection, block, transactions, changes, marks, first))
        self._count(block.height, len(changes.replaced))

    async def prune(self, first: int) -> int:
        """Forget blocks below height `first`, at most `MAX_PRUNED` at a time, and return how many those were."""
        return await self._database.write(lambda connection: _prune(connection, first))

    async def write_genesis(self, leaves: Mapping[bytes, bytes]) -> None:
        """The state before the first block."""

        def work(connection: Connection) -> None:
            connection.execute(sa.insert(_state), [{"key": key, "leaf": leaf} for key, leaf in leaves.items()])

        await self._database.write(work)

    async def leaves(self) -> dict[bytes, bytes]:
        """The whole newest state."""

        def work(connection: Connection) -> dict[bytes, bytes]:
            return {row.key: row.leaf for row in connection.execute(sa.select(_state))}

        return await self._database.read(work)

    async def heights(self) -> tuple[int, int]:
        """The first and the last block's height; (0, 0) before the first."""

        def work(connection: Connection) -> tuple[int, int]:
            found = connection.execute(sa.select(sa.func.min(_blocks.c.height), sa.func.max(_blocks.c.height))).one()
            return found[0] or 0, found[1] or 0

        return await self._database.read(work)

    async def block(self, height: int) -> StoredBlock | None:
        return await self._find(_blocks.c.height == height)

    async def block_by_hash(self, block_hash: bytes) -> StoredBlock | None:
        return await self._find(_blocks.c.hash == block_hash)

    async def _find(self, where: sa.ColumnElement[bool]) -> StoredBlock | None:
        def work(connection: Connection) -> StoredBlock | None:
            row = connection.execute(sa.select(_blocks).where(where)).one_or_none()
            return None if row is None else StoredBlock(*row)

        return await self._database.read(work)

    async def blocks(self, first: int, last: int) -> list[StoredBlock]:
        """Blocks first..last, newest first, at most `MAX_HEADERS`."""
        query = sa.select(_blocks).where(_blocks.c.height.between(first, last))
        query = query.order_by(_blocks.c.height.desc()).limit(MAX_HEADERS)

        def work(connection: Connection) -> list[StoredBlock]:
            return [StoredBlock(*row) for row in connection.execute(query)]

        return await self._database.read(work)

    async def transaction(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, position) of a transaction in a block."""

        def work(connection: Connection) -> tuple[int, int] | None:
            query = sa.select(_transactions.c.height, _transactions.c.position).where(_transactions.c.hash == tx_hash)
            row = connection.execute(query).one_or_none()
            return None if row is None else (row.height, row.position)

        return await self._database.read(work)

    async def marked(self, wanted: Sequence[bytes], first: int, last: int, limit: int) -> list[int]:
        """The first `limit` heights from `first` to `last` whose blocks may have all wanted marks, ascending."""
        if not wanted:
            query = sa.select(_blocks.c.height).where(_blocks.c.height.between(first, last))
            query = query.order_by(_blocks.c.height).limit(limit)
            return await self._database.read(lambda connection: list(connection.execute(query).scalars()))
        rows = sa.select(_marks).where(_marks.c.height.between(first, last)).order_by(_marks.c.height)

        def work(connection: Connection) -> list[int]:
            found = (row.height for row in connection.execute(rows) if may_hold(row.marks, wanted))
            return list(islice(found, limit))

        return await self._database.read(work)

    async def undo(self, newest: int, height: int) -> dict[bytes, bytes | None]:
        """Writes that lead from the state after block `newest` back to the one after block `height`."""
        query = sa.select(_replaced.c.key, _replaced.c.leaf)
        query = query.where(_replaced.c.height > height, _replaced.c.height <= newest)
        query = query.order_by(_replaced.c.height.desc())

        def work(connection: Connection) -> dict[bytes, bytes | None]:
            return {row.key: row.leaf for row in connection.execute(query)}

        return await self._database.read(work)

    async def leaf(self, height: int, key: bytes) -> bytes | None:
        """The leaf at `key` in the state after block `height`, as far back as `provable_from`."""
        # Forced to look the key up height by height: an index by key would cost every block more than this ever does.
        later = sa.text(
            "SELECT replaced.leaf FROM blocks CROSS JOIN replaced ON replaced.height = blocks.height AND"
            " replaced.key = :key WHERE blocks.height > :height ORDER BY blocks.height LIMIT 1"
        )

        def work(connection: Connection) -> bytes | None:
            row = connection.execute(later, {"key": key, "height": height}).one_or_none()
            if row is not None:
                return row.leaf  # type: ignore[no-any-return]
            return connection.execute(sa.select(_state.c.leaf).where(_state.c.key == key)).scalar()

        return await self._database.read(work)


def _prepare(connection: Connection, genesis_hash: bytes) -> None:
    _METADATA.create_all(connection)
    row = connection.execute(sa.select(_chain)).one_or_none()
    if row is None:
        connection.execute(sa.insert(_chain).values(id=1, layout=LAYOUT, genesis_hash=genesis_hash))
    elif row.layout != LAYOUT:
        raise FatalError(f"the chain's database has layout {row.layout}, this Causeway knows {LAYOUT}")
    elif row.genesis_hash != genesis_hash:
        raise FatalError("the chain's database belongs to another genesis file: use the home it was made in")


def _replaced_counts(connection: Connection) -> list[tuple[int, int]]:
    query = sa.select(_replaced.c.height, sa.func.count()).group_by(_replaced.c.height).order_by(_replaced.c.height)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _append(
    connection: Connection,
    block: StoredBlock,
    transactions: tuple[bytes, ...],
    changes: Changes,
    marks: bytes,
    first_kept: int,
) -> None:
    columns = {name: getattr(block, name) for name in StoredBlock.__slots__}
    connection.execute(sa.insert(_blocks), [columns])
    height = block.height
    if marks:
        connection.execute(sa.insert(_marks).values(height=height, marks=marks))
    _many(connection, _PUT_TRANSACTION, [(name, height, position) for position, name in enumerate(transactions)])
    _many(connection, _DELETE_LEAF, [(key,) for key, leaf in changes.writes.items() if leaf is None])
    _many(connection, _PUT_LEAF, sorted((key, leaf) for key, leaf in changes.writes.items() if leaf is not None))
    _many(connection, _PUT_REPLACED, [(height, key, changes.replaced[key]) for key in sorted(changes.replaced)])
    connection.execute(sa.delete(_replaced).where(_replaced.c.height < first_kept))


def _prune(connection: Connection, first: int) -> int:
    oldest = connection.execute(sa.select(sa.func.min(_blocks.c.height))).scalar()
    if oldest is None or oldest >= first:
        return 0
    end = min(first, oldest + MAX_PRUNED)
    connection.execute(sa.delete(_transactions).where(_transactions.c.height < end))
    connection.execute(sa.delete(_marks).where(_marks.c.height < end))
    return connection.execute(sa.delete(_blocks).where(_blocks.c.height < end)).rowcount


def _many(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(statement, rows)
