"""The three verbs and everything they refuse; the reader that money decisions stand on."""

from dataclasses import replace

import pytest

from adapters.conformance.harness import (
    AMOUNT,
    ChainHarness,
    Leg,
    balance,
    claim,
    finalized,
    lock,
    lock_between,
    make_terms,
    prepared,
    refund,
    refusal,
    send,
    send_final,
    settled,
    signed,
)
from core.model.errors import RejectedError, RevertedError
from core.model.facts import LockObservation, LockStatus
from core.model.types import BaseUnits, LockId, Preimage


async def _observe(harness: ChainHarness, leg: Leg) -> LockObservation:
    return await harness.access.locks.lock(leg.lock_id, leg.terms)


async def _final_lock(harness: ChainHarness) -> Leg:
    leg = await lock(harness)
    block = (await settled(harness, leg.transaction.hash)).block
    assert block is not None
    await finalized(harness, block.height)
    return leg


class LockConformance:
    """`LegBuilder`, through the chain's own judgement."""

    async def test_a_claim_pays_the_receiver_whoever_sends_it(self, harness: ChainHarness) -> None:
        for asset in harness.assets:
            leg, third = await lock(harness, asset), await harness.account()
            before = await balance(harness, leg.receiver, asset)
            others = [(someone, await balance(harness, someone, asset)) for someone in (leg.sender, third)]
            await send(harness, third, claim(harness, leg, third))
            assert await balance(harness, leg.receiver, asset) == before + AMOUNT
            for someone, held in others:
                assert await balance(harness, someone, asset) <= held

    async def test_a_refund_pays_the_sender_whoever_sends_it(self, harness: ChainHarness) -> None:
        for asset in harness.assets:
            leg, third = await lock(harness, asset), await harness.account()
            before = await balance(harness, leg.sender, asset)
            await harness.wait_until(leg.terms.timelock)
            await send(harness, third, refund(harness, leg, third))
            assert await balance(harness, leg.sender, asset) == before + AMOUNT

    async def test_a_wrong_preimage_claims_nothing(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        before = await balance(harness, leg.sender, leg.terms.asset)
        wrong = replace(leg, preimage=Preimage.generate())
        assert await refusal(harness, leg.receiver, claim(harness, wrong, leg.receiver))
        assert await balance(harness, leg.sender, leg.terms.asset) == before
        await send(harness, leg.receiver, claim(harness, leg, leg.receiver))

    async def test_a_claim_is_too_late_at_the_timelock(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await harness.wait_until(leg.terms.timelock)
        assert await refusal(harness, leg.receiver, claim(harness, leg, leg.receiver))
        await send(harness, leg.sender, refund(harness, leg, leg.sender))

    async def test_a_refund_is_too_early_before_the_timelock(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        assert await refusal(harness, leg.sender, refund(harness, leg, leg.sender))
        await send(harness, leg.receiver, claim(harness, leg, leg.receiver))

    async def test_a_lock_is_claimed_once(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await send(harness, leg.receiver, claim(harness, leg, leg.receiver))
        before = await balance(harness, leg.sender, leg.terms.asset)
        assert await refusal(harness, leg.sender, claim(harness, leg, leg.sender))
        await harness.wait_until(leg.terms.timelock)
        third = await harness.account()
        assert await refusal(harness, third, refund(harness, leg, third))
        assert await balance(harness, leg.sender, leg.terms.asset) <= before

    async def test_a_lock_is_refunded_once_and_claimed_no_more(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await harness.wait_until(leg.terms.timelock)
        await send(harness, leg.sender, refund(harness, leg, leg.sender))
        third = await harness.account()
        before = await balance(harness, leg.sender, leg.terms.asset)
        assert await refusal(harness, third, refund(harness, leg, third))
        assert await refusal(harness, third, claim(harness, leg, third))
        assert await balance(harness, leg.sender, leg.terms.asset) == before

    async def test_a_place_is_used_once(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await prepared(harness, leg.sender, leg.terms)
        assert await refusal(harness, leg.sender, harness.access.legs.lock(leg.terms, leg.lock_id))
        await _gives_another_place(harness, leg, ())

    async def test_a_settled_place_is_not_used_again(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await send(harness, leg.receiver, claim(harness, leg, leg.receiver))
        await prepared(harness, leg.sender, leg.terms)
        assert await refusal(harness, leg.sender, harness.access.legs.lock(leg.terms, leg.lock_id))

    async def test_a_place_that_is_taken_is_not_given(self, harness: ChainHarness) -> None:
        sender, receiver, preimage = await harness.account(), await harness.account(), Preimage.generate()
        terms = await make_terms(harness, sender, receiver, preimage)
        first = await harness.access.legs.lock_id(terms)
        assert await harness.access.legs.lock_id(terms) == first
        try:
            assert await harness.access.legs.lock_id(terms, [first]) != first
        except RejectedError:
            """A chain may allow one lock only of these terms."""

    async def test_two_locks_of_one_sender_stand_side_by_side(self, harness: ChainHarness) -> None:
        one = await lock(harness)
        two = await lock_between(harness, one.sender, one.receiver, Preimage.generate())
        assert one.lock_id != two.lock_id
        held = await balance(harness, one.receiver, one.terms.asset)
        third = await harness.account()
        await send(harness, third, claim(harness, two, third))
        await send(harness, third, claim(harness, one, third))
        assert await balance(harness, one.receiver, one.terms.asset) == held + 2 * AMOUNT

    async def test_false_terms_pay_nobody_else(self, harness: ChainHarness) -> None:
        leg, thief = await lock(harness), await harness.account()
        false = replace(leg, terms=replace(leg.terms, receiver=thief.account))
        before = await balance(harness, thief, leg.terms.asset)
        third = await harness.account()
        sent = await signed(harness, third, claim(harness, false, third))
        try:
            await harness.access.transactions.submit(sent)
        except RevertedError:
            pass
        else:
            await settled(harness, sent.hash)
        assert await balance(harness, thief, leg.terms.asset) == before

    async def test_nobody_locks_more_than_he_has(self, harness: ChainHarness) -> None:
        sender, receiver = await harness.account(), await harness.account()
        for asset in harness.assets:
            held = await balance(harness, sender, asset)
            terms = await make_terms(harness, sender, receiver, Preimage.generate(), asset, BaseUnits(held * 2))
            lock_id = await harness.access.legs.lock_id(terms)
            await prepared(harness, sender, terms)
            with pytest.raises(RevertedError):
                await harness.access.transactions.simulate(harness.access.legs.lock(terms, lock_id))


async def _gives_another_place(harness: ChainHarness, leg: Leg, taken: tuple[LockId, ...]) -> None:
    try:
        assert await harness.access.legs.lock_id(leg.terms, taken) != leg.lock_id
    except RejectedError:
        """A chain may allow one lock only of these terms."""


class LockReaderConformance:
    """`LockReader`: the ground to fund or to reveal."""

    async def test_a_lock_is_absent_until_it_is_final(self, harness: ChainHarness) -> None:
        sender, receiver, preimage = await harness.account(), await harness.account(), Preimage.generate()
        terms = await make_terms(harness, sender, receiver, preimage)
        lock_id = await harness.access.legs.lock_id(terms)
        seen = await harness.access.locks.lock(lock_id, terms)
        assert seen.status is LockStatus.ABSENT
        assert not seen.terms_match
        await prepared(harness, sender, terms)
        sent = await send(harness, sender, harness.access.legs.lock(terms, lock_id))
        block = (await settled(harness, sent.hash)).block
        assert block is not None
        for _ in range(200):
            seen = await harness.access.locks.lock(lock_id, terms)
            assert (seen.status is LockStatus.LOCKED) == (seen.at.height >= block.height)
            if seen.status is LockStatus.LOCKED:
                break
            await harness.advance()
        assert seen.terms_match

    async def test_finalized_block_and_code_of_a_lock_are_read(self, harness: ChainHarness) -> None:
        leg = await _final_lock(harness)
        before = (await harness.access.heads.head()).finalized
        seen = await _observe(harness, leg)
        after = (await harness.access.heads.head()).finalized
        assert before.height <= seen.at.height <= after.height
        header = await harness.access.blocks.header(seen.at.height)
        assert (seen.at, seen.time) == (header.ref, header.time)
        assert seen.code_hash == harness.access.parameters.htlc_code_hash
        assert (seen.lock_id, seen.status, seen.terms_match) == (leg.lock_id, LockStatus.LOCKED, True)

    async def test_any_other_term_is_a_mismatch(self, harness: ChainHarness) -> None:
        leg, other = await _final_lock(harness), await harness.account()
        terms = leg.terms
        for false in (
            replace(terms, amount=BaseUnits(terms.amount + 1)),
            replace(terms, receiver=other.account),
            replace(terms, timelock=terms.timelock.plus(harness.timelock_s)),
            *(replace(terms, asset=asset) for asset in harness.assets if asset != terms.asset),
        ):
            assert not (await harness.access.locks.lock(leg.lock_id, false)).terms_match

    async def test_it_sees_the_claim(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await send_final(harness, leg.receiver, claim(harness, leg, leg.receiver))
        seen = await _observe(harness, leg)
        assert (seen.status, seen.terms_match) == (LockStatus.CLAIMED, True)

    async def test_it_sees_the_refund(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await harness.wait_until(leg.terms.timelock)
        await send_final(harness, leg.sender, refund(harness, leg, leg.sender))
        seen = await _observe(harness, leg)
        assert (seen.status, seen.terms_match) == (LockStatus.REFUNDED, True)

    async def test_an_id_of_no_chain_is_rejected(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        with pytest.raises(RejectedError):
            await harness.access.locks.lock(LockId("no such form"), leg.terms)

    async def test_whoever_can_be_paid_is_found_payable(self, harness: ChainHarness) -> None:
        """Locked or not, by anybody, whatever the contract holds."""
        sender, receiver = await harness.account(), await harness.account()
        for asset in harness.assets:
            terms = await make_terms(harness, sender, receiver, Preimage.generate(), asset)
            await harness.access.locks.check_payout(terms)
        leg = await lock(harness)
        await harness.access.locks.check_payout(leg.terms)
