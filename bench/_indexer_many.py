"""What following costs when there is more of it: ten chains in one process, and a chain ten times as long.

Ten chains of a tenth of the workload are followed one after another, each in a process of its own, then all at once by
one process into one database. Their cost is processor time: what all of them together wait for is the same.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from adapters.evm.blocks import EvmBlockSource
from adapters.evm.chain import EvmParameters
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.heads import EvmHeadSource
from bench._indexer_chain import BLOCKS, EVENTS_PER_BLOCK, HTLC, TOKEN, workload
from bench._indexer_runs import genesis_of, peak_mb, prepare_database
from core.model.ports import ChainTiming
from core.model.types import ChainId, Height, Seconds
from core.runtime.clock import SystemClock
from core.runtime.database import Database, open_database
from core.runtime.garbage import collect_seldom
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower

CHAINS: Final = 10
FIRST_ID: Final = 31_400
BLOCKS_EACH: Final = BLOCKS // CHAINS
LONGER: Final = 10


@asynccontextmanager
async def ten_chains(directory: Path) -> AsyncIterator[list[tuple[ChainId, str]]]:
    """(chain, RPC URL) of nodes that run; their blocks are the same."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(FIRST_ID, FIRST_ID + CHAINS):
            own = directory / str(number)
            own.mkdir()
            chain = await stack.enter_async_context(workload(own, BLOCKS_EACH, chain_id=number))
            found.append((ChainId(f"eip155:{number}"), chain.rpc_url))
        yield found


def follow(chains: Sequence[tuple[ChainId, str]], database_url: str) -> dict[str, Any]:
    """Follow all of these at once from nothing to their heads. Returns events, cpu_s, seconds and rss_mb."""
    return asyncio.run(_follow(chains, database_url))


async def _follow(chains: Sequence[tuple[ChainId, str]], database_url: str) -> dict[str, Any]:
    collect_seldom()
    database = open_database(database_url)
    await database.write(prepare_database)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        genesis = [await genesis_of(url) for _, url in chains]
        begun, cpu = time.perf_counter(), time.process_time()
        signal = FactSignal()
        async with asyncio.TaskGroup() as following:
            for (chain, url), first in zip(chains, genesis, strict=True):
                endpoints = Endpoints([Endpoint(url)])
                stack.push_async_callback(endpoints.close)
                following.create_task(_catch_up(chain, endpoints, first, database, signal))
        cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begun
        count = sa.select(sa.func.count()).select_from(tables.events).where(tables.events.c.canonical)
        events = await database.read(lambda connection: connection.execute(count).scalar_one())
    if events != len(chains) * BLOCKS_EACH * EVENTS_PER_BLOCK:
        raise RuntimeError(f"{len(chains)} chains gave {events} events")
    return {"events": events, "cpu_s": cpu, "seconds": elapsed, "rss_mb": peak_mb()}


async def _catch_up(
    chain: ChainId, endpoints: Endpoints, genesis_hash: bytes, database: Database, signal: FactSignal
) -> None:
    second = Seconds(1)
    timing = ChainTiming(second, second, second, second, second, second)
    heads = EvmHeadSource(chain, endpoints)
    parameters = EvmParameters(chain, genesis_hash, timing, {}, b"", None)
    blocks = EvmBlockSource(chain, endpoints, HTLC, [TOKEN])
    follower = Follower(parameters, heads, blocks, database, signal, SystemClock(), Height(1))
    await follower.open()
    await follower.catch_up(await heads.head())
