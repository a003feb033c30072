"""An event loop whose time jumps to its next timer whenever nothing is left to do.

It does what `asyncio.SelectorEventLoop` does, in the same order, without what only debugging and real input need:
simulations pass millions of callbacks through it. A timer is a float to the heap, so that it is compared in C; what is
due is a list, so that it is made in C.
"""

import asyncio
import contextvars
import heapq
import selectors
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, TypeVarTuple

MIN_HEAP: Final = 100
MAX_CANCELLED: Final = 0.5
"""A heap of more timers than `MIN_HEAP` is made smaller once a larger share than this was cancelled; as in asyncio."""
RESOLUTION_S: Final = 1e-9
"""Timers that are due within this time of one another are due together."""
LOOK_EVERY: Final = 64
"""Jumps of time after which the loop looks what the machine brings: signals, and threads that call back."""

Callback = Callable[..., object]
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Handle(list[Any]):
    """A callback that is due, its arguments and its context: a list, which is made and read in C. See
    `asyncio.Handle`."""

    __slots__ = ()
    _source_traceback = None

    def cancel(self) -> None:
        self[:2] = None, ()  # what they hold may go

    def cancelled(self) -> bool:
        return self[0] is None


class _Timer(float):
    """A callback with its time, in seconds of the loop. See `asyncio.TimerHandle`."""

    __slots__ = ("_handle", "_loop", "_scheduled")
    _source_traceback = None

    _handle: _Handle
    _loop: "VirtualLoop"
    _scheduled: bool

    def cancel(self) -> None:
        handle = self._handle
        if handle[0] is not None:
            handle[:2] = None, ()
            if self._scheduled:
                self._loop._dead_timers += 1

    def cancelled(self) -> bool:
        return self._handle[0] is None

    def when(self) -> float:
        return float(self)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at 0. Raise RuntimeError if every task waits for something that no timer will bring."""

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())
        self._virtual_s = 0.0
        self._due: Any = self._ready  # type: ignore[attr-defined]  # the base's own queue
        self._timers: list[_Timer] = []
        self._dead_timers = 0
        """How many of them were cancelled."""
        self._jumps = 0
        # Asked for with every future: in C.
        self.get_debug = bool  # type: ignore[method-assign]  # bool() is false
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]

    def time(self) -> float:
        return self._virtual_s

    def create_task(
        self, coro: Any, *, name: Any = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = _Handle((callback, args, contextvars.copy_context() if context is None else context))
        self._due.append(handle)
        return handle  # type: ignore[return-value]  # all that anybody asks of one

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """The loop never sleeps, so that nobody has to wake it."""
        return self.call_soon(callback, *args, context=context)

    def _add_callback(self, handle: asyncio.Handle) -> None:
        """The base's own way to say that a signal or a file is there."""
        if not handle.cancelled():
            self.call_soon(handle._run)

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
        timer._handle = _Handle((callback, args, contextvars.copy_context() if context is None else context))
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

    def close(self) -> None:
        super().close()
        self._timers.clear()

    def _run_once(self) -> None:
        """Turns until the program ends: in each what is due now, and nothing that becomes due meanwhile. The base would
        call this for each."""
        due, timers = self._due, self._timers
        while True:
            if self._dead_timers and timers and (timers[0]._handle[0] is None or len(timers) > MIN_HEAP):
                self._drop_cancelled()
            if not due and not self._stopping:  # type: ignore[attr-defined]
                self._jump()
            now_s = self._virtual_s + RESOLUTION_S
            while timers and timers[0] < now_s:
                timer = heapq.heappop(timers)
                timer._scheduled = False
                due.append(timer._handle)
            for _ in range(len(due)):
                callback, args, context = due.popleft()
                if callback is None:
                    continue
                try:
                    context.run(callback, *args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    what = f"Exception in callback {callback!r}"
                    self.call_exception_handler({"message": what, "exception": error})
            if self._stopping:  # type: ignore[attr-defined]
                return

    def _drop_cancelled(self) -> None:
        timers = self._timers
        if len(timers) > MIN_HEAP and self._dead_timers / len(timers) > MAX_CANCELLED:
            for timer in timers:
                timer._scheduled = not timer.cancelled()
            timers[:] = [timer for timer in timers if timer._scheduled]
            heapq.heapify(timers)
            self._dead_timers = 0
        else:
            while timers and timers[0]._handle[0] is None:
                self._dead_timers -= 1
                heapq.heappop(timers)._scheduled = False

    def _jump(self) -> None:
        """Nothing is due: let time pass until the next timer, unless the machine has brought something."""
        self._jumps += 1
        if self._jumps % LOOK_EVERY == 0 or not self._timers:
            self._process_events(self._selector.select(0))  # type: ignore[attr-defined]
            if self._due:
                return
        if not self._timers:
            raise RuntimeError("nothing is left to do, and the program has not ended: it waits for ever")
        self._virtual_s += max(0.0, self._timers[0] - self._virtual_s)
