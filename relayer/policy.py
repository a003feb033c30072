"""The operator's policy for a relayer: allowances of time, limits of exposure, reserves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, AssetId, BaseUnits, ChainId, Seconds
from htlc.timelocks import SwapPolicy
from relayer.transactions.pipeline import PipelinePolicy

QUOTE_LIFETIME_S: Final = Seconds(30)
MAX_QUOTE_LIFETIME_S: Final = Seconds(600)
"""Whoever holds a quote has an option on its price: nobody gets one for longer."""
MAX_OPEN_SWAPS: Final = 100_000
EXPIRY_WINDOW_S: Final = Seconds(600)
MAX_LAPSE_S: Final = Seconds(24 * 3_600)
"""How long it may be remembered against an account that a hold of it lapsed: swaps that came to nothing stay for it."""


@dataclass(frozen=True, slots=True)
class ExposureLimit:
    """How much of one asset may be promised or locked in open swaps: in all, to one counterparty, and in swaps whose
    timelocks fall into one window (a chain that is congested then delays all of their exits at once)."""

    total: BaseUnits
    per_counterparty: BaseUnits
    per_window: BaseUnits

    def __post_init__(self) -> None:
        if not all(0 <= value <= MAX_BASE_UNITS for value in (self.total, self.per_counterparty, self.per_window)):
            raise RejectedError("a limit is an amount: base units, 0 or more and below 2**256")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningPolicy:
    """Limits for callers of the API that open swaps on which nobody has locked yet.

    Only an opening with a proof of funds reserves anything before its lock is final: for `hold_s`; a lock that comes
    later is answered if inventory is left. Beyond a first swap, one account holds at most `account_share_percent`, and
    all accounts of one caller at most `caller_share_percent`, of what would be free without them, in a limited number
    of swaps. An account of which `max_lapses` holds ended without a lock within `lapse_s` proves nothing until some of
    that time is over. Openings without a proof reserve nothing and are bounded in number alone: an account's within its
    caller, a caller's, and all together by `RelayerPolicy.max_open_swaps`.

    `early_refunds`: whether locks on swaps that came to nothing are given back before their timelock, on request and at
    our cost, once a swap.
    """

    hold_s: Seconds = Seconds(180)
    max_per_account: int = 8
    max_per_caller: int = 32
    account_share_percent: int = 50
    caller_share_percent: int = 75
    early_refunds: bool = False
    max_lapses: int = 3
    lapse_s: Seconds = Seconds(3_600)

    def __post_init__(self) -> None:
        if self.max_lapses <= 0 or not 0 < self.lapse_s <= MAX_LAPSE_S:
            raise RejectedError(
                f"max_lapses = {self.max_lapses} and lapse_s = {self.lapse_s}: write a positive number, and 1 to "
                f"{MAX_LAPSE_S} seconds"
            )
        if self.hold_s <= 0 or not 0 < self.max_per_account <= self.max_per_caller:
            raise RejectedError(
                f"hold_s = {self.hold_s}, max_per_account = {self.max_per_account}, max_per_caller = "
                f"{self.max_per_caller}: write positive numbers, an account's at most a caller's"
            )
        if not 0 < self.account_share_percent <= self.caller_share_percent <= 100:
            raise RejectedError(
                f"account_share_percent = {self.account_share_percent}, caller_share_percent = "
                f"{self.caller_share_percent}: write 1 to 100, an account's at most a caller's"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPolicy:
    """Watching over swaps of others: off unless an operator switches it on, since it pays their fees for nothing.

    `max_watches` and `max_per_caller` bound the open ones, in all and of one caller. A registration under
    which no lock was seen for `unseen_s` ends; such ones hold at most half of the places. `max_exit_cost`: what one
    claim or refund may cost, by native asset; while the market asks for more it waits. It is also left to the parties
    while it would use what our own swaps keep for their exits, and given up after
    `htlc.decisions.MAX_WATCH_TRIES` failures that cost something. So a watch costs at most that many times
    `max_exit_cost`; what a node's simulation refuses costs calls, ever more seldom: claims up to the timelock,
    refunds up to a day after both.
    """

    enabled: bool = False
    max_watches: int = 100
    max_per_caller: int = 10
    unseen_s: Seconds = Seconds(600)
    max_exit_cost: Mapping[AssetId, BaseUnits] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.max_per_caller <= self.max_watches or self.unseen_s <= 0:
            raise RejectedError(
                f"unseen_s = {self.unseen_s}, max_per_caller = {self.max_per_caller}, max_watches = "
                f"{self.max_watches}: write positive numbers, a caller's at most all"
            )
        if any(cost <= 0 for cost in self.max_exit_cost.values()):
            raise RejectedError("a max_exit_cost is not positive: leave it out for no bound")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayerPolicy:
    """`exposure` limits by asset; an asset without a limit is bounded by the inventory alone. `gas_per_exit` is how
    much of a native asset each open swap keeps in reserve on that asset's chain, for a claim or a refund under
    congestion, and as much again for its own lock until it was seen; on chains that it does not name it is computed
    from the market (`relayer.inventory.exit_bid`).
    """

    swap: SwapPolicy
    quote_lifetime_s: Seconds = QUOTE_LIFETIME_S
    exposure: Mapping[AssetId, ExposureLimit] = field(default_factory=dict)
    window_s: Seconds = EXPIRY_WINDOW_S
    gas_per_exit: Mapping[AssetId, BaseUnits] = field(default_factory=dict)
    max_open_swaps: int = 1_000
    opening: OpeningPolicy = field(default_factory=OpeningPolicy)
    watch: WatchPolicy = field(default_factory=WatchPolicy)
    pipeline: PipelinePolicy = field(default_factory=PipelinePolicy)
    fee_ceilings: Mapping[ChainId, int] = field(default_factory=dict)
    """The most that is offered per unit of gas on a chain, in its base units; `pipeline.fees.ceiling` elsewhere."""

    def pipeline_on(self, chain: ChainId) -> PipelinePolicy:
        """Return the policy of transactions on one chain. Raise `RejectedError` for an absurd ceiling."""
        if (ceiling := self.fee_ceilings.get(chain)) is None:
            return self.pipeline
        return replace(self.pipeline, fees=replace(self.pipeline.fees, ceiling=ceiling))

    def __post_init__(self) -> None:
        if self.quote_lifetime_s <= 0 or self.window_s <= 0 or self.max_open_swaps <= 0:
            raise RejectedError("quote_lifetime_s, window_s and max_open_swaps must be positive")
        for asset, amount in self.gas_per_exit.items():
            if amount <= 0:
                raise RejectedError(
                    f"gas_per_exit of {asset} is {amount}: exits cost gas; leave it out to have it computed"
                )
        if self.quote_lifetime_s > MAX_QUOTE_LIFETIME_S or self.max_open_swaps > MAX_OPEN_SWAPS:
            raise RejectedError(
                f"a quote lives for at most {MAX_QUOTE_LIFETIME_S} s, and at most {MAX_OPEN_SWAPS} swaps are open"
            )
