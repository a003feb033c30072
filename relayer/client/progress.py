"""A swap's progress as its caller sees it, derived from the journal alone: nothing is lost, nothing comes twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.model.errors import FatalError
from core.model.types import BlockRef, ChainId, Height, SwapId
from htlc import codec, events
from htlc.effects import ClaimLeg, FundLeg, RefundLeg, RevealAndClaim, leg_kind
from htlc.model import Leg, LegState, Phase, Reason, SwapState
from htlc.transition import transition


class SwapStep(StrEnum):
    """One step of a swap, from the initiator's side.

    AGREED                both sides know the terms, nothing is locked; our lock is asked for
    LOCK_SENT             our lock is signed, stored and broadcast
    LOCKED                our lock is in a block; LOCK_FINAL: irreversibly
    PARTICIPANT_LOCKED    a lock with exactly the agreed terms is in a block of the other chain
    PARTICIPANT_VERIFIED  a quorum shows it at a finalized block, under the right code
    REVEALING             our claim, which carries the preimage, is signed, stored and broadcast
    CLAIMED               our claim is in a block: we are paid; CLAIM_FINAL: irreversibly
    PARTICIPANT_CLAIMED   the participant has claimed our lock
    REFUND_SENT           the timelock has passed without a claim, our refund is on its way
    REFUNDED              our lock is paid back, in a block; REFUND_FINAL: irreversibly
    CALLED_OFF            from now on we neither lock nor reveal, and the message says why
    REORGED               a block with one of these was replaced; it will be reported again
    FINISHED              nothing will follow
    """

    AGREED = "agreed"
    LOCK_SENT = "lock-sent"
    LOCKED = "locked"
    LOCK_FINAL = "lock-final"
    PARTICIPANT_LOCKED = "participant-locked"
    PARTICIPANT_VERIFIED = "participant-verified"
    REVEALING = "revealing"
    CLAIMED = "claimed"
    CLAIM_FINAL = "claim-final"
    PARTICIPANT_CLAIMED = "participant-claimed"
    REFUND_SENT = "refund-sent"
    REFUNDED = "refunded"
    REFUND_FINAL = "refund-final"
    CALLED_OFF = "called-off"
    REORGED = "reorged"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class SwapProgress:
    """One thing that happened. `chain`, `height` and `tx_hash` are None if it has no place on a chain (yet).

    `sequence` counts the journal's events; `phase` is the state machine's after this one.
    """

    swap_id: SwapId
    sequence: int
    step: SwapStep
    phase: Phase
    chain: ChainId | None
    height: Height | None
    tx_hash: bytes | None
    message: str


@dataclass(frozen=True, slots=True)
class SwapOutcome:
    """How a swap ended: `phase` is COMPLETED, REFUNDED, ABANDONED (nothing was locked) or LOST.

    The legs say where each lock and its claim or refund stand on chain, as far as it was followed.
    """

    swap_id: SwapId
    phase: Phase
    reason: Reason | None
    initiator: LegState
    participant: LegState

    @property
    def completed(self) -> bool:
        return self.phase is Phase.COMPLETED


_FUND: Final = leg_kind(FundLeg, Leg.INITIATOR)
_SENT: Final = {
    _FUND: (SwapStep.LOCK_SENT, Leg.INITIATOR, "our lock is on its way"),
    leg_kind(RevealAndClaim, Leg.PARTICIPANT): (
        SwapStep.REVEALING,
        Leg.PARTICIPANT,
        "our claim is on its way, and the preimage with it",
    ),
    leg_kind(ClaimLeg, Leg.PARTICIPANT): (SwapStep.REVEALING, Leg.PARTICIPANT, "our claim is on its way again"),
    leg_kind(RefundLeg, Leg.INITIATOR): (SwapStep.REFUND_SENT, Leg.INITIATOR, "our refund is on its way"),
}


def outcome_of(state: SwapState) -> SwapOutcome:
    """The outcome that a state stands for; `phase` is terminal once the swap has ended."""
    return SwapOutcome(state.swap_id, state.phase, state.closed, state.initiator_leg, state.participant_leg)


def replayed(state: SwapState | None, raw: bytes) -> tuple[SwapState, list[SwapProgress]]:
    """Return the state after a journalled event, and the steps to report; `state` is None before the first event."""
    event = codec.decode_event(raw)
    agreement = event.agreement if isinstance(event, events.Agreed) else state.agreement if state is not None else None
    if agreement is None:
        raise FatalError("the journal of a swap does not begin with its agreement")
    after, _ = transition(state, event, agreement.policy)
    return after, list(progress_of(state, event, after))


def progress_of(before: SwapState | None, event: events.SwapEvent, after: SwapState) -> Iterator[SwapProgress]:
    """Return the steps that one journalled event means to the initiator."""
    if (made := _made(before, event, after)) is not None:
        yield made
    if after.closed is not None and (before is None or before.closed is None):
        yield _progress(after, SwapStep.CALLED_OFF, after.closed.message)
    if after.phase.terminal and (before is None or not before.phase.terminal):
        why = after.closed.message if after.closed is not None and after.phase is not Phase.COMPLETED else ""
        yield _progress(after, SwapStep.FINISHED, f"{after.phase}: {why}" if why else str(after.phase))


def _made(before: SwapState | None, event: events.SwapEvent, after: SwapState) -> SwapProgress | None:
    match event:
        case events.Agreed():
            return _progress(after, SwapStep.AGREED, "agreed, and our lock is asked for")
        case events.EffectSubmitted(kind=kind, tx_hash=tx_hash) if kind in _SENT:
            step, leg, message = _SENT[kind]
            return _progress(after, step, message, leg, None, tx_hash)
        case events.LockVerified(leg=leg, at=at):
            return _progress(after, SwapStep.PARTICIPANT_VERIFIED, "final, and exactly as agreed", leg, at)
        case events.LockSeen() | events.LockFinal() | events.ClaimSeen() | events.ClaimFinal():
            return _seen(before, event, after)
        case events.RefundSeen() | events.RefundFinal():
            return _seen(before, event, after)
        case events.LockReverted(leg=leg, block=block) | events.ClaimReverted(leg=leg, block=block):
            return _progress(after, SwapStep.REORGED, "a reorg replaced a block of this swap", leg, block)
        case events.RefundReverted(leg=leg, block=block):
            return _progress(after, SwapStep.REORGED, "a reorg replaced a block of this swap", leg, block)
        case _:
            return None


_STEPS: Final[dict[tuple[type[events.SwapEvent], Leg], tuple[SwapStep, str]]] = {
    (events.LockSeen, Leg.INITIATOR): (SwapStep.LOCKED, "our lock is in a block"),
    (events.LockFinal, Leg.INITIATOR): (SwapStep.LOCK_FINAL, "our lock is final"),
    (events.LockSeen, Leg.PARTICIPANT): (SwapStep.PARTICIPANT_LOCKED, "the participant's lock is in a block"),
    (events.ClaimSeen, Leg.PARTICIPANT): (SwapStep.CLAIMED, "claimed: we are paid"),
    (events.ClaimFinal, Leg.PARTICIPANT): (SwapStep.CLAIM_FINAL, "our claim is final"),
    (events.ClaimSeen, Leg.INITIATOR): (SwapStep.PARTICIPANT_CLAIMED, "the participant is paid, too"),
    (events.RefundSeen, Leg.INITIATOR): (SwapStep.REFUNDED, "refunded: our lock is paid back"),
    (events.RefundFinal, Leg.INITIATOR): (SwapStep.REFUND_FINAL, "our refund is final"),
}


def _seen(
    before: SwapState | None,
    event: events.LockSeen
    | events.LockFinal
    | events.ClaimSeen
    | events.ClaimFinal
    | events.RefundSeen
    | events.RefundFinal,
    after: SwapState,
) -> SwapProgress | None:
    known = _STEPS.get((type(event), event.leg))
    if known is None or before is None or before.leg(event.leg) == after.leg(event.leg):
        return None
    facts = after.leg(event.leg)
    sighting = facts.claim or facts.refund or facts.lock
    if isinstance(event, events.LockSeen | events.LockFinal):
        sighting = facts.lock
    if sighting is None:
        return None
    return _progress(after, known[0], known[1], event.leg, sighting.block, sighting.tx_hash)


def _progress(
    state: SwapState,
    step: SwapStep,
    message: str,
    leg: Leg | None = None,
    block: BlockRef | None = None,
    tx_hash: bytes | None = None,
) -> SwapProgress:
    return SwapProgress(
        swap_id=state.swap_id,
        sequence=state.sequence,
        step=step,
        phase=state.phase,
        chain=None if leg is None else state.agreement.terms(leg).chain,
        height=None if block is None else block.height,
        tx_hash=tx_hash,
        message=message,
    )
