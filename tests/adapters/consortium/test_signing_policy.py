"""The policy of a ledger account's key: locks, exits and transfers to destinations, on its own chain, within limits."""

from dataclasses import replace

import pytest

from adapters.consortium.messages import unsigned
from adapters.consortium.signing import Ed25519Signer
from adapters.consortium.signing_rules import ConsortiumSigningRules
from adapters.signing_rules import GuardedConsentSigner, SigningLimits
from core.model.consortium import (
    AttestHeader,
    Burn,
    Claim,
    Issue,
    Lock,
    Message,
    Refund,
    TransactionBody,
    Transfer,
    WriteRecord,
    caip_account,
    caip_asset,
    caip_chain,
    quantity,
    raw_address,
    sign_bytes,
)
from core.model.errors import RejectedError
from core.model.transactions import Consent, SigningRequest

CHAIN = caip_chain("mine-1")
KEY = Ed25519Signer(CHAIN, b"\x01" * 32)
COLD, STRANGER = (caip_account(CHAIN, bytes.fromhex(byte * 20)) for byte in ("c0", "5e"))
LIMITS = SigningLimits(KEY.account, frozenset({COLD}), {caip_asset(CHAIN, "cnyd"): 100})
SIGNER = GuardedConsentSigner(KEY, KEY, ConsortiumSigningRules(CHAIN, LIMITS))


def request(*messages: Message, reference: str = "mine-1") -> SigningRequest:
    body = TransactionBody(reference, KEY.public_key, 3, 50, messages)
    return SigningRequest(unsigned(CHAIN, KEY.account, messages, "a transaction"), 3, "ed25519", sign_bytes(body))


def lock(amount: int) -> Lock:
    return Lock("cnyd", quantity(amount), raw_address(STRANGER), bytes(32), 10**9)


def transfer(receiver: str, amount: int) -> Transfer:
    return Transfer("cnyd", raw_address(receiver), quantity(amount))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "messages",
    [
        (lock(100),),
        (Claim(bytes(20), bytes(32)),),
        (Refund(bytes(20), bytes(32)), Refund(bytes(20), bytes(32))),
        (transfer(COLD, 100),),
        (transfer(KEY.account, 1),),
        (AttestHeader("eip155:1", 5, bytes(32), 9),),
    ],
)
async def test_our_own_messages_are_signed(messages: tuple[Message, ...]) -> None:
    asked = request(*messages)
    assert await SIGNER.sign(asked) == await KEY.sign(asked)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ((lock(101),), "lets one transaction take 100"),
        ((lock(60), transfer(COLD, 41)), "lets one transaction take 100"),
        ((transfer(STRANGER, 1),), "is not a destination"),
        ((Refund(bytes(20), bytes(32)), transfer(STRANGER, 1)), "is not a destination"),
        ((Issue("cnyd", bytes(20), quantity(1)),), "signs no Issue"),
        ((Burn("cnyd", quantity(1)),), "signs no Burn"),
        ((WriteRecord("n", "k", b"{}"),), "signs no WriteRecord"),
    ],
)
async def test_other_messages_are_refused(messages: tuple[Message, ...], said: str) -> None:
    with pytest.raises(RejectedError, match=said):
        await SIGNER.sign(request(*messages))


async def test_other_bytes_are_refused() -> None:
    asked = request(lock(1))
    for payload in (b"", asked.payload[:-1], asked.payload + b"\x00", b"other prefix" + asked.payload):
        with pytest.raises(RejectedError, match="cannot read"):
            await SIGNER.sign(replace(asked, payload=payload))
    with pytest.raises(RejectedError, match="is for other-1"):
        await SIGNER.sign(request(lock(1), reference="other-1"))
    with pytest.raises(RejectedError, match="none of them"):
        await SIGNER.consent(Consent(KEY.account, "{}", asked.payload, "not a consent"))
