"""Take an event in: the state with one more fact in it. Decides nothing; see `htlc.decisions` for that.

`record(state, event)` returns the new facts and the reasons that the parties should hear. A fact that contradicts
what was agreed (other terms, a preimage that opens nothing) changes nothing and is reported.
"""

from typing import Final, assert_never

from msgspec.structs import replace

from core.model.types import LockId, LockTerms, PublicPreimage, opens
from htlc import events
from htlc.effects import FundLeg, RevealAndClaim, VerifyLock, leg_kind
from htlc.model import (
    Attempt,
    AttemptStatus,
    Leg,
    LegClock,
    LegState,
    Reason,
    Role,
    Sighting,
    SwapState,
)

Recorded = tuple[SwapState, tuple[Reason, ...]]
"""The new facts, and the reasons that the parties should hear."""

_FUND: Final = {leg: leg_kind(FundLeg, leg) for leg in Leg}
_VERIFY: Final = {leg: leg_kind(VerifyLock, leg) for leg in Leg}
_REVEAL: Final = leg_kind(RevealAndClaim, Leg.PARTICIPANT)


def record(state: SwapState, event: events.SwapEvent) -> Recorded:
    """The facts after `event`. Never raises: whatever comes from outside is judged, not trusted."""
    match event:
        case events.Agreed():
            return state, ()
        case events.QuoteExpired() | events.QuoteCancelled() | events.EarlyRefundRequested():
            return _agreement(state, event)
        case events.LockSeen():
            return _lock_seen(state, event)
        case events.ClaimSeen():
            return _claim_seen(state, event)
        case events.RefundSeen():
            seen = Sighting(event.block, event.tx_hash)
            return _sight(state, event.leg, event.lock_id, refund=seen), ()
        case events.PreimageSeen():
            return _preimage(state, event.preimage)
        case events.LockFinal() | events.ClaimFinal() | events.RefundFinal():
            return _final(state, event), ()
        case events.LockReverted() | events.ClaimReverted() | events.RefundReverted():
            return _reverted(state, event)
        case events.TimeAdvanced():
            return _time(state, event), ()
        case events.LockVerified() | events.LockRefused():
            return _verification(state, event), ()
        case (
            events.EffectSubmitted()
            | events.EffectIncluded()
            | events.EffectFinal()
            | events.EffectReverted()
            | events.EffectDropped()
            | events.EffectRefused()
            | events.EffectVoided()
        ):
            return _outcome(state, event), ()
        case _:
            assert_never(event)


def with_leg(state: SwapState, leg: Leg, facts: LegState) -> SwapState:
    """The state with one leg replaced."""
    if leg is Leg.INITIATOR:
        return replace(state, initiator_leg=facts)
    return replace(state, participant_leg=facts)


def with_attempt(state: SwapState, kind: str, attempt: Attempt) -> SwapState:
    """The state with the latest attempt of one kind replaced."""
    return replace(state, attempts={**state.attempts, kind: attempt})


def close(state: SwapState, code: str, message: str) -> SwapState:
    """From now on we neither fund nor reveal; the first reason stays."""
    return state if state.closed is not None else replace(state, closed=Reason(code, message))


def has_funded(state: SwapState) -> bool:
    """Return true if a lock of our own exists or may still come to exist."""
    own = state.agreement.own_leg
    if own is None:
        return False
    attempt, leg = state.attempt(_FUND[own]), state.leg(own)
    if leg.lock is not None:
        return True
    return attempt.alive if attempt is not None else leg.lock_id is not None


def has_revealed(state: SwapState) -> bool:
    """Return true if our preimage has to be taken for public: we asked for its reveal, and were not refused."""
    attempt = state.attempt(_REVEAL)
    return attempt is not None and attempt.status is not AttemptStatus.REFUSED


def ever_locked(state: SwapState) -> bool:
    """Return true if a leg was seen, even if a reorg has taken it away: it will most likely come back."""
    return state.initiator_leg.lock_id is not None or state.participant_leg.lock_id is not None


# --- the agreement -----------------------------------------------------------------------------------------------


def _agreement(
    state: SwapState, event: events.QuoteExpired | events.QuoteCancelled | events.EarlyRefundRequested
) -> Recorded:
    match event:
        case events.QuoteExpired(now_s=now_s):
            state = replace(state, now_s=max(state.now_s, now_s))
            if has_funded(state) or ever_locked(state):
                return state, ()
            return close(state, "quote-expired", "the initiator did not lock in time"), ()
        case events.QuoteCancelled(reason=reason):
            if has_funded(state) and state.agreement.role is not Role.INITIATOR:
                return state, ()
            if state.agreement.role is Role.WATCHTOWER and ever_locked(state):
                return state, ()
            return close(state, "cancelled", reason), ()
        case events.EarlyRefundRequested():
            if state.agreement.own_leg is None or has_funded(state):
                return state, ()
            return close(state, "early-refund", "the counterparty takes its lock back, so we never fund"), ()


