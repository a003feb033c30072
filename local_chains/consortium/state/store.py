"""Blocks, results and state in one SQLite file, each block with everything it did in one transaction.

Either a block, its commit, its results and its writes are all there after a crash, or none of them is. Of the last
`PROOF_HEIGHTS` blocks, or of the last `PROOF_WRITES` writes where those are fewer blocks, the leaves they replaced are
kept too, so that older states can be shown and proven.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError
from core.runtime.database import SqliteDatabase
from local_chains.consortium.state import tables
from local_chains.consortium.state.marks import may_hold

PROOF_HEIGHTS: Final = 1_000
"""How many heights back state is provable."""
PROOF_WRITES: Final = 1_000_000
"""How many writes back it is, at the most."""
MAX_HEADERS: Final = 20
"""Headers in one answer, as in CometBFT's `/blockchain`."""
MAX_PRUNED: Final = 100
"""Blocks that one transaction forgets."""
HASH_BYTES: Final = 32
HEAD_BYTES: Final = 8_192
"""Of a block's JSON: more than block id and header ever take."""

_decode_replaced = msgspec.msgpack.Decoder(dict[bytes, bytes | None]).decode


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
class BlockHead:
    """A block without what grows with it: `head` is the beginning of its JSON, `entries` how many entries it has."""

    height: int
    size: int
    head: bytes
    commit: bytes
    entries: int

    @property
    def document(self) -> Any:
        """Block id and header, as `/block` shows them. Raise `FatalError` if the database is damaged."""
        # A string cannot hold this text: its quotes would be escaped.
        found, marker, _ = self.head.partition(b',"data":')
        try:
            return msgspec.json.decode(found + b"}}") if marker else None
        except msgspec.DecodeError:
            raise FatalError(f"block {self.height} is damaged: restore the home from a backup") from None


@dataclass(frozen=True, slots=True)
class Changes:
    """A block's changes to the state, and the leaves that were there before (None: no leaf)."""

    writes: Mapping[bytes, bytes | None]
    replaced: Mapping[bytes, bytes | None]


