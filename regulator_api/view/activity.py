"""Sums over a span of time: by asset, and of swaps by their status."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from core.model.facts import LockStatus
from core.model.types import AssetId
from indexer import tables
from indexer.projections.locks import same_terms
from indexer.projections.swaps import SwapStatus, swap_status
from regulator_api.view.base import View

MAX_ADDED: Final = 500_000
"""Movements, settlements and swaps that are added up, of each the newest."""
ROLES: Final = ("initiator", "participant")
PARTS: Final = ("transferred", "locked", "claimed", "refunded")


class Movement(NamedTuple):
    """One movement of an asset: how (`PARTS`), what, how much in base units, and its block's time."""

    part: str
    asset: str
    amount: int
    time_s: int


@dataclass(slots=True)
class Sum:
    """A number of amounts, and their base units together."""

    count: int = 0
    base_units: int = 0

    def add(self, amount: int) -> None:
        self.count += 1
        self.base_units += amount


@dataclass(slots=True)
class Activity:
    """An asset's transfers, locks, claims and refunds."""

    transferred: Sum
    locked: Sum
    claimed: Sum
    refunded: Sum

    @classmethod
    def none(cls) -> "Activity":
        return cls(Sum(), Sum(), Sum(), Sum())


def added_up(movements: Iterable[Movement]) -> dict[AssetId, Activity]:
    """Add movements up by asset, sorted. Pure: a verifier runs it, too."""
    found: dict[AssetId, Activity] = defaultdict(Activity.none)
    for part, asset, amount, _ in movements:
        sums: Sum = getattr(found[AssetId(asset)], part)
        sums.add(amount)
    return dict(sorted(found.items()))


def moved_in(view: View, since_s: int, until_s: int) -> tuple[list[Movement], bool]:
    """Return what moved between two times, both inclusive; true if that is all of it."""
    moved, locks = tables.events.c, tables.locks.c
    query = (
        view.events()
        .with_only_columns(moved.asset, moved.kind, _raw(moved.amount), moved.time_s)
        .where(moved.kind.in_(("transferred", "locked")), moved.time_s.between(since_s, until_s))
        .order_by(moved.time_s.desc())
    )
    events, whole = _rows(view, query)
    found = [Movement(kind, asset, int.from_bytes(raw, "big"), time_s) for asset, kind, raw, time_s in events]
    ended = (
        view.locks()
        .with_only_columns(locks.asset, locks.status, _raw(locks.amount), locks.settle_time_s)
        .where(locks.settle_time_s.between(since_s, until_s), view.exists(locks.chain, locks.settle_height))
        .order_by(locks.settle_time_s.desc())
    )
    settled, all_settled = _rows(view, ended)
    for asset, status, raw, time_s in settled:
        part = "claimed" if status == LockStatus.CLAIMED.value else "refunded"
        found.append(Movement(part, asset, int.from_bytes(raw, "big"), time_s))
    return found, whole and all_settled


def activity(view: View, since_s: int, until_s: int) -> tuple[dict[AssetId, Activity], bool]:
    """Return what moved between two times, both inclusive, by asset; true if that is all of it."""
    found, whole = moved_in(view, since_s, until_s)
    return added_up(found), whole


def swaps_by_status(view: View, since_s: int, until_s: int) -> tuple[dict[SwapStatus, int], bool]:
    """Count the swaps that were opened between two times by their status as of the view; true if these are all.

    As `regulator_api.view.swaps.list_swaps` shows them one by one.
    """
    agreed, whole = _agreed(view, since_s, until_s)
    counted = Counter(status for _, status in agreed)
    loose = _unjoined(view, since_s, until_s).subquery()
    unjoined = view.connection.execute(sa.select(sa.func.count()).select_from(loose)).scalar_one()
    if unjoined:
        counted[SwapStatus.UNJOINED] = unjoined
    return dict(sorted(counted.items())), whole


def opened_in(view: View, since_s: int, until_s: int) -> list[tuple[str, SwapStatus]]:
    """Return the swaps that `swaps_by_status` counts: an id, or the hashlock of one that nothing joins, and its
    status."""
    agreed, _ = _agreed(view, since_s, until_s)
    loose, _ = _rows(view, _unjoined(view, since_s, until_s).with_only_columns(_raw(tables.swaps.c.hashlock)))
    return [*((raw.hex(), SwapStatus.UNJOINED) for (raw,) in loose), *agreed]


def _unjoined(view: View, since_s: int, until_s: int) -> sa.Select[Any]:
    swaps, lock = tables.swaps.c, tables.locks.c
    there = sa.select(lock.hashlock).where(
        lock.hashlock == swaps.hashlock,
        view.exists(lock.chain, lock.lock_height),
        view.seen(lock.sender, lock.receiver),
    )
    return view.swaps().where(swaps.opened_s.between(since_s, until_s), swaps.agreed.is_(False), there.exists())


def _agreed(view: View, since_s: int, until_s: int) -> tuple[list[tuple[str, SwapStatus]], bool]:
    """Return agreed swaps with their status; true if these are all."""
    swaps = tables.swaps.c
    agreed = view.swaps().where(swaps.opened_s.between(since_s, until_s), swaps.agreed)
    rows, whole = _rows(view, agreed.with_only_columns(swaps.swap_id, swaps.opened_s).order_by(swaps.opened_s.desc()))
    legs = {role: _legs(view, role, since_s, until_s) for role in ROLES}
    found = []
    for swap_id, opened_s in rows:
        both = [legs[role].get(swap_id, LockStatus.ABSENT) for role in ROLES]
        if opened_s <= view.as_of.time_s or set(both) != {LockStatus.ABSENT}:
            found.append((swap_id, swap_status(*both)))
    return found, whole


def _legs(view: View, role: str, since_s: int, until_s: int) -> dict[str, LockStatus]:
    """How the locks with exactly the agreed terms stand as of the view, by swap."""
    leg, lock, swaps = tables.agreement_legs, tables.locks, tables.swaps
    query = (
        sa.select(leg.c.swap_id, lock.c.status, view.exists(lock.c.chain, lock.c.settle_height).label("ended"))
        .select_from(swaps)
        .join(leg, sa.and_(leg.c.swap_id == swaps.c.swap_id, leg.c.role == role))
        .join(lock, sa.and_(lock.c.hashlock == swaps.c.hashlock, *same_terms(lock, leg)))
        .where(swaps.c.opened_s.between(since_s, until_s), view.exists(lock.c.chain, lock.c.lock_height))
        .order_by(lock.c.lock_height, lock.c.lock_index)
        .limit(MAX_ADDED)
    )
    found: dict[str, LockStatus] = {}
    for swap_id, status, ended in view.connection.execute(query):
        # Of several the one that was made first is the leg.
        found.setdefault(swap_id, LockStatus(status) if ended else LockStatus.LOCKED)
    return found


def _raw(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(column, sa.LargeBinary)


def _rows(view: View, query: sa.Select[Any]) -> tuple[list[Any], bool]:
    """Return at most `MAX_ADDED` rows, and true if there are no more."""
    found: list[Any] = list(view.connection.execute(query.limit(MAX_ADDED + 1)).all())
    return found[:MAX_ADDED], len(found) <= MAX_ADDED
