"""Leases: one holder at a time, and nothing stored by who had it before."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection, make_url

from core.model.errors import FencedError, RetryableError
from core.runtime import journal, leases
from core.runtime.database import Database, create_schema, open_database
from core.runtime.leases import Lease, LeaseHeldError

S = 10**9
NAME = "swap 0x01"


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path}/leases.sqlite")
    else:
        opened = open_database(request.getfixturevalue("postgres_url"))
    await opened.write(lambda c: create_schema(c, (*leases.TABLES, *journal.TABLES)))
    yield opened
    await opened.close()


@pytest.fixture
def name() -> str:
    """A name of its own: the PostgreSQL is every test's."""
    return f"swap {uuid.uuid4().hex}"


async def take(database: Database, name: str, holder: str, now_s: int, until_s: int = 0) -> Lease:
    return await database.write(
        lambda c: leases.take(c, name, holder, now_ns=now_s * S, until_ns=until_s * S),
    )


async def test_a_lease_is_its_holder_s_until_its_time_is_over(database: Database, name: str) -> None:
    first = await take(database, name, "one", 0, 10)
    assert first == Lease(name, "one", first.epoch, 10 * S)
    with pytest.raises(LeaseHeldError, match=r"one has .* for another 1\.0 s"):
        await take(database, name, "two", 9, 19)
    later = await take(database, name, "two", 10, 20)
    assert later.epoch > first.epoch
    assert await database.read(lambda c: leases.find(c, name)) == Lease(name, "two", later.epoch, 20 * S)


async def test_a_renewed_lease_lasts_longer(database: Database, name: str) -> None:
    lease = await take(database, name, "one", 0, 10)
    await database.write(lambda c: leases.renew(c, name, lease.epoch, until_ns=20 * S))
    with pytest.raises(LeaseHeldError):
        await take(database, name, "two", 15, 25)


async def test_a_lease_that_ended_is_kept_if_nobody_took_it(database: Database, name: str) -> None:
    lease = await take(database, name, "one", 0, 10)
    await database.write(lambda c: leases.renew(c, name, lease.epoch, until_ns=50 * S))
    await database.write(lambda c: leases.fence(c, name, lease.epoch))
    assert await database.read(lambda c: leases.find(c, name)) == leases.Lease(name, "one", lease.epoch, 50 * S)


async def test_who_was_replaced_stores_nothing_more(database: Database, name: str) -> None:
    old = await take(database, name, "one", 0, 10)
    new = await take(database, name, "two", 10, 20)

    def work(connection: Connection) -> None:
        journal.advance_cursor(connection, name, 0, 7)
        leases.fence(connection, name, old.epoch)

    for refused in (
        work,
        lambda c: leases.renew(c, name, old.epoch, until_ns=99 * S),
        lambda c: leases.check(c, name, old.epoch),
    ):
        with pytest.raises(FencedError, match=rf"another process \(two\) has taken over {name}"):
            await database.write(refused)
    await database.write(lambda c: leases.release(c, name, old.epoch))
    assert await database.read(lambda c: journal.cursor(c, name)) == 0
    assert await database.read(lambda c: leases.find(c, name)) == new


async def test_a_released_lease_is_free_at_once(database: Database, name: str) -> None:
    lease = await take(database, name, "one", 0, 100)
    await database.write(lambda c: leases.release(c, name, lease.epoch))
    assert (await take(database, name, "two", 1, 100)).epoch > lease.epoch


async def test_a_holder_takes_its_own_lease_again_at_once(database: Database, name: str) -> None:
    old = await take(database, name, "one", 0, 100)
    assert (await take(database, name, "one", 1, 101)).epoch > old.epoch
    with pytest.raises(FencedError):
        await database.write(lambda c: leases.fence(c, name, old.epoch))


