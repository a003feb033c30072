"""Python's collector of cycles, told that a chain's process makes hardly any.

A block makes tens of thousands of objects that live on and are in no cycle. With its usual thresholds the collector
walks through them again and again, for a tenth of the process's time. Reference counts free them as before.
"""

import gc
from typing import Final

THRESHOLDS: Final = (100_000, 50, 100)
"""Allocations that outlive their scope before the youngest are looked at, and how often the older ones are."""


def spare_the_collector() -> None:
    """For the process of a chain, at its start."""
    gc.set_threshold(*THRESHOLDS)
