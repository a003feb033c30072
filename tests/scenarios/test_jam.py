"""A lock that the relayer cannot pay for stands before no claim: swaps for all of its ether gain nothing."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from core.model.errors import ConflictError
from core.model.types import Preimage
from htlc.model import Phase
from relayer.provider.desk import SwapView
from tests.relayer.client.test_real_chains import YUAN
from tests.scenarios.stage import ETHER, Stage, pairs, stage

WEI_OF_A_YUAN = 10**12
ROOM_FOR_EVERYTHING = 10**20


async def opened(on: Stage, units: int) -> tuple[SwapView, Preimage] | None:
    """A swap for this many yuan, None if the relayer refuses it."""
    preimage = Preimage.generate()
    with suppress(ConflictError):
        return await on.open(YUAN, ETHER, preimage, units), preimage
    return None


@pytest.mark.long
@pytest.mark.parametrize("shares", [(1.0,), (0.9, 0.9), (0.6, 0.3, 0.3, 0.3)])
async def test_swaps_for_all_our_ether_jam_no_claim(tmp_path: Path, shares: tuple[float, ...]) -> None:
    async with asyncio.timeout(300), stage(tmp_path, pairs(ROOM_FOR_EVERYTHING)) as on:
        await on.start()
        before = await on.held(on.relayer)
        preimage = Preimage.generate()
        first = await on.open(ETHER, YUAN, preimage, 5 * 10**16)
        [_] = await on.lock(first.initiator.terms)
        free = before[ETHER]
        asked = [opened(on, int(free * share) // WEI_OF_A_YUAN) for share in shares]
        others = [one for one in await asyncio.gather(*asked) if one is not None]
        await on.funded(first)
        if others:
            await on.lock(*(view.initiator.terms for view, _ in others))
        await asyncio.sleep(4)
        first = await on.running().desk.swap(first.id)
        await on.claim(first.participant, preimage)
        first = await on.ended(first)
        assert first.phase is Phase.COMPLETED
        for view, _ in others:
            await on.ended(view)
        after = await on.held(on.relayer)
        assert after[YUAN] >= before[YUAN] - 5 * 10**4
        assert after[ETHER] > before[ETHER]
