"""A deployed chain for the adapter's own tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.adapters.evm.endpoint import MiddleMan, middle_man
from tests.adapters.evm.harness import EvmHarness, evm_harness


@pytest_asyncio.fixture
async def evm() -> AsyncIterator[EvmHarness]:
    async with evm_harness() as running:
        yield running


@pytest_asyncio.fixture
async def liar(evm: EvmHarness) -> AsyncIterator[MiddleMan]:
    """An endpoint of the same chain that says what a test wants; honest until then."""
    async with middle_man(evm.anvil.rpc_url) as endpoint:
        yield endpoint
