"""Statements that are asked again, on both databases: the same rows, errors and counts as by SQLAlchemy."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, RejectedError
from core.runtime.columns import Uint256
from core.runtime.database import Database, open_database
from core.runtime.lists import is_one_of, list_values, room_for, table_of, table_values
from core.runtime.statements import padded

_OWN = sa.MetaData()
numbers = sa.Table(
    "some_numbers",
    _OWN,
    sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("amount", Uint256, nullable=False),
    sa.Column("word", sa.String(8)),
)
AMONG = (
    sa.select(numbers.c.n, numbers.c.amount).where(numbers.c.n.in_(sa.bindparam("wanted", expanding=True)))
).order_by(numbers.c.n)
INSERT = sa.insert(numbers)
RENAME = sa.update(numbers).where(numbers.c.n == sa.bindparam("of")).values(word=sa.bindparam("to"))
LENGTHS = (0, 1, 2, 3, 5, 8, 33, 400, 512, 513)


@pytest.fixture
async def database(each_database: Database) -> Database:
    await each_database.write(_OWN.drop_all)
    await each_database.write(_OWN.create_all)
    await each_database.write(lambda c: c.execute(INSERT, [{"n": n, "amount": n << 200} for n in range(600)]))
    return each_database


def among(connection: Connection, wanted: list[int]) -> list[tuple[int, int]]:
    return [(row.n, row.amount) for row in connection.execute(AMONG, {"wanted": wanted})]


async def test_lists_of_every_length_are_asked(database: Database) -> None:
    for length in LENGTHS * 2:  # a statement is prepared when it is asked for the second time
        wanted = list(range(590, 590 + length)) if length < 5 else list(range(length))
        found = await database.read(lambda c, wanted=wanted: among(c, wanted))  # type: ignore[misc]
        assert found == [(n, n << 200) for n in wanted if n < 600]


@pytest.mark.parametrize("length", range(70))
def test_a_padded_list_has_the_same_members(length: int) -> None:
    made = padded(list(range(length)))
    assert set(made) == set(range(length))
    assert len(made) in (0, *(1 << power for power in range(8)))


async def test_lists_for_the_driver_are_asked(database: Database) -> None:
    def work(connection: Connection, length: int) -> None:
        room = room_for(connection.dialect, length, 4, 600)
        listed = sa.select(numbers.c.n).where(is_one_of(numbers.c.n, room))
        sql = str(listed.compile(dialect=connection.dialect))
        rows = connection.exec_driver_sql(sql, list_values(list(range(length)), room)).fetchall()
        assert sorted(row[0] for row in rows) == list(range(length))
        asked = table_of((numbers.c.n, numbers.c.word), room)
        joined = sa.select(asked.c.word, numbers.c.n).join(numbers, numbers.c.n == asked.c.n)
        sql = str(joined.compile(dialect=connection.dialect))
        given = [(n, f"w{n}") for n in range(length)]
        rows = connection.exec_driver_sql(sql, table_values(given, room)).fetchall()
        assert {(word, n) for word, n in rows} == {(word, n) for n, word in given}

    for length in (1, 4, 5, 600):
        await database.read(lambda c, length=length: work(c, length))  # type: ignore[misc]


async def test_writes_say_how_many_rows_they_changed(database: Database) -> None:
    for _ in range(3):
        changed = await database.write(lambda c: c.execute(RENAME, {"of": 7, "to": "seven"}).rowcount)
        none = await database.write(lambda c: c.execute(RENAME, {"of": -1, "to": "nobody"}).rowcount)
        assert (changed, none) == (1, 0)
    await database.write(lambda c: c.execute(RENAME, [{"of": n, "to": f"n{n}"} for n in range(5)]))
    words = sa.select(numbers.c.word).where(numbers.c.n < 3).order_by(numbers.c.n)
    assert await database.read(lambda c: c.execute(words).scalars().all()) == ["n0", "n1", "n2"]


async def test_errors_of_prepared_statements_are_translated(database: Database) -> None:
    for _ in range(3):
        with pytest.raises(ConflictError, match="contradicts"):
            await database.write(lambda c: c.execute(INSERT, {"n": 1, "amount": 1}))
        with pytest.raises(FatalError, match="an amount is an integer"):
            await database.write(lambda c: c.execute(INSERT, {"n": 601, "amount": -1}))
        with pytest.raises(RejectedError, match="cannot keep a value"):
            await database.write(lambda c: c.execute(INSERT, {"n": 2**70, "amount": 1}))
    assert await database.read(lambda c: among(c, [1, 601])) == [(1, 1 << 200)]


async def test_a_savepoint_takes_back_its_own_part(database: Database) -> None:
    def work(connection: Connection) -> None:
        for n in (700, 701):
            point = connection.begin_nested()
            connection.execute(INSERT, {"n": n, "amount": 1})
            if n == 700:
                point.rollback()
            else:
                point.commit()

    await database.write(work)
    assert await database.read(lambda c: among(c, [700, 701])) == [(701, 1)]


# --- PostgreSQL alone ---


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[tuple[Database, asyncpg.Connection]]:
    """A database of several connections, and one that looks on from outside."""
    opened, outside = open_database(postgres_url), await asyncpg.connect(postgres_url)
    await opened.write(_OWN.drop_all)
    await opened.write(_OWN.create_all)
    yield opened, outside
    await outside.close()
    await opened.close()


def slow(connection: Connection) -> int:
    connection.execute(sa.text("SELECT pg_sleep(0.2)"))
    return int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())


async def test_connections_that_ended_are_replaced_unnoticed(postgres: tuple[Database, asyncpg.Connection]) -> None:
    database, outside = postgres
    pids = await asyncio.gather(*(database.read(slow) for _ in range(8)))
    assert len(set(pids)) == 8
    for pid in pids:
        await outside.execute("SELECT pg_terminate_backend($1)", pid)
    assert not set(await asyncio.gather(*(database.read(slow) for _ in range(8)))) & set(pids)


async def test_a_failure_that_work_hides_is_not_taken_for_a_commit(
    postgres: tuple[Database, asyncpg.Connection],
) -> None:
    database, _ = postgres

    def work(connection: Connection) -> None:
        connection.execute(INSERT, {"n": 1, "amount": 1})
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(INSERT, {"n": 1, "amount": 1})

    with pytest.raises(FatalError, match="had failed"):
        await database.write(work)
    assert await database.read(lambda c: among(c, [1])) == []


async def test_cancelled_work_leaves_no_transaction(postgres: tuple[Database, asyncpg.Connection]) -> None:
    database, outside = postgres
    pid = await database.read(slow)

    async def cancelled(work: Any) -> None:
        running = asyncio.create_task(database.write(work))
        await asyncio.sleep(0.1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    await asyncio.gather(*(cancelled(slow) for _ in range(4)))
    states = await outside.fetch("SELECT state FROM pg_stat_activity WHERE pid = $1", pid)
    assert [row["state"] for row in states] in ([], ["idle"])
    await outside.execute("SET lock_timeout = '5s'; LOCK TABLE some_numbers")
    assert await database.read(lambda c: c.execute(sa.text("SELECT 1")).scalar_one()) == 1


async def test_work_cancelled_twice_leaves_no_transaction(
    postgres: tuple[Database, asyncpg.Connection],
) -> None:
    """The second time while the first is being taken back."""
    database, _ = postgres

    def begun(connection: Connection) -> None:
        connection.execute(INSERT, {"n": 7, "amount": 7})
        connection.exec_driver_sql("SELECT pg_sleep(5)")

    for after_s in (0.0, 0.001, 0.01):
        tasks = [asyncio.create_task(database.write(begun)) for _ in range(3)]
        await asyncio.sleep(0.3)
        for _ in range(2):
            for one in tasks:
                one.cancel()
            await asyncio.sleep(after_s)
        await asyncio.gather(*tasks, return_exceptions=True)
        await database.write(lambda c: c.execute(INSERT, {"n": 8, "amount": 8}))
        assert await database.read(lambda c: among(c, [7])) == []
        await database.write(lambda c: c.execute(sa.delete(numbers)))
