"""Signed messages for the contract, on a real EVM: early refunds, and token locks without an allowance before them.

The typed data is written out here a second time, from docs/internals/htlc-contract.md and the EIPs, and hashed by
eth_account.
"""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from eth_abi.abi import encode
from eth_account import Account
from eth_account.datastructures import SignedMessage
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from adapters.evm.errors import revert_reason
from local_chains.evm import AnvilSettings
from tests.adapters.evm.htlc_chain import ERC20_KIND, Chain, Lock, htlc_chain
from tests.adapters.evm.permit2 import PERMIT2, deploy_permit2

LOCKED, REFUNDED = 1, 3
AMOUNT = 5_000_000
CHAIN_ID = 31337
TOKEN_LOCK = [
    ("hashlock", "bytes32"),
    ("receiver", "address"),
    ("timelock", "uint40"),
    ("flags", "uint8"),
    ("generation", "uint16"),
    ("lane", "uint32"),
]
HTLC_DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]


def fields(pairs: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in pairs]


def sign(
    key: LocalAccount,
    domain: dict[str, Any],
    types: dict[str, list[dict[str, str]]],
    primary: str,
    message: dict[str, Any],
) -> SignedMessage:
    full = {"types": types, "primaryType": primary, "domain": domain, "message": message}
    return key.sign_message(encode_typed_data(full_message=full))


def split(signed: Any) -> tuple[int, bytes, bytes]:
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


class SignedChain(Chain):
    """The keys of anvil's accounts, and the token that takes signatures."""

    keys: dict[str, LocalAccount]
    signed_token: Any

    def early_refund(self, lock: Lock, key: LocalAccount, deadline: int, **bent: Any) -> bytes:
        word = commitment(lock)
        message = {
            "receiver": lock.receiver,
            "sender": lock.sender,
            "lane": lock.lane,
            "generation": lock.generation,
            "commitment": word,
            "deadline": deadline,
        }
        pairs = [
            ("receiver", "address"),
            ("sender", "address"),
            ("lane", "uint32"),
            ("generation", "uint16"),
            ("commitment", "bytes28"),
            ("deadline", "uint256"),
        ]
        types = {"EIP712Domain": fields(HTLC_DOMAIN), "EarlyRefund": fields(pairs)}
        domain = {
            "name": "HashedTimelock",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": self.htlc.address,
            **bent,
        }
        return bytes(sign(key, domain, types, "EarlyRefund", message).signature)

    def agreed_call(self, lock: Lock, deadline: int, signature: bytes) -> Any:
        return self.htlc.functions.refundAgreed(
            lock.hashlock, lock.terms, lock.sender, lock.amount, asset_of(lock), deadline, signature
        )

    def token_domain(self) -> dict[str, Any]:
        return {
            "name": "Signed",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": self.signed_token.address,
        }

    async def permit(self, lock: Lock, allowance: int, deadline: int) -> tuple[int, bytes, bytes]:
        """EIP-2612."""
        pairs = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
        types = {"EIP712Domain": fields(HTLC_DOMAIN), "Permit": fields([*pairs, ("deadline", "uint256")])}
        message = {
            "owner": lock.sender,
            "spender": self.htlc.address,
            "value": allowance,
            "nonce": await self.signed_token.functions.nonces(lock.sender).call(),
            "deadline": deadline,
        }
        return split(sign(self.keys[lock.sender], self.token_domain(), types, "Permit", message))

    def permit_call(self, lock: Lock, allowance: int, deadline: int, signature: tuple[int, bytes, bytes]) -> Any:
        return self.htlc.functions.lockTokenByPermit(
            lock.hashlock, lock.terms, lock.amount, lock.token, allowance, deadline, *signature
        )

    def authorization(self, lock: Lock, valid_before: int) -> tuple[int, bytes, bytes]:
        """EIP-3009, with the nonce that binds all terms."""
        kinds = ["uint256", "address", "bytes32", "uint256", "address", "uint256", "uint256"]
        values = (CHAIN_ID, self.htlc.address, lock.hashlock, lock.terms, lock.sender, lock.amount, asset_of(lock))
        pairs = [("from", "address"), ("to", "address"), ("value", "uint256"), ("validAfter", "uint256")]
        types = {
            "EIP712Domain": fields(HTLC_DOMAIN),
            "ReceiveWithAuthorization": fields([*pairs, ("validBefore", "uint256"), ("nonce", "bytes32")]),
        }
        message = {
            "from": lock.sender,
            "to": self.htlc.address,
            "value": lock.amount,
            "validAfter": 0,
            "validBefore": valid_before,
            "nonce": keccak(encode(kinds, values)),
        }
        signed = sign(self.keys[lock.sender], self.token_domain(), types, "ReceiveWithAuthorization", message)
        return split(signed)

    def authorized_call(self, lock: Lock, valid_before: int, signature: tuple[int, bytes, bytes]) -> Any:
        return self.htlc.functions.lockByAuthorization(
            lock.hashlock, lock.terms, lock.amount, lock.token, lock.sender, valid_before, *signature
        )

    def permit2(self, lock: Lock, nonce: int, deadline: int) -> bytes:
        types = {
            "EIP712Domain": fields([pair for pair in HTLC_DOMAIN if pair[0] != "version"]),
            "TokenPermissions": fields([("token", "address"), ("amount", "uint256")]),
            "TokenLock": fields(TOKEN_LOCK),
            "PermitWitnessTransferFrom": fields(
                [
                    ("permitted", "TokenPermissions"),
                    ("spender", "address"),
                    ("nonce", "uint256"),
                    ("deadline", "uint256"),
                    ("witness", "TokenLock"),
                ]
            ),
        }
        message = {
            "permitted": {"token": lock.token, "amount": lock.amount},
            "spender": self.htlc.address,
            "nonce": nonce,
            "deadline": deadline,
            "witness": {
                "hashlock": lock.hashlock,
                "receiver": lock.receiver,
                "timelock": lock.timelock,
                "flags": lock.flags,
                "generation": lock.generation,
                "lane": lock.lane,
            },
        }
        domain = {"name": "Permit2", "chainId": CHAIN_ID, "verifyingContract": PERMIT2}
        return bytes(sign(self.keys[lock.sender], domain, types, "PermitWitnessTransferFrom", message).signature)

    def permit2_call(self, lock: Lock, nonce: int, deadline: int, signature: bytes) -> Any:
        return self.htlc.functions.lockByPermit2(
            lock.hashlock, lock.terms, lock.amount, lock.token, lock.sender, nonce, deadline, signature
        )

    async def token_lock(self, **changes: Any) -> Lock:
        """Terms whose sender holds the tokens and has allowed nothing to anybody."""
        await self.succeed(self.signed_token.functions.mint(self.sender, AMOUNT), self.deployer)
        return await self.new_lock(**{"amount": AMOUNT, "token": self.signed_token.address, **changes})

    async def refuses(self, call: Any, by: str) -> str:
        """The adapter's words for why the mined call was refused."""
        receipt = await self.mine(call, by)
        assert receipt["status"] == 0, "the call went through"
        trace = await self.rpc(
            "debug_traceTransaction", receipt["transactionHash"].to_0x_hex(), {"tracer": "callTracer"}
        )
        return str(revert_reason(bytes.fromhex(trace["output"][2:])))


