"""Swaps with both legs, as they stood."""

from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from core.model.facts import LockStatus
from core.model.types import AccountId, AssetId, ChainId, Hashlock, SwapId
from core.runtime.web import after
from indexer import tables
from indexer.projections.swaps import JoinedSwap, SwapStatus, joined_swap, joined_swaps, rank_candidates, swap_status
from regulator_api.view.base import View

MAX_SCANNED: Final = 2_000
"""Swaps that are looked at for one page, if their status as of an earlier moment has to be worked out."""
MAX_FEW: Final = 2_000
"""Locks and agreed legs of an account by which its swaps are found; of one with more they are met on the way."""
Key = tuple[int, SwapId]
_THIS_SWAP: Final = tables.swaps.c.swap_id == sa.bindparam("of_swap")
_SWAP: Final = sa.select(tables.swaps).where(_THIS_SWAP)


@dataclass(frozen=True, slots=True)
class SwapFilter:
    """The swaps that are wanted; None filters nothing. A chain, an asset or a party fits if either
    leg, or any lock of a swap that was not joined, has it. Times are Unix seconds, inclusive."""

    chain: ChainId | None = None
    asset: AssetId | None = None
    status: SwapStatus | None = None
    hashlock: Hashlock | None = None
    account: AccountId | None = None
    since_s: int | None = None
    until_s: int | None = None


@dataclass(frozen=True, slots=True)
class SwapPage:
    """Rows in their order, and the key to go on behind; None if there are no more."""

    rows: list[JoinedSwap]
    next: Key | None


def list_swaps(view: View, wanted: SwapFilter, limit: int, before: Key | None = None) -> SwapPage:
    """Return the newest swaps that fit, at most `limit`, behind `before`."""
    query = _query(view if wanted.hashlock is None else view.few, wanted)
    if view.as_of.newest and wanted.status is not None:
        query = query.where(tables.swaps.c.status == wanted.status.value)
    found: list[JoinedSwap] = []
    scanned = 0
    while True:
        rows = view.connection.execute(_behind(query, before).limit(limit + 1)).all()
        for row, joined in zip(rows, joined_swaps(view.connection, rows), strict=True):
            swap = _as_it_stood(view, joined)
            if swap is not None and (wanted.status is None or swap.status is wanted.status):
                if len(found) == limit:
                    return SwapPage(found, (found[-1].opened_s, found[-1].swap_id))
                found.append(swap)
            before = (row.opened_s, SwapId(row.swap_id))
        scanned += len(rows)
        if len(rows) <= limit:
            return SwapPage(found, None)
        if scanned >= MAX_SCANNED:
            return SwapPage(found, before)


def swap_by_id(view: View, swap_id: SwapId) -> JoinedSwap | None:
    """Return one swap as it stood, None if there is none for this caller."""
    query = view.few.swaps().where(_THIS_SWAP) if view.restricted else _SWAP
    row = view.connection.execute(query, {"of_swap": swap_id}).first()
    return None if row is None else _as_it_stood(view, joined_swap(view.connection, row))


def swaps_under(view: View, hashlock: Hashlock, limit: int) -> list[JoinedSwap]:
    """Return the swaps under a hashlock, at most `limit`."""
    return list_swaps(view, SwapFilter(hashlock=hashlock), limit).rows


def _behind(query: sa.Select[Any], before: Key | None) -> sa.Select[Any]:
    swaps = tables.swaps.c
    query = query.order_by(swaps.opened_s.desc(), swaps.swap_id.desc())
    return query.where(after((swaps.opened_s, swaps.swap_id), before, descending=True))


