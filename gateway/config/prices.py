"""Prices and the pairs that name them: canonical, or refused with their place."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from core.model.errors import RejectedError
from gateway.config.chains import check_http_url, refuse_twins
from gateway.config.faults import Faults, choices, shown
from gateway.config.model import PairConfig, PriceConfig
from relayer.provider.prices import MAX_FEEDS
from relayer.provider.pricing import BPS, MAX_VOLATILITY_BPS, parse_decimal, parse_path

INVERSE: Final = "1/"
MAX_EVERY_S: Final = 3_600
MAX_AGE_S: Final = 24 * 3_600
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)


def named_price(rate: str) -> tuple[str, bool] | None:
    """(name, inverse) of a pair's `rate` that names a price; None for any other text."""
    name = rate.removeprefix(INVERSE)
    return (name, name != rate) if _NAME.fullmatch(name) else None


def check_prices(prices: tuple[PriceConfig, ...], pairs: tuple[PairConfig, ...], faults: Faults) -> None:
    """Hold every price, and every name of one, against the others."""
    refuse_twins((one.name for one in prices), lambda number: f"prices[{number}].name", "price", faults)
    if len(prices) > MAX_FEEDS:
        faults.add("prices", f"has {len(prices)} entries: at most {MAX_FEEDS}")
    used = {found[0] for pair in pairs if (found := named_price(pair.rate)) is not None}
    for number, price in enumerate(prices):
        _check_price(price, f"prices[{number}]", used, faults)
    names = [one.name for one in prices]
    for number, pair in enumerate(pairs):
        found = named_price(pair.rate)
        if found is not None and found[0] not in names:
            faults.add(
                f"pairs[{number}].rate", f"{shown(found[0])} is not a price of [[prices]]: {choices(found[0], names)}"
            )
        for member, most in (("spread_bps", BPS - 1), ("volatility_bps", MAX_VOLATILITY_BPS)):
            if not 0 <= getattr(pair, member) <= most:
                faults.add(f"pairs[{number}].{member}", f"{getattr(pair, member)} is not a number from 0 to {most}")
    _check_directions(pairs, faults)


def _check_directions(pairs: tuple[PairConfig, ...], faults: Faults) -> None:
    """There and back at one price, one of the two is its inverse: else somebody gains by swapping in a circle."""
    named: Mapping[tuple[str, str], tuple[str, bool] | None] = {
        (pair.give, pair.get): named_price(pair.rate) for pair in pairs
    }
    for number, pair in enumerate(pairs):
        here, back = named_price(pair.rate), named.get((pair.get, pair.give))
        if here is not None and here == back:
            faults.add(
                f"pairs[{number}].rate",
                f"{pair.rate} is the rate of the way back, too: write {INVERSE}{here[0]} for one of the two",
            )


def _check_price(price: PriceConfig, place: str, used: Collection[str], faults: Faults) -> None:
    if _NAME.fullmatch(price.name) is None:
        faults.add(
            f"{place}.name", f"{shown(price.name)} is not a name: write small letters, digits and -, a letter first"
        )
    elif price.name not in used:
        faults.add(f"{place}.name", f'no pair is offered at it: write rate = "{price.name}" in one, or remove it')
    if sum(one is not None for one in (price.fixed, price.file, price.url)) != 1:
        faults.add(place, "comes from nowhere, or from several places: write one of fixed, file and url")
    if price.url is not None:
        check_http_url(price.url, f"{place}.url", faults)
    if price.fixed is not None:
        with faults.at(f"{place}.fixed"):
            parse_decimal(price.fixed)
        for member in ("path", "time_path", "every_s", "max_age_s", "max_jump_bps"):
            if getattr(price, member) != getattr(PriceConfig(price.name), member):
                faults.add(f"{place}.{member}", "has no effect on a price that is fixed: leave it out")
        return
    for member in ("path", "time_path"):
        if (text := getattr(price, member)) is not None:
            with faults.at(f"{place}.{member}"):
                parse_path(text)
    if price.time_path is not None and price.path is None:
        faults.add(f"{place}.time_path", "needs a path to the price in the same JSON document: add path")
    if not 1 <= price.every_s <= MAX_EVERY_S:
        faults.add(f"{place}.every_s", f"{price.every_s} is not a number of seconds from 1 to {MAX_EVERY_S}")
    if not 1 <= price.max_age_s <= MAX_AGE_S:
        faults.add(f"{place}.max_age_s", f"{price.max_age_s} is not a number of seconds from 1 to {MAX_AGE_S}")
    elif price.max_age_s < price.every_s:
        faults.add(f"{place}.max_age_s", f"{price.max_age_s} s is less than every_s: the price would mostly be too old")
    if not 1 <= price.max_jump_bps <= BPS:
        faults.add(f"{place}.max_jump_bps", f"{price.max_jump_bps} is not a number from 1 to {BPS}")


def check_fee(pair: PairConfig, place: str, least_payout: int | None, faults: Faults) -> None:
    """`least_payout`: what the pair's smallest swap pays out before the fee, None if its rate is a price's."""
    if pair.fee < 0 or pair.fee.bit_length() > 256:
        faults.add(f"{place}.fee", "is not an amount: write base units of get, 0 or more and below 2^256")
    elif least_payout is not None and 0 < least_payout <= pair.fee:
        faults.add(f"{place}.fee", f"the smallest swap pays out {least_payout}, no more than the fee: raise min_give")


def check_rate(rate: str) -> None:
    """Raise `RejectedError` unless it names a price."""
    if named_price(rate) is None:
        raise RejectedError(
            f"rate = {shown(rate)} is not numerator/denominator in whole base units above 0, such as 71/100000, and "
            "not the name of a price"
        )
