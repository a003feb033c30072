"""Prices as exact fractions: decimal text, spreads, premiums, jumps, staleness."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import RejectedError, RetryableError
from core.model.types import MAX_BASE_UNITS, AssetId, BaseUnits, Seconds
from core.runtime.clock import NS_PER_S
from relayer.provider import pricing
from relayer.provider.pricing import Offer, PriceBounds, PriceState, took_in, usable
from relayer.provider.quoting import QuoteRequest, Rate, amounts, quoted_rate

ETH, CNYD = AssetId("eip155:1/slip44:60"), AssetId("causeway:devnet-1/asset:cnyd")
BOUNDS = PriceBounds(Seconds(60), 500)
DAY_S = 24 * 3_600
NOW_NS = 1_800_000_000 * NS_PER_S


def offer(**given: object) -> Offer:
    members = {"source": "eth-cnyd", "minimum": BaseUnits(1), "maximum": BaseUnits(MAX_BASE_UNITS)} | given
    return Offer(initiator_asset=ETH, participant_asset=CNYD, **members)  # type: ignore[arg-type]


def accepted(price: str, at_ns: int = NOW_NS) -> PriceState:
    return PriceState(accepted=Fraction(price), accepted_ns=at_ns)


# --- premiums ---


@pytest.mark.parametrize(
    ("volatility_bps", "lock_s", "percent"),
    [(8_000, DAY_S, 1.6705), (8_000, 2 * 3_600, 0.48223), (5_000, 2 * DAY_S, 1.47655), (10_000, 60, 0.055027)],
)
def test_premium_is_the_published_bound(volatility_bps: int, lock_s: int, percent: float) -> None:
    assert float(pricing.premium(volatility_bps, lock_s) * 100) == pytest.approx(percent, rel=1e-4)


@given(st.integers(1, 100_000), st.integers(1, 14 * DAY_S))
def test_premium_is_never_below_the_options_worth(volatility_bps: int, lock_s: int) -> None:
    sigma = volatility_bps / 10_000 * math.sqrt(lock_s / (365 * DAY_S))
    worth = math.erf(sigma / 2 / math.sqrt(2))  # 2Φ(σ√τ/2) - 1
    bound = sigma / math.sqrt(2 * math.pi)
    found = float(pricing.premium(volatility_bps, lock_s))
    assert worth <= found
    assert bound <= found <= bound * 1.000001 + 2e-9


def test_premium_of_a_price_that_never_moves_is_nothing() -> None:
    assert pricing.premium(0, DAY_S) == 0


# --- rates ---


def test_rate_follows_price_decimals_spread_and_premium() -> None:
    # 25,000.50 cnyd (2 decimals) for an ether (18): 2,500,050 fen for 10^18 wei, less 1 %
    value = pricing.base_rate(offer(), Fraction("25000.50"), (18, 2))
    assert value == Fraction(2_500_050, 10**18)
    assert pricing.offered(offer(), value, DAY_S) == Rate(50_001, 2 * 10**16)
    assert pricing.offered(offer(spread_bps=100), value, DAY_S) == Rate(4_950_099, 2 * 10**18)
    with_premium = pricing.offered(offer(volatility_bps=8_000), value, DAY_S)
    ratio = Fraction(with_premium.numerator, with_premium.denominator) / value
    assert float(1 - ratio) == pytest.approx(0.016705, rel=1e-4)


def test_inverse_price_is_the_way_back() -> None:
    assert pricing.base_rate(offer(inverse=True), Fraction(20_000), (2, 18)) == Fraction(10**16, 20_000)


@given(st.fractions(Fraction(1, 10**40), Fraction(10**40)), st.integers(0, 9_999), st.integers(0, 20_000))
def test_there_and_back_never_gains(price: Fraction, spread_bps: int, volatility_bps: int) -> None:
    there = pricing.offered(offer(spread_bps=spread_bps, volatility_bps=volatility_bps), price, DAY_S)
    back = pricing.offered(offer(spread_bps=spread_bps, volatility_bps=volatility_bps), 1 / price, DAY_S)
    assert there.numerator * back.numerator <= there.denominator * back.denominator
    assert all(0 < one <= MAX_BASE_UNITS for rate in (there, back) for one in (rate.numerator, rate.denominator))


@given(st.fractions(Fraction(1, 10**50), Fraction(10**50)))
def test_rate_is_rounded_down_by_less_than_a_trillionth(value: Fraction) -> None:
    rate = pricing.rounded_down(value)
    rounded = Fraction(rate.numerator, rate.denominator)
    assert value * (1 - Fraction(1, 10**12)) < rounded <= value


def test_fixed_rate_with_nothing_off_stays_as_written() -> None:
    written = Rate(100_000, 71)
    assert pricing.offered(offer(source=written), Fraction(100_000, 71), DAY_S) is written


@pytest.mark.parametrize("value", [Fraction(1, 10**51), Fraction(10**51)])
def test_absurd_rate_is_not_quoted(value: Fraction) -> None:
    with pytest.raises(RetryableError, match="does not fit"):
        pricing.rounded_down(value)


@given(st.integers(1, 10**20), st.integers(1, 10**20), st.integers(1, 10**30), st.integers(0, 10**10))
def test_fee_is_kept_of_every_swap(numerator: int, denominator: int, amount: int, fee: int) -> None:
    pair = offer(fee=BaseUnits(fee)).at(Rate(numerator, denominator))
    for request in (
        QuoteRequest(ETH, CNYD, initiator_amount=BaseUnits(amount)),
        QuoteRequest(ETH, CNYD, participant_amount=BaseUnits(amount)),
    ):
        try:
            given_amount, paid = amounts(pair, request)
        except RejectedError:
            assert request.initiator_amount is not None
            assert amount * numerator // denominator <= fee
            continue
        assert (paid + fee) * denominator <= given_amount * numerator
        rate = quoted_rate(pair, given_amount, paid)
        assert given_amount * rate.numerator // rate.denominator == paid or not fee


# --- jumps and age ---


def test_price_within_the_bound_is_followed() -> None:
    state = took_in(accepted("100"), Fraction(105), NOW_NS + 1, NOW_NS + 1, BOUNDS)
    assert usable("p", state, BOUNDS, NOW_NS + 1) == 105


@pytest.mark.parametrize("jump", ["105.01", "94.99", "0.0001", "1000000"])
def test_price_that_jumps_pauses_until_it_comes_back(jump: str) -> None:
    state = took_in(accepted("100"), Fraction(jump), NOW_NS + 1, NOW_NS + 1, BOUNDS)
    with pytest.raises(RetryableError, match="until it comes back or is confirmed"):
        usable("p", state, BOUNDS, NOW_NS + 1)
    state = took_in(state, Fraction(jump), NOW_NS + 2, NOW_NS + 2, BOUNDS)  # seen again
    assert (state.held, state.held_ns) == (Fraction(jump), NOW_NS + 1)
    state = took_in(state, Fraction(101), NOW_NS + 3, NOW_NS + 3, BOUNDS)
    assert usable("p", state, BOUNDS, NOW_NS + 3) == 101


def test_price_that_creeps_up_while_held_stays_held() -> None:
    state = accepted("100")
    for step in range(106, 200, 4):
        state = took_in(state, Fraction(step), NOW_NS, NOW_NS, BOUNDS)
        assert state.accepted == 100
        assert state.held == step


def test_confirmed_price_is_followed_only_if_still_near() -> None:
    held = took_in(accepted("100"), Fraction(120), NOW_NS, NOW_NS, BOUNDS)
    confirmed = PriceState(held.accepted, held.accepted_ns, held.held, held.held_ns, Fraction(120))
    assert took_in(confirmed, Fraction(200), NOW_NS, NOW_NS, BOUNDS).accepted == 100
    after = took_in(confirmed, Fraction(123), NOW_NS, NOW_NS, BOUNDS)
    assert after == PriceState(accepted=Fraction(123), accepted_ns=NOW_NS)


def test_old_price_is_not_quoted() -> None:
    state = accepted("100")
    assert usable("p", state, BOUNDS, NOW_NS + 60 * NS_PER_S) == 100
    with pytest.raises(RetryableError, match="is 61 s old, at most 60 s"):
        usable("p", state, BOUNDS, NOW_NS + 61 * NS_PER_S)


def test_price_from_the_future_or_the_past_is_refused() -> None:
    with pytest.raises(RejectedError, match="ahead of ours"):
        took_in(PriceState(), Fraction(1), NOW_NS + 61 * NS_PER_S, NOW_NS, BOUNDS)
    with pytest.raises(RejectedError, match="older than the one before"):
        took_in(accepted("100"), Fraction(100), NOW_NS - 1, NOW_NS, BOUNDS)


# --- text ---


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", Fraction(1, 10)), ("2514.07", Fraction(251_407, 100)), ("1e-7", Fraction(1, 10**7)), ("007", Fraction(7))],
)
def test_decimal_is_read_exactly(text: str, value: Fraction) -> None:
    assert pricing.parse_decimal(text) == value


@pytest.mark.parametrize(
    "refused",
    ["", "0", "0.00", "-1", "+1", ".5", "5.", "1,5", "1_0", "nan", "inf", "0x1", "١", "1/2", "9" * 41, "1e999"],
)
def test_text_without_a_price_is_refused(refused: str) -> None:
    with pytest.raises(RejectedError):
        pricing.parse_decimal(refused)


@pytest.mark.parametrize(
    ("text", "steps"),
    [("$", ()), ("$.a_1[0]['last price'].b", ("a_1", 0, "last price", "b")), ("$['x'][12]", ("x", 12))],
)
def test_path_of_names_and_indices_is_read(text: str, steps: tuple[str | int, ...]) -> None:
    assert pricing.parse_path(text) == steps


@pytest.mark.parametrize("text", ["", "a.b", "$..a", "$.*", "$[-1]", "$[01]", "$.a.", "$a", "$[?@.a]", "$" + ".a" * 33])
def test_other_paths_are_refused(text: str) -> None:
    with pytest.raises(RejectedError, match="not a path"):
        pricing.parse_path(text)
