"""Fixtures that tests of the runtime share."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.runtime.database import Database, open_database
from core.runtime.logging import configure_logging


@pytest.fixture(params=["inline", "sqlite", "postgres"])
async def each_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of each of the three kinds; who takes it drops and makes the tables it needs."""
    match request.param:
        case "inline":
            opened = open_database("sqlite://")
        case "sqlite":
            opened = open_database(f"sqlite:///{tmp_path}/made/on/demand/db.sqlite")
        case _:
            opened = open_database(request.getfixturevalue("postgres_url"))
    yield opened
    await opened.close()


@pytest.fixture
def lines() -> io.StringIO:
    """The log at info, as JSON lines."""
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    return stream
