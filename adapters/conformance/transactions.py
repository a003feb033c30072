"""From unsigned to final."""

from collections import Counter
from dataclasses import replace

import pytest

from adapters.conformance.harness import (
    ChainHarness,
    Leg,
    claim,
    fee_bid,
    finalized,
    head,
    lock,
    make_terms,
    prepared,
    refund,
    refusal,
    settled,
    signed,
)
from core.model.errors import ConflictError, RejectedError, RevertedError
from core.model.ports import Signer
from core.model.transactions import FeeBid, OutcomeStatus, UnsignedTransaction
from core.model.types import Height, Preimage

EXPIRY = Height(1_000)
IN_A_BLOCK = (OutcomeStatus.INCLUDED, OutcomeStatus.REVERTED)


async def _next_lock(harness: ChainHarness, sender: Signer, receiver: Signer) -> UnsignedTransaction:
    terms = await make_terms(harness, sender, receiver, Preimage.generate())
    await prepared(harness, sender, terms)
    return harness.access.legs.lock(terms, await harness.access.legs.lock_id(terms))


def _gas(harness: ChainHarness, transaction: UnsignedTransaction) -> int:
    """Return the gas limit, measured by what one more unit of the fee costs; 0 on chains without one."""
    costs = (harness.access.transactions.cost(transaction, FeeBid(price, 0)) for price in (10**12, 10**12 + 1))
    first, second = (sum(cost.values()) for cost in costs)
    return second - first


