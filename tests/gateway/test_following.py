"""A daemon with a follower that cannot go on."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from core.model.errors import FatalError
from core.runtime.clock import SystemClock
from core.runtime.metrics import Metrics
from gateway.daemons.parts import following


class Following:
    """A follower that works, or one whose rows are damaged."""

    def __init__(self, chain: str, error: Exception | None = None) -> None:
        self.status = SimpleNamespace(chain=chain)
        self.works = asyncio.Event()
        self._error = error

    async def run(self) -> None:
        self.works.set()
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()


async def test_a_follower_s_fatal_error_ends_no_other_s_work() -> None:
    broken, well = Following("eip155:1", FatalError("damaged")), Following("causeway:test-1")
    both: list[Any] = [broken, well]
    running = asyncio.create_task(following(both, SystemClock(), Metrics(), contained=True).run())
    try:
        async with asyncio.timeout(5):
            await asyncio.gather(broken.works.wait(), well.works.wait())
        await asyncio.sleep(0.2)
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_daemon_that_only_follows_ends_with_its_reason() -> None:
    broken: list[Any] = [Following("eip155:1", FatalError("damaged"))]
    with pytest.raises(FatalError, match="damaged"):
        await following(broken, SystemClock(), Metrics()).run()
