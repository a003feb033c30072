"""The rows that figures are computed from (`regulator_api.reading.figures`)."""

from typing import Any, Final

import sqlalchemy as sa

from core.model.facts import LockStatus
from core.model.types import AssetId, ChainId, Height, chain_of
from indexer import tables
from indexer.projections.balances import MAX_HOLDERS, Supply, holdings, supply
from indexer.projections.locks import same_terms
from regulator_api.reading.figures import Crossing, Holder, Moved
from regulator_api.view.base import View

MAX_MOVED: Final = 500_000
"""Movements that one series adds up, the newest first."""
MAX_CROSSINGS: Final = 200_000
_KINDS: Final = {"transferred": "transfer", "locked": "lock"}


def height_of(view: View, chain: ChainId) -> Height:
    """Return the height that the view shows a chain at, -1 before its first block."""
    block = view.as_of.blocks.get(chain)
    return Height(-1) if block is None else block.height


def holders(view: View, asset: AssetId) -> list[Holder]:
    """Return what every account holds of the asset, accounts with nothing left out. For callers who see all."""
    held = holdings(view.connection, asset, height_of(view, chain_of(asset)), MAX_HOLDERS)
    return [Holder(one.account, one.amount) for one in held]


def supply_of(view: View, asset: AssetId) -> Supply:
    """Add up the asset's issues, burns, holdings and open locks. For callers who see all."""
    return supply(view.connection, asset, height_of(view, chain_of(asset)))


def crossings(view: View, since_s: int | None, until_s: int | None) -> tuple[list[Crossing], bool]:
    """Return the agreed swaps of which both legs were claimed in that time, and true if these are all."""
    legs = [tables.agreement_legs.alias(role) for role in ("initiator", "participant")]
    locks = [tables.locks.alias(f"{role}_lock") for role in ("initiator", "participant")]
    query: sa.Select[Any] = view.swaps().where(tables.swaps.c.agreed)
    for role, leg, lock in zip(("initiator", "participant"), legs, locks, strict=True):
        query = (
            query.join(leg, sa.and_(leg.c.swap_id == tables.swaps.c.swap_id, leg.c.role == role))
            .join(lock, sa.and_(lock.c.hashlock == tables.swaps.c.hashlock, *same_terms(lock, leg)))
            .where(lock.c.status == LockStatus.CLAIMED.value, view.exists(lock.c.chain, lock.c.settle_height))
        )
    first, second = locks
    timed: sa.Select[Any] = query.with_only_columns(
        tables.swaps.c.swap_id,
        legs[0].c.asset.label("from_asset"),
        legs[1].c.asset.label("to_asset"),
        legs[0].c.amount.label("given"),
        legs[1].c.amount.label("taken"),
        first.c.settle_time_s,
        second.c.settle_time_s.label("other_s"),
    )
    ends = first.c.settle_time_s, second.c.settle_time_s
    if since_s is not None:
        timed = timed.where(sa.or_(*(end >= since_s for end in ends)))
    if until_s is not None:
        timed = timed.where(*(end <= until_s for end in ends), tables.swaps.c.opened_s <= until_s)
    rows = view.connection.execute(timed.order_by(tables.swaps.c.swap_id).limit(MAX_CROSSINGS + 1)).all()
    found: dict[str, Crossing] = {}
    for row in rows[:MAX_CROSSINGS]:
        # Of several locks with exactly the agreed terms one is the leg: a swap is counted once.
        at_s = max(row.settle_time_s, row.other_s)
        found.setdefault(row.swap_id, Crossing(row.from_asset, row.to_asset, row.given, row.taken, at_s))
    return list(found.values()), len(rows) <= MAX_CROSSINGS


def movements(view: View, asset: AssetId, since_s: int, until_s: int) -> tuple[list[Moved], bool]:
    """Return the asset's movements between two times, the newest first, and true if these are all."""
    event, lock = tables.events.c, tables.locks.c
    query = (
        view.events()
        .with_only_columns(event.time_s, event.kind, event.amount)
        .where(
            event.asset == asset,
            event.asset.is_not(None),
            event.kind.in_(("transferred", "locked")),
            event.time_s.between(since_s, until_s),
        )
    )
    order = (event.time_s.desc(), event.chain.desc(), event.height.desc(), event.event_index.desc())
    rows: list[Any] = list(view.connection.execute(query.order_by(*order).limit(MAX_MOVED + 1)).all())
    found = [Moved(row.time_s, _KINDS[row.kind], row.amount) for row in rows[:MAX_MOVED]]
    ended = (
        view.locks()
        .with_only_columns(lock.settle_time_s, lock.status, lock.amount)
        .where(
            lock.asset == asset,
            lock.settle_time_s.between(since_s, until_s),
            view.exists(lock.chain, lock.settle_height),
        )
    )
    settled = view.connection.execute(ended.limit(MAX_MOVED + 1)).all()
    for row in settled[:MAX_MOVED]:
        kind = "claim" if row.status == LockStatus.CLAIMED.value else "refund"
        found.append(Moved(row.settle_time_s, kind, row.amount))
    return found, len(rows) <= MAX_MOVED and len(settled) <= MAX_MOVED
