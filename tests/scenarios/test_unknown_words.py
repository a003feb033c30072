"""A node refuses a transaction of several claims in words of its own: each claim goes out alone, in time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from adapters.evm.calls import encode_call
from core.model.types import Preimage
from htlc.model import Phase
from tests.adapters.evm.endpoint import RpcRefusal
from tests.relayer.client.test_real_chains import YUAN
from tests.scenarios.stage import ETHER, stage

SETTLE_SEVERAL = (
    encode_call("HashedTimelock", "settleStrangers", [], 0)[:4].hex(),
    encode_call("HashedTimelock", "bulkClaim", True, [], 0)[:4].hex(),
)
REFUSALS = [
    (-32010, "InsufficientFunds, Account balance: 1, cumulative cost: 2"),  # Nethermind
    (-32000, "the moon is in the wrong house"),
]


@pytest.mark.long
@pytest.mark.parametrize(("code", "words"), REFUSALS)
async def test_claims_refused_together_go_out_alone(tmp_path: Path, code: int, words: str) -> None:
    refused = []

    def refuse(method: str, params: list[Any]) -> None:
        if method == "eth_sendRawTransaction" and any(call in params[0] for call in SETTLE_SEVERAL):
            refused.append(params[0])
            raise RpcRefusal(code, words)

    async with asyncio.timeout(240), stage(tmp_path) as on:
        await on.start()
        before = await on.held(on.relayer)
        preimages = [Preimage.generate() for _ in range(2)]
        views = [await on.open(ETHER, YUAN, preimage, 10**16) for preimage in preimages]
        await on.lock(*(view.initiator.terms for view in views))
        views = [await on.funded(view) for view in views]
        await on.kill()
        on.node.refuse = refuse
        for view, preimage in zip(views, preimages, strict=True):
            await on.claim(view.participant, preimage)
        await on.start()
        views = [await on.ended(view) for view in views]
        assert [view.phase for view in views] == [Phase.COMPLETED, Phase.COMPLETED]
        assert refused
        assert (await on.held(on.relayer))[ETHER] > before[ETHER]
