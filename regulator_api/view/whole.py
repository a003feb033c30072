"""Assets, contracts, conservation and counts: lists and sums over everything that a caller may see, as of a moment."""

from collections import Counter
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from core.model.facts import LockStatus
from core.model.types import AccountId, AssetId, ChainId, Height, chain_of
from indexer import reading, tables
from indexer.projections import assets as all_assets
from indexer.projections import contracts as all_contracts
from indexer.projections.assets import AssetRow
from indexer.projections.contracts import ContractRow
from indexer.projections.locks import same_terms
from indexer.projections.swaps import SwapStatus, swap_status
from regulator_api.view.base import View
from regulator_api.view.figures import height_of

_ROLES: Final = ("initiator", "participant")


# --- assets and contracts ----------------------------------------------------------------------------------------


def first_heights(view: View, only: AssetId | None = None) -> dict[AssetId, Height]:
    """Return the assets that rows of the caller name, or that one of them, with the lowest height of such a row.

    For callers with jurisdictions: it reads their rows, all of them and no others.
    """
    move, lock, asset = tables.moves.c, tables.locks.c, tables.assets.c
    mine = move.account_id.in_(view.members("account_id"))
    moved = (
        sa.select(tables.asset_numbers.c.asset, sa.func.min(move.height).label("height"))
        .join(tables.asset_numbers, tables.asset_numbers.c.asset_id == move.asset_id)
        .where(mine, view.exists(move.chain, move.height))
        .group_by(tables.asset_numbers.c.asset)
    )
    locked = (
        view.locks().with_only_columns(lock.asset, sa.func.min(lock.lock_height).label("height")).group_by(lock.asset)
    )
    issued = sa.select(asset.asset, asset.first_height.label("height")).where(
        view.seen(asset.issuer), view.exists(asset.chain, asset.first_height)
    )
    if only is not None:
        moved = moved.where(tables.asset_numbers.c.asset == only)
        locked, issued = locked.where(lock.asset == only), issued.where(asset.asset == only)
    found: dict[AssetId, Height] = {}
    for query in (moved, locked, issued):
        for row in view.connection.execute(query):
            name, height = AssetId(row.asset), Height(row.height)
            found[name] = min(found.get(name, height), height)
    return found


def names_asset(view: View, asset: AssetId) -> bool:
    """Return true if the asset is described, reported or was ever locked, for this caller."""
    return asset in first_heights(view, asset) if view.restricted else reading.was_seen(view.connection, asset)


def list_assets(view: View, chain: ChainId | None, limit: int, after: AssetId | None = None) -> list[AssetRow]:
    """Return assets by id, at most `limit`, behind `after`.

    For a caller with jurisdictions an asset exists if a row of its scope names it, since the first such row; what it is
    called is said next to every amount. Names that were asked for and not read off a block hold at every moment.
    """
    if view.restricted:
        return _seen_assets(view, chain, limit, after)
    found: list[AssetRow] = []
    while len(found) < limit:
        rows = all_assets.list_assets(view.connection, chain, limit, after)
        stood = (_as_it_stood(view, row) for row in rows)
        found += [row for row in stood if row is not None]
        if len(rows) < limit:
            break
        after = rows[-1].asset
    return found[:limit]


def _as_it_stood(view: View, row: AssetRow) -> AssetRow | None:
    if view.as_of.newest or row.first_height is None or row.first_height <= height_of(view, row.chain):
        return row
    return all_assets.reported(view.connection, row.asset)


def _seen_assets(view: View, chain: ChainId | None, limit: int, after: AssetId | None) -> list[AssetRow]:
    heights = first_heights(view)
    on = (asset for asset in heights if chain is None or chain_of(asset) == chain)
    wanted = sorted(asset for asset in on if after is None or asset > after)[:limit]
    rows = {row.asset: row for row in all_assets.assets_among(view.connection, wanted)}
    made: list[AssetRow] = []
    for asset in wanted:
        row = rows.get(asset) or AssetRow(asset, None, "", None, None, None, None)
        issuer = row.issuer if row.issuer is not None and view.sees([row.issuer]) else None
        made.append(replace(row, issuer=issuer, first_height=heights[asset]))
    return made


def list_contracts(view: View, chain: ChainId | None, limit: int, after: AccountId | None = None) -> list[ContractRow]:
    """Return contracts by chain and account, at most `limit`, behind `after`. For callers who see all."""
    heights = None if view.as_of.newest else {one: block.height for one, block in view.as_of.blocks.items()}
    return all_contracts.list_contracts(view.connection, chain, limit, after, heights)


