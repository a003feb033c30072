"""How often Python looks for reference cycles.

Its default, every 700 new containers, suits small programs. A follower makes ten containers an event, a chain tens of
thousands a block, none of them in a cycle: looking for cycles among them took a fifth of a follower's time, and a tenth
of a chain's.
"""

import gc
from typing import Final

THRESHOLDS: Final = (10_000, 100, 20)
"""The youngest generation is small: each look at it holds up the event loop, by some ms for 10,000 containers of
connections that were left, and 30 for 50,000."""


def collect_seldom() -> None:
    """Leave what was made until now (modules, configuration) out of every later collection, and collect less often.

    For a process that has started, once: daemons and benchmarks. See `gc.freeze` in Python's documentation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
