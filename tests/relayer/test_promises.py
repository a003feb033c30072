"""The formula of promised, kept and free, number by number; `test_inventory.py` has a relayer that lives by it."""

from dataclasses import replace
from typing import Any

import pytest

from core.model.errors import ConflictError, TooManyError
from core.model.transactions import FeeBid, FeeMarket
from core.model.types import AccountId, AssetId, BaseUnits
from relayer import inventory
from relayer.inventory import Promise
from tests.relayer.house import COIN_A, COIN_B, A, B
from tests.relayer.test_inventory import promise

COSTS: inventory.ExitCosts = {A: {COIN_A: 7}, B: {COIN_B: 5}}
PAYER, OTHER_PAYER = AccountId(f"{A}:payer"), AccountId(f"{A}:other")


def given(name: str = "new", amount: int = 100, *, reserved_ns: int = 0, **changes: Any) -> Promise:
    """An opening that waits for its initiator's lock, who gives `amount` of A's coin."""
    return promise(
        name,
        locked=False,
        account=PAYER,
        given_asset=COIN_A,
        given_amount=amount,
        reserved_ns=reserved_ns,
        hold_until_ns=50,
        **changes,
    )


@pytest.mark.parametrize(
    ("changes", "firm"),
    [
        ({}, True),
        ({"locked": False}, True),  # without an end of its hold
        ({"locked": False, "hold_until_ns": 10}, True),
        ({"locked": False, "hold_until_ns": 9}, False),
        ({"locked": True, "hold_until_ns": 9}, True),
        ({"proven": False}, False),
        ({"proven": False, "locked": False}, False),
        ({"proven": False, "verified": True}, True),
        ({"proven": False, "funded": True}, True),
        ({"locked": False, "hold_until_ns": 9, "verified": True}, True),
    ],
)
def test_promise_is_firm_if_proven_and_held_or_locked(changes: dict[str, Any], firm: bool) -> None:
    assert promise(**changes).is_firm(10) is firm
    assert inventory.firm([promise(**changes), promise("x")], 10) == [promise(**changes)] * firm + [promise("x")]


@pytest.mark.parametrize(("locked", "funded"), [(False, False), (True, False), (False, True), (True, True)])
def test_promise_waits_until_a_lock_is_seen(locked: bool, funded: bool) -> None:
    assert promise(locked=locked, funded=funded).waits is not (locked or funded)


def test_earlier_or_funded_promises_come_before() -> None:
    early, late = promise("a", reserved_ns=1), promise("b", reserved_ns=2)
    assert early.comes_before(late)
    assert not late.comes_before(early)
    assert promise("a", reserved_ns=2).comes_before(late)
    assert not late.comes_before(promise("a", reserved_ns=2))
    assert not late.comes_before(late)
    assert promise("b", reserved_ns=2, funded=True).comes_before(early)


def test_exit_bid_carries_twice_a_first_bid() -> None:
    assert inventory.exit_bid(None) is None
    assert inventory.exit_bid(FeeMarket(100, 3)) == FeeBid(2 * (2 * 100 + 3), 3)
    assert inventory.exit_bid(FeeMarket(0, 0)) == FeeBid(1, 0)
    assert inventory.exit_bid(FeeMarket(0, 5)) == FeeBid(10, 5)


def test_exits_are_kept_on_each_chain_of_each_promise() -> None:
    assert inventory.exits([A, B], COSTS) == {COIN_A: 7, COIN_B: 5}
    assert inventory.exits([A], {}) == {}
    both = [promise(), promise("x", funded=True), promise("y", chains=frozenset({B}))]
    assert inventory.reserved(both, COSTS) == {COIN_A: 14, COIN_B: 100 + 100 + 3 * 5 + 2 * 5}
    assert inventory.needed(promise(), COSTS) == {COIN_A, COIN_B}
    assert inventory.needed(promise(funded=True, chains=frozenset({A})), COSTS) == {COIN_A, COIN_B}


