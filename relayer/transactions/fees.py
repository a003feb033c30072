"""What to offer for inclusion (EIP-1559), and when to offer more. Pure.

The share of time used up, from 0 when the effect was first signed to 1 at its deadline, drives the offer: the tip
grows with its square, so that an early effect stays cheap and a late one does not haggle.
"""

from dataclasses import dataclass
from typing import Final

from core.model.errors import RejectedError
from core.model.transactions import FeeBid, FeeMarket

MINIMUM_RISE_PER_MILLE: Final = 125
"""A replacement must outbid what it replaces by 10 % on geth, 12.5 % on some others; both fields of the bid."""
BASE_FEE_HEADROOM: Final = 2
"""A base fee grows by 12.5 % a block at most (EIP-1559): twice the present one covers six full blocks."""
URGENT_TIP_FACTOR: Final = 8
"""How much higher the tip is at the deadline than at the start."""
MINIMUM_TIP: Final = 1


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """`ceiling` bounds `max_fee` whatever the market says. A transaction that waits longer than `patience_s` since it
    was last signed is replaced; with a deadline, after a tenth of the time that was left, if that is sooner."""

    ceiling: int = 2_000 * 10**9
    patience_s: float = 15.0
    impatience_share: float = 0.1

    def __post_init__(self) -> None:
        if self.ceiling <= 0 or self.patience_s <= 0 or not 0 < self.impatience_share < 1:
            raise RejectedError("a fee policy has a positive ceiling and patience, and a share between 0 and 1")


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
    """A better offer than `previous`, by at least the minimum rise; None where the ceiling does not allow one."""
    wanted = first_bid(market, share, ceiling)
    max_fee = max(wanted.max_fee, _raised(previous.max_fee))
    tip = max(wanted.priority_fee, _raised(previous.priority_fee))
    max_fee = max(max_fee, tip)
    return None if max_fee > ceiling else FeeBid(max_fee, tip)


def _raised(fee: int) -> int:
    return -(-fee * (1000 + MINIMUM_RISE_PER_MILLE) // 1000)


def is_late(
    policy: FeePolicy, signed_s: float, deadline_s: float | None, now_s: float, bid: FeeBid, market: FeeMarket
) -> bool:
    """Whether a pending transaction should be outbid now: it waited too long, or cannot pay the base fee any more."""
    waited = now_s - signed_s
    if waited <= 0 or (deadline_s is not None and now_s >= deadline_s):
        return False
    patience = policy.patience_s
    if deadline_s is not None:
        patience = min(patience, policy.impatience_share * (deadline_s - signed_s))
    return waited >= patience or (bid.max_fee < market.base_fee + min(bid.priority_fee, market.priority_fee))
