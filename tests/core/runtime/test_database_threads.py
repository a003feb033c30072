"""SQLite transactions that pieces of work share, of which nobody notices more than the time they take."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, RejectedError
from core.runtime import database_threads
from core.runtime.database import SqliteDatabase
from tests.support import eventually

_OWN = sa.MetaData()
notes = sa.Table("notes", _OWN, sa.Column("number", sa.Integer, primary_key=True))
WAIT_S = 20.0


class Crowd:
    """Work that waits for a thread which is held up, and the transactions in which it is done afterwards."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.transactions = list[list[int]]()
        self._held = threading.Event()
        self._go = threading.Event()

    def hold(self, connection: Connection) -> None:
        self._held.set()
        assert self._go.wait(WAIT_S)

    async def write(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        """Results and errors of works that all waited together."""
        first = asyncio.ensure_future(self.database.write(self.hold))
        await eventually(self._held.is_set, WAIT_S)
        waiting = [asyncio.ensure_future(self.database.write(work)) for work in works]
        await asyncio.sleep(0)
        self._go.set()
        await first
        return await asyncio.gather(*waiting, return_exceptions=True)

    async def numbers(self) -> list[int]:
        return await self.database.read(lambda c: list(c.execute(sa.select(notes.c.number)).scalars()))


@pytest.fixture
async def crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crowd]:
    monkeypatch.setattr(database_threads, "TOGETHER_S", WAIT_S)
    database = SqliteDatabase(tmp_path / "notes.sqlite")
    await database.write(_OWN.create_all)
    yield Crowd(database)
    await database.close()


def put(connection: Connection, number: int) -> int:
    """Return how many there were."""
    before = connection.execute(sa.select(sa.func.count()).select_from(notes)).scalar_one()
    connection.execute(sa.insert(notes).values(number=number))
    return before


def commits(crowd: Crowd) -> list[int]:
    """A list that grows with each commit of the writer."""
    found = list[int]()
    sa.event.listen(crowd.database._writer_engine, "commit", lambda _: found.append(1))
    return found


async def test_writes_that_wait_together_share_a_commit(crowd: Crowd) -> None:
    seen = commits(crowd)
    assert await crowd.write([partial(put, number=number) for number in range(20)]) == list(range(20))
    assert len(seen) == 2  # the one that held the thread up, and all others
    assert await crowd.numbers() == list(range(20))


async def test_a_transaction_has_a_largest_number_of_pieces(crowd: Crowd) -> None:
    seen = commits(crowd)
    count = 2 * database_threads.MAX_TOGETHER + 1
    assert await crowd.write([partial(put, number=number) for number in range(count)]) == list(range(count))
    assert len(seen) in (3, 4)  # the holder may have taken some along


async def test_a_transaction_begins_nothing_after_its_time(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_threads, "TOGETHER_S", 0.0)
    seen = commits(crowd)
    await crowd.write([partial(put, number=number) for number in range(3)])
    assert len(seen) == 4


async def test_a_write_that_fails_takes_no_other_with_it(crowd: Crowd) -> None:
    def refused(connection: Connection) -> None:
        put(connection, 7)
        raise RejectedError("no")

    works: list[Callable[[Connection], Any]] = [refused, partial(put, number=1), refused, partial(put, number=1)]
    first, second, third, fourth = await crowd.write([*works])
    assert isinstance(first, RejectedError)
    assert second == 0
    assert isinstance(third, RejectedError)
    assert isinstance(fourth, ConflictError)  # translated: the first of the two has the place
    assert await crowd.numbers() == [1]


async def test_each_piece_of_work_is_done_once(crowd: Crowd) -> None:
    runs = list[int]()

    def work(connection: Connection, number: int) -> None:
        runs.append(number)
        if number % 3 == 0:
            raise RejectedError("no")

    await crowd.write([partial(work, number=number) for number in range(12)])
    assert runs == list(range(12))


async def test_no_write_is_answered_that_was_taken_back(crowd: Crowd) -> None:
    """SQLite takes a whole transaction back after some errors, as of a full disk."""

    def disk_fills_up(connection: Connection) -> None:
        put(connection, 3)
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("ROLLBACK")
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    def store(connection: Connection) -> None:
        put(connection, 1)

    first, second, third = await crowd.write([store, disk_fills_up, partial(put, number=2)])
    assert isinstance(first, sqlite3.OperationalError | FatalError)
    assert isinstance(second, sqlite3.OperationalError | FatalError)
    assert third == 0
    assert await crowd.numbers() == [2]


async def test_no_write_is_answered_whose_commit_failed(crowd: Crowd) -> None:
    failures = iter([False, True])

    def fail_once(_: Connection) -> None:
        if next(failures, False):
            raise sqlite3.OperationalError("disk I/O error")

    sa.event.listen(crowd.database._writer_engine, "commit", fail_once)
    answers = await crowd.write([partial(put, number=number) for number in range(3)])
    assert not any(isinstance(answer, int) for answer in answers)
    assert await crowd.numbers() == []


async def test_a_read_sees_what_was_committed_before_it(tmp_path: Path) -> None:
    """However many others read: a transaction that has begun takes no read in that came after it."""
    database = SqliteDatabase(tmp_path / "notes.sqlite")
    await database.write(_OWN.create_all)

    def count(connection: Connection) -> int:
        return connection.execute(sa.select(sa.func.count()).select_from(notes)).scalar_one()

    async def reads() -> None:
        while True:
            await asyncio.gather(*(database.read(count) for _ in range(8)))

    reading = [asyncio.create_task(reads()) for _ in range(2)]
    try:
        for number in range(100):
            await database.write(partial(put, number=number))
            assert await database.read(count) == number + 1
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await database.close()


async def test_a_read_that_takes_long_holds_no_other_up(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "notes.sqlite")
    go = threading.Event()
    long = asyncio.ensure_future(database.read(lambda _: go.wait(WAIT_S)))
    others = [asyncio.ensure_future(database.read(lambda c: c.execute(sa.select(1)).scalar_one())) for _ in range(20)]
    assert await asyncio.wait_for(asyncio.gather(*others), WAIT_S) == [1] * 20
    assert not long.done()
    go.set()
    assert await long
    await database.close()


async def test_work_whose_caller_has_gone_does_not_begin(crowd: Crowd) -> None:
    holding = asyncio.ensure_future(crowd.database.write(crowd.hold))
    await eventually(crowd._held.is_set, WAIT_S)
    gone = asyncio.ensure_future(crowd.database.write(partial(put, number=1)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    crowd._go.set()
    await holding
    assert await crowd.numbers() == []


async def test_closing_waits_for_all_that_was_asked_for(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "notes.sqlite")
    await database.write(_OWN.create_all)
    waiting = [asyncio.ensure_future(database.write(partial(put, number=number))) for number in range(100)]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*waiting) == list(range(100))
