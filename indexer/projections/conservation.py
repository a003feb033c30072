"""Conservation: whatever was locked of an asset must have been claimed, refunded or still be locked.

The three sums come from events, the open locks from the projection: two ways through the data that must meet. Sums are
Python integers, since the amounts of a hostile token may add up to more than any column holds.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import LockStatus
from core.model.types import AssetId, BaseUnits, BlockRef, ChainId, Height, chain_of
from indexer.projections.locks import by_hashlock
from indexer.tables import CANONICAL_BLOCK, blocks, events, locks

SETTLED: Final = ("claimed", "refunded")


@dataclass(frozen=True, slots=True)
class Sum:
    """How many locks, and their amounts in base units."""

    count: int
    amount: int


NOTHING: Final = Sum(0, 0)


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


@dataclass(frozen=True, slots=True)
class Verbs:
    """The verbs of locks of one chain, added up through the block `block_hash` at `height`: by asset what was locked,
    claimed and refunded, and how many settlements are of a lock that was never indexed."""

    height: Height
    block_hash: bytes
    sums: Mapping[tuple[str, str], Sum]
    """By asset and kind of verb."""
    unmatched: int


def conservation(connection: Connection, asset: AssetId, height: Height, verbs: Verbs | None = None) -> Conservation:
    """The sums of one asset as of a block. The holder's balance is the caller's to ask for and add.

    `verbs` are the sums of its chain at this height, if the caller has them.
    """
    if verbs is None:
        return summed(asset, height, conservation_rows(connection, asset, height))
    still_open = _open(connection, asset, height)
    locked, claimed, refunded = (verbs.sums.get((asset, kind), NOTHING) for kind in ("locked", *SETTLED))
    open_ones = Sum(len(still_open), sum(still_open))
    return Conservation(asset, height, locked, claimed, refunded, open_ones, verbs.unmatched)


def verbs_at(connection: Connection, chain: ChainId, block: BlockRef, since: Verbs | None = None) -> Verbs:
    """Add up the verbs of a chain through a block. With `since`, sums of a block below it on the same branch, only the
    verbs behind that one are looked at."""
    count: Counter[tuple[str, str]] = Counter()
    amounts: Counter[tuple[str, str]] = Counter()
    unmatched = 0
    if since is not None:
        unmatched = since.unmatched
        for key, had in since.sums.items():
            count[key], amounts[key] = had.count, had.amount
    for kind, asset, amount in _verb_rows(connection, chain, block.height, None if since is None else since.height):
        if asset is None:
            unmatched += 1
        else:
            count[asset, kind] += 1
            amounts[asset, kind] += amount
    sums = {key: Sum(count[key], amounts[key]) for key in count}
    return Verbs(block.height, block.hash, sums, unmatched)


def conservation_rows(connection: Connection, asset: AssetId, height: Height) -> list[Row]:
    """Return what the sums of one asset as of a block are made of."""
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for kind, of, amount in _verb_rows(connection, chain_of(asset), height):
        if of is None:
            parts[UNMATCHED].append(0)
        elif of == asset:
            parts[kind].append(amount)
    parts["open"] = _open(connection, asset, height)
    return [(part, amount) for part in PARTS for amount in parts[part]]


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


def _verb_rows(
    connection: Connection, chain: ChainId, height: Height, above: Height | None = None
) -> Iterator[tuple[str, str | None, int]]:
    """Return each verb through a height, and above another one: its kind, asset and amount; of a settlement those of
    its lock, None and 0 if that was never indexed.

    A lock's id may come again once the lock is settled, so that what stands before a settlement, under the same id and
    hashlock, is its lock.
    """
    of, behind = events.c, events.alias("behind").c

    def before(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        return sa.func.lag(column, type_=column.type).over(
            partition_by=(of.lock_id, of.hashlock), order_by=(of.height, of.event_index)
        )

    verbs = sa.select(
        of.kind, of.asset, of.amount, of.height, *(before(column) for column in (of.kind, of.asset, of.amount))
    ).where(
        of.chain == chain,
        of.lock_id.is_not(None),
        of.kind.in_(("locked", *SETTLED)),
        of.canonical,
        of.height <= height,
    )
    if above is not None:
        new = sa.select(blocks.c.hash).where(
            blocks.c.chain == chain, CANONICAL_BLOCK, blocks.c.height > above, blocks.c.height <= height
        )
        named = sa.select(behind.lock_id).where(
            behind.chain == chain, behind.block_hash.in_(new), behind.lock_id.is_not(None)
        )
        verbs = verbs.where(of.lock_id.in_(named))
    for kind, asset, amount, at, kind_before, asset_before, amount_before in connection.execute(verbs):
        if above is not None and at <= above:
            continue
        if kind == "locked":
            yield kind, asset, amount
        elif kind_before == "locked":
            yield kind, asset_before, amount_before
        else:
            yield kind, None, 0


def _open(connection: Connection, asset: AssetId, height: Height) -> list[int]:
    of = locks.c
    mine = sa.select(of.amount).where(of.chain == chain_of(asset), of.lock_height <= height)
    # Each half by an index of its own: of all locks few are open.
    still = mine.where(of.asset == asset, of.status == LockStatus.LOCKED.value)
    later = mine.where(by_hashlock(locks, "asset") == asset, of.settle_height > height)
    return list(connection.execute(sa.union_all(still, later)).scalars())
