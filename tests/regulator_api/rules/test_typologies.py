"""Each typology on the story that it is about, and on the nearest honest one."""

from itertools import pairwise

import pytest

from core.model.errors import RejectedError
from regulator_api.rules.catalogue import TYPOLOGIES, RuleSet, default_rules, make_rule
from regulator_api.rules.observation import Alert
from tests.regulator_api.rules.stories import DAY, HOUR, T0, A, B, C, Story, on, with_rule

FOREVER = 2**40


def _figures(alert: Alert) -> dict[str, int]:
    return dict(alert.last.figures)


def test_structuring_over_three_chains_is_summed() -> None:
    story = Story(entities={on(chain, "ann"): "entity-ann" for chain in (A, B, C)})
    for hour, chain in enumerate((A, B, C)):
        story.pay(T0 + hour * HOUR, "ann", f"shop{hour}", 95_000, chain)
    (alert,) = story.found("structuring")
    assert alert.subject == "entity-ann"
    assert _figures(alert) == {
        "count": 3,
        "min_count": 3,
        "total": 285_000,
        "threshold": 100_000,
        "chains": 3,
        "payments": 3,
        "span_days": 1,
    }
    assert [move.place.chain for move in alert.last.moves] == [A, B, C]


@pytest.mark.parametrize("amounts", [(95_000, 95_000), (95_000, 95_000, 100_000), (95_000, 95_000, 89_999)])
def test_too_few_payments_near_the_threshold_pass(amounts: tuple[int, ...]) -> None:
    story = Story()
    for hour, cents in enumerate(amounts):
        story.pay(T0 + hour * HOUR, "ann", f"shop{hour}", cents)
    assert story.found("structuring") == []


@pytest.mark.parametrize(("days", "count", "found"), [(0, 3, 1), (2, 3, 0), (2, 4, 1), (7, 4, 0), (6, 5, 1)])
def test_structuring_over_longer_takes_more_payments(days: int, count: int, found: int) -> None:
    story = Story()
    for number in range(count):
        story.pay(T0 + number * days * DAY + number * HOUR, "ann", f"shop{number}", 95_000)
    assert len(story.found("structuring")) == found


def test_near_payments_among_many_others_pass() -> None:
    story = Story()
    for hour in range(20):
        story.pay(T0 + hour * HOUR, "ann", f"shop{hour}", 95_000 if hour % 7 == 0 else 20_000)
    assert story.found("structuring") == []


@pytest.mark.parametrize(("days", "cents", "found"), [(7, 0, False), (4, 0, True), (7, 1, True)])
def test_standing_order_below_the_threshold_counts_once(days: int, cents: int, found: bool) -> None:
    story = Story()
    for number in range(6):
        story.pay(T0 + number * days * DAY, "ann", "landlord", 95_000 + number * cents)
    assert bool(story.found("structuring")) is found


def test_equal_payments_within_hours_are_no_standing_order() -> None:
    story = Story()
    for number in range(3):
        story.pay(T0 + number * HOUR, "ann", "shop", 95_000)
    assert len(story.found("structuring")) == 1


def test_one_account_without_an_entity_is_judged_alone() -> None:
    story = Story()
    for hour, chain in enumerate((A, B, C)):
        story.pay(T0 + hour * HOUR, "ann", f"shop{hour}", 95_000, chain)
    assert story.found("structuring") == []


def test_velocity_needs_a_day_far_above_thirty_others() -> None:
    story = Story()
    for day in range(31):
        story.pay(T0 + day * DAY, "bo", "shop", 10_000)
    for minute in range(15):
        story.pay(T0 + 31 * DAY + minute * 60, "bo", f"other{minute}", 50_000)
    (alert,) = story.found("velocity")
    figures = _figures(alert)
    # The usual day: one payment of 10,000; nothing deviates, so the limit is twice the highest day.
    assert (figures["count_limit"], figures["sum_limit"]) == (2, 20_000)
    assert (figures["count"], figures["sum"]) == (15, 750_000)
    assert alert.anchor == f"day {(T0 + 31 * DAY) // DAY}"


