"""Assembly, signatures, refusals and outcomes of EVM transactions."""

import json
import pickle
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from adapters.conformance.harness import claim, lock, make_terms, refund, signed
from adapters.evm.calls import body_of, unsigned_call
from adapters.evm.contracts.deployer import created_address, pay_native
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.keystore import keystore_signer
from adapters.evm.signing import SECP256K1_ORDER, LocalSigner, development_signer, recover_address
from adapters.evm.transactions import EvmTransactionSender
from core.model.errors import FatalError, RejectedError, RetryableError, RevertedError
from core.model.transactions import FeeBid, OutcomeStatus, UnsignedTransaction
from core.model.types import BaseUnits, ChainId, Preimage
from core.proofs.lanes import evm_address
from core.runtime.sockets import free_port
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal
from tests.adapters.evm.harness import CHAIN, MNEMONIC, EvmHarness

FEE = FeeBid(10**10, 10**9)


def offline() -> EvmTransactionSender:
    return EvmTransactionSender(CHAIN, Endpoints([Endpoint("http://127.0.0.1:9")]))


def a_payment(signer: LocalSigner, amount: int = 5) -> UnsignedTransaction:
    return pay_native(signer.account, development_signer(CHAIN, MNEMONIC, 1).account, BaseUnits(amount))


async def test_other_libraries_read_what_we_sign() -> None:
    """Both sign deterministically (RFC 6979), so the bytes are equal, not only their meaning."""
    key = secrets.token_bytes(32)
    signer = LocalSigner(CHAIN, key)
    token, to = bytes.fromhex("77" * 20), bytes(19) + b"\x01"
    call = unsigned_call(signer.account, to, b"\xab" * 100, gas=50_000, value=3, warm=(token,), summary="x")
    sender = offline()
    request = sender.assemble(call, 7, FEE, None)
    sent = sender.attach(request, await signer.sign(request))
    theirs = Account.sign_transaction(
        {
            "type": 2,
            "chainId": 31337,
            "nonce": 7,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 10**9,
            "gas": 50_000,
            "to": to,
            "value": 3,
            "data": b"\xab" * 100,
            "accessList": [{"address": "0x" + token.hex(), "storageKeys": []}],
        },
        key,
    )
    assert (sent.raw, sent.hash) == (bytes(theirs.raw_transaction), bytes(theirs.hash))


async def test_the_body_is_what_a_wallet_sends() -> None:
    signer = LocalSigner(CHAIN, secrets.token_bytes(32))
    body = json.loads(a_payment(signer, 255).body)
    assert body["from"] == "0x" + evm_address(signer.account).hex()
    assert (body["chainId"], body["value"], body["data"]) == ("0x7a69", "0xff", "0x")


async def test_a_signature_of_somebody_else_is_refused() -> None:
    signer, other = LocalSigner(CHAIN, secrets.token_bytes(32)), LocalSigner(CHAIN, secrets.token_bytes(32))
    sender = offline()
    request = sender.assemble(a_payment(signer), 0, FEE, None)
    theirs = sender.assemble(a_payment(other), 0, FEE, None)
    for bad in (await other.sign(theirs), bytes(65), b"\xff" * 65, b"", (await signer.sign(request))[:64]):
        with pytest.raises(RejectedError):
            sender.attach(request, bad)


