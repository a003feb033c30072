"""The rules against definitions that were written down apart from them, and against motifs of another author."""

import pytest

from bench import motifs
from bench.definitions import OWN, Book, Entry, truth_of
from bench.detection import cold_run as run
from bench.detection import detection, histories
from bench.traffic import TYPOLOGIES, Plan, generate
from regulator_api.rules.catalogue import RuleSet, default_rules

HOUR = 3_600
DAY = 24 * HOUR
T0 = 1_800_000_000
RULES = RuleSet(default_rules())


def entries(*moves: tuple[int, bool, int, str]) -> list[Entry]:
    """Movements as (seconds after `T0`, incoming, cents, other account)."""
    return [
        Entry(T0 + after_s, order, incoming, cents, "me", (other,), cents, True)
        for order, (after_s, incoming, cents, other) in enumerate(moves)
    ]


@pytest.mark.parametrize("noise", [1.0, 5.0])
def test_rules_find_what_meets_the_definitions(noise: float) -> None:
    traffic = generate(Plan(31, 20_000, noise))
    figures = detection(run(histories(traffic), traffic, RULES), truth_of(traffic))
    assert set(figures) == set(TYPOLOGIES)
    for name, one in figures.items():
        assert one["recall"] >= 0.95, name
        assert one["recall_met"] >= 0.95, name
        assert one["precision"] >= 0.9 or noise > 1, name
        assert one["met"] >= one["cases"] > 0, name


def test_every_case_meets_the_definition_it_was_made_for() -> None:
    traffic = generate(Plan(32, 10_000, 2.0))
    for case, typologies in truth_of(traffic).cases:
        assert case.typology in typologies, case


def test_definitions_need_every_part_of_them() -> None:
    in_and_out = entries((0, True, 1_000_000, "a"), (HOUR, False, 990_000, "b"))
    assert OWN["pass_through"](in_and_out)
    assert not OWN["pass_through"](entries((-HOUR, True, 600_000, "c")) + in_and_out)
    assert not OWN["pass_through"](entries((0, True, 1_000_000, "a"), (25 * HOUR, False, 990_000, "b")))
    near = entries(*((number * HOUR, False, 95_000, "landlord") for number in range(3)))
    assert OWN["structuring"](near)
    assert not OWN["structuring"](entries(*((number * 7 * DAY, False, 95_000, "landlord") for number in range(6))))
    assert not OWN["structuring"](near[:2])
    ins = [(number * HOUR, True, 50_000, f"from{number}") for number in range(12)]
    outs = [(20 * HOUR + number, False, 50_000, f"to{number}") for number in range(12)]
    assert OWN["accumulation"](entries(*ins, (20 * HOUR, False, 500_000, "exit")))
    assert not OWN["accumulation"](entries(*ins[:9], (20 * HOUR, False, 400_000, "exit")))
    assert OWN["dispersal"](entries(*ins, *outs))
    assert not OWN["dispersal"](entries(*ins, *outs[:9]))
    assert OWN["dormant"](entries((0, True, 5, "a"), (366 * DAY, False, 1_000_000, "b")))
    assert not OWN["dormant"](entries((0, True, 5, "a"), (364 * DAY, False, 1_000_000, "b")))


def test_swap_is_one_flow_for_each_of_its_parties() -> None:
    traffic = generate(Plan(33, 2_000, 0.0))
    book = Book(traffic)
    swaps = sum(bool(flow.via) for flows in book.out_of.values() for flow in flows)
    assert 0 < swaps <= 2 * len(traffic.swaps)
    keepers = {name for name, labels in traffic.labels.items() if "htlc" in labels}
    assert keepers.isdisjoint(book.entries)


def test_hasty_motifs_of_another_author_are_found() -> None:
    figures = motifs.measure([11, 12], 2_500, 6, "hasty")
    found, said = figures["motifs"], figures["rules"]
    assert isinstance(found, dict)
    assert isinstance(said, dict)
    for kind in ("cycle", "gather_scatter", "random"):
        assert found[kind]["recall"] >= 0.95, kind
    for rule in ("dispersal", "pass_through", "peel_chain", "round_trip", "new_account"):
        assert said[rule]["precision"] >= 0.9, rule


def test_motifs_are_the_same_for_the_same_seed() -> None:
    assert motifs.world(5, 1_000, 2, "published") == motifs.world(5, 1_000, 2, "published")
    assert motifs.world(5, 1_000, 2, "published") != motifs.world(6, 1_000, 2, "published")
