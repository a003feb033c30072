"""Conservation: whatever was locked of an asset must have been claimed, refunded or still be locked.

The three sums come from events, the open locks from the projection: two ways through the data that must meet. Sums are
Python integers, since the amounts of a hostile token may add up to more than any column holds.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import AssetId, BaseUnits, ChainId, Height, chain_of
from indexer.tables import events, locks

SETTLED: Final = ("claimed", "refunded")


@dataclass(frozen=True, slots=True)
class Sum:
    """How many locks, and their amounts in base units."""

    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class Conservation:
    """One asset's locks up to and including block `height` of its chain.

    `unmatched` counts settlements on the chain whose lock was never indexed: then nobody can say that the sums are
    whole. `holder_balance` is what the HTLC's own account held at that block, if there is such an account.
    """

    asset: AssetId
    height: Height
    locked: Sum
    claimed: Sum
    refunded: Sum
    open: Sum
    unmatched: int
    holder_balance: BaseUnits | None = None

    @property
    def adds_up(self) -> bool:
        """Locked is claimed, refunded and open together, in number and in amount."""
        ended = (self.claimed, self.refunded, self.open)
        return (
            self.unmatched == 0
            and self.locked.count == sum(part.count for part in ended)
            and self.locked.amount == sum(part.amount for part in ended)
        )

    @property
    def covered(self) -> bool | None:
        """True if the HTLC holds what is open (anyone may send it more); None if nobody looked."""
        return None if self.holder_balance is None else self.holder_balance >= self.open.amount

    @property
    def ok(self) -> bool:
        return self.adds_up and self.covered is not False


Row = tuple[str, int]
"""A part of the sums (`PARTS`) and base units; of `UNMATCHED` one row for each settlement, of 0."""
UNMATCHED: Final = "unmatched"
PARTS: Final = ("locked", *SETTLED, "open", UNMATCHED)


def conservation(connection: Connection, asset: AssetId, height: Height) -> Conservation:
    """The sums of one asset as of a block. The holder's balance is the caller's to ask for and add."""
    return summed(asset, height, conservation_rows(connection, asset, height))


def conservation_rows(connection: Connection, asset: AssetId, height: Height) -> list[Row]:
    """Return what the sums of one asset as of a block are made of."""
    found: list[Row] = []
    for part, amounts in (
        ("locked", _locked(connection, asset, height)),
        *((kind, _settled(connection, asset, height, kind)) for kind in SETTLED),
        ("open", _open(connection, asset, height)),
        (UNMATCHED, [0] * _unmatched(connection, asset, height)),
    ):
        found += ((part, amount) for amount in amounts)
    return found


def summed(asset: AssetId, height: Height, rows: Iterable[Row]) -> Conservation:
    """The sums that these rows make. Pure."""
    count: Counter[str] = Counter()
    amounts: Counter[str] = Counter()
    for part, amount in rows:
        count[part] += 1
        amounts[part] += amount
    locked, claimed, refunded, still_open = (Sum(count[part], amounts[part]) for part in PARTS[:-1])
    return Conservation(asset, height, locked, claimed, refunded, still_open, count[UNMATCHED])


def locked_assets(connection: Connection) -> list[AssetId]:
    """Every asset that was ever locked, in order."""
    query = sa.select(locks.c.asset).distinct().order_by(locks.c.asset)
    return [AssetId(row.asset) for row in connection.execute(query)]


def _locked(connection: Connection, asset: AssetId, height: Height) -> list[int]:
    query = sa.select(events.c.amount).where(
        events.c.chain == chain_of(asset),
        events.c.asset == asset,
        events.c.kind == "locked",
        events.c.canonical,
        events.c.height <= height,
    )
    return list(connection.execute(query).scalars())


def _verbs(chain: ChainId, height: Height) -> sa.Select[Any]:
    """All verbs of locks, each with the verb before it under the same id and hashlock.

    A lock's id may come again once the lock is settled, so that what stands before a settlement is its lock.
    """

    def before(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        return sa.func.lag(column, type_=column.type).over(
            partition_by=(events.c.lock_id, events.c.hashlock), order_by=(events.c.height, events.c.event_index)
        )

    return sa.select(
        events.c.kind,
        before(events.c.kind).label("kind_before"),
        before(events.c.asset).label("asset_before"),
        before(events.c.amount).label("amount"),
    ).where(
        events.c.chain == chain,
        events.c.lock_id.is_not(None),
        events.c.kind.in_(("locked", *SETTLED)),
        events.c.canonical,
        events.c.height <= height,
    )


def _settled(connection: Connection, asset: AssetId, height: Height, kind: str) -> list[int]:
    of = events.alias("of")
    names = sa.select(of.c.lock_id).where(of.c.chain == chain_of(asset), of.c.asset == asset, of.c.kind == "locked")
    verbs = _verbs(chain_of(asset), height).where(events.c.lock_id.in_(names)).subquery()
    query = sa.select(verbs.c.amount).where(
        verbs.c.kind == kind, verbs.c.kind_before == "locked", verbs.c.asset_before == asset
    )
    return list(connection.execute(query).scalars())


def _open(connection: Connection, asset: AssetId, height: Height) -> list[int]:
    query = sa.select(locks.c.amount).where(
        locks.c.chain == chain_of(asset),
        locks.c.asset == asset,
        locks.c.lock_height <= height,
        sa.or_(locks.c.settle_height.is_(None), locks.c.settle_height > height),
    )
    return list(connection.execute(query).scalars())


def _unmatched(connection: Connection, asset: AssetId, height: Height) -> int:
    verbs = _verbs(chain_of(asset), height).subquery()
    query = sa.select(sa.func.count()).where(
        verbs.c.kind.in_(SETTLED), sa.func.coalesce(verbs.c.kind_before, "") != "locked"
    )
    return connection.execute(query).scalar_one()
