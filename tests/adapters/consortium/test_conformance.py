"""The consortium adapter passes the suite that every adapter passes, on a node of our ledger."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.conformance import ChainConformance
from tests.adapters.consortium.harness import ConsortiumHarness, running


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ConsortiumHarness]:
    async with running(tmp_path / "chain") as chain:
        yield chain


class TestConsortium(ChainConformance):
    pass
