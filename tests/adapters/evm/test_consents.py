"""Consents through the adapter, on a real node: built, signed by a key or by a wallet's owner, completed, sent."""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from eth_account import Account
from eth_account.messages import encode_typed_data

from adapters.conformance.harness import Leg, claim, lock, make_terms
from adapters.evm.calls import encode_call, encode_creation, unsigned_call
from adapters.evm.contracts.deployer import CREATE_GAS, created_address
from adapters.evm.drafts import MAX_SIGNATURE_BYTES, CallDraft
from adapters.evm.names import token_asset
from adapters.evm.signed_locks import SignedLocks
from adapters.evm.signing import LocalSigner
from adapters.evm.typed_data import digest
from core.model.errors import RejectedError, RevertedError
from core.model.facts import LockStatus
from core.model.ports import ConsentSigner
from core.model.transactions import Consent, UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, ChainTime, LockId, LockTerms, Preimage
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import CHAIN, EvmHarness
from tests.adapters.evm.permit2 import CREATE2_PROXY, creation

AMOUNT = BaseUnits(1_000)
PURSE = 5_000


@dataclass
class Signed:
    """A chain with a token that takes signatures, a sender who holds some, and terms of a lock of it."""

    evm: EvmHarness
    token: AccountId
    asset: AssetId
    sender: LocalSigner
    receiver: LocalSigner
    stranger: LocalSigner
    preimage: Preimage
    terms: LockTerms
    place: LockId

    @property
    def until(self) -> ChainTime:
        return self.terms.timelock

    @property
    def locks(self) -> SignedLocks:
        return self.evm.chain.signed_locks

    async def mined(self, by: LocalSigner, call: UnsignedTransaction) -> None:
        """Simulated first, as the pipeline does; then in a block, where it succeeded."""
        await self.evm.access.transactions.simulate(call)
        [tx_hash] = await self.evm.send(by, call)
        assert (await self.evm.access.transactions.outcome(tx_hash)).reason is None

    async def refused(self, call: UnsignedTransaction) -> str:
        with pytest.raises(RevertedError) as caught:
            await self.evm.access.transactions.simulate(call)
        return str(caught.value.fields["reason"])

    async def status(self) -> LockStatus:
        await self.evm.advance(3)
        seen = await self.evm.access.locks.lock(self.place, self.terms)
        assert seen.terms_match or seen.status is LockStatus.ABSENT
        return seen.status

    def bent(self, **changes: Any) -> LockTerms:
        return replace(self.terms, **changes)


async def deployed(evm: EvmHarness, contract: str, *arguments: Any) -> AccountId:
    nonce = (await evm.access.transactions.sequences(evm.bank.account)).latest
    data = encode_creation(contract, *arguments)
    await evm.send(evm.bank, unsigned_call(evm.bank.account, None, data, gas=CREATE_GAS, summary=contract))
    return created_address(evm.bank.account, nonce)


@pytest_asyncio.fixture
async def signed(evm: EvmHarness) -> Signed:
    token = await deployed(evm, "testing/SignedToken")
    sender, receiver, stranger = [await evm.account() for _ in range(3)]
    mint = encode_call("testing/SignedToken", "mint", evm_address(sender.account), PURSE)
    await evm.send(evm.bank, unsigned_call(evm.bank.account, evm_address(token), mint, gas=200_000, summary="mint"))
    asset, preimage = token_asset(CHAIN, evm_address(token)), Preimage.generate()
    terms = await make_terms(evm, sender, receiver, preimage, asset, AMOUNT)
    place = await evm.access.legs.lock_id(terms)
    return Signed(evm, token, asset, sender, receiver, stranger, preimage, terms, place)


async def allow_permit2(signed: Signed) -> None:
    proxy = bytes.fromhex(CREATE2_PROXY[2:])
    bank = signed.evm.bank
    await signed.evm.send(bank, unsigned_call(bank.account, proxy, creation(), gas=CREATE_GAS, summary="Permit2"))
    allowance = await signed.locks.prepare_permit2(signed.terms)
    assert allowance is not None
    await signed.mined(signed.sender, allowance)
    assert await signed.locks.prepare_permit2(signed.terms) is None


