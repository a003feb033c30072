"""Prices of swaps, pure: exact fractions, the spread, the premium of the option, bounds on jumps.

A swap gives its initiator an option: once the participant has locked, the initiator may reveal or walk away, until the
participant's timelock. That is the right to exchange one asset for another (Margrabe, "The Value of an Option to
Exchange One Asset for Another", Journal of Finance 33, 1978). At the money, without yields, it is worth
2Φ(σ√τ/2) - 1 of the amount, which is below σ√(τ/2π) (Brenner and Subrahmanyam, Financial Analysts Journal 44, 1988);
nobody gains by exercising earlier. `premium` is that bound. For HTLC swaps in particular see Han, Lin and Yu, "On the
optionality and fairness of Atomic Swaps" (AFT 2019, IACR eprint 2019/896).

Nothing here is ever a float: prices come in as decimal text, and every rounding is in the relayer's favour.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import Any, Final

from core.model.errors import RejectedError, RetryableError
from core.model.types import AssetId, BaseUnits, ChainId, Seconds, chain_of
from core.runtime.clock import NS_PER_S
from relayer.provider.quoting import Pair, Rate

BPS: Final = 10_000
MAX_VOLATILITY_BPS: Final = 100_000
"""Ten times the price in a year: beyond any asset that anybody quotes for."""
YEAR_S: Final = 365 * 24 * 3_600
PREMIUM_UNIT: Final = 10**9
RATE_DIGITS: Final = 18
"""Significant digits of a rate that was computed: others are dropped."""
MAX_RATE_EXPONENT: Final = 50
"""A rate lies between 10 to the power of minus this and of this, so that both of its parts fit into 2**256."""
AHEAD_S: Final = 60
"""How far ahead of our clock a price's own time may be."""
MAX_PATH_STEPS: Final = 32
_TWO_PI: Final = Fraction(6_283_185, 1_000_000)
"""A little less than 2π, so that a premium is rounded up."""
_DECIMAL: Final = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(0|[1-9][0-9]{0,5})\]|\['([^'\\]{1,64})'\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One direction that is traded at a price which may change.

    `source`: the name of a price, in units of the participant's asset per unit of the initiator's (`inverse`: the other
    way round), or a fixed rate in base units. `spread_bps` (hundredths of a percent) and the premium come off it;
    `volatility_bps` is the price's standard deviation over a year, 0 for no premium. `fee` is in base units of the
    participant's asset, for each swap. `minimum` and `maximum` bound the initiator's amount, inclusive.
    """

    initiator_asset: AssetId
    participant_asset: AssetId
    source: str | Rate
    minimum: BaseUnits
    maximum: BaseUnits
    inverse: bool = False
    spread_bps: int = 0
    volatility_bps: int = 0
    fee: BaseUnits = BaseUnits(0)

    def __post_init__(self) -> None:
        if not 0 <= self.spread_bps < BPS:
            raise RejectedError(f"a spread is 0 to {BPS - 1} hundredths of a percent, not {self.spread_bps}")
        if not 0 <= self.volatility_bps <= MAX_VOLATILITY_BPS:
            raise RejectedError(
                f"a volatility is 0 to {MAX_VOLATILITY_BPS} hundredths of a percent, not {self.volatility_bps}"
            )
        self.at(Rate(1, 1))

    @property
    def id(self) -> str:
        return f"{self.initiator_asset}>{self.participant_asset}"

    @property
    def chains(self) -> tuple[ChainId, ChainId]:
        return chain_of(self.initiator_asset), chain_of(self.participant_asset)

    def at(self, rate: Rate) -> Pair:
        """Return the pair at this rate. Raise `RejectedError` for limits that make no sense."""
        return Pair(self.initiator_asset, self.participant_asset, rate, self.minimum, self.maximum, self.fee)


@dataclass(frozen=True, slots=True)
class PriceBounds:
    """The oldest price that is quoted at, and the largest step, in hundredths of a percent, that is followed."""

    max_age_s: Seconds
    max_jump_bps: int

    def __post_init__(self) -> None:
        if self.max_age_s <= 0 or self.max_jump_bps <= 0:
            raise RejectedError("max_age_s and max_jump_bps must be positive")


@dataclass(frozen=True, slots=True)
class PriceState:
    """A price as it is known. `accepted` is quoted at, as of `accepted_ns` (nanoseconds since the Unix epoch).

    `held`: it has jumped to this since `held_ns`, and nothing is quoted. `confirmed`: the operator's word that a price
    near this one is right. `error`: why the last look failed, None if it did not.
    """

    accepted: Fraction | None = None
    accepted_ns: int = 0
    held: Fraction | None = None
    held_ns: int = 0
    confirmed: Fraction | None = None
    error: str | None = None


def took_in(state: PriceState, seen: Fraction, at_ns: int, now_ns: int, bounds: PriceBounds) -> PriceState:
    """Return the state after a look that found the price `seen`, as of `at_ns`.

    A price within `max_jump_bps` of the accepted one, or of one that the operator has confirmed, is accepted; any
    other is held, until it is confirmed or comes back. The first is accepted. Raise `RejectedError` for a time that
    lies ahead of `now_ns`, or behind the accepted price's.
    """
    if at_ns > now_ns + AHEAD_S * NS_PER_S:
        raise RejectedError("the price's own time lies ahead of ours: set the clock, or correct time_path")
    if state.accepted is not None and at_ns < state.accepted_ns:
        raise RejectedError("the price is older than the one before it")
    near = [one for one in (state.accepted, state.confirmed) if one is not None]
    if state.accepted is None or any(_is_near(seen, one, bounds.max_jump_bps) for one in near):
        return PriceState(accepted=seen, accepted_ns=at_ns)
    held_ns = state.held_ns if state.held is not None else at_ns
    return replace(state, held=seen, held_ns=held_ns, error=None)


def _is_near(seen: Fraction, known: Fraction, bps: int) -> bool:
    return abs(seen - known) * BPS <= known * bps


def usable(name: str, state: PriceState, bounds: PriceBounds, now_ns: int) -> Fraction:
    """Return the price to quote at. Raise `RetryableError` that says why there is none."""
    if state.accepted is None:
        raise RetryableError(f"there is no price {name} yet" + (f": {state.error}" if state.error else ""))
    if state.held is not None:
        raise RetryableError(
            f"the price {name} went from {decimal_text(state.accepted)} to {decimal_text(state.held)}, further than "
            f"{bounds.max_jump_bps} hundredths of a percent at once: nothing is quoted at it until it comes back or "
            "is confirmed by the operator"
        )
    age_s = max(0, now_ns - state.accepted_ns) // NS_PER_S
    if age_s > bounds.max_age_s:
        reason = f": {state.error}" if state.error else ""
        raise RetryableError(f"the price {name} is {age_s} s old, at most {bounds.max_age_s} s are allowed{reason}")
    return state.accepted


def premium(volatility_bps: int, lock_s: int) -> Fraction:
    """Return σ√(τ/2π) as a part of the amount, rounded up to a thousand-millionth: the bound named above.

    `volatility_bps` is σ over a year, `lock_s` is τ: until the participant's timelock.
    """
    if volatility_bps <= 0 or lock_s <= 0:
        return Fraction(0)
    square = Fraction(volatility_bps * PREMIUM_UNIT, BPS) ** 2 * Fraction(lock_s, YEAR_S) / _TWO_PI
    whole = -(-square.numerator // square.denominator)
    return Fraction(isqrt(whole - 1) + 1, PREMIUM_UNIT)


def base_rate(offer: Offer, price: Fraction, decimals: tuple[int, int]) -> Fraction:
    """Return participant base units per initiator base unit. `decimals` are those of the initiator's asset and of the
    participant's."""
    value = 1 / price if offer.inverse else price
    return value * Fraction(10) ** (decimals[1] - decimals[0])


