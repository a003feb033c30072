"""The EVM adapter passes the suite that every adapter passes, on a real anvil: by one endpoint, and by three."""

from collections.abc import AsyncIterator

import pytest_asyncio

from adapters.conformance import ChainConformance
from core.model.ports import ChainAccess
from tests.adapters.evm.harness import EvmHarness, evm_harness
from tests.adapters.evm.test_quorum import connect_through


class TestEvm(ChainConformance):
    @pytest_asyncio.fixture
    async def harness(self) -> AsyncIterator[EvmHarness]:
        async with evm_harness() as running:
            yield running


class JoinedHarness(EvmHarness):
    """The same chain, seen through the endpoints of three operators."""

    joined: ChainAccess

    @property
    def access(self) -> ChainAccess:
        return self.joined


class TestEvmThroughThreeEndpoints(ChainConformance):
    @pytest_asyncio.fixture
    async def harness(self) -> AsyncIterator[EvmHarness]:
        async with evm_harness() as running:
            chain = await connect_through(running, [running.anvil.rpc_url] * 3)
            harness = JoinedHarness(running.anvil, running.contracts, running.chain, running.bank)
            harness.joined = chain.access
            yield harness
            await chain.close()
