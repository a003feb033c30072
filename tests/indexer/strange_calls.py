"""Calls of the HashedTimelock as strangers make them: signed, with one wrong argument, or with extreme ones only."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from eth_abi.abi import encode

from adapters.evm.calls import encode_call
from adapters.evm.consents import EARLY_REFUND
from adapters.evm.contracts.artifacts import load_artifact
from adapters.evm.decode import TOPICS
from adapters.evm.names import chain_number, hex_address
from adapters.evm.signed_locks import AUTHORIZATION, PERMIT, PERMIT2, TOKEN_LOCK, TOKEN_PERMISSIONS, WITNESS_TRANSFER
from adapters.evm.signing import LocalSigner
from adapters.evm.typed_data import Domain, Fields, consent_to
from core.model.types import MAX_TIMELOCK_S, AccountId
from core.proofs.keccak import keccak256
from core.proofs.lanes import MAX_GENERATION, MAX_LANE, evm_address
from tests.adapters.evm.harness import CHAIN

ERC20_KIND: Final = 1 << 160
MAX_WORD: Final = 2**256 - 1
GAS: Final = 600_000
BATCH_GAS: Final = 6_000_000
SECRETS: Final = (bytes(32), b"p" * 32)
"""Preimages that everybody knows."""
FUNCTIONS: Final[Mapping[str, Any]] = {
    entry["name"]: entry for entry in load_artifact("HashedTimelock").abi if entry["type"] == "function"
}
"""Every function of the contract, so that a new one is called, too."""

CALL, DELEGATE_CALL, LOG = range(3)
"""Kinds of a `Batcher`'s steps."""
Step = tuple[int, bytes, int, bytes]
"""Kind, address, value, data."""


@dataclass(frozen=True, slots=True)
class StrangeLock:
    """A lock that somebody asked for, whether or not it came about. `asset` is the committed word."""

    sender: AccountId
    hashlock: bytes
    terms: int
    amount: int
    asset: int

    @property
    def place(self) -> tuple[AccountId, int]:
        """Sender and lane."""
        return self.sender, self.terms & MAX_LANE

    @property
    def receiver(self) -> bytes:
        return (self.terms >> 96).to_bytes(20, "big")

    @property
    def token(self) -> bytes:
        return (self.asset & (ERC20_KIND - 1)).to_bytes(20, "big")

    @property
    def generation(self) -> int:
        return self.terms >> 32 & MAX_GENERATION

    @property
    def timelock_s(self) -> int:
        return self.terms >> 56 & MAX_TIMELOCK_S

    @property
    def secret(self) -> bytes | None:
        """The preimage, None if nobody knows one."""
        return next((secret for secret in SECRETS if hashlib.sha256(secret).digest() == self.hashlock), None)

    def claim(self, secret: bytes) -> "HtlcCall":
        return self._exit("claim", secret)

    def refund(self) -> "HtlcCall":
        return self._exit("refund", self.hashlock)

    def _exit(self, verb: str, opening: bytes) -> "HtlcCall":
        terms = (opening, self.terms, evm_address(self.sender), self.amount)
        return HtlcCall(f"{verb}Token", (*terms, self.token)) if self.asset else HtlcCall(verb, terms)


@dataclass(frozen=True, slots=True)
class Party:
    """An account, or a contract (`Batcher`) for which `key` signs."""

    account: AccountId
    key: LocalSigner

    @property
    def is_contract(self) -> bool:
        return self.account != self.key.account


@dataclass(frozen=True, slots=True)
class HtlcCall:
    """A call of the HashedTimelock. `value` is in wei."""

    function: str
    arguments: tuple[Any, ...]
    value: int = 0
    gas: int = GAS

    @property
    def data(self) -> bytes:
        return encode_call("HashedTimelock", self.function, *self.arguments)


def lock_call(one: StrangeLock) -> HtlcCall:
    if one.asset:
        return HtlcCall("lockToken", (one.hashlock, one.terms, one.amount, one.token))
    return HtlcCall("lock", (one.hashlock, one.terms), value=one.amount)


def bulk_lock(each: bool, locks: Sequence[StrangeLock]) -> HtlcCall:
    """Of one asset, that of the first."""
    items, asset = [(one.hashlock, one.terms, one.amount) for one in locks], locks[0].asset
    return HtlcCall("bulkLock", (each, items, asset), 0 if asset else sum(one.amount for one in locks), BATCH_GAS)


