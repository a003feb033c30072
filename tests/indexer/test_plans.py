"""Legs of swaps are found by their hashlock, whatever the database believes to be cheaper."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import SwapId
from core.runtime.database import METADATA, Database, create_schema, open_database
from indexer import tables
from indexer.projections import histories, locks
from regulator_api.view import edges

SWAPS = 4_000
ROLES = ("initiator", "participant")


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An index of many swaps between few accounts, both legs of each claimed."""
    url = f"sqlite:///{tmp_path}/db.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = open_database(url)
    await opened.write(METADATA.drop_all)
    await opened.write(create_schema)
    await opened.write(fill)
    yield opened
    await opened.close()


def hashlock(number: int) -> bytes:
    return number.to_bytes(32, "big")


def fill(connection: Connection) -> None:
    legs, made = [], []
    for number in range(SWAPS):
        for chain, role in enumerate(ROLES):
            terms: dict[str, Any] = {
                "chain": f"eip155:{chain + 1}",
                "asset": f"eip155:{chain + 1}/slip44:60",
                "amount": 10**18 + number % 5,
                "sender": f"eip155:{chain + 1}:0x0{number % 3}",
                "receiver": f"eip155:{chain + 1}:0x1{number % 3}",
                "timelock": 10_000 + number % 7,
            }
            place = {"lock_height": number, "lock_index": 0, "lock_id": f"{number}", "hashlock": hashlock(number)}
            stood = {"status": "claimed", "lock_tx": b"t", "lock_block": b"b", "lock_time_s": number}
            ended = {"settle_tx": b"s", "settle_block": b"b", "settle_height": number + 1, "settle_index": 0}
            legs.append({"swap_id": f"swap-{number}", "role": role, **terms})
            made.append({**place, **terms, **stood, **ended, "settle_time_s": number + 1, "preimage": None})
    agreed = [
        {"swap_id": f"swap-{number}", "hashlock": hashlock(number), "source": "test", "reported_ns": number}
        for number in range(SWAPS)
    ]
    connection.execute(sa.insert(tables.agreements), agreed)
    connection.execute(sa.insert(tables.agreement_legs), legs)
    connection.execute(sa.insert(tables.locks), made)
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("ANALYZE"))


def plan_of(connection: Connection, statement: Any, **values: Any) -> str:
    """Return how the database means to find what a statement with these values asks for."""
    state = statement.compile(dialect=connection.dialect).construct_expanded_state(values)
    words = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    rows = connection.exec_driver_sql(f"{words} {state.statement}", tuple(state.positional_parameters)).fetchall()
    return "\n".join(str(row[-1]) for row in rows)


@pytest.mark.parametrize("many", [2, 51])
async def test_no_statement_looks_at_all_locks(database: Database, many: int) -> None:
    def work(connection: Connection) -> list[str]:
        swaps = [f"swap-{number}" for number in range(many)]
        under = [hashlock(number) for number in range(many)]
        return [
            plan_of(connection, locks.matching_legs(tables.locks).where(locks.OF_SWAPS), swap_ids=swaps),
            plan_of(connection, histories.LEGS, hashlocks=under),
            plan_of(connection, edges.legs_of(sa.select(tables.locks)), hashlocks=under),
        ]

    for plan in await database.read(work):
        assert "ix_indexer_locks_hashlock" in plan, plan
        assert "Seq Scan on indexer_locks" not in plan, plan
        assert "SCAN indexer_locks" not in plan, plan


async def test_the_legs_are_those_of_the_swaps(database: Database) -> None:
    wanted = [SwapId(f"swap-{number}") for number in (0, 7, SWAPS - 1)]
    found = await database.read(lambda c: locks.matching_locks(c, wanted))
    assert {(swap, role): row.locked.height for (swap, role), row in found.items()} == {
        (swap, role): int(swap.removeprefix("swap-")) for swap in wanted for role in ROLES
    }
