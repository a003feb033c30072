"""The policy of an EVM account's key: our own transactions and consents pass, everything else is refused as bytes."""

from dataclasses import replace

import pytest

from adapters.conformance.harness import make_terms
from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.names import account, native_asset, token_asset
from adapters.evm.signing import LocalSigner
from adapters.evm.signing_rules import EvmSigningRules
from adapters.signing_rules import GuardedConsentSigner, GuardedSigner, SigningLimits
from core.model.errors import RejectedError
from core.model.openings import Opening
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, Hashlock, Preimage
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import CHAIN, EvmHarness

COLD, STRANGER = (account(CHAIN, bytes.fromhex(byte * 20)) for byte in ("c0", "5e"))
NATIVE = native_asset(CHAIN)
FEE = FeeBid(10**9, 1)
MOST = 10**6


def guarded(evm: EvmHarness, signer: LocalSigner, **changed: object) -> GuardedConsentSigner:
    """`signer` behind the policy of this chain's contracts."""
    limits = SigningLimits(signer.account, frozenset({COLD}), {NATIVE: MOST}, 10 * FEE.max_fee)
    tokens = [evm_address(token) for token in evm.contracts.tokens]
    rules = EvmSigningRules(CHAIN, evm_address(evm.contracts.htlc), tokens, replace(limits, **changed))  # type: ignore[arg-type]
    return GuardedConsentSigner(signer, signer, rules)


async def sign(evm: EvmHarness, signer: GuardedSigner, unsigned: UnsignedTransaction, fee: FeeBid = FEE) -> bytes:
    transactions = evm.access.transactions
    request = transactions.assemble(unsigned, 7, fee, None)
    signature = await signer.sign(request)
    transactions.attach(request, signature)
    return signature


async def test_our_own_transactions_are_signed(evm: EvmHarness) -> None:
    me, friend = await evm.account(), await evm.account()
    signer, token = guarded(evm, me), token_asset(CHAIN, evm_address(evm.contracts.tokens[0]))
    preimage, access = Preimage.generate(), evm.access
    assert access.batches is not None
    for asset in (NATIVE, token):
        terms = await make_terms(evm, me, friend, preimage, asset, BaseUnits(1_000))
        place = await access.legs.lock_id(terms)
        exits = [access.legs.refund(terms, place, me.account)]
        ours = [access.legs.lock(terms, place), *exits, access.legs.claim(terms, place, preimage, me.account)]
        ours.append(access.batches.batch(exits))
        if (allowance := await access.legs.prepare(terms)) is not None:
            ours.append(allowance)
        for one in ours:
            await sign(evm, signer, one)
    cancellation = await access.transactions.cancellation(me.account)
    assert cancellation is not None
    await sign(evm, signer, cancellation)


async def test_our_own_consents_are_given(evm: EvmHarness) -> None:
    me, friend = await evm.account(), await evm.account()
    signer, access = guarded(evm, me), evm.access
    assert access.openings is not None
    assert access.consents is not None
    terms = await make_terms(evm, friend, me, Preimage.generate(), NATIVE, BaseUnits(1_000))
    draft = access.consents.refund(terms, await access.legs.lock_id(terms), terms.timelock)
    opening = Opening(
        account=me.account,
        relayer=bytes(32),
        quote_id="ab" * 16,
        hashlock=Hashlock(bytes(32)),
        given_asset=NATIVE,
        given_amount=BaseUnits(5),
        given_to=friend.account,
        wanted_asset=AssetId("causeway:x/asset:cnyd"),
        wanted_amount=BaseUnits(6),
        wanted_to=AccountId(f"causeway:x:{'0a' * 20}"),
        expires_at=10**9,
    )
    for consent in (draft.consent, access.openings.message(opening)):
        assert len(await signer.consent(consent)) == 65
        for altered in (
            replace(consent, payload=consent.payload[:-1] + b"\x00"),
            replace(
                consent, typed_data=consent.typed_data.replace(f"{evm.contracts.htlc}".rpartition(":")[2], STRANGER)
            ),
            replace(consent, typed_data="{}"),
        ):
            if altered != consent:
                with pytest.raises(RejectedError):
                    await signer.consent(altered)


