"""Openings that Ethereum accounts sign: the bytes, wallets of others, and wallets that are contracts."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from eth_abi.abi import encode
from eth_account import Account

from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.names import native_asset
from adapters.evm.openings import EvmOpeningProofs
from adapters.evm.signing import LocalSigner, development_signer
from core.model.errors import RejectedError
from core.model.openings import Opening
from core.model.transactions import Consent
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Hashlock
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address
from tests.adapters.evm.harness import CHAIN, MNEMONIC, EvmHarness
from tests.adapters.evm.test_consents import deployed

KEY = b"\x11" * 32
HTLC = b"\x22" * 20
OPENING = Opening(
    account=LocalSigner(ChainId("eip155:1"), KEY).account,
    relayer=b"\x33" * 32,
    quote_id="00112233445566778899aabbccddeeff",
    hashlock=Hashlock(b"\x44" * 32),
    given_asset=AssetId("eip155:1/slip44:60"),
    given_amount=BaseUnits(10**17),
    given_to=AccountId(f"eip155:1:0x{'55' * 20}"),
    wanted_asset=AssetId("causeway:consortium-1/asset:cnyd"),
    wanted_amount=BaseUnits(25_000),
    wanted_to=AccountId(f"causeway:consortium-1:{'66' * 20}"),
    expires_at=1_800_000_000,
)
TYPE = (
    "Opening(bytes32 relayer,string quote,bytes32 hashlock,address account,string give,uint256 giveAmount,"
    "string giveTo,string get,uint256 getAmount,string getTo,uint256 expiresAt)"
)
NAMES = [field.split()[1] for field in TYPE[len("Opening(") : -1].split(",")]
DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
SIGNATURE = bytes.fromhex(
    "51d3e50f675064e2d5df3c157b1ebfd9e2277b0418b9020f16a785ae738c424d"
    "37075c302afdddfbf1c4f7c750f27a908ec39fae0215baedd43108bd8fc7fc6a1c"
)
"""The signature that eth_account's `sign_typed_data` gives for `OPENING` under `KEY`."""


@pytest.fixture
async def openings() -> AsyncIterator[EvmOpeningProofs]:
    endpoints = Endpoints([Endpoint("http://127.0.0.1:9")])
    yield EvmOpeningProofs(ChainId("eip155:1"), endpoints, HTLC)
    await endpoints.close()


def hashed(kind: str, types: list[str], values: list[object]) -> bytes:
    """`hashStruct` of EIP-712, with strings hashed."""
    words = [keccak256(value.encode()) if isinstance(value, str) else value for value in values]
    return keccak256(keccak256(kind.encode()) + encode(types, words))


async def test_what_is_signed_is_eip_712(openings: EvmOpeningProofs) -> None:
    """By the EIP's own formula, and by a signature that another library made."""
    domain = hashed(DOMAIN, ["bytes32", "bytes32", "uint256", "address"], ["Causeway", "1", 1, HTLC])
    body = hashed(
        TYPE,
        [
            "uint256" if name.endswith(("Amount", "At")) else "address" if name == "account" else "bytes32"
            for name in NAMES
        ],
        [
            OPENING.relayer,
            OPENING.quote_id,
            OPENING.hashlock,
            evm_address(OPENING.account),
            str(OPENING.given_asset),
            OPENING.given_amount,
            str(OPENING.given_to),
            str(OPENING.wanted_asset),
            OPENING.wanted_amount,
            str(OPENING.wanted_to),
            OPENING.expires_at,
        ],
    )
    message = openings.message(OPENING)
    assert message.payload == b"\x19\x01" + domain + body
    assert await LocalSigner(ChainId("eip155:1"), KEY).consent(message) == SIGNATURE
    theirs = Account.sign_typed_data(KEY, full_message=json.loads(message.typed_data))
    assert bytes(theirs.signature) == SIGNATURE
    await openings.check(OPENING, SIGNATURE)


async def test_a_contract_that_is_another_is_another_domain(openings: EvmOpeningProofs) -> None:
    endpoints = Endpoints([Endpoint("http://127.0.0.1:9")])
    other = EvmOpeningProofs(ChainId("eip155:1"), endpoints, b"\x23" * 20)
    assert other.message(OPENING).payload[2:34] != openings.message(OPENING).payload[2:34]
    assert other.message(OPENING).payload[34:] == openings.message(OPENING).payload[34:]
    await endpoints.close()


async def test_a_key_signs_no_other_bytes_as_a_consent() -> None:
    signer = LocalSigner(ChainId("eip155:1"), KEY)
    for payload in (b"", b"\x19\x01", b"\x19E" + bytes(64), b"\x19\x01" + bytes(65), b"\x02" + bytes(65), bytes(32)):
        with pytest.raises(RejectedError, match="typed data"):
            await signer.consent(Consent(signer.account, "{}", payload, "something"))


def opening_of(evm: EvmHarness, account: AccountId) -> Opening:
    asset = native_asset(CHAIN)
    return replace(OPENING, account=account, given_asset=asset, given_to=evm.bank.account)


async def test_any_wallet_signs_it_by_eth_sign_typed_data(evm: EvmHarness) -> None:
    """anvil's own wallet, which knows nothing of us, gives the same bytes as our key."""
    signer = development_signer(CHAIN, MNEMONIC, 1)
    openings = evm.access.openings
    assert openings is not None
    opening = opening_of(evm, signer.account)
    message = openings.message(opening)
    address = signer.account.rpartition(":")[2]
    theirs = await evm.rpc("eth_signTypedData_v4", address, json.loads(message.typed_data))
    assert bytes.fromhex(theirs[2:]) == await signer.consent(message)
    await openings.check(opening, bytes.fromhex(theirs[2:]))


async def test_a_wallet_that_is_a_contract_proves_by_its_owner(evm: EvmHarness) -> None:
    """EIP-1271: its owner's signature over an opening of the wallet, and nobody else's, nor one of the owner's own."""
    owner, third = await evm.account(), await evm.account()
    wallet = await deployed(evm, "testing/Wallet", evm_address(owner.account))
    openings = evm.access.openings
    assert openings is not None
    opening = opening_of(evm, wallet)
    message = openings.message(opening)
    proof = await owner.consent(replace(message, account=owner.account))
    await openings.check(opening, proof)
    strangers = await third.consent(replace(message, account=third.account))
    owners = await owner.consent(openings.message(replace(opening, account=owner.account)))
    for wrong in (strangers, owners, proof[:-1], b"\1", bytes(1_024)):
        with pytest.raises(RejectedError, match="signature"):
            await openings.check(opening, wrong)
    with pytest.raises(RejectedError, match="signature"):
        await openings.check(replace(opening, account=evm.contracts.htlc), proof)
