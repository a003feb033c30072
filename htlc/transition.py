"""The swap's state machine: `transition(state, event, policy) → (state, effects)`. Pure.

    record   the event becomes a fact of the state              htlc.facts
    gates    time that has run out closes the way forward       htlc.decisions.with_gates
    phase    what these facts amount to                         htlc.decisions.phase_of
    effects  what is due now and not on its way already         htlc.decisions.wanted

Which phase answers which event, and how, is the table in `htlc.table`; the diagram in the docs is drawn from it.
"""

from msgspec.structs import replace

from core.model.errors import RejectedError
from core.model.tables import Ignored
from htlc import decisions, events
from htlc.effects import Finished, NotifyParty, SwapEffect, kind_of
from htlc.facts import record, with_attempt
from htlc.model import Attempt, AttemptStatus, Phase, Reason, SwapState
from htlc.table import answer
from htlc.timelocks import SwapPolicy

Step = tuple[SwapState, tuple[SwapEffect, ...]]


def transition(state: SwapState | None, event: events.SwapEvent, policy: SwapPolicy) -> Step:
    """The state after `event`, and the effects to store with it.

    An event that changes nothing returns the very same state, so that nothing need be stored. Raise `RejectedError`
    only for a first event that is not `Agreed`; whatever happens to a swap that exists has an answer.
    """
    if state is None:
        return _begin(event, policy)
    if isinstance(answer(state.phase, event), Ignored):
        return state, ()
    facts, reasons = record(state, event)
    return _decide(state, facts, event, reasons, policy)


def only_time_passed(before: SwapState, after: SwapState, effects: tuple[SwapEffect, ...]) -> bool:
    """Return true if a step did nothing but move clocks. It need not be stored: the next one brings newer times.

    Not so for a watched leg that is over by it: the other chain's clock comes with another step.
    """
    still = replace(
        after,
        sequence=before.sequence,
        now_s=before.now_s,
        initiator_clock=before.initiator_clock,
        participant_clock=before.participant_clock,
    )
    return not effects and still == before and not decisions.ends_a_watched_leg(before, after)


def _begin(event: events.SwapEvent, policy: SwapPolicy) -> Step:
    if not isinstance(event, events.Agreed):
        raise RejectedError(f"a swap begins with its agreement, not with {events.event_name(event)}")
    fresh = SwapState(agreement=event.agreement, sequence=0, phase=Phase.AGREED, now_s=event.now_s)
    return _decide(fresh, fresh, event, (), policy)


def _decide(
    before: SwapState, facts: SwapState, event: events.SwapEvent, reasons: tuple[Reason, ...], policy: SwapPolicy
) -> Step:
    """From new facts to the phase and the effects that follow. Effects count as asked for in the returned state."""
    sequence = before.sequence + 1
    state, effects = facts, list[SwapEffect]()
    if not before.phase.terminal:
        state = decisions.with_gates(facts, policy)
        for due in decisions.wanted(state, sequence):
            kind = kind_of(due.effect)
            state = with_attempt(state, kind, decisions.next_attempt(state, kind, sequence, due.first))
            effects.append(due.effect)
        state = replace(state, phase=decisions.phase_of(state))
    if isinstance(event, events.EarlyRefundRequested):
        state, reasons = _answer_early_refund(state, sequence, effects, reasons)
    effects += _notices(before, state, sequence, reasons)
    if state == before and not effects and before.sequence > 0:
        return before, ()
    return replace(state, sequence=sequence), tuple(effects)


def _answer_early_refund(
    state: SwapState, sequence: int, effects: list[SwapEffect], reasons: tuple[Reason, ...]
) -> tuple[SwapState, tuple[Reason, ...]]:
    signature = decisions.early_refund(state, sequence)
    if signature is None:
        refusal = Reason("early-refund-refused", "our own leg is not finally out of the way, or theirs is settled")
        return state, (*reasons, refusal)
    effects.append(signature)
    asked = Attempt(sequence=sequence, status=AttemptStatus.ASKED)
    return with_attempt(state, kind_of(signature), asked), reasons


def _notices(before: SwapState, state: SwapState, sequence: int, reasons: tuple[Reason, ...]) -> list[SwapEffect]:
    """Notices for people: contradictions, why the way forward closed, and the end."""
    ended = state.phase.terminal and not before.phase.terminal
    if state.closed is not None and before.closed is None and not ended:
        reasons = (*reasons, state.closed)
    messages: list[SwapEffect] = [
        NotifyParty(swap_id=state.swap_id, sequence=sequence, code=reason.code, message=reason.message)
        for reason in reasons
    ]
    if ended:
        why = _why_ended(state)
        messages.append(
            Finished(swap_id=state.swap_id, sequence=sequence, outcome=state.phase, code=why.code, message=why.message)
        )
    return messages


def _why_ended(state: SwapState) -> Reason:
    match state.phase:
        case Phase.COMPLETED:
            return Reason("completed", "finally claimed, as agreed")
        case Phase.LOST:
            return Reason("lost", "one leg is finally claimed, the other finally not: somebody missed the time")
        case _:
            return state.closed or Reason("timelock", "no claim was made before the timelock")
