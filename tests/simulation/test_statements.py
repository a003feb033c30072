"""Prepared statements: whatever is asked again has the same rows, errors and effects as SQLAlchemy's own way."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError
from core.runtime.columns import Bytes32, Uint256
from core.runtime.database import InlineDatabase
from core.runtime.statements import Found, Prepared
from gateway.simulation.statements import give_back, memory_database, taken, written
from relayer.transactions.accounts import relayer_accounts

TABLE = sa.Table(
    "statements_kept",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("amount", Uint256),
    sa.Column("hash", Bytes32),
    sa.Column("done", sa.Boolean, nullable=False, server_default=sa.false()),
)
OTHER = sa.Table("statements_other", TABLE.metadata, sa.Column("id", sa.Integer, primary_key=True))
ROWS = [
    {"id": number, "name": f"row {number}", "amount": 2**200 + number, "hash": bytes([number]) * 32}
    for number in range(5)
]
INSERT = sa.insert(TABLE)
ALL = sa.select(TABLE).order_by(TABLE.c.id)
BY_NAMES = ALL.where(TABLE.c.name.in_(sa.bindparam("names", expanding=True)), TABLE.c.amount >= sa.bindparam("least"))
FIRST = sa.select(TABLE.c.amount, (TABLE.c.id + 1).label("next")).order_by(TABLE.c.id).limit(sa.bindparam("most"))
FIXED = sa.select(TABLE.c.name).where(TABLE.c.id.in_((1, 3)), ~TABLE.c.done)
FINISH = sa.update(TABLE).where(TABLE.c.id >= sa.bindparam("from_id")).values(done=True, amount=7)
RENAME = sa.update(TABLE).where(TABLE.c.id == sa.bindparam("of_id")).values(name=sa.bindparam("new_name"))
NAMED = RENAME.returning(TABLE.c.name, TABLE.c.amount)
SET = sa.update(TABLE).where(TABLE.c.id == sa.bindparam("of_id"))
DELETE = sa.delete(TABLE).where(TABLE.c.name == sa.bindparam("of_name"))
ASKED: tuple[tuple[Any, dict[str, Any]], ...] = (
    *((INSERT, row) for row in ROWS),
    (ALL, {}),
    (BY_NAMES, {"names": ["row 1", "row 2"], "least": 2**200}),
    (BY_NAMES, {"names": ["row 3", "row 4"], "least": 2**200 + 4}),
    (BY_NAMES, {"names": ("row 2", "row 4", "row 1"), "least": 2**200}),
    (BY_NAMES, {"names": ("row 2",), "least": 2**200}),
    (BY_NAMES, {"names": [], "least": 0}),
    (BY_NAMES, {"names": [], "least": 1}),
    *((FIRST, {"most": most}) for most in (1, 2, 9)),
    (FIXED, {}),
    (FIXED, {}),
    *((FINISH, {"from_id": number}) for number in (4, 3, 9)),
    *((RENAME, {"of_id": 1, "new_name": name}) for name in ("a", "b", "c")),
    *((NAMED, {"of_id": number, "new_name": f"named {number}"}) for number in (0, 1, 9)),
    *((SET, {"of_id": number, "amount": None, "hash": bytes(32)}) for number in (0, 1)),
    (SET, {"of_id": 2, "done": True}),
    (SET, {"of_id": 3, "done": False}),
    *((DELETE, {"of_name": name}) for name in ("b", "c", "row 2")),
    (ALL, {}),
    (ALL, {}),
)


async def made(database: InlineDatabase) -> InlineDatabase:
    await database.write(TABLE.metadata.create_all)
    return database


@pytest.fixture
async def prepared() -> Any:
    return await made(memory_database())


async def test_statements_asked_again_answer_as_sqlalchemy_does(prepared: Any) -> None:
    plain = await made(InlineDatabase())
    quick = 0
    for statement, values in ASKED:

        def work(connection: Connection, statement: Any = statement, values: Any = values) -> Any:
            found = connection.execute(statement, values)
            rows = found.all() if statement.is_select or statement is NAMED else []
            return type(found), [tuple(row) for row in rows], [*rows[0]._fields] if rows else [], found.rowcount

        kind, *answer = await prepared.write(work)
        _, *expected = await plain.write(work)
        if statement.is_select or statement is NAMED:  # whose count says nothing
            answer[-1] = expected[-1] = 0
        assert answer == expected, str(statement)
        quick += kind is Found
    assert quick > len(ASKED) / 2


async def test_rows_have_names_and_results_every_way_of_reading(prepared: Any) -> None:
    def work(connection: Connection) -> None:
        connection.execute(INSERT, ROWS[:2])
        for _ in range(2):
            found = connection.execute(ALL)
        assert isinstance(found, Found)
        assert [row.name for row in found] == ["row 0", "row 1"]
        assert found.first().amount == 2**200
        assert found.scalar() == 0
        assert found.scalars().all() == [0, 1]
        with pytest.raises(sa.exc.MultipleResultsFound):
            found.one()
        for _ in range(2):
            none = connection.execute(BY_NAMES, {"names": ["nobody"], "least": 0})
        assert isinstance(none, Found)
        assert (none.first(), none.scalar(), none.one_or_none(), none.scalar_one_or_none()) == (None, None, None, None)
        with pytest.raises(sa.exc.NoResultFound):
            none.scalar_one()

    await prepared.write(work)


async def test_what_the_database_refuses_is_the_same_error(prepared: Any) -> None:
    for row in ROWS[:3]:
        await prepared.write(lambda connection, row=row: connection.execute(INSERT, row))
    with pytest.raises(ConflictError):
        await prepared.write(lambda connection: connection.execute(INSERT, ROWS[0]))
    with pytest.raises(FatalError, match="amount"):
        await prepared.write(lambda connection: connection.execute(INSERT, ROWS[3] | {"amount": -1}))
    with pytest.raises(ConflictError):
        await prepared.write(
            lambda connection: connection.exec_driver_sql("INSERT INTO statements_kept (id, name) VALUES (0, 'x')")
        )
    assert await prepared.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(TABLE))) == 3


async def test_tables_written_are_noted_however_it_is_done(prepared: Any) -> None:
    def work(connection: Connection) -> None:
        with written(connection) as tables:
            connection.execute(INSERT, ROWS[0])
            assert tables == {"statements_kept"}
        with written(connection) as tables:
            assert isinstance(connection.execute(INSERT, ROWS[1]), Found)
            connection.execute(ALL)
            assert tables == {"statements_kept"}
            connection.exec_driver_sql("INSERT INTO statements_other (id) VALUES (1)")
            assert tables == {"statements_kept", "statements_other"}

    await prepared.write(work)


async def test_a_savepoint_takes_back_what_was_prepared(prepared: Any) -> None:
    def work(connection: Connection) -> None:
        connection.execute(INSERT, ROWS[0])
        inner = connection.begin_nested()
        connection.execute(INSERT, ROWS[1])
        inner.rollback()
        with connection.begin_nested():
            connection.execute(INSERT, ROWS[2])

    await prepared.write(work)
    assert await prepared.read(lambda c: c.execute(sa.select(TABLE.c.id)).scalars().all()) == [0, 2]


async def test_a_value_that_sqlalchemy_makes_is_left_to_it(prepared: Any) -> None:
    dated = sa.Table("statements_dated", sa.MetaData(), sa.Column("id", sa.Integer, default=lambda: 5))
    insert = sa.insert(dated)
    await prepared.write(dated.metadata.create_all)
    for _ in range(3):
        await prepared.write(lambda connection: connection.execute(insert, {}))
    assert await prepared.read(lambda c: c.execute(sa.select(dated.c.id)).scalars().all()) == [5, 5, 5]


def test_a_statement_s_table_is_the_one_it_writes() -> None:
    dialect = InlineDatabase()._engine.dialect
    for statement, table in ((FINISH, "statements_kept"), (ALL, None)):
        values = {"from_id": 1} if table else {}
        assert Prepared(statement, statement.compile(dialect=dialect), values).table == table


async def test_a_database_that_is_given_back_has_no_rows_left() -> None:
    first = await taken("of these tests")
    await first.write(
        lambda c: c.execute(sa.insert(relayer_accounts), {"chain": "memory:a", "account": "a", "next_sequence": 7})
    )
    await give_back("of these tests", first)
    again, another = await taken("of these tests"), await taken("of these tests")
    assert again is first
    assert another is not first
    assert await again.read(_dump) == await another.read(_dump)


def _dump(connection: Connection) -> list[str]:
    driver: Any = connection.connection.driver_connection
    return list(driver.iterdump())
