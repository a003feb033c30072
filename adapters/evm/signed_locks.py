"""Token locks in one transaction, by a signature of their sender instead of an allowance before them.

                   signed                                  who may send the lock      what is signed
    permit         an allowance for the contract           its sender alone           EIP-2612, if the token knows it
    authorization  exactly this lock                       anyone                     EIP-3009, if the token knows it
    permit2        exactly this lock                       anyone                     any token that Permit2 may take

The latter two let somebody else pay the gas. They also mean that the lock may come about, by anybody's hand, until they
expire: never count such a lock as impossible before that.
"""

from typing import Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from adapters.evm.allowances import UNLIMITED, next_allowance
from adapters.evm.drafts import CallDraft
from adapters.evm.endpoints import Endpoints
from adapters.evm.legs import LOCK_TOKEN_GAS, check_receiver
from adapters.evm.names import chain_number, hex_address, native_asset, token_address
from adapters.evm.rpc import data_bytes
from adapters.evm.tokens import NAME
from adapters.evm.typed_data import Domain, Fields, consent_to
from core.model.errors import RejectedError, RevertedError
from core.model.transactions import UnsignedTransaction
from core.model.types import ChainId, ChainTime, LockId, LockTerms
from core.proofs.keccak import keccak256
from core.proofs.lanes import asset_word, evm_address, packed_terms, parse_lane

PERMIT2: Final = bytes.fromhex("000000000022D473030F116dDEE9F6B43aC78BA3")
"""Uniswap's Permit2, at the same address on every chain that has it (the address is bound to its code by CREATE2)."""
SIGNED_LOCK_GAS: Final = LOCK_TOKEN_GAS + 100_000
"""A token lock, and what checking a signature and noting its nonce take."""

PERMIT: Final[Fields] = (
    ("owner", "address"),
    ("spender", "address"),
    ("value", "uint256"),
    ("nonce", "uint256"),
    ("deadline", "uint256"),
)
AUTHORIZATION: Final[Fields] = (
    ("from", "address"),
    ("to", "address"),
    ("value", "uint256"),
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
)
TOKEN_PERMISSIONS: Final[Fields] = (("token", "address"), ("amount", "uint256"))
TOKEN_LOCK: Final[Fields] = (
    ("hashlock", "bytes32"),
    ("receiver", "address"),
    ("timelock", "uint40"),
    ("flags", "uint8"),
    ("generation", "uint16"),
    ("lane", "uint32"),
)
WITNESS_TRANSFER: Final[Fields] = (
    ("permitted", "TokenPermissions"),
    ("spender", "address"),
    ("nonce", "uint256"),
    ("deadline", "uint256"),
    ("witness", "TokenLock"),
)

_VERSION: Final = "0x54fd4d50"
_DOMAIN_SEPARATOR: Final = "0x3644e515"
_NONCES: Final = "0x7ecebe00"
COMMON_VERSIONS: Final = ("1", "2")
"""Versions of domains of tokens that do not state theirs, such as OpenZeppelin's."""