async def test_without_a_term_whoever_comes_next_takes_it(database: Database, name: str) -> None:
    """Clocks that go back keep nobody waiting either, and no epoch comes again."""
    epochs = [(await take(database, name, f"process {n}", 100 - n)).epoch for n in range(4)]
    assert epochs == sorted(set(epochs))


@pytest.mark.parametrize("copied", ["before it was taken", "after it was taken once"])
async def test_an_older_copy_of_the_database_fences_off_too(database: Database, name: str, copied: str) -> None:
    """The copy has not heard of the epoch that a process works under which is paused while the copy takes its place."""
    older = None
    if copied == "after it was taken once":
        older = await take(database, name, "zero", 100)
    paused = await take(database, name, "one", 101)
    await database.write(lambda c: _put_back(c, name, older))
    newer = await take(database, name, "two", 102)
    assert newer.epoch > paused.epoch
    with pytest.raises(FencedError, match="two"):
        await database.write(lambda c: leases.fence(c, name, paused.epoch))
    await database.write(lambda c: leases.fence(c, name, newer.epoch))


def _put_back(connection: Connection, name: str, older: Lease | None) -> None:
    table = leases.leases
    connection.execute(table.delete().where(table.c.name == name))
    if older is not None:
        row = {"name": name, "holder": older.holder, "epoch": older.epoch, "until_ns": older.until_ns}
        connection.execute(table.insert().values(row))


async def test_a_lease_that_changed_is_not_taken_over(database: Database, name: str) -> None:
    """Whatever the clocks say: what counts is that the row is as it was seen."""

    async def take_over(seen: Lease | None) -> Lease:
        return await database.write(lambda c: leases.take_over(c, seen, name, "two", now_ns=9 * S, until_ns=99 * S))

    first = await take(database, name, "one", 5, 10)
    for seen in (None, Lease(name, "zero", first.epoch - 1, 10 * S), Lease(name, "one", first.epoch, 8 * S)):
        with pytest.raises(LeaseHeldError, match="one has taken or renewed"):
            await take_over(seen)
    assert (await take_over(first)).epoch > first.epoch


async def test_a_lease_that_nobody_took_fences_off(database: Database, name: str) -> None:
    with pytest.raises(FencedError, match="nobody known here"):
        await database.write(lambda c: leases.fence(c, name, 1))


async def test_of_many_who_come_together_one_gets_it(database: Database, name: str) -> None:
    came = await asyncio.gather(
        *(take(database, name, f"process {n}", 0, 10) for n in range(8)), return_exceptions=True
    )
    assert sorted(type(one) is Lease for one in came) == [False] * 7 + [True]
    assert all(isinstance(one, LeaseHeldError | Lease) for one in came)


async def test_nobody_takes_a_lease_while_fenced_work_is_stored(request: pytest.FixtureRequest, name: str) -> None:
    """On PostgreSQL transactions overlap: the one that takes the lease waits for the one that works under it."""
    url = make_url(request.getfixturevalue("postgres_url")).render_as_string(hide_password=False)
    one, two = open_database(url), open_database(url)
    await one.write(lambda c: create_schema(c, (*leases.TABLES, *journal.TABLES)))
    lease = await take(one, name, "one", 0, 10)
    order: list[str] = []

    def work(connection: Connection) -> None:
        leases.fence(connection, name, lease.epoch)
        connection.exec_driver_sql("SELECT pg_sleep(0.5)")
        journal.advance_cursor(connection, name, 0, 7)
        order.append("worked")

    async def take_late() -> None:
        await asyncio.sleep(0.2)
        await take(two, name, "two", 10, 20)
        order.append("taken")

    await asyncio.gather(one.write(work), take_late())
    assert order == ["worked", "taken"]
    with pytest.raises(FencedError):
        await one.write(work)
    assert await two.read(lambda c: journal.cursor(c, name)) == 7
    await one.close()
    await two.close()


def test_a_held_lease_is_worth_trying_again() -> None:
    assert issubclass(LeaseHeldError, RetryableError)