class Extremes:
    """Arguments of every type, mostly the first and last of their kind. `addresses`: some that mean something."""

    def __init__(self, rng: random.Random, addresses: Sequence[bytes]) -> None:
        self.rng = rng
        self.addresses = (*addresses, bytes(20), b"\xff" * 20)

    def call(self) -> HtlcCall:
        name = self.rng.choice(sorted(FUNCTIONS))
        entry = FUNCTIONS[name]
        value = self.rng.choice((0, 1)) if entry["stateMutability"] == "payable" else 0
        return HtlcCall(name, tuple(map(self.argument, entry["inputs"])), value)

    def bent(self, call: HtlcCall) -> HtlcCall:
        """The call with one argument that is not its own."""
        inputs = FUNCTIONS[call.function]["inputs"]
        index = self.rng.randrange(len(inputs))
        arguments = list(call.arguments)
        arguments[index] = self.argument(inputs[index])
        return replace(call, arguments=tuple(arguments))

    def argument(self, item: Mapping[str, Any]) -> Any:
        kind, rng = str(item["type"]), self.rng
        if kind.endswith("[]"):
            return [self.argument({**item, "type": kind[:-2]}) for _ in range(rng.randrange(3))]
        match kind:
            case "tuple":
                return tuple(map(self.argument, item["components"]))
            case "bool":
                return rng.random() < 0.5
            case "address":
                return rng.choice(self.addresses)
            case "bytes":
                return rng.choice((b"", bytes(65), b"\xff" * 64, rng.randbytes(500)))
            case "bytes32":
                return rng.choice((bytes(32), b"\xff" * 32, rng.randbytes(32)))
        most = 2 ** int(kind.removeprefix("uint")) - 1
        return rng.choice((0, 1, most - 1, most, rng.randrange(most)))

    def log(self) -> Step:
        """A log with one of our topics, of another contract, well-formed or not."""
        known = bytes.fromhex(self.rng.choice(TOPICS)[2:])
        topics = self.rng.randrange(5)
        rest = self.rng.choice((bytes(32), b"\xff" * 32, self.rng.choice(self.addresses).rjust(32, b"\0")))
        size = self.rng.choice((0, 31, 32, 64, 96, 128))
        return LOG + topics, bytes(20), 0, (known + rest * 3)[: topics * 32] + self.rng.randbytes(size)


class Signing:
    """The parties' signatures for a HashedTimelock, and the calls that these make possible for anybody."""

    def __init__(self, htlc: bytes, token: bytes, token_name: str) -> None:
        """`token` takes signatures, in the domain of `token_name`."""
        self.htlc, self.token = htlc, token
        self._own = Domain("HashedTimelock", "1", CHAIN, htlc)
        self._of_token = Domain(token_name, "1", CHAIN, token)
        self._of_permit2 = Domain("Permit2", None, CHAIN, PERMIT2)

    async def permit(self, one: StrangeLock, by: LocalSigner, nonce: int, allowance: int, until: int) -> HtlcCall:
        message: dict[str, Any] = {"owner": hex_address(evm_address(one.sender)), "spender": hex_address(self.htlc)}
        message |= {"value": allowance, "nonce": nonce, "deadline": until}
        signed = await _signed(by, self._of_token, {"Permit": PERMIT}, "Permit", message)
        return HtlcCall("lockTokenByPermit", (*_token_lock(one), allowance, until, *_split(signed)))

    async def authorization(self, one: StrangeLock, by: LocalSigner, until: int) -> HtlcCall:
        kinds = ["uint256", "address", "bytes32", "uint256", "address", "uint256", "uint256"]
        sender = evm_address(one.sender)
        words = (chain_number(CHAIN), self.htlc, one.hashlock, one.terms, sender, one.amount, one.asset)
        message = {"from": hex_address(sender), "to": hex_address(self.htlc), "value": one.amount, "validAfter": 0}
        message |= {"validBefore": until, "nonce": keccak256(encode(kinds, words))}
        types = {"ReceiveWithAuthorization": AUTHORIZATION}
        signed = await _signed(by, self._of_token, types, "ReceiveWithAuthorization", message)
        return HtlcCall("lockByAuthorization", (*_token_lock(one), sender, until, *_split(signed)))

    async def permit2(self, one: StrangeLock, by: LocalSigner, nonce: int, until: int) -> HtlcCall:
        witness: dict[str, Any] = {
            "hashlock": one.hashlock,
            "receiver": hex_address(one.receiver),
            "flags": one.terms >> 48 & 0xFF,
        }
        witness |= {"timelock": one.timelock_s, "generation": one.generation, "lane": one.place[1]}
        message: dict[str, Any] = {
            "permitted": {"token": hex_address(one.token), "amount": one.amount},
            "witness": witness,
        }
        message |= {"spender": hex_address(self.htlc), "nonce": nonce, "deadline": until}
        types = {"TokenPermissions": TOKEN_PERMISSIONS, "TokenLock": TOKEN_LOCK}
        types |= {"PermitWitnessTransferFrom": WITNESS_TRANSFER}
        signed = await _signed(by, self._of_permit2, types, "PermitWitnessTransferFrom", message)
        return HtlcCall("lockByPermit2", (*_token_lock(one), evm_address(one.sender), nonce, until, signed))

    async def early_refund(self, one: StrangeLock, by: LocalSigner | None, until: int) -> HtlcCall:
        """`by` None: the receiver sends it itself."""
        sender = evm_address(one.sender)
        words = (int.from_bytes(one.hashlock, "big"), one.terms, int.from_bytes(sender, "big"), one.amount, one.asset)
        message = {"receiver": hex_address(one.receiver), "sender": hex_address(sender), "lane": one.place[1]}
        message |= {"generation": one.generation, "deadline": until}
        message |= {"commitment": keccak256(b"".join(word.to_bytes(32, "big") for word in words))[:28]}
        signed = b""
        if by is not None:
            signed = await _signed(by, self._own, {"EarlyRefund": EARLY_REFUND}, "EarlyRefund", message)
        return HtlcCall("refundAgreed", (one.hashlock, one.terms, sender, one.amount, one.asset, until, signed))


def _token_lock(one: StrangeLock) -> tuple[bytes, int, int, bytes]:
    return one.hashlock, one.terms, one.amount, one.token


def _split(signature: bytes) -> tuple[int, bytes, bytes]:
    return signature[64], signature[:32], signature[32:64]


async def _signed(
    key: LocalSigner, domain: Domain, types: Mapping[str, Fields], primary: str, message: Mapping[str, Any]
) -> bytes:
    return await key.consent(consent_to(key.account, domain, types, primary, message, primary))
