"""Events into swaps: the engine, and the swap's row with it, in the caller's transaction.

Whoever changed swaps calls `SwapUpdates.changed` after the commit; that wakes the executor and everyone who watches.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RetryableError
from core.model.types import SwapId
from core.runtime.database import Database
from htlc import engine, events
from htlc.model import Agreement, SwapState
from relayer.pump import tables

T = TypeVar("T")

WRITE_RETRIES: Final = 8
MAX_SUBSCRIPTIONS: Final = 1_000
MAX_WAITING_UPDATES: Final = 1_000
"""Swaps that may wait for one slow subscriber; beyond that the oldest is lost, and shows again with
its next change."""


load = engine.load
"""The swap's present state. Raise `NotFoundError`."""


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
    """Let a swap answer these events, in order; true if anything changed.

    Raise `NotFoundError`; `ConflictError` if the swap moved on in another transaction: begin this one again.
    """
    taken = engine.take(connection, swap_id, happened, now_ns=now_ns)
    if taken.stored:
        tables.note_state(connection, taken.state, now_ns)
    return taken.stored > 0


async def write(database: Database, work: Callable[[Connection], T]) -> T:
    """`Database.write`, again if another transaction was faster. Raise `RetryableError` if that lasts."""
    for _ in range(WRITE_RETRIES):
        try:
            return await database.write(work)
        except ConflictError:
            await asyncio.sleep(0)
    raise RetryableError(f"others changed the swap first in each of {WRITE_RETRIES} attempts: try again")
