"""The machine as a whole: its table, random lives, and what must never happen in any of them."""

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.model.tables import Ignored, Taken
from htlc import codec, decisions, diagram
from htlc.effects import EFFECT_TYPES, ClaimLeg, Finished, FundLeg, RefundLeg, RevealAndClaim, SwapEffect, effect_key
from htlc.events import EVENT_TYPES, SwapEvent, event_name
from htlc.facts import record
from htlc.model import TERMINAL, Leg, Phase, Role, SwapState
from htlc.table import TABLE
from htlc.transition import transition
from tests.htlc.scenarios import POLICY, agreement, alphabet, begin, explore, possible

STATES_PER_ROLE = 6_000
RARE = {
    (Phase.BOTH_LOCKED, "time-advanced", Phase.ABANDONED),
    (Phase.CLAIMING, "claim-reverted", Phase.REFUNDED),
    (Phase.CLAIMING, "lock-reverted", Phase.LOST),
    (Phase.CLAIMING, "lock-reverted", Phase.REFUNDED),
    (Phase.CLAIMING, "refund-final", Phase.COMPLETED),
    (Phase.REFUNDING, "lock-reverted", Phase.REFUNDED),
    (Phase.REFUNDING, "time-advanced", Phase.ABANDONED),
    (Phase.REFUNDING, "time-advanced", Phase.REFUNDED),
    (Phase.VERIFYING, "effect-reverted", Phase.ABANDONED),
    (Phase.VERIFYING, "effect-voided", Phase.ABANDONED),
    (Phase.VERIFYING, "lock-seen", Phase.CLAIMING),
}


@pytest.fixture(scope="module")
def moves() -> dict[tuple[Phase, type[SwapEvent]], set[Phase]]:
    """Every change of phase that honest histories make, and what they ignore on the way."""
    found: dict[tuple[Phase, type[SwapEvent]], set[Phase]] = defaultdict(set)
    for role in Role:
        for before, event, after in explore(role, STATES_PER_ROLE):
            if isinstance(TABLE.cells[before.phase][type(event)], Ignored):
                assert after is before
                _ignoring_is_harmless(before, event)
            elif after.phase is not before.phase:
                found[before.phase, type(event)].add(after.phase)
    return found


def _ignoring_is_harmless(state: SwapState, event: SwapEvent) -> None:
    """Even taken for a fact, the event would have asked for nothing and led nowhere."""
    if state.phase in TERMINAL:
        return
    facts, _ = record(state, event)
    with_it, without = (decisions.wanted(known, 1) for known in (facts, state))
    assert (decisions.phase_of(facts), with_it) == (state.phase, without), event


def test_every_phase_answers_every_event() -> None:
    assert set(TABLE.cells) == set(Phase)
    for answers in TABLE.cells.values():
        assert list(answers) == list(EVENT_TYPES)
        assert all(answer.why for answer in answers.values())


def test_terminal_is_terminal() -> None:
    for phase in TERMINAL:
        for answer in TABLE.cells[phase].values():
            assert isinstance(answer, Ignored) or not answer.to


def test_every_move_is_in_the_table(moves: dict[tuple[Phase, type[SwapEvent]], set[Phase]]) -> None:
    surprises = [
        f"{phase} {event_name(event)} {target}"
        for (phase, event), targets in moves.items()
        for target in targets
        if not isinstance(answer := TABLE.cells[phase][event], Taken) or target not in answer.to
    ]
    assert not surprises


def test_every_move_of_the_table_is_made(moves: dict[tuple[Phase, type[SwapEvent]], set[Phase]]) -> None:
    """Breadth reaches all but `RARE` within its limit; a wider search has seen those."""
    never = {
        (phase, event_name(event), target)
        for phase, answers in TABLE.cells.items()
        for event, answer in answers.items()
        if isinstance(answer, Taken)
        for target in answer.to
        if target not in moves[phase, event]
    }
    assert never <= RARE


def test_the_diagram_in_the_docs_is_fresh() -> None:
    assert diagram.PAGE.read_text(encoding="utf-8") == diagram.page(), "run python -m htlc.diagram"


class RandomLives(RuleBasedStateMachine):
    """Any event at any time, sensible or not; the machine never raises and keeps its promises."""

    @initialize(role=st.sampled_from(Role))
    def agree(self, role: Role) -> None:
        self.state, asked = begin(agreement(role))
        self.asked: list[SwapEffect] = list(asked)
        self.keys: set[str] = {effect_key(effect) for effect in asked}

    @rule(data=st.data(), honest=st.booleans())
    def happen(self, data: st.DataObject, honest: bool) -> None:
        before = self.state
        choices = alphabet(before)
        if honest:
            choices = [event for event in choices if possible(before, event)]
        event = codec.decode_event(codec.encode(data.draw(st.sampled_from(choices))))
        again = codec.decode_state(codec.encode(before))
        self.state, effects = transition(before, event, POLICY)
        assert transition(again, event, POLICY) == (self.state, effects), "a state is all that is needed to go on"
        assert self.state is before or self.state.sequence == before.sequence + 1
        for effect in effects:
            self.check(before, effect)
        if before.phase in TERMINAL:
            assert self.state.phase is before.phase
        if before.preimage is not None:
            assert self.state.preimage == before.preimage, "public stays public"

    def check(self, before: SwapState, effect: SwapEffect) -> None:
        assert effect_key(effect) not in self.keys
        assert codec.decode_effect(codec.encode(effect)) == effect
        self.keys.add(effect_key(effect))
        self.asked.append(effect)
        terms = before.agreement
        match effect:
            case FundLeg():
                assert effect.leg is terms.own_leg
                assert self.state.preimage is None
                assert terms.role is Role.INITIATOR or before.initiator_leg.final
            case RevealAndClaim():
                assert terms.role is Role.INITIATOR
                assert self.state.initiator_leg.open or not effect.first
            case ClaimLeg():
                assert effect.preimage == self.state.preimage
                assert terms.terms(effect.leg).receiver == effect.terms.receiver
            case RefundLeg():
                clock = self.state.clock(effect.leg)
                assert clock is not None
                assert clock.head >= effect.terms.timelock
                assert terms.own_leg in (None, effect.leg)
            case Finished():
                assert self.state.phase is effect.outcome

    @invariant()
    def promises(self) -> None:
        if not hasattr(self, "state"):
            return
        assert sum(isinstance(effect, FundLeg) for effect in self.asked) <= 1
        assert sum(isinstance(effect, Finished) for effect in self.asked) == (self.state.phase in TERMINAL)
        own = self.state.agreement.own_leg
        if self.state.phase is Phase.COMPLETED and own is not None:
            assert self.state.leg(own.other).claim is not None
        if self.state.phase is Phase.ABANDONED and own is not None:
            assert self.state.leg(own).lock is None, "nobody walks away from its own lock"
        if self.state.phase is Phase.REFUNDED and own is not None:
            assert self.state.leg(own).refund is not None
        if self.state.phase is Phase.AGREED and self.state.agreement.role is Role.WATCHTOWER:
            assert self.state.participant_leg.lock is None


RandomLives.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRandomLives = RandomLives.TestCase


def test_every_kind_of_effect_and_event_has_a_name() -> None:
    assert len({event_name(event) for event in EVENT_TYPES}) == len(EVENT_TYPES)
    assert len({kind.__struct_config__.tag for kind in EFFECT_TYPES}) == len(EFFECT_TYPES)
    assert {leg.other for leg in Leg} == set(Leg)
