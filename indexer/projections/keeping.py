"""Projections in the transaction of the facts, each for itself.

Normally all of a step is one piece of work. If that fails, each projection gets a SAVEPOINT of its own, then each
block, then the events of the block in halves: what cannot be digested is set aside (`indexer_set_aside`) and everything
else goes on. An outage of the database ends the step.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, LoggedEvent, hashlock_of
from core.model.types import BlockRef, ChainId, Hashlock, Height
from core.runtime.inserts import insert_if_absent
from core.runtime.logging import get_logger
from core.runtime.savepoints import contained, failure_of, reason_of
from indexer.projections import assets, balances, contract_events, contracts, locks, moves, orders, records
from indexer.projections.heights import HASHES, OF_CHAIN
from indexer.projections.swaps import refresh_swaps
from indexer.tables import events, set_aside

WHOLE_BLOCK: Final = -1
MAX_TRIALS: Final = 64
"""Tries to find the events of one block that a projection cannot digest; what is not taken by then is set aside."""
MAX_TRIED_EVENTS: Final = 200_000
"""Events of all these tries together: some seconds of work."""
CHUNK: Final = 500

_COUNT_SET_ASIDE: Final = (
    sa.select(sa.func.count()).select_from(set_aside).where(set_aside.c.chain == sa.bindparam("of_chain"))
)

_HASHLOCKS: Final = (
    sa.select(events.c.hashlock)
    .where(events.c.chain == OF_CHAIN, events.c.block_hash.in_(HASHES), events.c.hashlock.is_not(None))
    .distinct()
)
_FORGET: Final = sa.delete(set_aside).where(set_aside.c.chain == OF_CHAIN, set_aside.c.block_hash.in_(HASHES))

log = get_logger("indexer.projections")


@dataclass(frozen=True, slots=True)
class _Part:
    """One projection. `apply` takes blocks, oldest first; `revert` hashes of the newest blocks, newest first."""

    name: str
    apply: Callable[[Connection, Sequence[Block]], object]
    revert: Callable[[Connection, ChainId, Sequence[bytes]], object]


_PARTS: Final = (
    _Part("locks", locks.apply, locks.revert),
    _Part("contract_events", contract_events.apply, contract_events.revert),
    _Part("contracts", contracts.apply, contracts.revert),
    _Part("assets", assets.apply, assets.revert),
    # Behind the locks: a settlement names its lock, and only the lock says how much of what it held.
    _Part("balances", balances.apply, balances.revert),
    _Part("moves", moves.apply, moves.revert),
    _Part("records", records.apply, records.revert),
    _Part("orders", orders.apply, orders.revert),
)
"""In the order in which blocks are applied; they are reverted in the opposite one."""


def keep(
    connection: Connection, chain: ChainId, reverted: Sequence[BlockRef], applied: Sequence[Block], refresh: bool = True
) -> set[Hashlock]:
    """Bring all projections up to date with what a step reverts (newest first) and then applies (oldest first).

    The events of all these blocks must be stored. With `refresh` false swaps are left to the caller, who gets the
    hashlocks that they have to be joined for. Raise what says that the database cannot go on.
    """
    if not reverted and not any(block.events for block in applied):
        return set()
    hashes = [ref.hash for ref in reverted]
    touched = _reverted_hashlocks(connection, chain, hashes) | {
        found for block in applied for logged in block.events if (found := hashlock_of(logged)) is not None
    }
    refreshed = touched if refresh else set()
    if contained(connection, partial(_together, connection, chain, hashes, applied, refreshed)) is not None:
        _each_for_itself(connection, chain, reverted, applied)
        refresh_each(connection, refreshed, applied[-1].header.ref if applied else reverted[-1])
    return touched


def _together(
    connection: Connection, chain: ChainId, hashes: Sequence[bytes], applied: Sequence[Block], touched: set[Hashlock]
) -> None:
    if hashes:
        _forget(connection, chain, hashes)
        for part in reversed(_PARTS):
            part.revert(connection, chain, hashes)
    if applied:
        for part in _PARTS:
            part.apply(connection, applied)
    refresh_swaps(connection, touched)


def _each_for_itself(
    connection: Connection, chain: ChainId, reverted: Sequence[BlockRef], applied: Sequence[Block]
) -> None:
    _forget(connection, chain, [ref.hash for ref in reverted])
    for part in reversed(_PARTS):
        for ref in reverted:
            error = contained(connection, partial(part.revert, connection, chain, [ref.hash]))
            if error is not None:
                _set_aside(connection, part.name, ref, WHOLE_BLOCK, error)
    for part in _PARTS:
        if contained(connection, partial(part.apply, connection, applied)) is not None:
            for block in applied:
                _apply_what_can_be(connection, part, block)


def _apply_what_can_be(connection: Connection, part: _Part, block: Block) -> None:
    """Apply the events of one block without those that the projection cannot digest.

    What an event means may depend on those before it: so each trial is of all that was taken, and some more.
    """
    if contained(connection, partial(part.apply, connection, [block])) is None:
        return
    taken: tuple[LoggedEvent, ...] = ()
    waiting = [block.events]
    trials = tried = 0
    while waiting:
        some = waiting.pop()
        trials, tried = trials + 1, tried + len(taken) + len(some)
        error = failure_of(connection, partial(part.apply, connection, [Block(block.header, taken + some)]))
        if error is None:
            taken += some
        elif len(some) <= 1 or trials >= MAX_TRIALS or tried >= MAX_TRIED_EVENTS:
            for logged in some:
                _set_aside(connection, part.name, block.header.ref, logged.index, error)
        else:
            half = len(some) // 2
            waiting += (some[half:], some[:half])
    error = contained(connection, partial(part.apply, connection, [Block(block.header, taken)]))
    if error is not None:
        _set_aside(connection, part.name, block.header.ref, WHOLE_BLOCK, error)


def refresh_each(connection: Connection, touched: Collection[Hashlock], where: BlockRef) -> None:
    """Join the swaps of these hashlocks; what cannot be joined is set aside at this block."""
    if contained(connection, partial(refresh_swaps, connection, touched)) is None:
        return
    for hashlock in sorted(touched):
        error = contained(connection, partial(refresh_swaps, connection, {hashlock}))
        if error is not None:
            _set_aside(connection, "swaps", where, WHOLE_BLOCK, error)


def _reverted_hashlocks(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> set[Hashlock]:
    found: set[Hashlock] = set()
    for first in range(0, len(hashes), CHUNK):
        asked = {"of_chain": chain, "hashes": hashes[first : first + CHUNK]}
        found.update(Hashlock(row.hashlock) for row in connection.execute(_HASHLOCKS, asked))
    return found


def _set_aside(connection: Connection, projection: str, where: BlockRef, index: int, error: Exception) -> None:
    reason = reason_of(error)
    insert_if_absent(
        connection,
        set_aside,
        chain=where.chain,
        block_hash=where.hash,
        projection=projection,
        event_index=index,
        height=where.height,
        reason=reason,
    )
    log.error(
        "a projection cannot digest a fact and sets it aside",
        projection=projection,
        chain=where.chain,
        height=where.height,
        index=None if index == WHOLE_BLOCK else index,
        reason=reason,
    )


def _forget(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    for first in range(0, len(hashes), CHUNK):
        connection.execute(_FORGET, {"of_chain": chain, "hashes": hashes[first : first + CHUNK]})


def count_set_aside(connection: Connection, chain: ChainId) -> int:
    """Return how much of the chain's facts some projection could not digest."""
    return connection.execute(_COUNT_SET_ASIDE, {"of_chain": chain}).scalar_one()


@dataclass(frozen=True, slots=True)
class SetAside:
    """A fact that one projection could not digest: the event with this index of a block, with None all its work
    there."""

    projection: str
    where: BlockRef
    index: int | None
    reason: str


def list_set_aside(connection: Connection, limit: int) -> list[SetAside]:
    """Return what was set aside, by chain and height, at most `limit`."""
    query = sa.select(set_aside).order_by(
        set_aside.c.chain, set_aside.c.height, set_aside.c.projection, set_aside.c.event_index
    )
    return [
        SetAside(
            row.projection,
            BlockRef(ChainId(row.chain), Height(row.height), bytes(row.block_hash)),
            None if row.event_index == WHOLE_BLOCK else row.event_index,
            row.reason,
        )
        for row in connection.execute(query.limit(limit))
    ]
