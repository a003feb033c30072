"""The conformance suite of adapters, shipped: for our own chains and for those of third parties.

In a test module of the adapter, with pytest-asyncio in auto mode:

    from adapters.conformance import ChainConformance, ChainHarness

    @pytest.fixture
    async def harness() -> AsyncIterator[ChainHarness]:
        ...                                    # start a chain, yield what the suite needs of it, stop it

    class TestMyChain(ChainConformance):
        pass

Each test makes accounts of its own, so one chain may serve them all.
"""

import pytest

pytest.register_assert_rewrite(
    "adapters.conformance.batches",
    "adapters.conformance.blocks",
    "adapters.conformance.consents",
    "adapters.conformance.locks",
    "adapters.conformance.openings",
    "adapters.conformance.reorgs",
    "adapters.conformance.transactions",
    "adapters.conformance.transfers",
)

from adapters.conformance.batches import BatchConformance  # noqa: E402
from adapters.conformance.blocks import BlockConformance, HeadConformance, StateConformance  # noqa: E402
from adapters.conformance.consents import ConsentConformance  # noqa: E402
from adapters.conformance.harness import FUNDS, ChainHarness  # noqa: E402
from adapters.conformance.locks import LockConformance, LockReaderConformance  # noqa: E402
from adapters.conformance.openings import OpeningConformance  # noqa: E402
from adapters.conformance.reorgs import ReorgConformance  # noqa: E402
from adapters.conformance.transactions import TransactionConformance  # noqa: E402
from adapters.conformance.transfers import TransferConformance  # noqa: E402


class ChainConformance(
    HeadConformance,
    BlockConformance,
    StateConformance,
    LockConformance,
    LockReaderConformance,
    ConsentConformance,
    OpeningConformance,
    BatchConformance,
    TransactionConformance,
    TransferConformance,
    ReorgConformance,
):
    """The whole suite."""


__all__ = [
    "FUNDS",
    "BatchConformance",
    "BlockConformance",
    "ChainConformance",
    "ChainHarness",
    "ConsentConformance",
    "HeadConformance",
    "LockConformance",
    "LockReaderConformance",
    "OpeningConformance",
    "ReorgConformance",
    "StateConformance",
    "TransactionConformance",
    "TransferConformance",
]
