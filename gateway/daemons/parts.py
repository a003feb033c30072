"""Parts that the relayer and the regulator share: a database, followers, and running until a signal."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from adapters.registry import ConnectedChain
from core.model.errors import ConflictError, FatalError, NotFoundError, RejectedError, RetryableError
from core.model.types import AccountId, ChainId, Height, chain_of
from core.runtime.clock import Clock, SystemClock
from core.runtime.database import Database, create_schema, open_database
from core.runtime.database_hold import held
from core.runtime.database_urls import SqliteAddress, parse_database_url
from core.runtime.garbage import collect_seldom
from core.runtime.leadership import TAKEN_OVER_S, FencedDatabase, Leadership
from core.runtime.metrics import Metrics
from core.runtime.retry import retrying
from core.runtime.supervisor import Supervisor, Worker
from core.runtime.web import Health
from gateway.announce import stop_signals
from gateway.config import ChainConfig, resolve_database
from gateway.config.reading import SQLITE, check_database
from gateway.daemons.world import Waits
from gateway.wiring import CONNECT
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.listening import FactListener
from relayer.provider.pricing import Offer
from relayer.provider.quoting import Pair
from relayer.pump.standing import accounts_in_use

RELAYER_LEASE: Final = "relayer"
"""Whoever has it signs, drives swaps and follows chains, on a PostgreSQL that several processes share."""
NEVER_RAN: Final = "no relayer has run with this configuration"
NO_DATABASE: Final = "3D000"
"""PostgreSQL's invalid_catalog_name (its manual, appendix A): it may be created a moment later."""
MAX_CONCERNS: Final = 10
"""How many concerns a health document lists."""
LOOK_S: Final = 5.0
"""How long the database may take to say what concerns the operator."""
SETTLING_S: Final = 0.25
"""The time within which a part that cannot work at all ends: nothing is announced before."""


@asynccontextmanager
async def opened_database(url: str, base: Path) -> AsyncIterator[Database]:
    """The database with its schema, closed in the end: for commands, also while a daemon works on it."""
    database = open_database(resolve_database(url, base))
    try:
        await database.write(create_schema)
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def existing_database(url: str, base: Path, absent: str = NEVER_RAN) -> AsyncIterator[Database]:
    """As `opened_database`, which would make a file that is not there, and show a database of nothing.

    Raise `NotFoundError` instead; `absent` says why there may be none.
    """
    if not database_exists(url, base):
        raise NotFoundError(f"there is no database at {resolve_database(url, base).removeprefix(SQLITE)}: {absent}")
    async with opened_database(url, base) as database:
        yield database


def database_exists(url: str, base: Path) -> bool:
    """Return false for a SQLite database that was not made yet, or is in memory; a server is not asked."""
    address = parse_database_url(resolve_database(url, base))
    return not isinstance(address, SqliteAddress) or (address.path is not None and address.path.exists())


@asynccontextmanager
async def own_database(url: str, base: Path, waits: Waits | None = None) -> AsyncIterator[Database]:
    """A daemon's database with its schema, closed in the end.

    A server that does not answer yet, or has no such database yet, is waited for with `waits`; without, it gets some
    seconds. Raise what opening it raises. Nobody else is kept from it: see `held`.
    """
    clock, database = SystemClock(), open_database(resolve_database(url, base))

    async def open_schema() -> None:
        try:
            await database.write(create_schema)
        except FatalError as error:
            if waits is None or error.fields.get("sqlstate") != NO_DATABASE:
                raise
            raise RetryableError(error.message) from error

    try:
        await (retrying(open_schema, CONNECT, clock) if waits is None else waits.until("database", open_schema, clock))
        yield database
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class SoleDatabase:
    """A relayer's database on which nobody else works. `keep` is one of the parts that run: it raises `FencedError` if
    another process takes the database over all the same."""

    database: Database
    keep: Callable[[], Awaitable[object]]


@asynccontextmanager
async def sole_database(url: str, base: Path) -> AsyncIterator[SoleDatabase]:
    """The database of a relayer that does not run, with its schema, for a command that does a relayer's work.

    Raise `ConflictError` if a relayer works on it, and what opening it raises.
    """
    check_database(url, base)
    place, clock = resolve_database(url, base), SystemClock()
    with held(place):
        async with own_database(url, base) as database:
            if isinstance(parse_database_url(place), SqliteAddress):
                yield SoleDatabase(database, asyncio.Event().wait)
                return
            leadership = Leadership(database, RELAYER_LEASE, clock)
            try:
                async with asyncio.timeout(TAKEN_OVER_S):
                    lease = await leadership.taken()
            except TimeoutError:
                raise ConflictError(
                    f"{leadership.leader or 'another process'} works on this database: stop the relayer first"
                ) from None
            try:
                yield SoleDatabase(FencedDatabase(database, lease), partial(leadership.keep, lease))
            finally:
                await leadership.release(lease)