# --- chain facts -------------------------------------------------------------------------------------------------


def _lock_seen(state: SwapState, event: events.LockSeen) -> Recorded:
    terms, leg = state.agreement.terms(event.leg), state.leg(event.leg)
    if event.terms != terms:
        what = ", ".join(_differences(terms, event.terms))
        reason = Reason(
            f"{event.leg}-lock-differs",
            f"a lock under this hashlock is not the agreed {event.leg} leg, it differs in {what}",
        )
        return state, (reason,)
    if leg.lock is not None and leg.lock_id != event.lock_id:
        reason = Reason(f"{event.leg}-locked-again", f"the agreed {event.leg} leg is locked a second time")
        return state, (reason,)
    final = leg.lock is not None and leg.lock.final and leg.lock.block == event.block
    lock = Sighting(event.block, event.tx_hash, final)
    if leg.lock_id == event.lock_id:
        return with_leg(state, event.leg, replace(leg, lock=lock)), ()
    return with_leg(state, event.leg, LegState(lock_id=event.lock_id, lock=lock)), ()


def _differences(agreed: LockTerms, seen: LockTerms) -> list[str]:
    names = ("asset", "amount", "sender", "receiver", "hashlock", "timelock")
    return [name for name in names if getattr(agreed, name) != getattr(seen, name)]


def _claim_seen(state: SwapState, event: events.ClaimSeen) -> Recorded:
    known, reasons = _preimage(state, event.preimage)
    if known.preimage is None:
        return known, reasons
    return _sight(known, event.leg, event.lock_id, claim=Sighting(event.block, event.tx_hash)), reasons


def _sight(state: SwapState, leg: Leg, lock_id: LockId, **sighting: Sighting) -> SwapState:
    """Note a claim or a refund of our lock; one of another lock under the same hashlock is none of ours."""
    facts = state.leg(leg)
    if facts.lock_id != lock_id:
        return state
    return with_leg(state, leg, replace(facts, **sighting))


def _preimage(state: SwapState, preimage: PublicPreimage) -> Recorded:
    if not opens(preimage, state.agreement.hashlock):
        return state, (Reason("wrong-preimage", "somebody shows a preimage that does not open the hashlock"),)
    known = replace(state, preimage=preimage)
    if known.agreement.role is Role.LIQUIDITY_PROVIDER and not has_funded(known):
        known = close(known, "preimage-public", "the preimage was public before we locked, so we never fund")
    return known, ()


def _final(state: SwapState, event: events.LockFinal | events.ClaimFinal | events.RefundFinal) -> SwapState:
    leg, name = state.leg(event.leg), _SIGHTINGS[type(event)]
    sighting: Sighting | None = getattr(leg, name)
    if sighting is None or leg.lock_id != event.lock_id:
        return state
    return with_leg(state, event.leg, replace(leg, **{name: replace(sighting, block=event.block, final=True)}))


def _reverted(state: SwapState, event: events.LockReverted | events.ClaimReverted | events.RefundReverted) -> Recorded:
    leg, name = state.leg(event.leg), _SIGHTINGS[type(event)]
    sighting: Sighting | None = getattr(leg, name)
    if sighting is None or leg.lock_id != event.lock_id or sighting.block != event.block:
        return state, ()
    reasons: tuple[Reason, ...] = ()
    if sighting.final:
        reasons = (Reason(f"final-{name}-reverted", f"a final {name} of the {event.leg} leg was replaced by a reorg"),)
    reverted = with_leg(state, event.leg, replace(leg, **{name: None}))
    if name == "lock" and event.leg is not state.agreement.own_leg:
        # What was verified is the other party's lock: it stands, if our own one is gone.
        attempts = {kind: attempt for kind, attempt in state.attempts.items() if kind != _VERIFY[event.leg]}
        reverted = replace(reverted, verified=None, attempts=attempts)
    return reverted, reasons


_SIGHTINGS: Final[dict[type[events.SwapEvent], str]] = {
    events.LockFinal: "lock",
    events.LockReverted: "lock",
    events.ClaimFinal: "claim",
    events.ClaimReverted: "claim",
    events.RefundFinal: "refund",
    events.RefundReverted: "refund",
}


