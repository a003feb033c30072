"""The EVM adapter passes the suite that every adapter passes, on a real anvil."""

from collections.abc import AsyncIterator

import pytest_asyncio

from adapters.conformance import ChainConformance
from tests.adapters.evm.harness import EvmHarness, evm_harness


@pytest_asyncio.fixture
async def harness() -> AsyncIterator[EvmHarness]:
    async with evm_harness() as running:
        yield running


class TestEvm(ChainConformance):
    pass
