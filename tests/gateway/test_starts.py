"""A start that no block of the chain can be is refused before anything is followed."""

import msgspec
import pytest

from adapters.memory import Endpoint, MemoryChain, MemoryRules
from adapters.memory.chain import default_timing
from adapters.registry import ConnectedChain
from core.model.errors import RejectedError
from core.model.types import ChainId
from core.runtime.clock import ManualClock
from gateway.daemons.parts import check_starts
from tests.gateway.test_config import ETHEREUM


async def test_starts() -> None:
    chain = MemoryChain(ChainId(ETHEREUM.id), ManualClock(), {}, MemoryRules(default_timing(finality_depth=2)))
    endpoint = Endpoint(ManualClock())

    async def close() -> None: ...

    connected = ConnectedChain(chain.access(endpoint), lambda _: chain.signer("nobody"), close)
    chains = {chain.chain: connected}
    await check_starts([ETHEREUM], chains)
    chain.mine(9)
    for start in (0, 9, 10):
        await check_starts([msgspec.structs.replace(ETHEREUM, start=start)], chains)
    for start in (-1, 11, 10**9):
        wrong = msgspec.structs.replace(ETHEREUM, start=start)
        with pytest.raises(RejectedError, match=f"start = {start}, but its blocks go from 0 to 9"):
            await check_starts([wrong], chains)
        endpoint.down = True
        await check_starts([wrong], chains)
        endpoint.down = False
