"""A daemon's life: it listens first, waits for its world, works on what is there, and shows its metrics to the end.

    listen ──> wait for the database and the chains ──> work ──> (a chain that was away has come: begin again)
       │              /readyz 503, with the reason        │
       └── /healthz 200 as long as the process is alive   └──> an error that ends it: /metrics until they were read

Of several relayers on one PostgreSQL one leads: it alone works, and the others stand by until its lease is silent. One
that has lost its lease, since it was paused or cut off, stands by from then on.

What a daemon works with is made again each time, over the chains that are there. It is stopped at any moment without
harm: everything that counts is in the database.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import Gauge

from adapters.registry import ConnectedChain
from core.model.errors import FatalError, FencedError
from core.model.types import ChainId
from core.runtime import leases
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.database_hold import held
from core.runtime.database_urls import SqliteAddress, parse_database_url
from core.runtime.leadership import FencedDatabase, Leadership
from core.runtime.leases import Lease
from core.runtime.logging import get_logger, sum_up
from core.runtime.metrics import Metrics
from core.runtime.version import VERSION
from core.runtime.web.front import ENDED, STANDING_BY, STARTING, Absence, Front
from gateway.announce import announce
from gateway.config import ChainConfig, listen_address, resolve_database
from gateway.config.reading import check_database
from gateway.daemons.parts import SETTLING_S, own_database, until_stopped
from gateway.daemons.world import Waits, World

LAST_WORDS_S: Final = 15.0
"""How long the metrics of a process that has ended for good can still be read: deploy/prometheus.yml scrapes thrice."""

SUM_UP_S: Final = 60.0
HAND_OVER_S: Final = 15.0
"""How long work that has ended may go on answering, until the next one is ready to."""
READY_LOOK_S: Final = 0.05

log = get_logger("gateway.daemons")


@dataclass(frozen=True, slots=True)
class Work:
    """A daemon's work over some chains: the application that answers, and the parts that run. `opened` is awaited
    before, and once more each time that it meets a `RetryableError`. Once `done` returns, the daemon ends as by a
    signal. `ready` is true once the application answers as it should, None from the beginning on; until then the work
    before it goes on answering, and `taken_over` is called when that ends."""

    app: web.Application
    parts: Sequence[Callable[[], Awaitable[None]]]
    opened: Callable[[], Awaitable[None]] | None = None
    done: Callable[[], Awaitable[object]] | None = None
    ready: Callable[[], bool] | None = None
    taken_over: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A daemon as its configuration has it. `kind` is for its log, `base` for its paths."""

    kind: str
    name: str
    listen: str
    database: str
    base: Path
    chains: Sequence[ChainConfig]
    as_json: bool
    lease: str | None = None
    """On PostgreSQL whoever has this lease works, and nobody else does; None: all do."""


Admit = Callable[[ConnectedChain], Awaitable[None]]
Begin = Callable[[Database, Mapping[ChainId, ConnectedChain], Collection[ChainId]], Work]
"""Makes the work over a database and the chains that are there; the last argument are those that are away."""


