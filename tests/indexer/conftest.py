"""A prepared database of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.runtime.database import METADATA, Database, create_schema, open_database
from indexer.tables import TABLES


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path}/index.sqlite")
    else:
        opened = open_database(request.getfixturevalue("postgres_url"))

    def empty(connection: sa.Connection) -> None:
        METADATA.drop_all(connection)
        create_schema(connection, TABLES)

    await opened.write(empty)
    yield opened
    await opened.close()
