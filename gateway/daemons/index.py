"""The indexer by itself: follow chains into a database, look at it, rebuild it, check it against an endpoint."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError
from core.model.facts import Block
from core.model.ports import BlockSource
from core.model.types import ChainId, Height
from core.runtime.clock import SystemClock
from core.runtime.database import Database
from core.runtime.database_hold import held
from core.runtime.metrics import Metrics
from core.runtime.version import VERSION
from core.runtime.web import serve
from core.runtime.web.application import build_application
from gateway import wiring
from gateway.config import ChainConfig, EndpointConfig, IndexConfig, listen_address, resolve_database
from gateway.config.reading import check_database
from gateway.daemons.parts import (
    check_starts,
    existing_database,
    fact_listeners,
    following,
    health_of,
    make_followers,
    own_database,
    until_stopped,
)
from indexer import reading, store
from indexer.feed import FactSignal, last_seq
from indexer.follower import Follower, FollowerState, FollowerStatus
from indexer.projections.keeping import SetAside, list_set_aside
from indexer.projections.rebuild import rebuild
from indexer.verification import Difference, compare, pick_ranges, stored_blocks

LOOK_S: Final = 0.25
MAX_SHOWN_ASIDE: Final = 100
"""Facts set aside that `causeway index status` names."""
ABSENT: Final = "causeway index run makes it"

Show = Callable[[Sequence[FollowerStatus]], None]


async def run_index(
    config: IndexConfig, base: Path, show: Show, until_head: bool, ready: Callable[[str], None]
) -> None:
    """Follow all chains until a signal, or until each was at its head once. `show` is called again and again.

    `ready` hears where health and metrics are served, if the configuration says so.
    """
    clock, metrics = SystemClock(), Metrics()
    check_database(config.database, base)
    async with AsyncExitStack() as stack:
        stack.enter_context(held(resolve_database(config.database, base)))
        database = await stack.enter_async_context(own_database(config.database, base))
        connected = await stack.enter_async_context(wiring.connected(config.chains, metrics=metrics))
        await check_starts(config.chains, connected)
        signal = FactSignal()
        followers = make_followers(config.chains, connected, database, signal, clock, metrics)
        supervisor = following(followers, clock, metrics)
        supervisor.add(*fact_listeners(config.database, database, signal))
        parts = [supervisor.run(), _watch(followers, show, until_head)]
        if config.listen is None:
            await until_stopped(*parts, ends=until_head)
            return
        app = build_application(
            [], title=config.name, version=VERSION, metrics=metrics, clock=clock, ready=health_of(followers)
        )
        async with serve(app, *listen_address(config.listen)) as url:
            await until_stopped(*parts, ends=until_head, ready=lambda: ready(url))


async def _watch(followers: Sequence[Follower], show: Show, until_head: bool) -> None:
    reached: set[ChainId] = set()
    while True:
        states = [follower.status for follower in followers]
        show(states)
        reached |= {one.chain for one in states if one.state is FollowerState.LIVE}
        if until_head and len(reached) == len(states):
            return
        await asyncio.sleep(LOOK_S)


async def index_status(config: IndexConfig, base: Path) -> list[dict[str, Any]]:
    """How far each chain is, as the database says. Raise `NotFoundError` if there is none."""
    clock = SystemClock()
    async with existing_database(config.database, base, ABSENT) as database:
        rows, aside = await database.read(lambda c: (store.chain_rows(c), list_set_aside(c, MAX_SHOWN_ASIDE)))
    return [_row(one, [fact for fact in aside if fact.where.chain == one.chain], clock.now()) for one in rows]


def _row(one: store.ChainRow, aside: Sequence[SetAside], now_s: float) -> dict[str, Any]:
    behind = None
    if one.head_height is not None:
        behind = max(0, one.head_height - (one.tip.height if one.tip else one.start - 1))
    return {
        "chain": one.chain,
        "state": one.state,
        "detail": one.detail,
        "start": one.start,
        "cursor": None if one.tip is None else one.tip.height,
        "finalized": None if one.finalized is None else one.finalized.height,
        "head": one.head_height,
        "behind": behind,
        "age_s": None if one.tip is None else max(0, round(now_s - one.tip.time.seconds)),
        "seen_s_ago": None if one.observed_ns is None else max(0, round(now_s - one.observed_ns / 10**9)),
        "alarms": one.alarms,
        "set_aside": one.set_aside,
        "set_aside_facts": [
            {
                "projection": fact.projection,
                "height": fact.where.height,
                "block": fact.where.hash.hex(),
                "what": "the events" if fact.index is None else f"event {fact.index}",
                "reason": fact.reason,
            }
            for fact in aside
        ],
    }


async def rebuild_index(config: IndexConfig, base: Path, progress: Callable[[int, int], None]) -> int:
    """Rebuild all projections. `progress` hears (facts read, facts in all), from another thread. Return the latter."""
    async with existing_database(config.database, base, ABSENT) as database:
        total = await database.read(last_seq)
        progress(0, total)
        return await database.write(lambda connection: rebuild(connection, lambda done: progress(done, total)))


async def acknowledge_index(config: IndexConfig, base: Path, chain: str) -> int:
    """Acknowledge the chain's reorgs below finality. Return how many were open. Raise `NotFoundError`."""
    clock = SystemClock()

    def acknowledge(connection: Connection) -> int:
        if chain not in reading.chains(connection):
            raise NotFoundError(f"the index does not follow {chain[:64]!r}: causeway index status lists its chains")
        return store.acknowledge_alarms(connection, ChainId(chain), clock.now_ns())

    async with existing_database(config.database, base, ABSENT) as database:
        return await database.write(acknowledge)


