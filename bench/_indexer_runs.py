"""Single runs of the indexer benchmark, each in a process of its own so that its memory is its own.

The bare loops fetch the same headers and logs, check that headers are linked, decode each log into columns and insert
them, with nothing else: no typed events, no facts, no indexes but the primary key. They are what Python and the
database could do at best on this machine at this minute.
"""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import asyncpg
import msgspec
import sqlalchemy as sa

from adapters.evm.blocks import EvmBlockSource
from adapters.evm.chain import EvmParameters
from adapters.evm.decode import CLAIMED_TOPIC, LOCKED_TOPIC, TOPICS, TRANSFER_TOPIC, RawHeader
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.heads import EvmHeadSource
from adapters.evm.rpc import Call, RpcClient
from bench._indexer_chain import HTLC, TOKEN
from bench._memory import peak_mb
from core.model.facts import HeadUpdate
from core.model.ports import ChainTiming
from core.model.types import ChainId, Height, Seconds
from core.runtime.clock import SystemClock
from core.runtime.database import METADATA, Database, create_schema, open_database
from core.runtime.garbage import collect_seldom
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower

CHAIN: Final = ChainId("eip155:31337")
BARE_RANGE: Final = 100
"""Blocks asked for at once: 5,000 logs an answer. Other ranges were not tried."""
_HEADER: Final = RawHeader | None
_COLUMNS: Final = ("block_hash", "event_index", "height", "tx_hash", "kind", "a", "b", "c", "amount")
_KINDS: Final = {TRANSFER_TOPIC: "transferred", LOCKED_TOPIC: "locked", CLAIMED_TOPIC: "claimed"}


class BareLog(msgspec.Struct, rename="camel"):
    """One entry of eth_getLogs, as far as the bare loops need it."""

    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str


class Followed:
    """A follower of the chain at `endpoint` into `database`, and what it needs; `close` it."""

    def __init__(
        self,
        endpoint: Endpoint,
        genesis_hash: bytes,
        database: Database,
        projected: bool = True,
        chain: ChainId = CHAIN,
    ) -> None:
        seconds = Seconds(1)
        timing = ChainTiming(seconds, seconds, seconds, seconds, seconds, seconds)
        self.endpoints = Endpoints([endpoint])
        self.signal = FactSignal()
        self.blocks = EvmBlockSource(chain, self.endpoints, HTLC, [TOKEN])
        self.heads = EvmHeadSource(chain, self.endpoints, expect=self.blocks.expect)
        self.follower = Follower(
            EvmParameters(chain, genesis_hash, timing, {}, b"", None),
            self.heads,
            self.blocks,
            database,
            self.signal,
            SystemClock(),
            Height(1),
            projected=projected,
        )

    async def close(self) -> None:
        await self.endpoints.close()


async def genesis_of(url: str) -> bytes:
    client = RpcClient(url)
    try:
        header: RawHeader = await client.call("eth_getBlockByNumber", "0x0", False, into=RawHeader)
    finally:
        await client.close()
    return bytes.fromhex(header.hash[2:])


def prepare_database(connection: sa.Connection) -> None:
    METADATA.drop_all(connection, tables=tables.TABLES)
    create_schema(connection, tables.TABLES)


def backfill(rpc_url: str, database_url: str, projected: bool) -> dict[str, Any]:
    """Follow the chain from nothing to its head. Return events, seconds and rss_mb."""
    return asyncio.run(_backfill(rpc_url, database_url, projected))


async def _backfill(rpc_url: str, database_url: str, projected: bool) -> dict[str, Any]:
    collect_seldom()
    database = open_database(database_url)
    await database.write(prepare_database)
    followed = Followed(Endpoint(rpc_url), await genesis_of(rpc_url), database, projected)
    try:
        begun = time.perf_counter()
        await followed.follower.open()
        await followed.follower.catch_up(await followed.heads.head())
        elapsed = time.perf_counter() - begun
        count = sa.select(sa.func.count()).select_from(tables.events).where(tables.events.c.canonical)
        events = await database.read(lambda connection: connection.execute(count).scalar_one())
    finally:
        await followed.close()
        await database.close()
    return {"events": events, "seconds": elapsed, "rss_mb": peak_mb()}


def side_by_side(rpc_url: str, database_url: str, chains: int, blocks: int) -> dict[str, Any]:
    """Follow the first blocks of several chains at once into one database, with all projections. As `backfill`.

    The node is the same for all of them: a follower believes the chain id that it is given.
    """
    return asyncio.run(_side_by_side(rpc_url, database_url, chains, blocks))


