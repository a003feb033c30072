"""A copy of a relayer's database, of either kind, taken while it works, and put back into either kind."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, FencedError, NotFoundError, RejectedError
from core.model.types import AccountId, ChainId
from core.runtime import journal, leases
from core.runtime.database import METADATA, Database, create_schema, open_database
from gateway import restoring
from gateway.backup import back_up, restore_copy
from gateway.config import RelayerConfig
from gateway.daemons.parts import RELAYER_LEASE
from indexer.follower import FollowerState, FollowerStatus
from relayer.keys.keystore import new_key, write_keystore
from relayer.transactions import accounts
from relayer.transactions.records import relayer_transactions
from tests.gateway.test_config import relayer
from tests.postgres import PostgresCluster, postgres_cluster
from tests.support import eventually

CHAIN = ChainId("eip155:31337")
ACCOUNT = AccountId("eip155:31337:0x00000000000000000000000000000000000000aa")
PASSPHRASE = "correct horse battery staple"
WAIT_S = 30.0
LARGE = 2**255
"""More than any integer of SQLite's own."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config_of(kind: str, name: str, cluster: PostgresCluster) -> RelayerConfig:
    if kind == "postgresql":
        cluster.psql(f"create database {name}")
        return relayer(database=cluster.url(name))
    return relayer(database=f"sqlite:///{name}.sqlite")


def opened(config: RelayerConfig, base: Path) -> Database:
    return open_database(config.database.replace("sqlite:///", f"sqlite:///{base}/"))


def fill(connection: Connection) -> None:
    accounts.open_account(connection, CHAIN, ACCOUNT, 3, True, 1)
    journal.append(connection, "swap", 0, b"\0event", b"state", [journal.Effect("claim", b"\xff")], now_ns=5)
    values = {"chain": CHAIN, "account": ACCOUNT, "sequence": 3, "status": "broadcast", "summary": "ümläut"}
    values |= {"effect_key": "swap:1:claim", "body": None, "deadline_ns": None, "created_ns": 7, "reverted": False}
    [number] = connection.execute(
        sa.insert(relayer_transactions).values(**values, exits=True).returning(relayer_transactions.c.id)
    ).one()
    reserved = METADATA.tables["relayer_reservations"]
    connection.execute(sa.insert(reserved).values(transaction_id=number, asset="a", amount=LARGE))


def contents(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
        for table in METADATA.sorted_tables
    }


async def test_a_copy_is_the_same_in_either_kind(tmp_path: Path, kind: str, cluster: PostgresCluster) -> None:
    config = config_of(kind, f"first_{kind}", cluster)
    database = opened(config, tmp_path)
    await database.write(create_schema)
    await database.write(fill)
    before = await database.read(contents)
    await database.close()
    copy = tmp_path / "copies" / "relayer.copy"
    assert await back_up(config, tmp_path, copy) == copy.stat().st_size
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in copy.parent.iterdir()] == [copy.name]
    for other in ("sqlite", "postgresql"):
        target = config_of(other, f"second_{kind}_{other}", cluster)
        await restore_copy(target, tmp_path, copy)
        restored = opened(target, tmp_path)
        assert await restored.read(contents) == before
        await restored.write(goes_on)
        await restored.close()
        with pytest.raises(ConflictError, match="exists|not empty"):
            await restore_copy(target, tmp_path, copy)


def goes_on(connection: Connection) -> None:
    """The next transaction gets a number of its own."""
    row = dict(connection.execute(sa.select(relayer_transactions)).one()._mapping)
    row |= {"id": None, "sequence": 4, "effect_key": "swap:2:claim"}
    row.pop("id")
    connection.execute(sa.insert(relayer_transactions).values(**row))


