"""Projections that have one row for each event of a kind: stored with its block, and gone with it."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block
from core.model.types import ChainId
from indexer.projections.heights import HASHES, OF_CHAIN
from indexer.writing import insert_many

CHUNK: Final = 500
E = TypeVar("E")


def store_events(
    connection: Connection,
    table: sa.Table,
    applied: Sequence[Block],
    kind: type[E],
    columns: Callable[[E], dict[str, Any]],
) -> None:
    """Store a row for each event of the kind in these blocks: where it stands, and the `columns` of its own."""
    rows = [
        {
            "chain": block.header.chain,
            "height": block.header.height,
            "event_index": logged.index,
            "block_hash": block.header.ref.hash,
            "tx_hash": logged.tx_hash,
            "time_s": block.header.time.seconds,
            **columns(logged.event),
        }
        for block in applied
        for logged in block.events
        if isinstance(logged.event, kind)
    ]
    insert_many(connection, table, rows)


def forget_blocks(connection: Connection, table: sa.Table, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what the events of these blocks stored."""
    for first in range(0, len(hashes), CHUNK):
        connection.execute(_forget(table), {"of_chain": chain, "hashes": hashes[first : first + CHUNK]})


@cache
def _forget(table: sa.Table) -> sa.Delete:
    return sa.delete(table).where(table.c.chain == OF_CHAIN, table.c.block_hash.in_(HASHES))
