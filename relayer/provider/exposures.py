"""The standing of each asset's promises, next to the policy's limits."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from core.model.types import AssetId, Seconds
from relayer import inventory
from relayer.inventory import Promise, Standing
from relayer.policy import ExposureLimit, RelayerPolicy


@dataclass(frozen=True, slots=True)
class Exposure:
    """One asset: what firm promises of it stand at, and the policy's limits, None without any, with the length of a
    window of timelocks."""

    asset: AssetId
    standing: Standing
    limit: ExposureLimit | None
    window_s: Seconds


def exposures(
    promised: Iterable[Promise], policy: RelayerPolicy, now_ns: int, offered: Collection[AssetId] = ()
) -> list[Exposure]:
    """Return every asset that is promised, limited, or `offered`, in order."""
    standing = inventory.standing(inventory.firm(promised, now_ns), policy.window_s)
    return [
        Exposure(asset, standing.get(asset, Standing()), policy.exposure.get(asset), policy.window_s)
        for asset in sorted({*standing, *policy.exposure, *offered})
    ]
