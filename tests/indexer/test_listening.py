"""Facts of one process wake consumers in another, through PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa

from core.model.errors import RetryableError
from core.runtime.database import METADATA, Database, create_schema, open_database
from indexer.feed import FactSignal, last_seq
from indexer.listening import CHANNEL, FactListener
from indexer.tables import TABLES
from tests.indexer.world import A, World
from tests.support import eventually

CONSUMER = """
import asyncio, sys
from core.runtime.database import open_database
from indexer.feed import FactSignal
from indexer.listening import FactListener

async def main():
    signal = FactSignal()
    listening = asyncio.create_task(FactListener(sys.argv[1], open_database(sys.argv[1]), signal).run())
    seq = 0
    while True:
        if not await signal.wait_beyond(seq, timeout_s=20):
            sys.exit("heard nothing")
        seq = signal.seq
        print(seq, flush=True)

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def shared(postgres_url: str) -> AsyncIterator[Database]:
    opened = open_database(postgres_url)

    def empty(connection: sa.Connection) -> None:
        METADATA.drop_all(connection)
        create_schema(connection, TABLES)

    await opened.write(empty)
    yield opened
    await opened.close()


async def test_a_consumer_in_another_process_is_woken(shared: Database, postgres_url: str) -> None:
    world = World(shared)
    await world.open()
    consumer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CONSUMER, postgres_url, stdout=asyncio.subprocess.PIPE
    )
    assert consumer.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert int(await consumer.stdout.readline()) == await shared.read(last_seq)
            for _ in range(3):
                world.a.mine()
                await world.index()
                newest, heard = await shared.read(last_seq), 0
                while heard < newest:
                    heard = int(await consumer.stdout.readline())
                assert heard == newest
    finally:
        consumer.kill()
        await consumer.wait()


async def test_what_was_missed_is_heard_after_the_connection_came_back(shared: Database, postgres_url: str) -> None:
    world = World(shared)
    await world.open()
    signal = FactSignal()
    listener = FactListener(postgres_url, shared, signal, heartbeat_s=0.1)
    running = asyncio.create_task(listener.run())
    await eventually(lambda: signal.seq == world.signal.seq)
    listens = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^(LISTEN|SELECT 1$)'")
    assert await shared.read(lambda c: len(c.execute(listens).all())) == 1
    with pytest.raises(RetryableError):
        await running
    world.a.mine(2)
    await world.followers[A].catch_up(world.a.head)
    assert signal.seq < world.signal.seq
    running = asyncio.create_task(listener.run())
    await eventually(lambda: signal.seq == world.signal.seq)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_transaction_that_is_rolled_back_tells_nobody(shared: Database, postgres_url: str) -> None:
    world = World(shared)
    await world.open()
    signal = FactSignal()
    running = asyncio.create_task(FactListener(postgres_url, shared, signal).run())
    await eventually(lambda: signal.seq == world.signal.seq)
    before = signal.seq

    def undone(connection: sa.Connection) -> None:
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, str(before + 100))))
        raise RetryableError("undone")

    with pytest.raises(RetryableError):
        await shared.write(undone)
    world.a.mine()
    await world.followers[A].catch_up(world.a.head)
    await eventually(lambda: signal.seq == world.signal.seq)
    assert signal.seq < before + 100
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_server_that_is_not_there_is_tried_again(shared: Database) -> None:
    with pytest.raises(RetryableError):
        await FactListener("postgresql://nobody@127.0.0.1:1/none", shared, FactSignal()).run()
