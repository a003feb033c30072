"""Who leads: one process at a time, the next one when it falls silent, and nothing stored by the one before."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url

from core.model.errors import FencedError, RetryableError
from core.runtime import journal, leadership, leases
from core.runtime.clock import ManualClock, SystemClock
from core.runtime.database import Database, InlineDatabase, create_schema, open_database
from core.runtime.leadership import LOOK_S, RENEW_S, TERM_S, FencedDatabase, Leadership
from core.runtime.leases import Lease

T = TypeVar("T")

NAME = "relayer"


@dataclass
class Line:
    """One process's way to the database, which can be cut."""

    database: Database
    cut: bool = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        self._check()
        return await self.database.write(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        self._check()
        return await self.database.read(work)

    async def close(self) -> None: ...

    def _check(self) -> None:
        if self.cut:
            raise RetryableError("the line is cut")


@dataclass
class Process:
    """A process that wants to lead, with a clock of its own."""

    line: Line
    clock: ManualClock
    leadership: Leadership = field(init=False)
    lease: Lease | None = None
    lost: FencedError | None = None
    task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.leadership = Leadership(self.line, NAME, self.clock)
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        self.lease = await self.leadership.taken()
        try:
            await self.leadership.keep(self.lease)
        except FencedError as error:
            self.lost = error

    async def store(self, position: int) -> None:
        """Work as a process that believes that it leads."""
        assert self.lease is not None

        def work(connection: Connection) -> None:
            before = journal.cursor(connection, NAME)
            journal.advance_cursor(connection, NAME, before, position)

        await FencedDatabase(self.line, self.lease).write(work)


@dataclass
class House:
    database: InlineDatabase
    clocks: list[ManualClock] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)

    async def process(self, start_s: float = 1_700_000_000) -> Process:
        clock = ManualClock(start_s)
        self.clocks.append(clock)
        self.processes.append(Process(Line(self.database), clock))
        await clock.advance(0)
        return self.processes[-1]

    async def pass_s(self, seconds: float, *, but: Process | None = None) -> None:
        """Time passes for all of them, but for one that is paused."""
        for _ in range(round(seconds / LOOK_S)):
            for clock in self.clocks:
                if but is None or clock is not but.clock:
                    await clock.advance(LOOK_S)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House(InlineDatabase())
    await made.database.write(lambda c: create_schema(c, (*leases.TABLES, *journal.TABLES)))
    yield made
    for process in made.processes:
        assert process.task is not None
        process.task.cancel()
    await asyncio.gather(*(one.task for one in made.processes if one.task), return_exceptions=True)
    await made.database.close()


async def test_one_leads_for_as_long_as_it_lives(house: House) -> None:
    first = await house.process()
    others = [await house.process(), await house.process()]
    await house.pass_s(20 * TERM_S)
    assert first.lease is not None
    assert first.lost is None
    assert [one.lease for one in others] == [None, None]
    assert {one.leadership.leader for one in (first, *others)} == {first.leadership.holder}


async def test_who_falls_silent_is_followed_in_time_by_one(house: House) -> None:
    first = await house.process()
    others = [await house.process(), await house.process()]
    await house.pass_s(RENEW_S + LOOK_S)
    await house.pass_s(TERM_S - RENEW_S - LOOK_S, but=first)
    assert [one.lease for one in others] == [None, None]
    await house.pass_s(RENEW_S + 3 * LOOK_S, but=first)
    assert sorted(one.lease is not None for one in others) == [False, True]
    leader = next(one for one in others if one.lease is not None)
    await leader.store(1)
    with pytest.raises(FencedError, match="has taken over relayer"):
        await first.store(2)
    await house.pass_s(RENEW_S + LOOK_S)
    assert first.lost is not None
    assert await house.database.read(lambda c: journal.cursor(c, NAME)) == 1


