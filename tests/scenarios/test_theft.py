"""A stranger's lock that comes twice under one id hides no preimage from the relayer.

The stranger pays one wei. If the relayer stops to follow the chain there, the initiator claims the relayer's leg, waits
for the own timelock, and takes the own leg back, too.
"""

import asyncio
from pathlib import Path

import pytest

from adapters.evm.calls import encode_call, unsigned_call
from core.model.types import BaseUnits, ChainTime, LockTerms, Preimage
from core.proofs.lanes import Lane, evm_address, packed_terms
from htlc.model import Phase
from tests.adapters.evm.harness import CHAIN
from tests.relayer.client.test_real_chains import LEDGER, YUAN
from tests.scenarios.stage import ETHER, Stage, stage

LANE = 9
SETTLED_AT_GENERATION_0 = 0xABC << 32 | 0 << 16 | 2


async def same_lock_twice(on: Stage) -> None:
    """After 65,536 uses of a lane its first lock can come again, to the last bit: storage is set to that point."""
    stranger = await on.harness.account()
    me, htlc = evm_address(stranger.account), evm_address(on.harness.contracts.htlc)
    preimage = Preimage(b"p" * 32)
    later = ChainTime(CHAIN, (await on.access[CHAIN].heads.head()).head.time.seconds + 10_000)
    terms = LockTerms(ETHER, BaseUnits(1), stranger.account, stranger.account, preimage.hashlock(), later)
    packed = packed_terms(terms, Lane(me, LANE, 1))
    locked = encode_call("HashedTimelock", "lock", terms.hashlock, packed)
    claimed = encode_call("HashedTimelock", "claim", preimage.expose(), packed, me, 1)

    async def send(data: bytes, value: int) -> None:
        call = unsigned_call(stranger.account, htlc, data, gas=200_000, value=value, summary="a stranger's call")
        [outcome] = await on.hand(stranger, call)
        assert outcome.status == "included"

    await send(locked, 1)
    await send(claimed, 0)
    slot = "0x" + (int.from_bytes(me, "big") << 96 | LANE).to_bytes(32, "big").hex()
    word = "0x" + SETTLED_AT_GENERATION_0.to_bytes(32, "big").hex()
    await on.harness.rpc("anvil_setStorageAt", on.harness.contracts.htlc.rpartition(":")[2], slot, word)
    await send(locked, 1)


@pytest.mark.long
async def test_a_lock_id_that_comes_again_hides_no_preimage(tmp_path: Path) -> None:
    async with asyncio.timeout(240), stage(tmp_path) as on:
        await on.start()
        before = await on.held(on.relayer)
        preimage = Preimage.generate()
        view = await on.open(YUAN, ETHER, preimage, 50_000)
        await on.lock(view.initiator.terms)
        view = await on.funded(view)
        await same_lock_twice(on)
        await on.claim(view.participant, preimage)
        view = await on.ended(view)
        assert view.phase is Phase.COMPLETED
        after = await on.held(on.relayer)
        assert after[YUAN] - before[YUAN] == 50_000
        assert 0 <= before[ETHER] - after[ETHER] - 50_000 * 10**12 < 10**15  # its own leg, and gas
        assert view.initiator.settle is not None
        assert view.initiator.settle.block.chain == LEDGER