def asset_of(lock: Lock) -> int:
    return ERC20_KIND << 160 | int(lock.token, 16) if lock.token else 0


def commitment(lock: Lock) -> bytes:
    words = (int.from_bytes(lock.hashlock, "big"), lock.terms, int(lock.sender, 16), lock.amount, asset_of(lock))
    return keccak(b"".join(word.to_bytes(32, "big") for word in words))[:28]


async def is_locked(chain: Chain, lock: Lock) -> bool:
    word = await chain.word(lock.sender, lock.lane)
    return word == int.from_bytes(commitment(lock), "big") << 32 | lock.generation << 16 | LOCKED


@pytest_asyncio.fixture
async def chain() -> AsyncIterator[SignedChain]:
    Account.enable_unaudited_hdwallet_features()
    async with htlc_chain() as plain:
        running = SignedChain.__new__(SignedChain)
        running.__dict__.update(plain.__dict__)
        mnemonic = AnvilSettings().mnemonic
        made = [Account.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{index}") for index in range(4)]
        running.keys = dict(zip(running.accounts, made, strict=False))
        running.signed_token = await running.deploy("testing/SignedToken")
        yield running


def other_terms(chain: Chain, lock: Lock) -> dict[str, Lock]:
    """One lock for each thing that a thief would change."""
    return {
        "receiver": lock.but(receiver=chain.stranger),
        "hashlock": lock.but(preimage=hashlib.sha256(b"another").digest()),
        "timelock": lock.but(timelock=lock.timelock + 1),
        "amount": lock.but(amount=lock.amount - 1),
        "lane": lock.but(lane=lock.lane + 1),
        "sender": lock.but(sender=chain.stranger),
        "flags": lock.but(flags=1),
    }


# --- early refund ------------------------------------------------------------------------------------------------


async def test_receivers_signature_gives_a_lock_back_until_deadline(chain: SignedChain) -> None:
    for lane, late_s in ((0, 0), (1, 1)):
        lock = await chain.new_lock(lane=lane)
        await chain.open(lock)
        deadline = await chain.now() + 10
        signature = chain.early_refund(lock, chain.keys[chain.receiver], deadline)
        call = chain.agreed_call(lock, deadline, signature)
        before = await chain.balance(chain.sender)
        await chain.set_next_time(deadline + late_s)
        if late_s:
            assert await chain.refuses(call, chain.stranger) == f"SignatureExpired({deadline}, {deadline + 1})"
        else:
            await chain.succeed(call, chain.stranger)
            assert await chain.balance(chain.sender) == before + lock.amount


async def test_a_signature_gives_a_lock_back_once(chain: SignedChain) -> None:
    lock = await chain.new_lock()
    await chain.open(lock)
    # The block of the second attempt may come some seconds later: the deadline is far from both.
    deadline = await chain.now() + 1_000
    call = chain.agreed_call(lock, deadline, chain.early_refund(lock, chain.keys[chain.receiver], deadline))
    await chain.succeed(call, chain.stranger)
    assert await chain.refuses(call, chain.stranger) == f"NotLocked(1, {REFUNDED})"


async def test_a_receiver_gives_back_by_sending_it_himself(chain: SignedChain) -> None:
    lock = await chain.new_lock()
    await chain.open(lock)
    time = await chain.now() + 5
    await chain.set_next_time(time)
    assert await chain.refuses(chain.agreed_call(lock, 0, b""), chain.sender) == f"SignatureExpired(0, {time})"
    await chain.succeed(chain.agreed_call(lock, 0, b""), chain.receiver)
    assert await chain.refuses(chain.claim_call(lock), chain.receiver) == f"NotLocked(1, {REFUNDED})"


async def test_early_refund_fits_one_lock_contract_chain_and_key(chain: SignedChain) -> None:
    lock, other = await chain.new_lock(), await chain.new_lock(lane=1)
    await chain.open(lock)
    await chain.open(other)
    deadline, receiver = await chain.now() + 100, chain.keys[chain.receiver]
    for signature in (
        chain.early_refund(other, receiver, deadline),
        chain.early_refund(lock.but(amount=1), receiver, deadline),
        chain.early_refund(lock.but(generation=2), receiver, deadline),
        chain.early_refund(lock, receiver, deadline + 1),
        chain.early_refund(lock, chain.keys[chain.sender], deadline),
        chain.early_refund(lock, receiver, deadline, chainId=1),
        chain.early_refund(lock, receiver, deadline, verifyingContract=chain.stranger),
    ):
        refused = await chain.refuses(chain.agreed_call(lock, deadline, signature), chain.stranger)
        assert refused.lower() == f"WrongSignature({chain.receiver})".lower()
    await chain.succeed(chain.agreed_call(lock, deadline, chain.early_refund(lock, receiver, deadline)), chain.stranger)


async def test_contract_wallet_gives_back_by_its_owners_key(chain: SignedChain) -> None:
    """EIP-1271."""
    owner = chain.keys[chain.receiver]
    wallet = await chain.deploy("testing/Wallet", chain.receiver)
    lock = await chain.new_lock(receiver=wallet.address)
    await chain.open(lock)
    deadline = await chain.now() + 100
    for stranger in (chain.keys[chain.stranger], chain.keys[chain.sender]):
        signature = chain.early_refund(lock, stranger, deadline)
        refused = await chain.refuses(chain.agreed_call(lock, deadline, signature), chain.stranger)
        assert refused.lower() == f"WrongSignature({wallet.address})".lower()
    other = chain.early_refund(lock.but(lane=1), owner, deadline)
    assert (await chain.refuses(chain.agreed_call(lock, deadline, other), chain.stranger)).startswith("WrongSignature")
    before = await chain.balance(chain.sender)
    await chain.succeed(chain.agreed_call(lock, deadline, chain.early_refund(lock, owner, deadline)), chain.stranger)
    assert await chain.balance(chain.sender) == before + lock.amount


# --- EIP-2612 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handed_in", [False, True])
async def test_permit_locks_in_one_transaction_even_if_used_already(chain: SignedChain, handed_in: bool) -> None:
    lock = await chain.token_lock()
    deadline = await chain.now() + 100
    signature = await chain.permit(lock, AMOUNT, deadline)
    if handed_in:
        call = chain.signed_token.functions.permit(lock.sender, chain.htlc.address, AMOUNT, deadline, *signature)
        await chain.succeed(call, chain.stranger)
    await chain.succeed(chain.permit_call(lock, AMOUNT, deadline, signature), chain.sender)
    assert await is_locked(chain, lock)
    assert await chain.balance(chain.htlc.address, chain.signed_token) == AMOUNT


async def test_a_permit_serves_nobody_but_its_owner(chain: SignedChain) -> None:
    lock = await chain.token_lock()
    deadline = await chain.now() + 100
    signature = await chain.permit(lock, AMOUNT, deadline)
    refused = f"TokenCallFailed({lock.token})".lower()
    stolen = chain.permit_call(lock.but(receiver=chain.stranger), AMOUNT, deadline, signature)
    assert (await chain.refuses(stolen, chain.stranger)).lower() == refused
    assert await chain.balance(chain.sender, chain.signed_token) == AMOUNT
    short = chain.permit_call(lock, AMOUNT - 1, deadline, await chain.permit(lock, AMOUNT - 1, deadline))
    assert (await chain.refuses(short, chain.sender)).lower() == refused
    late = chain.permit_call(lock, AMOUNT, 1, await chain.permit(lock, AMOUNT, 1))
    assert (await chain.refuses(late, chain.sender)).lower() == refused


# --- EIP-3009 ----------------------------------------------------------------------------------------------------


async def test_an_authorization_locks_whoever_hands_it_in_and_once(chain: SignedChain) -> None:
    lock = await chain.token_lock()
    valid_before = await chain.now() + 100
    call = chain.authorized_call(lock, valid_before, chain.authorization(lock, valid_before))
    await chain.succeed(call, chain.stranger)
    assert await is_locked(chain, lock)
    assert await chain.balance(chain.sender, chain.signed_token) == 0
    assert await chain.refuses(call, chain.stranger) == "WrongGeneration(1, 2)"
    await chain.succeed(chain.claim_call(lock), chain.receiver)
    assert await chain.refuses(call, chain.stranger) == "WrongGeneration(1, 2)"
    again = chain.authorized_call(lock.but(generation=2), valid_before, chain.authorization(lock, valid_before))
    assert (await chain.refuses(again, chain.stranger)).lower() == f"WrongSignature({chain.sender})".lower()


@pytest.mark.parametrize("changed", ["receiver", "hashlock", "timelock", "amount", "lane", "sender", "flags"])
async def test_an_authorization_opens_no_other_lock(chain: SignedChain, changed: str) -> None:
    lock = await chain.token_lock()
    valid_before = await chain.now() + 100
    signature = chain.authorization(lock, valid_before)
    bent = other_terms(chain, lock)[changed]
    refused = await chain.refuses(chain.authorized_call(bent, valid_before, signature), chain.stranger)
    assert refused.lower() == f"WrongSignature({bent.sender})".lower()
    assert await chain.balance(chain.sender, chain.signed_token) == AMOUNT
    await chain.succeed(chain.authorized_call(lock, valid_before, signature), chain.stranger)


async def test_an_authorization_that_the_token_refuses_locks_nothing(chain: SignedChain) -> None:
    """One that has expired, and one for a token that knows no authorizations."""
    lock = await chain.token_lock()
    valid_before = await chain.now() + 1
    signature = chain.authorization(lock, valid_before)
    await chain.set_next_time(valid_before)
    refused = await chain.refuses(chain.authorized_call(lock, valid_before, signature), chain.stranger)
    assert refused.lower() == f"TokenCallFailed({lock.token})".lower()
    assert await chain.word(lock.sender, lock.lane) == 0
    longer = await chain.now() + 100
    plain = await chain.new_lock(amount=AMOUNT, token=chain.token.address)
    refused = await chain.refuses(
        chain.authorized_call(plain, longer, chain.authorization(plain, longer)), chain.sender
    )
    assert refused.lower() == f"TokenCallFailed({chain.token.address})".lower()


# --- Permit2 -----------------------------------------------------------------------------------------------------


async def permit2_lock(chain: SignedChain, **changes: Any) -> Lock:
    """Return terms whose sender has allowed Permit2, once and for all, to take their tokens."""
    await deploy_permit2(chain.web3, chain.deployer)
    lock = await chain.token_lock(**changes)
    await chain.succeed(chain.signed_token.functions.approve(PERMIT2, 2**256 - 1), lock.sender)
    return lock


async def test_permit2_locks_whoever_hands_it_in_and_once(chain: SignedChain) -> None:
    lock = await permit2_lock(chain)
    deadline = await chain.now() + 100
    call = chain.permit2_call(lock, 7, deadline, chain.permit2(lock, 7, deadline))
    await chain.succeed(call, chain.stranger)
    assert await is_locked(chain, lock)
    assert await chain.balance(chain.htlc.address, chain.signed_token) == AMOUNT
    await chain.succeed(chain.claim_call(lock), chain.receiver)
    assert await chain.refuses(call, chain.stranger) == "WrongGeneration(1, 2)"
    await chain.succeed(chain.signed_token.functions.mint(chain.sender, AMOUNT), chain.deployer)
    again = lock.but(generation=2)
    used = chain.permit2_call(again, 7, deadline, chain.permit2(again, 7, deadline))
    assert await chain.refuses(used, chain.stranger) == "InvalidNonce()"
    await chain.succeed(chain.permit2_call(again, 8, deadline, chain.permit2(again, 8, deadline)), chain.stranger)


@pytest.mark.parametrize(
    "changed", ["receiver", "hashlock", "timelock", "amount", "lane", "sender", "flags", "nonce", "deadline"]
)
async def test_a_permit2_signature_opens_no_other_lock(chain: SignedChain, changed: str) -> None:
    lock = await permit2_lock(chain)
    deadline = await chain.now() + 100
    signature = chain.permit2(lock, 7, deadline)
    bent = other_terms(chain, lock).get(changed, lock)
    call = chain.permit2_call(bent, 7 + (changed == "nonce"), deadline + (changed == "deadline"), signature)
    refusal = "UnknownFlags(1)" if changed == "flags" else "InvalidSigner()"
    assert await chain.refuses(call, chain.stranger) == refusal
    assert await chain.balance(chain.sender, chain.signed_token) == AMOUNT
    assert await chain.word(bent.sender, bent.lane) == 0
    await chain.succeed(chain.permit2_call(lock, 7, deadline, signature), chain.stranger)


async def test_a_permit2_signature_expires(chain: SignedChain) -> None:
    lock = await permit2_lock(chain)
    deadline = await chain.now() + 5
    call = chain.permit2_call(lock, 7, deadline, chain.permit2(lock, 7, deadline))
    await chain.set_next_time(deadline + 1)
    assert await chain.refuses(call, chain.stranger) == f"SignatureExpired({deadline})"


async def test_a_wallet_that_is_a_contract_locks_by_permit2(chain: SignedChain) -> None:
    """Permit2 asks it by EIP-1271."""
    await deploy_permit2(chain.web3, chain.deployer)
    wallet = await chain.deploy("testing/Wallet", chain.sender)
    chain.keys[wallet.address] = chain.keys[chain.sender]
    lock = await chain.token_lock(sender=wallet.address)
    await chain.succeed(chain.signed_token.functions.mint(wallet.address, AMOUNT), chain.deployer)
    await chain.rpc("anvil_impersonateAccount", wallet.address)
    await chain.rpc("anvil_setBalance", wallet.address, hex(10**18))
    await chain.succeed(chain.signed_token.functions.approve(PERMIT2, AMOUNT), wallet.address)
    deadline = await chain.now() + 100
    bent = lock.but(receiver=chain.stranger)
    signature = chain.permit2(lock, 0, deadline)
    refused = await chain.refuses(chain.permit2_call(bent, 0, deadline, signature), chain.stranger)
    assert refused == "InvalidContractSignature()"
    await chain.succeed(chain.permit2_call(lock, 0, deadline, signature), chain.stranger)
    assert await is_locked(chain, lock)


async def test_without_permit2_its_locks_are_refused_by_name(chain: SignedChain) -> None:
    lock = await chain.token_lock()
    assert await chain.refuses(chain.permit2_call(lock, 0, 2**40, bytes(65)), chain.stranger) == "NoPermit2()"


# --- every error has its name ------------------------------------------------------------------------------------


def every_error(chain: Chain) -> dict[str, bytes]:
    """Revert data of each error by its name."""
    found = {}
    for entry in chain.htlc.abi:
        if entry["type"] == "error":
            kinds = [item["type"] for item in entry["inputs"]]
            selector = keccak(f"{entry['name']}({','.join(kinds)})".encode())[:4]
            found[entry["name"]] = selector + encode(kinds, [sample(kind) for kind in kinds])
    return found


def sample(kind: str) -> Any:
    return {"address": "0x" + "11" * 20, "bytes4": b"\x01\x02\x03\x04"}.get(kind, 7)


async def test_every_error_of_the_contract_comes_out_by_its_name(chain: SignedChain) -> None:
    errors = every_error(chain)
    assert len(errors) == 23
    for name, data in errors.items():
        reason = str(revert_reason(data))
        assert reason.startswith(f"{name}(")
        assert (reason == f"{name}()") == (len(data) == 4)