def _query(view: View, wanted: SwapFilter) -> sa.Select[Any]:
    swaps, lock, leg = tables.swaps.c, tables.locks.c, tables.agreement_legs.c
    query = view.swaps()
    if wanted.hashlock is not None:
        query = query.where(swaps.hashlock == wanted.hashlock)
    if wanted.since_s is not None:
        query = query.where(swaps.opened_s >= wanted.since_s)
    if wanted.until_s is not None:
        query = query.where(swaps.opened_s <= wanted.until_s)
    for column, value in (("chain", wanted.chain), ("asset", wanted.asset)):
        if value is not None:
            loose = sa.select(lock.hashlock).where(lock.hashlock == swaps.hashlock, tables.locks.c[column] == value)
            agreed = [swaps[f"{role}_{column}"] == value for role in ("initiator", "participant")]
            query = query.where(sa.or_(*agreed, sa.and_(swaps.agreed.is_(False), loose.exists())))
    if wanted.account is not None and not view.restricted and _has_few(view, wanted.account):
        query = query.where(swaps.swap_id.in_(_swaps_of(wanted.account)))
    elif wanted.account is not None:
        party = wanted.account
        loose = sa.select(lock.hashlock).where(
            lock.hashlock == swaps.hashlock, sa.or_(lock.sender == party, lock.receiver == party)
        )
        named = sa.select(leg.swap_id).where(
            leg.swap_id == swaps.swap_id, sa.or_(leg.sender == party, leg.receiver == party)
        )
        query = query.where(sa.or_(named.exists(), sa.and_(swaps.agreed.is_(False), loose.exists())))
    return query


def _of_party(column: sa.Column[Any], party: sa.Column[Any], account: AccountId) -> sa.Select[Any]:
    """That column of the locks, or of the agreed legs, that have the account as this party, by an index."""
    every = tables.LOCK_OF_PARTY if party.table is tables.locks else tables.LEG_OF_PARTY
    return sa.select(column).where(party == account, every)


def _has_few(view: View, account: AccountId) -> bool:
    """Return true if the account is a party of at most `MAX_FEW` swaps: each of them may be looked at for a page.

    Of one with more the newest swaps of all are gone through: one in some of these is the account's.
    """
    lock, leg = tables.locks.c, tables.agreement_legs.c
    parts = [
        sa.select(sa.func.count()).select_from(_of_party(column, party, account).limit(MAX_FEW + 1).subquery())
        for column, party in (
            (lock.hashlock, lock.sender),
            (lock.hashlock, lock.receiver),
            (leg.swap_id, leg.sender),
            (leg.swap_id, leg.receiver),
        )
    ]
    found = view.connection.execute(sa.union_all(*parts)).scalars()
    return sum(found) <= MAX_FEW


def _swaps_of(account: AccountId) -> sa.CompoundSelect[Any]:
    """The ids of the swaps that an account is a party of: by the agreed legs, or by locks that nothing joins."""
    lock, leg, loose = tables.locks.c, tables.agreement_legs.c, tables.swaps.alias("loose")
    locked = [_of_party(lock.hashlock, party, account) for party in (lock.sender, lock.receiver)]
    return sa.union_all(
        *(_of_party(leg.swap_id, party, account) for party in (leg.sender, leg.receiver)),
        sa.select(loose.c.swap_id).where(loose.c.agreed.is_(False), loose.c.hashlock.in_(sa.union_all(*locked))),
    )


def _as_it_stood(view: View, swap: JoinedSwap) -> JoinedSwap | None:
    others = tuple(
        stood
        for lock in swap.others
        if (not view.restricted or view.sees((lock.terms.sender, lock.terms.receiver)))
        and (stood := view.lock_as_of(lock)) is not None
    )
    legs = [None if leg is None else view.lock_as_of(leg) for leg in (swap.initiator, swap.participant)]
    if view.as_of.newest and len(others) == len(swap.others):
        return swap
    initiator, participant = legs
    nothing_yet = swap.agreed is None or swap.opened_s > view.as_of.time_s
    if nothing_yet and initiator is None and participant is None and not others:
        return None
    status = swap.status
    if swap.agreed is not None:
        status = swap_status(*(LockStatus.ABSENT if leg is None else leg.status for leg in legs))
    return replace(
        swap,
        status=status,
        initiator=initiator,
        participant=participant,
        others=others,
        candidates=() if swap.agreed else rank_candidates(others),
    )
