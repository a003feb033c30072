"""The memory chain passes the suite that every adapter passes, with fees and without."""

import pytest

from adapters.conformance import ChainConformance
from core.runtime.clock import ManualClock
from tests.adapters.memory.harness import FEES, MemoryHarness, make_chain


@pytest.fixture(params=["fees", "no fees"])
def harness(request: pytest.FixtureRequest) -> MemoryHarness:
    clock = ManualClock()
    fees = FEES if request.param == "fees" else None
    return MemoryHarness(make_chain(clock, fees=fees, knows_expiry=fees is None), clock)


class TestMemory(ChainConformance):
    pass
