"""What the relayer and the regulator share: a database, followers, and running until a signal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

from adapters.registry import ConnectedChain
from core.model.errors import FatalError, RejectedError, RetryableError
from core.model.types import ChainId, Height
from core.runtime.clock import Clock
from core.runtime.database import Database, create_schema, open_database
from core.runtime.garbage import collect_seldom
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor, Worker
from core.runtime.web import Health
from gateway.announce import stop_signals
from gateway.config import ChainConfig, resolve_database
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.listening import FactListener

VERSION: Final = version("causeway-gateway")


@asynccontextmanager
async def opened_database(url: str, base: Path) -> AsyncIterator[Database]:
    """The database with its schema, closed in the end."""
    database = open_database(resolve_database(url, base))
    try:
        await database.write(create_schema)
        yield database
    finally:
        await database.close()


async def check_starts(configs: Sequence[ChainConfig], chains: Mapping[ChainId, ConnectedChain]) -> None:
    """Raises `RejectedError` for a chain whose `start` no block of it can be. One that does not answer is not asked."""
    for config in configs:
        try:
            head = (await chains[ChainId(config.id)].access.heads.head()).head
        except RetryableError:
            continue
        # The block that comes next is a start as good as any: a chain may have none but its first yet.
        if not 0 <= config.start <= head.height + 1:
            raise RejectedError(
                f"chain {config.id}: start = {config.start}, but its blocks go from 0 to {head.height}: "
                "choose the block from which on it is looked at"
            )


def make_followers(
    configs: Sequence[ChainConfig],
    chains: Mapping[ChainId, ConnectedChain],
    database: Database,
    signal: FactSignal,
    clock: Clock,
    metrics: Metrics,
) -> list[Follower]:
    """One follower for each configured chain, all into one database."""
    made = []
    for config in configs:
        access = chains[ChainId(config.id)].access
        made.append(
            Follower(
                access.parameters,
                access.heads,
                access.blocks,
                database,
                signal,
                clock,
                Height(config.start),
                metrics,
            )
        )
    return made


def following(followers: Sequence[Follower], clock: Clock, metrics: Metrics) -> Supervisor:
    supervisor = Supervisor(clock, metrics)
    supervisor.add(*(Worker(f"follower {follower.status.chain}", follower.run) for follower in followers))
    return supervisor


def fact_listeners(url: str, database: Database, signal: FactSignal) -> list[Worker]:
    """On PostgreSQL, which processes may share: what hears of the facts that the others store."""
    if not url.startswith("postgres"):
        return []
    return [Worker("facts of other processes", FactListener(url, database, signal).run)]


def health_of(followers: Sequence[Follower]) -> Callable[[], Awaitable[Health]]:
    """Healthy while every chain is followed; the details say how far."""

    async def look() -> Health:
        states = [follower.status for follower in followers]
        details = {
            str(one.chain): f"{one.state}, {one.lag_blocks} blocks behind" + (f": {one.detail}" if one.detail else "")
            for one in states
        }
        return Health(ok=all(one.ready for one in states), details=details)

    return look


async def until_stopped(*running: Awaitable[None], ends: bool = False) -> None:
    """Run everything until a signal; what one of them dies of ends all and is raised. `ends`: one may also end."""
    collect_seldom()
    with stop_signals() as stop:
        tasks = [asyncio.ensure_future(one) for one in running]
        asked = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, asked):
                task.cancel()
            await asyncio.gather(*tasks, asked, return_exceptions=True)
        for task in done - {asked}:
            task.result()
            if not ends:
                raise FatalError("a part of the daemon ended by itself")
