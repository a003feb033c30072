"""Whose turn it is at an event loop that many ask of.

asyncio serves all sockets that are readable in one round, so hundreds of connections would make a round as long as
hundreds of requests, and whatever else the loop has to do would wait for all of them. Here one of those who wait has
its turn in each round, and clients take turns, however many connections one of them has.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Rotation(Generic[T]):
    """A queue in which clients take turns, each with what it added first. Items are hashable, and in it once."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, dict[T, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._clients)

    def add(self, client: str, item: T) -> None:
        self._clients.setdefault(client, {})[item] = None

    def take(self) -> T:
        """The next item. Raise `KeyError` if there is none."""
        client, items = self._clients.popitem(last=False)
        item = next(iter(items))
        del items[item]
        if items:
            self._clients[client] = items
        return item

    def discard(self, client: str, item: T) -> None:
        """Take `item` out if it is still there."""
        items = self._clients.get(client, {})
        items.pop(item, None)
        if not items:
            self._clients.pop(client, None)


class Turns:
    """One event loop's queue: one piece of work in each round. It is as long as its callers let it be."""

    def __init__(self) -> None:
        self._waiting: Rotation[Callable[[], object]] = Rotation()
        self._scheduled = False

    def wait(self, client: str, work: Callable[[], object]) -> None:
        """Do `work` when this client's turn comes. What it raises goes to the loop's exception handler."""
        self._waiting.add(client, work)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._take)

    def forget(self, client: str, work: Callable[[], object]) -> None:
        """Take work out that nobody needs any more."""
        self._waiting.discard(client, work)

    async def come(self, client: str) -> None:
        """Return when this client's turn comes."""
        turn = asyncio.get_running_loop().create_future()
        work = partial(_settle, turn)
        self.wait(client, work)
        try:
            await turn
        finally:
            self.forget(client, work)

    def _take(self) -> None:
        if not self._waiting:
            self._scheduled = False
            return
        work = self._waiting.take()
        asyncio.get_running_loop().call_soon(self._take)
        work()


def _settle(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


class Entrance:
    """At most `most` requests at work at once. With `counted_s`, what takes longer waits for something else than the
    event loop, and counts no more."""

    def __init__(self, most: int, counted_s: float | None = None) -> None:
        self._free = most
        self._counted_s = counted_s
        self._waiting: Rotation[asyncio.Future[None]] = Rotation()

    @asynccontextmanager
    async def passed(self, client: str) -> AsyncIterator[None]:
        """A place while the block runs, once one is free and it is this client's turn."""
        await self._pass(client)
        counted = True

        def leave() -> None:
            nonlocal counted
            if counted:
                counted = False
                self._leave()

        late = None if self._counted_s is None else asyncio.get_running_loop().call_later(self._counted_s, leave)
        try:
            yield
        finally:
            if late is not None:
                late.cancel()
            leave()

    async def _pass(self, client: str) -> None:
        if self._free:
            self._free -= 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(client, place)
        try:
            await place
        except asyncio.CancelledError:
            self._waiting.discard(client, place)
            if place.done() and not place.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        """Give the place to the next who still waits for one."""
        while self._waiting:
            place = self._waiting.take()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
