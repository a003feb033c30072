"""Several exits, or several locks, in one transaction, on chains where each stands alone in it."""

from dataclasses import replace

import pytest

from adapters.conformance.harness import (
    AMOUNT,
    ChainHarness,
    Leg,
    balance,
    claim,
    finalized,
    head,
    lock,
    make_terms,
    refund,
    send,
    settled,
    signed,
)
from core.model.errors import RejectedError, RevertedError
from core.model.facts import Claimed, Locked, LockStatus, Refunded
from core.model.ports import BatchBuilder, Signer
from core.model.transactions import Outcome, OutcomeStatus, UnsignedTransaction
from core.model.types import Preimage


def _batches(harness: ChainHarness) -> BatchBuilder:
    if harness.access.batches is None:
        pytest.skip("exits of this chain go out one by one")
    return harness.access.batches


async def _sent(harness: ChainHarness, signer: Signer, batch: UnsignedTransaction) -> Outcome:
    sent = await signed(harness, signer, batch)
    await harness.access.transactions.submit(sent)
    return await settled(harness, sent.hash)


async def _new_locks(harness: ChainHarness, count: int, kind: int = 0) -> tuple[Signer, list[Leg]]:
    """Locks of one sender and one kind of asset, their places taken, their allowance there; none of them is sent."""
    sender, receiver, legs = await harness.account(), await harness.account(), list[Leg]()
    for _ in range(count):
        preimage = Preimage.generate()
        terms = await make_terms(harness, sender, receiver, preimage, harness.assets[kind % len(harness.assets)])
        place = await harness.access.legs.lock_id(terms, [leg.lock_id for leg in legs])
        legs.append(Leg(terms, place, preimage, sender, receiver, None))  # type: ignore[arg-type]
    while (allowance := await harness.access.legs.prepare(legs[0].terms)) is not None:
        await send(harness, sender, allowance)
    return sender, legs


def _unsigned(harness: ChainHarness, legs: list[Leg]) -> list[UnsignedTransaction]:
    return [harness.access.legs.lock(leg.terms, leg.lock_id) for leg in legs]


async def _legs(harness: ChainHarness, count: int) -> list[Leg]:
    """Fresh locks, of each kind of asset in turn."""
    return [await lock(harness, harness.assets[number % len(harness.assets)]) for number in range(count)]


