"""Finality stands still, and the node has no state of the last final block any more: a claim goes out all the same."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from core.model.types import Preimage
from htlc.model import Phase
from tests.adapters.evm.endpoint import RpcRefusal
from tests.relayer.client.test_real_chains import YUAN
from tests.scenarios.stage import ETHER, Stage, stage

READS_STATE = frozenset(
    {"eth_getTransactionCount", "eth_getStorageAt", "eth_getCode", "eth_getBalance", "eth_call", "eth_getProof"}
)


async def stall(on: Stage) -> None:
    """From now on `finalized` is the block that it is now, and its state is gone."""
    last = await on.harness.rpc("eth_getBlockByNumber", "finalized", False)

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            return last
        if method in READS_STATE and (params[-1] == "finalized" or params[-1] == last["number"]):
            raise RpcRefusal(-32000, "missing trie node 8f6a6a (path ) state 0x8f6a is not available")
        return result

    on.node.tamper = tamper


@pytest.mark.long
async def test_a_restart_in_a_stall_of_finality_claims(tmp_path: Path) -> None:
    async with asyncio.timeout(240), stage(tmp_path) as on:
        await on.start()
        before = await on.held(on.relayer)
        preimage = Preimage.generate()
        view = await on.open(ETHER, YUAN, preimage, 10**16)
        await on.lock(view.initiator.terms)
        view = await on.funded(view)
        await stall(on)
        await on.kill()
        await on.claim(view.participant, preimage)
        await on.start()
        await on.until(view, lambda now: now.initiator.status == "claimed", 30)
        assert (await on.held(on.relayer))[ETHER] > before[ETHER]
        on.node.tamper = None
        view = await on.ended(view)
        assert view.phase is Phase.COMPLETED
