"""Lock, claim and refund as unsigned transactions, and where a lock finds its lane."""

from collections.abc import Collection
from typing import Final

from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.endpoints import Endpoints
from adapters.evm.lanes import holds, next_use, slot_hex
from adapters.evm.names import hex_address, native_asset, token_address
from adapters.evm.rpc import Call, quantity
from adapters.evm.state import ALLOWANCE, token_word
from core.model.errors import RejectedError, RetryableError
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, ChainId, LockId, LockTerms, Preimage, chain_of
from core.proofs.lanes import Lane, evm_address, lane_lock_id, packed_terms, parse_lane

# Gas limits, not estimates: a claim that carries an unrevealed preimage may not be shown to a node to be estimated.
# Measured use is in docs/htlc-contract.md; the rest is room for tokens behind proxies and for payees that are
# contracts. What is not used is not paid.
LOCK_GAS: Final = 80_000
LOCK_TOKEN_GAS: Final = 250_000
SETTLE_GAS: Final = 150_000
SETTLE_TOKEN_GAS: Final = 250_000
APPROVE_GAS: Final = 100_000

LANES_PER_READ: Final = 16
MAX_LANES_SCANNED: Final = 1_024
UNLIMITED: Final = 2**256 - 1


class EvmLegBuilder:
    """`LegBuilder` over one HashedTimelock."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, htlc: bytes) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._htlc = htlc

    async def lock_id(self, terms: LockTerms, taken: Collection[LockId] = ()) -> LockId:
        """The sender's lowest free lane.

        A lane counts as free when the newest and the finalized state agree that it is, so that no reorg can make its
        generation another, and when no place in `taken` holds it. Raises `RetryableError` when the first
        `MAX_LANES_SCANNED` are all in use.
        """
        self._own(terms)
        sender = evm_address(terms.sender)
        places = [parse_lane(name) for name in taken]
        for first in range(0, MAX_LANES_SCANNED, LANES_PER_READ):
            lanes = range(first, first + LANES_PER_READ)
            latest, finalized = await self._words(sender, lanes)
            for number, word, final in zip(lanes, latest, finalized, strict=True):
                lane = next_use(sender, number, word) if word == final else None
                if lane is not None and not any(holds(place, lane) for place in places):
                    return lane_lock_id(lane)
        raise RetryableError(f"{terms.sender} has {MAX_LANES_SCANNED} locks open: none of its lanes is free")

    async def prepare(self, terms: LockTerms) -> UnsignedTransaction | None:
        """The allowance that a token lock needs, where it is short.

        It is unlimited: two locks side by side would overwrite each other's exact allowances, and the contract, which
        nobody can change, takes tokens from nobody but the caller of `lockToken`.
        """
        self._own(terms)
        if terms.asset == native_asset(self._chain):
            return None
        token, owner = token_address(terms.asset), evm_address(terms.sender)
        if await token_word(self._endpoints, token, ALLOWANCE, owner, self._htlc) >= terms.amount:
            return None
        return unsigned_call(
            terms.sender,
            token,
            encode_call("TestToken", "approve", self._htlc, UNLIMITED),
            gas=APPROVE_GAS,
            summary=f"Allow the contract {hex_address(self._htlc)} to take {terms.asset} that you lock",
        )

    def lock(self, terms: LockTerms, lock_id: LockId) -> UnsignedTransaction:
        lane = self._lane(terms, lock_id)
        packed = packed_terms(terms, lane)
        summary = f"Lock {terms.amount} of {terms.asset} for {terms.receiver} until {terms.timelock.seconds}"
        if terms.asset == native_asset(self._chain):
            data = encode_call("HashedTimelock", "lock", terms.hashlock, packed)
            return unsigned_call(terms.sender, self._htlc, data, gas=LOCK_GAS, value=terms.amount, summary=summary)
        token = token_address(terms.asset)
        data = encode_call("HashedTimelock", "lockToken", terms.hashlock, packed, terms.amount, token)
        return unsigned_call(terms.sender, self._htlc, data, gas=LOCK_TOKEN_GAS, warm=(token,), summary=summary)

    def claim(self, terms: LockTerms, lock_id: LockId, preimage: Preimage, sender: AccountId) -> UnsignedTransaction:
        lane = self._lane(terms, lock_id)
        summary = f"Claim {terms.amount} of {terms.asset} for {terms.receiver}"
        return self._settle("claim", preimage.expose(), terms, lane, sender, summary, reveals=True)

    def refund(self, terms: LockTerms, lock_id: LockId, sender: AccountId) -> UnsignedTransaction:
        lane = self._lane(terms, lock_id)
        summary = f"Refund {terms.amount} of {terms.asset} to {terms.sender}"
        return self._settle("refund", terms.hashlock, terms, lane, sender, summary, reveals=False)

    def _settle(
        self,
        verb: str,
        opening: bytes,
        terms: LockTerms,
        lane: Lane,
        sender: AccountId,
        summary: str,
        *,
        reveals: bool,
    ) -> UnsignedTransaction:
        if chain_of(sender) != self._chain:
            raise RejectedError(f"{sender} is not an account of {self._chain}")
        arguments = (opening, packed_terms(terms, lane), lane.sender, terms.amount)
        if terms.asset == native_asset(self._chain):
            data = encode_call("HashedTimelock", verb, *arguments)
            return unsigned_call(sender, self._htlc, data, gas=SETTLE_GAS, summary=summary, reveals=reveals)
        token = token_address(terms.asset)
        data = encode_call("HashedTimelock", f"{verb}Token", *arguments, token)
        return unsigned_call(
            sender, self._htlc, data, gas=SETTLE_TOKEN_GAS, warm=(token,), summary=summary, reveals=reveals
        )

    def _lane(self, terms: LockTerms, lock_id: LockId) -> Lane:
        self._own(terms)
        lane = parse_lane(lock_id)
        if lane.sender != evm_address(terms.sender):
            raise RejectedError("this place belongs to another sender", lock_id=lock_id)
        return lane

    def _own(self, terms: LockTerms) -> None:
        if terms.chain != self._chain:
            raise RejectedError(f"these terms are for {terms.chain}, this is {self._chain}")
        if not any(evm_address(terms.receiver)):
            raise RejectedError("the receiver is the zero address")

    async def _words(self, sender: bytes, lanes: range) -> tuple[list[int], list[int]]:
        """The lanes' words in the newest and in the finalized state."""
        where = hex_address(self._htlc)
        calls = [
            Call("eth_getStorageAt", (where, slot_hex(Lane(sender, lane, 0)), block))
            for block in ("latest", "finalized")
            for lane in lanes
        ]
        words = [quantity(answer) for answer in await self._endpoints.batch(calls)]
        return words[: len(lanes)], words[len(lanes) :]
