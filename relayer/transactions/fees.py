"""The fee to offer for inclusion (EIP-1559), and when to offer more.

The share of time used up, from 0 when the effect was first signed to 1 at its deadline, drives the offer: the tip
grows with its square, so that an early effect stays cheap and a late one does not haggle.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median_high
from typing import Final

from core.model.errors import RejectedError, RetryableError
from core.model.transactions import FeeBid, FeeMarket
from core.runtime.clock import Clock

MINIMUM_RISE_PER_MILLE: Final = 125
"""A replacement must outbid what it replaces by 10 % on geth, 12.5 % on some others; both fields of the bid."""
BASE_FEE_HEADROOM: Final = 2
"""A base fee grows by 12.5 % a block at most (EIP-1559): twice the present one covers six full blocks."""
URGENT_TIP_FACTOR: Final = 8
"""How much higher the tip is at the deadline than at the start."""
MINIMUM_TIP: Final = 1
MARKETS_KEPT: Final = 5
"""Looks at the market, a block apart, whose median is taken for usual: base fees rise by 12.5 % a block (EIP-1559)."""
SLOW_S: Final = 0.5
"""An answer that took longer to come stands for as long again, but for a block at most: see `Market.now`."""
MEMORY_S: Final = 6 * 3600.0
"""How old a bid may be that stands for a look at the market after a restart."""
MAX_CEILING: Final = 10**6 * 10**9
"""A million gwei: whoever sets more has mistaken the unit."""


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """How much may be offered, in base units per unit of gas, and how soon more is offered.

    `ceiling` bounds `max_fee`; an exit may go beyond it as its deadline comes nearer, up to `exit_factor` times it.
    Nothing is offered beyond `market_factor` times what the market asked lately (a median): one answer that is far off
    costs nothing. A transaction that waits longer than `patience_s` since it was last signed is replaced; with a
    deadline, after a tenth of the time that was left, if that is sooner.
    """

    ceiling: int = 2_000 * 10**9
    patience_s: float = 15.0
    impatience_share: float = 0.1
    exit_factor: int = 5
    market_factor: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.ceiling <= MAX_CEILING:
            raise RejectedError(f"a fee ceiling of {self.ceiling} per unit of gas: write 1 to {MAX_CEILING}, in wei")
        if self.patience_s <= 0 or not 0 < self.impatience_share < 1:
            raise RejectedError("a fee policy has a positive patience, and a share between 0 and 1")
        if self.exit_factor < 1 or self.market_factor < BASE_FEE_HEADROOM * URGENT_TIP_FACTOR:
            raise RejectedError(
                f"exit_factor is {self.exit_factor} and market_factor {self.market_factor}: they are at least 1 and "
                f"{BASE_FEE_HEADROOM * URGENT_TIP_FACTOR}, what an urgent bid in a full market needs"
            )

    def most(self, usual: int, share: float, exits: bool) -> int:
        """The ceiling now. `usual` is what the market asked lately; `share` of the time up to the deadline is used."""
        ceiling = self.ceiling
        if exits:
            ceiling += round(self.ceiling * (self.exit_factor - 1) * share)
        return max(1, min(ceiling, self.market_factor * max(1, usual)))


class Market:
    """The price of one chain's inclusion, remembered over some looks, so that one strange answer decides nothing."""

    def __init__(self, ask: Callable[[], Awaitable[FeeMarket | None]], clock: Clock, apart_s: float) -> None:
        self._ask = ask
        self._clock = clock
        self._apart_s = apart_s
        self._seen: deque[FeeMarket] = deque(maxlen=MARKETS_KEPT)
        self._since_s = float("-inf")
        self._stands_until_s = float("-inf")
        self._free = False

    def recall(self, bids: Sequence[FeeBid]) -> None:
        """Bids of an earlier life, the oldest first, stand for looks until newer ones take their places: a lone answer
        right after a start is judged like any other."""
        remembered = [FeeMarket(_base_fee_behind(bid), bid.priority_fee) for bid in bids[-MARKETS_KEPT:]]
        self._seen.extendleft(reversed(remembered[: MARKETS_KEPT - len(self._seen)]))

    async def now(self, timeout_s: float | None = None) -> FeeMarket | None:
        """The market, None on chains without fees. With `timeout_s` the last known one stands in for an answer that
        does not come. Raise `RetryableError` if there is none.

        Next to an endpoint that hangs each answer takes a second or two, and a lock needs several: whoever has just
        waited for one does not wait for another at once.
        """
        began_s = self._clock.monotonic()
        if began_s < self._stands_until_s:
            return self._seen[-1] if self._seen and not self._free else None
        try:
            async with asyncio.timeout(timeout_s):
                market = await self._ask()
        except (RetryableError, TimeoutError):
            if timeout_s is None or not (self._seen or self._free):
                raise
            return self._seen[-1] if self._seen else None
        self._free = market is None
        if market is not None:
            self._remember(market)
        if (took_s := self._clock.monotonic() - began_s) >= SLOW_S:
            self._stands_until_s = began_s + took_s + min(took_s, self._apart_s)
        return market

    def _remember(self, market: FeeMarket) -> None:
        """One place for each block: several questions about one block are one look."""
        if self._seen and self._clock.monotonic() - self._since_s < self._apart_s:
            self._seen[-1] = market
            return
        self._since_s = self._clock.monotonic()
        self._seen.append(market)

    @property
    def usual(self) -> int:
        """The median of what was asked lately, base fee and tip; 0 before anything was."""
        asked = [market.base_fee + market.priority_fee for market in self._seen]
        return median_high(asked) if asked else 0


