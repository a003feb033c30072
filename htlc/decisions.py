"""Decide what follows from what we know: the phase, the effects to ask for now, and the checks right before an act.

    phase_of(state)                  the phase that the facts amount to
    wanted(state)                    the effects that are due now and not on their way already
    with_gates(state, policy)        closed for good, if a time gate has closed
    check_fund_now, check_reveal_now what an executor asks immediately before it signs
    next_wake(state)                 from which head times on a swap needs `TimeAdvanced`

All pure. "Final" is irreversible by a chain's rule; only finally settled legs end a swap.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec.structs import replace

from core.model.errors import ConflictError, GateClosedError
from core.model.types import ChainTime
from htlc import timelocks
from htlc.effects import (
    ClaimLeg,
    FundLeg,
    LegEffect,
    RefundLeg,
    RevealAndClaim,
    SignEarlyRefund,
    VerifyLock,
    leg_kind,
)
from htlc.facts import close, ever_locked, has_funded, has_revealed, leg_of, with_leg
from htlc.model import (
    Agreement,
    Attempt,
    AttemptStatus,
    Leg,
    LegState,
    LegStatus,
    Phase,
    Role,
    SwapState,
)
from htlc.timelocks import ClockSkewError, SwapPolicy

StateCheck = Callable[[SwapState, SwapPolicy, int, ChainTime, ChainTime], None]
"""`check_fund_now` or `check_reveal_now`."""

_REVEAL: Final = leg_kind(RevealAndClaim, Leg.PARTICIPANT)
GIVEN_UP: Final = "watch-given-up"
"""Why a watched swap ended whose parties still have to settle it themselves."""
MAX_WATCH_TRIES: Final = 4
"""Claims and refunds of a watched swap that may fail, in all, but for those that are refused before anything is signed:
claims are then tried ever more seldom up to their timelock, and refunds for `WATCH_REFUNDS_S`. In our own swaps nothing
is given up."""
WATCH_REFUNDS_S: Final = 24 * 3600
"""How long after both timelocks a watched refund is tried that is refused, as of a token that is paused: whoever asks
for a watch pays nothing for it, and another may want its place."""
WATCH_WAIT_MOST_S: Final = 3_600
"""The longest that a watched refund waits for its next try."""
WATCH_WAIT_SHARE: Final = 4
"""A watched claim waits for its next try at most for this part of the time that it has left (a quarter)."""


# --- the phase ---------------------------------------------------------------------------------------------------


def phase_of(state: SwapState) -> Phase:
    """The phase that these facts amount to."""
    if (outcome := outcome_of(state)) is not None:
        return outcome
    if _is_claiming(state):
        return Phase.CLAIMING
    if any(_is_refunding(state, leg) for leg in _legs_to_refund(state.agreement)):
        return Phase.REFUNDING
    if state.agreement.role is Role.INITIATOR and state.participant_leg.lock and _is_verifying(state):
        return Phase.VERIFYING
    if state.participant_leg.lock is not None:
        return Phase.BOTH_LOCKED
    if state.agreement.role is Role.INITIATOR:
        if state.initiator_leg.lock is not None:
            return Phase.INITIATOR_LOCKED
        return Phase.FUNDING if has_funded(state) else Phase.AGREED
    if has_funded(state):
        return Phase.FUNDING
    if _is_verifying(state):
        return Phase.VERIFYING
    return Phase.INITIATOR_LOCKED if state.initiator_leg.lock is not None else Phase.AGREED


def outcome_of(state: SwapState) -> Phase | None:
    """The terminal phase, once nothing that may still happen can change it; None before."""
    match state.agreement.role:
        case Role.INITIATOR:
            return _initiator_outcome(state)
        case Role.LIQUIDITY_PROVIDER:
            return _participant_outcome(state)
        case Role.WATCHTOWER:
            return _watchtower_outcome(state)


def _initiator_outcome(state: SwapState) -> Phase | None:
    own, other = state.initiator_leg, state.participant_leg
    if not has_funded(state):
        return Phase.ABANDONED if state.closed is not None else None
    if other.status is LegStatus.CLAIMED and other.final:
        return Phase.COMPLETED
    if not (own.settled or _was_never_locked(state, Leg.INITIATOR)):
        return None
    if own.status is LegStatus.CLAIMED:
        return Phase.LOST if _can_never_be_claimed(state, Leg.PARTICIPANT) else None
    waiting = _is_claiming(state) and other.lock is not None and not _can_never_be_claimed(state, Leg.PARTICIPANT)
    return None if waiting else _unpaid(own)


def _participant_outcome(state: SwapState) -> Phase | None:
    own, other = state.participant_leg, state.initiator_leg
    if not has_funded(state):
        return Phase.ABANDONED if state.closed is not None else None
    if not (own.settled or _was_never_locked(state, Leg.PARTICIPANT)):
        return None
    if other.status is LegStatus.CLAIMED:
        return Phase.COMPLETED if other.final else None
    if own.status is LegStatus.CLAIMED:
        return Phase.LOST if _can_never_be_claimed(state, Leg.INITIATOR) else None
    if state.preimage is not None and not _can_never_be_claimed(state, Leg.INITIATOR):
        return None
    return _unpaid(own)


def _was_never_locked(state: SwapState, own: Leg) -> bool:
    """Return true if our lock was on its way, or seen for a while, and its chain is final beyond its timelock without
    it. One that was final before is gone with a finalized block: who knows what comes back."""
    attempt = state.attempt(leg_kind(FundLeg, own))
    was_final = attempt is not None and attempt.status is AttemptStatus.DONE
    return state.leg(own).status is LegStatus.ABSENT and not was_final and _can_never_be_claimed(state, own)


def _unpaid(own: LegState) -> Phase:
    """How a swap ended in which our leg went to nobody else: it is back, or was never there in the end."""
    return Phase.ABANDONED if own.status is LegStatus.ABSENT else Phase.REFUNDED


def _watchtower_outcome(state: SwapState) -> Phase | None:
    first, second = state.initiator_leg, state.participant_leg
    if state.closed is not None and state.closed.code == GIVEN_UP:
        return Phase.ABANDONED
    if first.status is LegStatus.ABSENT and second.status is LegStatus.ABSENT:
        over = state.closed is not None or all(_can_never_be_claimed(state, leg) for leg in Leg)
        return Phase.ABANDONED if over else None
    if all(_is_over(state, leg) for leg in Leg):
        return _SETTLEMENTS.get((first.status, second.status), Phase.LOST)
    return None


def _is_over(state: SwapState, leg: Leg) -> bool:
    """Return true if a leg is finally settled, or its own chain is final beyond its timelock without a lock: until then
    one that we have not read yet may stand there."""
    facts = state.leg(leg)
    return facts.settled or (facts.status is LegStatus.ABSENT and _can_never_be_claimed(state, leg))


def ends_a_watched_leg(before: SwapState, after: SwapState) -> bool:
    """Return true if a leg that is watched for others is over by this step, and was not before."""
    if after.agreement.role is not Role.WATCHTOWER:
        return False
    return any(_is_over(after, leg) and not _is_over(before, leg) for leg in Leg)


_SETTLEMENTS: Final = {
    (LegStatus.CLAIMED, LegStatus.CLAIMED): Phase.COMPLETED,
    (LegStatus.REFUNDED, LegStatus.REFUNDED): Phase.REFUNDED,
    (LegStatus.REFUNDED, LegStatus.ABSENT): Phase.REFUNDED,
    (LegStatus.ABSENT, LegStatus.REFUNDED): Phase.REFUNDED,
}
"""How both legs ended (initiator's, participant's); every other pair means that somebody lost a leg."""


def _can_never_be_claimed(state: SwapState, leg: Leg) -> bool:
    """Finally refunded, or unclaimed in a finalized block at or after its timelock."""
    facts, clock = state.leg(leg), state.clock(leg)
    if facts.claim is not None:
        return False
    if facts.refund is not None and facts.refund.final:
        return True
    return clock is not None and clock.finalized >= state.agreement.terms(leg).timelock


def _is_claiming(state: SwapState) -> bool:
    match state.agreement.role:
        case Role.INITIATOR:
            return has_revealed(state) or state.preimage is not None
        case Role.LIQUIDITY_PROVIDER:
            return state.preimage is not None and has_funded(state)
        case Role.WATCHTOWER:
            return state.preimage is not None and ever_locked(state)


def _is_refunding(state: SwapState, leg: Leg) -> bool:
    facts = state.leg(leg)
    return facts.status is LegStatus.REFUNDED or (facts.open and _timelock_passed(state, leg))


def _is_verifying(state: SwapState) -> bool:
    own = state.agreement.own_leg
    if own is None or state.closed is not None:
        return False
    attempt = state.attempt(leg_kind(VerifyLock, own.other))
    return attempt is not None and attempt.status is not AttemptStatus.REFUSED


def _timelock_passed(state: SwapState, leg: Leg) -> bool:
    clock = state.clock(leg)
    return clock is not None and clock.head >= state.agreement.terms(leg).timelock


def _legs_to_refund(agreement: Agreement) -> tuple[Leg, ...]:
    return tuple(Leg) if agreement.own_leg is None else (agreement.own_leg,)


def _legs_to_claim(agreement: Agreement) -> tuple[Leg, ...]:
    """A watchtower claims the initiator's leg for the participant; the other claim is the initiator's own to make."""
    return (Leg.INITIATOR,) if agreement.own_leg is None else (agreement.own_leg.other,)


# --- the gates ---------------------------------------------------------------------------------------------------


def with_gates(state: SwapState, policy: SwapPolicy) -> SwapState:
    """Closed, if the time to fund or to reveal is over, or if a watched swap has cost enough.

    Time runs one way: a time gate never opens again.
    """
    own = state.agreement.own_leg
    if own is None:
        return _with_tries_counted(state)
    if state.closed is not None:
        return state
    try:
        if not has_funded(state):
            _check_fund_time(state.agreement, state.now_s, policy)
        elif own is Leg.INITIATOR and not has_revealed(state):
            _check_reveal_time(state.agreement, state.now_s, policy)
    except GateClosedError as gate:
        return close(state, gate.code, gate.message)
    return state


def _with_tries_counted(state: SwapState) -> SwapState:
    """Whoever asks for a watch pays nothing for it, so its cost to us is bounded."""
    on_the_way = (AttemptStatus.ASKED, AttemptStatus.SENT)
    if not _is_spent(state) or any(attempt.status in on_the_way for attempt in state.attempts.values()):
        return state
    if not all(_head_is_beyond(state, kind, attempt) for kind, attempt in state.attempts.items()):
        return state
    return close(
        state, GIVEN_UP, "its claims and refunds failed too often, or too long: the parties have to send their own"
    )


def _is_spent(state: SwapState) -> bool:
    failed = {kind: one for kind, one in state.attempts.items() if one.status is AttemptStatus.FAILED}
    costly = sum(one.tries - one.refusals for one in failed.values())
    return costly >= MAX_WATCH_TRIES or any(_is_overdue(state, kind) for kind in failed)


def _is_overdue(state: SwapState, kind: str) -> bool:
    """Return true for a watched refund that still fails long after both timelocks."""
    leg = leg_of(kind)
    clock, last_s = state.clock(leg), max(state.agreement.terms(one).timelock.seconds for one in Leg)
    refunds = kind == leg_kind(RefundLeg, leg)
    return refunds and clock is not None and clock.head.seconds >= last_s + WATCH_REFUNDS_S


def _head_is_beyond(state: SwapState, kind: str, attempt: Attempt) -> bool:
    """A failure counts with the next head, as it would be asked for again."""
    clock = state.clock(leg_of(kind))
    return clock is not None and (attempt.failed_at_s is None or clock.head.seconds > attempt.failed_at_s)


def next_attempt(state: SwapState, kind: str, sequence: int, first: bool) -> Attempt:
    """The next effect of this kind, asked for under `sequence`, with the count of those before it."""
    asked, last = Attempt(sequence=sequence, status=AttemptStatus.ASKED, first=first), state.attempt(kind)
    if last is None or state.agreement.own_leg is not None:
        return asked
    return replace(asked, tries=last.tries + 1, refusals=last.refusals)


def check_fund_now(
    state: SwapState,
    policy: SwapPolicy,
    now_s: int,
    initiator_head: ChainTime,
    participant_head: ChainTime,
) -> None:
    """Let an executor sign our lock, asked immediately before with the present state and fresh head times.

    Raise `ConflictError` if the swap has moved on, `GateClosedError` if the time is over (both: report
    `EffectRefused`), `ClockSkewError` while the clocks disagree (try again).
    """
    own = state.agreement.own_leg
    if own is None or state.phase.terminal or state.closed is not None:
        raise ConflictError("this swap has ended, or its funding was called off", swap_id=state.swap_id)
    if state.preimage is not None:
        raise ConflictError("the preimage is public: this hashlock is never funded", swap_id=state.swap_id)
    if state.leg(own).lock_id is not None:
        raise ConflictError("our leg is locked already", swap_id=state.swap_id)
    if own is Leg.PARTICIPANT and (state.verified is None or not state.initiator_leg.open):
        raise ConflictError("the initiator's lock is not, or no longer, final and verified", swap_id=state.swap_id)
    _check_fund_time(state.agreement, now_s, policy)
    _check_skews(state.agreement, now_s, initiator_head, participant_head)


def check_fund_again(
    state: SwapState,
    policy: SwapPolicy,
    now_s: int,
    initiator_head: ChainTime,
    participant_head: ChainTime,
) -> None:
    """As `check_fund_now`, for our lock in another form, or for its bytes once more: a block has shown it, perhaps, and
    may be gone."""
    own = state.agreement.own_leg
    unseen = state if own is None else with_leg(state, own, LegState())
    check_fund_now(unseen, policy, now_s, initiator_head, participant_head)


def check_reveal_now(
    state: SwapState,
    policy: SwapPolicy,
    now_s: int,
    initiator_head: ChainTime,
    participant_head: ChainTime,
) -> None:
    """Let the initiator's executor broadcast its first claim, asked immediately before. Raise as `check_fund_now`
    does. Not to be asked if bytes that reveal were signed before: then nothing holds back."""
    if state.phase.terminal or state.closed is not None:
        raise ConflictError("this swap has ended, or its reveal was called off", swap_id=state.swap_id)
    if state.verified is None or not state.participant_leg.open:
        raise ConflictError("the participant's lock is not, or no longer, final and verified", swap_id=state.swap_id)
    _check_reveal_time(state.agreement, now_s, policy)
    _check_skews(state.agreement, now_s, initiator_head, participant_head)


def by_own_clock(check: StateCheck, state: SwapState, now_s: int) -> None:
    """One of the two checks, held against our own clock alone: before the chains' are asked, or after. Raise as it
    does."""
    agreement = state.agreement
    heads = (ChainTime(one.chain, now_s) for one in (agreement.initiator_leg, agreement.participant_leg))
    check(state, agreement.policy, now_s, *heads)


def _check_fund_time(agreement: Agreement, now_s: int, policy: SwapPolicy) -> None:
    t_a, t_b = agreement.initiator_leg.timelock, agreement.participant_leg.timelock
    first, second = agreement.initiator_timing, agreement.participant_timing
    if agreement.own_leg is Leg.INITIATOR:
        if now_s > agreement.lock_deadline_s:
            raise GateClosedError(
                f"the quote's time to lock ended at {agreement.lock_deadline_s}, it is {now_s}",
                gate="lock",
                lock_deadline_s=agreement.lock_deadline_s,
                now=now_s,
            )
        timelocks.check_lock(now_s, t_b, first, second, policy)
    else:
        timelocks.check_fund(now_s, t_b, second, policy)
        timelocks.check_gap(t_a, t_b, first, second, policy)


def _check_reveal_time(agreement: Agreement, now_s: int, policy: SwapPolicy) -> None:
    timelocks.check_reveal(now_s, agreement.participant_leg.timelock, agreement.participant_timing, policy)


def _check_skews(agreement: Agreement, now_s: int, initiator_head: ChainTime, participant_head: ChainTime) -> None:
    timelocks.check_skew(initiator_head, now_s, agreement.initiator_timing)
    timelocks.check_skew(participant_head, now_s, agreement.participant_timing)


def _is_skewed(state: SwapState) -> bool:
    """Return true if the last times that we have contradict our clock. The executor measures again."""
    for leg in Leg:
        if (clock := state.clock(leg)) is not None:
            try:
                timelocks.check_skew(clock.head, clock.now_s, state.agreement.timing(leg))
            except ClockSkewError:
                return True
    return False


# --- what to ask for ---------------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """An effect that is due, and whether it is the first of its kind."""

    effect: LegEffect
    first: bool


def wanted(state: SwapState, sequence: int) -> list[Wanted]:
    """The effects on legs that are due now, to be asked for under `sequence`, exits first."""
    effects: list[LegEffect | None] = [
        *(_wanted_claim(state, sequence, leg) for leg in _legs_to_claim(state.agreement)),
        *(_wanted_refund(state, sequence, leg) for leg in _legs_to_refund(state.agreement)),
        _wanted_reveal(state, sequence),
        _wanted_verification(state, sequence),
        _wanted_funding(state, sequence),
    ]
    kinds = [(effect, leg_kind(type(effect), effect.leg)) for effect in effects if effect is not None]
    return [Wanted(effect, state.attempt(kind) is None) for effect, kind in kinds if _may_ask(state, kind, effect.leg)]


def _may_ask(state: SwapState, kind: str, leg: Leg) -> bool:
    """Not while the last one is on its way; a failed one again with the next head, so that nothing spins."""
    attempt, clock = state.attempt(kind), state.clock(leg)
    if attempt is None:
        return True
    if attempt.status is not AttemptStatus.FAILED or clock is None:
        return False
    if state.agreement.own_leg is None:
        return not _is_spent(state) and _watch_waited(state, kind, attempt, clock.head.seconds)
    return attempt.failed_at_s is None or clock.head.seconds > attempt.failed_at_s


def _watch_waited(state: SwapState, kind: str, attempt: Attempt, head_s: int) -> bool:
    """Twice as long after each failure: two blocks, four, eight; for a claim that has time left at most a share of
    that, so that what has passed before its timelock is noticed in time, and for a refund an hour at most."""
    if attempt.failed_at_s is None:
        return True
    leg = leg_of(kind)
    block_s = state.agreement.timing(leg).block_time_s
    wait_s = block_s << attempt.tries
    left_s = state.agreement.terms(leg).timelock.seconds - attempt.failed_at_s
    if kind == leg_kind(ClaimLeg, leg) and left_s > 0:
        wait_s = min(wait_s, max(block_s, left_s // WATCH_WAIT_SHARE))
    else:
        wait_s = min(wait_s, WATCH_WAIT_MOST_S)
    return head_s > attempt.failed_at_s + wait_s


def _wanted_claim(state: SwapState, sequence: int, leg: Leg) -> ClaimLeg | None:
    """At once and until a finalized block has reached the timelock. Our own lock need not stand any more."""
    facts = state.leg(leg)
    if not _is_claiming(state) or state.preimage is None or facts.lock_id is None or not facts.open:
        return None
    if _can_never_be_claimed(state, leg):
        return None
    own_reveal = state.attempt(_REVEAL)
    if state.agreement.role is Role.INITIATOR and own_reveal is not None and own_reveal.alive:
        return None
    return ClaimLeg(
        swap_id=state.swap_id,
        sequence=sequence,
        leg=leg,
        lock_id=facts.lock_id,
        terms=state.agreement.terms(leg),
        preimage=state.preimage,
    )


def _wanted_refund(state: SwapState, sequence: int, leg: Leg) -> RefundLeg | None:
    facts = state.leg(leg)
    if facts.lock_id is None or not facts.open or not _timelock_passed(state, leg):
        return None
    return RefundLeg(
        swap_id=state.swap_id,
        sequence=sequence,
        leg=leg,
        lock_id=facts.lock_id,
        terms=state.agreement.terms(leg),
    )


def _wanted_reveal(state: SwapState, sequence: int) -> RevealAndClaim | None:
    """First if both locks stand, the other is verified, and every gate is open; again until it is settled."""
    own, other = state.initiator_leg, state.participant_leg
    if state.agreement.role is not Role.INITIATOR or other.lock_id is None or not other.open:
        return None
    first = not has_revealed(state)
    if first:
        ready = state.verified is not None and other.final and own.open and state.preimage is None
        if not ready or state.closed is not None or _timelock_passed(state, Leg.INITIATOR) or _is_skewed(state):
            return None
    elif state.preimage is not None or _can_never_be_claimed(state, Leg.PARTICIPANT):
        return None
    return RevealAndClaim(
        swap_id=state.swap_id,
        sequence=sequence,
        leg=Leg.PARTICIPANT,
        lock_id=other.lock_id,
        terms=state.agreement.participant_leg,
        first=first,
    )


def _wanted_verification(state: SwapState, sequence: int) -> VerifyLock | None:
    own = state.agreement.own_leg
    if own is None or state.closed is not None or state.preimage is not None or state.verified is not None:
        return None
    other = state.leg(own.other)
    if other.lock_id is None or not other.open or not other.final:
        return None
    ready = not has_funded(state) if own is Leg.PARTICIPANT else state.initiator_leg.open
    if not ready:
        return None
    return VerifyLock(
        swap_id=state.swap_id,
        sequence=sequence,
        leg=own.other,
        lock_id=other.lock_id,
        terms=state.agreement.terms(own.other),
    )


def _wanted_funding(state: SwapState, sequence: int) -> FundLeg | None:
    """Once in a swap's life: `_may_ask` never repeats it, since a lock on its way stays possible until it is void."""
    own = state.agreement.own_leg
    if own is None or state.closed is not None or state.preimage is not None or has_funded(state):
        return None
    if own is Leg.PARTICIPANT:
        first = state.initiator_leg
        if state.verified is None or not first.open or not first.final or _is_skewed(state):
            return None
    return FundLeg(swap_id=state.swap_id, sequence=sequence, leg=own, terms=state.agreement.terms(own))


