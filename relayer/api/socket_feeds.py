"""The subscriptions that one WebSocket follows: their newest answers at once, then every change, then their end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from relayer.api.bodies import SocketAnswer
from relayer.api.subscriptions import DELETED, push_bodies
from relayer.asking.pusher import Feed, Pusher

ANSWERS: Final = "answer.update"
MAX_FOLLOWED: Final = 20
"""Subscriptions of one socket."""
LOOK_S: Final = 60.0
PAUSE_S: Final = 2.0
"""After a database that did not answer."""

log = get_logger("relayer.api.socket_feeds")


class SocketFeeds:
    """`write` sends one answer over the socket. Raises what that raises in its tasks, which the socket's end ends."""

    def __init__(self, pusher: Pusher, clock: Clock, write: Callable[[SocketAnswer], Awaitable[None]]) -> None:
        self._pusher = pusher
        self._clock = clock
        self._write = write
        self._feeds: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> list[str]:
        """The ids of the subscriptions that are followed now."""
        return [name for name, task in self._feeds.items() if not task.done()]

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return list(self._feeds.values())

    async def follow(self, ids: Sequence[str]) -> None:
        """All or none. Raise `NotFoundError` for an unknown subscription, `RejectedError` for none or too many."""
        followed = self.names
        new = [one for one in dict.fromkeys(ids) if one not in followed]
        if not ids:
            raise RejectedError("name the subscriptions to follow in args")
        if len(followed) + len(new) > MAX_FOLLOWED:
            raise RejectedError(f"one socket follows {MAX_FOLLOWED} subscriptions at most: use a second socket")
        found = [await self._pusher.find(one) for one in new]
        self._feeds = {name: self._feeds[name] for name in followed}
        for subscription in found:
            feed = Feed(self._pusher, subscription, 0, self._clock)
            self._feeds[subscription.id] = asyncio.create_task(self._run(feed))

    async def forget(self, ids: Sequence[str]) -> None:
        gone = [task for one in ids if (task := self._feeds.pop(one, None)) is not None]
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)

    async def _run(self, feed: Feed) -> None:
        """Send what changes until the subscription ends or the socket does."""
        stop, reason = Signal(), DELETED
        while True:
            try:
                changes = await feed.next(stop, LOOK_S)
            except NotFoundError:
                break
            except RetryableError as error:
                log.info("changes of answers cannot be read now", reason=error.message)
                await self._clock.sleep(PAUSE_S)
                continue
            # One message for each: a piece of evidence may be long.
            for body in push_bodies(feed.subscription, changes):
                await self._write(SocketAnswer(event="update", channel=ANSWERS, answers=(body,)))
            if not changes and feed.subscription.ended_ns is not None:
                reason = feed.subscription.reason or reason
                break
        await self._write(SocketAnswer(event="end", channel=ANSWERS, args=(feed.subscription.id,), reason=reason))
