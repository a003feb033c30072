"""Quiet logs, as deaths that a test orders are not logged; and an office of the relayer's checks."""

import io
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from core.runtime.database import create_schema
from core.runtime.logging import configure_logging
from tests.relayer.office import Office


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    configure_logging("error", stream=io.StringIO())


@pytest_asyncio.fixture
async def office() -> AsyncIterator[Office]:
    made = Office()
    await made.database.write(create_schema)
    yield made
    await made.database.close()