async def by_authorization(signed: Signed, terms: LockTerms, place: LockId) -> CallDraft:
    return await signed.locks.authorization(terms, place, signed.until)


async def by_permit2(signed: Signed, terms: LockTerms, place: LockId) -> CallDraft:
    return signed.locks.permit2(terms, place, signed.until)


Maker = Callable[[Signed, LockTerms, LockId], Awaitable[CallDraft]]


# --- locks -------------------------------------------------------------------------------------------------------


async def test_a_lock_by_permit_needs_no_allowance_before_it(signed: Signed) -> None:
    assert await signed.evm.access.legs.prepare(signed.terms) is not None
    consents = signed.evm.access.consents
    assert consents is not None
    draft = await consents.lock(signed.terms, signed.place, signed.until)
    assert draft is not None
    await signed.mined(signed.sender, draft.complete(await signed.sender.consent(draft.consent), signed.sender.account))
    assert await signed.status() is LockStatus.LOCKED
    assert await signed.evm.access.legs.prepare(signed.terms) is None


async def test_two_locks_by_permit_stand_side_by_side(signed: Signed) -> None:
    """Both are signed with the same nonce of the token; whichever comes second finds the allowance there."""
    second = signed.bent(hashlock=Preimage.generate().hashlock())
    place = await signed.evm.access.legs.lock_id(second, [signed.place])
    calls = []
    for terms, where in ((signed.terms, signed.place), (second, place)):
        draft = await signed.locks.permit(terms, where, signed.until)
        calls.append(draft.complete(await signed.sender.consent(draft.consent), signed.sender.account))
    for tx_hash in await signed.evm.send(signed.sender, *calls):
        assert (await signed.evm.access.transactions.outcome(tx_hash)).reason is None
    assert await signed.status() is LockStatus.LOCKED


async def test_a_permit_that_somebody_handed_in_is_no_obstacle(signed: Signed) -> None:
    draft = await signed.locks.permit(signed.terms, signed.place, signed.until)
    signature = await signed.sender.consent(draft.consent)
    shown = json.loads(draft.consent.typed_data)["message"]
    data = encode_call(
        "testing/SignedToken",
        "permit",
        *(bytes.fromhex(shown[name][2:]) for name in ("owner", "spender")),
        *(int(shown[name]) for name in ("value", "deadline")),
        signature[64],
        signature[:32],
        signature[32:64],
    )
    thief = signed.stranger
    await signed.mined(thief, unsigned_call(thief.account, evm_address(signed.token), data, gas=200_000, summary="x"))
    await signed.mined(signed.sender, draft.complete(signature, signed.sender.account))
    assert await signed.status() is LockStatus.LOCKED


async def test_nobody_but_the_owner_uses_a_permit(signed: Signed) -> None:
    draft = await signed.locks.permit(signed.terms, signed.place, signed.until)
    signature = await signed.sender.consent(draft.consent)
    with pytest.raises(RejectedError, match="cannot carry this out"):
        draft.complete(signature, signed.stranger.account)


async def test_a_token_without_permits_has_none(evm: EvmHarness) -> None:
    sender, receiver = await evm.account(), await evm.account()
    consents = evm.access.consents
    assert consents is not None
    for asset in evm.assets:
        terms = await make_terms(evm, sender, receiver, Preimage.generate(), asset)
        place = await evm.access.legs.lock_id(terms)
        assert await consents.lock(terms, place, terms.timelock) is None
        with pytest.raises(RejectedError, match="needs no signature|takes no signatures"):
            await evm.chain.signed_locks.permit(terms, place, terms.timelock)


@pytest.mark.parametrize("make", [by_authorization, by_permit2])
async def test_signed_lock_is_sent_once_by_anybody_and_pays_its_payee(signed: Signed, make: Maker) -> None:
    if make is by_permit2:
        await allow_permit2(signed)
    draft = await make(signed, signed.terms, signed.place)
    call = draft.complete(await signed.sender.consent(draft.consent), signed.stranger.account)
    await signed.mined(signed.stranger, call)
    assert await signed.status() is LockStatus.LOCKED
    assert (await signed.refused(call)).startswith("WrongGeneration(")
    leg = Leg(signed.terms, signed.place, signed.preimage, signed.sender, signed.receiver, None)  # type: ignore[arg-type]
    await signed.evm.send(signed.stranger, claim(signed.evm, leg, signed.stranger))
    assert await signed.evm.access.state.balance(signed.receiver.account, signed.asset) == AMOUNT