# --- conservation and counts -------------------------------------------------------------------------------------


def locked_assets(view: View) -> list[AssetId]:
    """Return every asset that was locked up to the moment, in order. For callers who see all."""
    lock = tables.locks.c
    query = view.locks().with_only_columns(lock.asset).distinct().order_by(lock.asset)
    return [AssetId(asset) for asset in view.connection.execute(query).scalars()]


def counts(view: View) -> tuple[dict[str, int], dict[str, int]]:
    """Return swaps by status and locks by status. For callers who see all."""
    if view.as_of.newest:
        return reading.statuses(view.connection)
    lock, status = tables.locks.c, _status_of(view, tables.locks)
    by_status = view.locks().with_only_columns(status.label("status"), sa.func.count(lock.chain).label("n"))
    locks = {row.status: row.n for row in view.connection.execute(by_status.group_by(status))}
    swaps = Counter(status for _, status in swap_statuses(view))
    return dict(sorted(swaps.items())), dict(sorted(locks.items()))


def _status_of(view: View, table: sa.FromClause) -> sa.ColumnElement[Any]:
    """The status of a lock of the moment, as it stood."""
    ended = sa.and_(table.c.settle_height.is_not(None), view.exists(table.c.chain, table.c.settle_height))
    return sa.case((ended, table.c.status), else_=LockStatus.LOCKED.value)


def lock_statuses(view: View) -> list[tuple[str, str]]:
    """Return every lock by its place, with its status as it stood."""
    lock = tables.locks.c
    query = view.locks().with_only_columns(
        lock.chain, lock.lock_height, lock.lock_index, _status_of(view, tables.locks).label("status")
    )
    rows = view.connection.execute(query.order_by(lock.chain, lock.lock_height, lock.lock_index))
    return [(f"{row.chain}/{row.lock_height}/{row.lock_index}", row.status) for row in rows]


def swap_statuses(view: View) -> list[tuple[str, str]]:
    """Return every swap with its status as it stood: an agreed one by its two legs, any other if it had a lock."""
    if view.as_of.newest:
        columns = tables.swaps.c.swap_id, tables.swaps.c.status
        rows = view.connection.execute(view.swaps().with_only_columns(*columns).order_by(columns[0]))
        return [(row.swap_id, row.status) for row in rows]
    swaps, of = tables.swaps.c, tables.locks.alias("of")
    made = sa.exists().where(of.c.hashlock == swaps.hashlock, view.exists(of.c.chain, of.c.lock_height))
    query: sa.Select[Any] = sa.select(swaps.swap_id, swaps.opened_s, made.label("made")).where(swaps.agreed)
    for role in _ROLES:
        leg, lock = tables.agreement_legs.alias(f"{role}_leg"), tables.locks.alias(f"{role}_lock")
        query = query.join(leg, sa.and_(leg.c.swap_id == swaps.swap_id, leg.c.role == role)).outerjoin(
            lock,
            sa.and_(
                lock.c.hashlock == swaps.hashlock, *same_terms(lock, leg), view.exists(lock.c.chain, lock.c.lock_height)
            ),
        )
        query = query.add_columns(
            sa.case((lock.c.chain.is_(None), LockStatus.ABSENT.value), else_=_status_of(view, lock)).label(role),
            lock.c.lock_height.label(f"{role}_height"),
            lock.c.lock_index.label(f"{role}_index"),
        )
    first: dict[str, tuple[int, bool, dict[str, tuple[int, int, str]]]] = {}
    for row in view.connection.execute(query):
        _, _, legs = first.setdefault(row.swap_id, (row.opened_s, row.made, {}))
        for role in _ROLES:
            height, index, status = (getattr(row, f"{role}{part}") for part in ("_height", "_index", ""))
            # Of several locks with exactly the agreed terms the first is the leg.
            if height is not None:
                legs[role] = min(legs.get(role, (height, index, status)), (height, index, status))
    found: list[tuple[str, str]] = []
    for name, (opened_s, locked, legs) in first.items():
        if legs or locked or opened_s <= view.as_of.time_s:
            stood = [LockStatus(legs[role][2]) if role in legs else LockStatus.ABSENT for role in _ROLES]
            found.append((name, swap_status(*stood).value))
    loose = sa.select(swaps.swap_id).where(swaps.agreed.is_(False), made)
    found += ((name, SwapStatus.UNJOINED.value) for name in view.connection.execute(loose).scalars())
    return sorted(found)
