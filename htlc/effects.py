"""Everything we may ask for. Stored with the event it follows from, and run under `swap_id:sequence:kind`.

    VerifyLock      read the counterparty's lock at a finalized block with quorum → LockVerified | LockRefused
    FundLeg         check again (`htlc.decisions.check_fund_now`), then lock our own leg
    RevealAndClaim  the initiator's claim; the executor takes the preimage from a key vault by `terms.hashlock`
    ClaimLeg        claim with a preimage that is public already; goes out at once, without quorum or finality
    RefundLeg       refund a leg whose timelock has passed; goes out at once
    SignEarlyRefund agree, as the receiver, to a refund of the counterparty's leg before its timelock
    NotifyParty     show the operator and the parties something they should know
    Finished        the swap has ended

`kind` is unique among the effects of one event. There is no effect to watch a chain: the indexer follows every block
of both chains anyway, and the worker looks swaps up by hashlock.
"""

from typing import get_args

import msgspec

from core.model.effect_keys import EffectKey
from core.model.types import LockId, LockTerms, PublicPreimage, SwapId
from htlc.model import Leg, Phase


class VerifyLock(msgspec.Struct, frozen=True, kw_only=True, tag="verify"):
    swap_id: SwapId
    sequence: int
    leg: Leg
    lock_id: LockId
    terms: LockTerms


class FundLeg(msgspec.Struct, frozen=True, kw_only=True, tag="fund"):
    """Asked for at most once in a swap's life."""

    swap_id: SwapId
    sequence: int
    leg: Leg
    terms: LockTerms


class RevealAndClaim(msgspec.Struct, frozen=True, kw_only=True, tag="reveal"):
    """Claim with a preimage that only we know. Sending it is the reveal: never simulated, never estimated.

    The reveal gate and the quorum apply if `first` is true; afterwards the preimage counts as public and nothing
    holds the claim back.
    """

    swap_id: SwapId
    sequence: int
    leg: Leg
    lock_id: LockId
    terms: LockTerms
    first: bool


class ClaimLeg(msgspec.Struct, frozen=True, kw_only=True, tag="claim"):
    swap_id: SwapId
    sequence: int
    leg: Leg
    lock_id: LockId
    terms: LockTerms
    preimage: PublicPreimage


class RefundLeg(msgspec.Struct, frozen=True, kw_only=True, tag="refund"):
    swap_id: SwapId
    sequence: int
    leg: Leg
    lock_id: LockId
    terms: LockTerms


class SignEarlyRefund(msgspec.Struct, frozen=True, kw_only=True, tag="early-refund"):
    """Asked for only if our own leg was never signed, is finally refunded, or can never be mined."""

    swap_id: SwapId
    sequence: int
    leg: Leg
    terms: LockTerms


class NotifyParty(msgspec.Struct, frozen=True, kw_only=True, tag="notify"):
    """`code` is stable and for machines, `message` a sentence for people."""

    swap_id: SwapId
    sequence: int
    code: str
    message: str


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag="finished"):
    """`outcome` is one of the terminal phases; `code` and `message` say why if it is not COMPLETED."""

    swap_id: SwapId
    sequence: int
    outcome: Phase
    code: str
    message: str


Exit = ClaimLeg | RefundLeg
"""An effect that brings home what is ours, or what is somebody's whom we watch over."""
LegEffect = VerifyLock | FundLeg | RevealAndClaim | ClaimLeg | RefundLeg | SignEarlyRefund
SwapEffect = LegEffect | NotifyParty | Finished

EFFECT_TYPES: tuple[type[SwapEffect], ...] = get_args(SwapEffect)


def kind_of(effect: SwapEffect) -> str:
    """`claim-initiator`, `notify-lock-differs`, `finished`: unique among the effects of one event."""
    match effect:
        case NotifyParty():
            return f"notify-{effect.code}"
        case Finished():
            return "finished"
        case _:
            return leg_kind(type(effect), effect.leg)


def leg_kind(effect: type[LegEffect], leg: Leg) -> str:
    """The kind of an effect on one leg, under which `SwapState.attempts` remembers it."""
    return f"{effect.__struct_config__.tag}-{leg}"


def effect_key(effect: SwapEffect) -> str:
    """The name under which an effect acts once, in the outbox and with the executor."""
    return str(EffectKey(effect.swap_id, effect.sequence, kind_of(effect)))
