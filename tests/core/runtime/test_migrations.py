"""A database that an older Causeway wrote: brought up to date with what is in it, or left as it was."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from core.model.errors import FatalError
from core.model.types import AccountId, ChainId, Hashlock
from core.runtime import database as database_module
from core.runtime.database import METADATA, SCHEMA, Database, create_schema, open_database, schema_version
from core.runtime.deliveries import DeliveryStatus, counts, deliveries, enqueue
from core.runtime.migrations import SCRIPTS
from indexer import tables
from indexer.projections.locks import locks_under
from indexer.projections.rebuild import bring_up_to_date
from relayer.client.store import METADATA as CLIENT_METADATA
from relayer.notices.reports import REGULATOR, REPORTS
from relayer.transactions.accounts import next_sequence, open_account
from tests.core.runtime.kept_schemas import KEPT, METADATAS, statements

RELEASED = sorted({file.name.split(".")[0] for file in KEPT.glob("*.sql")})
AMOUNT, HASHLOCK = 2**256 - 1, b"\x07" * 32
ROWS: dict[str, list[dict[str, Any]]] = {
    "schema_version": [{"id": 1, "version": 1}],
    "journal": [{"stream": "swap-1", "sequence": 1, "event": b"opened", "recorded_ns": 1}],
    "indexer_facts": [
        {"seq": seq, "chain": "eip155:1", "kind": "applied", "height": seq, "block_hash": bytes([seq])}
        for seq in range(1, 200)
    ],
    "indexer_agreement_legs": [
        {
            "swap_id": "swap-1",
            "role": role,
            "chain": "eip155:1",
            "asset": "eip155:1/slip44:60",
            "amount": AMOUNT,
            "sender": "eip155:1:0x01",
            "receiver": "eip155:1:0x02",
            "timelock": 7,
        }
        for role in ("initiator", "participant")
    ],
    "client_swaps": [
        {"quote_id": "q", "hashlock": HASHLOCK, "preimage": b"\x08" * 32, "quote": b"{}", "created_ns": 1},
    ],
}
"""The database's content before, table by table."""


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/old.sqlite"
        return
    server = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+asyncpg")
    name = f"old_{uuid.uuid4().hex}"
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield server.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"DROP DATABASE {name}")
    await engine.dispose()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = open_database(url)
    yield opened
    await opened.close()


def write_as_of(connection: Connection, version: str) -> None:
    """Make the database that a Causeway of that version left behind."""
    for statement in statements(KEPT / f"{version}.{connection.dialect.name}.sql"):
        connection.exec_driver_sql(statement)
    columns = sa.MetaData()
    columns.reflect(connection)
    for name, rows in ROWS.items():
        if name in columns.tables:
            table = columns.tables[name]
            connection.execute(sa.insert(table), [stored(table, row) for row in rows])
    if (name := schema_version.name) in columns.tables:
        connection.execute(sa.insert(columns.tables[name]).values(version_num=version))


