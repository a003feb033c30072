"""The blocks that each party has read of the chains, as its database has it, held against the chains themselves."""

from collections.abc import Iterator, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Claimed, Locked, LoggedEvent, Refunded
from core.model.types import ChainId, Height
from gateway.simulation.chains import PlayedChain
from gateway.simulation.plan import Rough
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from indexer import tables
from indexer.feed import block_events

BEHIND_S: Final = 25.0
"""How long a party may take to read a block: endpoints that hang, and a step that is tried again."""
UNREAD: Final = frozenset({Rough.DATABASE_AWAY, Rough.TWO_PROCESSES})
"""In these a process may be unable to store anything for long."""


async def problems(record: Record) -> list[Problem]:
    """Every block that a party calls final and its chain does not have; every lock, claim and refund in a final block
    that is missing, or that nobody made; and every party that reads on no more."""
    if Rough.DEEP_REORG in record.plan.rough:
        return []  # what was final is gone
    found: list[Problem] = []
    for process in record.processes:
        found += await process.database.read(lambda c, one=process: list(_of_process(c, record, one.name)))  # type: ignore[misc]
        if process.lives and not record.plan.rough & UNREAD:
            found += await process.database.read(lambda c, one=process: list(_behind(c, record, one.name)))  # type: ignore[misc]
    return found


def _behind(connection: Connection, record: Record, party: str) -> Iterator[Problem]:
    """Whoever is up reads each chain up to what it had a while ago: no endpoint's own blocks stop that for ever."""
    then_s = record.world.clock.now() - BEHIND_S
    if record.was_away(party, then_s - BEHIND_S, then_s + BEHIND_S):
        return
    for chain, here in record.world.chains.items():
        read = [at for at, known in _blocks(connection, chain).items() if _has(here, at, known)]
        newest, least = max(read, default=Height(0)), record.height_at(chain, then_s)
        if newest < least:
            text = f"{party} has read {chain} up to {newest}, and it had a block at {least}"
            yield Problem(Kind.INDEX_BEHIND, f"{text} {BEHIND_S:.0f} s ago")


def _of_process(connection: Connection, record: Record, party: str) -> Iterator[Problem]:
    for chain, here in record.world.chains.items():
        blocks = _final_blocks(connection, chain)
        invented = [at for at, known in blocks.items() if not _has(here, at, known)]
        if invented:
            text = f"{party} calls a block at {min(invented)} of {chain} final that the chain does not have"
            yield Problem(Kind.INDEX_OFF_CHAIN, text)
            continue
        shown = {at: _of_locks(here.block(at).events) for at in blocks}
        hashes = {known for at, known in blocks.items() if shown[at]} | _with_locks(connection, chain)
        read = block_events(connection, chain, hashes)
        for at, known in blocks.items():
            if (mine := _of_locks(read.get(known, ()))) != shown[at]:
                text = f"{party} knows {len(mine)} locks and ends of locks of the final block at {at} of {chain}"
                yield Problem(Kind.INDEX_OFF_CHAIN, f"{text}, which has {len(shown[at])}")


def _has(here: PlayedChain, at: Height, known: bytes) -> bool:
    """Return true if the chain has this block at that height."""
    return at <= here.height and here.block(at).header.ref.hash == known


def _final_blocks(connection: Connection, chain: ChainId) -> dict[Height, bytes]:
    """The hashes of all blocks up to the newest one that this database calls final, by height."""
    final = connection.scalar(sa.select(tables.cursors.c.finalized_height).where(tables.cursors.c.chain == chain))
    return {} if final is None else {at: known for at, known in _blocks(connection, chain).items() if at <= final}


def _blocks(connection: Connection, chain: ChainId) -> dict[Height, bytes]:
    """The hashes of all blocks of the chain as this database follows it, by height."""
    columns = tables.blocks.c
    mine = sa.select(columns.height, columns.hash).where(columns.chain == chain, tables.CANONICAL_BLOCK)
    return {Height(row.height): bytes(row.hash) for row in connection.execute(mine)}


def _with_locks(connection: Connection, chain: ChainId) -> set[bytes]:
    """The blocks in which this database has a lock, or the end of one."""
    columns = tables.events.c
    mine = sa.select(columns.block_hash).where(columns.chain == chain, columns.canonical, columns.hashlock.is_not(None))
    return {bytes(known) for known in connection.execute(mine).scalars()}


def _of_locks(events: Sequence[LoggedEvent]) -> list[tuple[bytes, object]]:
    return [(one.tx_hash, one.event) for one in events if isinstance(one.event, Locked | Claimed | Refunded)]
