"""A claim that cannot pay is not funded, and a swap that came to nothing gives its lock back early: on real chains."""

import asyncio
import time
from pathlib import Path

import pytest

from adapters.evm.calls import encode_creation, unsigned_call
from adapters.evm.names import account, hex_address
from core.model.errors import ConflictError
from core.model.facts import LockStatus
from core.model.types import AccountId, BaseUnits, ChainTime, LockId, LockTerms, Preimage
from core.proofs.lanes import evm_address
from htlc.effects import ClaimLeg, leg_kind
from htlc.model import Leg, Phase
from htlc.timelocks import DEVNET_POLICY
from relayer.policy import OpeningPolicy, RelayerPolicy, WatchPolicy
from relayer.provider.desk import OpenSwap
from relayer.provider.quoting import QuoteRequest
from relayer.pump import swaps
from relayer.pump.acting import UNSIMULATED_TRIES
from relayer.transactions import records
from relayer.watchtower import Registration
from tests.adapters.evm.harness import CHAIN
from tests.relayer.client.test_real_chains import LEDGER, YUAN
from tests.scenarios.stage import ETHER, Stage, stage
from tests.support import eventually


async def refusing_payee(on: Stage) -> AccountId:
    """A contract that takes no ether."""
    evil = on.evil[CHAIN]
    creation = unsigned_call(
        evil.account, None, encode_creation("testing/RefusingPayee"), gas=2_000_000, summary="a payee that refuses"
    )
    sequence = (await on.access[CHAIN].transactions.sequences(evil.account)).latest
    [outcome] = await on.hand(evil, creation)
    assert outcome.block is not None
    block = await on.harness.rpc("eth_getBlockByNumber", hex(outcome.block.height), True)
    [made] = [one for one in block["transactions"] if int(one["nonce"], 16) == sequence and one["to"] is None]
    receipt = await on.harness.rpc("eth_getTransactionReceipt", made["hash"])
    return account(CHAIN, bytes.fromhex(receipt["contractAddress"][2:]))


@pytest.mark.long
async def test_a_payee_that_takes_no_ether_is_not_funded(tmp_path: Path) -> None:
    async with asyncio.timeout(200), stage(tmp_path) as on:
        service = await on.start()
        payee, preimage = await refusing_payee(on), Preimage.generate()
        before = await on.held(on.relayer)
        quote = await service.desk.quote(QuoteRequest(YUAN, ETHER, BaseUnits(10_000)))
        request = OpenSwap(quote, preimage.hashlock(), on.evil[LEDGER].account, payee)
        view = await service.desk.open_swap(request)
        await on.lock(view.initiator.terms)
        view = await on.ended(view)
        assert view.phase is Phase.ABANDONED
        assert view.participant.lock is None
        assert await on.held(on.relayer) == before


@pytest.mark.long
async def test_a_watch_that_pays_nobody_costs_two_transactions(tmp_path: Path) -> None:
    """Anybody's watch of one wei, to a payee that refuses: tried twice in blocks, and by simulation alone from then
    on, up to its timelock."""
    policy = RelayerPolicy(swap=DEVNET_POLICY, watch=WatchPolicy(enabled=True))
    async with asyncio.timeout(280), stage(tmp_path, policy=policy) as on:
        service = await on.start()
        payee, preimage, now_s = await refusing_payee(on), Preimage.generate(), int(time.time())
        first = LockTerms(
            ETHER,
            BaseUnits(1),
            on.evil[CHAIN].account,
            payee,
            preimage.hashlock(),
            ChainTime(CHAIN, now_s + 7_200),
        )
        second = LockTerms(
            YUAN,
            BaseUnits(1),
            on.evil[LEDGER].account,
            on.relayer[LEDGER].account,
            preimage.hashlock(),
            ChainTime(LEDGER, now_s + 3_600),
        )
        swap_id = await service.watchtower.register(Registration(first, second), "mallory")
        await on.lock(first)
        [place] = await on.lock(second)
        evil = on.evil[LEDGER]
        await on.hand(evil, on.access[LEDGER].legs.claim(second, place, preimage, evil.account))

        async def refused_unsigned() -> bool:
            state = await on.database.read(lambda c: swaps.load(c, swap_id))
            attempt = state.attempt(leg_kind(ClaimLeg, Leg.INITIATOR))
            return attempt is not None and attempt.refusals >= 2

        assert await eventually(refused_unsigned, 120, 0.5)
        assert not (await service.desk.swap(swap_id)).done
        sent = await on.database.read(lambda c: records.of_effect_prefix(c, swap_id))
        assert [record.reverted for record in sent] == [True] * UNSIMULATED_TRIES


async def status(on: Stage, place: LockId, terms: LockTerms) -> LockStatus:
    return (await on.access[terms.chain].locks.lock(place, terms)).status


@pytest.mark.long
async def test_a_lock_on_a_swap_that_came_to_nothing_goes_back_early(tmp_path: Path) -> None:
    """Our gas is gone right after we agreed: nothing is funded. Once there is some, the lock goes back on request."""
    policy = RelayerPolicy(swap=DEVNET_POLICY, opening=OpeningPolicy(early_refunds=True))
    async with asyncio.timeout(200), stage(tmp_path, policy=policy) as on:
        desk = (await on.start()).desk
        view = await on.open(ETHER, YUAN, Preimage.generate(), 10**16)
        where = hex_address(evm_address(on.relayer[CHAIN].account))
        await on.harness.rpc("anvil_setBalance", where, "0x0")
        terms = view.initiator.terms
        [place] = await on.lock(terms)
        await on.until(view, lambda now: now.initiator.lock is not None)
        with pytest.raises(ConflictError, match="finally out of the way"):
            await desk.give_back(view.id)
        view = await on.ended(view)
        assert (view.phase, view.participant.lock) == (Phase.ABANDONED, None)
        await on.harness.rpc("anvil_setBalance", where, hex(10**18))
        given = await desk.give_back(view.id)
        assert (await desk.give_back(view.id)).version == given.version

        async def refunded() -> bool:
            return await status(on, place, terms) is LockStatus.REFUNDED

        assert await eventually(refunded, 30, 0.3)
        assert (await on.access[CHAIN].heads.head()).head.time < terms.timelock
