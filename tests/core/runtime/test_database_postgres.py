"""PostgreSQL as operators run it: TLS, poolers, failovers, and every refusal as a class and a sentence."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError, RejectedError, RetryableError
from core.runtime import database_postgres
from core.runtime.database import Database, create_schema, open_database
from core.runtime.database_errors import translated
from indexer.feed import FactSignal
from indexer.listening import FactListener, notify
from indexer.tables import TABLES, fact_order
from tests.postgres import PostgresCluster, make_certificate, pgbouncer, postgres_cluster
from tests.support import eventually

HBA = """
hostnossl secure all 127.0.0.1/32 reject
host all secret 127.0.0.1/32 scram-sha-256
host all nobody 127.0.0.1/32 reject
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster(HBA) as made:
        for sql in (
            "create role secret login password 'open sesame'",
            "create role nobody login",
            "create role poor login",
            "create role one login connection limit 1",
            "create database latin encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'",
            "create database ascii encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'",
            "create database standby",
            "alter database standby set default_transaction_read_only = on",
            "create database hurried",
            "alter database hurried set lock_timeout = 100",
            "alter database hurried set statement_timeout = 1000",
            "create database pooled",
        ):
            made.psql(sql)
        yield made


@asynccontextmanager
async def opened(url: str) -> Any:
    database = open_database(url)
    try:
        yield database
    finally:
        await database.close()


def one(connection: Connection) -> int:
    return int(connection.execute(sa.text("SELECT 1")).scalar_one())


@pytest.mark.parametrize(
    ("name", "user", "kind", "sentence"),
    [
        ("latin", "postgres", FatalError, "keeps text as LATIN1"),
        ("ascii", "postgres", FatalError, "keeps text as SQL_ASCII"),
        ("nope", "postgres", FatalError, "it has no such database"),
        ("postgres", "secret", FatalError, "it refuses the password"),
        ("postgres", "stranger", FatalError, "it refuses the user"),
        ("postgres", "nobody", FatalError, "pg_hba.conf"),
        ("standby", "postgres", RetryableError, "name the primary"),
    ],
)
async def test_a_server_that_cannot_be_used_says_why(
    cluster: PostgresCluster, name: str, user: str, kind: type[Exception], sentence: str
) -> None:
    async with opened(f"postgresql://{user}:wrong@{cluster.at}/{name}") as database:
        with pytest.raises(kind, match=sentence) as refused:
            await database.read(one)
    assert "wrong" not in str(refused.value)


