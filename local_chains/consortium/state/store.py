"""Blocks, results and state in one SQLite file, each block with everything it did in one transaction.

Either a block, its commit, its results and its writes are all there after a crash, or none of them is. The writes are
there as one record, and come into the tables later (`state.backlog`). Of the last `PROOF_HEIGHTS` blocks, or of the
last `PROOF_WRITES` writes if those are fewer blocks, the leaves they replaced are kept too, so that older states can
be shown and proven.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError
from core.runtime.database import SqliteDatabase
from local_chains.consortium.state import tables, writing
from local_chains.consortium.state.backlog import Backlog
from local_chains.consortium.state.marks import may_hold
from local_chains.consortium.state.writing import decode_writes, split_hashes

PROOF_HEIGHTS: Final = 4_000
"""How many heights back state is provable: a quarter of an hour of blocks at the pace of `init`."""
PROOF_WRITES: Final = 1_000_000
"""How many writes back it is, at the most."""
MAX_PRUNED: Final = 100
"""Blocks that one transaction forgets."""
MAX_READS: Final = 4
"""Pieces of reading that the database has in hand at once, enough for its readers. Others wait here: what it answered
while the event loop was busy comes back in one round."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One block as CometBFT's RPC shows it: `block`, `commit` and `validators` are JSON.

    `block` holds block id and block, `commit` is the one that made this very block final, `validators` the set of its
    height with priorities. `results` is a record of its effect (`engine.rendering`). `app_hash` is that of the state
    after it.
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
        self._reads = asyncio.Semaphore(MAX_READS)
        self._kept: deque[tuple[int, int]] = deque()
        self._kept_writes = 0
        self._first = 0
        self._backlog = Backlog()

    async def open(self, genesis_hash: bytes) -> None:
        """Create what is missing. Raise `FatalError` if the file belongs to another chain or layout."""
        await self._database.write(lambda connection: _prepare(connection, genesis_hash))
        for height, count in await self._read(_replaced_counts):
            self._count(height, count)
        self._first, _ = await self.heights()
        self._backlog = await self._read(_backlog)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with self._reads:
            return await self._database.read(work)

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
        columns = _columns(block)
        redo, piece = writing.encode_writes(changes.writes), self._backlog.piece()

        def work(connection: Connection) -> None:
            writing.append(connection, columns, transactions, changes.replaced, marks, first)
            connection.execute(sa.insert(tables.redo), [{"height": block.height, "leaves": redo}])
            writing.settle(connection, piece)

        await self._database.write(work)
        self._backlog.stored(piece)
        self._backlog.add(block.height, changes.writes, transactions, len(redo))
        self._count(block.height, len(changes.replaced))
        self._first = self._first or block.height

    async def prune(self, first: int) -> int:
        """Forget blocks below height `first`, at most `MAX_PRUNED` at a time, and return how many those were.

        The state is not touched; `first` must not be above the newest block.
        """

        def work(connection: Connection) -> tuple[int, int, list[bytes], int]:
            return *writing.prune(connection, first, MAX_PRUNED), _heights(connection)[0]

        count, end, names, self._first = await self._database.write(work)
        self._backlog.forget(names, end)
        return count

    async def restore(self, block: StoredBlock, leaves: Mapping[bytes, bytes]) -> None:
        """Begin with the state after `block` instead of the genesis state. Only before the first block."""

        def work(connection: Connection) -> None:
            connection.execute(sa.delete(tables.state))
            writing.put(connection, tables.state, sorted(leaves.items()))
            connection.execute(sa.insert(tables.blocks), [_columns(block)])
            connection.execute(sa.update(tables.chain).values(settled=block.height))

        await self._database.write(work)
        self._first = block.height
        self._backlog = Backlog(block.height)

    async def write_genesis(self, leaves: Mapping[bytes, bytes]) -> None:
        """The state before the first block."""

        def work(connection: Connection) -> None:
            connection.execute(sa.insert(tables.state), [{"key": key, "leaf": leaf} for key, leaf in leaves.items()])

        await self._database.write(work)

    async def leaves(self) -> dict[bytes, bytes]:
        """The whole newest state."""

        return await self._read(_leaves)

    async def heights(self) -> tuple[int, int]:
        """The first and the last block's height; (0, 0) before the first."""
        return await self._read(_heights)

    async def block(self, height: int) -> StoredBlock | None:
        return await self._find(tables.blocks.c.height == height)

    async def block_by_hash(self, block_hash: bytes) -> StoredBlock | None:
        return await self._find(tables.blocks.c.hash == block_hash)

    async def _find(self, where: sa.ColumnElement[bool]) -> StoredBlock | None:
        def work(connection: Connection) -> StoredBlock | None:
            row = connection.execute(sa.select(tables.blocks).where(where)).one_or_none()
            return None if row is None else StoredBlock(*row)

        return await self._read(work)

    async def height_of(self, block_hash: bytes) -> int | None:
        """The height of the block of this hash."""
        query = sa.select(tables.blocks.c.height).where(tables.blocks.c.hash == block_hash)

        def work(connection: Connection) -> int | None:
            found: int | None = connection.execute(query).scalar()
            return found

        return await self._read(work)

    async def head(self, height: int) -> BlockHead | None:
        """The head of the block at `height`."""
        found = await self.heads(height, height)
        return found[0] if found else None

    async def heads(self, first: int, last: int) -> list[BlockHead]:
        """The heads of blocks first..last, newest first, at most `MAX_HEADERS`. No whole block is read."""

        def work(connection: Connection) -> list[BlockHead]:
            rows = connection.execute(tables.HEADS, {"first": first, "last": last})
            return [BlockHead(row[0], row[1], row[2], row[3], int(row[4])) for row in rows]

        return await self._read(work)

    async def transaction(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, position) of a transaction in a block."""

        waiting = self._backlog.place(tx_hash)
        if waiting is not None:
            return waiting

        def work(connection: Connection) -> tuple[int, int] | None:
            query = sa.select(tables.transactions.c.height, tables.transactions.c.position).where(
                tables.transactions.c.hash == tx_hash
            )
            row = connection.execute(query).one_or_none()
            return None if row is None else (row.height, row.position)

        return await self._read(work)

    async def marked(self, wanted: Sequence[bytes], first: int, last: int, limit: int) -> list[int]:
        """The first `limit` heights from `first` to `last` whose blocks may have all wanted marks, ascending."""
        if not wanted:
            query = sa.select(tables.blocks.c.height).where(tables.blocks.c.height.between(first, last))
            query = query.order_by(tables.blocks.c.height).limit(limit)
            return await self._read(lambda connection: list(connection.execute(query).scalars()))
        contents = tables.contents.c
        rows = sa.select(contents.height, contents.marks)
        rows = rows.where(contents.height.between(first, last)).order_by(contents.height)

        def work(connection: Connection) -> list[int]:
            found = (row.height for row in connection.execute(rows) if may_hold(row.marks, wanted))
            return list(islice(found, limit))

        return await self._read(work)

    async def entries(self, first: int, last: int, limit: int) -> list[tuple[int, int]]:
        """(height, how many entries the block has) of the first `limit` heights from `first` to `last`, ascending."""

        def work(connection: Connection) -> list[tuple[int, int]]:
            rows = connection.execute(tables.ENTRIES, {"first": first, "last": last, "most": limit})
            return [(row[0], int(row[1])) for row in rows]

        return await self._read(work)

    async def undo(self, newest: int, height: int) -> dict[bytes, bytes | None]:
        """Writes that lead from the state after block `newest` back to the one after block `height`."""
        replaced = tables.replaced.c
        query = sa.select(replaced.leaves).where(replaced.height > height, replaced.height <= newest)
        query = query.order_by(replaced.height.desc())

        def work(connection: Connection) -> dict[bytes, bytes | None]:
            undone: dict[bytes, bytes | None] = {}
            for leaves in connection.execute(query).scalars():
                undone.update(decode_writes(leaves))
            return undone

        return await self._read(work)

    async def leaf(self, height: int, key: bytes) -> bytes | None:
        """The leaf at `key` in the state after block `height`, as far back as `provable_from`."""

        def work(connection: Connection) -> bytes | None:
            # If nothing after `height` wrote it, what was written last is what it was then.
            for query, named in (
                (tables.REPLACED_LATER, {"height": height, "key": key}),
                (tables.WRITTEN_LAST, {"key": key}),
            ):
                for leaves in connection.execute(query, named).scalars():
                    writes = decode_writes(leaves)
                    if key in writes:
                        return writes[key]
            return connection.execute(sa.select(tables.state.c.leaf).where(tables.state.c.key == key)).scalar()

        return await self._read(work)


def _prepare(connection: Connection, genesis_hash: bytes) -> None:
    tables.METADATA.create_all(connection)
    row = connection.execute(sa.select(tables.chain)).one_or_none()
    if row is None:
        fresh = {"id": 1, "layout": tables.LAYOUT, "genesis_hash": genesis_hash, "settled": 0}
        connection.execute(sa.insert(tables.chain), [fresh])
    elif row.layout != tables.LAYOUT:
        raise FatalError(
            f"the chain's database has layout {row.layout}, this Causeway knows {tables.LAYOUT}: run the version that "
            "made it, or begin a new chain in another home"
        )
    elif row.genesis_hash != genesis_hash:
        raise FatalError("the chain's database belongs to another genesis file: use the home it was made in")


def _heights(connection: Connection) -> tuple[int, int]:
    first, last = connection.execute(tables.EXTENT).one()
    return first or 0, last or 0


def _replaced_counts(connection: Connection) -> list[tuple[int, int]]:
    query = sa.select(tables.replaced.c.height, tables.replaced.c.count).order_by(tables.replaced.c.height)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _backlog(connection: Connection) -> Backlog:
    """Return what the newest blocks wrote and the tables lack."""
    found = Backlog(connection.execute(sa.select(tables.chain.c.settled)).scalar_one())
    redo, contents = tables.redo, tables.contents
    rows = sa.select(redo.c.height, redo.c.leaves, contents.c.hashes).where(redo.c.height > found.settled)
    rows = rows.select_from(redo.outerjoin(contents, contents.c.height == redo.c.height)).order_by(redo.c.height)
    for height, leaves, hashes in connection.execute(rows):
        found.add(height, decode_writes(leaves), split_hashes(hashes or b""), len(leaves))
    return found


def _leaves(connection: Connection) -> dict[bytes, bytes]:
    leaves: dict[bytes, bytes] = {row.key: row.leaf for row in connection.execute(sa.select(tables.state))}
    for written in connection.execute(sa.select(tables.redo.c.leaves).order_by(tables.redo.c.height)).scalars():
        for key, leaf in decode_writes(written).items():
            if leaf is None:
                leaves.pop(key, None)
            else:
                leaves[key] = leaf
    return leaves


def _columns(block: StoredBlock) -> dict[str, Any]:
    return {name: getattr(block, name) for name in StoredBlock.__slots__}