async def test_strangers_transactions_are_refused(evm: EvmHarness) -> None:
    me = await evm.account()
    signer, token = guarded(evm, me), evm_address(evm.contracts.tokens[0])
    htlc = evm_address(evm.contracts.htlc)

    def call(to: bytes, data: bytes = b"", value: int = 0) -> UnsignedTransaction:
        return unsigned_call(me.account, to, data, gas=100_000, value=value, summary="a call")

    def of_token(function: str, *arguments: object) -> UnsignedTransaction:
        return call(token, encode_call("TestToken", function, *arguments))

    cold, stranger = evm_address(COLD), evm_address(STRANGER)
    for allowed in (call(cold, value=5), of_token("transfer", cold, 5), of_token("approve", htlc, 2**256 - 1)):
        await sign(evm, signer, allowed)
    for refused, said in (
        (call(stranger, value=5), "is not a destination"),
        (of_token("transfer", stranger, 5), "is not a destination"),
        (of_token("approve", stranger, 5), "signs calls of the HTLC"),
        (call(stranger, b"\x01\x02\x03\x04"), "signs calls of the HTLC"),
        (call(htlc, b"\x01\x02\x03\x04"), "no such function"),
        (call(cold, value=MOST + 1), "lets one transaction take"),
        (unsigned_call(me.account, None, b"\x60\x00", gas=100_000, summary="create"), "cannot read"),
    ):
        with pytest.raises(RejectedError, match=said):
            await sign(evm, signer, refused)
    with pytest.raises(RejectedError, match="per unit of gas at most"):
        await sign(evm, signer, call(cold, value=5), FeeBid(10 * FEE.max_fee + 1, 1))
    anybody = guarded(evm, me, destinations=None)
    await sign(evm, anybody, call(stranger, value=5))
    request = evm.access.transactions.assemble(call(cold, value=5), 0, FEE, None)
    elsewhere = EvmSigningRules(CHAIN.replace("31337", "1"), htlc, [], SigningLimits(me.account))  # type: ignore[arg-type]
    with pytest.raises(RejectedError, match=r"is for eip155:31337"):
        elsewhere.check(request)
    with pytest.raises(RejectedError, match="cannot read"):
        await anybody.sign(replace(request, payload=b"\x02\xc0"))


async def test_answers_to_questions_are_signed_and_nothing_else(evm: EvmHarness) -> None:
    """Of the contract of questions, the policy knows the ways to answer; without such a contract it knows none."""
    me, contract = await evm.account(), bytes.fromhex("aa" * 20)
    limits = SigningLimits(me.account, frozenset({COLD}), {NATIVE: MOST}, 10 * FEE.max_fee)
    htlc = evm_address(evm.contracts.htlc)
    answering = GuardedConsentSigner(me, me, EvmSigningRules(CHAIN, htlc, [], limits, (), contract))
    data = encode_call("CrossChainQuery", "answerMany", 5, [])
    answer = unsigned_call(me.account, contract, data, gas=10**5, summary="answer")
    await sign(evm, answering, answer)
    withdrawal = encode_call("CrossChainQuery", "withdraw", bytes(20))
    others = (
        unsigned_call(me.account, contract, data, gas=10**5, value=1, summary="answer and pay"),
        unsigned_call(me.account, contract, withdrawal, gas=10**5, summary="withdraw"),
        unsigned_call(me.account, bytes.fromhex("bb" * 20), data, gas=10**5, summary="elsewhere"),
    )
    for other in others:
        with pytest.raises(RejectedError, match="signing policy"):
            await sign(evm, answering, other)
    with pytest.raises(RejectedError, match="signing policy"):
        await sign(evm, guarded(evm, me), answer)
