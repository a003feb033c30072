"""How a process ends, and how its database fails it: counted by what it does, so that every kind of commit and of
effect is hit, before and after it took effect.
"""

import asyncio
import inspect
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence, Set
from dataclasses import replace
from typing import Any, Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.errors import FatalError, FencedError, RetryableError
from core.model.ports import ChainAccess, Signer, TransactionSender
from core.model.transactions import SignedTransaction, SigningRequest
from core.model.types import AccountId
from core.runtime.database import InlineDatabase
from gateway.simulation.chains import PlayedChain
from gateway.simulation.plan import COMMITS, Death, Outage
from gateway.simulation.statements import written
from gateway.simulation.world import World

T = TypeVar("T")

UNKNOWN: Final = (OSError, ValueError, KeyError, RuntimeError)
"""Errors of a signer's library, none of which is our own."""
MOST_PAGES: Final = 1_000_000
"""Far more than a story's database needs."""


class Crash(FencedError):
    """The process ends here, between two instructions."""


class Fuse:
    """When this life of `party` ends, counted by what the process does. Nothing of it gets through afterwards."""

    def __init__(self, death: Death | None, dies: Callable[[str], None]) -> None:
        self._death = death
        self._dies = dies
        self._commits = 0
        self._sendings = 0
        self.dead = False

    def alive(self) -> None:
        if self.dead:
            raise Crash("the process is dead")

    def burn(self, how: str) -> Crash:
        """The process is dead from now on."""
        self.dead = True
        self._dies(how)
        return Crash("killed")

    def disarm(self) -> None:
        """It ends by nothing that it does any more."""
        self._death = None

    @property
    def commit(self) -> str | None:
        """The kind of commit at which it ends, None if it ends by something else, or has ended."""
        return None if self._death is None or self.dead else self._death.commit

    def at_commit(self, tables: Set[str]) -> bool:
        """Call for each commit of that kind, with the tables that it writes."""
        if self._death is None or (self._death.alone and not tables.isdisjoint(COMMITS["event"])):
            return False
        self._commits += 1
        return self._commits == self._death.count

    def at_sending(self, act: str) -> bool:
        self.alive()
        if self._death is None or self._death.sending != act:
            return False
        self._sendings += 1
        return self._sendings == self._death.count

    @property
    def after(self) -> bool:
        return self._death is not None and self._death.after


class MortalDatabase:
    """A database that the process loses when it dies; that is locked now and then, gone for a while, or full, or that
    commits, and cannot say so.

    `address` returns what is there now: it may be another one when a process wakes that was paused.
    """

    def __init__(
        self,
        address: Callable[[], InlineDatabase],
        fuse: Fuse,
        locked: float,
        outages: Sequence[Outage],
        source: random.Random,
        world: World,
        unheard: float = 0.0,
    ) -> None:
        self._address = address
        self._fuse = fuse
        self._locked = locked
        self._unheard = unheard
        self._outages = outages
        self._source = source
        self._world = world
        self._limited = any(one.full for one in outages)
        """Its pages are limited, or may be, by a former life."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        self._fuse.alive()
        self._may_fail()
        await self._limit()
        try:
            done = await (self._address().write(work) if self._fuse.commit is None else self._watched_write(work))
        except FatalError:
            self._world.faults["database-full"] += self._limited
            raise
        if self._unheard and self._source.random() < self._unheard:
            self._world.faults["commit-unheard"] += 1
            raise RetryableError("the connection to the database was lost before it answered: look what is there")
        return done

    async def _watched_write(self, work: Callable[[Connection], T]) -> T:
        """A write at which the process may end: inside of the transaction, or right after it."""
        watched_tables = COMMITS[self._fuse.commit or ""]
        ends = False

        def watched(connection: Connection) -> T:
            nonlocal ends
            with written(connection) as tables:
                done = work(connection)
            ends = not tables.isdisjoint(watched_tables) and self._fuse.at_commit(tables)
            if ends and not self._fuse.after:
                raise self._fuse.burn(f"write-{self._fuse.commit}")
            return done

        done = await self._address().write(watched)
        if ends:
            raise self._fuse.burn(f"write-{self._fuse.commit}")
        return done

    async def read(self, work: Callable[[Connection], T]) -> T:
        self._fuse.alive()
        self._may_fail()
        return await self._address().read(work)

    async def close(self) -> None:
        """The file outlives the process."""

    def _may_fail(self) -> None:
        if self._outage(full=False):
            self._world.faults["database-gone"] += 1
            raise RetryableError("the connection to the database was lost: this is tried again")
        if self._locked and self._source.random() < self._locked:
            self._world.faults["database-locked"] += 1
            raise RetryableError("the database is locked: try again")

    def _outage(self, *, full: bool) -> bool:
        now_s = self._world.seconds
        return any(one.full == full and one.at_s <= now_s < one.at_s + one.lasts_s for one in self._outages)

    async def _limit(self) -> None:
        """While its disk is full the database takes nothing that needs another page."""
        full = self._outage(full=True)
        if full != self._limited:
            pages = 1 if full else MOST_PAGES
            await self._address().write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar())
            self._limited = full


class MortalSender:
    """A `TransactionSender` that the process loses when it dies."""

    def __init__(self, inner: TransactionSender, fuse: Fuse, chain: PlayedChain) -> None:
        self._inner = inner
        self._fuse = fuse
        self._chain = chain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def submit(self, signed: SignedTransaction) -> None:
        body = self._chain.read(signed.raw)
        act = "lock" if body.locks else "claim" if body.preimages else "other"
        if self._fuse.at_sending(act):
            if self._fuse.after:
                await self._inner.submit(signed)
            raise self._fuse.burn(f"sending-{act}")
        await self._inner.submit(signed)


class Held:
    """A database or a port of a process that can be paused: nothing goes out or comes back while `awake` is not set."""

    def __init__(self, inner: Any, awake: asyncio.Event) -> None:
        self._inner = inner
        self._awake = awake

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if inspect.isasyncgenfunction(found):
            return lambda *given: self._streamed(found, given)
        if not inspect.iscoroutinefunction(found):
            return found

        async def held(*given: Any) -> Any:
            await self._awake.wait()
            try:
                return await found(*given)
            finally:
                await self._awake.wait()

        self.__dict__[name] = held  # a method stays what it is
        return held

    async def _streamed(self, stream: Callable[..., AsyncIterator[Any]], given: tuple[Any, ...]) -> AsyncIterator[Any]:
        async for one in stream(*given):
            await self._awake.wait()
            yield one


def held(access: ChainAccess, awake: asyncio.Event) -> ChainAccess:
    """The chain as a process finds it that can be paused."""
    ports = ("heads", "blocks", "state", "locks", "legs", "transactions")
    return replace(access, **{name: Held(getattr(access, name), awake) for name in ports})


class Troubled:
    """A signer that is as another, but for how it signs."""

    def __init__(self, inner: Signer) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def account(self) -> AccountId:
        return self._inner.account


class Fickle(Troubled):
    """A signer that now and then gives an error of its own instead of a signature, as a device or a remote one may."""

    def __init__(self, inner: Signer, share: float, source: random.Random, faults: Counter[str]) -> None:
        super().__init__(inner)
        self._share = share
        self._source = source
        self._faults = faults

    async def sign(self, request: SigningRequest) -> bytes:
        if self._source.random() < self._share:
            self._faults["signer-fails"] += 1
            raise self._source.choice(UNKNOWN)("the token was removed")
        return await self._inner.sign(request)