class TransactionConformance:
    """`TransactionSender` and `Signer`."""

    async def test_a_transaction_is_pending_then_included_then_final(self, harness: ChainHarness) -> None:
        sender, receiver = await harness.account(), await harness.account()
        sent = await signed(harness, sender, await _next_lock(harness, sender, receiver))
        transactions = harness.access.transactions
        assert (await transactions.outcome(sent.hash)).status is OutcomeStatus.DROPPED
        await transactions.submit(sent)
        assert (await transactions.outcome(sent.hash)).status in (OutcomeStatus.PENDING, OutcomeStatus.INCLUDED)
        outcome = await settled(harness, sent.hash)
        assert outcome.status is OutcomeStatus.INCLUDED
        assert outcome.block is not None
        assert await harness.access.blocks.header(outcome.block.height) is not None
        await finalized(harness, outcome.block.height)
        assert (await transactions.outcome(sent.hash)).final

    async def test_sequences_count_what_was_included(self, harness: ChainHarness) -> None:
        sender, receiver = await harness.account(), await harness.account()
        transaction = await _next_lock(harness, sender, receiver)
        before = await harness.access.transactions.sequences(sender.account)
        sent = await signed(harness, sender, transaction)
        assert sent.sequence == before.latest
        await harness.access.transactions.submit(sent)
        block = (await settled(harness, sent.hash)).block
        assert (await harness.access.transactions.sequences(sender.account)).latest == before.latest + 1
        assert block is not None
        await finalized(harness, block.height)
        assert (await harness.access.transactions.sequences(sender.account)).finalized == before.latest + 1

    async def test_submitting_twice_is_harmless(self, harness: ChainHarness) -> None:
        sender, receiver = await harness.account(), await harness.account()
        sent = await signed(harness, sender, await _next_lock(harness, sender, receiver))
        await harness.access.transactions.submit(sent)
        await harness.access.transactions.submit(sent)
        assert (await settled(harness, sent.hash)).status is OutcomeStatus.INCLUDED
        after = await harness.access.transactions.sequences(sender.account)
        await harness.access.transactions.submit(sent)
        await harness.advance(2)
        assert (await harness.access.transactions.sequences(sender.account)).latest == after.latest

    async def test_a_sequence_that_is_used_up_conflicts(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        transaction = await _next_lock(harness, leg.sender, leg.receiver)
        late = await signed(harness, leg.sender, transaction, leg.transaction.sequence)
        with pytest.raises(ConflictError):
            await harness.access.transactions.submit(late)

    async def test_one_of_two_with_the_same_sequence_is_included(self, harness: ChainHarness) -> None:
        sender, receiver = await harness.account(), await harness.account()
        first = await signed(harness, sender, await _next_lock(harness, sender, receiver))
        replacement = await _next_lock(harness, sender, receiver)
        second = await signed(harness, sender, replacement, first.sequence, factor=4)
        transactions = harness.access.transactions
        await transactions.submit(first)
        try:
            await transactions.submit(second)
            expected = second
        except ConflictError:
            assert await transactions.fee_market() is None, "a higher bid replaces if there are fees"
            expected = first
        assert (await settled(harness, expected.hash)).status is OutcomeStatus.INCLUDED
        other = first if expected is second else second
        await harness.advance(2)
        assert (await transactions.outcome(other.hash)).status is OutcomeStatus.DROPPED

    async def test_a_revert_is_an_outcome_that_uses_its_sequence(self, harness: ChainHarness) -> None:
        """Both refunds are good when they are sent; one of them comes first."""
        leg, one, two = await lock(harness), await harness.account(), await harness.account()
        await harness.wait_until(leg.terms.timelock)
        first = await signed(harness, one, refund(harness, leg, one))
        second = await signed(harness, two, refund(harness, leg, two))
        before = await harness.access.transactions.sequences(two.account)
        await harness.access.transactions.submit(first)
        try:
            await harness.access.transactions.submit(second)
        except RevertedError:
            return
        outcomes = [await settled(harness, first.hash), await settled(harness, second.hash)]
        assert sorted(outcome.status for outcome in outcomes) == sorted(IN_A_BLOCK)
        reverted = max(outcomes, key=lambda outcome: outcome.status)
        assert reverted.reason
        assert reverted.block is not None
        after = await harness.access.transactions.sequences(two.account)
        assert after.latest == before.latest + 1
        await finalized(harness, reverted.block.height)
        assert (await harness.access.transactions.outcome(second.hash)).final

    async def test_simulating_tells_what_would_happen(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await harness.access.transactions.simulate(await _next_lock(harness, leg.sender, leg.receiver))
        with pytest.raises(RevertedError) as caught:
            await harness.access.transactions.simulate(refund(harness, leg, leg.sender))
        assert caught.value.fields["reason"]

    async def test_an_exit_costs_no_more_than_is_kept_for_it(self, harness: ChainHarness) -> None:
        transactions = harness.access.transactions
        bid = await fee_bid(harness)
        kept = transactions.exit_cost(bid)
        for asset in harness.assets:
            leg, third = await lock(harness, asset), await harness.account()
            for unsigned in (claim(harness, leg, third), refund(harness, leg, third)):
                cost = transactions.cost(unsigned, bid)
                assert set(cost) <= set(kept)
                assert all(kept[each] >= amount for each, amount in cost.items())
        assert bool(kept) == (bid is not None)

    async def test_what_is_kept_for_a_lock_covers_its_first_bid(self, harness: ChainHarness) -> None:
        """As much as for an exit, which is reckoned at twice a first bid; an allowance comes before some locks."""
        transactions, legs = harness.access.transactions, harness.access.legs
        market = await transactions.fee_market()
        first = 0 if market is None else 2 * market.base_fee + market.priority_fee
        bid, twice = (None if market is None else FeeBid(times * first, market.priority_fee) for times in (1, 2))
        kept = transactions.exit_cost(twice)
        sender, receiver = await harness.account(), await harness.account()
        for asset in harness.assets:
            terms = await make_terms(harness, sender, receiver, Preimage.generate(), asset)
            before, lock = await legs.prepare(terms), legs.lock(terms, await legs.lock_id(terms))
            cost = Counter(transactions.cost(lock, bid))
            cost.update({} if before is None else transactions.cost(before, bid))
            cost[asset] -= terms.amount
            assert all(kept.get(each, 0) >= amount for each, amount in cost.items())

    async def test_a_lock_costs_what_it_moves_and_its_fee(self, harness: ChainHarness) -> None:
        sender, receiver = await harness.account(), await harness.account()
        terms = await make_terms(harness, sender, receiver, Preimage.generate())
        transaction = harness.access.legs.lock(terms, await harness.access.legs.lock_id(terms))
        transactions, bid = harness.access.transactions, await fee_bid(harness)
        free, paid = transactions.cost(transaction, None), transactions.cost(transaction, bid)
        assert dict(free) == {terms.asset: terms.amount}
        assert sum(paid.values()) == terms.amount + (0 if bid is None else _gas(harness, transaction) * bid.max_fee)

    async def test_a_cancellation_uses_its_sequence_and_nothing_else(self, harness: ChainHarness) -> None:
        sender, receiver = await harness.account(), await harness.account()
        terms = await make_terms(harness, sender, receiver, Preimage.generate())
        transactions, state = harness.access.transactions, harness.access.state
        nothing = await transactions.cancellation(sender.account)
        assert nothing is not None
        before, held = await transactions.sequences(sender.account), await state.balance(sender.account, terms.asset)
        sent = await signed(harness, sender, nothing)
        await transactions.submit(sent)
        assert (await settled(harness, sent.hash)).status is OutcomeStatus.INCLUDED
        assert (await transactions.sequences(sender.account)).latest == before.latest + 1
        fee = await fee_bid(harness)
        most = 0 if fee is None else _gas(harness, nothing) * fee.max_fee
        assert held - most <= await state.balance(sender.account, terms.asset) <= held

    async def test_a_priced_simulation_needs_the_purse(self, harness: ChainHarness) -> None:
        sender, receiver = await harness.account(), await harness.account()
        transaction = await _next_lock(harness, sender, receiver)
        bid = await fee_bid(harness)
        await harness.access.transactions.simulate(transaction, bid)
        if bid is None:
            return
        dear = FeeBid(2**96, bid.priority_fee)
        with pytest.raises(RevertedError):
            await harness.access.transactions.simulate(transaction, dear)

    async def test_a_fitted_claim_is_the_same_with_room(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        transactions = harness.access.transactions
        public = replace(claim(harness, leg, leg.receiver), reveals=False)
        first, third = await transactions.fitted(public, 0), await transactions.fitted(public, 2)
        assert _gas(harness, public) <= _gas(harness, first) <= _gas(harness, third)
        hidden = await transactions.fitted(claim(harness, leg, leg.receiver), 0)
        assert _gas(harness, hidden) == _gas(harness, public)
        sent = await signed(harness, leg.receiver, third)
        await transactions.submit(sent)
        assert (await settled(harness, sent.hash)).status is OutcomeStatus.INCLUDED

    async def test_what_reveals_is_never_simulated(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        transaction = claim(harness, leg, leg.receiver)
        assert transaction.reveals
        with pytest.raises(RejectedError):
            await harness.access.transactions.simulate(transaction)

    async def test_only_claims_reveal(self, harness: ChainHarness) -> None:
        leg: Leg = await lock(harness)
        assert not refund(harness, leg, leg.sender).reveals
        assert not harness.access.legs.lock(leg.terms, leg.lock_id).reveals

    async def test_a_preimage_is_not_shown(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        transaction = claim(harness, leg, leg.receiver)
        sent = await signed(harness, leg.receiver, transaction)
        secret = leg.preimage.expose()
        for shown in (repr(transaction), str(transaction), transaction.summary, repr(sent)):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown

    async def test_a_foreign_signature_is_rejected(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        transactions, bid = harness.access.transactions, await fee_bid(harness)
        mine = transactions.assemble(refund(harness, leg, leg.sender), 1, bid, EXPIRY)
        theirs = transactions.assemble(refund(harness, leg, leg.receiver), 1, bid, EXPIRY)
        with pytest.raises(RejectedError):
            transactions.attach(mine, await leg.receiver.sign(theirs))

    async def test_a_signer_signs_for_its_own_account_only(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        transaction = refund(harness, leg, leg.sender)
        request = harness.access.transactions.assemble(transaction, 1, await fee_bid(harness), EXPIRY)
        with pytest.raises(RejectedError):
            await leg.receiver.sign(request)

    async def test_the_hash_is_known_before_the_first_broadcast(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        assert len(leg.transaction.hash) == 32
        assert leg.transaction.chain == harness.access.chain
        assert (await harness.access.transactions.outcome(leg.transaction.hash)).block is not None

    async def test_a_transaction_expires(self, harness: ChainHarness) -> None:
        if not harness.knows_expiry:
            pytest.skip("transactions of this chain do not expire")
        leg = await lock(harness)
        expiry = Height((await head(harness)).height + 1)
        sent = await signed(harness, leg.receiver, claim(harness, leg, leg.receiver), expiry=expiry)
        await harness.advance(2)
        with pytest.raises(RevertedError):
            await harness.access.transactions.submit(sent)
        assert (await harness.access.transactions.outcome(sent.hash)).status is OutcomeStatus.DROPPED

    async def test_refusals_at_the_door_or_in_a_block_have_a_reason(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        assert await refusal(harness, leg.sender, refund(harness, leg, leg.sender))