@pytest.mark.parametrize("changed", ["receiver", "hashlock", "timelock", "amount", "lane", "generation"])
@pytest.mark.parametrize("make", [by_authorization, by_permit2])
async def test_a_signature_that_was_taken_opens_no_other_lock(signed: Signed, make: Maker, changed: str) -> None:
    """Refused by the adapter if a key must have signed; by the chain if that is for it to say."""
    if make is by_permit2:
        await allow_permit2(signed)
    draft = await make(signed, signed.terms, signed.place)
    signature = await signed.sender.consent(draft.consent)
    owner, lane, generation = signed.place.split("/")
    places = {
        "lane": LockId(f"{owner}/{int(lane) + 1}/{generation}"),
        "generation": LockId(f"{owner}/{lane}/{int(generation) + 1}"),
    }
    changes: dict[str, Any] = {
        "receiver": signed.stranger.account,
        "hashlock": Preimage.generate().hashlock(),
        "timelock": ChainTime(CHAIN, signed.until.seconds + 1),
        "amount": BaseUnits(AMOUNT - 1),
    }
    terms = signed.bent(**{changed: changes[changed]}) if changed in changes else signed.terms
    place = places.get(changed, signed.place)
    theirs = await make(signed, terms, place)
    if theirs.by_key:
        with pytest.raises(RejectedError, match="is for something else"):
            theirs.complete(signature, signed.stranger.account)
    # What a thief does who does not ask the adapter.
    split = (signature[64], signature[:32], signature[32:64]) if theirs.by_key else (signature,)
    data = encode_call("HashedTimelock", theirs.function, *theirs.arguments, *split)
    thief = signed.stranger.account
    refused = await signed.refused(unsigned_call(thief, theirs.htlc, data, gas=theirs.gas, summary="theft"))
    if changed == "generation":
        assert refused.startswith(("WrongGeneration(", "WrongSignature("))
    else:
        sender = "0x" + evm_address(signed.sender.account).hex()
        assert refused == ("InvalidSigner()" if make is by_permit2 else f"WrongSignature({sender})")
    await signed.mined(signed.stranger, draft.complete(signature, thief))


async def test_a_chain_without_permit2_says_so(signed: Signed) -> None:
    draft = signed.locks.permit2(signed.terms, signed.place, signed.until, nonce=3)
    call = draft.complete(await signed.sender.consent(draft.consent), signed.stranger.account)
    assert await signed.refused(call) == "NoPermit2()"


# --- early refunds -----------------------------------------------------------------------------------------------


def refund_draft(evm: EvmHarness, terms: LockTerms, place: LockId) -> CallDraft:
    return evm.chain.consents.refund(terms, place, terms.timelock)


async def test_receivers_signature_gives_a_lock_back_by_any_sender(evm: EvmHarness) -> None:
    for asset in evm.assets:
        leg, third = await lock(evm, asset), await evm.account()
        draft = refund_draft(evm, leg.terms, leg.lock_id)
        before = await evm.access.state.balance(leg.sender.account, asset)
        assert isinstance(leg.receiver, ConsentSigner)
        call = draft.complete(await leg.receiver.consent(draft.consent), third.account)
        await evm.access.transactions.simulate(call)
        await evm.send(third, call)
        assert await evm.access.state.balance(leg.sender.account, asset) == before + leg.terms.amount
        await evm.advance(3)
        assert (await evm.access.locks.lock(leg.lock_id, leg.terms)).status is LockStatus.REFUNDED


async def test_a_receiver_who_sends_it_himself_signs_nothing(evm: EvmHarness) -> None:
    leg, third = await lock(evm), await evm.account()
    draft = refund_draft(evm, leg.terms, leg.lock_id)
    with pytest.raises(RejectedError, match="this has 0"):
        draft.complete(b"", third.account)
    with pytest.raises(RejectedError, match="1 to"):
        draft.complete(bytes(MAX_SIGNATURE_BYTES + 1), third.account)
    before = await evm.access.state.balance(leg.sender.account, leg.terms.asset)
    await evm.send(leg.receiver, draft.complete(b"", leg.receiver.account))
    assert await evm.access.state.balance(leg.sender.account, leg.terms.asset) == before + leg.terms.amount


