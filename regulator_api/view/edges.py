"""Moves as the edges of traces: each lock a ledger of its own, and crossed where both legs of a swap were claimed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from core.model.facts import LockStatus
from core.model.types import AccountId, ChainId, Hashlock, Height
from indexer import tables
from indexer.moves import Direction, MoveKind
from indexer.projections.histories import HASHLOCKS
from indexer.projections.locks import LockRow, Placed, by_hashlock, lock_row, same_terms
from regulator_api.tracing.model import Edge, Ledger, Place
from regulator_api.view.base import View

CHUNK: Final = 200
MAX_CANDIDATES: Final = 20
"""Locks under one hashlock that are named as candidates."""
LockPlace = tuple[str, int, int]
"""Chain, height and index of the event that made a lock."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A lock that a trace reached and that no agreement joins, with claimed locks of other chains under its hashlock:
    value may have crossed there, and is not taken to have."""

    lock: LockRow
    others: tuple[LockRow, ...]


@dataclass(slots=True)
class Locks:
    """Locks by their places, each as it stood, and the swap and the other leg of those that were exchanged."""

    by_place: dict[LockPlace, LockRow] = field(default_factory=dict)
    by_end: dict[LockPlace, LockRow] = field(default_factory=dict)
    exchanged: dict[LockPlace, tuple[str, LockRow]] = field(default_factory=dict)
    unjoined: set[Hashlock] = field(default_factory=set)

    def add(self, lock: LockRow) -> None:
        self.by_place[lock.place] = lock
        if lock.settled is not None:
            self.by_end[lock.chain, lock.settled.height, lock.settled.index] = lock

    def inflow(self, lock: LockRow) -> Edge:
        """The edge that fills a lock."""
        place = _place(lock.chain, lock.locked)
        sent = Ledger(lock.terms.sender, lock.terms.asset)
        return Edge(place, place, sent, lock_ledger(lock), lock.terms.amount, lock.locked.tx_hash)

    def outflow(self, lock: LockRow) -> Edge | None:
        """The edge by which what a lock holds leaves, on whatever chain; None while it is open."""
        swap = self.exchanged.get(lock.place)
        return self.settlement(lock if swap is None else swap[1])

    def settlement(self, lock: LockRow) -> Edge | None:
        """The edge of a lock's own claim or refund. If the swap was exchanged, it carries what the other leg held."""
        if lock.settled is None:
            return None
        swap = self.exchanged.get(lock.place)
        source = lock if swap is None else swap[1]
        place = _place(lock.chain, lock.settled)
        order = max(place, _place(source.chain, source.locked))
        to = lock.terms.receiver if lock.status is LockStatus.CLAIMED else lock.terms.sender
        received = Ledger(to, lock.terms.asset)
        name = "" if swap is None else swap[0]
        return Edge(place, order, lock_ledger(source), received, lock.terms.amount, lock.settled.tx_hash, name)


def lock_ledger(lock: LockRow) -> Ledger:
    """A lock as a ledger of its own, under the name of who filled it."""
    return Ledger(lock.terms.sender, lock.terms.asset, f"{lock.chain}/{lock.locked.height}/{lock.locked.index}")


def _place(chain: ChainId, placed: Placed) -> Place:
    return Place(placed.time_s, chain, placed.height, placed.index)


def read_locks(view: View, made: Iterable[LockPlace], ended: Iterable[LockPlace]) -> Locks:
    """Read the locks that were made at, or settled at, these places, with the other legs of their swaps."""
    locks = Locks()
    for places, name in ((made, "lock_height"), (ended, "settle_height")):
        by_chain: dict[str, set[int]] = defaultdict(set)
        for chain, at, _ in places:
            by_chain[chain].add(at)
        query = _plain_at(name) if view.plain else _at(view.locks(), name)
        for chain, heights in by_chain.items():
            for part in _chunks(sorted(heights)):
                _add(view, locks, view.connection.execute(query, {"of_chain": chain, "heights": part}))
    _join(view, locks)
    return locks


def _add(view: View, locks: Locks, rows: Iterable[Any]) -> None:
    for row in rows:
        lock = view.lock_as_of(lock_row(row))
        if lock is not None:
            locks.add(lock)