class Store:
    """The file `path`. Several nodes must not share one."""

    def __init__(self, path: Path) -> None:
        self._database = SqliteDatabase(path)
        self._kept: deque[tuple[int, int]] = deque()
        self._kept_writes = 0
        self._first = 0

    async def open(self, genesis_hash: bytes) -> None:
        """Create what is missing. Raise `FatalError` if the file belongs to another chain or layout."""
        await self._database.write(lambda connection: _prepare(connection, genesis_hash))
        for height, count in await self._database.read(_replaced_counts):
            self._count(height, count)
        self._first, _ = await self.heights()

    @property
    def first(self) -> int:
        """The oldest block's height; 0 before the first."""
        return self._first

    @property
    def provable_from(self) -> int:
        """The oldest height whose state can be made again from the newest."""
        oldest = self._first if self._first > 1 else 0
        return max(oldest, self._kept[0][0] - 1) if self._kept else oldest

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
        self._first = self._first or block.height

    async def prune(self, first: int) -> int:
        """Forget blocks below height `first`, at most `MAX_PRUNED` at a time, and return how many those were.

        The state is not touched; `first` must not be above the newest block.
        """
        count = await self._database.write(lambda connection: _prune(connection, first))
        self._first, _ = await self.heights()
        return count

    async def restore(self, block: StoredBlock, leaves: Mapping[bytes, bytes]) -> None:
        """Begin with the state after `block` instead of the genesis state. Only before the first block."""

        def work(connection: Connection) -> None:
            connection.execute(sa.delete(tables.state))
            _put(connection, tables.state, sorted(leaves.items()))
            connection.execute(sa.insert(tables.blocks), [_columns(block)])

        await self._database.write(work)
        self._first = block.height

    async def write_genesis(self, leaves: Mapping[bytes, bytes]) -> None:
        """The state before the first block."""

        def work(connection: Connection) -> None:
            connection.execute(sa.insert(tables.state), [{"key": key, "leaf": leaf} for key, leaf in leaves.items()])

        await self._database.write(work)

    async def leaves(self) -> dict[bytes, bytes]:
        """The whole newest state."""

        def work(connection: Connection) -> dict[bytes, bytes]:
            return {row.key: row.leaf for row in connection.execute(sa.select(tables.state))}

        return await self._database.read(work)

    async def heights(self) -> tuple[int, int]:
        """The first and the last block's height; (0, 0) before the first."""

        def work(connection: Connection) -> tuple[int, int]:
            found = connection.execute(
                sa.select(sa.func.min(tables.blocks.c.height), sa.func.max(tables.blocks.c.height))
            ).one()
            return found[0] or 0, found[1] or 0

        return await self._database.read(work)

    async def block(self, height: int) -> StoredBlock | None:
        return await self._find(tables.blocks.c.height == height)

    async def block_by_hash(self, block_hash: bytes) -> StoredBlock | None:
        return await self._find(tables.blocks.c.hash == block_hash)

    async def _find(self, where: sa.ColumnElement[bool]) -> StoredBlock | None:
        def work(connection: Connection) -> StoredBlock | None:
            row = connection.execute(sa.select(tables.blocks).where(where)).one_or_none()
            return None if row is None else StoredBlock(*row)

        return await self._database.read(work)

    async def height_of(self, block_hash: bytes) -> int | None:
        """The height of the block of this hash."""
        query = sa.select(tables.blocks.c.height).where(tables.blocks.c.hash == block_hash)

        def work(connection: Connection) -> int | None:
            found: int | None = connection.execute(query).scalar()
            return found

        return await self._database.read(work)

    async def head(self, height: int) -> BlockHead | None:
        """The head of the block at `height`."""
        found = await self.heads(height, height)
        return found[0] if found else None

    async def heads(self, first: int, last: int) -> list[BlockHead]:
        """The heads of blocks first..last, newest first, at most `MAX_HEADERS`. No whole block is read."""
        blocks, contents = tables.blocks.c, tables.contents.c
        query = sa.select(
            blocks.height,
            blocks.size,
            sa.func.substr(blocks.block, 1, HEAD_BYTES),
            blocks.commit,
            sa.func.coalesce(sa.func.length(contents.hashes), 0) / HASH_BYTES,
        )
        query = query.select_from(tables.blocks.outerjoin(tables.contents, contents.height == blocks.height))
        query = query.where(blocks.height.between(first, last)).order_by(blocks.height.desc()).limit(MAX_HEADERS)

        def work(connection: Connection) -> list[BlockHead]:
            return [BlockHead(row[0], row[1], row[2], row[3], int(row[4])) for row in connection.execute(query)]

        return await self._database.read(work)

    async def transaction(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, position) of a transaction in a block."""

        def work(connection: Connection) -> tuple[int, int] | None:
            query = sa.select(tables.transactions.c.height, tables.transactions.c.position).where(
                tables.transactions.c.hash == tx_hash
            )
            row = connection.execute(query).one_or_none()
            return None if row is None else (row.height, row.position)

        return await self._database.read(work)

    async def marked(self, wanted: Sequence[bytes], first: int, last: int, limit: int) -> list[int]:
        """The first `limit` heights from `first` to `last` whose blocks may have all wanted marks, ascending."""
        if not wanted:
            query = sa.select(tables.blocks.c.height).where(tables.blocks.c.height.between(first, last))
            query = query.order_by(tables.blocks.c.height).limit(limit)
            return await self._database.read(lambda connection: list(connection.execute(query).scalars()))
        contents = tables.contents.c
        rows = sa.select(contents.height, contents.marks)
        rows = rows.where(contents.height.between(first, last)).order_by(contents.height)

        def work(connection: Connection) -> list[int]:
            found = (row.height for row in connection.execute(rows) if may_hold(row.marks, wanted))
            return list(islice(found, limit))

        return await self._database.read(work)

    async def undo(self, newest: int, height: int) -> dict[bytes, bytes | None]:
        """Writes that lead from the state after block `newest` back to the one after block `height`."""
        replaced = tables.replaced.c
        query = sa.select(replaced.leaves).where(replaced.height > height, replaced.height <= newest)
        query = query.order_by(replaced.height.desc())

        def work(connection: Connection) -> dict[bytes, bytes | None]:
            undone: dict[bytes, bytes | None] = {}
            for leaves in connection.execute(query).scalars():
                undone.update(_decode_replaced(leaves))
            return undone

        return await self._database.read(work)

    async def leaf(self, height: int, key: bytes) -> bytes | None:
        """The leaf at `key` in the state after block `height`, as far back as `provable_from`."""
        replaced = tables.replaced.c
        # Most heights did not write the key: SQLite finds that out without handing them over.
        query = sa.select(replaced.leaves).where(replaced.height > height, sa.func.instr(replaced.leaves, key) > 0)
        query = query.order_by(replaced.height)

        def work(connection: Connection) -> bytes | None:
            for leaves in connection.execute(query).scalars():
                earlier = _decode_replaced(leaves)
                if key in earlier:
                    return earlier[key]
            return connection.execute(sa.select(tables.state.c.leaf).where(tables.state.c.key == key)).scalar()

        return await self._database.read(work)


def _prepare(connection: Connection, genesis_hash: bytes) -> None:
    tables.METADATA.create_all(connection)
    row = connection.execute(sa.select(tables.chain)).one_or_none()
    if row is None:
        connection.execute(sa.insert(tables.chain).values(id=1, layout=tables.LAYOUT, genesis_hash=genesis_hash))
    elif row.layout != tables.LAYOUT:
        raise FatalError(
            f"the chain's database has layout {row.layout}, this Causeway knows {tables.LAYOUT}: run the version that "
            "made it, or begin a new chain in another home"
        )
    elif row.genesis_hash != genesis_hash:
        raise FatalError("the chain's database belongs to another genesis file: use the home it was made in")


def _replaced_counts(connection: Connection) -> list[tuple[int, int]]:
    query = sa.select(tables.replaced.c.height, tables.replaced.c.count).order_by(tables.replaced.c.height)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _append(
    connection: Connection,
    block: StoredBlock,
    transactions: tuple[bytes, ...],
    changes: Changes,
    marks: bytes,
    first_kept: int,
) -> None:
    connection.execute(sa.insert(tables.blocks), [_columns(block)])
    height = block.height
    if transactions or marks:
        named = {"height": height, "hashes": b"".join(transactions), "marks": marks}
        connection.execute(sa.insert(tables.contents), [named])
    places = sorted((name, height, position) for position, name in enumerate(transactions))
    _put(connection, tables.transactions, places)
    _many(connection, tables.DELETE_LEAF, [(key,) for key, leaf in changes.writes.items() if leaf is None])
    _put(connection, tables.state, sorted((key, leaf) for key, leaf in changes.writes.items() if leaf is not None))
    undo = {"height": height, "count": len(changes.replaced), "leaves": msgspec.msgpack.encode(changes.replaced)}
    connection.execute(sa.insert(tables.replaced), [undo])
    connection.execute(sa.delete(tables.replaced).where(tables.replaced.c.height < first_kept))


def _columns(block: StoredBlock) -> dict[str, Any]:
    return {name: getattr(block, name) for name in StoredBlock.__slots__}


def _prune(connection: Connection, first: int) -> int:
    oldest = connection.execute(sa.select(sa.func.min(tables.blocks.c.height))).scalar()
    if oldest is None or oldest >= first:
        return 0
    end = min(first, oldest + MAX_PRUNED)
    contents = tables.contents.c
    for hashes in connection.execute(sa.select(contents.hashes).where(contents.height < end)).scalars():
        names = [(hashes[start : start + HASH_BYTES], end) for start in range(0, len(hashes), HASH_BYTES)]
        _many(connection, tables.DELETE_TRANSACTION, names)
    connection.execute(sa.delete(tables.contents).where(contents.height < end))
    return connection.execute(sa.delete(tables.blocks).where(tables.blocks.c.height < end)).rowcount


def _put(connection: Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    many = tables.MAX_VARIABLES // len(table.c)
    whole = len(rows) - len(rows) % many
    for first in range(0, whole, many):
        connection.exec_driver_sql(tables.put(table, many), tuple(chain.from_iterable(rows[first : first + many])))
    _many(connection, tables.put(table, 1), list(rows[whole:]))


def _many(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(statement, rows)