def test_velocity_without_a_history_says_nothing() -> None:
    story = Story()
    for minute in range(30):
        story.pay(T0 + minute * 60, "bo", f"other{minute}", 50_000)
    assert story.found("velocity") == []


@pytest.mark.parametrize(
    ("outs", "hours", "found"),
    [((900_000, 50_000), 20, True), ((890_000,), 20, False), ((950_000,), 25, False), ((1_200_000,), 2, False)],
)
def test_pass_through_needs_nearly_all_of_it_in_a_day(outs: tuple[int, ...], hours: int, found: bool) -> None:
    story = Story()
    story.pay(T0, "payer", "cy", 1_000_000)
    for cents in outs:
        story.pay(T0 + hours * HOUR, "cy", "onward", cents)
    alerts = [alert for alert in story.found("pass_through") if alert.subject == on(A, "cy")]
    assert bool(alerts) is found
    if alerts:
        assert _figures(alerts[0])["left"] == sum(outs)


@pytest.mark.parametrize(("before", "found"), [(0, True), (500_000, True), (500_001, False)])
def test_pass_through_is_of_an_account_that_held_little(before: int, found: bool) -> None:
    story = Story()
    if before:
        story.pay(T0 - 72 * HOUR, "other", "cy", before)
    story.pay(T0, "payer", "cy", 1_000_000)
    story.pay(T0 + HOUR, "cy", "onward", 1_000_000)
    assert bool([one for one in story.found("pass_through") if one.subject == on(A, "cy")]) is found


def test_what_came_long_before_and_stayed_does_not_count() -> None:
    story = Story()
    story.pay(T0 - 74 * HOUR, "other", "cy", 9_000_000)
    story.pay(T0, "payer", "cy", 1_000_000)
    story.pay(T0 + HOUR, "cy", "onward", 1_000_000)
    assert [one.subject for one in story.found("pass_through")] == [on(A, "cy")]


def test_pool_that_holds_the_money_of_many_passes_none_through() -> None:
    story = Story()
    for number in range(12):
        story.pay(T0 + number * 2 * HOUR, f"in{number}", "pool", 1_000_000)
        if number > 3:
            story.pay(T0 + number * 2 * HOUR + 600, "pool", f"out{number}", 997_000)
    assert [one for one in story.found("pass_through") if one.subject == on(A, "pool")] == []


def test_labelled_exchange_may_pass_money_through() -> None:
    story = Story(labels={on(A, "cy"): ("exchange", 0, FOREVER)})
    story.pay(T0, "payer", "cy", 1_000_000)
    story.pay(T0 + HOUR, "cy", "onward", 990_000)
    assert story.found("pass_through") == []


def test_accumulation_names_all_senders() -> None:
    story = Story()
    for sender in range(12):
        story.pay(T0 + sender * HOUR, f"sender{sender}", "di", 50_000)
    story.pay(T0 + 20 * HOUR, "di", "exit", 560_000)
    (alert,) = story.found("accumulation")
    assert alert.subject == on(A, "di")
    assert (_figures(alert)["senders"], _figures(alert)["came"], _figures(alert)["left"]) == (12, 600_000, 560_000)
    assert len(alert.last.others) == 12


def test_shop_with_customers_every_day_is_left_alone() -> None:
    story = Story()
    for day in range(30):
        for customer in range(6):
            story.pay(T0 + day * DAY + customer * HOUR, f"c{day}x{customer}", "shop", 20_000)
        if day % 3 == 2 and day > 6:
            story.pay(T0 + day * DAY + 20 * HOUR, "shop", "bank", 350_000)
    assert story.found("accumulation") == []