class BatchConformance:
    """`BatchBuilder`, and `Outcome.left_out`."""

    async def test_claims_go_out_together_and_pay_everybody(self, harness: ChainHarness) -> None:
        batches, legs, third = _batches(harness), await _legs(harness, 3), await harness.account()
        before = [await balance(harness, leg.receiver, leg.terms.asset) for leg in legs]
        first = (await head(harness)).height
        sent = await send(harness, third, batches.batch([claim(harness, leg, third) for leg in legs]))
        outcome = await harness.access.transactions.outcome(sent.hash)
        assert (outcome.status, outcome.left_out) == (OutcomeStatus.INCLUDED, ())
        for leg, held in zip(legs, before, strict=True):
            assert await balance(harness, leg.receiver, leg.terms.asset) == held + AMOUNT
        blocks = await harness.access.blocks.blocks(first, (await head(harness)).height)
        seen = {
            logged.event.lock_id: logged.event.preimage
            for block in blocks
            for logged in block.events
            if isinstance(logged.event, Claimed)
        }
        assert seen == {leg.lock_id: leg.preimage.expose() for leg in legs}

    async def test_one_that_fails_takes_nothing_with_it_and_is_named(self, harness: ChainHarness) -> None:
        """A refund that is too early, and a claim of what is claimed already, between two good claims."""
        batches, legs, third = _batches(harness), await _legs(harness, 4), await harness.account()
        await send(harness, third, claim(harness, legs[1], third))
        held = [await balance(harness, leg.receiver, leg.terms.asset) for leg in legs]
        exits = [
            claim(harness, legs[0], third),
            claim(harness, legs[1], third),
            refund(harness, legs[2], third),
            claim(harness, legs[3], third),
        ]
        outcome = await _sent(harness, third, batches.batch(exits))
        assert outcome.status is OutcomeStatus.INCLUDED
        assert [item.index for item in outcome.left_out] == [1, 2]
        assert all(item.reason for item in outcome.left_out)
        gained = [
            await balance(harness, leg.receiver, leg.terms.asset) - before
            for leg, before in zip(legs, held, strict=True)
        ]
        assert gained == [AMOUNT, 0, 0, AMOUNT]
        assert outcome.block is not None
        await finalized(harness, outcome.block.height)
        standing = [(await harness.access.locks.lock(leg.lock_id, leg.terms)).status for leg in legs]
        assert standing == [LockStatus.CLAIMED, LockStatus.CLAIMED, LockStatus.LOCKED, LockStatus.CLAIMED]

    async def test_refunds_with_a_late_claim_leave_the_claim_out(self, harness: ChainHarness) -> None:
        batches, legs, third = _batches(harness), await _legs(harness, 3), await harness.account()
        held = [await balance(harness, leg.sender, leg.terms.asset) for leg in legs]
        await harness.wait_until(max((leg.terms.timelock for leg in legs), key=lambda time: time.seconds))
        exits = [refund(harness, legs[0], third), claim(harness, legs[1], third), refund(harness, legs[2], third)]
        first = (await head(harness)).height
        outcome = await _sent(harness, third, batches.batch(exits))
        assert [item.index for item in outcome.left_out] == [1]
        gained = [
            await balance(harness, leg.sender, leg.terms.asset) - before for leg, before in zip(legs, held, strict=True)
        ]
        assert gained == [AMOUNT, 0, AMOUNT]
        blocks = await harness.access.blocks.blocks(first, (await head(harness)).height)
        seen = [event.lock_id for block in blocks for one in block.events if isinstance(event := one.event, Refunded)]
        assert sorted(seen) == sorted((legs[0].lock_id, legs[2].lock_id))

    async def test_as_many_as_a_batch_may_hold_fail_side_by_side(self, harness: ChainHarness) -> None:
        """Each has its own gas to fail with: none of them is reached by another's failure."""
        batches, leg, third = _batches(harness), await lock(harness), await harness.account()
        wrong = replace(await lock(harness), preimage=Preimage.generate())
        exits = [claim(harness, wrong, third)] * (batches.max_exits - 1) + [claim(harness, leg, third)]
        outcome = await _sent(harness, third, batches.batch(exits))
        assert [item.index for item in outcome.left_out] == list(range(batches.max_exits - 1))
        assert len({item.reason for item in outcome.left_out}) == 1

    async def test_what_is_no_batch_is_not_built(self, harness: ChainHarness) -> None:
        batches, leg, third = _batches(harness), await lock(harness), await harness.account()
        mine, theirs = claim(harness, leg, third), claim(harness, leg, leg.receiver)
        a_lock = harness.access.legs.lock(leg.terms, leg.lock_id)
        for exits in ([], [mine, theirs], [a_lock], [mine] * (batches.max_exits + 1), [batches.batch([mine])]):
            with pytest.raises(RejectedError):
                batches.batch(exits)

    @pytest.mark.parametrize("kind", [0, 1])
    async def test_locks_of_one_asset_are_made_in_one_transaction(self, harness: ChainHarness, kind: int) -> None:
        batches = _batches(harness)
        sender, legs = await _new_locks(harness, 3, kind)
        asset = legs[0].terms.asset
        before, first = await balance(harness, sender, asset), (await head(harness)).height
        batch = batches.locks(_unsigned(harness, legs))
        assert harness.access.transactions.cost(batch, None)[asset] == 3 * AMOUNT
        outcome = await _sent(harness, sender, batch)
        assert (outcome.status, outcome.left_out, batch.reveals) == (OutcomeStatus.INCLUDED, (), False)
        assert before - await balance(harness, sender, asset) >= 3 * AMOUNT
        blocks = await harness.access.blocks.blocks(first, (await head(harness)).height)
        seen = {
            event.lock_id: event.terms
            for block in blocks
            for one in block.events
            if isinstance(event := one.event, Locked)
        }
        assert seen == {leg.lock_id: leg.terms for leg in legs}

    async def test_a_lock_that_cannot_be_made_is_left_out_alone(self, harness: ChainHarness) -> None:
        """Its place is taken meanwhile; what it would have locked stays with the sender."""
        batches = _batches(harness)
        sender, legs = await _new_locks(harness, 3, 1)
        asset = legs[0].terms.asset
        await send(harness, sender, harness.access.legs.lock(legs[1].terms, legs[1].lock_id))
        before = await balance(harness, sender, asset)
        whole = batches.locks(_unsigned(harness, legs), each=False)
        with pytest.raises(RevertedError):
            await harness.access.transactions.simulate(whole)
        outcome = await _sent(harness, sender, batches.locks(_unsigned(harness, legs)))
        assert outcome.status is OutcomeStatus.INCLUDED
        assert [item.index for item in outcome.left_out] == [1]
        assert outcome.left_out[0].reason not in ("", "left out")
        assert before - await balance(harness, sender, asset) == 2 * AMOUNT

    async def test_what_is_no_batch_of_locks_is_not_built(self, harness: ChainHarness) -> None:
        batches, (_, legs), (_, others) = _batches(harness), await _new_locks(harness, 1), await _new_locks(harness, 1)
        _, tokens = await _new_locks(harness, 1, 1)
        [mine], [theirs], [token] = (_unsigned(harness, found) for found in (legs, others, tokens))
        back = refund(harness, legs[0], legs[0].sender)
        wrong = [[], [mine, theirs], [token, mine], [back], [mine, back], [mine] * (batches.max_locks + 1)]
        for locks in (*wrong, [batches.locks([mine])]):
            with pytest.raises(RejectedError):
                batches.locks(locks)

    async def test_a_batch_reveals_where_one_of_its_claims_does(self, harness: ChainHarness) -> None:
        batches, leg, third = _batches(harness), await lock(harness), await harness.account()
        back = refund(harness, leg, third)
        assert batches.batch([back, claim(harness, leg, third)]).reveals
        assert not batches.batch([back, back]).reveals
        assert leg.preimage.expose().hex() not in repr(batches.batch([claim(harness, leg, third)]))
