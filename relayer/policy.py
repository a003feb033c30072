"""What an operator allows his relayer to do: allowances of time, limits of exposure, reserves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from core.model.errors import RejectedError
from core.model.types import AssetId, BaseUnits, Seconds
from htlc.timelocks import SwapPolicy
from relayer.transactions.pipeline import PipelinePolicy

QUOTE_LIFETIME_S: Final = Seconds(30)
EXPIRY_WINDOW_S: Final = Seconds(600)


@dataclass(frozen=True, slots=True)
class ExposureLimit:
    """How much of one asset may be promised or locked in open swaps: in all, to one counterparty, and in swaps whose
    timelocks fall into one window (a chain that is congested then delays all of their exits at once)."""

    total: BaseUnits
    per_counterparty: BaseUnits
    per_window: BaseUnits


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayerPolicy:
    """`exposure` limits by asset; an asset without a limit is bounded by the inventory alone. `gas_per_exit` is how
    much of a native asset each open swap keeps in reserve on that asset's chain, for a claim or a refund under
    congestion.
    """

    swap: SwapPolicy
    quote_lifetime_s: Seconds = QUOTE_LIFETIME_S
    exposure: Mapping[AssetId, ExposureLimit] = field(default_factory=dict)
    window_s: Seconds = EXPIRY_WINDOW_S
    gas_per_exit: Mapping[AssetId, BaseUnits] = field(default_factory=dict)
    max_open_swaps: int = 1_000
    pipeline: PipelinePolicy = field(default_factory=PipelinePolicy)

    def __post_init__(self) -> None:
        if self.quote_lifetime_s <= 0 or self.window_s <= 0 or self.max_open_swaps <= 0:
            raise RejectedError("a relayer's policy has positive limits")
