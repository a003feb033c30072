"""The three databases: transactions, exact amounts, and errors that say what to do."""

import asyncio
import sqlite3
import uuid
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, RetryableError
from core.runtime import database as database_module
from core.runtime.columns import Bytes32, Uint256
from core.runtime.database import (
    METADATA,
    Database,
    InlineDatabase,
    SqliteDatabase,
    create_schema,
    open_database,
)

_OWN = sa.MetaData()
amounts = sa.Table(
    "amounts",
    _OWN,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("amount", Uint256),
    sa.Column("hash", Bytes32),
)


@pytest.fixture
async def database(each_database: Database) -> Database:
    await each_database.write(_OWN.drop_all)
    await each_database.write(_OWN.create_all)
    return each_database


def put(connection: Connection, name: str, amount: int | None = None) -> None:
    connection.execute(sa.insert(amounts).values(name=name, amount=amount))


def names(connection: Connection) -> list[str]:
    return list(connection.execute(sa.select(amounts.c.name).order_by(amounts.c.name)).scalars())


async def test_what_was_written_is_read(database: Database) -> None:
    assert await database.write(lambda c: c.execute(sa.insert(amounts).values(name="a")).rowcount) == 1
    assert await database.read(names) == ["a"]


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def half(connection: Connection) -> None:
        put(connection, "a")
        raise RetryableError("the second half fails")

    with pytest.raises(RetryableError, match="second half"):
        await database.write(half)
    assert await database.read(names) == []


async def test_a_violated_constraint_is_a_conflict(database: Database) -> None:
    await database.write(lambda c: put(c, "a"))
    with pytest.raises(ConflictError, match="contradicts"):
        await database.write(lambda c: put(c, "a"))


async def test_writes_side_by_side_are_all_kept(database: Database) -> None:
    await asyncio.gather(*(database.write(partial(put, name=f"{i:03}")) for i in range(50)))
    assert await database.read(names) == [f"{i:03}" for i in range(50)]


EDGES = [0, 1, 255, 256, 2**63 - 1, 2**63, 2**63 + 1, 10**19, 2**255, 2**256 - 1]


async def test_amounts_of_256_bits_come_back_exact_and_sorted(database: Database) -> None:
    def fill(connection: Connection) -> None:
        for number in reversed(EDGES):
            put(connection, str(number), number)

    await database.write(fill)
    query = sa.select(amounts.c.amount).order_by(amounts.c.amount)
    assert await database.read(lambda c: list(c.execute(query).scalars())) == EDGES
    above = sa.select(sa.func.count()).where(amounts.c.amount > 2**63)
    assert await database.read(lambda c: c.execute(above).scalar_one()) == 4


@given(st.lists(st.integers(0, 2**256 - 1), min_size=2, max_size=5, unique=True))
def test_stored_amounts_sort_as_their_values(numbers: list[int]) -> None:
    dialect = sa.create_engine("sqlite://").dialect
    kind = Uint256()
    stored = {number: kind.process_bind_param(number, dialect) for number in numbers}
    assert sorted(numbers) == sorted(numbers, key=lambda number: stored[number] or b"")
    assert [kind.process_result_value(stored[number], dialect) for number in numbers] == numbers


@pytest.mark.parametrize("wrong", [-1, 2**256, 1.5, True])
async def test_an_amount_out_of_range_is_never_stored(database: Database, wrong: int) -> None:
    with pytest.raises(FatalError, match=r"below 2\*\*256"):
        await database.write(lambda c: put(c, "a", wrong))
    assert await database.read(names) == []


async def test_bytes32_refuses_other_lengths(database: Database) -> None:
    await database.write(lambda c: c.execute(sa.insert(amounts).values(name="a", hash=b"\x07" * 32)))
    assert await database.read(lambda c: c.execute(sa.select(amounts.c.hash)).scalar()) == b"\x07" * 32
    with pytest.raises(FatalError, match="exactly 32 bytes"):
        await database.write(lambda c: c.execute(sa.insert(amounts).values(name="b", hash=b"\x07" * 31)))