def stored(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row as it stands in columns that no longer know their types of ours."""
    return {
        name: value.to_bytes(32, "big") if isinstance(value, int) and _is_bytes(table.c[name]) else value
        for name, value in row.items()
    }


def _is_bytes(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.LargeBinary)


def differences(connection: Connection) -> list[Any]:
    """Return what Alembic would do to bring the database to the tables in the code."""
    found: list[Any] = []
    for metadata in METADATAS:
        others = {name for other in METADATAS if other is not metadata for name in other.tables}
        options = {"include_name": lambda name, kind, _, others=others: kind != "table" or name not in others}
        found += compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return found


def rows_of(connection: Connection, table: sa.Table, like: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = sa.select(*(table.c[name] for name in like[0])).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def version_of(connection: Connection) -> str:
    return str(connection.execute(sa.select(schema_version)).scalar_one())


@pytest.mark.parametrize("version", RELEASED)
async def test_what_an_older_version_wrote_is_brought_up_to_date(database: Database, version: str) -> None:
    await database.write(partial(write_as_of, version=version))
    await database.write(create_schema)
    await database.write(CLIENT_METADATA.create_all)
    assert await database.read(differences) == []
    assert await database.read(version_of) == SCHEMA
    for name, rows in ROWS.items():
        table = METADATA.tables.get(name, CLIENT_METADATA.tables.get(name))
        if table is not None:
            assert await database.read(partial(rows_of, table=table, like=rows)) == rows


async def test_locks_of_an_older_version_are_built_again(database: Database) -> None:
    """They were keyed by ids, which may come again. What follows from facts is not converted."""
    ids: dict[str, Any] = {
        "lock_id": "0x01/0/1",
        "hashlock": HASHLOCK,
        "asset": "eip155:1/slip44:60",
        "amount": b"\1" * 32,
    }
    ids |= {"chain": "eip155:1", "sender": "eip155:1:0x01", "receiver": "eip155:1:0x02"}
    lock = {"timelock": 7, "status": "locked", "lock_tx": b"", "lock_block": b"", "lock_height": 1, "lock_time_s": 1}
    block = {"chain": "eip155:1", "height": 1, "time_s": 1, "canonical": True}
    event = {"block_hash": b"\1", "event_index": 5, "tx_hash": b"", "kind": "locked", "payload": '{"timelock": 7}'}
    old: dict[str, dict[str, Any]] = {
        "indexer_locks": ids | lock,
        "indexer_projection_version": {"id": 1, "version": 3},
        "indexer_blocks": block | {"hash": b"\1", "parent_hash": b""},
        "indexer_events": block | ids | event,
    }

    def write(connection: Connection) -> None:
        write_as_of(connection, "0001")
        for name, row in old.items():
            connection.execute(sa.insert(sa.table(name, *(sa.column(column) for column in row))).values(row))

    await database.write(write)
    await database.write(create_schema)
    assert await database.read(lambda c: c.execute(sa.select(tables.locks)).all()) == []
    assert await database.write(bring_up_to_date)
    (found,) = await database.read(lambda c: locks_under(c, Hashlock(HASHLOCK), 2))
    assert (found.lock_id, found.place) == ("0x01/0/1", ("eip155:1", 1, 5))


@pytest.mark.parametrize("version", RELEASED)
async def test_the_fence_of_an_older_version_goes_on(database: Database, version: str) -> None:
    """A process of the older version has epoch 7: whoever comes next is ahead of it, at the sequence it had."""
    row = {"chain": "eip155:1", "account": "eip155:1:0x01", "next_sequence": 5, "epoch": 7}

    def write(connection: Connection) -> None:
        write_as_of(connection, version)
        connection.execute(sa.insert(sa.table("relayer_accounts", *map(sa.column, row))).values(row))

    await database.write(write)
    await database.write(create_schema)
    chain, account = ChainId("eip155:1"), AccountId("eip155:1:0x01")
    assert await database.write(lambda c: open_account(c, chain, account, None, False, 1)) == 8
    assert await database.read(lambda c: next_sequence(c, chain, account)) == 5


@pytest.mark.parametrize("version", RELEASED)
async def test_reports_of_an_older_version_still_wait(database: Database, version: str) -> None:
    rows = [
        {"swap_id": f"swap-{n}", "body": b"{}", "status": status, "attempts": n, "due_ns": 10 - n, "reason": None}
        for n, status in enumerate(("taken", "pending", "refused"))
    ]

    def write(connection: Connection) -> None:
        write_as_of(connection, version)
        connection.execute(sa.insert(sa.table("relayer_reports", *map(sa.column, rows[0]))), rows)

    await database.write(write)
    await database.write(create_schema)
    kept = await database.read(lambda c: c.execute(sa.select(deliveries).order_by(deliveries.c.id)).all())
    assert [(row.topic, row.status, row.attempts, row.settled_ns) for row in kept] == [
        ("swap-2", "refused", 2, 8),
        ("swap-1", "pending", 1, None),
        ("swap-0", "taken", 0, 10),
    ]
    assert {(row.queue, row.destination, row.body) for row in kept} == {(REPORTS.name, REGULATOR, b"{}")}
    await database.write(lambda c: enqueue(c, REPORTS, REGULATOR, b"new", now_ns=1))
    assert (await database.read(counts))[REPORTS.name, DeliveryStatus.PENDING] == 2


async def test_a_new_database_is_the_tables_in_the_code(database: Database) -> None:
    await database.write(create_schema)
    await database.write(CLIENT_METADATA.create_all)
    assert await database.read(differences) == []
    assert await database.read(version_of) == SCHEMA


async def test_a_change_of_a_table_without_a_revision_is_seen(database: Database) -> None:
    await database.write(create_schema)
    await database.write(CLIENT_METADATA.create_all)

    def change(connection: Connection) -> None:
        connection.exec_driver_sql("DROP INDEX ix_indexer_locks_hashlock")
        connection.exec_driver_sql("ALTER TABLE indexer_swaps DROP COLUMN other_locks")

    await database.write(change)
    assert sorted(one[0] for one in await database.read(differences)) == ["add_column", "add_index"]


async def test_only_the_tables_of_a_room_are_made(database: Database) -> None:
    await database.write(lambda c: create_schema(c, tables.TABLES))
    names = await database.read(lambda c: set(sa.inspect(c).get_table_names()))
    assert names == {table.name for table in tables.TABLES} | {"alembic_version"}


@pytest.mark.parametrize("version", ["9999", "0042"])
async def test_a_newer_database_is_refused(database: Database, version: str) -> None:
    await database.write(create_schema)
    await database.write(lambda c: c.execute(sa.update(schema_version).values(version_num=version)))
    with pytest.raises(FatalError, match=f"schema {version}, this Causeway knows up to {SCHEMA}: start the newer"):
        await database.write(create_schema)


async def test_whoever_comes_together_migrates_once(url: str) -> None:
    databases = [open_database(url) for _ in range(4)]
    await databases[0].write(partial(write_as_of, version=RELEASED[0]))
    await asyncio.gather(*(one.write(create_schema) for one in databases))
    assert await databases[-1].read(version_of) == SCHEMA
    for one in databases:
        await one.close()


async def test_whoever_comes_together_makes_a_new_one_once(url: str) -> None:
    databases = [open_database(url) for _ in range(4)]
    await asyncio.gather(*(one.write(create_schema) for one in databases))
    assert await databases[-1].read(version_of) == SCHEMA
    for one in databases:
        await one.close()


async def test_a_revision_that_fails_leaves_everything_as_it_was(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that fails after the one before it has changed tables and rows."""
    (tmp_path / "scripts" / "versions").mkdir(parents=True)
    for number, after, body in (
        ("0001", None, "op.drop_table('schema_version')"),
        ("0002", "0001", "op.execute('DELETE FROM journal'); op.add_column('journal', sa.Column('x', sa.Integer))"),
        ("0003", "0002", "raise RuntimeError('no further')"),
    ):
        (tmp_path / "scripts" / "versions" / f"r{number}.py").write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            f"revision = {number!r}\ndown_revision = {after!r}\n\n\ndef upgrade():\n    {body}\n"
        )
    monkeypatch.setattr(database_module, "SCHEMA", "0003")
    monkeypatch.setattr("core.runtime.migrations.SCRIPTS", tmp_path / "scripts")
    await database.write(partial(write_as_of, version="0000"))
    before = await database.read(everything)
    with pytest.raises(RuntimeError, match="no further"):
        await database.write(create_schema)
    assert await database.read(everything) == before


