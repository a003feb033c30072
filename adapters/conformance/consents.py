"""Acts that rest on a party's signature next to the transaction, on chains that know such signatures."""

from dataclasses import replace

import pytest

from adapters.conformance.harness import AMOUNT, ChainHarness, balance, claim, lock, make_terms, refusal, send
from core.model.errors import RejectedError, RevertedError
from core.model.ports import ConsentBuilder, ConsentSigner, Signer
from core.model.transactions import Consent
from core.model.types import Preimage


def _consents(harness: ChainHarness) -> ConsentBuilder:
    if harness.access.consents is None:
        pytest.skip("parties sign nothing but transactions on this chain")
    return harness.access.consents


async def _sign(signer: Signer, consent: Consent) -> bytes:
    assert isinstance(signer, ConsentSigner), "a chain with consents has signers that give them"
    return await signer.consent(consent)


class ConsentConformance:
    """`ConsentBuilder` and `ConsentSigner`."""

    async def test_the_receiver_lets_a_lock_go_back_early_whoever_sends_it(self, harness: ChainHarness) -> None:
        consents = _consents(harness)
        for asset in harness.assets:
            leg, third = await lock(harness, asset), await harness.account()
            draft = consents.refund(leg.terms, leg.lock_id, leg.terms.timelock)
            assert draft.consent.account == leg.receiver.account
            before = await balance(harness, leg.sender, asset)
            signature = await _sign(leg.receiver, draft.consent)
            await send(harness, third, draft.complete(signature, third.account))
            assert await balance(harness, leg.sender, asset) == before + AMOUNT
            assert await refusal(harness, leg.receiver, claim(harness, leg, leg.receiver))

    async def test_nobody_else_lets_a_lock_go_back_early(self, harness: ChainHarness) -> None:
        consents = _consents(harness)
        leg, third = await lock(harness), await harness.account()
        draft = consents.refund(leg.terms, leg.lock_id, leg.terms.timelock)
        for thief in (leg.sender, third):
            signature = await _sign(thief, replace(draft.consent, account=thief.account))
            try:
                call = draft.complete(signature, third.account)
            except RejectedError:
                continue
            with pytest.raises(RevertedError):
                await harness.access.transactions.simulate(call)
        with pytest.raises(RejectedError):
            await _sign(third, draft.consent)
        await send(harness, leg.receiver, claim(harness, leg, leg.receiver))

    async def test_a_lock_by_consent_needs_nothing_before_it(self, harness: ChainHarness) -> None:
        consents = _consents(harness)
        sender, receiver = await harness.account(), await harness.account()
        for asset in harness.assets:
            terms = await make_terms(harness, sender, receiver, Preimage.generate(), asset)
            place = await harness.access.legs.lock_id(terms)
            draft = await consents.lock(terms, place, terms.timelock)
            if draft is None:
                continue
            with pytest.raises(RejectedError):
                draft.complete(await _sign(sender, draft.consent), receiver.account)
            await send(harness, sender, draft.complete(await _sign(sender, draft.consent), sender.account))