def test_lock_counts_only_if_it_was_seen_before_the_balance() -> None:
    now = [promise("new", funded=True, locked=True)]
    assert inventory.as_seen(now, []) == [promise("new", funded=False, locked=False)]
    before = [promise("new", funded=True, locked=True)]
    assert inventory.as_seen(now, before) == now
    assert inventory.as_seen([promise("new", funded=False, locked=False)], before) == [
        promise("new", funded=False, locked=False)
    ]


def test_balance_proves_an_opening_next_to_the_other_ones() -> None:
    assert inventory.uncovered(given(), [], 100) is None
    short = inventory.uncovered(given(), [], 99)
    assert short is not None
    assert "99 of" in short
    assert "100 are needed" in short
    others = [given("x", 40), given("y", 2)]
    assert inventory.uncovered(given(), others, 142) is None
    assert "142 are needed" in (inventory.uncovered(given(), others, 141) or "")


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"locked": True},
        {"funded": True},
        {"account": OTHER_PAYER},
        {"given_asset": COIN_B},
    ],
)
def test_coins_that_are_bound_elsewhere_do_not_count(elsewhere: dict[str, Any]) -> None:
    assert inventory.uncovered(given(), [replace(given("x", 40), **elsewhere)], 100) is None


def test_newest_holds_go_until_the_balance_covers_the_rest() -> None:
    holds = [given("b", 30, reserved_ns=2), given("a", 50, reserved_ns=1), given("c", 20, reserved_ns=2)]
    assert inventory.overdrawn(holds, 100) == []
    assert [one.swap_id for one in inventory.overdrawn(holds, 99)] == ["c"]
    assert [one.swap_id for one in inventory.overdrawn(holds, 80)] == ["c"]
    assert [one.swap_id for one in inventory.overdrawn(holds, 79)] == ["c", "b"]
    assert [one.swap_id for one in inventory.overdrawn(holds, 50)] == ["c", "b"]
    assert [one.swap_id for one in inventory.overdrawn(holds, 49)] == ["c", "b", "a"]
    assert [one.swap_id for one in inventory.overdrawn(holds, 0)] == ["c", "b", "a"]


def test_openings_without_proof_end_at_their_number() -> None:
    theirs = [promise("x", hold_until_ns=30), promise("y", hold_until_ns=20)]
    inventory.check_number(theirs, most=3, who="mallory")
    with pytest.raises(TooManyError, match="mallory has 2 swaps open") as refused:
        inventory.check_number(theirs, most=2, who="mallory")
    assert refused.value.fields == {"open": 2, "until_ns": 20}
    with pytest.raises(TooManyError) as refused:
        inventory.check_number([promise(), promise("y", hold_until_ns=20)], most=1, who="mallory")
    assert refused.value.fields == {"open": 2, "until_ns": 0}


def share(
    new: Promise, theirs: list[Promise], rest: list[Promise], held: int, *, most: int = 9, percent: int = 50
) -> None:
    inventory.check_share(new, theirs, [*theirs, *rest], COSTS, held, most=most, percent=percent, who="x")


def test_share_is_of_what_is_free_without_the_caller() -> None:
    """Of 1000, 110 are promised to another and 10 kept for the new lock and exit: 440 of 880 are the caller's."""
    theirs, rest = [given("t")], [promise("r")]
    share(promise(amount=340), theirs, rest, 1000)
    with pytest.raises(TooManyError, match="at most 9, for 440, are kept") as refused:
        share(promise(amount=341), theirs, rest, 1000)
    assert refused.value.fields == {"open": 1, "until_ns": 50}


def test_share_counts_only_waiting_openings_of_the_same_asset() -> None:
    share(promise(amount=10**6), [], [], 0)
    share(promise(amount=10**6), [promise("t")], [], 0)  # it has a lock
    share(promise(amount=400), [replace(given("t"), asset=COIN_A, amount=BaseUnits(10**6))], [], 1000)
    with pytest.raises(TooManyError):
        share(promise(amount=1), [given("t")], [promise("r", 1000)], 1000)


