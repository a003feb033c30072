"""The former place of `relayer.pump.tables`, for programs that import it; it goes with 0.2."""

from relayer.pump.tables import relayer_locks, relayer_swaps

__all__ = ["relayer_locks", "relayer_swaps"]
