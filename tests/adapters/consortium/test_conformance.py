"""The consortium adapter passes the suite that every adapter passes, on one node of our ledger."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.conformance import ChainConformance
from tests.adapters.consortium.harness import ConsortiumHarness, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsortiumHarness]:
    async with running(tmp_path_factory.mktemp("consortium") / "chain") as chain:
        yield chain


@pytest.mark.asyncio(loop_scope="module")
class TestConsortium(ChainConformance):
    pass