def _base_fee_behind(bid: FeeBid) -> int:
    """The base fee that `first_bid` saw when it offered this much."""
    return max(0, bid.max_fee - bid.priority_fee) // BASE_FEE_HEADROOM


def share_used(created_s: float, deadline_s: float | None, now_s: float) -> float:
    """How much of the time up to the deadline has passed, 0 to 1; 0 without a deadline."""
    if deadline_s is None:
        return 0.0
    if now_s >= deadline_s or deadline_s <= created_s:
        return 1.0
    return max(0.0, (now_s - created_s) / (deadline_s - created_s))


def first_bid(market: FeeMarket, share: float, ceiling: int) -> FeeBid:
    """The offer that the market and the time call for, before anything was offered."""
    urgency_per_mille = round(1000 * (1 + (URGENT_TIP_FACTOR - 1) * share * share))
    tip = max(MINIMUM_TIP, market.priority_fee * urgency_per_mille // 1000)
    most = min(ceiling, BASE_FEE_HEADROOM * market.base_fee + tip)
    return FeeBid(max_fee=max(1, most), priority_fee=min(tip, max(1, most)))


def replacement_bid(previous: FeeBid, market: FeeMarket, share: float, ceiling: int) -> FeeBid | None:
    """A better offer than `previous`, by at least the minimum rise; None if the ceiling does not allow one."""
    wanted = first_bid(market, share, ceiling)
    max_fee = max(wanted.max_fee, _raised(previous.max_fee))
    tip = max(wanted.priority_fee, _raised(previous.priority_fee))
    max_fee = max(max_fee, tip)
    return None if max_fee > ceiling else FeeBid(max_fee, tip)


def _raised(fee: int) -> int:
    return -(-fee * (1000 + MINIMUM_RISE_PER_MILLE) // 1000)


def outbidding(previous: FeeBid, floor: FeeBid | None) -> FeeBid | None:
    """Return a bid that replaces `previous` and is at least `floor`; None if `previous` is at least that."""
    if floor is None or (previous.max_fee >= floor.max_fee and previous.priority_fee >= floor.priority_fee):
        return None
    max_fee = max(floor.max_fee, _raised(previous.max_fee))
    return FeeBid(max_fee, min(max_fee, max(floor.priority_fee, _raised(previous.priority_fee))))


def is_late(
    policy: FeePolicy, signed_s: float, deadline_s: float | None, now_s: float, bid: FeeBid, market: FeeMarket
) -> bool:
    """True if a pending transaction should be outbid now: it waited too long, or cannot pay the base fee any more.

    Behind its deadline it still has to make way for what comes after it.
    """
    waited = now_s - signed_s
    if waited <= 0:
        return False
    patience = policy.patience_s
    if deadline_s is not None and signed_s < deadline_s:
        patience = min(patience, policy.impatience_share * (deadline_s - signed_s))
    return waited >= patience or (bid.max_fee < market.base_fee + min(bid.priority_fee, market.priority_fee))
