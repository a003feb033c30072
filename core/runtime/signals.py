"""How workers of one process wake each other, and run side by side. A signal carries no data: who wakes looks at the
database."""

import asyncio
from collections.abc import Awaitable, Collection, Iterable
from typing import Any, TypeVar

from core.model.errors import FatalError

T = TypeVar("T")


class Signal:
    """Counts what happened; who remembers a count never misses the next one. Event loop only."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: dict[asyncio.Future[None], None] = {}

    @property
    def count(self) -> int:
        return self._count

    def notify(self) -> None:
        self.reach(self._count + 1)

    def reach(self, count: int) -> None:
        """Count up to `count`, never down, and wake everybody who waits."""
        self._count = max(self._count, count)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_beyond(self, count: int, timeout_s: float | None = None) -> bool:
        """True once the count is greater than `count`, false after `timeout_s` without that."""
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        while self._count <= count:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[waiter] = None
            try:
                if deadline is None:
                    await waiter
                else:
                    async with asyncio.timeout_at(deadline):
                        await waiter
            except TimeoutError:
                return False
            finally:
                self._waiting.pop(waiter, None)
        return True

    def add(self, waiter: asyncio.Future[None]) -> None:
        """Set the result of `waiter` with the next count, unless it has one. `discard` it in the end."""
        self._waiting[waiter] = None

    def discard(self, waiter: asyncio.Future[None]) -> None:
        self._waiting.pop(waiter, None)


async def wait_any(watched: Iterable[tuple[Signal, int]], timeout_s: float | None = None) -> None:
    """Return once one of the signals is beyond its count, or after `timeout_s`."""
    signals = list(watched)
    if any(signal.count > count for signal, count in signals):
        await asyncio.sleep(0)
        return
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for signal, _ in signals:
        signal.add(waiter)
    try:
        async with asyncio.timeout(timeout_s):
            await waiter
    except TimeoutError:
        return
    finally:
        for signal, _ in signals:
            signal.discard(waiter)


async def first_done(tasks: Collection["asyncio.Future[Any]"], timeout_s: float | None = None) -> None:
    """Return once one of these is done, or after `timeout_s`. They go on, whatever becomes of who waits.

    As `asyncio.wait` for the first one, which asks of each again and again whether it is a coroutine.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    timer = None if timeout_s is None else loop.call_later(timeout_s, _wake, waiter)

    def wake(_: object) -> None:
        if timer is not None:
            timer.cancel()
        _wake(waiter)

    for task in tasks:
        task.add_done_callback(wake)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
        for task in tasks:
            task.remove_done_callback(wake)


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


async def side_by_side(works: Iterable[Awaitable[T]]) -> list[T]:
    """Return what all of these return, in their order. Raise the first error, once all others were cancelled and have
    ended, too.

    For whoever may try again after an error, in place of `asyncio.TaskGroup`: on Python 3.11 a group that fails in the
    moment in which it is cancelled raises its errors and forgets the cancelling (CPython issue 116720), so that who
    tries again never ends.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        if left := [task for task in tasks if not task.done()]:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one exception by which a supervisor decides what to do: a fatal one before all others."""
    leaves = list[BaseException]()
    waiting = list[BaseException]([failures])
    while waiting:
        failure = waiting.pop(0)
        if isinstance(failure, BaseExceptionGroup):
            waiting += failure.exceptions
        else:
            leaves.append(failure)
    return min(leaves, key=lambda leaf: not isinstance(leaf, FatalError))
