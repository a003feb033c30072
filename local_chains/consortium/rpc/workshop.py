"""The work that grows with a block, done here in one thread next to the event loop: blocks do not wait for answers.

One piece of work at a time, so that however many ask, the event loop and the thread that makes blocks have to share the
interpreter with one other thread only; clients take turns. Who asks for what is being made already waits for that.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from core.model.errors import RetryableError
from core.runtime.web import Entrance

CLIENT: Final[ContextVar[str]] = ContextVar("client", default="")
"""Who sent the request that is being answered; empty for nobody over the network."""
MAX_WAITING: Final = 64
MAX_WAITING_OF_A_CLIENT: Final = MAX_WAITING // 2
"""Pieces of work that wait for their turn."""
STOPS: Final = "the node stops: ask another, or again later"
MAX_KEPT: Final = 4
MAX_KEPT_BYTES: Final = 64 * 1024 * 1024
"""Of what was made last, by the bytes that it was made from."""

T = TypeVar("T")


class Workshop:
    """One engine's. `close` ends its thread after the work in hand. Without `threads` the work is done at once, for
    event loops whose time is not real."""

    def __init__(self, threads: bool = True) -> None:
        self._thread = ThreadPoolExecutor(1, "rpc answers") if threads else None
        self._making: dict[Hashable, asyncio.Future[Any]] = {}
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._turn = Entrance(1)
        self._waiting: Counter[str] = Counter()
        self._closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns. Raise what it raises, and `RetryableError` while too much waits, or once the node
        stops."""
        if self._thread is None:
            return work()
        if self._closed:
            raise RetryableError(STOPS)
        client = CLIENT.get()
        for waiting, most in (
            (self._waiting.total(), MAX_WAITING),
            (self._waiting[client], MAX_WAITING_OF_A_CLIENT if client else MAX_WAITING),
        ):
            if waiting >= most:
                raise RetryableError(f"{waiting} answers are being made already: ask again later")
        self._waiting[client] += 1
        try:
            async with self._turn.passed(client):
                if self._closed:
                    raise RetryableError(STOPS)
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # `close` gave the work up, and nobody cancelled who waits for it.
            raise RetryableError(STOPS) from None
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    async def made(self, name: Hashable, size: int, work: Callable[[], T]) -> T:
        """`run`, once for a `name` whose value never changes while it is remembered. It is made from `size` bytes."""
        if name in self._kept:
            self._kept.move_to_end(name)
            kept: T = self._kept[name][0]
            return kept
        making = self._making.get(name)
        if making is None:
            making = self._making[name] = asyncio.ensure_future(self.run(work))
            making.add_done_callback(lambda done: self._keep(name, size, done))
        # Whoever gives up does not take it from the others.
        found: T = await asyncio.shield(making)
        return found

    def _keep(self, name: Hashable, size: int, done: "asyncio.Future[Any]") -> None:
        del self._making[name]
        if done.cancelled() or done.exception() is not None:
            return
        self._kept[name] = done.result(), size
        while len(self._kept) > MAX_KEPT or sum(size for _, size in self._kept.values()) > MAX_KEPT_BYTES:
            self._kept.popitem(last=False)

    def close(self) -> None:
        self._closed = True
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
