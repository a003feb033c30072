"""Swaps as they change, for everybody who listens: one reader of the desk feeds every socket and event stream.

A listener that reads slowly gets the newest view of a swap, not every one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

from aiohttp import web

from core.model.errors import RetryableError
from core.model.types import SwapId
from core.runtime import retry
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from relayer.provider.desk import Desk, SwapView

EVERY_SWAP: Final = "*"
MAX_WAITING: Final = 1_000
"""Swaps whose newest view waits for one slow listener; beyond that it is closed."""
UPDATES_A_MESSAGE: Final = 20

log = get_logger("relayer.api.updates")


class Listener:
    """The swaps that one listener follows, and the views that wait for it."""

    def __init__(self) -> None:
        self.swaps: dict[str, None] = {}
        self.overrun = False
        self._waiting: dict[SwapId, SwapView] = {}
        self._sent: dict[SwapId, int] = {}
        self._arrived = asyncio.Event()

    def follows(self, swap_id: SwapId) -> bool:
        return swap_id in self.swaps or EVERY_SWAP in self.swaps

    def offer(self, view: SwapView) -> None:
        """Keep it for sending, unless a newer view of it waits or went out already."""
        waiting = self._waiting.get(view.id)
        newest = max(self._sent.get(view.id, -1), -1 if waiting is None else waiting.version)
        if not self.follows(view.id) or view.version <= newest:
            return
        self._waiting[view.id] = view
        self.overrun = self.overrun or len(self._waiting) > MAX_WAITING
        self._arrived.set()

    def forget(self, swap_id: str) -> None:
        self.swaps.pop(swap_id, None)
        self._sent.pop(SwapId(swap_id), None)

    async def next(self) -> list[SwapView]:
        """The next views to send, at most `UPDATES_A_MESSAGE`."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        first = [self._waiting.pop(swap_id) for swap_id in list(self._waiting)[:UPDATES_A_MESSAGE]]
        for view in first:
            # Only swaps followed by id are offered twice, at subscription and by the broadcaster.
            if view.id in self.swaps:
                self._sent[view.id] = view.version
        return first


class Broadcaster:
    """Reads every change from the desk, once for all listeners."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self.listeners: set[Listener] = set()

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                async with aclosing(self._desk.updates(wanted=lambda: bool(self.listeners))) as updates:  # type: ignore[type-var]
                    async for view in updates:
                        failures = 0
                        for listener in self.listeners:
                            listener.offer(view)
            except RetryableError as error:
                log.warning("updates are interrupted", reason=error.message)
            except Exception as error:  # one swap that cannot be read ends nobody's updates of the others
                log.error("updates are interrupted", exc_info=error)
            failures += 1
            await self._clock.sleep(retry.WORKER.delay_s(failures))

    def join(self, listener: Listener) -> None:
        self.listeners.add(listener)

    async def life(self, _: web.Application) -> AsyncIterator[None]:
        """For `cleanup_ctx`."""
        reading = asyncio.create_task(self.run(), name="swap updates")
        yield
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
