"""SQLite's transactions on threads: pieces of work that wait together share one.

A transaction costs more around its work than in it: a thread wakes, the file is locked, the disk keeps what was
written, the event loop wakes again. So a thread does all that waits in one transaction, a piece after the other. A
write is answered after the commit. One that fails is taken back alone, by a SAVEPOINT; if the database itself fails,
nothing of the transaction is kept, and each write of it raises that.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock, local
from typing import Any, Final, TypeVar

from sqlalchemy.engine import Connection, Engine

from core.model.errors import CausewayError
from core.runtime.database_errors import translating
from core.runtime.statements import PreparedConnection

T = TypeVar("T")

MAX_TOGETHER: Final = 32
TOGETHER_S: Final = 0.01
"""A transaction begins no further piece after this time: the writes that are done wait for its commit."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Work, the future that waits for it, and how many came before."""

    number: int
    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


class DatabaseThreads:
    """Threads that do pieces of work on one database, begun in the order in which they came."""

    def __init__(self, engine: Engine, place: str, threads: int, name: str, *, writes: bool) -> None:
        self._engine = engine
        self._place = place
        self._threads = threads
        self._writes = writes
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = Lock()
        self._waiting: deque[_Piece] = deque()
        self._working = 0
        self._count = 0
        self._answers: dict[asyncio.AbstractEventLoop, list[tuple[_Piece, Any]]] = {}
        self._own = local()
        self._connections = list[PreparedConnection]()

    def run(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Return the future of what `work` returns or raises. Work whose future is cancelled in time does not begin."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._count += 1
            self._waiting.append(_Piece(self._count, work, future))
            wakes = self._working < self._threads
            self._working += wakes
        if wakes:
            self._pool.submit(self._work)
        return future

    def shutdown(self) -> None:
        """Return once nothing waits and nothing runs, and the file is let go of."""
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def _work(self) -> None:
        while (newest := self._newest()) is not None:
            self._transaction(newest)

    def _newest(self) -> int | None:
        """The number of the newest piece that waits; None if none does, and this thread is not working any more."""
        with self._lock:
            if self._waiting:
                return self._waiting[-1].number
            self._working -= 1
            return None

    def _next(self, newest: int) -> _Piece | None:
        """The piece that has waited longest, if it came no later than `newest`."""
        with self._lock:
            while self._waiting and self._waiting[0].number <= newest:
                piece = self._waiting.popleft()
                if not piece.future.cancelled():
                    return piece
        return None

    def _transaction(self, newest: int) -> None:
        """One transaction of pieces that were there before it began: a read sees all that was committed before it was
        asked for. No piece that another thread could begin waits for one that takes long."""
        begun, answers = list[_Piece](), list[tuple[_Piece, Any]]()
        try:
            connection = self._connected()
            with connection.begin():
                ends_s = time.monotonic() + TOGETHER_S
                while len(begun) < MAX_TOGETHER and (not begun or time.monotonic() < ends_s):
                    if (piece := self._next(newest)) is None:
                        break
                    begun.append(piece)
                    answers.append((piece, self._result(connection, piece, first=len(begun) == 1)))
                    if not self._writes:
                        self._answer([answers.pop()])
        except BaseException as error:
            if not isinstance(error, CausewayError):
                self._disconnect()
            failed = begun or [piece for piece in [self._next(newest)] if piece is not None]
            answers = [(piece, _Failed(self._translated(error))) for piece in failed]
        self._answer(answers)

    def _connected(self) -> PreparedConnection:
        """This thread's own connection."""
        connection: PreparedConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = PreparedConnection(self._engine)
            self._connections.append(connection)
        return connection

    def _disconnect(self) -> None:
        """Begin with another connection next time: what the database itself refused may have left this one unfit."""
        connection: PreparedConnection | None = self._own.__dict__.pop("connection", None)
        if connection is not None:
            self._connections.remove(connection)
            with suppress(Exception):
                connection.close()

    def _result(self, connection: Connection, piece: _Piece, first: bool) -> Any:
        """Return what a piece returns, `_Failed` for what it raises. Raise what ends the whole transaction."""
        if first:  # nothing else would be lost with it
            return piece.work(connection)
        try:
            if not self._writes:
                return piece.work(connection)
            with connection.begin_nested():
                return piece.work(connection)
        except BaseException as error:
            driver = connection.connection.driver_connection
            # After some errors, as of a full disk, SQLite has taken the whole transaction back by itself.
            if driver is None or not driver.in_transaction:
                raise
            return _Failed(self._translated(error))

    def _translated(self, error: BaseException) -> BaseException:
        try:
            with translating(self._place):
                raise error
        except StopIteration as stopped:
            return RuntimeError(f"work raised {stopped!r}, which a future cannot carry")
        except BaseException as meaning:
            return meaning

    def _answer(self, answers: list[tuple[_Piece, Any]]) -> None:
        """Wake each event loop once for all that is answered until it looks."""
        wakes = []
        with self._lock:
            for piece, answer in answers:
                loop = piece.future.get_loop()
                if loop not in self._answers:
                    self._answers[loop] = []
                    wakes.append(loop)
                self._answers[loop].append((piece, answer))
        for loop in wakes:
            try:
                loop.call_soon_threadsafe(self._deliver, loop)
            except RuntimeError:  # it is closed: nobody waits there any more
                with self._lock:
                    self._answers.pop(loop, None)

    def _deliver(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            answers = self._answers.pop(loop, [])
        for piece, answer in answers:
            if piece.future.done():
                continue
            if isinstance(answer, _Failed):
                piece.future.set_exception(answer.error)
            else:
                piece.future.set_result(answer)
