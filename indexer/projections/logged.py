"""Projections that have one row for each event of a kind: stored with its block, and gone with it."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block
from core.model.types import ChainId
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
        part = hashes[first : first + CHUNK]
        connection.execute(sa.delete(table).where(table.c.chain == chain, table.c.block_hash.in_(part)))
