"""Rules that are left out of runs of few moves would have found nothing in them."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regulator_api.rules.catalogue import TYPOLOGIES, RuleSet, default_rules, make_rule
from regulator_api.rules.history import DAY_S, IN, NO_TAGS, OUT, Kind, Seen, Subject, outline
from regulator_api.rules.observation import Link, Observation
from regulator_api.rules.running import FEW_MOVES, SubjectRun, find_nothing, run_few

ME = "eip155:1:0x01"
LISTED = frozenset({"sanctioned", "mixer"})
FOLDS = sorted(name for name, typology in TYPOLOGIES.items() if typology.fold is not None)
Found = tuple[list[Observation], list[Link]]


def eager(days: int, count: int, others: int, floor: int) -> RuleSet:
    """The rules about a subject's own moves, with parameters by which they find what they can as soon as they can."""
    burst: dict[str, object] = {"out_pm": 0, "burst_pm": 0, "floor": floor, "settled_days": 1}
    passing: dict[str, object] = {"out_pm": 0, "floor": floor}
    parameters: dict[str, dict[str, object]] = {
        "structuring": {"threshold": 10**4, "near_pm": 1, "min_count": count, "more": 0, "share_pm": 0},
        "velocity": {"z_tenths": 1, "min_days": days, "min_count": count, "floor": 0, "over_highest_pm": 1_000},
        "pass_through": passing | {"over_pm": 10_000, "held_pm": 1_000_000},
        "accumulation": burst | {"min_senders": others, "below": 10**9},
        "dispersal": burst | {"min_receivers": others},
        "dormant": {"silent_days": 30, "floor": floor},
        "new_account": passing | {"settled_days": 1},
        "sanctions": {},
        "mixer": {"min_deposits": count, "min_depositors": 1, "min_receivers": 1, "share_pm": 0},
    }
    assert sorted(parameters) == FOLDS
    return RuleSet([make_rule(name, name, some, None, 0, None) for name, some in parameters.items()])


def moved(
    time_s: int,
    index: int,
    direction: int,
    other: int,
    value: int,
    kind: int = Kind.PLAIN,
    tags: frozenset[str] = NO_TAGS,
) -> Seen:
    coin, passage = "eip155:1/slip44:60", f"passage {index}"
    return Seen(
        time_s, "eip155:1", index, 0, direction, ME, f"eip155:1:0x1{other}", coin, max(value, 0), value, kind, passage,
        "", NO_TAGS, tags,
    )  # fmt: skip


@st.composite
def moves(draw: st.DrawFn) -> list[Seen]:
    kinds = st.sampled_from([Kind.PLAIN, Kind.PLAIN, Kind.PLAIN, Kind.CROSSING, Kind.REFUND])
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 1, 3, 31]),
                st.sampled_from([IN, OUT]),
                st.integers(0, 5),
                st.sampled_from([-1, 0, 1, 10, 100, 1_000, 2_000]),
                kinds,
                st.sampled_from([NO_TAGS, NO_TAGS, NO_TAGS, LISTED]),
            ),
            min_size=1,
            max_size=FEW_MOVES,
        )
    )
    time_s, made = DAY_S, []
    for index, (days, direction, other, value, kind, tags) in enumerate(drawn):
        time_s += days * DAY_S + 1
        made.append(moved(time_s, index, direction, other, value, kind, tags))
    return made


def whole(rules: RuleSet, before_s: int | None, before: Sequence[Seen], judged: Sequence[Seen]) -> Found:
    """Run all rules, whatever the moves are like."""
    run = SubjectRun(Subject(ME), rules, before_s)
    for one in before:
        run.step(one)
    run.take()
    for one in judged:
        run.step(one)
    return run.take()


@settings(max_examples=400, deadline=None)
@given(
    moves(),
    st.data(),
    st.sampled_from([None, 0]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([0, 1, 1_000]),
)
def test_nothing_is_lost(
    some: list[Seen], data: st.DataObject, before_s: int | None, days: int, count: int, others: int, floor: int
) -> None:
    place = data.draw(st.integers(0, len(some) - 1))
    rules = eager(days, count, others, floor)
    asked = rules, before_s, some[:place], some[place:]
    assert run_few(Subject(ME), *asked) == whole(*asked)


@settings(max_examples=100, deadline=None)
@given(moves(), st.data())
def test_nothing_is_lost_by_the_rules_as_they_are(some: list[Seen], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(some) - 1))
    asked = RuleSet(default_rules()), None, some[:place], some[place:]
    assert run_few(Subject(ME), *asked) == whole(*asked)


@settings(max_examples=200, deadline=None)
@given(moves(), moves(), st.integers(1, 3), st.sampled_from([0, 1_000]))
def test_history_is_not_needed_at_payments_in(before: list[Seen], some: list[Seen], count: int, floor: int) -> None:
    later = before[-1].time_s
    judged = [one._replace(time_s=later + one.time_s, direction=IN, tags=NO_TAGS) for one in some]
    for rules in (eager(count, count, count, floor), RuleSet(default_rules())):
        assert find_nothing(Subject(ME), rules, judged)
        assert whole(rules, None, before, judged) == ([], [])
        assert not find_nothing(Subject(ME), rules, [*judged, judged[-1]._replace(direction=OUT)])
        assert not find_nothing(Subject(ME), rules, [*judged, judged[-1]._replace(tags=LISTED)])


def quick(*drawn: tuple[int, int]) -> list[Seen]:
    """Moves of one hour, each with another account: directions and values."""
    return [moved(DAY_S + index, index, direction, index, value) for index, (direction, value) in enumerate(drawn)]


SMALLEST = {
    "structuring": quick((OUT, 9_000), (OUT, 9_000)),
    "velocity": [moved(DAY_S * min(2 + day, 4) + day, day, OUT, day, 10**day) for day in range(4)],
    "pass_through": quick((IN, 1_000), (OUT, 1_000)),
    "accumulation": quick((IN, 1_000), (IN, 1_000), (IN, 1_000), (OUT, 3_000)),
    "dispersal": quick((IN, 3_000), (OUT, 1_000), (OUT, 1_000), (OUT, 1_000)),
    "dormant": [moved(DAY_S, 0, IN, 0, 1), moved(31 * DAY_S, 1, OUT, 1, 1_000)],
    "new_account": quick((IN, 1_000), (OUT, 1_000)),
    "sanctions": [moved(DAY_S, 0, IN, 0, 1, tags=LISTED)],
    "mixer": quick((IN, 1_000), (IN, 1_000), (OUT, 1_000)),
}


@pytest.mark.parametrize("name", FOLDS)
def test_every_bound_is_met_by_something(name: str) -> None:
    """The bounds are not merely safe: with as much each of these rules does find something, and with less it is left
    out."""
    rules, some = eager(2, 2, 3, 1_000), SMALLEST[name]
    found, _ = run_few(Subject(ME), rules, None, [], some)
    assert name in {one.rule for one in found}
    rule = next(rule for rule in rules.rules if rule.rule_id == name)
    for place in range(len(some)):
        fewer = [*some[:place], *some[place + 1 :]]
        assert rule.typology.idle(rule.parameters, outline(None, [], fewer))


def test_payments_in_that_nobody_labelled_are_idle() -> None:
    before = quick((IN, 10**6), (OUT, 10**6))
    payment = [moved(2 * DAY_S, 9, IN, 0, 10**7)]
    few = outline(None, before, payment)
    assert all(rule.typology.fold is None or rule.typology.idle(rule.parameters, few) for rule in default_rules())
    assert SubjectRun(Subject(ME), RuleSet(default_rules()), None, few).is_idle()
