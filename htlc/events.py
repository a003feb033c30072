"""Everything that can happen to a swap. Past facts; each is journalled before anything follows from it.

    agreement        Agreed · QuoteExpired · QuoteCancelled · EarlyRefundRequested
    chain facts      LockSeen · LockFinal · LockReverted · ClaimSeen · ClaimFinal · ClaimReverted
                     RefundSeen · RefundFinal · RefundReverted · PreimageSeen
    time             TimeAdvanced
    verification     LockVerified · LockRefused              (answers to `effects.VerifyLock`)
    our effects      EffectSubmitted · EffectIncluded · EffectFinal · EffectReverted · EffectDropped ·
                     EffectRefused · EffectVoided

`leg` says whose lock the fact is about; whether that is our own lock or the counterparty's follows from our role.
`now_s` is true time by our own clock: Unix seconds, rounded up. The outcome of an effect names it by `kind` and
`sequence`, as the outbox does. "Seen" events need no finality; "Final" events repeat what was seen, once its block is
final; "Reverted" events say that its block was replaced.
"""

from typing import get_args

import msgspec

from core.model.types import BlockRef, ChainTime, LockId, LockTerms, PublicPreimage
from htlc.model import Agreement, Leg


class Agreed(msgspec.Struct, frozen=True, tag="agreed"):
    """Both parties agreed. The first event of every swap, and of no other moment in it."""

    agreement: Agreement
    now_s: int


class QuoteExpired(msgspec.Struct, frozen=True, tag="quote-expired"):
    """The initiator's time to lock is over, with the worst inclusion of a lock sent in time added."""

    now_s: int


class QuoteCancelled(msgspec.Struct, frozen=True, tag="quote-cancelled"):
    """A party or the operator withdrew."""

    reason: str


class EarlyRefundRequested(msgspec.Struct, frozen=True, tag="early-refund-requested"):
    """The counterparty asks us to sign that their leg may go back to them before its timelock."""


class LockSeen(msgspec.Struct, frozen=True, tag="lock-seen"):
    """A lock under our hashlock stands in a block. Its terms come with it: only the agreed ones make it a leg."""

    leg: Leg
    lock_id: LockId
    terms: LockTerms
    block: BlockRef
    tx_hash: bytes


class LockFinal(msgspec.Struct, frozen=True, tag="lock-final"):
    leg: Leg
    lock_id: LockId
    block: BlockRef


class LockReverted(msgspec.Struct, frozen=True, tag="lock-reverted"):
    leg: Leg
    lock_id: LockId
    block: BlockRef


class ClaimSeen(msgspec.Struct, frozen=True, tag="claim-seen"):
    """A leg was claimed in this block. The preimage is public for ever, whatever becomes of the block."""

    leg: Leg
    lock_id: LockId
    preimage: PublicPreimage
    block: BlockRef
    tx_hash: bytes


class ClaimFinal(msgspec.Struct, frozen=True, tag="claim-final"):
    leg: Leg
    lock_id: LockId
    block: BlockRef


class ClaimReverted(msgspec.Struct, frozen=True, tag="claim-reverted"):
    leg: Leg
    lock_id: LockId
    block: BlockRef


class RefundSeen(msgspec.Struct, frozen=True, tag="refund-seen"):
    leg: Leg
    lock_id: LockId
    block: BlockRef
    tx_hash: bytes


class RefundFinal(msgspec.Struct, frozen=True, tag="refund-final"):
    leg: Leg
    lock_id: LockId
    block: BlockRef


class RefundReverted(msgspec.Struct, frozen=True, tag="refund-reverted"):
    leg: Leg
    lock_id: LockId
    block: BlockRef


class PreimageSeen(msgspec.Struct, frozen=True, tag="preimage-seen"):
    """The preimage came to light anywhere: mempool, reverted calldata, orphaned block. It proves itself."""

    preimage: PublicPreimage
    source: str


class TimeAdvanced(msgspec.Struct, frozen=True, tag="time-advanced"):
    """A chain's newest and newest finalized block times, as seen at `now_s`."""

    leg: Leg
    head: ChainTime
    finalized: ChainTime
    now_s: int


class LockVerified(msgspec.Struct, frozen=True, tag="lock-verified"):
    """A quorum shows exactly the agreed terms, open, under the right contract code, at the finalized block `at`."""

    leg: Leg
    lock_id: LockId
    at: BlockRef
    now_s: int


class LockRefused(msgspec.Struct, frozen=True, tag="lock-refused"):
    """The lock is not what was agreed: we neither fund nor reveal on it."""

    leg: Leg
    lock_id: LockId
    code: str
    message: str


class EffectSubmitted(msgspec.Struct, frozen=True, tag="effect-submitted"):
    """Signed, stored, and on its way: from now on it may be mined at any time."""

    kind: str
    sequence: int
    tx_hash: bytes


class EffectIncluded(msgspec.Struct, frozen=True, tag="effect-included"):
    kind: str
    sequence: int
    tx_hash: bytes
    block: BlockRef


class EffectFinal(msgspec.Struct, frozen=True, tag="effect-final"):
    kind: str
    sequence: int
    tx_hash: bytes
    block: BlockRef


class EffectReverted(msgspec.Struct, frozen=True, tag="effect-reverted"):
    """Included without effect: it used its sequence. Not `final` while a reorg may still change that."""

    kind: str
    sequence: int
    reason: str
    final: bool


class EffectDropped(msgspec.Struct, frozen=True, tag="effect-dropped"):
    """No endpoint knows the transaction any more. That never means that it cannot come back."""

    kind: str
    sequence: int


class EffectRefused(msgspec.Struct, frozen=True, tag="effect-refused"):
    """A check right before the act failed for good (a gate, a limit, the chain's state): nothing was signed."""

    kind: str
    sequence: int
    code: str
    message: str


class EffectVoided(msgspec.Struct, frozen=True, tag="effect-voided"):
    """Signed, but never to be mined: its nonce is finally used otherwise, or its expiry height is final."""

    kind: str
    sequence: int


AgreementEvent = Agreed | QuoteExpired | QuoteCancelled | EarlyRefundRequested
ChainFact = (
    LockSeen
    | LockFinal
    | LockReverted
    | ClaimSeen
    | ClaimFinal
    | ClaimReverted
    | RefundSeen
    | RefundFinal
    | RefundReverted
    | PreimageSeen
)
Verification = LockVerified | LockRefused
EffectOutcome = (
    EffectSubmitted | EffectIncluded | EffectFinal | EffectReverted | EffectDropped | EffectRefused | EffectVoided
)
SwapEvent = AgreementEvent | ChainFact | TimeAdvanced | Verification | EffectOutcome

EVENT_TYPES: tuple[type[SwapEvent], ...] = get_args(SwapEvent)


def event_name(event: SwapEvent | type[SwapEvent]) -> str:
    """`lock-seen`: the tag under which it is journalled and drawn."""
    return str(event.__struct_config__.tag)