class SignedLocks:
    """Drafts of signed token locks over one HashedTimelock. `until` is the last second at which a signature is good.

    All raise `RejectedError` for terms of another chain, for a receiver that the contract refuses, and for the native
    coin, which needs no signature.
    """

    def __init__(self, chain: ChainId, endpoints: Endpoints, htlc: bytes) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._htlc = htlc

    async def permit(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> CallDraft:
        """By EIP-2612: the lock's sender allows the contract to take the token, and locks in the same transaction.

        The allowance is unlimited, for the reason of `EvmLegBuilder.prepare`; so a second lock at the same time finds
        it there, whatever becomes of its own permit's nonce. Raise `RejectedError` for a token without permits.
        """
        token = self._token(terms)
        domain = await self._domain_of(token)
        nonce = await self._word(token, _NONCES, evm_address(terms.sender).rjust(32, b"\0"))
        if nonce is None:
            raise RejectedError(f"{terms.asset} takes no permits (EIP-2612)")
        message = {
            "owner": hex_address(evm_address(terms.sender)),
            "spender": hex_address(self._htlc),
            "value": UNLIMITED,
            "nonce": int.from_bytes(nonce, "big"),
            "deadline": until.seconds,
        }
        summary = f"Allow the contract {hex_address(self._htlc)} to take {terms.asset} that you lock"
        return CallDraft(
            consent=consent_to(terms.sender, domain, {"Permit": PERMIT}, "Permit", message, summary),
            htlc=self._htlc,
            function="lockTokenByPermit",
            arguments=(*self._lock_arguments(terms, lock_id), UNLIMITED, until.seconds),
            gas=SIGNED_LOCK_GAS,
            summary=_lock_summary(terms),
            warm=(token,),
            by_key=True,
            only_sender=terms.sender,
        )

    async def authorization(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> CallDraft:
        """By EIP-3009 (`receiveWithAuthorization`), with a nonce that is the hash of all terms.

        Raise `RejectedError` for a token whose domain cannot be learnt. Simulating shows if it knows EIP-3009.
        """
        token = self._token(terms)
        message = {
            "from": hex_address(evm_address(terms.sender)),
            "to": hex_address(self._htlc),
            "value": terms.amount,
            "validAfter": 0,
            "validBefore": until.seconds + 1,
            "nonce": self._terms_hash(terms, lock_id),
        }
        types = {"ReceiveWithAuthorization": AUTHORIZATION}
        domain = await self._domain_of(token)
        summary = _consent_summary(terms, until)
        sender = evm_address(terms.sender)
        return CallDraft(
            consent=consent_to(terms.sender, domain, types, "ReceiveWithAuthorization", message, summary),
            htlc=self._htlc,
            function="lockByAuthorization",
            arguments=(*self._lock_arguments(terms, lock_id), sender, until.seconds + 1),
            gas=SIGNED_LOCK_GAS,
            summary=_lock_summary(terms),
            warm=(token,),
            by_key=True,
        )

    def permit2(self, terms: LockTerms, lock_id: LockId, until: ChainTime, nonce: int | None = None) -> CallDraft:
        """By Permit2's signature transfer, with the lock's terms as its witness. Asks the chain nothing.

        The sender has allowed Permit2 to take the token (`prepare_permit2`); a sender that is a contract is asked by
        EIP-1271. `nonce`: any that the sender has not used; None takes the hash of the terms. Numbers in a row are
        cheaper, as 256 of them share a word.
        """
        token, lane = self._token(terms), parse_lane(lock_id)
        nonce = int.from_bytes(self._terms_hash(terms, lock_id), "big") if nonce is None else nonce
        message = {
            "permitted": {"token": hex_address(token), "amount": terms.amount},
            "spender": hex_address(self._htlc),
            "nonce": nonce,
            "deadline": until.seconds,
            "witness": {
                "hashlock": bytes(terms.hashlock),
                "receiver": hex_address(evm_address(terms.receiver)),
                "timelock": terms.timelock.seconds,
                "flags": 0,
                "generation": lane.generation,
                "lane": lane.number,
            },
        }
        types = {
            "PermitWitnessTransferFrom": WITNESS_TRANSFER,
            "TokenPermissions": TOKEN_PERMISSIONS,
            "TokenLock": TOKEN_LOCK,
        }
        domain = Domain("Permit2", None, self._chain, PERMIT2)
        summary = _consent_summary(terms, until)
        sender = evm_address(terms.sender)
        return CallDraft(
            consent=consent_to(terms.sender, domain, types, "PermitWitnessTransferFrom", message, summary),
            htlc=self._htlc,
            function="lockByPermit2",
            arguments=(*self._lock_arguments(terms, lock_id), sender, nonce, until.seconds),
            gas=SIGNED_LOCK_GAS,
            summary=_lock_summary(terms),
            warm=(token, PERMIT2),
        )

    async def prepare_permit2(self, terms: LockTerms) -> UnsignedTransaction | None:
        """The next step to the token's allowance for Permit2, once for all its uses; None if it suffices."""
        token = self._token(terms)
        summary = f"Allow Permit2 to take {terms.asset} that you sign for"
        return await next_allowance(self._endpoints, terms.sender, token, PERMIT2, terms.amount, summary)

    # --- what is signed ---

    def _lock_arguments(self, terms: LockTerms, lock_id: LockId) -> tuple[bytes, int, int, bytes]:
        lane = parse_lane(lock_id)
        if lane.sender != evm_address(terms.sender):
            raise RejectedError("this place belongs to another sender", lock_id=lock_id)
        return terms.hashlock, packed_terms(terms, lane), terms.amount, token_address(terms.asset)

    def _terms_hash(self, terms: LockTerms, lock_id: LockId) -> bytes:
        """keccak256 of chain, contract, hashlock, terms, sender, amount, asset: the contract's nonce for EIP-3009."""
        kinds = ["uint256", "address", "bytes32", "uint256", "address", "uint256", "uint256"]
        packed = packed_terms(terms, parse_lane(lock_id))
        sender, asset = evm_address(terms.sender), asset_word(terms.asset)
        words = (chain_number(self._chain), self._htlc, terms.hashlock, packed, sender, terms.amount, asset)
        return keccak256(encode(kinds, words))

    def _token(self, terms: LockTerms) -> bytes:
        if terms.chain != self._chain:
            raise RejectedError(f"these terms are for {terms.chain}, this is {self._chain}")
        check_receiver(terms, self._htlc)
        if terms.asset == native_asset(self._chain):
            raise RejectedError("the native coin is sent along: it needs no signature")
        return token_address(terms.asset)

    # --- what the token says of itself ---

    async def _domain_of(self, token: bytes) -> Domain:
        """The domain whose separator the token shows (EIP-2612, EIP-3009). Raise `RejectedError` if none fits."""
        separator = await self._word(token, _DOMAIN_SEPARATOR)
        name, version = await self._text(token, NAME), await self._text(token, _VERSION)
        if separator is not None and name is not None:
            for candidate in (*(() if version is None else (version,)), *COMMON_VERSIONS):
                domain = Domain(name, candidate, self._chain, token)
                if domain.separator() == separator:
                    return domain
        raise RejectedError(f"{hex_address(token)} takes no signatures that we can name the domain of (EIP-712)")

    async def _word(self, token: bytes, selector: str, argument: bytes = b"") -> bytes | None:
        raw = await self._view(token, selector, argument)
        return raw if len(raw) == 32 else None

    async def _text(self, token: bytes, selector: str) -> str | None:
        try:
            return str(decode(["string"], await self._view(token, selector))[0])
        except (DecodingError, UnicodeDecodeError, OverflowError):
            return None

    async def _view(self, token: bytes, selector: str, argument: bytes = b"") -> bytes:
        """Return a view function's result; nothing if the token has none of that name."""
        call = {"to": hex_address(token), "data": f"{selector}{argument.hex()}"}
        try:
            return data_bytes(await self._endpoints.call("eth_call", call, "latest"))
        except RevertedError:
            return b""


def _lock_summary(terms: LockTerms) -> str:
    return f"Lock {terms.amount} of {terms.asset} for {terms.receiver} until {terms.timelock.seconds}"


def _consent_summary(terms: LockTerms, until: ChainTime) -> str:
    return f"{_lock_summary(terms)}, by whoever sends this before {until.seconds}"
