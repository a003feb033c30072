"""A supervised world of two memory chains, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.runtime.database import Database, open_database
from regulator_api.service import SupervisedChain
from tests.indexer.world import A, B, World
from tests.regulator_api.api import Api, prepare, serving


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    else:
        opened = open_database(request.getfixturevalue("postgres_url"))
    await prepare(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def world(database: Database) -> World:
    made = World(database)
    await made.open()
    return made


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    chains = [SupervisedChain(world.access(chain).parameters, None, world.access(chain).state) for chain in (A, B)]
    async with serving(world.database, chains, world.clock) as made:
        yield made