@pytest.mark.parametrize(("customers", "each", "found"), [(14, 4_000, False), (14, 21_000, False), (14, 22_000, True)])
def test_new_account_that_gathers_little_is_left_alone(customers: int, each: int, found: bool) -> None:
    story = Story()
    for customer in range(customers):
        story.pay(T0 + customer * HOUR, f"customer{customer}", "newshop", each)
    story.pay(T0 + 40 * HOUR, "newshop", "bank", customers * each * 19 // 20)
    alerts = story.found("accumulation")
    assert bool(alerts) == found
    assert all(_figures(one)["floor"] == 300_000 for one in alerts)


def test_dispersal_of_a_sum_to_many_is_found() -> None:
    story = Story()
    story.pay(T0, "source", "ed", 1_000_000)
    for receiver in range(12):
        story.pay(T0 + HOUR + receiver * 60, "ed", f"mule{receiver}", 80_000)
    (alert,) = story.found("dispersal")
    assert (_figures(alert)["receivers"], _figures(alert)["left"]) == (12, 960_000)


@pytest.mark.parametrize(("days", "cents", "found"), [(400, 1_000_000, 1), (364, 1_000_000, 0), (400, 999_999, 0)])
def test_dormant_account_wakes_with_high_value(days: int, cents: int, found: int) -> None:
    story = Story()
    story.pay(T0, "long-ago", "fi", 5_000_000)
    story.pay(T0 + days * DAY, "fi", "exit", cents)
    alerts = story.found("dormant")
    assert len(alerts) == found
    assert all(_figures(alert)["silent_days"] == days for alert in alerts)


def test_new_account_that_only_passes_money_on() -> None:
    story = Story()
    story.pay(T0, "payer", "gu", 2_000_000)
    story.pay(T0 + 3 * DAY, "gu", "exit", 1_950_000)
    assert [alert.subject for alert in story.found("new_account")] == [on(A, "gu")]
    older = Story()
    older.pay(T0 - 40 * DAY, "payer", "gu", 100)
    older.pay(T0, "payer", "gu", 2_000_000)
    older.pay(T0 + 3 * DAY, "gu", "exit", 1_950_000)
    assert older.found("new_account") == []


def test_peel_chain_is_followed_over_six_accounts() -> None:
    story, cents = Story(), 2_000_000
    story.pay(T0, "source", "p0", cents)
    for hop in range(6):
        story.pay(T0 + hop * 3 * HOUR + HOUR, f"p{hop}", f"buyer{hop}", cents // 10)
        cents -= cents // 10
        story.pay(T0 + hop * 3 * HOUR + 2 * HOUR, f"p{hop}", f"p{hop + 1}", cents)
    (alert,) = story.found("peel_chain")
    assert alert.subject == on(A, "p0")
    assert _figures(alert)["hops"] == 6
    assert alert.last.others == tuple(on(A, name) for name in ("source", *(f"p{hop}" for hop in range(7))))


def test_four_relays_are_not_a_peel_chain_yet() -> None:
    story, cents = Story(), 2_000_000
    for hop in range(5):
        story.pay(T0 + hop * HOUR, f"p{hop}", f"p{hop + 1}", cents)
        cents = cents * 95 // 100
    assert story.found("peel_chain") == []


def test_peel_chain_begins_behind_an_account_passed_twice() -> None:
    story, cents = Story(), 2_000_000
    path = ["source", "p0", "p1", "p0", "p2", "p3", "p4", "p5", "exit"]
    for hop, (payer, payee) in enumerate(pairwise(path)):
        story.pay(T0 + hop * 2 * HOUR, payer, payee, cents)
        cents = cents * 98 // 100
    found = story.found("peel_chain")
    assert max(_figures(one)["hops"] for one in found) == 6
    assert on(A, "p1") in {one.subject for one in found}


def test_chain_hopping_follows_joined_swaps() -> None:
    story = Story()
    story.pay(T0, "source", "hal", 1_000_000, A)
    story.swap(T0 + HOUR, "hal", "maker", A, B, 998_000, 1)
    story.pay(T0 + 2 * HOUR, "hal", "ida", 996_000, B)
    story.swap(T0 + 3 * HOUR, "ida", "maker", B, C, 995_000, 2)
    story.pay(T0 + 4 * HOUR, "ida", "exit", 994_000, C)
    alerts = story.found("chain_hopping")
    assert {alert.subject for alert in alerts} == {on(A, "hal")}
    assert max(_figures(alert)["chains"] for alert in alerts) == 3


def test_swap_that_nothing_joins_breaks_the_path() -> None:
    story = Story()
    story.pay(T0, "source", "hal", 1_000_000, A)
    story.pay(T0 + HOUR, "hal", "keeper", 998_000, A)
    story.pay(T0 + HOUR + 60, "keeper", "hal", 998_000, B)
    story.swap(T0 + 3 * HOUR, "hal", "maker", B, C, 995_000, 2)
    story.pay(T0 + 4 * HOUR, "hal", "exit", 994_000, C)
    assert story.found("chain_hopping") == []


@pytest.mark.parametrize(("lost", "found"), [(1, 1), (2, 0)])
def test_round_trip_of_eight_may_lose_a_tenth(lost: int, found: int) -> None:
    story, cents = Story(), 500_000
    path = ["origin", *(f"r{hop}" for hop in range(7)), "origin"]
    for hop, (payer, payee) in enumerate(pairwise(path)):
        story.pay(T0 + hop * HOUR, payer, payee, cents)
        cents = cents * (100 - lost) // 100
    assert len(story.found("round_trip")) == found


@pytest.mark.parametrize(("transfers", "found"), [(2, 0), (3, 1), (6, 1), (9, 0)])
def test_round_trip_of_three_to_eight_transfers(transfers: int, found: int) -> None:
    story, cents = Story(), 500_000
    for hop in range(transfers):
        to = "origin" if hop == transfers - 1 else f"r{hop}"
        story.pay(T0 + hop * 30 * HOUR, "origin" if hop == 0 else f"r{hop - 1}", to, cents)
        cents -= 500
    alerts = story.found("round_trip")
    assert [alert.subject for alert in alerts] == [on(A, "origin")] * found


def test_round_trip_over_two_chains_comes_back() -> None:
    story = Story()
    story.pay(T0, "origin", "jo", 500_000, A)
    story.swap(T0 + HOUR, "jo", "maker", A, B, 499_000, 1)
    story.swap(T0 + 2 * HOUR, "jo", "maker", B, A, 498_500, 2)
    story.pay(T0 + 3 * HOUR, "jo", "origin", 498_000, A)
    (alert,) = story.found("round_trip")
    assert (_figures(alert)["transfers"], _figures(alert)["chains"]) == (4, 2)


def test_sanctions_count_from_designation_to_delisting() -> None:
    story = Story(labels={on(A, "listed"): ("sanctioned", T0 + DAY, T0 + 3 * DAY)})
    for day, name in enumerate(("before", "within", "after")):
        story.pay(T0 + day * DAY * 2, "listed", name, 1_000)
    assert {alert.subject for alert in story.found("sanctions")} == {on(A, "listed"), on(A, "within")}


def test_sanctioned_swap_counterparty_is_seen() -> None:
    story = Story(labels={on(A, "maker"): ("sanctioned", 0, FOREVER)})
    story.swap(T0, "kim", "maker", A, B, 50_000, 1)
    assert on(A, "kim") in {alert.subject for alert in story.found("sanctions")}


def test_indirect_sanctions_name_the_distance() -> None:
    story = Story(labels={on(A, "listed"): ("sanctioned", 0, FOREVER)})
    names = ("listed", "m1", "m2", "m3")
    for hop in range(3):
        story.pay(T0 + hop * HOUR, names[hop], names[hop + 1], 100_000 - hop * 1_000)
    found = {alert.subject: _figures(alert)["hops"] for alert in story.found("sanctions_indirect")}
    assert found == {on(A, "m2"): 2, on(A, "m3"): 3}


def test_payment_towards_a_listed_account_is_followed_back() -> None:
    story = Story(labels={on(A, "listed"): ("sanctioned", 0, FOREVER)})
    names = ("m1", "m2", "m3", "listed")
    for hop in range(3):
        story.pay(T0 + hop * HOUR, names[hop], names[hop + 1], 100_000 - hop * 1_000)
    (alert,) = story.found("sanctions_indirect")
    assert alert.subject == on(A, "m1")
    assert _figures(alert)["hops"] == 3


def test_each_rule_follows_the_categories_that_it_lists() -> None:
    story = Story(labels={on(A, "listed"): ("sanctioned", 0, FOREVER), on(B, "named"): ("exposed", 0, FOREVER)})
    for chain, first in ((A, "listed"), (B, "named")):
        story.pay(T0, first, "m1", 100_000, chain)
        story.pay(T0 + HOUR, "m1", "m2", 99_000, chain)
        story.pay(T0, "m3", "m4", 100_000, chain)
        story.pay(T0 + HOUR, "m4", first, 99_000, chain)
    other = with_rule("sanctions_indirect", {"listed": ["exposed"]}, "AA")
    defaults = RuleSet(default_rules())
    assert {one.subject for one in story.found("sanctions_indirect")} == {on(A, "m2"), on(A, "m3")}
    assert story.alerts(RuleSet([*default_rules(), other])) == story.alerts(defaults)
    alone = with_rule("sanctions_indirect", {"listed": ["exposed"]})
    found = {one.subject for one in story.found("sanctions_indirect", RuleSet([alone]))}
    assert found == {on(B, "m2"), on(B, "m3")}


def test_mixer_is_known_by_its_label_and_by_its_ways() -> None:
    labelled = Story(labels={on(A, "pool"): ("mixing_service", 0, FOREVER)})
    labelled.pay(T0, "lee", "pool", 12_345)
    assert on(A, "lee") in {alert.subject for alert in labelled.found("mixer")}
    unlabelled = Story()
    for one in range(12):
        unlabelled.pay(T0 + one * HOUR, f"in{one}", "pool", 1_000)
    for one in range(4):
        unlabelled.pay(T0 + DAY + one * HOUR, "pool", f"out{one}", 990)
    assert [alert.subject for alert in unlabelled.found("mixer")] == [on(A, "pool")]


def test_savings_club_that_pays_its_members_is_not_a_mixer() -> None:
    story = Story()
    for one in range(12):
        story.pay(T0 + one * HOUR, f"in{one}", "club", 1_000)
    for one in range(6):
        story.pay(T0 + DAY + one * HOUR, "club", f"in{one}", 1_000)
    assert story.found("mixer") == []


def test_move_without_a_rate_raises_no_alert_of_value() -> None:
    story = Story()
    for hour in range(5):
        story.pay(T0 + hour * HOUR, "ann", f"shop{hour}", 95_000, value=-1)
    assert story.alerts() == []


def test_parameters_of_a_jurisdiction_go_before_the_default() -> None:
    rules = RuleSet([*default_rules(), with_rule("structuring", {"threshold": 300_000}, "JP", from_s=T0)])
    ours = rules.rules[[rule.rule_id for rule in rules.rules].index("structuring-test")]
    default = next(rule for rule in rules.rules if rule.rule_id == "structuring-2")
    assert rules.applies(ours, "JP", T0)
    assert not rules.applies(default, "JP", T0)
    assert rules.applies(default, "JP", T0 - 1)
    assert not rules.applies(ours, "JP", T0 - 1)
    assert rules.applies(default, "CH", T0)
    assert not rules.applies(ours, "CH", T0)


def test_rule_speaks_only_while_it_is_effective() -> None:
    story = Story()
    for hour in range(6):
        story.pay(T0 + hour * HOUR, "ann", f"shop{hour}", 95_000)
    rules = RuleSet([with_rule("structuring", {}, from_s=T0 + 3 * HOUR, to_s=T0 + 5 * HOUR)])
    (alert,) = story.alerts(rules)
    assert (alert.first.time_s, alert.last.trigger.time_s) == (T0 + 3 * HOUR, T0 + 4 * HOUR)
    # What happened before it was in force counts all the same.
    assert dict(alert.last.figures)["count"] == 5


@pytest.mark.parametrize(
    ("typology", "parameters"),
    [
        ("smurfing", {}),
        ("structuring", {"near_pm": 1_001}),
        ("structuring", {"nearly": 1}),
        ("velocity", {"floor": "1"}),
    ],
)
def test_rule_with_wrong_parameters_is_refused(typology: str, parameters: dict[str, object]) -> None:
    with pytest.raises(RejectedError):
        make_rule("x", typology, parameters, None, 0, None)


def test_every_typology_has_a_default_rule() -> None:
    assert {rule.typology.name for rule in default_rules()} == set(TYPOLOGIES)
