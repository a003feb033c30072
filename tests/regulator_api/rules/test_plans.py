"""Observations of paths are found by their links: how many there are of others makes no difference."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.database import Database
from regulator_api.rules import tables
from regulator_api.rules.store import FORGET_LINKED, LINKED
from tests.indexer.test_plans import plan_of

MANY = 20_000


@pytest.fixture
async def many(database: Database) -> Database:
    def fill(connection: Connection) -> None:
        place = {"trigger_chain": "eip155:1", "trigger_height": 1, "trigger_index": 0, "trigger_direction": 0}
        connection.execute(
            sa.insert(tables.observations),
            [
                {"subject": f"s{number}", "trigger_s": number, "rule": "r", "anchor": "", "body": b"b" * 100, **place}
                | {"link": "" if number % 10 else f"swap/{number}"}
                for number in range(MANY)
            ],
        )
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("ANALYZE regulator_observations"))

    await database.write(fill)
    return database


@pytest.mark.parametrize(
    ("statement", "values"), [(LINKED, {"of_links": ["a", "b", "c"]}), (FORGET_LINKED, {"of_link": "a"})]
)
async def test_no_statement_looks_at_all_observations(many: Database, statement: Any, values: dict[str, Any]) -> None:
    found = await many.read(lambda c: plan_of(c, statement, **values))
    assert "ix_regulator_observations_link" in found, found
