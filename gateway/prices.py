"""`causeway relayer prices`: what a relayer offers, at which price and why, out of its file and its database."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from core.model.errors import NotFoundError, RetryableError
from core.model.types import ChainId, ChainTime
from core.runtime.clock import NS_PER_S
from gateway import wiring
from gateway.config import PairConfig, RelayerConfig
from gateway.config.faults import choices
from gateway.config.prices import named_price
from gateway.config.trading import POLICIES
from gateway.daemons.parts import database_exists, existing_database, opened_database
from htlc import timelocks
from relayer.provider import price_rows, pricing
from relayer.provider.prices import Feed
from relayer.provider.pricing import PriceState


async def listed(config: RelayerConfig, base: Path, now_ns: int) -> list[dict[str, Any]]:
    """Return one document for each pair: its price, what comes off it, and why it is not quoted if it is not."""
    feeds = {feed.name: feed for feed in wiring.feeds(config.prices, base)}
    states = await _states(config, base, feeds)
    return [_document(config, pair, feeds, states, now_ns) for pair in config.pairs]


async def confirm(config: RelayerConfig, base: Path, name: str) -> str:
    """Note that the price to which `name` has jumped is right; return it as decimal text.

    Raise `NotFoundError` for a name that is not configured, `RejectedError` if the price has not jumped.
    """
    names = [one.name for one in config.prices]
    if name not in names:
        raise NotFoundError(f"{name[:64]!r} is not a price of the configuration: {choices(name, names)}")
    async with existing_database(config.database, base) as database:
        return pricing.decimal_text(await database.write(lambda c: price_rows.confirm(c, name)))


async def _states(config: RelayerConfig, base: Path, feeds: Mapping[str, Feed]) -> dict[str, PriceState]:
    looked = [feed.name for feed in feeds.values() if feed.fixed is None]
    if not looked or not database_exists(config.database, base):
        return {}
    async with opened_database(config.database, base) as database:
        return await database.read(lambda c: {name: price_rows.load(c, name) for name in looked})


def _document(
    config: RelayerConfig,
    pair: PairConfig,
    feeds: Mapping[str, Feed],
    states: Mapping[str, PriceState],
    now_ns: int,
) -> dict[str, Any]:
    lock_s = _lock_s(config, pair)
    premium = pricing.premium(pair.volatility_bps, lock_s)
    left = Fraction(pricing.BPS - pair.spread_bps, pricing.BPS) * (1 - premium)
    shown: dict[str, Any] = {
        "pair": f"{pair.give}>{pair.get}",
        "rate": pair.rate,
        "price": None,
        "age_s": None,
        "spread_bps": pair.spread_bps,
        "premium_bps": pricing.decimal_text(premium * pricing.BPS, 6),
        "lock_s": lock_s,
        "fee": str(pair.fee),
        "minimum": str(pair.min_give),
        "maximum": str(pair.max_give),
        "offered": None,
        "paused": None,
    }
    if (named := named_price(pair.rate)) is None:
        rate = Fraction(pair.rate)
        offered = left * rate
        return shown | {"offered": f"{offered.numerator}/{offered.denominator}"}
    name, inverse = named
    feed, state = feeds[name], states.get(name, PriceState())
    try:
        price = feed.fixed or pricing.usable(name, state, feed.bounds, now_ns)
    except RetryableError as error:
        return shown | _known(feed, state, now_ns) | {"paused": error.message}
    value = 1 / price if inverse else price
    return shown | _known(feed, state, now_ns) | {"offered": pricing.decimal_text(value * left)}


def _known(feed: Feed, state: PriceState, now_ns: int) -> dict[str, Any]:
    known = feed.fixed or state.accepted
    age_s = None if feed.fixed is not None or state.accepted is None else (now_ns - state.accepted_ns) // NS_PER_S
    return {"price": None if known is None else pricing.decimal_text(known), "age_s": age_s}


def _lock_s(config: RelayerConfig, pair: PairConfig) -> int:
    """Seconds from a quote to the participant's timelock, as the configured chains have it."""
    timing = {chain.id: wiring.chain_timing(chain.timing) for chain in config.chains}
    give, get = (ChainId(asset.partition("/")[0]) for asset in (pair.give, pair.get))
    _, t_b = timelocks.plan(ChainTime(give, 0), ChainTime(get, 0), timing[give], timing[get], POLICIES[config.policy])
    return t_b.seconds