async def test_a_copy_is_as_of_one_moment(tmp_path: Path, kind: str, cluster: PostgresCluster) -> None:
    """Two rows are written together, again and again; no copy has one of them without the other."""
    config = config_of(kind, f"moving_{kind}", cluster)
    database = opened(config, tmp_path)
    await database.write(create_schema)

    def move(connection: Connection) -> None:
        for name in ("one", "two"):
            before = journal.cursor(connection, name)
            journal.advance_cursor(connection, name, before, before + 1)

    async def keep_moving() -> None:
        while True:
            await database.write(move)
            await asyncio.sleep(0)

    await database.write(move)
    moving = asyncio.create_task(keep_moving())
    try:
        for number in range(3):
            copy = tmp_path / f"{kind}-{number}.copy"
            await back_up(config, tmp_path, copy)
            with sqlite3.connect(copy) as found:
                positions = {row[0] for row in found.execute("SELECT position FROM cursors")}
            found.close()
            assert len(positions) == 1
        assert not moving.done(), "it writes until the end"
    finally:
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
        await database.close()


async def test_leftovers_of_a_former_database_are_refused(tmp_path: Path, cluster: PostgresCluster) -> None:
    """A process that was killed leaves changes in a file of their own, which SQLite would play into the copy."""
    config, copy = config_of("sqlite", "killed", cluster), tmp_path / "copy"
    database = opened(config, tmp_path)
    await database.write(create_schema)
    await back_up(config, tmp_path, copy)
    await database.write(fill)
    left = tmp_path / "killed.sqlite-wal"
    changes = left.read_bytes()
    await database.close()
    (tmp_path / "killed.sqlite").unlink()
    left.write_bytes(changes)
    with pytest.raises(ConflictError, match="is left of a former database"):
        await restore_copy(config, tmp_path, copy)
    left.unlink()
    await restore_copy(config, tmp_path, copy)
    restored = opened(config, tmp_path)
    assert (await restored.read(contents))["relayer_transactions"] == []
    await restored.close()


class Behind:
    """A follower that never comes to its chain's head."""

    status = FollowerStatus(CHAIN, FollowerState.BACKFILLING, "", None, None, None, 9, 0, 0, 0.0)

    async def run(self) -> None:
        await asyncio.Event().wait()


async def test_restore_from_chains_ends_once_another_leads(
    tmp_path: Path, cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the chains takes hours: the lease is kept meanwhile, and who has lost it stops."""
    name = "restored_from_chains"
    cluster.psql(f"create database {name}")
    config = relayer(database=cluster.url(name), chains=(), accounts=(), pairs=())
    monkeypatch.setenv(config.passphrase_env, PASSPHRASE)
    write_keystore(tmp_path / config.keystore, PASSPHRASE, {config.quote_key: new_key()})
    monkeypatch.setattr(restoring, "make_followers", lambda *_: [Behind()])
    restore = asyncio.create_task(restoring.restore_from_chain(config, tmp_path))
    database = open_database(config.database)

    async def leads() -> leases.Lease:
        await database.write(create_schema)
        found = await database.read(lambda c: leases.find(c, RELAYER_LEASE))
        assert found is not None
        return found

    async def renewed() -> bool:
        return (await leads()).until_ns > first.until_ns

    try:
        first = await eventually(leads, WAIT_S)
        await eventually(renewed, WAIT_S)
        await database.write(lambda c: leases.take(c, RELAYER_LEASE, "another", now_ns=2**62, until_ns=2**62))
        with pytest.raises(FencedError):
            async with asyncio.timeout(WAIT_S):
                await restore
    finally:
        restore.cancel()
        await asyncio.gather(restore, return_exceptions=True)
        await database.close()


async def test_what_is_no_copy_is_refused(tmp_path: Path, cluster: PostgresCluster) -> None:
    config = config_of("sqlite", "target", cluster)
    with pytest.raises(NotFoundError, match="no database"):
        await back_up(config, tmp_path, tmp_path / "out")
    with pytest.raises(NotFoundError, match="no file"):
        await restore_copy(config, tmp_path, tmp_path / "none")
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"not a database at all, whatever it is called" * 100)
    with pytest.raises(RejectedError, match="is not a copy"):
        await restore_copy(config, tmp_path, wrong)
    newer = tmp_path / "newer"
    with sqlite3.connect(newer) as made:
        made.execute("CREATE TABLE alembic_version (version_num TEXT)")
        made.execute("INSERT INTO alembic_version VALUES ('9999')")
    made.close()
    with pytest.raises(FatalError, match="schema 9999"):
        await restore_copy(config, tmp_path, newer)
    assert not (tmp_path / "target.sqlite").exists()
