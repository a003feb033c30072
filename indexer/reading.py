"""Answers of the indexer's tables for other rooms, which write no SQL of their own against them.

Facts come from `indexer.feed`, projections from `indexer.projections`; this is the rest.
"""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import AssetId, ChainId, ChainTime, Height
from indexer import tables
from indexer.feed import FactKind
from indexer.projections.conservation import locked_assets

_CHAINS: Final = sa.select(tables.chains.c.chain)
_STATES: Final = sa.select(
    tables.chains.c.chain,
    tables.chains.c.state,
    sa.select(sa.func.count())
    .select_from(tables.deep_reorgs)
    .where(tables.deep_reorgs.c.chain == tables.chains.c.chain, tables.deep_reorgs.c.acknowledged_ns.is_(None))
    .scalar_subquery()
    .label("alarms"),
)
_LAST_TIME: Final = (
    sa.select(tables.blocks.c.time_s)
    .join(
        tables.facts,
        (tables.facts.c.chain == tables.blocks.c.chain) & (tables.facts.c.block_hash == tables.blocks.c.hash),
    )
    .where(
        tables.facts.c.chain == sa.bindparam("of_chain"),
        tables.facts.c.kind == sa.bindparam("of_kind"),
        tables.facts.c.seq <= sa.bindparam("up_to"),
    )
    .order_by(tables.facts.c.seq.desc())
    .limit(1)
)


def chains(connection: Connection) -> list[ChainId]:
    """Return every chain that was ever followed into this database."""
    return [ChainId(chain) for chain in connection.execute(_CHAINS).scalars()]


def tips(connection: Connection) -> dict[ChainId, Height]:
    """Return the height up to which each chain's blocks were taken in."""
    cursors = tables.cursors.c
    query = sa.select(cursors.chain, cursors.tip_height).where(cursors.tip_height.is_not(None))
    return {ChainId(row.chain): Height(row.tip_height) for row in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class ChainState:
    """A follower's state by its name, and how many reorgs below finality wait for the operator."""

    state: str
    alarms: int


def chain_states(connection: Connection) -> dict[ChainId, ChainState]:
    """Return how every chain is followed now."""
    return {ChainId(row.chain): ChainState(row.state, row.alarms) for row in connection.execute(_STATES)}


def last_time(connection: Connection, chain: ChainId, kind: FactKind, up_to_seq: int) -> ChainTime | None:
    """Return the block time of the chain's newest fact of that kind up to `up_to_seq`, None if there is none."""
    asked = {"of_chain": chain, "of_kind": kind, "up_to": up_to_seq}
    seconds = connection.execute(_LAST_TIME, asked).scalar()
    return None if seconds is None else ChainTime(chain, seconds)


def was_seen(connection: Connection, asset: AssetId) -> bool:
    """Return true if the asset is described, reported or was ever locked."""
    seen = (sa.select(table.c.asset).where(table.c.asset == asset) for table in (tables.assets, tables.asset_reports))
    return connection.execute(sa.union(*seen)).first() is not None or asset in locked_assets(connection)


def statuses(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Return swaps by status and locks by status."""

    def by_status(table: sa.Table) -> dict[str, int]:
        query = sa.select(table.c.status, sa.func.count().label("n")).group_by(table.c.status)
        return {row.status: row.n for row in connection.execute(query.order_by(table.c.status))}

    return by_status(tables.swaps), by_status(tables.locks)


def transfers(connection: Connection, chain: ChainId, up_to: Height, above: Height | None = None) -> int:
    """Return the number of a chain's transfers through a height, and above another one."""
    events, blocks = tables.events.c, tables.blocks.c
    if above is None:
        # Through the index by kind: by the chain every event would be read.
        there = events.kind == "transferred", events.chain.concat("") == chain, events.height <= up_to
    else:
        # By the blocks, which are few: through the index by kind every transfer would be read.
        new = sa.select(blocks.hash).where(
            blocks.chain == chain, tables.CANONICAL_BLOCK, blocks.height > above, blocks.height <= up_to
        )
        there = events.kind.concat("") == "transferred", events.chain == chain, events.block_hash.in_(new)
    return connection.execute(sa.select(sa.func.count()).where(events.canonical, *there)).scalar_one()
