"""Signatures by which an account shows that the opening of a swap is its own, on chains that know such."""

import secrets
from dataclasses import replace

import pytest

from adapters.conformance.harness import AMOUNT, ChainHarness, fee_bid
from core.model.errors import RejectedError
from core.model.openings import MAX_PROOF_BYTES, Access, Opening
from core.model.ports import ConsentSigner, OpeningProofs, Signer
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Preimage

OTHER_CHAIN = ChainId("eip155:1")
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def _openings(harness: ChainHarness) -> OpeningProofs:
    if harness.access.openings is None:
        pytest.skip("accounts prove no openings on this chain")
    return harness.access.openings


def _opening(harness: ChainHarness, account: AccountId, given_to: AccountId) -> Opening:
    return Opening(
        account=account,
        relayer=secrets.token_bytes(32),
        quote_id=secrets.token_hex(16),
        hashlock=Preimage.generate().hashlock(),
        given_asset=harness.assets[0],
        given_amount=AMOUNT,
        given_to=given_to,
        wanted_asset=AssetId(f"{OTHER_CHAIN}/slip44:60"),
        wanted_amount=BaseUnits(2**256 - 1),
        wanted_to=AccountId(f"{OTHER_CHAIN}:0x{'11' * 20}"),
        expires_at=2_000_000_000,
    )


async def _signed(signer: Signer, consent: Consent) -> bytes:
    assert isinstance(signer, ConsentSigner), "a chain with proofs of openings has signers that give them"
    return await signer.consent(consent)


def malleated(proof: bytes) -> list[bytes]:
    """Other forms of the same signature: secp256k1's with the opposite s, ed25519's with s beyond the order."""
    if len(proof) == 65:
        other = SECP256K1_ORDER - int.from_bytes(proof[32:64], "big")
        turned = bytes([proof[64] ^ 27 ^ 28])
        return [proof[:32] + other.to_bytes(32, "big") + turned, proof[:64] + bytes([proof[64] - 27]), proof + b"\0"]
    beyond = int.from_bytes(proof[-32:], "little") + ED25519_ORDER
    return [proof[:-32] + beyond.to_bytes(32, "little"), proof + b"\0", proof[32:]]


class OpeningConformance:
    """`OpeningProofs`."""

    async def test_an_account_proves_its_own_opening(self, harness: ChainHarness) -> None:
        openings, signer, other = _openings(harness), await harness.account(), await harness.account()
        opening = _opening(harness, signer.account, other.account)
        consent = openings.message(opening)
        assert consent.account == signer.account
        proof = await _signed(signer, consent)
        assert len(proof) <= MAX_PROOF_BYTES
        await openings.check(opening, proof)

    async def test_a_proof_is_for_every_field_of_its_opening(self, harness: ChainHarness) -> None:
        openings, signer, other = _openings(harness), await harness.account(), await harness.account()
        opening = _opening(harness, signer.account, other.account)
        proof = await _signed(signer, openings.message(opening))
        for changes in (
            {"account": other.account},
            {"relayer": bytes(32)},
            {"quote_id": "another"},
            {"hashlock": Preimage.generate().hashlock()},
            {"given_asset": harness.assets[-1] if len(harness.assets) > 1 else opening.wanted_asset},
            {"given_amount": BaseUnits(AMOUNT + 1)},
            {"given_to": signer.account},
            {"wanted_asset": AssetId(f"{OTHER_CHAIN}/slip44:61")},
            {"wanted_amount": BaseUnits(1)},
            {"wanted_to": AccountId(f"{OTHER_CHAIN}:0x{'22' * 20}")},
            {"expires_at": 1},
        ):
            with pytest.raises(RejectedError):
                await openings.check(replace(opening, **changes), proof)

    async def test_nobody_proves_an_opening_of_another_account(self, harness: ChainHarness) -> None:
        openings, signer, other = _openings(harness), await harness.account(), await harness.account()
        opening = _opening(harness, signer.account, other.account)
        consent = openings.message(opening)
        with pytest.raises(RejectedError):
            await _signed(other, consent)
        with pytest.raises(RejectedError):
            await openings.check(opening, await _signed(other, replace(consent, account=other.account)))

    async def test_an_opening_of_another_chain_is_refused(self, harness: ChainHarness) -> None:
        openings, signer = _openings(harness), await harness.account()
        abroad = _opening(harness, AccountId(f"{OTHER_CHAIN}:0x{'33' * 20}"), signer.account)
        with pytest.raises(RejectedError):
            openings.message(abroad)
        with pytest.raises(RejectedError):
            await openings.check(abroad, bytes(65))

    async def test_another_form_of_a_proof_is_refused(self, harness: ChainHarness) -> None:
        openings, signer = _openings(harness), await harness.account()
        opening = _opening(harness, signer.account, signer.account)
        proof = await _signed(signer, openings.message(opening))
        for form in malleated(proof):
            with pytest.raises(RejectedError):
                await openings.check(opening, form)

    async def test_any_other_bytes_are_refused(self, harness: ChainHarness) -> None:
        openings, signer = _openings(harness), await harness.account()
        opening = _opening(harness, signer.account, signer.account)
        right = await _signed(signer, openings.message(opening))
        wrong = [b"", bytes(65), bytes(96), b"\xff" * 65, b"\xff" * 96, bytes(MAX_PROOF_BYTES + 1), bytes(1_000_000)]
        wrong += [secrets.token_bytes(size) for size in (1, 31, 64, len(right), len(right), MAX_PROOF_BYTES)]
        wrong += [right[:place] + bytes([right[place] ^ 1]) + right[place + 1 :] for place in range(0, len(right), 7)]
        for proof in wrong:
            with pytest.raises(RejectedError):
                await openings.check(opening, proof)

    async def test_a_signer_takes_no_transaction_for_a_consent(self, harness: ChainHarness) -> None:
        """Whoever may have messages signed cannot have a transaction signed by it, nor the other way round."""
        openings, signer = _openings(harness), await harness.account()
        consent = openings.message(_opening(harness, signer.account, signer.account))
        transactions = harness.access.transactions
        nothing = await transactions.cancellation(signer.account)
        assert nothing is not None
        request = transactions.assemble(nothing, 0, await fee_bid(harness), None)
        with pytest.raises(RejectedError):
            await _signed(signer, replace(consent, payload=request.payload))
        disguised = SigningRequest(request.transaction, request.sequence, request.scheme, consent.payload)
        with pytest.raises(RejectedError):
            await signer.sign(disguised)

    async def test_holder_of_an_account_signs_a_challenge(self, harness: ChainHarness) -> None:
        openings, signer, other = _openings(harness), await harness.account(), await harness.account()
        access = Access(signer.account, secrets.token_bytes(32), secrets.token_bytes(32), 2_000_000_000)
        proof = await _signed(signer, openings.message(access))
        await openings.check(access, proof)
        for changed in (
            replace(access, account=other.account),
            replace(access, relayer=bytes(32)),
            replace(access, challenge=bytes(32)),
            replace(access, expires_at=access.expires_at + 1),
        ):
            with pytest.raises(RejectedError):
                await openings.check(changed, proof)
        opening = _opening(harness, signer.account, other.account)
        with pytest.raises(RejectedError):
            await openings.check(opening, proof)
        with pytest.raises(RejectedError):
            await openings.check(access, await _signed(signer, openings.message(opening)))
