"""The API answers as its own OpenAPI document says, whatever is asked."""

from pathlib import Path

import pytest

from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from regulator_api.service import SupervisedChain
from tests.indexer.world import A, B, World
from tests.openapi import assert_speaks_its_openapi
from tests.regulator_api.api import prepare, serving


@pytest.mark.long
async def test_it_speaks_its_openapi(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(database)
    world = World(database, ManualClock())
    await world.open()
    deal = world.deal()
    await world.lock(deal.initiator)
    await world.finalize()
    chains = [SupervisedChain(world.access(chain).parameters) for chain in (A, B)]
    async with serving(database, chains, world.clock) as api:
        for who, examples in (("developer", 5), ("swiss", 1)):
            assert await assert_speaks_its_openapi(api.address, {"X-API-Key": api.keys[who]}, examples) >= 50
    await database.close()
