"""The query's state machine: `transition(state, event) → (state, effects)`. Pure.

    record   the event becomes a fact of the state              _record
    phase    what these facts amount to                         phase_of
    effects  what is due now and not under way already          _due

Which phase answers which event is the table in `queries.table`; the diagram in the docs is drawn from it.
"""

from typing import Final, assert_never

from msgspec.structs import replace

from core.model.errors import RejectedError
from core.model.tables import Ignored
from core.model.types import ChainTime, Height
from queries import events
from queries.effects import Deliver, Finished, Prove, QueryEffect
from queries.model import (
    MAX_REFUSAL_CHARS,
    MAX_TRIES,
    Attempt,
    AttemptStatus,
    End,
    Phase,
    QueryState,
    Settlement,
)
from queries.table import TABLE

Step = tuple[QueryState, tuple[QueryEffect, ...]]

_HEADS: Final = (events.AnsweringAdvanced, events.AskingAdvanced, events.TimeAdvanced)
_ENDS: Final = {End.ANSWERED: Phase.DELIVERED, End.TAKEN_BACK: Phase.EXPIRED}


def transition(state: QueryState | None, event: events.QueryEvent) -> Step:
    """The state after `event`, and the effects to store with it.

    An event that changes nothing returns the very same state, so that nothing need be stored. Raise `RejectedError`
    only for a first event that is not `Asked`.
    """
    if state is None:
        if not isinstance(event, events.Asked):
            raise RejectedError(f"a query begins with its request, not with {events.event_name(event)}")
        begun = QueryState(
            request=event.request, sequence=0, phase=Phase.ASKED, asked_in=event.block, now_s=event.now_s
        )
        return _decide(begun, begun, event)
    if isinstance(TABLE.answer(state.phase, event), Ignored):
        return state, ()
    return _decide(state, _record(state, event), event)


def only_time_passed(before: QueryState, after: QueryState, effects: tuple[QueryEffect, ...]) -> bool:
    """Return true if a step did nothing but move clocks. It need not be stored: the next one brings newer times."""
    still = replace(
        after,
        sequence=before.sequence,
        now_s=before.now_s,
        asking=before.asking,
        asking_final=before.asking_final,
        answering_final=before.answering_final,
    )
    return not effects and still == before


def phase_of(state: QueryState) -> Phase:
    """The phase that these facts amount to."""
    if state.settlement is not None:
        return _ENDS[state.settlement.end] if state.settlement.final else Phase.SETTLED
    under_way = state.delivery is not None and state.delivery.status.under_way
    if state.request.place is None and state.delivery is not None and state.delivery.status is AttemptStatus.DONE:
        return Phase.DELIVERED
    if _can_never_be_answered(state):
        return Phase.EXPIRED
    if under_way:
        return Phase.DELIVERING
    if state.refusal is not None:
        return Phase.REFUSED
    if state.proof is not None:
        return Phase.PROVEN
    return Phase.PROVING if state.proving is not None and state.proving.status.under_way else Phase.ASKED


def admissible(state: QueryState) -> Height | None:
    """The newest final height that answers; None if there is none yet."""
    if state.answering_final is None or state.answering_final < state.request.first:
        return None
    last = state.request.last
    return state.answering_final if last is None else Height(min(state.answering_final, last))


def is_open(state: QueryState) -> bool:
    """Return false once the newest time that we know of has reached the deadline."""
    if state.request.place is None:
        return state.now_s < state.request.deadline_s
    return state.asking is None or state.asking.seconds < state.request.deadline_s


def _can_never_be_answered(state: QueryState) -> bool:
    """True once the deadline is in the past for good: no block before it can come to have an answer."""
    if state.request.place is None:
        return not is_open(state)
    return state.asking_final is not None and state.asking_final.seconds >= state.request.deadline_s


def _decide(before: QueryState, facts: QueryState, event: events.QueryEvent) -> Step:
    """From new facts to the phase and the effects that follow. Effects count as asked for in the returned state."""
    sequence = before.sequence + 1
    state, effects = replace(facts, phase=phase_of(facts)), list[QueryEffect]()
    if not state.phase.terminal and (due := _due(state, sequence, isinstance(event, _HEADS))) is not None:
        state, effects = _with_attempt(state, due), [due]
        state = replace(state, phase=phase_of(state))
    if state.phase.terminal:
        end = Finished(query_id=state.query_id, sequence=sequence, phase=state.phase, reason=state.refusal)
        effects.append(end)
    if state == before and not effects and before.sequence > 0:
        return before, ()
    return replace(state, sequence=sequence), tuple(effects)


def _due(state: QueryState, sequence: int, again: bool) -> Prove | Deliver | None:
    """Return what to ask for now: a proof once a height is admissible, then its delivery while the request stands.

    What failed is asked for `again` with the next head.
    """
    if state.refusal is not None or state.settlement is not None or not is_open(state):
        return None
    if state.proof is None:
        if (at := admissible(state)) is None or not _may_begin(state.proving, again):
            return None
        return Prove(query_id=state.query_id, sequence=sequence, uri=state.request.uri, at=at)
    if not _may_begin(state.delivery, again) or (state.request.place is not None and state.asked_in is None):
        return None
    return Deliver(query_id=state.query_id, sequence=sequence, proof=state.proof)


