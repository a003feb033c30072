"""Rows written in bulk are the rows that SQLAlchemy would have written, and fail as its own do."""

from typing import Any

import pytest
import sqlalchemy as sa

from core.model.errors import ConflictError
from core.runtime.database import Database
from indexer.tables import events, facts
from indexer.writing import COPY_ROWS, insert_many


def event_rows(count: int) -> list[dict[str, Any]]:
    nothing = dict.fromkeys(("lock_id", "receiver"))
    return [
        nothing
        | {
            "canonical": number % 3 != 0,
            "payload": "{}",
            "kind": "transferred",
            "chain": "memory:a",
            "block_hash": b"\x00\xff",
            "event_index": number,
            "height": number,
            "time_s": 2**40 + number,
            "tx_hash": number.to_bytes(4, "big"),
            "hashlock": None if number % 2 else bytes(32),
            "asset": "memory:a/asset:ä\t\\N",
            "sender": None,
            "amount": None if number % 5 == 0 else 2**256 - 1 - number,
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [1, COPY_ROWS - 1, COPY_ROWS])
async def test_rows_come_back_as_they_were_given(database: Database, count: int) -> None:
    rows = event_rows(count)
    await database.write(lambda connection: insert_many(connection, events, rows))
    query = sa.select(events).order_by(events.c.event_index)
    found = await database.read(lambda connection: [dict(row) for row in connection.execute(query).mappings()])
    assert found == rows


@pytest.mark.parametrize("count", [2, COPY_ROWS + 1])
async def test_a_row_that_is_there_is_a_conflict_and_nothing_is_stored(database: Database, count: int) -> None:
    rows = [
        {"seq": n + 1, "chain": "memory:a", "kind": "applied", "height": n, "block_hash": b"1"} for n in range(count)
    ]
    rows[-1]["seq"] = 1
    with pytest.raises(ConflictError):
        await database.write(lambda connection: insert_many(connection, facts, rows))
    left = sa.select(sa.func.count()).select_from(facts)
    assert await database.read(lambda connection: connection.execute(left).scalar_one()) == 0
