"""Hypothesis for a given time instead of a given number of examples, in an event loop that the examples share."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import LONG

FUZZ_S: Final = 155.0 if LONG else 3.0
"""Of one fuzzer; `make test-long` has four of them for bytes of ABCI and RPC: more than ten minutes."""
ROUND: Final = 300


def fuzz(loop: asyncio.AbstractEventLoop, check: Callable[[Any], Any], drawn: st.SearchStrategy[Any]) -> int:
    """Call the coroutine function `check` with what is drawn until the time is over; how often that was."""
    until, count = time.monotonic() + FUZZ_S, 0

    @settings(max_examples=ROUND, suppress_health_check=list(HealthCheck), deadline=None, database=None)
    @given(drawn)
    def example(value: Any) -> None:
        nonlocal count
        if time.monotonic() < until:
            loop.run_until_complete(check(value))
            count += 1

    while time.monotonic() < until:
        example()
    print(f"{count} examples in {FUZZ_S:.0f} s")
    return count