async def test_a_file_keeps_what_was_committed(tmp_path: Path) -> None:
    for name in ("first", "second"):
        opened = open_database(f"sqlite:///{tmp_path}/db.sqlite")
        await opened.write(_OWN.create_all)
        await opened.write(partial(put, name=name))
        await opened.close()
    reopened = InlineDatabase(f"sqlite:///{tmp_path}/db.sqlite")
    assert await reopened.read(names) == ["first", "second"]
    assert await reopened.read(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"
    assert await reopened.read(lambda c: c.exec_driver_sql("PRAGMA synchronous").scalar()) == 2
    await reopened.close()


async def test_reads_cannot_write(tmp_path: Path) -> None:
    opened = SqliteDatabase(f"sqlite:///{tmp_path}/db.sqlite")
    await opened.write(_OWN.create_all)
    with pytest.raises(FatalError, match="read-only"):
        await opened.read(lambda c: put(c, "a"))
    await opened.close()


async def test_reads_in_memory_cannot_write_and_go_on_after_an_error() -> None:
    opened = InlineDatabase()
    await opened.write(_OWN.create_all)
    with pytest.raises(ZeroDivisionError):
        await opened.read(lambda c: 1 // 0)
    assert await opened.read(lambda c: c.in_transaction())

    def write_and_fail(connection: Connection) -> None:
        put(connection, "a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await opened.write(write_and_fail)
    assert await opened.read(names) == []
    with pytest.raises(FatalError, match="what only reads has written"):
        await opened.read(lambda c: put(c, "a"))


async def test_database_locked_by_another_process_is_retryable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 50)
    opened = open_database(f"sqlite:///{tmp_path}/db.sqlite")
    await opened.write(_OWN.create_all)
    other = sqlite3.connect(tmp_path / "db.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RetryableError, match="db.sqlite is locked by another process"):
        await opened.write(lambda c: put(c, "a"))
    other.execute("ROLLBACK")
    other.close()
    await opened.write(lambda c: put(c, "a"))
    assert await opened.read(names) == ["a"]
    await opened.close()


async def test_a_full_disk_is_fatal_and_keeps_what_was_there(tmp_path: Path) -> None:
    opened = open_database(f"sqlite:///{tmp_path}/db.sqlite")
    await opened.write(_OWN.create_all)
    await opened.write(lambda c: put(c, "before"))

    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        for number in range(10_000):
            put(connection, f"filler {number:0100}")

    with pytest.raises(FatalError, match=r"db.sqlite cannot grow, its disk is full: free some space"):
        await opened.write(fill)
    assert await opened.read(names) == ["before"]
    await opened.close()


async def test_a_file_that_is_no_database_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to have a header\n" * 100)
    opened = open_database(f"sqlite:///{tmp_path}/notes.txt")
    with pytest.raises(FatalError, match="not an SQLite database"):
        await opened.write(names)
    await opened.close()


async def test_postgres_that_is_down_is_retryable_password_hidden() -> None:
    opened = open_database("postgresql://user:hunter2@127.0.0.1:1/causeway")
    with pytest.raises(RetryableError, match="127.0.0.1:1/causeway cannot be reached") as caught:
        await opened.read(names)
    assert "hunter2" not in str(caught.value)
    await opened.close()


@pytest.mark.parametrize("url", ["mysql://localhost/x", "no url at all"])
def test_an_unknown_url_is_refused_with_the_forms_that_work(url: str) -> None:
    with pytest.raises(FatalError, match="sqlite:///FILE or postgresql://"):
        open_database(url)


async def test_a_queue_that_is_full_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "MAX_QUEUED", 0)
    opened = open_database(f"sqlite:///{tmp_path}/db.sqlite")
    with pytest.raises(RetryableError, match="wait for the database already"):
        await opened.write(names)
    await opened.close()


async def test_the_schema_is_created_once() -> None:
    opened = InlineDatabase()
    await opened.write(create_schema)
    await opened.write(create_schema)
    tables = await opened.read(lambda c: set(sa.inspect(c).get_table_names()))
    assert {table.name for table in METADATA.sorted_tables} == tables
    await opened.close()


async def test_two_databases_do_not_share_memory() -> None:
    first, second = InlineDatabase(), InlineDatabase()
    await first.write(_OWN.create_all)
    await second.write(_OWN.create_all)
    await first.write(lambda c: put(c, uuid.uuid4().hex))
    assert await second.read(names) == []
    await first.close()
    await second.close()
