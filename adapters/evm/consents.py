"""Acts of the HashedTimelock that rest on a party's signature: locks by permit, and refunds before the timelock."""

from typing import Final

from adapters.evm.drafts import CallDraft
from adapters.evm.legs import SETTLE_TOKEN_GAS
from adapters.evm.names import hex_address, native_asset
from adapters.evm.signed_locks import SignedLocks
from adapters.evm.typed_data import Domain, Fields, consent_to
from core.model.errors import RejectedError
from core.model.types import ChainId, ChainTime, LockId, LockTerms
from core.proofs.lanes import asset_word, evm_address, packed_terms, parse_lane, settled_word

EARLY_REFUND: Final[Fields] = (
    ("receiver", "address"),
    ("sender", "address"),
    ("lane", "uint32"),
    ("generation", "uint16"),
    ("commitment", "bytes28"),
    ("deadline", "uint256"),
)
EARLY_REFUND_GAS: Final = SETTLE_TOKEN_GAS + 100_000
"""A refund, and what a wallet that is a contract may need to check its owners' signatures."""


class EvmConsentBuilder:
    """`ConsentBuilder` over one HashedTimelock."""

    def __init__(self, chain: ChainId, htlc: bytes, locks: SignedLocks) -> None:
        self._chain = chain
        self._htlc = htlc
        self._locks = locks

    async def lock(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> CallDraft | None:
        """By EIP-2612; see `SignedLocks.permit`. Its others would let anybody make the lock."""
        if terms.asset == native_asset(self._chain):
            return None
        try:
            return await self._locks.permit(terms, lock_id, until)
        except RejectedError:
            return None

    def refund(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> CallDraft:
        """By the receiver's EIP-712 signature over this very lock; a receiver that is a contract is asked by EIP-1271.

        The receiver needs no signature to send it. Raise `RejectedError` for a place of another sender.
        """
        lane = parse_lane(lock_id)
        if terms.chain != self._chain or lane.sender != evm_address(terms.sender):
            raise RejectedError("this place belongs to another sender or chain", lock_id=lock_id)
        message = {
            "receiver": hex_address(evm_address(terms.receiver)),
            "sender": hex_address(lane.sender),
            "lane": lane.number,
            "generation": lane.generation,
            "commitment": settled_word(terms, lane).to_bytes(32, "big")[:28],
            "deadline": until.seconds,
        }
        summary = f"Give {terms.amount} of {terms.asset} back to {terms.sender} before the timelock"
        domain = Domain("HashedTimelock", "1", self._chain, self._htlc)
        asset, packed = asset_word(terms.asset), packed_terms(terms, lane)
        return CallDraft(
            consent=consent_to(terms.receiver, domain, {"EarlyRefund": EARLY_REFUND}, "EarlyRefund", message, summary),
            htlc=self._htlc,
            function="refundAgreed",
            arguments=(terms.hashlock, packed, lane.sender, terms.amount, asset, until.seconds),
            gas=EARLY_REFUND_GAS,
            summary=summary,
            unsigned_by=terms.receiver,
        )