async def check_accounts(database: Database, accounts: Collection[AccountId], away: Collection[ChainId] = ()) -> None:
    """Raise `RejectedError` if an open swap needs an account of ours that is not configured any more. Accounts on the
    chains `away`, which do not answer yet, are not known yet."""
    for account, count in (await database.read(accounts_in_use)).items():
        if account not in accounts and chain_of(account) not in away:
            chain = chain_of(account)
            now = next((one for one in accounts if chain_of(one) == chain), "none")
            raise RejectedError(
                f"{count} open swap(s) need the account {account}, and the account on {chain} is {now} now: "
                "name its key in [[retiring]] until these swaps are done, as causeway relayer rotate does, or put it "
                "back into [[accounts]]"
            )


def check_traded(pairs: Sequence[Pair | Offer], chains: Mapping[ChainId, ConnectedChain]) -> None:
    """Raise `RejectedError` for a pair with an asset that its chain, one of these, does not show."""
    for pair in pairs:
        for asset in (pair.initiator_asset, pair.participant_asset):
            here = chains.get(chain_of(asset))
            if here is not None and asset not in here.access.parameters.assets:
                raise RejectedError(f"the pair {pair.id} needs {asset}, which its chain does not show: correct it")


async def check_starts(configs: Sequence[ChainConfig], chains: Mapping[ChainId, ConnectedChain]) -> None:
    """Raise `RejectedError` for one of these chains whose `start` no block of it can be. One that does not answer is
    not asked."""
    for config in configs:
        if (here := chains.get(ChainId(config.id))) is None:
            continue
        try:
            head = (await here.access.heads.head()).head
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
    """One follower for each configured chain that is there, all into one database."""
    made = []
    for config in configs:
        if ChainId(config.id) not in chains:
            continue
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


def following(followers: Sequence[Follower], clock: Clock, metrics: Metrics, *, contained: bool = False) -> Supervisor:
    """The supervisor of these followers. `contained`: a fatal error rests its follower, and ends no other's work."""
    supervisor = Supervisor(clock, metrics)
    supervisor.add(*(Worker(f"follower {one.status.chain}", one.run, contained=contained) for one in followers))
    return supervisor


def fact_listeners(url: str, database: Database, signal: FactSignal) -> list[Worker]:
    """On PostgreSQL, which processes may share: what hears of the facts that the others store."""
    if not url.startswith("postgres"):
        return []
    return [Worker("facts of other processes", FactListener(url, database, signal).run)]


def health_of(
    followers: Sequence[Follower],
    concerns: Callable[[], Awaitable[Sequence[str]]] | None = None,
    waits: Waits | None = None,
) -> Callable[[], Awaitable[Health]]:
    """Well while every chain is followed and nothing is waited for or concerns the operator; the details say how far
    each chain is, and what is amiss."""

    async def look() -> Health:
        states = [follower.status for follower in followers]
        details = dict(waits.reasons) if waits is not None else {}
        away = bool(details)
        details |= {
            str(one.chain): f"{one.state}, {one.lag_blocks} blocks behind" + (f": {one.detail}" if one.detail else "")
            for one in states
        }
        found = [] if concerns is None else (await _concerns(concerns))[:MAX_CONCERNS]
        details |= {f"concern {number}": concern for number, concern in enumerate(found, 1)}
        return Health(ok=all(one.ready for one in states) and not found and not away, details=details)

    return look


async def _concerns(asked: Callable[[], Awaitable[Sequence[str]]]) -> list[str]:
    try:
        async with asyncio.timeout(LOOK_S):
            return list(await asked())
    except (RetryableError, TimeoutError) as error:
        return [f"the database does not answer: {error or 'it takes too long'}"]


async def until_stopped(*running: Awaitable[None], ends: bool = False, ready: Callable[[], None] | None = None) -> None:
    """Run everything until a signal; what one of them dies of ends all and is raised. `ends`: one may also end.

    `ready` is called once everything has run for `SETTLING_S` and nothing has ended.
    """
    collect_seldom()
    with stop_signals() as stop:
        tasks = [asyncio.ensure_future(one) for one in running]
        asked = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, asked], timeout=SETTLING_S, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                if ready is not None:
                    ready()
                done, _ = await asyncio.wait([*tasks, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, asked):
                task.cancel()
            await asyncio.gather(*tasks, asked, return_exceptions=True)
        for task in done - {asked}:
            task.result()
            if not ends:
                raise FatalError("a part of the daemon ended by itself")
