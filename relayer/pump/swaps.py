"""Events into swaps: the engine, and the swap's row with it, in the caller's transaction.

Whoever changed swaps tells `Switchboard.changed` after the commit; that wakes the executor and everyone who watches.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RetryableError
from core.model.types import SwapId
from core.runtime import journal
from core.runtime.database import Database
from htlc import engine, events
from htlc.facts import ever_locked
from htlc.model import Agreement, SwapState
from indexer.projections import withdraw_agreement
from relayer.heads import Signal
from relayer.notices import reports
from relayer.pump import tables

T = TypeVar("T")

WRITE_RETRIES: Final = 8
MAX_SUBSCRIPTIONS: Final = 1_000
MAX_WAITING_UPDATES: Final = 1_000
"""Swaps that may wait for one slow subscriber; beyond that he loses the oldest, and hears of it with its next
change."""


load = engine.load
"""The swap's present state. Raises `NotFoundError`."""


def begin(
    connection: Connection,
    agreement: Agreement,
    quote_id: str | None,
    *,
    now_s: int,
    now_ns: int,
    caller: str | None = None,
    hold_until_ns: int | None = None,
    proven: bool = True,
) -> SwapState:
    """Store a new swap, opened by `caller`; see `relayer.inventory.Promise` for its hold and its proof.

    Raise `ConflictError` if its quote was used before, or its hashlock in a swap whose leg we fund.
    """
    tables.insert_swap(connection, agreement, quote_id, now_ns, caller, hold_until_ns, proven)
    state = engine.begin(connection, agreement, now_s=now_s, now_ns=now_ns)
    tables.note_state(connection, state, now_ns)
    return state


def take(connection: Connection, swap_id: SwapId, happened: Iterable[events.SwapEvent], *, now_ns: int) -> bool:
    """Let a swap answer these events, in order; true where anything changed.

    Raises `NotFoundError`; `ConflictError` where the swap moved on in another transaction: begin this one again.
    """
    taken = engine.take(connection, swap_id, happened, now_ns=now_ns)
    if taken.stored:
        tables.note_state(connection, taken.state, now_ns)
    return taken.stored > 0


def forget_nothing(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget swaps that ended before then without any lock, at most `limit`; return how many.

    Anybody can have a swap agreed or watched, so what comes of it must not fill the disk. Their hashlocks were never
    funded; whoever locks under one later is answered as under any other that is not known here.
    """
    forgotten = 0
    for row in tables.came_to_nothing(connection, before_ns, limit):
        state = engine.load(connection, row.swap_id)
        if ever_locked(state) or state.attempts:
            continue
        tables.forget(connection, row.swap_id)
        journal.forget(connection, row.swap_id)
        reports.forget(connection, row.swap_id)
        withdraw_agreement(connection, row.swap_id, row.hashlock)
        forgotten += 1
    return forgotten


async def write(database: Database, work: Callable[[Connection], T]) -> T:
    """`Database.write`, again where another transaction was faster. Raises `RetryableError` where that lasts."""
    for _ in range(WRITE_RETRIES):
        try:
            return await database.write(work)
        except ConflictError:
            await asyncio.sleep(0)
    raise RetryableError("the swap is being changed by others all the time: try again")


class Switchboard:
    """Tells who waits that swaps have changed. In this process only; the database is what counts."""

    def __init__(self) -> None:
        self.effects = Signal()
        """Counts commits that may have left effects in the outbox."""
        self._subscriptions: set[Subscription] = set()

    def changed(self, swap_ids: Collection[SwapId]) -> None:
        """These swaps have changed, and that is committed."""
        if not swap_ids:
            return
        self.effects.notify()
        for subscription in self._subscriptions:
            subscription.add(swap_ids)

    def subscribe(self, only: SwapId | None = None) -> "Subscription":
        """From now on the id of each swap that changes (or of the one). Close it in the end.

        Raises `RetryableError` where too many watch already.
        """
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise RetryableError(f"{MAX_SUBSCRIPTIONS} watch swaps already: try again later")
        subscription = Subscription(only, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription


class Subscription:
    """One who watches. A swap that changes faster than he reads is told once."""

    def __init__(self, only: SwapId | None, ended: Callable[["Subscription"], None]) -> None:
        self._only = only
        self._ended = ended
        self._waiting: dict[SwapId, None] = {}
        self._arrived = asyncio.Event()

    def add(self, swap_ids: Collection[SwapId]) -> None:
        for swap_id in swap_ids:
            if self._only in (None, swap_id):
                self._waiting[swap_id] = None
                self._arrived.set()
        while len(self._waiting) > MAX_WAITING_UPDATES:
            del self._waiting[next(iter(self._waiting))]

    async def next(self) -> SwapId:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        first = next(iter(self._waiting))
        del self._waiting[first]
        return first

    def close(self) -> None:
        self._ended(self)