def everything(connection: Connection) -> dict[str, list[Any]]:
    """All tables with their columns and rows."""
    found = sa.MetaData()
    found.reflect(connection)
    return {
        table.name: [table.columns.keys(), *(tuple(row) for row in connection.execute(sa.select(table)))]
        for table in found.sorted_tables
    }


async def test_a_copy_of_the_file_is_kept(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/old.sqlite")
    await database.write(partial(write_as_of, version="0000"))
    before = await database.read(everything)
    await database.write(create_schema)
    await database.write(create_schema)
    await database.close()
    copy = open_database(f"sqlite:///{tmp_path}/old.sqlite.schema-0000")
    assert await copy.read(everything) == before
    await copy.close()


async def test_without_a_copy_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(f"sqlite:///{tmp_path}/old.sqlite")
    await database.write(partial(write_as_of, version="0000"))
    before = await database.read(everything)
    (tmp_path / "old.sqlite.schema-0000.part").mkdir()
    with pytest.raises(FatalError, match=r"no copy of .*old\.sqlite could be kept"):
        await database.write(create_schema)
    assert await database.read(everything) == before
    await database.close()


def test_the_code_names_the_newest_revision() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(SCRIPTS))
    assert scripts.get_current_head() == SCHEMA
    assert sorted(one.revision for one in scripts.walk_revisions()) == [
        f"{number:04}" for number in range(1, int(SCHEMA) + 1)
    ]
