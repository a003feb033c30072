"""When terms of swaps were reported, in one order with the facts of all chains.

A report's place is behind the newest fact of its moment: facts and reports are stored under one lock
(`indexer.writing.hold_projections`), so no fact and no report ever comes in before one that somebody has read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import SwapId
from core.runtime.database import METADATA
from core.runtime.inserts import insert_if_absent
from indexer.feed import last_seq

PLACES: Final = 2**20
"""Reports between two facts that have numbers of their own; those beyond share the last one."""
CHUNK: Final = 500

proposals = sa.Table(
    "regulator_proposals",
    METADATA,
    sa.Column("swap_id", sa.String(256), primary_key=True),
    sa.Column("after_seq", sa.BigInteger, nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("reported_ns", sa.BigInteger, nullable=False),
    sa.Column("earlier", sa.Text, nullable=False),
)
"""One row for each reported swap: its place (1, 2, …) behind the fact `after_seq`, and what its legs had shown on chain
by then, as the stream has it (JSON)."""
sa.Index("ix_regulator_proposals_place", proposals.c.after_seq, proposals.c.place)

TABLES: Final = (proposals,)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A report: its number in the stream's order, and the JSON of what was on chain before it."""

    swap_id: SwapId
    number: int
    reported_s: int
    earlier: str


def number_of(seq: int, place: int = 0) -> int:
    """The number of a fact, or of a report behind it."""
    return seq * PLACES + place


def newest_number(connection: Connection) -> int:
    """The number of the newest fact or report."""
    seq = last_seq(connection)
    return number_of(seq, _last_place(connection, seq))


def keep_proposal(connection: Connection, swap_id: SwapId, reported_ns: int, earlier: str) -> None:
    """Store that terms were reported now. In the transaction that stores the terms themselves."""
    seq = last_seq(connection)
    place = min(_last_place(connection, seq) + 1, PLACES - 1)
    row = {"after_seq": seq, "place": place, "reported_ns": reported_ns, "earlier": earlier}
    insert_if_absent(connection, proposals, swap_id=swap_id, **row)


def read_proposals(connection: Connection, behind: int, limit: int) -> list[Proposal]:
    """Return the next reports behind a number, in order, at most `limit`."""
    seq, place = divmod(behind, PLACES)
    of = proposals.c
    query = (
        sa.select(proposals)
        .where(sa.or_(of.after_seq > seq, sa.and_(of.after_seq == seq, of.place > place)))
        .order_by(of.after_seq, of.place, of.swap_id)
        .limit(limit)
    )
    return [_proposal(row) for row in connection.execute(query)]


def reported_after(connection: Connection, swaps: Sequence[SwapId]) -> dict[SwapId, int]:
    """Return the fact behind which each of these swaps was reported; those reported before there was this table are
    left out."""
    found: dict[SwapId, int] = {}
    for first in range(0, len(swaps), CHUNK):
        part = list(swaps[first : first + CHUNK])
        query = sa.select(proposals.c.swap_id, proposals.c.after_seq).where(proposals.c.swap_id.in_(part))
        found |= {SwapId(row.swap_id): row.after_seq for row in connection.execute(query)}
    return found


def _last_place(connection: Connection, seq: int) -> int:
    query = sa.select(sa.func.max(proposals.c.place)).where(proposals.c.after_seq == seq)
    return connection.execute(query).scalar() or 0


def _proposal(row: Any) -> Proposal:
    return Proposal(SwapId(row.swap_id), number_of(row.after_seq, row.place), row.reported_ns // 10**9, row.earlier)
