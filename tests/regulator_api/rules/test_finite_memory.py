"""A rule's word about a move depends on a fixed span of history before it, and on nothing that comes later."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.detection import histories
from bench.traffic import Plan, generate
from regulator_api.rules.catalogue import RuleSet, default_rules, make_rule
from regulator_api.rules.history import IN, NO_TAGS, OUT, Kind, Seen, Subject
from regulator_api.rules.observation import MAX_MOVES, encode_alerts, gather, observation_document, observation_of
from regulator_api.rules.running import run_subject
from regulator_api.rules.store import decode_observation, encode
from regulator_api.values import MAX_VALUE

RULES = RuleSet(default_rules())
SUBJECT = Subject("eip155:1:0xsubject")
T0 = 1_800_000_000

_gaps = st.one_of(st.integers(0, 5_000), st.integers(0, 90_000), st.integers(0, 40 * 86_400))
_values = st.one_of(
    st.sampled_from([95_000, 99_999, 90_000, 100_000, 1_000_000, 950_000, -1]), st.integers(1, 2_000_000)
)


@st.composite
def _histories(draw: st.DrawFn) -> list[Seen]:
    moves, time_s = [], T0
    for index in range(draw(st.integers(1, 60))):
        time_s += draw(_gaps)
        value, direction = draw(_values), draw(st.sampled_from([IN, OUT]))
        kind = draw(st.sampled_from([Kind.PLAIN, Kind.PLAIN, Kind.PLAIN, Kind.CROSSING, Kind.LOCKED, Kind.REFUND]))
        chain = draw(st.sampled_from(["eip155:1", "causeway:main"]))
        tags = draw(st.sampled_from([NO_TAGS, NO_TAGS, NO_TAGS, frozenset({"sanctioned"}), frozenset({"mixer"})]))
        other = f"{chain}:{draw(st.integers(0, 15))}"
        amount = draw(st.sampled_from([10**18, 10**17, abs(value) * 10**15 + 1]))
        moves.append(
            Seen(
                time_s, chain, time_s, index, direction, SUBJECT.name, other, "x", amount, value, kind, f"{index}", "",
                NO_TAGS, tags,
            )
        )  # fmt: skip
    return sorted(moves)


@settings(max_examples=60, deadline=None)
@given(_histories(), st.data())
def test_history_before_its_span_changes_nothing(moves: list[Seen], data: st.DataObject) -> None:
    observations, links = run_subject(SUBJECT, moves, RULES)
    cut = data.draw(st.sampled_from(moves)).time_s
    again, links_again = run_subject(SUBJECT, moves, RULES, cut)
    assert again == [one for one in observations if one.trigger.time_s >= cut]
    assert links_again == [one for one in links if one.left.time_s >= cut]


@settings(max_examples=30, deadline=None)
@given(_histories(), st.data())
def test_what_comes_later_changes_nothing(moves: list[Seen], data: st.DataObject) -> None:
    observations, links = run_subject(SUBJECT, moves, RULES)
    count = data.draw(st.integers(0, len(moves)))
    early, early_links = run_subject(SUBJECT, moves[:count], RULES)
    assert observations[: len(early)] == early
    assert links[: len(early_links)] == early_links


@settings(max_examples=30, deadline=None)
@given(_histories(), st.randoms())
def test_alerts_do_not_depend_on_the_order_they_come_in(moves: list[Seen], random: object) -> None:
    observations, _ = run_subject(SUBJECT, moves, RULES)
    shuffled = list(observations)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert encode_alerts(gather(shuffled)) == encode_alerts(gather(observations))
    assert [observation_of(observation_document(one)) for one in observations] == observations


def test_refund_before_its_span_wakes_nobody() -> None:
    moves = [
        Seen(
            T0 + day * 86_400, "eip155:1", day, 0, direction, SUBJECT.name, "eip155:1:0", "x", 10**18, 2_000_000, kind,
            f"{day}", "", NO_TAGS, NO_TAGS,
        )
        for day, direction, kind in ((0, IN, Kind.PLAIN), (340, IN, Kind.REFUND), (380, OUT, Kind.PLAIN))
    ]  # fmt: skip
    whole, _ = run_subject(SUBJECT, moves, RULES)
    assert [one.rule for one in whole] == ["dormant-1"]
    assert run_subject(SUBJECT, moves, RULES, moves[-1].time_s)[0] == whole


def test_traffic_of_a_town_cut_anywhere_says_the_same() -> None:
    traffic = generate(Plan(seed=7, transfers=4_000, noise=2.0))
    tried = 0
    for name, history in histories(traffic).items():
        if len(history) < 12:
            continue
        cut = history[len(history) * 2 // 3].time_s
        whole, links = run_subject(Subject(name), history, RULES)
        part, links_part = run_subject(Subject(name), history, RULES, cut)
        assert part == [one for one in whole if one.trigger.time_s >= cut]
        assert links_part == [one for one in links if one.left.time_s >= cut]
        tried += bool(whole)
    assert tried > 10


def test_account_with_very_many_moves_stays_bounded() -> None:
    moves = [
        Seen(
            T0 + index, "eip155:1", index, 0, index % 2, SUBJECT.name, f"eip155:1:{index}", "x", 10**18, 95_000,
            Kind.PLAIN, f"{index}", "", NO_TAGS, NO_TAGS,
        )
        for index in range(5_000)
    ]  # fmt: skip
    observations, links = run_subject(SUBJECT, moves, RULES)
    assert all(len(one.moves) <= MAX_MOVES for one in observations)
    # With more than sixteen payments in within five days nobody can say which of them left.
    assert len(links) <= 16


def test_values_beyond_all_bounds_can_be_stored() -> None:
    moves = [
        Seen(
            T0 + index, "eip155:1", index, 0, OUT, SUBJECT.name, f"eip155:1:{index}", "x", 2**256 - 1, MAX_VALUE,
            Kind.PLAIN, f"{index}", "", NO_TAGS, NO_TAGS,
        )
        for index in range(86_400 * 12, 86_400 * 14, 3_600)
    ]  # fmt: skip
    rules = RuleSet([make_rule("velocity-x", "velocity", {"min_days": 1, "min_count": 1}, None, 0, None)])
    many = [move._replace(event_index=index) for move in moves for index in range(9 if move is moves[-1] else 1)]
    many += [moves[-1]._replace(time_s=moves[-1].time_s + 1, event_index=index) for index in range(300)]
    observations, _ = run_subject(SUBJECT, many, rules)
    assert observations
    assert all(value <= 2**63 - 1 for one in observations for _, value in one.figures)
    assert [decode_observation(encode(one)) for one in observations] == observations
