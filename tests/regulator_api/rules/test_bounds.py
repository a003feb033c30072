"""Rules that are left out of runs of few moves would have found nothing in them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from regulator_api.rules.catalogue import RuleSet, default_rules, make_rule
from regulator_api.rules.history import DAY_S, IN, NO_TAGS, OUT, Kind, Seen, Subject
from regulator_api.rules.running import FEW_MOVES, SubjectRun

ME = "eip155:1:0x01"


def eager(days: int, count: int, others: int) -> RuleSet:
    """The rules that have bounds, with parameters by which they find what they can as soon as they can."""
    velocity = {"z_tenths": 1, "min_days": days, "min_count": count, "floor": 0, "over_highest_pm": 1_000}
    gathering = {"out_pm": 0, "burst_pm": 0, "min_senders": others, "floor": 0, "below": 10**9}
    spreading = {"out_pm": 0, "burst_pm": 0, "min_receivers": others, "floor": 0}
    return RuleSet(
        [
            make_rule("velocity", "velocity", velocity, None, 0, None),
            make_rule("accumulation", "accumulation", gathering, None, 0, None),
            make_rule("dispersal", "dispersal", spreading, None, 0, None),
        ]
    )


@st.composite
def moves(draw: st.DrawFn) -> list[Seen]:
    drawn = draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from([IN, OUT]), st.integers(0, 5), st.integers(-1, 3)),
            min_size=1,
            max_size=FEW_MOVES,
        )
    )
    time_s, made = DAY_S, []
    for index, (days, direction, other, value) in enumerate(drawn):
        time_s += days * DAY_S + 1
        made.append(moved(time_s, index, direction, f"eip155:1:0x1{other}", 0 if value < 0 else 10**value))
    return made


def moved(time_s: int, index: int, direction: int, other: str, amount: int) -> Seen:
    coin, passage = "eip155:1/slip44:60", f"passage {index}"
    return Seen(
        time_s, "eip155:1", index, 0, direction, ME, other, coin, amount, amount, Kind.PLAIN, passage, "", NO_TAGS,
        NO_TAGS,
    )  # fmt: skip


def found(rules: RuleSet, some: list[Seen], bound: int | None) -> object:
    run = SubjectRun(Subject(ME), rules, None, bound)
    for one in some:
        run.step(one)
    return run.take()


@settings(max_examples=300)
@given(moves(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_nothing_is_lost(some: list[Seen], days: int, count: int, others: int) -> None:
    rules = eager(days, count, others)
    assert found(rules, some, len(some)) == found(rules, some, None)


@settings(max_examples=50)
@given(moves())
def test_nothing_is_lost_by_the_rules_as_they_are(some: list[Seen]) -> None:
    rules = RuleSet(default_rules())
    assert found(rules, some, len(some)) == found(rules, some, None)


def test_every_bound_is_met_by_something() -> None:
    """The bounds are not merely safe: with as many moves each of these rules does find something."""
    rules = eager(2, 2, 3)
    least = {rule.rule_id: rule.least_moves for rule in rules.rules}
    assert least == {"velocity": 4, "accumulation": 4, "dispersal": 3}
    seen = set()
    stories = (([OUT] * 4, (1, 2, 3, 4)), ([IN] * 3 + [OUT], (1, 1, 1, 1)), ([IN] + [OUT] * 3, (4, 3, 2, 1)))
    for directions, powers in stories:
        some = []
        for index, direction in enumerate(directions):
            time_s = DAY_S * (2 + min(index, 2)) + index if len(set(directions)) == 1 else DAY_S + index
            some.append(moved(time_s, index, direction, f"eip155:1:0x2{index}", 10 ** powers[index]))
        run = SubjectRun(Subject(ME), rules, None, len(some))
        for one in some:
            run.step(one)
        seen |= {one.rule for one in run.take()[0]}
    assert seen == {"velocity", "accumulation", "dispersal"}