async def test_password_in_the_environment_opens(cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `deploy/compose.yaml` gives it, so that no configuration and no command line has it."""
    async with opened(cluster.url(user="secret")) as database:
        with pytest.raises(FatalError, match="it refuses the password"):
            await database.read(one)
    monkeypatch.setenv("PGPASSWORD", "open sesame")
    async with opened(cluster.url(user="secret")) as database:
        assert await database.read(one) == 1


async def test_user_who_may_create_nothing_is_reported(cluster: PostgresCluster) -> None:
    async with opened(cluster.url(user="poor")) as database:
        with pytest.raises(FatalError, match="has not the right to do this: grant it"):
            await database.write(create_schema)


async def test_search_path_without_a_schema_is_reported(cluster: PostgresCluster) -> None:
    async with opened(cluster.url(query="?options=-c%20search_path%3Dnowhere")) as database:
        with pytest.raises(FatalError, match="search_path"):
            await database.write(create_schema)


async def test_option_that_does_not_exist_is_reported(cluster: PostgresCluster) -> None:
    async with opened(cluster.url(query="?options=-c%20no_such_setting%3D1")) as database:
        with pytest.raises(FatalError, match="does not know a setting"):
            await database.read(one)


async def test_an_older_server_is_refused(cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_postgres, "OLDEST_SERVER", 990_000)
    async with opened(cluster.url()) as database:
        with pytest.raises(FatalError, match="use version 99 or newer"):
            await database.read(one)


async def test_no_connection_left_is_retryable(cluster: PostgresCluster) -> None:
    held = await asyncpg.connect(f"postgresql://one@{cluster.at}/postgres")
    try:
        async with opened(cluster.url(user="one")) as database:
            with pytest.raises(RetryableError, match="no connection left"):
                await database.read(one)
            await held.close()

            async def served() -> bool:
                try:
                    return bool(await database.read(one) == 1)
                except RetryableError:  # the server takes a moment to notice that somebody has left
                    return False

            await eventually(served)
    finally:
        held.terminate()


async def test_timeouts_of_the_server_are_retryable(cluster: PostgresCluster) -> None:
    async with opened(cluster.url("hurried")) as database:
        await database.write(lambda c: c.execute(sa.text("CREATE TABLE IF NOT EXISTS held (n int)")))
        holder = await asyncpg.connect(cluster.url("hurried"))
        async with holder.transaction():
            await holder.execute("LOCK TABLE held")
            with pytest.raises(RetryableError, match="lock_timeout"):
                await database.write(lambda c: c.execute(sa.text("INSERT INTO held VALUES (1)")))
        await holder.close()
        with pytest.raises(RetryableError, match="statement_timeout"):
            await database.read(lambda c: c.execute(sa.text("SELECT pg_sleep(5)")))


async def test_transactions_that_meet_are_retryable(cluster: PostgresCluster) -> None:
    async with opened(cluster.url()) as database:
        await database.write(lambda c: c.execute(sa.text("CREATE TABLE met (n int)")))
        await database.write(lambda c: c.execute(sa.text("INSERT INTO met VALUES (0)")))
        loop, other = asyncio.get_running_loop(), await asyncpg.connect(cluster.url())

        def late(connection: Connection) -> None:
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
            connection.execute(sa.text("SELECT n FROM met")).all()
            asyncio.run_coroutine_threadsafe(other.execute("UPDATE met SET n = 1"), loop)
            connection.execute(sa.text("SELECT pg_sleep(0.5)"))
            connection.execute(sa.text("UPDATE met SET n = 2"))

        with pytest.raises(RetryableError, match="serialization failure"):
            await database.write(late)
        await other.close()


@pytest.mark.parametrize("value", ["a\x00b", 2**200], ids=["nul", "huge"])
async def test_a_value_that_cannot_be_kept_is_rejected(cluster: PostgresCluster, value: object) -> None:
    kind = sa.Text if isinstance(value, str) else sa.BigInteger
    async with opened(cluster.url()) as database:
        with pytest.raises(RejectedError, match="cannot keep a value"):
            await database.read(lambda c: c.execute(sa.select(sa.bindparam("v", value, kind))).scalar())
    async with opened("sqlite://") as database:
        if not isinstance(value, str):
            with pytest.raises(RejectedError, match="cannot keep a value"):
                await database.read(lambda c: c.execute(sa.select(sa.bindparam("v", value, kind))).scalar())


async def test_a_restarted_server_is_used_again() -> None:
    with postgres_cluster() as cluster:
        async with opened(cluster.url()) as database:
            assert await database.read(one) == 1
            sleeping = asyncio.create_task(database.read(lambda c: c.execute(sa.text("SELECT pg_sleep(60)"))))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(cluster.stop)
            with pytest.raises(RetryableError, match="shuts down|was lost"):
                await sleeping
            with pytest.raises(RetryableError, match="cannot be reached"):
                await database.read(one)
            await asyncio.to_thread(cluster.start)
            assert await database.read(one) == 1


async def test_a_wrong_password_while_running_is_retryable(cluster: PostgresCluster) -> None:
    url = f"postgresql://secret:open%20sesame@{cluster.at}/postgres"
    async with opened(url) as database:
        assert await database.read(one) == 1
        cluster.psql("alter role secret password 'changed'")
        cluster.psql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'secret'")
        with pytest.raises(RetryableError, match="refuses the password"):
            await database.read(one)
        cluster.psql("alter role secret password 'open sesame'")
        assert await database.read(one) == 1


async def test_the_host_that_takes_writes_is_used(cluster: PostgresCluster) -> None:
    with postgres_cluster(default_transaction_read_only="on") as standby:
        both = f"127.0.0.1:1,{standby.at},{cluster.at}"
        async with opened(f"postgresql://postgres@{both}/postgres") as database:
            port = sa.text("SELECT current_setting('port')")
            assert int(await database.read(lambda c: c.execute(port).scalar_one())) == cluster.port
        async with opened(f"postgresql://postgres@127.0.0.1:1,{standby.at}/postgres") as database:
            with pytest.raises(RetryableError, match="all are standbys"):
                await database.read(one)


# --- TLS ---


@dataclass(slots=True)
class TlsDoor:
    """TLS before a server, as PostgreSQL offers it: "S" to an SSLRequest (manual, 55.2.10), then everything inside."""

    at: str
    certificate: Path
    secured: list[bool]


@pytest.fixture
async def door(tmp_path: Path, cluster: PostgresCluster) -> AsyncIterator[TlsDoor]:
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    made = TlsDoor("", certificate, [])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        made.secured.append(first == SSL_REQUEST)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", cluster.port)
        try:
            if first == SSL_REQUEST:
                writer.write(b"S")
                await writer.start_tls(context)
            else:
                there_writer.write(first)
            await asyncio.gather(_pipe(reader, there_writer), _pipe(there_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            there_writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize(("mode", "tls"), [("disable", False), ("prefer", True), ("require", True)])
async def test_sslmode_decides_about_tls(door: TlsDoor, mode: str, tls: bool) -> None:
    async with opened(f"postgresql://postgres@{door.at}/postgres?sslmode={mode}") as database:
        assert await database.read(one) == 1
    assert set(door.secured) == {tls}


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
async def test_a_certificate_is_verified(door: TlsDoor, tmp_path: Path, mode: str) -> None:
    url = f"postgresql://postgres@{door.at}/postgres?sslmode={mode}&sslrootcert="
    async with opened(f"{url}{door.certificate}") as database:
        assert await database.read(one) == 1
    (tmp_path / "other").mkdir()
    other, _ = make_certificate(tmp_path / "other")
    async with opened(f"{url}{other}") as database:
        with pytest.raises(FatalError, match="is not to be trusted"):
            await database.read(one)


async def test_a_certificate_of_another_host_is_refused(door: TlsDoor) -> None:
    at = door.at.replace("127.0.0.1", "localhost")
    url = f"postgresql://postgres@{at}/postgres?sslrootcert={door.certificate}&sslmode="
    async with opened(f"{url}verify-ca") as database:
        assert await database.read(one) == 1
    async with opened(f"{url}verify-full") as database:
        with pytest.raises(FatalError, match="is not to be trusted"):
            await database.read(one)


async def test_tls_that_is_insisted_on_is_never_left_out(cluster: PostgresCluster) -> None:
    async with opened(cluster.url(query="?sslmode=require")) as database:
        with pytest.raises(FatalError, match="offers no TLS"):
            await database.read(one)


async def test_facts_are_heard_under_tls(door: TlsDoor, cluster: PostgresCluster) -> None:
    url = f"postgresql://postgres@{door.at}/pooled?sslmode=verify-full&sslrootcert={door.certificate}"
    async with opened(url) as database:
        assert await _heard(url, database, heartbeat_s=60.0) == 1
    assert all(door.secured)


# --- poolers ---


async def test_work_side_by_side_behind_a_pooler(cluster: PostgresCluster) -> None:
    with pgbouncer(cluster) as at:
        async with opened(f"postgresql://postgres@{at}/pooled") as database:
            await database.write(create_schema)
            await database.write(lambda c: c.execute(sa.text("CREATE TABLE IF NOT EXISTS numbers (n int)")))

            def work(connection: Connection, number: int) -> int:
                connection.execute(sa.text("INSERT INTO numbers VALUES (:n)"), {"n": number})
                columns: list[Any] = [sa.column("n").label(f"n{index}") for index in range(number % 7 + 1)]
                return len(connection.execute(sa.select(*columns).select_from(sa.table("numbers"))).all())

            for _ in range(4):
                done = await asyncio.gather(*(database.write(partial(work, number=n)) for n in range(30)))
                assert all(done)
            count = sa.text("SELECT count(*) FROM numbers")
            assert await database.read(lambda c: c.execute(count).scalar_one()) == 120


async def test_a_lost_statement_makes_connections_again(cluster: PostgresCluster) -> None:
    async with opened(cluster.url()) as database:
        await database.read(one)
        engine = database._engine
        with pytest.raises(RetryableError, match="replaced the connection"):
            await database.read(lambda c: c.execute(sa.text("EXECUTE no_such_statement")))
        assert await database.read(one) == 1
        assert database._engine is not engine


async def test_facts_are_noticed_behind_a_pooler(cluster: PostgresCluster) -> None:
    with pgbouncer(cluster) as at:
        url = f"postgresql://postgres@{at}/pooled"
        async with opened(url) as database:
            assert await _heard(url, database, heartbeat_s=0.1) == 1


async def test_pooler_that_refuses_a_setting_is_reported(cluster: PostgresCluster) -> None:
    with pgbouncer(cluster) as at:
        async with opened(f"postgresql://postgres@{at}/pooled?options=-c%20search_path%3Dpublic") as database:
            with pytest.raises(RetryableError, match="unsupported startup parameter"):
                await database.read(one)


async def _heard(url: str, database: Database, heartbeat_s: float) -> int:
    """Return how far a listener's signal has moved once another connection has stored one fact."""
    await database.write(partial(create_schema, tables=TABLES))
    signal = FactSignal()
    listening = asyncio.create_task(FactListener(url, database, signal, heartbeat_s=heartbeat_s).run())
    try:
        await asyncio.sleep(0.5)
        before = signal.seq

        def store(connection: Connection) -> None:
            connection.execute(sa.delete(fact_order))
            connection.execute(sa.insert(fact_order).values(id=1, last_seq=before + 1))
            notify(connection, before + 1)

        await database.write(store)
        await eventually(lambda: signal.seq > before)
        return signal.seq - before
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


# --- what cannot be brought about here ---


@pytest.mark.parametrize(
    ("state", "started", "kind", "sentence"),
    [
        ("53100", False, FatalError, "disk is full"),
        ("53100", True, FatalError, "disk is full"),
        ("53300", False, RetryableError, "max_connections"),
        ("53200", False, RetryableError, "out of memory"),
        ("57P01", True, RetryableError, "administrator"),
        ("57P03", False, RetryableError, "starts up"),
        ("57P05", True, RetryableError, "idle"),
        ("25P03", True, RetryableError, "idle"),
        ("25006", True, RetryableError, "standby"),
        ("40P01", True, RetryableError, "deadlock"),
        ("3D000", True, RetryableError, "no such database"),
        ("42P01", True, FatalError, "a table of ours is not there"),
        ("XX001", True, FatalError, "damage"),
        ("22003", True, RejectedError, "cannot keep a value"),
        ("99999", True, FatalError, "refuses a statement"),
    ],
)
def test_every_state_of_a_server_has_a_class(state: str, started: bool, kind: type[Exception], sentence: str) -> None:
    error = asyncpg.PostgresError.new({"C": state, "M": "words", "S": "ERROR"})
    meant = translated(error, "h:1/n", started)
    assert isinstance(meant, kind)
    assert sentence in meant.message
    assert meant.message.startswith("the database at h:1/n")


def test_every_error_of_the_driver_has_a_class() -> None:
    for name in dir(asyncpg.exceptions):
        found = getattr(asyncpg.exceptions, name)
        if isinstance(found, type) and issubclass(found, asyncpg.PostgresError) and getattr(found, "sqlstate", None):
            meant = translated(found("words"), "h:1/n")
            assert isinstance(meant, FatalError | RetryableError | RejectedError), name
            assert "h:1/n" in meant.message, name