# --- time, verification, our own effects -------------------------------------------------------------------------


def _time(state: SwapState, event: events.TimeAdvanced) -> SwapState:
    chain, before = state.agreement.terms(event.leg).chain, state.clock(event.leg)
    if {event.head.chain, event.finalized.chain} != {chain}:
        return state
    finalized = event.finalized if before is None else max(event.finalized, before.finalized)
    clock = LegClock(event.head, finalized, event.now_s)
    state = replace(state, now_s=max(state.now_s, event.now_s))
    if event.leg is Leg.INITIATOR:
        return replace(state, initiator_clock=clock)
    return replace(state, participant_clock=clock)


def _verification(state: SwapState, event: events.LockVerified | events.LockRefused) -> SwapState:
    """Only the answer about the lock that stands there now, and that we asked about, counts."""
    kind, leg = _VERIFY[event.leg], state.leg(event.leg)
    attempt = state.attempt(kind)
    if attempt is None or not attempt.alive or leg.lock is None or leg.lock_id != event.lock_id:
        return state
    match event:
        case events.LockVerified(at=at, now_s=now_s):
            state = replace(state, verified=at, now_s=max(state.now_s, now_s))
            return with_attempt(state, kind, replace(attempt, status=AttemptStatus.DONE))
        case events.LockRefused(code=code, message=message):
            refused = with_attempt(state, kind, replace(attempt, status=AttemptStatus.REFUSED))
            return close(refused, code, message)


def _outcome(state: SwapState, event: events.EffectOutcome) -> SwapState:
    """Record the outcome of the latest attempt of a kind; outcomes of earlier attempts change nothing."""
    attempt = state.attempt(event.kind)
    if attempt is None or attempt.sequence != event.sequence:
        return state
    match event:
        case events.EffectSubmitted(tx_hash=tx_hash) | events.EffectIncluded(tx_hash=tx_hash):
            new = replace(attempt, status=AttemptStatus.SENT, tx_hash=tx_hash)
        case events.EffectFinal(tx_hash=tx_hash):
            new = replace(attempt, status=AttemptStatus.DONE, tx_hash=tx_hash)
        case events.EffectReverted(final=final):
            new = _failed(state, event.kind, attempt, void=final)
        case events.EffectDropped():
            new = _failed(state, event.kind, attempt, void=False)
        case events.EffectVoided():
            new = _failed(state, event.kind, attempt, void=True)
        case events.EffectRefused(code=code, message=message):
            return _refused(state, event.kind, attempt, code, message)
        case _:
            assert_never(event)
    state = with_attempt(state, event.kind, new)
    if new.status is AttemptStatus.VOID and not has_funded(state):
        return close(state, "lock-impossible", "our lock can never be mined any more")
    return state


def _failed(state: SwapState, kind: str, attempt: Attempt, *, void: bool) -> Attempt:
    """A lock is never asked for twice: it is on its way until it is void. Everything else may be asked for again."""
    if kind in _FUND.values():
        return replace(attempt, status=AttemptStatus.VOID if void else AttemptStatus.SENT)
    clock = state.clock(leg_of(kind))
    return replace(attempt, status=AttemptStatus.FAILED, failed_at_s=None if clock is None else clock.head.seconds)


def _refused(state: SwapState, kind: str, attempt: Attempt, code: str, message: str) -> SwapState:
    """Before we fund or reveal, a refusal is the end of it; a refused exit is asked for again with the next head.

    A refusal is not believed if something was signed before, or if the chain shows our lock. One that comes again
    changes nothing.
    """
    if attempt.status is AttemptStatus.REFUSED:
        return state
    deciding = kind in _FUND.values() or kind in _VERIFY.values() or (kind == _REVEAL and attempt.first)
    contradicted = kind in _FUND.values() and state.leg(leg_of(kind)).lock_id is not None
    if not deciding or contradicted or attempt.status is not AttemptStatus.ASKED:
        failed = _failed(state, kind, attempt, void=False)
        return with_attempt(state, kind, replace(failed, refusals=attempt.refusals + _costs_no_try(state)))
    return close(with_attempt(state, kind, replace(attempt, status=AttemptStatus.REFUSED)), code, message)


def _costs_no_try(state: SwapState) -> bool:
    """True for a watched swap: what keeps an exit from being sent, as a pause of its token, may pass, and the other leg
    waits for its own exit all the same."""
    return state.agreement.role is Role.WATCHTOWER


def leg_of(kind: str) -> Leg:
    """The leg that an effect kind such as `claim-initiator` is about."""
    return Leg(kind.rsplit("-", 1)[1])
