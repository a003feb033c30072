"""All projections once more from the facts; the rows are the same as those that grew with them."""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError
from core.model.facts import Block
from core.model.types import Hashlock
from indexer.feed import MAX_FACTS, FactKind, read_facts
from indexer.projections.keeping import keep, refresh_each
from indexer.projections.swaps import refresh_swaps
from indexer.tables import (
    agreements,
    assets,
    balances,
    contract_arguments,
    contract_events,
    contracts,
    locks,
    moves,
    orders,
    projection_version,
    records,
    set_aside,
    swaps,
)
from indexer.writing import hold_projections

VERSION: Final = 7
"""Raised whenever the same facts would give other rows. Since 2: balances and contracts' events. Since 3:
assets and contracts, and balances where native coins moved. Since 4: locks by where they stand. Since 5: moves.
Since 6: records. Since 7: orders."""

PROJECTED: Final = (
    swaps,
    locks,
    contract_events,
    contract_arguments,
    balances,
    moves,
    records,
    orders,
    assets,
    contracts,
    set_aside,
)
"""Every table that holds nothing but what follows from facts and from what was reported."""

_VERSION: Final = sa.select(projection_version.c.version)
_CLEAR: Final = tuple(sa.delete(table) for table in PROJECTED)


def bring_up_to_date(connection: Connection) -> bool:
    """Build the projections again if an older version built them, or none did. Return true if there was
    anything to build from.

    Raise `FatalError` if a newer version did.
    """
    hold_projections(connection)
    stored = connection.execute(_VERSION).scalar()
    if stored is not None and stored > VERSION:
        raise FatalError(
            f"the projections are of version {stored}, this Causeway knows up to {VERSION}: start the newer version",
            stored=stored,
            known=VERSION,
        )
    if stored == VERSION:
        return False
    return rebuild(connection) > 0


def mark_incomplete(connection: Connection) -> None:
    """Note that facts will be stored without projections: whoever keeps projections next has to build them again."""
    hold_projections(connection)
    connection.execute(sa.delete(projection_version))


def rebuild(connection: Connection, progress: Callable[[int], None] = lambda _: None) -> int:
    """Delete all projections and build them again, in one transaction. Return how many facts were read.

    `progress` is called now and then with how many were read. Reported things are not projections, and stay:
    agreements, what assets are called, which contract holds locks. What had been set aside is tried again.
    """
    hold_projections(connection)
    for clear in _CLEAR:
        connection.execute(clear)
    touched = {Hashlock(row.hashlock) for row in connection.execute(sa.select(agreements.c.hashlock))}
    seq, last = 0, None
    while page := read_facts(connection, seq, MAX_FACTS):
        seq, last = page[-1].seq, page[-1].header.ref
        for fact in page:
            if fact.kind is FactKind.APPLIED and fact.events:
                touched |= keep(connection, fact.chain, (), [Block(fact.header, fact.events)], refresh=False)
            elif fact.kind is FactKind.REVERTED and fact.events:
                touched |= keep(connection, fact.chain, [fact.header.ref], (), refresh=False)
        progress(seq)
    if last is None:
        refresh_swaps(connection, touched)
    else:
        refresh_each(connection, touched, last)
    connection.execute(sa.delete(projection_version))
    connection.execute(sa.insert(projection_version).values(id=1, version=VERSION))
    return seq
