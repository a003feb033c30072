"""Facts that a swap could not take in: kept, and offered to it again, while every other swap goes on.

A fact is offered later than those behind it. So what it says is judged by the chain as it is followed then: a sighting
in a block that was replaced meanwhile is dropped, but a preimage that such a block showed stays public.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError
from core.model.types import SwapId
from core.runtime.clock import NS_PER_S
from core.runtime.database import METADATA
from core.runtime.logging import get_logger
from core.runtime.savepoints import contained, reason_of
from htlc import events
from indexer.feed import Fact, FactKind, is_canonical, read_facts
from relayer.pump import observations, swaps, tables
from relayer.pump.tables import SwapRow

MAX_TRIES_AT_ONCE: Final = 50
"""Kept facts that are offered again in one transaction."""
FIRST_WAIT_S: Final = 1
LONGEST_WAIT_S: Final = 3_600

log = get_logger("relayer.pump.set_aside")

kept = sa.Table(
    "relayer_set_aside",
    METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("swap_id", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_ns", sa.BigInteger, nullable=False),
)
"""One row for each fact (by its number in the indexer's log) and each swap that could not take it in."""

TABLES: Final = (kept,)

_DUE: Final = (
    sa.select(kept.c.seq, kept.c.swap_id)
    .where(kept.c.due_ns <= sa.bindparam("now_ns"))
    .order_by(kept.c.seq, kept.c.swap_id)
    .limit(MAX_TRIES_AT_ONCE)
)
_STANDING: Final = sa.select(sa.func.count(), sa.func.min(kept.c.due_ns)).select_from(kept)


@dataclass(frozen=True, slots=True)
class Patience:
    """`waits_for_others`: let a `ConflictError` end the transaction, which is begun again when others have finished."""

    waits_for_others: bool = True

    def contained(self, connection: Connection, work: Callable[[], object]) -> Exception | None:
        """Run `work` as `core.runtime.savepoints.contained` does."""
        error = contained(connection, work)
        if self.waits_for_others and isinstance(error, ConflictError | sa.exc.IntegrityError):
            raise error
        return error


def offer(connection: Connection, swap: SwapRow, fact: Fact, patience: Patience, now_ns: int) -> bool:
    """Let a swap take in what a block says about it. Return true if anything changed.

    Keep the fact if some of it cannot be taken in; the rest of it is.
    """
    changed, error = _taken(connection, swap, partial(observations.swap_events, fact, swap), patience, now_ns)
    if error is not None:
        _keep(connection, swap.swap_id, fact.seq, error, now_ns)
    return changed


def _taken(
    connection: Connection,
    swap: SwapRow,
    happened: Callable[[], Iterable[events.SwapEvent]],
    patience: Patience,
    now_ns: int,
) -> tuple[bool, Exception | None]:
    """Offer all of it at once; if that fails, one event after the other. Return the first error of these."""
    changed = False

    def take(some: Callable[[], Iterable[events.SwapEvent]]) -> None:
        nonlocal changed
        changed |= swaps.take(connection, swap.swap_id, some(), now_ns=now_ns)

    error = patience.contained(connection, partial(take, happened))
    if error is None:
        return changed, None
    singly: list[events.SwapEvent] = []
    if contained(connection, lambda: singly.extend(happened())) is not None:
        return False, error
    changed, first = False, None
    for event in singly:
        failed = patience.contained(connection, partial(take, partial(tuple, (event,))))
        first = first or failed
    return changed, first


def _keep(connection: Connection, swap_id: SwapId, seq: int, error: Exception, now_ns: int) -> None:
    reason = reason_of(error)
    log.error("a swap cannot take in a fact, which is kept for it", swap_id=swap_id, fact=seq, reason=reason)
    same = kept.c.seq == seq, kept.c.swap_id == swap_id
    tries = connection.execute(sa.select(kept.c.tries).where(*same)).scalar() or 0
    due_ns = now_ns + min(LONGEST_WAIT_S, FIRST_WAIT_S << min(tries, 12)) * NS_PER_S
    if tries:
        connection.execute(sa.update(kept).where(*same).values(reason=reason, tries=tries + 1, due_ns=due_ns))
    else:
        values = {"seq": seq, "swap_id": swap_id, "reason": reason, "tries": 1, "due_ns": due_ns}
        connection.execute(sa.insert(kept).values(values))


def offer_again(connection: Connection, patience: Patience, now_ns: int) -> set[SwapId]:
    """Offer the kept facts that are due to their swaps. Return the swaps that changed."""
    changed: set[SwapId] = set()
    for row in connection.execute(_DUE, {"now_ns": now_ns}).all():
        swap_id, error = SwapId(row.swap_id), None
        try:
            swap = tables.swap_row(connection, swap_id)
        except NotFoundError:
            swap = None
        facts = read_facts(connection, row.seq - 1, 1)
        if swap is not None and not swap.done and facts:
            happened = partial(_still_true, connection, facts[0], swap)
            moved, error = _taken(connection, swap, happened, patience, now_ns)
            changed |= {swap_id} if moved else set()
        if error is None:
            connection.execute(sa.delete(kept).where(kept.c.seq == row.seq, kept.c.swap_id == swap_id))
        else:
            _keep(connection, swap_id, row.seq, error, now_ns)
    return changed


def _still_true(connection: Connection, fact: Fact, swap: SwapRow) -> Sequence[events.SwapEvent]:
    canonical = is_canonical(connection, fact.header.ref)
    if canonical is (fact.kind is FactKind.APPLIED):
        return tuple(observations.swap_events(fact, swap))
    return tuple(observations.preimages(fact, swap)) if fact.kind is FactKind.APPLIED else ()


@dataclass(frozen=True, slots=True)
class Standing:
    """How many facts are kept for a swap, and when the next of them is due; None if there is none."""

    count: int
    due_ns: int | None

    def is_due(self, now_ns: int) -> bool:
        return self.due_ns is not None and self.due_ns <= now_ns


def standing(connection: Connection) -> Standing:
    """Return what is kept."""
    count, due_ns = connection.execute(_STANDING).one()
    return Standing(int(count), due_ns)


def contained_each(
    connection: Connection, found: Collection[SwapRow], patience: Patience, work: Callable[[SwapRow], bool]
) -> set[SwapId]:
    """Do `work` for each swap. Return those for which it returned true.

    What fails for one is logged and stops no other. For work that comes back by itself, as time and finality do.
    """
    changed: set[SwapId] = set()

    def one(swap: SwapRow) -> None:
        if work(swap):
            changed.add(swap.swap_id)

    for swap in found:
        error = patience.contained(connection, partial(one, swap))
        if error is not None:
            changed.discard(swap.swap_id)
            log.error("a swap cannot take in time or finality", swap_id=swap.swap_id, reason=reason_of(error))
    return changed