def early_refund(state: SwapState, sequence: int) -> SignEarlyRefund | None:
    """Our signature for the counterparty's early refund, if our own leg was never signed, is finally refunded, or
    can never be mined; None otherwise, and if it was asked for before. `htlc.facts` has closed the swap for funding
    by then."""
    own = state.agreement.own_leg
    if own is None or state.attempt(leg_kind(SignEarlyRefund, own.other)) is not None:
        return None
    refunded = state.leg(own).status is LegStatus.REFUNDED and state.leg(own).final
    if not refunded and (has_funded(state) or state.closed is None):
        return None
    if state.leg(own.other).status in (LegStatus.CLAIMED, LegStatus.REFUNDED):
        return None
    return SignEarlyRefund(
        swap_id=state.swap_id, sequence=sequence, leg=own.other, terms=state.agreement.terms(own.other)
    )


def next_wake(state: SwapState) -> tuple[int | None, int | None]:
    """Return the head times (initiator's chain, participant's chain; Unix seconds of that chain) from which on this
    swap needs `TimeAdvanced`; 0 means with every head, None means never."""
    if state.phase.terminal:
        return None, None
    t_a, t_b = state.agreement.initiator_leg.timelock.seconds, state.agreement.participant_leg.timelock.seconds
    failed = any(attempt.status is AttemptStatus.FAILED for attempt in state.attempts.values())
    open_gate = _open_gate_s(state)
    if failed or (open_gate is not None and state.verified is not None):
        return 0, 0
    return t_a, t_b if open_gate is None else t_b - open_gate


def _open_gate_s(state: SwapState) -> int | None:
    """How long before T_B the gate closes that we still have to pass; None if there is none."""
    agreement = state.agreement
    if state.closed is not None or has_revealed(state):
        return None
    match agreement.role:
        case Role.INITIATOR:
            return sum(timelocks.reveal_terms(agreement.participant_timing, agreement.policy).values())
        case Role.LIQUIDITY_PROVIDER if not has_funded(state):
            return sum(timelocks.fund_terms(agreement.participant_timing, agreement.policy).values())
        case _:
            return None
