"""Who waits for swaps to change, in this process. The database is what counts."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from core.model.errors import RetryableError
from core.model.types import SwapId
from core.runtime.signals import Signal

MAX_SUBSCRIPTIONS: Final = 1_000
MAX_WAITING_UPDATES: Final = 1_000
"""Swaps that may wait for one slow subscriber; beyond that the oldest is dropped, and comes with its next change."""


class SwapUpdates:
    """Notifies subscribers of swaps that have changed. In this process only; the database is what counts.

    All orders are fixed, those of subscribers and of swaps, so that a simulated process can be played again.
    """

    def __init__(self) -> None:
        self.effects = Signal()
        """Counts commits that may have left effects in the outbox."""
        self._subscriptions: dict[Subscription, None] = {}

    def changed(self, swap_ids: Collection[SwapId]) -> None:
        """These swaps have changed, and that is committed."""
        if not swap_ids:
            return
        self.effects.notify()
        for subscription in self._subscriptions:
            subscription.add(sorted(swap_ids))

    def unsure(self) -> None:
        """Something was committed, and nobody has heard what: whoever watches one swap looks at it again."""
        self.effects.notify()
        for subscription in self._subscriptions:
            subscription.look()

    @contextmanager
    def unsure_if_unheard(self) -> Iterator[None]:
        """Around a commit: if its answer is lost, it may stand all the same."""
        try:
            yield
        except RetryableError:
            self.unsure()
            raise

    def subscribe(self, only: SwapId | None = None) -> "Subscription":
        """From now on the id of each swap that changes (or of the one). Close it in the end.

        Raise `RetryableError` if too many watch already.
        """
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise RetryableError(f"{MAX_SUBSCRIPTIONS} watch swaps already: try again later")
        subscription = Subscription(only, self._closed)
        self._subscriptions[subscription] = None
        return subscription

    def _closed(self, subscription: "Subscription") -> None:
        self._subscriptions.pop(subscription, None)


class Subscription:
    """One subscriber. A swap that changes faster than they read is reported once."""

    def __init__(self, only: SwapId | None, ended: Callable[["Subscription"], None]) -> None:
        self._only = only
        self._ended = ended
        self._waiting: dict[SwapId, None] = {}
        self._arrived = asyncio.Event()

    def add(self, swap_ids: Collection[SwapId]) -> None:
        for swap_id in swap_ids:
            if self._only in (None, swap_id):
                self._waiting[swap_id] = None
                self._arrived.set()
        while len(self._waiting) > MAX_WAITING_UPDATES:
            del self._waiting[next(iter(self._waiting))]

    def look(self) -> None:
        """The one swap may have changed."""
        if self._only is not None:
            self.add([self._only])

    async def next(self) -> SwapId:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        first = next(iter(self._waiting))
        del self._waiting[first]
        return first

    def rest(self) -> list[SwapId]:
        """Return all others that have changed until now; they come again with their next change."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def close(self) -> None:
        self._ended(self)
