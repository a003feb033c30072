"""Limits of exposure, what exits cost and keep, and the places of our locks."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from core.model.errors import (
    ConflictError,
    RetryableError,
    UnaffordableError,
)
from core.model.transactions import FeeMarket
from core.model.types import (
    AssetId,
    BaseUnits,
    LockId,
)
from relayer.policy import ExposureLimit, WatchPolicy
from relayer.pump import places
from relayer.pump.checks import EXIT_COST_AGE_S, PLACE_RETRIES
from relayer.pump.tables import relayer_swaps
from tests.htlc.scenarios import (
    A,
    B,
)
from tests.relayer.office import NATIVE, Office, other_agreement
from tests.relayer.test_inventory import promise

# --- exposure -------------------------------------------------------------------------------------------------------


def test_number_of_open_swaps_is_bounded() -> None:
    checks = Office().made(max_open_swaps=2)
    checks.check_exposure([promise("a")], promise())
    with pytest.raises(ConflictError, match="2 swaps are open already"):
        checks.check_exposure([promise("a"), promise("b")], promise())


@pytest.mark.parametrize(
    ("limit", "words", "now"),
    [
        (ExposureLimit(BaseUnits(400), BaseUnits(999), BaseUnits(999)), "in all", 300),
        (ExposureLimit(BaseUnits(999), BaseUnits(200), BaseUnits(999)), "to one counterparty", 100),
        (ExposureLimit(BaseUnits(999), BaseUnits(999), BaseUnits(300)), "within one window of timelocks", 200),
    ],
)
def test_exposure_reaches_each_limit_and_no_further(limit: ExposureLimit, words: str, now: int) -> None:
    new = promise()
    others = [
        promise("theirs", counterparties=new.counterparties, timelock_s=10**6),
        promise("same window"),
        promise("same window too", locked=False),
        promise("another asset", asset=AssetId(f"{B}/slip44:9")),
    ]
    checks = Office().made(exposure={new.asset: limit})
    checks.check_exposure(others, new)
    with pytest.raises(ConflictError, match=f"exposure limit {words}") as refused:
        checks.check_exposure(others, replace(new, amount=BaseUnits(101)))
    most = {"in all": limit.total, "to one counterparty": limit.per_counterparty}.get(words, limit.per_window)
    assert refused.value.fields == {"limit": words, "promised": now, "most": most}


def test_asset_without_a_limit_is_bounded_by_the_purse_alone() -> None:
    other = promise(asset=AssetId(f"{A}/slip44:60"))
    limit = ExposureLimit(BaseUnits(0), BaseUnits(0), BaseUnits(0))
    checks = Office().made(exposure={promise().asset: limit})
    checks.check_exposure([], other)
    with pytest.raises(ConflictError, match="exposure limit in all"):
        checks.check_exposure([], promise())


# --- the purse --------------------------------------------------------------------------------------------------------


async def test_exit_costs_are_configured_or_the_markets(office: Office) -> None:
    office.chains[A].market = office.chains[B].market = FeeMarket(10, 1)
    market = 1_000 * 2 * (2 * 10 + 1)
    assert await office.checks.exit_costs([A, B]) == {A: {NATIVE[A]: market}, B: {NATIVE[B]: market}}
    configured = office.made(gas_per_exit={NATIVE[A]: BaseUnits(7)})
    assert await configured.exit_costs([A, B]) == {A: {NATIVE[A]: 7}, B: {NATIVE[B]: market}}
    assert await configured.understated() == {NATIVE[A]: market}
    assert await office.made(gas_per_exit={NATIVE[A]: BaseUnits(market)}).understated() == {}
    assert await office.made(gas_per_exit={}).understated() == {}


async def test_market_is_asked_again_after_its_age(office: Office) -> None:
    await office.clock.advance(100)
    office.chains[A].market = FeeMarket(10, 1)
    before = await office.checks.exit_costs([A])
    office.chains[A].market = FeeMarket(20, 1)
    await office.clock.advance(EXIT_COST_AGE_S - 0.1)
    assert await office.checks.exit_costs([A]) == before
    await office.clock.advance(0.1)
    assert await office.checks.exit_costs([A]) == {A: {NATIVE[A]: 1_000 * 2 * 41}}
    assert office.chains[A].asked == ["market"] * 2


async def test_exit_for_others_leaves_our_own_what_they_keep(office: Office) -> None:
    office.chains[A].market = FeeMarket(1, 0)
    cost = 1_000 * 4
    await office.ready_to_fund()
    office.chains[A].held[NATIVE[A]] = 2 * cost
    await office.checks.before_exit_for_others(A)
    office.chains[A].held[NATIVE[A]] -= 1
    with pytest.raises(UnaffordableError, match=f"{cost} of .* are kept for our own swaps"):
        await office.checks.before_exit_for_others(A)


async def test_exit_for_others_costs_no_more_than_its_limit(office: Office) -> None:
    office.chains[A].market = FeeMarket(1, 0)
    await office.made(watch=WatchPolicy(max_exit_cost={NATIVE[A]: BaseUnits(4_000)})).before_exit_for_others(A)
    strict = office.made(watch=WatchPolicy(max_exit_cost={NATIVE[A]: BaseUnits(3_999)}))
    with pytest.raises(UnaffordableError, match="at most 3999"):
        await strict.before_exit_for_others(A)


async def test_chain_without_gas_for_one_more_exit_is_named(office: Office) -> None:
    office.chains[A].market = FeeMarket(1, 0)
    await office.ready_to_fund()
    office.chains[A].held[NATIVE[A]] = 8_000
    assert await office.checks.gas_shortages([A, B]) == {}
    office.chains[A].held[NATIVE[A]] = 7_999
    assert list(await office.checks.gas_shortages([A, B])) == [A]


# --- the place of our lock --------------------------------------------------------------------------------------------


async def test_place_is_written_down_once(office: Office) -> None:
    await office.begin()
    terms = office.agreement.participant_leg
    office.chains[B].places = [LockId("1"), LockId("2")]
    assert await office.checks.place(office.agreement.swap_id, terms) == "1"
    assert await office.checks.place(office.agreement.swap_id, terms) == "1"
    assert office.chains[B].asked == [set()]
    second = other_agreement(1)
    await office.begin(second, quote="second")
    assert await office.checks.place(second.swap_id, second.participant_leg) == "2"
    assert office.chains[B].asked == [set(), {"1"}]


async def test_place_of_a_former_lock_is_not_taken_again_soon(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that lies names it as free: the chain would refuse the lock, and the swap would come to nothing."""
    await office.begin()
    second = other_agreement(1)
    office.chains[B].places = [LockId("1"), LockId("1"), LockId("2")]
    await office.checks.place(office.agreement.swap_id, office.agreement.participant_leg)
    done = sa.update(relayer_swaps).values(done=True)
    await office.database.write(lambda c: c.execute(done))
    await office.begin(second, quote="second")
    assert await office.checks.place(second.swap_id, second.participant_leg) == "2"
    assert office.chains[B].asked == [set(), set(), {"1"}]
    # As long ago as an EVM lane needs until it comes round, it may be true.
    await office.database.write(lambda c: c.execute(done))
    third = other_agreement(2)
    await office.begin(third, quote="third")
    monkeypatch.setattr(places, "places_used", lambda *_: {LockId("2")})
    office.chains[B].places = [LockId("1")]
    assert await office.checks.place(third.swap_id, third.participant_leg) == "1"


async def test_place_that_is_always_taken_is_asked_again_later(office: Office) -> None:
    await office.begin()
    second = other_agreement(1)
    await office.begin(second, quote="second")
    office.chains[B].places = [LockId("1")] * (1 + PLACE_RETRIES)
    await office.checks.place(office.agreement.swap_id, office.agreement.participant_leg)
    with pytest.raises(RetryableError, match="could not reserve a lock id"):
        await office.checks.place(second.swap_id, second.participant_leg)
    assert office.chains[B].places == []
    office.chains[B].places = [LockId("1")] * (PLACE_RETRIES - 1) + [LockId("3")]
    assert await office.checks.place(second.swap_id, second.participant_leg) == "3"
