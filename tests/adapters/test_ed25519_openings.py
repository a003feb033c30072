"""The bytes that an ed25519 account signs to open a swap, and that nothing else is taken for them."""

import msgspec
import pytest
from nacl.signing import SigningKey, VerifyKey

from adapters.consortium import Ed25519Signer
from adapters.consortium.chain import DEFAULT_TIMING, ConsortiumParameters
from adapters.ed25519_openings import Ed25519OpeningProofs
from core.model.consortium import address, caip_account
from core.model.errors import RejectedError
from core.model.openings import Opening
from core.model.transactions import Consent
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Hashlock

CHAIN = ChainId("causeway:consortium-1")
GENESIS = b"\x77" * 32
SIGNER = Ed25519Signer(CHAIN, b"\x11" * 32)
OPENING = Opening(
    account=SIGNER.account,
    relayer=b"\x33" * 32,
    quote_id="quote",
    hashlock=Hashlock(b"\x44" * 32),
    given_asset=AssetId(f"{CHAIN}/asset:cnyd"),
    given_amount=BaseUnits(2**200),
    given_to=AccountId(f"{CHAIN}:{'66' * 20}"),
    wanted_asset=AssetId("eip155:1/slip44:60"),
    wanted_amount=BaseUnits(10**17),
    wanted_to=AccountId(f"eip155:1:0x{'55' * 20}"),
    expires_at=1_800_000_000,
)


def openings(genesis: bytes = GENESIS, chain: ChainId = CHAIN) -> Ed25519OpeningProofs:
    parameters = ConsortiumParameters(chain, genesis, DEFAULT_TIMING, {}, bytes(32))
    return Ed25519OpeningProofs(parameters, lambda key: caip_account(chain, address(key)))


async def test_what_is_signed_is_as_documented() -> None:
    fields = [
        GENESIS,
        str(SIGNER.account),
        "33" * 32,
        "quote",
        "44" * 32,
        "causeway:consortium-1/asset:cnyd",
        str(2**200),
        f"causeway:consortium-1:{'66' * 20}",
        "eip155:1/slip44:60",
        "100000000000000000",
        f"eip155:1:0x{'55' * 20}",
        "1800000000",
    ]
    signed = b"causeway consent v1\0" + msgspec.msgpack.encode(fields)
    message = openings().message(OPENING)
    assert message.payload == signed
    proof = await SIGNER.consent(message)
    assert proof[:32] == SIGNER.public_key
    assert VerifyKey(proof[:32]).verify(signed, proof[32:]) == signed
    await openings().check(OPENING, proof)


async def test_a_chain_that_began_otherwise_is_another_chain() -> None:
    """Development chains use a name again."""
    proof = await SIGNER.consent(openings().message(OPENING))
    with pytest.raises(RejectedError, match="signature"):
        await openings(genesis=bytes(32)).check(OPENING, proof)


async def test_a_key_of_small_order_signs_nothing() -> None:
    """With such a key one signature fits every message (RFC 8032, section 5.1.7; libsodium refuses it)."""
    for key in (bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"):
        account = caip_account(CHAIN, address(key))
        opening = Opening(**{name: getattr(OPENING, name) for name in Opening.__slots__} | {"account": account})
        for point in (key, b"\1" + bytes(31), bytes(32)):
            with pytest.raises(RejectedError, match="signature"):
                await openings().check(opening, key + point + bytes(32))


async def test_a_key_signs_no_transaction_as_a_consent() -> None:
    for payload in (b"", b"causeway transaction v1\0" + bytes(64), b"causeway consent v", bytes(32)):
        with pytest.raises(RejectedError, match="not a consent"):
            await SIGNER.consent(Consent(SIGNER.account, "{}", payload, "something"))
    other = Ed25519Signer(CHAIN, bytes(SigningKey.generate()))
    with pytest.raises(RejectedError, match="not"):
        await other.consent(openings().message(OPENING))
