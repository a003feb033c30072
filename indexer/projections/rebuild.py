"""All projections once more from the facts; the rows are the same as those that grew with them."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block
from core.model.types import Hashlock
from indexer.feed import MAX_FACTS, FactKind, read_facts
from indexer.projections.locks import apply, revert
from indexer.projections.swaps import refresh_swaps
from indexer.tables import agreements, locks, swaps


def rebuild(connection: Connection) -> int:
    """Delete locks and swaps and build them again, in one transaction. Returns how many facts were read.

    Agreements are no projection: they were reported, and stay.
    """
    connection.execute(sa.delete(swaps))
    connection.execute(sa.delete(locks))
    touched = {Hashlock(row.hashlock) for row in connection.execute(sa.select(agreements.c.hashlock))}
    seq = 0
    while page := read_facts(connection, seq, MAX_FACTS):
        seq = page[-1].seq
        for fact in page:
            if fact.kind is FactKind.APPLIED and fact.events:
                touched |= apply(connection, [Block(fact.header, fact.events)])
            elif fact.kind is FactKind.REVERTED and fact.events:
                touched |= revert(connection, fact.chain, [fact.header.ref.hash])
    refresh_swaps(connection, touched)
    return seq