def _may_begin(attempt: Attempt | None, again: bool) -> bool:
    return attempt is None or (again and attempt.status is AttemptStatus.FAILED)


def _with_attempt(state: QueryState, due: Prove | Deliver) -> QueryState:
    if isinstance(due, Prove):
        failures = 0 if state.proving is None else state.proving.failures
        return replace(state, proving=Attempt(due.sequence, AttemptStatus.ASKED, failures))
    failures = 0 if state.delivery is None else state.delivery.failures
    return replace(state, delivery=Attempt(due.sequence, AttemptStatus.ASKED, failures))


def _record(state: QueryState, event: events.QueryEvent) -> QueryState:
    """The facts after `event`. Never raises: whatever comes from outside is judged, not trusted."""
    match event:
        case events.Asked():
            return state
        case events.RequestSeen() | events.RequestReverted():
            return _request(state, event)
        case events.AnsweringAdvanced() | events.AskingAdvanced() | events.TimeAdvanced():
            return _time(state, event)
        case events.Proven() | events.NotProven():
            return _proof(state, event)
        case events.SettlementSeen() | events.SettlementFinal() | events.SettlementReverted():
            return _settlement(state, event)
        case events.DeliverySubmitted() | events.DeliveryFailed() | events.DeliveryRefused():
            return _delivery(state, event)
        case _:
            assert_never(event)


def _request(state: QueryState, event: events.RequestSeen | events.RequestReverted) -> QueryState:
    if state.request.place is None:
        return state
    if isinstance(event, events.RequestSeen):
        return replace(state, asked_in=event.block)
    return replace(state, asked_in=None) if state.asked_in == event.block else state


def _time(
    state: QueryState, event: events.AnsweringAdvanced | events.AskingAdvanced | events.TimeAdvanced
) -> QueryState:
    """Time never goes back."""
    match event:
        case events.AnsweringAdvanced(finalized=finalized):
            return replace(state, answering_final=max(finalized, state.answering_final or finalized))
        case events.AskingAdvanced():
            if state.request.place is None or {event.head.chain, event.finalized.chain} != {state.request.place.chain}:
                return state
            return replace(
                state, asking=_later(state.asking, event.head), asking_final=_later(state.asking_final, event.finalized)
            )
        case events.TimeAdvanced(now_s=now_s):
            return replace(state, now_s=max(now_s, state.now_s))


def _later(before: ChainTime | None, now: ChainTime) -> ChainTime:
    return now if before is None or now.seconds > before.seconds else before


def _proof(state: QueryState, event: events.Proven | events.NotProven) -> QueryState:
    attempt = state.proving
    if attempt is None or attempt.sequence != event.sequence or not attempt.status.under_way:
        return state
    if isinstance(event, events.NotProven):
        failed = Attempt(attempt.sequence, AttemptStatus.FAILED, attempt.failures + 1)
        refusal = event.reason if event.never or failed.failures >= MAX_TRIES else None
        return replace(state, proving=failed, refusal=refusal and refusal[:MAX_REFUSAL_CHARS])
    if not state.request.admits(event.proof.height):
        refusal = f"a proof as of height {event.proof.height} answers another question"
        return replace(state, proving=replace(attempt, status=AttemptStatus.DONE), refusal=refusal)
    return replace(state, proving=replace(attempt, status=AttemptStatus.DONE), proof=event.proof)


def _settlement(
    state: QueryState, event: events.SettlementSeen | events.SettlementFinal | events.SettlementReverted
) -> QueryState:
    if state.request.place is None or event.block.chain != state.request.place.chain:
        return state
    known = state.settlement
    match event:
        case events.SettlementSeen():
            return replace(state, settlement=Settlement(event.end, event.block))
        case events.SettlementFinal():
            if known is None or known.block != event.block:
                return state
            return replace(state, settlement=replace(known, final=True))
        case events.SettlementReverted():
            return replace(state, settlement=None) if known is not None and known.block == event.block else state


def _delivery(
    state: QueryState, event: events.DeliverySubmitted | events.DeliveryFailed | events.DeliveryRefused
) -> QueryState:
    attempt = state.delivery
    if attempt is None or attempt.sequence != event.sequence or not attempt.status.under_way:
        return state
    if isinstance(event, events.DeliverySubmitted):
        # A caller of ours has the answer with that; on chain a block has to hold it.
        status = AttemptStatus.DONE if state.request.place is None else AttemptStatus.SUBMITTED
        return replace(state, delivery=replace(attempt, status=status))
    counts = isinstance(event, events.DeliveryRefused) or event.cost
    failed = Attempt(attempt.sequence, AttemptStatus.FAILED, attempt.failures + counts)
    refusal = event.reason[:MAX_REFUSAL_CHARS] if failed.failures >= MAX_TRIES else None
    return replace(state, delivery=failed, refusal=refusal)