def _join(view: View, locks: Locks) -> None:
    """Join the legs of agreed swaps: a leg is the first lock with exactly the agreed terms."""
    query = _plain_legs() if view.plain else legs_of(view.locks())
    wanted = sorted({one.terms.hashlock for one in locks.by_place.values()})
    legs: dict[str, dict[str, LockRow]] = defaultdict(dict)
    for part in _chunks(wanted):
        for row in view.connection.execute(query, {"hashlocks": part}):
            stood = view.lock_as_of(lock_row(row))
            if stood is not None:
                legs[row.swap_id].setdefault(row.role, stood)
    joined: set[Hashlock] = set()
    for swap_id, pair in sorted(legs.items()):
        joined |= {one.terms.hashlock for one in pair.values()}
        both = list(pair.values())
        if len(both) == len(pair) == 2 and all(one.status is LockStatus.CLAIMED for one in both):
            for mine, other in (both, both[::-1]):
                locks.add(mine)
                locks.exchanged.setdefault(mine.place, (swap_id, other))
    locks.unjoined = set(wanted) - joined


def _at(locks: sa.Select[Any], height: str) -> sa.Select[Any]:
    """Those of these locks that were made, or settled, at some heights of a chain."""
    column = tables.locks.c
    wanted = column[height].in_(sa.bindparam("heights", expanding=True))
    return locks.where(column.chain == sa.bindparam("of_chain"), wanted)


def legs_of(locks: sa.Select[Any]) -> sa.Select[Any]:
    """Those of these locks that have exactly the terms of a leg under some hashlocks, the first of each leg first."""
    lock, leg, agreement = tables.locks.c, tables.agreement_legs.c, tables.agreements.c
    same = same_terms(tables.locks, tables.agreement_legs)
    return (
        locks.add_columns(agreement.swap_id, leg.role)
        .join(tables.agreements, agreement.hashlock == lock.hashlock)
        .join(tables.agreement_legs, sa.and_(leg.swap_id == agreement.swap_id, *same))
        .where(agreement.hashlock.in_(HASHLOCKS), lock.hashlock.in_(HASHLOCKS))
        .order_by(agreement.swap_id, lock.lock_height, lock.lock_index)
    )


@lru_cache(maxsize=2)
def _plain_at(height: str) -> sa.Select[Any]:
    return _at(sa.select(tables.locks), height)


@lru_cache(maxsize=1)
def _plain_legs() -> sa.Select[Any]:
    return legs_of(sa.select(tables.locks))


def candidates(view: View, found: Iterable[LockRow]) -> list[Candidate]:
    """Return the locks of `found` under whose hashlock there are claimed locks on other chains."""
    made: list[Candidate] = []
    for lock in found:
        if lock.status is not LockStatus.CLAIMED:
            continue
        column = tables.locks.c
        query = view.locks().where(
            column.hashlock == lock.terms.hashlock, by_hashlock(tables.locks, "chain") != lock.chain
        )
        rows = view.connection.execute(query.order_by(column.chain, column.lock_height).limit(MAX_CANDIDATES))
        stood = [one for row in rows if (one := view.lock_as_of(lock_row(row))) is not None]
        others = tuple(one for one in stood if one.status is LockStatus.CLAIMED)
        if others:
            made.append(Candidate(lock, others))
    return made


def edge_of_move(row: Any, locks: Locks, mine: Ledger, other: AccountId | None) -> Edge | None:
    """The edge of one move of the ledger `mine`; None for a lock that the caller may not see."""
    place = Place(row.time_s, ChainId(row.chain), Height(row.height), row.event_index)
    at = (place.chain, place.height, place.event_index)
    if at in locks.by_place:
        return locks.inflow(locks.by_place[at])
    if at in locks.by_end:
        return locks.settlement(locks.by_end[at])
    if row.kind != MoveKind.TRANSFER:
        return None
    theirs = None if other is None else Ledger(other, mine.asset)
    sent, received = (mine, theirs) if row.direction == Direction.OUT else (theirs, mine)
    return Edge(place, place, sent, received, row.amount, row.tx_hash)


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for first in range(0, len(values), CHUNK):
        yield values[first : first + CHUNK]
