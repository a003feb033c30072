"""An event loop whose time jumps to its next timer whenever nothing is left to do.

It does what `asyncio.SelectorEventLoop` does, in the same order, without what only debugging and real input need:
simulations pass millions of callbacks through it. A timer is a float to the heap, so that it is compared in C.
"""

import asyncio
import contextvars
import heapq
import selectors
from collections.abc import Callable
from typing import Any, Final, TypeVar, TypeVarTuple

MIN_HEAP: Final = 100
MAX_CANCELLED: Final = 0.5
"""A heap of more timers than `MIN_HEAP` is made smaller once a larger share than this was cancelled; as in asyncio."""
RESOLUTION_S: Final = 1e-9
"""Timers that are due within this time of one another are due together."""

Callback = Callable[..., object]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def _nothing() -> None:
    """The callback of what was cancelled."""


class _Handle:
    """A callback that is due. See `asyncio.Handle`."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context")
    _source_traceback = None

    def __init__(self, callback: Callback, args: tuple[Any, ...], context: contextvars.Context | None) -> None:
        self._callback = callback
        self._args = args
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback, self._args = _nothing, ()

    def cancelled(self) -> bool:
        return self._cancelled


class _Timer(float):
    """A callback with its time, in seconds of the loop. See `asyncio.TimerHandle`."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_loop", "_scheduled")
    _source_traceback = None

    _callback: Callback
    _args: tuple[Any, ...]
    _context: contextvars.Context
    _cancelled: bool
    _loop: "VirtualLoop"
    _scheduled: bool

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._callback, self._args = _nothing, ()  # what they hold may go
            if self._scheduled:
                self._loop.one_cancelled()

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return float(self)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at 0. Raise RuntimeError if every task waits for something that no timer will bring."""

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())
        self._virtual_s = 0.0
        self._due: Any = self._ready  # type: ignore[attr-defined]  # the base's own queue: threads and signals add to it
        self._timers: list[_Timer] = []
        self._dead_timers = 0

    def time(self) -> float:
        return self._virtual_s

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, context)
        self._due.append(handle)
        return handle  # type: ignore[return-value]  # all that anybody asks of one

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._virtual_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = _Timer(when)
        timer._callback = callback
        timer._args = args
        timer._context = contextvars.copy_context() if context is None else context
        timer._cancelled = False
        timer._loop = self
        timer._scheduled = True
        heapq.heappush(self._timers, timer)
        return timer  # type: ignore[return-value]

    def run_in_executor(  # type: ignore[override]  # as `asyncio.to_thread` calls it
        self, executor: None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Work for a thread is done at once: while one works time would pass, how far nobody knows."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def one_cancelled(self) -> None:
        """A timer in the heap was cancelled."""
        self._dead_timers += 1

    def close(self) -> None:
        super().close()
        self._timers.clear()

    def _run_once(self) -> None:
        """One turn: what is due now, and nothing that becomes due meanwhile. The base calls this again and again."""
        self._drop_cancelled()
        due, timers = self._due, self._timers
        if not due and not self._stopping:  # type: ignore[attr-defined]
            self._jump()
        now_s = self._virtual_s + RESOLUTION_S
        while timers and timers[0] < now_s:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            due.append(timer)
        for _ in range(len(due)):
            handle = due.popleft()
            if handle._cancelled:
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                what = f"Exception in callback {handle._callback!r}"
                self.call_exception_handler({"message": what, "exception": error})

    def _drop_cancelled(self) -> None:
        timers = self._timers
        if len(timers) > MIN_HEAP and self._dead_timers / len(timers) > MAX_CANCELLED:
            for timer in timers:
                timer._scheduled = not timer._cancelled
            timers[:] = [timer for timer in timers if not timer._cancelled]
            heapq.heapify(timers)
            self._dead_timers = 0
        else:
            while timers and timers[0]._cancelled:
                self._dead_timers -= 1
                heapq.heappop(timers)._scheduled = False

    def _jump(self) -> None:
        """Nothing is due: take what the machine brings, or else let time pass until the next timer."""
        ready = self._selector.select(0)  # type: ignore[attr-defined]
        if ready:
            self._process_events(ready)  # type: ignore[attr-defined]
        elif self._timers:
            self._virtual_s += max(0.0, self._timers[0] - self._virtual_s)
        else:
            raise RuntimeError("nothing is left to do, and the program has not ended: it waits for ever")