async def _side_by_side(rpc_url: str, database_url: str, chains: int, blocks: int) -> dict[str, Any]:
    collect_seldom()
    database = open_database(database_url)
    await database.write(prepare_database)
    genesis = await genesis_of(rpc_url)
    followed = [
        Followed(Endpoint(rpc_url), genesis, database, chain=ChainId(f"eip155:{31337 + number}"))
        for number in range(chains)
    ]

    async def catch_up(one: Followed) -> None:
        await one.follower.open()
        head = await one.blocks.header(Height(blocks))
        await one.follower.catch_up(HeadUpdate(head, head))

    try:
        begun = time.perf_counter()
        await asyncio.gather(*map(catch_up, followed))
        elapsed = time.perf_counter() - begun
        count = sa.select(sa.func.count()).select_from(tables.events)
        events = await database.read(lambda connection: connection.execute(count).scalar_one())
    finally:
        for one in followed:
            await one.close()
        await database.close()
    return {"events": events, "seconds": elapsed, "rss_mb": peak_mb()}


def bare_sqlite(rpc_url: str, path: str) -> dict[str, Any]:
    """The bare loop into a SQLite file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE blocks (hash BLOB PRIMARY KEY, height INTEGER, parent BLOB, time_s INTEGER)")
    connection.execute(f"CREATE TABLE events ({', '.join(_COLUMNS)}, PRIMARY KEY (block_hash, event_index))")
    insert = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

    async def store(headers: list[tuple[Any, ...]], events: list[tuple[Any, ...]]) -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?)", headers)
        connection.executemany(insert, events)
        connection.execute("COMMIT")

    try:
        return asyncio.run(_bare(rpc_url, store))
    finally:
        connection.close()


def bare_postgres(rpc_url: str, database_url: str) -> dict[str, Any]:
    """The bare loop into PostgreSQL by COPY."""
    return asyncio.run(_bare_postgres(rpc_url, database_url))


async def _bare_postgres(rpc_url: str, database_url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP TABLE IF EXISTS bare_blocks, bare_events")
    await connection.execute(
        "CREATE TABLE bare_blocks (hash bytea PRIMARY KEY, height bigint, parent bytea, time_s bigint)"
    )
    await connection.execute(
        "CREATE TABLE bare_events (block_hash bytea, event_index integer, height bigint, tx_hash bytea, kind text,"
        " a bytea, b bytea, c bytea, amount bytea, PRIMARY KEY (block_hash, event_index))"
    )

    async def store(headers: list[tuple[Any, ...]], events: list[tuple[Any, ...]]) -> None:
        async with connection.transaction():
            await connection.copy_records_to_table("bare_blocks", records=headers)
            await connection.copy_records_to_table("bare_events", records=events)

    try:
        return await _bare(rpc_url, store)
    finally:
        await connection.close()


async def _bare(rpc_url: str, store: Any) -> dict[str, Any]:
    client = RpcClient(rpc_url)
    events = 0
    wanted = {"address": [f"0x{HTLC.hex()}", f"0x{TOKEN.hex()}"], "topics": [TOPICS]}
    try:
        begun = time.perf_counter()
        head = int(await client.call("eth_blockNumber"), 16)
        parent: str | None = None
        for first in range(1, head + 1, BARE_RANGE):
            last = min(head, first + BARE_RANGE - 1)
            span = {"fromBlock": hex(first), "toBlock": hex(last)}
            calls = [Call("eth_getBlockByNumber", (hex(height), False), _HEADER) for height in range(first, last + 1)]
            answers = await client.batch([*calls, Call("eth_getLogs", ({**wanted, **span},), list[BareLog])])
            logs = answers.pop()
            for one, two in pairwise(answers):
                assert two.parent_hash == one.hash
            assert parent in (None, answers[0].parent_hash)
            parent = answers[-1].hash
            rows = list(_bare_rows(logs))
            await store([_bare_header(header) for header in answers], rows)
            events += len(rows)
        elapsed = time.perf_counter() - begun
    finally:
        await client.close()
    return {"events": events, "seconds": elapsed, "rss_mb": peak_mb()}


def _bare_header(raw: RawHeader) -> tuple[Any, ...]:
    return (
        bytes.fromhex(raw.hash[2:]),
        int(raw.number, 16),
        bytes.fromhex(raw.parent_hash[2:]),
        int(raw.timestamp, 16),
    )


def _bare_rows(logs: list[BareLog]) -> Iterator[tuple[Any, ...]]:
    unhex = bytes.fromhex
    for log in logs:
        data, topics = unhex(log.data[2:]), log.topics
        kind = _KINDS[topics[0]]
        decoded: tuple[bytes | None, ...]
        if kind == "transferred":
            decoded = (unhex(topics[1][26:]), unhex(topics[2][26:]), None, data)
        elif kind == "locked":
            decoded = (data[44:64], data[:20], unhex(topics[1][2:]), data[64:96])
        else:
            decoded = (data[:20], data[32:64], unhex(topics[1][2:]), None)
        place = (unhex(log.block_hash[2:]), int(log.log_index, 16), int(log.block_number, 16))
        yield (*place, unhex(log.transaction_hash[2:]), kind, *decoded)
