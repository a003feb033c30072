"""What each party has read of the chains, as its database has it, held against the chains themselves."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Claimed, Locked, LoggedEvent, Refunded
from core.model.types import ChainId, Height
from gateway.simulation.plan import Rough
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from indexer import tables
from indexer.feed import block_events


async def problems(record: Record) -> list[Problem]:
    """Every block that a party calls final and its chain does not have; every lock, claim and refund in a final block
    that is missing, or that nobody made."""
    if Rough.DEEP_REORG in record.plan.rough:
        return []  # what was final is gone
    found: list[Problem] = []
    for process in record.processes:
        found += await process.database.read(lambda c, one=process: list(_of_process(c, record, one.name)))  # type: ignore[misc]
    return found


def _of_process(connection: Connection, record: Record, party: str) -> Iterator[Problem]:
    for chain, here in record.world.chains.items():
        blocks = _final_blocks(connection, chain)
        invented = [at for at, known in blocks.items() if at > here.height or here.block(at).header.ref.hash != known]
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


def _final_blocks(connection: Connection, chain: ChainId) -> dict[Height, bytes]:
    """The hashes of all blocks up to the newest one that this database calls final, by height."""
    final = sa.select(tables.cursors.c.finalized_height).where(tables.cursors.c.chain == chain).scalar_subquery()
    columns = tables.blocks.c
    mine = sa.select(columns.height, columns.hash).where(
        columns.chain == chain, tables.CANONICAL_BLOCK, columns.height <= final
    )
    return {Height(row.height): bytes(row.hash) for row in connection.execute(mine)}


def _with_locks(connection: Connection, chain: ChainId) -> set[bytes]:
    """The blocks in which this database has a lock, or the end of one."""
    columns = tables.events.c
    mine = sa.select(columns.block_hash).where(columns.chain == chain, columns.canonical, columns.hashlock.is_not(None))
    return {bytes(known) for known in connection.execute(mine).scalars()}


def _of_locks(events: Sequence[LoggedEvent]) -> list[tuple[bytes, object]]:
    return [(one.tx_hash, one.event) for one in events if isinstance(one.event, Locked | Claimed | Refunded)]
