"""The machine as a whole: its table, random lives, and what must never happen in any of them."""

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.model.errors import RejectedError
from core.model.tables import Ignored, Taken
from queries import codec, diagram, events
from queries.effects import Deliver, Finished, Prove, QueryEffect
from queries.events import EVENT_TYPES, QueryEvent, event_name
from queries.model import TERMINAL, Phase, QueryState, Request
from queries.table import TABLE
from queries.transition import is_open, transition
from tests.queries.scenarios import CALLER, alphabet, begin, explore, request

STATES: int = 6_000
Moves = dict[tuple[Phase, type[QueryEvent]], set[Phase]]


@pytest.fixture(scope="module")
def moves() -> Moves:
    """Every change of phase that histories make; what is ignored changes nothing."""
    found: Moves = defaultdict(set)
    for asked in (request(), request(last=None), CALLER):
        for before, event, after in explore(asked, STATES):
            if isinstance(TABLE.answer(before.phase, event), Ignored):
                assert after is before
            elif after.phase is not before.phase:
                found[before.phase, type(event)].add(after.phase)
    return found


def test_every_phase_answers_every_event() -> None:
    assert set(TABLE.cells) == set(Phase)
    for answers in TABLE.cells.values():
        assert list(answers) == list(EVENT_TYPES)
        assert all(answer.why for answer in answers.values())


def test_terminal_is_terminal() -> None:
    assert all(isinstance(cell, Ignored) for phase in TERMINAL for cell in TABLE.cells[phase].values())


def test_every_move_is_in_the_table(moves: Moves) -> None:
    surprises = [
        f"{phase} {event_name(event)} {target}"
        for (phase, event), targets in moves.items()
        for target in targets
        if not isinstance(answer := TABLE.cells[phase][event], Taken) or target not in answer.to
    ]
    assert not surprises


def test_every_move_of_the_table_is_made(moves: Moves) -> None:
    never = {
        f"{phase} {event_name(event)} {target}"
        for phase, answers in TABLE.cells.items()
        for event, answer in answers.items()
        if isinstance(answer, Taken)
        for target in answer.to
        if target not in moves[phase, event]
    }
    assert not never


def test_the_diagram_in_the_docs_is_fresh() -> None:
    assert diagram.PAGE.read_text(encoding="utf-8") == diagram.page(), "run python -m queries.diagram"


@pytest.mark.parametrize("event", [event for event in EVENT_TYPES if event is not events.Asked], ids=event_name)
def test_a_query_begins_with_its_request(event: type[QueryEvent]) -> None:
    state, _ = begin(request())
    other = next(one for one in alphabet(state) if isinstance(one, event))
    with pytest.raises(RejectedError, match="begins with its request"):
        transition(None, other)


class RandomLives(RuleBasedStateMachine):
    """Any event at any time, sensible or not; the machine never raises and keeps its promises."""

    @initialize(asked=st.sampled_from([request(), request(last=None), CALLER]))
    def ask(self, asked: Request) -> None:
        self.state, effects = begin(asked)
        self.asked: list[QueryEffect] = []
        self.ended = 0
        self._note(self.state, effects)

    @rule(data=st.data())
    def happen(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(alphabet(self.state)))
        before = self.state
        self.state, effects = transition(before, event)
        assert self.state.sequence == before.sequence + (self.state is not before)
        assert self.state is not before or not effects
        self._note(before, effects)

    def _note(self, before: QueryState, effects: tuple[QueryEffect, ...]) -> None:
        assert len({type(effect) for effect in effects}) == len(effects)
        for effect in effects:
            assert effect.sequence == self.state.sequence
            match effect:
                case Prove():
                    self._proving(before, effect)
                case Deliver():
                    self._delivering(before, effect)
                case Finished():
                    self.ended += 1
                    assert self.state.phase.terminal
        self.asked += effects

    def _proving(self, before: QueryState, effect: Prove) -> None:
        assert before.proof is None
        assert before.proving is None or not before.proving.status.under_way
        assert before.request.admits(effect.at)
        assert self.state.answering_final is not None
        assert effect.at <= self.state.answering_final

    def _delivering(self, before: QueryState, effect: Deliver) -> None:
        assert effect.proof == self.state.proof
        assert before.request.admits(effect.proof.height)
        assert before.delivery is None or not before.delivery.status.under_way
        assert before.request.place is None or self.state.asked_in is not None
        assert is_open(self.state)
        assert self.state.settlement is None
        assert self.state.refusal is None

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "state"):
            return
        assert self.ended == self.state.phase.terminal
        assert codec.decode_state(codec.encode(self.state)) == self.state
        if self.state.phase is Phase.DELIVERED and self.state.request.place is not None:
            assert self.state.settlement is not None
            assert self.state.settlement.final


TestRandomLives = RandomLives.TestCase
TestRandomLives.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