async def verify_index(
    config: IndexConfig,
    base: Path,
    endpoint: str | None,
    ranges: int,
    blocks: int,
    rng: random.Random,
    progress: Callable[[ChainId, int, int], None],
) -> dict[ChainId, list[Difference]]:
    """Fetch random ranges of each chain again and compare them. `progress` hears (chain, ranges done, ranges in all).

    They come from `endpoint`, or else from the last one configured, if several are; only what is final is compared,
    or everything if the chain has nothing final. Raise `RejectedError` if there is no other endpoint to ask.
    """
    found = {}
    async with existing_database(config.database, base, ABSENT) as database:
        for chain in config.chains:
            other = msgspec.structs.replace(chain, endpoints=(_other_endpoint(chain, endpoint),))
            found[ChainId(chain.id)] = await _verify_chain(other, database, ranges, blocks, rng, progress)
    return found


def _other_endpoint(chain: ChainConfig, url: str | None) -> EndpointConfig:
    if url is not None:
        return EndpointConfig(url, "verification")
    if len(chain.endpoints) < 2:
        raise RejectedError(f"{chain.id} was indexed from the one endpoint that it has: name another with --endpoint")
    return chain.endpoints[-1]


async def _verify_chain(
    config: ChainConfig,
    database: Database,
    ranges: int,
    blocks: int,
    rng: random.Random,
    progress: Callable[[ChainId, int, int], None],
) -> list[Difference]:
    chain = ChainId(config.id)
    rows = {one.chain: one for one in await database.read(store.chain_rows)}
    row = rows.get(chain)
    last = None if row is None else row.finalized or row.tip
    if row is None or last is None:
        raise NotFoundError(f"the index holds nothing of {chain} yet: causeway index run fills it")
    picked = pick_ranges(row.start, last.height, ranges, blocks, rng)
    found: list[Difference] = []
    async with wiring.connected([config]) as connected:
        source = connected[chain].access.blocks
        for done, (first, end) in enumerate(picked):
            progress(chain, done, len(picked))
            theirs = await _fetched(source, first, end)
            ours = await database.read(lambda c, first=first, end=end: stored_blocks(c, chain, first, end))  # type: ignore[misc]
            found += compare(ours, theirs)
        progress(chain, len(picked), len(picked))
    return found


async def _fetched(source: BlockSource, first: Height, last: Height) -> list[Block]:
    """The range, in as many parts as the endpoint wants."""
    try:
        return list(await source.blocks(first, last))
    except NotFoundError:
        raise
    except RejectedError:
        if first == last:
            raise
    middle = (first + last) // 2
    return await _fetched(source, first, Height(middle)) + await _fetched(source, Height(middle + 1), last)
