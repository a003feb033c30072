"""A database is one daemon's: a second one learns whose, and a lost hold is taken again or ends the daemon."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.model.errors import ConflictError, FatalError
from core.runtime import database_hold
from core.runtime.database_hold import held
from tests.postgres import PostgresCluster, pgbouncer, postgres_cluster
from tests.support import eventually


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster() as made:
        yield made


async def test_a_sqlite_file_is_one_daemons(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/relayer.sqlite"
    async with held(url, "relayer"):
        for kind in ("relayer", "index"):
            with pytest.raises(ConflictError, match=f"in use by process {os.getpid()} on .*one database"):
                async with held(url, kind, shared=True):
                    pass
    async with held(url, "index"):
        pass


async def test_a_postgres_is_one_relayers(cluster: PostgresCluster) -> None:
    url = cluster.url()
    async with held(url, "relayer"):
        with pytest.raises(ConflictError, match=rf"in use by another relayer \(causeway relayer {os.getpid()} on "):
            async with held(url, "relayer"):
                pass
        async with held(url, "regulator", shared=True), held(url, "regulator", shared=True):
            pass
        async with held(url, "index"):
            pass
    await asyncio.sleep(0.2)
    async with held(url, "relayer"):
        pass


async def test_schemas_are_databases_of_their_own(cluster: PostgresCluster) -> None:
    cluster.psql("create schema other")
    async with held(cluster.url(), "relayer"), held(cluster.url(query="?options=-c%20search_path%3Dother"), "relayer"):
        pass


async def test_a_hold_behind_a_pooler_holds(cluster: PostgresCluster) -> None:
    with pgbouncer(cluster) as at:
        url = f"postgresql://postgres@{at}/postgres"
        async with held(url, "relayer"):
            for place in (url, cluster.url()):
                with pytest.raises(ConflictError, match="in use by another relayer"):
                    async with held(place, "relayer"):
                        pass


HELD = "select count(*) from pg_locks where locktype = 'advisory'"
END = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"


async def test_a_lost_hold_is_taken_again(cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_hold, "LOOK_S", 0.1)
    async with held(cluster.url(), "relayer") as hold:
        watching = asyncio.create_task(hold.watch())
        await asyncio.to_thread(cluster.psql, END)
        await eventually(lambda: cluster.psql(HELD) == "1")
        assert not watching.done()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_a_hold_that_another_took_ends_the_daemon(
    cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_hold, "LOOK_S", 0.1)
    async with held(cluster.url(), "relayer") as hold:
        await asyncio.to_thread(cluster.psql, END)
        async with held(cluster.url(), "relayer"):
            with pytest.raises(FatalError, match="lost for a while, and now .* another relayer"):
                await hold.watch()