async def test_a_signature_with_high_s_is_refused() -> None:
    signer, sender = LocalSigner(CHAIN, secrets.token_bytes(32)), offline()
    request = sender.assemble(a_payment(signer), 0, FEE, None)
    good = await signer.sign(request)
    flipped = (
        good[:32] + (SECP256K1_ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big") + bytes([1 - good[64]])
    )
    assert recover_address(request.payload, flipped) == evm_address(signer.account)
    with pytest.raises(RejectedError, match="upper half"):
        sender.attach(request, flipped)


async def test_what_cannot_be_assembled() -> None:
    signer, sender = LocalSigner(CHAIN, secrets.token_bytes(32)), offline()
    call = a_payment(signer)
    with pytest.raises(RejectedError, match="needs a fee"):
        sender.assemble(call, 0, None, None)
    with pytest.raises(RejectedError, match="priority"):
        sender.assemble(call, 0, FeeBid(1, 2), None)
    with pytest.raises(RejectedError, match="this is"):
        sender.assemble(replace(call, chain=ChainId("eip155:1")), 0, FEE, None)
    with pytest.raises(RejectedError, match="not the body"):
        sender.assemble(replace(call, body=b"{}"), 0, FEE, None)
    with pytest.raises(RejectedError, match="another chain or sender"):
        other = LocalSigner(CHAIN, secrets.token_bytes(32))
        sender.assemble(replace(call, sender=other.account), 0, FEE, None)


def test_keys_are_not_shown_and_do_not_travel(tmp_path: Path) -> None:
    key = secrets.token_bytes(32)
    signer = LocalSigner(CHAIN, key)
    assert key.hex() not in repr(signer) + str(signer)
    with pytest.raises(TypeError):
        pickle.dumps(signer)
    path = tmp_path / "key.json"
    path.write_text(json.dumps(Account.encrypt(key, "word", kdf="pbkdf2", iterations=1_000)))
    assert keystore_signer(CHAIN, path, "word").account == signer.account
    with pytest.raises(FatalError, match="does not open"):
        keystore_signer(CHAIN, path, "wrong")
    with pytest.raises(FatalError, match="no keystore"):
        keystore_signer(CHAIN, tmp_path / "none.json", "word")


def test_development_accounts_are_anvils() -> None:
    assert development_signer(CHAIN, MNEMONIC, 0).account == f"{CHAIN}:0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"


def test_where_a_contract_is_created() -> None:
    """The example of EIP-1014's neighbour: anvil's first account puts its first contract here, as everybody knows."""
    creator = development_signer(CHAIN, MNEMONIC, 0).account
    assert created_address(creator, 0) == f"{CHAIN}:0x5fbdb2315678afecb367f032d93f642f64180aa3"


async def test_account_without_money_is_refused_and_may_try_again(evm: EvmHarness) -> None:
    poor = LocalSigner(CHAIN, secrets.token_bytes(32))
    sent = await signed(evm, poor, a_payment(poor))
    with pytest.raises(RetryableError, match="fund the account"):
        await evm.access.transactions.submit(sent)
    with pytest.raises(RevertedError):
        await evm.access.transactions.simulate(a_payment(poor))
    await evm.send(evm.bank, pay_native(evm.bank.account, poor.account, BaseUnits(10**18)))
    await evm.access.transactions.submit(sent)
    await evm.advance()
    assert (await evm.access.transactions.outcome(sent.hash)).status is OutcomeStatus.INCLUDED


async def test_a_revert_says_why_in_the_contracts_words(evm: EvmHarness) -> None:
    leg = await lock(evm)
    [tx_hash] = await evm.send(leg.sender, refund(evm, leg, leg.sender))
    outcome = await evm.access.transactions.outcome(tx_hash)
    assert outcome.status is OutcomeStatus.REVERTED
    assert outcome.reason is not None
    assert outcome.reason.startswith("RefundTooEarly(")


async def test_a_revert_says_why_where_nothing_is_traced(evm: EvmHarness, liar: MiddleMan) -> None:
    """A claim that comes at the timelock fails by the clock of its own block, not of the block before."""
    leg = await lock(evm)
    await evm.wait_until(leg.terms.timelock)
    [tx_hash] = await evm.send(leg.receiver, claim(evm, leg, leg.receiver))

    def no_traces(method: str, params: list[Any], result: Any) -> Any:
        if method.startswith("debug_"):
            raise RpcRefusal(-32601, "method not found")
        return result

    liar.tamper = no_traces
    pool = Endpoints([Endpoint(liar.url)])
    outcome = await EvmTransactionSender(CHAIN, pool).outcome(tx_hash)
    assert outcome.reason is not None
    assert outcome.reason.startswith("ClaimTooLate(")
    await pool.close()


async def test_broadcast_gets_through_while_another_endpoint_is_down(evm: EvmHarness) -> None:
    pool = Endpoints([Endpoint(f"http://127.0.0.1:{free_port()}"), Endpoint(evm.anvil.rpc_url)])
    signer = await evm.account()
    sent = await signed(evm, signer, a_payment(signer))
    await EvmTransactionSender(CHAIN, pool).submit(sent)
    await evm.advance()
    assert (await EvmTransactionSender(CHAIN, pool).outcome(sent.hash)).status is OutcomeStatus.INCLUDED
    await pool.close()


async def test_a_broadcast_that_reaches_nobody_may_be_tried_again() -> None:
    signer = LocalSigner(CHAIN, secrets.token_bytes(32))
    pool = Endpoints([Endpoint(f"http://127.0.0.1:{free_port()}")])
    sender = EvmTransactionSender(CHAIN, pool)
    request = sender.assemble(a_payment(signer), 0, FEE, None)
    with pytest.raises(RetryableError):
        await sender.submit(sender.attach(request, await signer.sign(request)))
    await pool.close()


async def test_revealing_transaction_never_leaves_before_submission(evm: EvmHarness, liar: MiddleMan) -> None:
    """Assembling, signing and refusing to simulate a claim make no request at all."""
    leg = await lock(evm)
    pool = Endpoints([Endpoint(liar.url)])
    sender = EvmTransactionSender(CHAIN, pool)
    call = claim(evm, leg, leg.receiver)
    request = sender.assemble(call, 0, FEE, None)
    sender.attach(request, await leg.receiver.sign(request))
    with pytest.raises(RejectedError):
        await sender.simulate(call)
    assert liar.methods == []
    await pool.close()


async def test_fees_are_what_an_account_has_less(evm: EvmHarness) -> None:
    reader = evm.access.fees
    assert reader is not None
    signer = await evm.account()
    before = await evm.access.state.balance(signer.account, reader.asset)
    hashes = await evm.send(signer, a_payment(signer, 5), a_payment(signer, 7))
    await evm.advance()
    after = await evm.access.state.balance(signer.account, reader.asset)
    *paid, unknown = await reader.paid([*hashes, bytes(32)])
    assert unknown is None
    assert sum(fee or 0 for fee in paid) == before - after - 12


async def test_gas_limits_hold_what_the_calls_use(evm: EvmHarness) -> None:
    """With room to spare: a limit is not an estimate."""
    for asset in evm.assets:
        leg = await lock(evm, asset)
        for tx_hash, call in (
            (leg.transaction.hash, evm.access.legs.lock(leg.terms, leg.lock_id)),
            ((await evm.send(leg.receiver, claim(evm, leg, leg.receiver)))[0], claim(evm, leg, leg.receiver)),
        ):
            receipt = await evm.rpc("eth_getTransactionReceipt", "0x" + tx_hash.hex())
            assert int(receipt["gasUsed"], 16) * 1.5 < int(body_of(call).gas, 16)


async def test_naming_the_token_makes_a_token_lock_cheaper(evm: EvmHarness) -> None:
    await lock(evm, evm.assets[1])  # so that the contract holds some already
    used = []
    for warm in (True, False):
        sender, receiver = await evm.account(), await evm.account()
        terms = await make_terms(evm, sender, receiver, Preimage.generate(), evm.assets[1])
        prepared = await evm.access.legs.prepare(terms)
        assert prepared is not None
        await evm.send(sender, prepared)
        call = evm.access.legs.lock(terms, await evm.access.legs.lock_id(terms))
        body = json.loads(call.body)
        assert body["accessList"]
        if not warm:
            call = replace(call, body=json.dumps({**body, "accessList": []}).encode())
        [tx_hash] = await evm.send(sender, call)
        used.append(int((await evm.rpc("eth_getTransactionReceipt", "0x" + tx_hash.hex()))["gasUsed"], 16))
    assert used[0] < used[1]
