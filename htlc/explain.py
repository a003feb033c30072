"""A swap in a person's words: what it waits for, on which chain, until when, and what follows then. Pure.

    waits_for(state)    the one thing that has to happen next for us
    history(state)      what chains have shown of it so far, in order

Times are Unix seconds; a timelock is one of its own chain's time (`ChainTiming` has how far that may be off).
"""

from dataclasses import dataclass
from typing import Final

from core.model.types import ChainId
from htlc import timelocks
from htlc.effects import ClaimLeg, FundLeg, RefundLeg, RevealAndClaim, leg_kind
from htlc.model import Attempt, AttemptStatus, Leg, LegState, LegStatus, Phase, Role, Sighting, SwapState

_NAMES: Final = {Leg.INITIATOR: "the initiator's lock", Leg.PARTICIPANT: "the participant's lock"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next thing in a swap. `chain` is where it has to happen, `until_s` the last moment for it, `then` what
    follows if it does not come; all None once nothing is waited for."""

    sentence: str
    chain: ChainId | None = None
    until_s: int | None = None
    then: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that a chain showed."""

    what: str
    chain: ChainId
    height: int
    block_hash: bytes
    tx_hash: bytes
    final: bool


def waits_for(state: SwapState) -> Waiting:
    """Return what has to happen next, as far as this side knows."""
    if state.phase.terminal:
        return Waiting(_ended(state))
    if state.phase is Phase.CLAIMING:
        return _claiming(state)
    if state.phase is Phase.REFUNDING:
        return _refunding(state)
    if state.agreement.role is Role.INITIATOR:
        return _as_initiator(state)
    if state.agreement.role is Role.LIQUIDITY_PROVIDER:
        return _as_provider(state)
    return _as_watchtower(state)


def history(state: SwapState) -> list[Seen]:
    """Return the locks, claims and refunds that chains have shown, the initiator's leg first."""
    found = []
    for leg in Leg:
        facts, chain = state.leg(leg), state.agreement.terms(leg).chain
        for name, sighting in (("locked", facts.lock), ("claimed", facts.claim), ("refunded", facts.refund)):
            if sighting is not None:
                found.append(_seen(f"{leg.value}'s leg {name}", chain, sighting))
    return found


# --- by role -----------------------------------------------------------------------------------------------------


def _as_initiator(state: SwapState) -> Waiting:
    agreement = state.agreement
    a, b = agreement.initiator_leg.chain, agreement.participant_leg.chain
    back = f"our lock on {a} is taken back after its timelock"
    if state.closed is not None:
        return _until_own_refund(state, Leg.INITIATOR)
    if state.initiator_leg.lock is None:
        return _our_lock(state, Leg.INITIATOR, agreement.lock_deadline_s)
    gate_s = _gate_s(state, reveal=True)
    if state.participant_leg.lock is None:
        return Waiting("the participant's lock", b, gate_s, back)
    if not state.participant_leg.final:
        return Waiting(
            f"{_block(state.participant_leg.lock)}, which holds the participant's lock, to be final", b, gate_s, back
        )
    if state.verified is None:
        return Waiting("more than half of the endpoints' operators to confirm the participant's lock", b, gate_s, back)
    return Waiting(
        f"our claim, which makes the preimage public{_tried(state, RevealAndClaim, Leg.PARTICIPANT)}", b, gate_s, back
    )


def _as_provider(state: SwapState) -> Waiting:
    agreement = state.agreement
    a, b = agreement.initiator_leg.chain, agreement.participant_leg.chain
    first = state.initiator_leg
    if state.participant_leg.lock is not None:
        then = f"our lock on {b} is taken back after its timelock"
        return Waiting(
            "the initiator's claim, which shows the preimage", b, agreement.participant_leg.timelock.seconds, then
        )
    if state.closed is not None:
        return Waiting(f"what was signed before to settle, since {state.closed.message}", b)
    nothing = "the swap ends, and we have locked nothing"
    if first.lock is None:
        last_s = agreement.lock_deadline_s + agreement.initiator_timing.inclusion_s
        return Waiting("the initiator's lock", a, last_s, nothing)
    gate_s = _gate_s(state, reveal=False)
    if not first.final:
        return Waiting(f"{_block(first.lock)}, which holds the initiator's lock, to be final", a, gate_s, nothing)
    if state.verified is None:
        return Waiting("more than half of the endpoints' operators to confirm the initiator's lock", a, gate_s, nothing)
    return _our_lock(state, Leg.PARTICIPANT, gate_s)


def _as_watchtower(state: SwapState) -> Waiting:
    legs = [leg for leg in Leg if state.leg(leg).open]
    if not legs:
        return Waiting("the first of both locks", state.agreement.initiator_leg.chain, state.agreement.lock_deadline_s)
    last = max(legs, key=lambda leg: state.agreement.terms(leg).timelock.seconds)
    terms = state.agreement.terms(last)
    return Waiting("a claim that shows the preimage", None, terms.timelock.seconds, "we take back what still stands")


# --- by phase ----------------------------------------------------------------------------------------------------


def _our_lock(state: SwapState, leg: Leg, until_s: int) -> Waiting:
    attempt = state.attempt(leg_kind(FundLeg, leg))
    chain = state.agreement.terms(leg).chain
    nothing = "the swap ends, and we have locked nothing"
    if attempt is None:
        return Waiting("our decision to lock", chain, until_s, nothing)
    if attempt.status is AttemptStatus.ASKED:
        return Waiting(f"our lock on {chain} to be signed and sent", chain, until_s, nothing)
    return Waiting(
        f"a block with our lock on {chain}{_shown(attempt)}", chain, None, "it is taken back if it comes late"
    )


def _claiming(state: SwapState) -> Waiting:
    """Claims of ours, and of others that have to be final before we are done."""
    for leg in _legs_of(state):
        facts, terms = state.leg(leg), state.agreement.terms(leg)
        if facts.open:
            kind = RevealAndClaim if state.agreement.role is Role.INITIATOR and leg is Leg.PARTICIPANT else ClaimLeg
            mine = f"a block with our claim of {_NAMES[leg]}{_tried(state, kind, leg)}"
            return Waiting(mine, terms.chain, terms.timelock.seconds, "its sender may take it back: be there before")
    for leg in Leg:
        facts, terms = state.leg(leg), state.agreement.terms(leg)
        if facts.open:
            return Waiting(
                f"the claim of {_NAMES[leg]}", terms.chain, terms.timelock.seconds, "its sender takes it back"
            )
        if not facts.settled and facts.status is not LegStatus.ABSENT:
            return _finality(state, leg)
    return Waiting("a lock that the public preimage still opens")


def _refunding(state: SwapState) -> Waiting:
    for leg in _legs_of(state, refunds=True):
        facts = state.leg(leg)
        if facts.open:
            chain = state.agreement.terms(leg).chain
            return Waiting(f"a block with our refund of {_NAMES[leg]}{_tried(state, RefundLeg, leg)}", chain)
        if not facts.settled and facts.status is not LegStatus.ABSENT:
            return _finality(state, leg)
    return Waiting("the refund to be final")


def _until_own_refund(state: SwapState, leg: Leg) -> Waiting:
    terms, closed = state.agreement.terms(leg), state.closed
    why = "" if closed is None else f", since {closed.message}"
    if state.leg(leg).lock is None:
        return Waiting(f"what was signed before to settle{why}", terms.chain)
    then = "our refund is sent"
    return Waiting(f"the timelock of our lock{why}", terms.chain, terms.timelock.seconds, then)


def _finality(state: SwapState, leg: Leg) -> Waiting:
    facts = state.leg(leg)
    sighting = facts.claim or facts.refund or facts.lock
    word = {LegStatus.CLAIMED: "the claim", LegStatus.REFUNDED: "the refund"}.get(facts.status, "the lock")
    block = "its block" if sighting is None else _block(sighting)
    return Waiting(f"{block}, which holds {word} of {_NAMES[leg]}, to be final", state.agreement.terms(leg).chain)


def _ended(state: SwapState) -> str:
    words = {
        Phase.COMPLETED: "nothing: both legs were claimed as agreed",
        Phase.REFUNDED: "nothing: the locks were taken back, and nobody got or lost anything",
        Phase.ABANDONED: "nothing: it ended before we locked anything",
        Phase.LOST: "nothing: one leg was claimed and the other was not; somebody missed the time",
    }
    why = "" if state.closed is None else f" ({state.closed.message})"
    return f"{words[state.phase]}{why}"


# --- words -------------------------------------------------------------------------------------------------------


def _gate_s(state: SwapState, *, reveal: bool) -> int:
    """When the gate before our next act closes, in Unix seconds of true time."""
    agreement = state.agreement
    terms = timelocks.reveal_terms if reveal else timelocks.fund_terms
    needed = sum(terms(agreement.participant_timing, agreement.policy).values())
    return agreement.participant_leg.timelock.seconds - needed


def _legs_of(state: SwapState, *, refunds: bool = False) -> list[Leg]:
    own = state.agreement.own_leg
    if own is None:
        return list(Leg)
    return [own] if refunds else [own.other]


def _tried(state: SwapState, effect: type[ClaimLeg | RefundLeg | RevealAndClaim], leg: Leg) -> str:
    attempt = state.attempt(leg_kind(effect, leg))
    return "" if attempt is None else _shown(attempt)


def _shown(attempt: Attempt) -> str:
    sent = "" if attempt.tx_hash is None else f" {attempt.tx_hash.hex()}"
    word = {
        AttemptStatus.ASKED: "not signed yet",
        AttemptStatus.SENT: f"sent{sent}",
        AttemptStatus.DONE: f"final{sent}",
        AttemptStatus.FAILED: "the last try failed; the next follows with a new block",
        AttemptStatus.REFUSED: "refused, and not sent",
        AttemptStatus.VOID: "it can never be mined any more",
    }[attempt.status]
    return f" ({word})"


def _block(sighting: Sighting) -> str:
    return f"block {sighting.block.height:,}"


def _seen(what: str, chain: ChainId, sighting: Sighting) -> Seen:
    block = sighting.block
    return Seen(what, chain, block.height, block.hash, sighting.tx_hash, sighting.final)


def final_words(leg: LegState) -> str:
    """Return a leg's status with its finality, for tables."""
    return leg.status.value if leg.final or leg.status is LegStatus.ABSENT else f"{leg.status.value}, not final"