async def test_clocks_that_differ_move_nothing(house: House) -> None:
    first = await house.process()
    hasty, late = await house.process(1_700_000_000 + 86_400), await house.process(1_700_000_000 - 86_400)
    await house.pass_s(5 * TERM_S)
    assert (first.lost, hasty.lease, late.lease) == (None, None, None)


async def test_who_was_cut_off_itself_takes_nothing(house: House) -> None:
    first, second = await house.process(), await house.process()
    await house.pass_s(RENEW_S)
    second.line.cut = True
    await house.pass_s(2 * TERM_S)
    second.line.cut = False
    await house.pass_s(2 * RENEW_S)
    assert (first.lost, second.lease) == (None, None)


async def test_a_leader_that_is_cut_off_is_followed_and_ends(house: House) -> None:
    first, second = await house.process(), await house.process()
    first.line.cut = True
    await house.pass_s(TERM_S + RENEW_S + 2 * LOOK_S)
    assert first.lost is None
    assert second.lease is not None
    first.line.cut = False
    await house.pass_s(RENEW_S + LOOK_S)
    assert first.lost is not None


async def test_who_leaves_is_followed_at_once(house: House) -> None:
    first, second = await house.process(), await house.process()
    await house.pass_s(RENEW_S)
    assert first.task is not None
    assert first.lease is not None
    first.task.cancel()
    await first.leadership.release(first.lease)
    await house.pass_s(2 * LOOK_S, but=first)
    assert second.lease is not None
    with pytest.raises(FencedError):
        await first.store(1)


async def never_ends(followed: asyncio.Event) -> AsyncIterator[bytes]:
    """The data of a copy whose process is paused."""
    yield b"some\t1\t\\\\x00\t1\n"
    await followed.wait()


@pytest.mark.parametrize("inside", ["nothing", "a statement that waits", "a copy"])
@pytest.mark.parametrize("may_end", [True, False])
async def test_a_transaction_of_one_who_is_paused_ends(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, inside: str, may_end: bool
) -> None:
    """On PostgreSQL: paused between its writes and its commit, it would keep the lease's row for itself. A copy that is
    in the middle ends only if whoever takes over ends it."""
    if not may_end:
        if inside == "a copy":
            pytest.skip("without the right to end it, it waits for the process")
        monkeypatch.setattr(leadership, "_END_BLOCKERS", sa.text("SELECT 0 WHERE :backend > 0"))
    url = make_url(request.getfixturevalue("postgres_url")).render_as_string(hide_password=False)
    monkeypatch.setattr(leadership, "TERM_S", 0.5)
    one, two = open_database(url), open_database(url)
    await one.write(lambda c: create_schema(c, (*leases.TABLES, *journal.TABLES)))
    name = f"paused {time.time_ns()}"
    lease = await Leadership(one, name, SystemClock()).taken()
    paused, followed = asyncio.Event(), asyncio.Event()

    async def pause_inside() -> None:
        engine: Any = await one._examined()  # type: ignore[attr-defined]
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")  # in a transaction
            await connection.run_sync(leadership.bound_idle)
            await connection.run_sync(lambda c: leases.fence(c, name, lease.epoch))
            paused.set()
            if inside == "a copy":
                raw = await connection.get_raw_connection()
                await raw.driver_connection.copy_to_table("journal", source=never_ends(followed))
            elif inside == "a statement that waits":
                await connection.exec_driver_sql("SELECT pg_sleep(3)")
            await followed.wait()
            await connection.run_sync(lambda c: journal.advance_cursor(c, name, 0, 7))
            await connection.commit()

    pausing = asyncio.create_task(pause_inside())
    await paused.wait()
    newer = await Leadership(two, name, SystemClock()).taken()
    assert newer.epoch > lease.epoch
    followed.set()
    # The driver may have been in the middle of reading why the server ended it.
    with pytest.raises(Exception, match="connection|terminat|another operation"):
        await pausing
    assert await two.read(lambda c: journal.cursor(c, name)) == 0
    await one.close()
    await two.close()
