"""Coverage: what a campaign saw, how often and where, and what it never saw."""

from gateway.simulation.coverage import EXPECTED, JOURNEYS, RAREST, Coverage
from gateway.simulation.plan import A, B, Style
from gateway.simulation.story import play
from tests.simulation.test_seeds import deal, plan


def test_a_swap_s_journey_is_counted_from_its_journals() -> None:
    seen = play(plan(deal(Style.HONEST), deal(Style.VANISHES, B, 1))).journeys
    assert seen["effect-fund"] == 3  # both of one, the provider of the other
    assert seen["effect-reveal"] == seen["phase-refunded"] == 1
    assert seen["phase-completed"] == seen["ended-completed"] == 2
    assert seen["event-lock-seen"] >= 6
    assert "event-quote-expired" not in seen


def test_an_event_that_no_seed_saw_is_named() -> None:
    coverage = Coverage()
    coverage.add(7, dict.fromkeys(EXPECTED, 1), dict.fromkeys(JOURNEYS[1:], 1) | {JOURNEYS[0]: 0})
    assert coverage.never_seen() == [JOURNEYS[0]]
    coverage.add(8, {JOURNEYS[0]: 2})
    assert coverage.never_seen() == []


def test_counts_are_shown_by_kind_and_rare_ones_with_a_seed() -> None:
    coverage = Coverage()
    for seed in range(3):
        coverage.add(seed, {"reorg": 2, "raised-ConflictError": 1}, {"event-agreed": 5, "phase-lost": int(seed == 2)})
    kinds = coverage.by_kind()
    assert kinds["faults"] == {"reorg": 6}
    assert kinds["errors"] == {"ConflictError": 3}
    assert (kinds["events"], kinds["phases"]) == ({"agreed": 15}, {"lost": 1})
    assert next(iter(coverage.rarest().items())) == ("phase-lost", 2)
    assert len(coverage.rarest()) <= RAREST


def test_both_chains_are_among_the_expected_ones() -> None:
    assert {f"stale-tower-{chain}" for chain in (A, B)} <= set(EXPECTED)
