"""Prices: whatever was quoted was published a moment ago, less the spread, and is not a jump that nobody follows; at a
fixed rate it is that rate, less the fee, to the unit."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from gateway.simulation.feeds import KNOWN_AFTER, MAX_AGE_S, SPREAD_BPS, VALID_S, PriceFeed
from gateway.simulation.plan import POLICY
from gateway.simulation.process import rate_of
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record

ROUNDED_S: Final = 2.0
"""Times of quotes, and of prices, are cut to seconds."""


def problems(record: Record) -> Iterator[Problem]:
    """Every agreement at a price that a relayer should not have quoted."""
    for deal in record.agreed:
        yield from _priced(record, deal)


def _priced(record: Record, deal: Agreed) -> Iterator[Problem]:
    feed = next(one for one in record.relayers if one.name == deal.relayer).feed
    if feed is None:
        yield from _at_the_rate(record, deal)
        return
    if deal.relayer == record.plan.clock_of:
        return
    quoted_s = deal.lock_deadline_s - POLICY.lock_s
    # By then it was opened: its quote may be as old as a quote may be, and the price of that one as old as a price may.
    known = [one for one in feed.published if one.at_s <= quoted_s + ROUNDED_S]
    fresh = [one for one in known if one.at_s >= quoted_s - MAX_AGE_S - VALID_S - ROUNDED_S]
    who = f"{deal.relayer} (deal {deal.deal.number})"
    if not fresh:
        yield Problem(Kind.PRICED_STALE, f"{who} quotes a price that is {quoted_s - known[-1].at_s:.0f} s old")
        return
    follows = _knew_no_other(record, deal, feed, quoted_s)
    most = max((one.value for one in fresh if follows or not one.jumped), default=Fraction(0))
    paid, given = int(deal.participant_leg.amount), int(deal.initiator_leg.amount)
    if paid > given * most * Fraction(10_000 - SPREAD_BPS, 10_000):
        text = f"{who} gives {paid} for {given}: the price was {float(most):.4f} at most, less the spread"
        yield Problem(Kind.PRICED_OFF, text)


def _knew_no_other(record: Record, deal: Agreed, feed: PriceFeed, quoted_s: float) -> bool:
    """Return true if the relayer's database had been lost by then, and began again, empty, while the price had jumped:
    the first one that it reads is what it takes the price to be."""
    story_s = record.world.clock.now() - record.world.seconds
    emptied = [until_s for name, since_s, until_s in record.forgotten if name == deal.relayer and since_s == 0]
    for until_s in (one for one in emptied if one <= quoted_s + ROUNDED_S):
        began_s = max(story_s + at_s for at_s in record.process(deal.relayer).began if story_s + at_s <= until_s)
        if any(price.jumped for _, price in [one for one in feed.answered if one[0] >= began_s][:KNOWN_AFTER]):
            return True
    return False


def _at_the_rate(record: Record, deal: Agreed) -> Iterator[Problem]:
    """The initiator gets what the rate makes of what they give, less the fee, and the provider keeps what is left of a
    unit: of its own asset, or of the initiator's if that was what they asked for."""
    rate, trading = rate_of(record.plan), record.plan.trading
    worth = Fraction(rate.numerator, rate.denominator)
    asked = trading is not None and deal.dapp is not None and deal.deal.number in trading.asks
    paid, given = int(deal.participant_leg.amount), int(deal.initiator_leg.amount)
    left = given * worth - paid - (0 if trading is None else trading.fee)
    if not 0 <= left < (worth if asked else 1):
        text = f"{deal.relayer} (deal {deal.deal.number}) gives {paid} for {given}, which is off by {float(left):.2f}"
        yield Problem(Kind.PRICED_OFF, text)