async def test_contract_wallet_gives_back_by_its_owners_key(evm: EvmHarness) -> None:
    """EIP-1271: the wallet is the receiver, its owner signs, and nobody else's signature will do."""
    sender, owner, third = [await evm.account() for _ in range(3)]
    wallet = await deployed(evm, "testing/Wallet", evm_address(owner.account))
    terms = replace(await make_terms(evm, sender, owner, Preimage.generate()), receiver=wallet)
    place = await evm.access.legs.lock_id(terms)
    await evm.send(sender, evm.access.legs.lock(terms, place))
    draft = refund_draft(evm, terms, place)
    assert draft.consent.account == wallet
    for_owner = replace(draft.consent, account=owner.account)
    stranger = await third.consent(replace(draft.consent, account=third.account))
    with pytest.raises(RevertedError) as caught:
        await evm.access.transactions.simulate(draft.complete(stranger, third.account))
    assert caught.value.fields["reason"] == f"WrongSignature(0x{evm_address(wallet).hex()})"
    before = await evm.access.state.balance(sender.account, terms.asset)
    await evm.send(third, draft.complete(await owner.consent(for_owner), third.account))
    assert await evm.access.state.balance(sender.account, terms.asset) == before + terms.amount


async def test_an_early_refund_is_for_one_lock_until_its_end(evm: EvmHarness) -> None:
    leg, other = await lock(evm), await lock(evm)
    draft = refund_draft(evm, leg.terms, leg.lock_id)
    assert isinstance(other.receiver, LocalSigner)
    theirs = await other.receiver.consent(replace(draft.consent, account=other.receiver.account))
    third = await evm.account()
    with pytest.raises(RevertedError) as caught:
        await evm.access.transactions.simulate(draft.complete(theirs, third.account))
    assert caught.value.fields["reason"] == f"WrongSignature(0x{evm_address(leg.receiver.account).hex()})"
    head = (await evm.access.heads.head()).head.time
    over = evm.chain.consents.refund(leg.terms, leg.lock_id, ChainTime(CHAIN, head.seconds - 1))
    assert isinstance(leg.receiver, LocalSigner)
    late = over.complete(await leg.receiver.consent(over.consent), third.account)
    with pytest.raises(RevertedError, match=r"SignatureExpired\("):
        await evm.access.transactions.simulate(late)
    with pytest.raises(RejectedError, match="another sender"):
        evm.chain.consents.refund(leg.terms, other.lock_id, leg.terms.timelock)


# --- what wallets see --------------------------------------------------------------------------------------------


async def test_a_wallet_signs_the_same_from_the_json(signed: Signed) -> None:
    """eth_signTypedData_v4 of the JSON, by another library, gives the bytes that our key gives."""
    key = secrets.token_bytes(32)
    signer = LocalSigner(CHAIN, key)
    drafts = [
        await signed.locks.permit(signed.terms, signed.place, signed.until),
        await signed.locks.authorization(signed.terms, signed.place, signed.until),
        signed.locks.permit2(signed.terms, signed.place, signed.until),
        refund_draft(signed.evm, signed.terms, signed.place),
    ]
    for draft in drafts:
        mine = replace(draft.consent, account=signer.account)
        theirs = Account.sign_message(encode_typed_data(full_message=json.loads(mine.typed_data)), key)
        assert bytes(theirs.signature) == await signer.consent(mine)
        assert bytes(theirs.message_hash) == digest(mine)
        assert "\n" not in draft.summary


async def test_a_key_consents_for_its_own_account_only(signed: Signed) -> None:
    consent: Consent = signed.locks.permit2(signed.terms, signed.place, signed.until).consent
    with pytest.raises(RejectedError):
        await signed.stranger.consent(consent)
    draft = await signed.locks.permit(signed.terms, signed.place, signed.until)
    for bad in (bytes(65), b"", bytes(64), bytes(64) + b"\x1b"):
        with pytest.raises(RejectedError):
            draft.complete(bad, signed.sender.account)