def test_share_of_nothing_is_nothing() -> None:
    """Others are promised more than is held: even one unit is more than all of what is free."""
    other_asset = replace(given("t"), asset=COIN_A, hold_until_ns=None)
    with pytest.raises(TooManyError, match="for 0, are kept") as refused:
        share(promise(amount=1), [other_asset], [promise("r", 1000)], 1000, percent=100)
    assert refused.value.fields == {"open": 1, "until_ns": 0}


def test_share_ends_at_its_number() -> None:
    theirs = [given(str(number), amount=1) for number in range(3)]
    share(promise(amount=1), theirs, [], 10**6, most=4)
    with pytest.raises(TooManyError) as refused:
        share(promise(amount=1), theirs, [], 10**6, most=3)
    assert refused.value.fields == {"open": 3, "until_ns": 50}


def test_free_is_what_others_leave() -> None:
    others = [promise("x")]
    inventory.check_free(promise(), others, COSTS, {COIN_A: 14, COIN_B: 220})
    with pytest.raises(ConflictError, match=r"inventory of .* is short: 99 are free") as refused:
        inventory.check_free(promise(), others, COSTS, {COIN_A: 14, COIN_B: 219})
    assert refused.value.fields == {"asset": COIN_B, "free": 99}
    with pytest.raises(ConflictError, match=r"inventory of .* is short: 0 are free"):
        inventory.check_free(promise(), others, COSTS, {COIN_A: 14, COIN_B: 120})
    with pytest.raises(ConflictError, match="gas is short: 120 of") as refused:
        inventory.check_free(promise(), others, COSTS, {COIN_A: 14, COIN_B: 119})
    assert refused.value.fields == {"asset": COIN_B, "held": 119, "reserved": 120}
    with pytest.raises(ConflictError, match="gas is short: 14 of memory:a") as refused:
        inventory.check_free(promise(), others, COSTS, {COIN_A: 13, COIN_B: 220})
    assert refused.value.fields == {"asset": COIN_A, "held": 13, "reserved": 14}


def test_lock_that_is_signed_now_reserves_no_gas_of_its_own() -> None:
    """Its signature asks the purse for what it costs; locks of others that come first still count."""
    inventory.check_free(promise(), [promise("x")], COSTS, {COIN_A: 14, COIN_B: 215}, locks=True)
    with pytest.raises(ConflictError, match=r"inventory of .* is short: 99 are free"):
        inventory.check_free(promise(), [promise("x")], COSTS, {COIN_A: 14, COIN_B: 214}, locks=True)


@pytest.mark.parametrize(("asset", "kept"), [(COIN_A, {COIN_A: 14, COIN_B: 5}), (COIN_B, {COIN_A: 7, COIN_B: 10})])
def test_gas_of_a_lock_is_kept_on_its_own_chain(asset: AssetId, kept: dict[AssetId, int]) -> None:
    assert inventory.gas(frozenset({A, B}), asset, COSTS) == kept
    assert inventory.gas(frozenset({A, B}), None, COSTS) == {COIN_A: 7, COIN_B: 5}
    assert inventory.gas(frozenset(), asset, COSTS) == {}, "another account's purse pays for it"


def test_asset_of_the_swap_is_named_before_its_gas() -> None:
    with pytest.raises(ConflictError, match="inventory of memory:b"):
        inventory.check_free(promise(), [], COSTS, {COIN_A: 0, COIN_B: 50})


def test_chain_without_gas_for_one_more_exit_is_named() -> None:
    promises = [promise(), promise("x", funded=True)]
    assert inventory.shortages([A, B], promises, COSTS, {COIN_A: 21, COIN_B: 20}) == {}
    assert list(inventory.shortages([A, B], promises, COSTS, {COIN_A: 21, COIN_B: 19})) == [B]
    short = inventory.shortages([A, B], promises, COSTS, {COIN_A: 20, COIN_B: 20})
    assert list(short) == [A]
    assert "21 of" in short[A]
    assert "holds 20" in short[A]
    assert list(inventory.shortages([A, B], [], COSTS, {COIN_A: 6, COIN_B: 4})) == [A, B]
    assert inventory.shortages([A, B], [], {A: {}}, {}) == {}
