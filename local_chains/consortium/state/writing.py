"""How a block's rows get into a chain's file and out of it; each function is a part of one transaction."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError
from local_chains.consortium.state import tables
from local_chains.consortium.state.backlog import Piece
from local_chains.consortium.state.tables import HASH_BYTES

encode_writes: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(dict[bytes, bytes | None]).decode


def decode_writes(raw: bytes) -> dict[bytes, bytes | None]:
    """Keys and leaves as `encode_writes` wrote them. Raise `FatalError` if the record is damaged."""
    try:
        return _decode(raw)
    except msgspec.MsgspecError as error:
        raise FatalError("a record of a block's writes is damaged: restore the chain's home from a backup") from error


def settle(connection: Connection, piece: Piece) -> None:
    """Put rows into the tables; what is complete in them needs no redo records."""
    put(connection, tables.transactions, piece.places)
    _many(connection, tables.DELETE_LEAF, [(key,) for key, leaf in piece.leaves if leaf is None])
    put(connection, tables.state, [row for row in piece.leaves if row[1] is not None])
    if piece.settled is not None:
        connection.execute(sa.update(tables.chain).values(settled=piece.settled))
        connection.execute(sa.delete(tables.redo).where(tables.redo.c.height <= piece.settled))


def split_hashes(hashes: bytes) -> list[bytes]:
    """The hashes of a block's transactions, as `contents` has them."""
    return [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]


def append(
    connection: Connection,
    block: Mapping[str, Any],
    transactions: tuple[bytes, ...],
    replaced: Mapping[bytes, bytes | None],
    marks: bytes,
    first_kept: int,
) -> None:
    """A block's rows, and the leaves that it replaced; those of blocks below `first_kept` are forgotten."""
    connection.execute(sa.insert(tables.blocks), [block])
    height = block["height"]
    if transactions or marks:
        named = {"height": height, "hashes": b"".join(transactions), "marks": marks}
        connection.execute(sa.insert(tables.contents), [named])
    undo = {"height": height, "count": len(replaced), "leaves": encode_writes(replaced)}
    connection.execute(sa.insert(tables.replaced), [undo])
    connection.execute(sa.delete(tables.replaced).where(tables.replaced.c.height < first_kept))


def prune(connection: Connection, first: int, most: int) -> tuple[int, int, list[bytes]]:
    """Forget blocks below height `first`, at most `most`: (how many, the height below which none is left, the hashes of
    their transactions)."""
    oldest = connection.execute(sa.select(sa.func.min(tables.blocks.c.height))).scalar()
    if oldest is None or oldest >= first:
        return 0, first, []
    end = min(first, oldest + most)
    contents = tables.contents.c
    hashes = b"".join(connection.execute(sa.select(contents.hashes).where(contents.height < end)).scalars())
    names = split_hashes(hashes)
    _many(connection, tables.DELETE_TRANSACTION, [(name, end) for name in names])
    connection.execute(sa.delete(tables.contents).where(contents.height < end))
    return connection.execute(sa.delete(tables.blocks).where(tables.blocks.c.height < end)).rowcount, end, names


def put(connection: Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows with all columns, each instead of one that is there."""
    many = tables.MAX_VARIABLES // len(table.c)
    whole = len(rows) - len(rows) % many
    for first in range(0, whole, many):
        connection.exec_driver_sql(tables.put(table, many), tuple(chain.from_iterable(rows[first : first + many])))
    _many(connection, tables.put(table, 1), list(rows[whole:]))


def _many(connection: Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(statement, rows)