def offered(offer: Offer, value: Fraction, lock_s: int) -> Rate:
    """Return the rate that is quoted for a swap whose participant's timelock lies `lock_s` ahead.

    A fixed rate from which nothing comes off stays as it is written. Raise `RetryableError` if nothing is left, or if
    it does not fit a quote.
    """
    left = value * Fraction(BPS - offer.spread_bps, BPS) * (1 - premium(offer.volatility_bps, lock_s))
    if isinstance(offer.source, Rate) and left == value:
        return offer.source
    if left <= 0:
        raise RetryableError(f"the premium for {lock_s} s is all of the price: lower volatility_bps of {offer.id}")
    return rounded_down(left)


def rounded_down(value: Fraction) -> Rate:
    """Return the rate with `RATE_DIGITS` significant digits at or below `value`. Raise `RetryableError` if it is
    absurdly large or small."""
    if not Fraction(1, 10**MAX_RATE_EXPONENT) <= value <= 10**MAX_RATE_EXPONENT:
        raise RetryableError("the price does not fit the assets' decimals: correct it, or the pair")
    size = len(str(value.numerator)) - len(str(value.denominator))  # 10**(size - 1) < value < 10**(size + 1)
    places = RATE_DIGITS - size
    scaled = value * Fraction(10) ** places
    whole = Fraction(scaled.numerator // scaled.denominator) / Fraction(10) ** places
    return Rate(whole.numerator, whole.denominator)


def parse_decimal(text: str) -> Fraction:
    """Return the number that a decimal text stands for, exactly. Raise `RejectedError` unless it is above 0."""
    if len(text) > 100 or _DECIMAL.fullmatch(text) is None:
        raise RejectedError(f"{text[:40]!r} is not a price: expected a decimal number such as 2514.07")
    value = Fraction(text)
    if value <= 0:
        raise RejectedError("a price of 0 is not a price")
    return value


def decimal_text(value: Fraction, digits: int = 12) -> str:
    """Return a price for people, cut to `digits` significant digits."""
    size = len(str(value.numerator)) - len(str(value.denominator))
    places = max(0, digits - size)
    whole = value.numerator * 10**places // value.denominator
    head, tail = divmod(whole, 10**places)
    return f"{head}.{tail:0{places}d}".rstrip("0").rstrip(".") if places else str(head)


def parse_path(text: str) -> tuple[str | int, ...]:
    """Return the steps of a path such as `$.data[0]['last price']`: a singular query of JSONPath (RFC 9535, section
    2.3.5.1), with names and non-negative indices. Raise `RejectedError` for anything else."""
    steps: list[str | int] = []
    at = 1
    while text.startswith("$") and at < len(text) and len(steps) < MAX_PATH_STEPS:
        found = _STEP.match(text, at)
        if found is None:
            break
        name, index, quoted = found.groups()
        steps.append(int(index) if index is not None else name or quoted)
        at = found.end()
    if not text.startswith("$") or at != len(text):
        raise RejectedError(f"{text[:80]!r} is not a path of names and indices, such as $.data[0].price")
    return tuple(steps)


def text_at(document: Any, path: tuple[str | int, ...]) -> str:
    """Return the text or number at a path in a JSON document whose numbers were kept as text.

    Raise `RejectedError` if there is none.
    """
    for step in path:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            document = None
        if document is None:
            raise RejectedError(f"the document has nothing at {step!r} of the path")
    if not isinstance(document, str):
        raise RejectedError("the document has neither a number nor a text at the path")
    return document.strip()