class Life:
    """One daemon. `admit` looks at each chain that comes; `begin` makes the work. `critical` is 1 after an error that
    ends the daemon, and can be read before the process ends; `leads` is 1 while the daemon works, 0 while it stands by.
    """

    def __init__(
        self,
        setting: Setting,
        admit: Admit,
        begin: Begin,
        clock: Clock,
        metrics: Metrics,
        critical: Gauge | None = None,
        leads: Gauge | None = None,
    ) -> None:
        self.waits = Waits()
        self.front = Front()
        self._setting = setting
        self._begin = begin
        self._clock = clock
        self._metrics = metrics
        self._critical = critical
        self._leads = leads
        self._leadership: Leadership | None = None
        self.world = World(setting.chains, admit, self.waits, clock, metrics)
        self._announced = False
        self._done = False
        self._shown: Work | None = None
        """Whose application answers."""

    async def run(self) -> None:
        """Live until a signal. Raise what ends the daemon, such as a SQLite file that another process has."""
        setting = self._setting
        check_database(setting.database, setting.base)
        place = resolve_database(setting.database, setting.base)
        host, port = listen_address(setting.listen)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.world.close)
            # Before it listens: who starts it twice learns of the first process, and not of its port.
            stack.enter_context(held(place))
            front = self.front.listening(setting.name, self._metrics, self._clock, host, port)
            await stack.enter_async_context(front)
            announce(setting.name, self.front.url, setting.as_json, ready=False)
            chains = [one.id for one in setting.chains]
            log.info("starts", kind=setting.kind, version=VERSION, url=self.front.url, chains=chains, pid=os.getpid())
            ended = "by a signal"
            try:
                await until_stopped(self._live(), ends=True)
                ended = "it is done" if self._done else ended
            except FatalError as error:
                ended = error.message
                await self._last_words(error)
                raise
            except Exception as error:
                ended = str(error) or type(error).__name__
                raise
            finally:
                sum_up(everything=True)
                log.info("stops", kind=setting.kind, why=ended)

    async def _live(self) -> None:
        await run_until(self._with_database(), self.world.run(), self._say_what_is_waited_for(), _sum_up())

    async def _with_database(self) -> None:
        async with own_database(self._setting.database, self._setting.base, self.waits) as database:
            await self._in_turn(database)

    async def _in_turn(self, database: Database) -> None:
        """Work while nobody else does. Return once the work is done."""
        name, place = self._setting.lease, resolve_database(self._setting.database, self._setting.base)
        if name is None or isinstance(parse_database_url(place), SqliteAddress):
            await self._at_work(database)
            return
        self._leadership = Leadership(database, name, self._clock)
        await run_until(self._lead_and_stand_by(database, self._leadership), self._say_who_leads(self._leadership))

    async def _lead_and_stand_by(self, database: Database, leadership: Leadership) -> None:
        while True:
            await self.world.enough()  # who reaches no chain leaves the lead to one that does
            lease = await leadership.taken()
            try:
                await run_until(self._at_work(FencedDatabase(database, lease)), leadership.keep(lease))
                return
            except FencedError as error:
                if await self._is_ours(database, lease):
                    raise  # an account was taken over by something that knows no lease
                log.warning("another process leads now", reason=error.message)
            finally:
                await leadership.release(lease)

    async def _is_ours(self, database: Database, lease: Lease) -> bool:
        async def find() -> Lease | None:
            return await database.read(lambda c: leases.find(c, lease.name))

        found = await self.waits.until("database", find, self._clock)
        return found is not None and found.epoch == lease.epoch

    async def _at_work(self, database: Database) -> None:
        self._show_leading(True)
        try:
            await self._work(database)
        finally:
            self._show_leading(False)

    def _show_leading(self, leads: bool) -> None:
        if self._leads is not None:
            self._leads.set(1 if leads else 0)

    async def _work(self, database: Database) -> None:
        """Work on the chains that are there, and begin again whenever another one has come. Return once it is done."""
        try:
            await self._work_and_begin_again(database)
        finally:
            self._say_why_absent()
            self._shown = None
            await self.front.show(None)

    async def _work_and_begin_again(self, database: Database) -> None:
        world = self.world
        while True:
            await world.enough()
            if self._shown is None:
                await world.close_former()
            count, chains = world.changed.count, world.chains
            away = [ChainId(one.id) for one in self._setting.chains if ChainId(one.id) not in chains]
            work = self._begin(database, chains, away)
            if work.opened is not None and not world.at_work:
                await self.waits.until("database", work.opened, self._clock)
            world.at_work = True
            if away:
                log.warning("begins without chains that do not answer", chains=away)
            if self._shown is None:
                await self._show(work)
            done = asyncio.ensure_future(work.done() if work.done is not None else asyncio.Event().wait())
            stop = first_of(done, world.grown(count))
            await run_until(stop, *(part() for part in work.parts), self._say_ready(not away), self._hand_over(work))
            if done.done() and not done.cancelled():
                self._done = True
                return

    async def _show(self, work: Work) -> None:
        self._shown = work
        await self.front.show(work.app)

    async def _hand_over(self, work: Work) -> None:
        """Let the work before this one answer until this one is ready to, or its time is over."""
        if self._shown is not work:
            until_s = self._clock.monotonic() + HAND_OVER_S
            while work.ready is not None and not work.ready() and self._clock.monotonic() < until_s:
                await self._clock.sleep(READY_LOOK_S)
            await self._show(work)
            if work.taken_over is not None:
                work.taken_over()
            await self.world.close_former()
        await asyncio.Event().wait()

    async def _say_ready(self, complete: bool) -> None:
        await asyncio.sleep(SETTLING_S)
        if complete and not self._announced:
            self._announced = True
            announce(self._setting.name, self.front.url, self._setting.as_json)
        await asyncio.Event().wait()

    async def _say_what_is_waited_for(self) -> None:
        while True:
            count = self.waits.changed.count
            self._say_why_absent()
            await self.waits.changed.wait_beyond(count)

    async def _say_who_leads(self, leadership: Leadership) -> None:
        while True:
            count = leadership.changed.count
            self._say_why_absent()
            await leadership.changed.wait_beyond(count)

    def _say_why_absent(self) -> None:
        reasons, leadership = dict(self.waits.reasons), self._leadership
        if leadership is not None and leadership.leader != leadership.holder:
            leader = leadership.leader or "nobody yet"
            absence = Absence(STANDING_BY, f"it stands by; {leader} leads", {"leader": leader, **reasons})
        elif reasons:
            absence = Absence(STARTING, "it waits for " + ", ".join(reasons), reasons)
        else:
            absence = Absence(STARTING, "it has just been started")
        self.front.absent = absence

    async def _last_words(self, error: FatalError) -> None:
        """Keep the metrics there until somebody has read them: an alarm hangs on them."""
        if self._critical is None or not self.world.at_work or isinstance(error, FencedError):
            return
        self._critical.set(1)
        self.front.absent = Absence(ENDED, error.message)
        log.warning(
            "ends for good; its metrics can be read a moment longer", seconds=LAST_WORDS_S, reason=error.message
        )
        await self.front.scraped.wait_beyond(self.front.scraped.count, LAST_WORDS_S)


async def _sum_up() -> None:
    """Show what was counted in the log instead of being said again."""
    while True:
        await asyncio.sleep(SUM_UP_S)
        sum_up()


async def first_of(*awaited: Awaitable[object]) -> None:
    """Return as soon as one of them does; the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in awaited]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def run_until(stop: Awaitable[object], *running: Awaitable[object]) -> None:
    """Run all until `stop` returns; the others are cancelled and waited for.

    Raise what one of them dies of, and `FatalError` if one other than `stop` returns by itself.
    """
    tasks = [asyncio.ensure_future(one) for one in (stop, *running)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
    if tasks[0] not in done:
        raise FatalError("a part of the daemon ended by itself")
