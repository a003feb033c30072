"""Helpers for tests of several rooms: published vectors, waiting for conditions."""

import asyncio
import inspect
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, overload

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
VECTORS = REPOSITORY.parent / "shared" / "vectors"

LONG = os.environ.get("CAUSEWAY_LONG") == "1"
"""Set by `make test-long`, which runs the tests marked `endurance` with far more of the same."""

T = TypeVar("T")


def vectors(path: str) -> Path:
    """Return the published vector file or directory at `path`, which lives next to the repository, never in it.

    Skip the test, naming the file, on a machine that does not have it.
    """
    found = VECTORS / path
    if not found.exists():
        pytest.skip(f"no vectors at {found}")
    return found


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], deadline_s: float = 10.0, interval_s: float = 0.02
) -> T: ...


@overload
async def eventually(condition: Callable[[], T], deadline_s: float = 10.0, interval_s: float = 0.02) -> T: ...


async def eventually(condition: Callable[[], Any], deadline_s: float = 10.0, interval_s: float = 0.02) -> Any:
    """Ask `condition` (plain or async) again until it answers something true, and return that answer.

    Raise AssertionError with the last answer after `deadline_s` seconds. An AssertionError inside
    `condition` counts as "not yet"; any other exception ends the wait at once.
    """
    give_up = time.monotonic() + deadline_s
    while True:
        last: object
        try:
            answer = condition()
            result = await answer if inspect.isawaitable(answer) else answer
            if result:
                return result
            last = result
        except AssertionError as not_yet:
            last = not_yet
        if time.monotonic() >= give_up:
            raise AssertionError(f"still not so after {deadline_s} s: {last!r}")
        await asyncio.sleep(interval_s)
