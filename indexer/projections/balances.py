"""The balances of each account and asset after each block, as the indexed events say.

Movements are transfers, and on chains whose ledger holds locks by itself also locks, claims and refunds; if a
contract holds them, transfers show these too. Of a native coin there are only sums of the payments that were indexed:
fees, rewards and what accounts had from the start are not payments, so that a sum is not a balance and may be
negative. What an account has of it, the chain itself is asked (`StateReader.balance`).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, Claimed, Locked, LockStatus, LoggedEvent, Refunded, Transferred
from core.model.types import AccountId, AssetId, ChainId, Height, chain_of
from core.runtime.lists import room_for, table_of, table_values
from indexer.projections.heights import HASHES, LOWEST, OF_CHAIN
from indexer.projections.settled import Settled, settled_locks
from indexer.tables import balances, events, locks, swaps
from indexer.writing import insert_many

CHUNK: Final = 200
FEW: Final = 8
"""The most accounts whose balances are asked for by a short statement."""
MAX_HOLDERS: Final = 1_000_000
"""Accounts whose holdings one sum is made of."""
_HELD_BY_CONTRACT: Final = "eip155:"
"""The chains on which a contract holds the locks: it is one account among others."""

_Key = tuple[AssetId, AccountId]

_MOVED: Final = (
    sa.select(events.c.asset, events.c.sender, events.c.receiver)
    .where(events.c.chain == OF_CHAIN, events.c.block_hash.in_(HASHES), events.c.asset.is_not(None))
    .distinct()
)
_ENDED: Final = (
    sa.select(locks.c.asset, locks.c.sender, locks.c.receiver)
    .where(locks.c.chain == OF_CHAIN, locks.c.settle_height >= LOWEST, locks.c.settle_block.in_(HASHES))
    .distinct()
)
_LOWEST: Final = sa.select(LOWEST)
_FORGET: Final = sa.delete(balances).where(
    balances.c.asset == sa.bindparam("of_asset"),
    balances.c.account == sa.bindparam("of_account"),
    balances.c.height >= sa.bindparam("lowest"),
)


@dataclass(frozen=True, slots=True)
class Holding:
    """An account's holding, in base units. Negative only if the index does not begin with the chain, and for native
    coins, of which it is the sum of indexed payments."""

    account: AccountId
    asset: AssetId
    amount: int


def apply(connection: Connection, applied: Sequence[Block]) -> None:
    """Store what these blocks, oldest first, moved. The locks that they settle must be stored."""
    if not applied:
        return
    chain = applied[0].header.chain
    events_of_blocks = [block.events for block in applied]
    held = {} if _held_by_contract(chain) else settled_locks(connection, chain, events_of_blocks)
    changes = [(block.header.height, changed) for block in applied if (changed := _changes(block.events, held))]
    now = _newest(connection, {key for _, changed in changes for key in changed})
    rows: list[dict[str, Any]] = []
    for height, changed in changes:
        for (asset, account), amount in changed.items():
            now[asset, account] += amount
            balance = str(now[asset, account])
            rows.append({"asset": asset, "account": account, "height": height, "balance": balance})
    # In the order of the primary key, so that neighbours land on one page.
    rows.sort(key=itemgetter("asset", "account", "height"))
    insert_many(connection, balances, rows)


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks, the newest of the chain, moved. The locks that they settle must still be stored.

    Every account that an event names is looked at, also one of an event that could not be digested.
    """
    lowest, named = None, set[_Key]()
    for first in range(0, len(hashes), CHUNK):
        asked = {"of_chain": chain, "hashes": hashes[first : first + CHUNK]}
        for query in (_MOVED, _ENDED):
            for asset, *parties in connection.execute(query, asked):
                named |= {(AssetId(asset), AccountId(account)) for account in parties if account is not None}
        height = connection.execute(_LOWEST, asked).scalar()
        lowest = height if lowest is None or height < lowest else lowest
    if named:
        gone = [{"of_asset": asset, "of_account": account, "lowest": lowest} for asset, account in sorted(named)]
        connection.execute(_FORGET, gone)


def balance_at(connection: Connection, account: AccountId, asset: AssetId, height: Height) -> int:
    """Base units that the account held after the block at `height`; 0 if it never had any."""
    mine = balances
    query = (
        sa.select(mine.c.balance)
        .where(mine.c.asset == asset, mine.c.account == account, mine.c.height <= height)
        .order_by(mine.c.height.desc())
        .limit(1)
    )
    return int(connection.execute(query).scalar() or 0)


def holdings(
    connection: Connection, asset: AssetId, height: Height, limit: int, after: AccountId | None = None
) -> list[Holding]:
    """Who held the asset after the block at `height`, by account, without those that held nothing."""
    newest = (
        sa.select(balances.c.account, sa.func.max(balances.c.height).label("height"))
        .where(balances.c.asset == asset, balances.c.height <= height)
        .group_by(balances.c.account)
        .subquery()
    )
    of = sa.and_(balances.c.account == newest.c.account, balances.c.height == newest.c.height)
    query = (
        sa.select(balances.c.account, balances.c.balance)
        .join(newest, of)
        .where(balances.c.asset == asset, balances.c.balance != "0")
        .order_by(balances.c.account)
        .limit(limit)
    )
    if after is not None:
        query = query.where(balances.c.account > after)
    return [Holding(AccountId(row.account), asset, int(row.balance)) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class Supply:
    """One asset after one block, in base units: what was issued and not burned is held or locked.

    `locked` is what open locks hold, `in_swaps` the part of it whose hashlock has an agreement. If a contract holds the
    locks, its own account is among the holders.
    """

    asset: AssetId
    height: Height
    issued: int
    burned: int
    held: int
    locked: int
    in_swaps: int

    @property
    def residual(self) -> int:
        """0 if the sums meet. It says nothing of native coins, of which only payments are indexed."""
        return self.issued - self.burned - self.held - (0 if _held_by_contract(self.asset) else self.locked)

    @property
    def adds_up(self) -> bool:
        return self.residual == 0


SupplyRow = tuple[str, str, int]
"""A part of the sums (`SUPPLY_PARTS`), the account of a holding (else empty), and base units."""
SUPPLY_PARTS: Final = ("issued", "burned", "held", "locked", "in_swaps")


def supply(connection: Connection, asset: AssetId, height: Height) -> Supply:
    """Issues and burns come from events, the rest from projections: two ways through the data that must meet.

    True sums only if the index begins with the chain. A native coin's payments add up to 0.
    """
    return summed_supply(asset, height, supply_rows(connection, asset, height))


def summed_supply(asset: AssetId, height: Height, rows: Iterable[SupplyRow]) -> Supply:
    """The sums that these rows make; a lock in a swap is locked, too. Pure."""
    sums: dict[str, int] = dict.fromkeys(SUPPLY_PARTS, 0)
    for part, _, amount in rows:
        sums[part] += amount
    locked = sums["locked"] + sums["in_swaps"]
    return Supply(asset, height, sums["issued"], sums["burned"], sums["held"], locked, sums["in_swaps"])


def supply_rows(connection: Connection, asset: AssetId, height: Height) -> list[SupplyRow]:
    """Return what the sums of one asset after one block are made of."""
    moved = sa.select(events.c.sender, events.c.receiver, events.c.amount).where(
        events.c.asset == asset,
        events.c.asset.is_not(None),
        events.c.kind == "transferred",
        events.c.canonical,
        events.c.height <= height,
        sa.or_(events.c.sender.is_(None), events.c.receiver.is_(None)),
    )
    found: list[SupplyRow] = []
    for row in connection.execute(moved):
        found += [("issued", "", row.amount)] if row.sender is None else []
        found += [("burned", "", row.amount)] if row.receiver is None else []
    agreed = sa.exists().where(swaps.c.hashlock == locks.c.hashlock, swaps.c.agreed)
    unsettled = sa.select(locks.c.amount, agreed.label("agreed")).where(
        locks.c.chain == chain_of(asset),
        locks.c.asset == asset,
        locks.c.lock_height <= height,
        sa.or_(locks.c.status == LockStatus.LOCKED.value, locks.c.settle_height > height),
    )
    found += [("in_swaps" if row.agreed else "locked", "", row.amount) for row in connection.execute(unsettled)]
    found += [("held", one.account, one.amount) for one in holdings(connection, asset, height, MAX_HOLDERS)]
    return found


def _held_by_contract(identifier: str) -> bool:
    return identifier.startswith(_HELD_BY_CONTRACT)


def _changes(events_of_block: Sequence[LoggedEvent], held: Settled) -> dict[_Key, int]:
    """Return what one block adds to each account's assets; what comes to nothing is left out."""
    changed: dict[_Key, int] = defaultdict(int)
    for logged in events_of_block:
        for account, asset, amount in _movements(logged, held):
            changed[asset, account] += amount
    return {key: amount for key, amount in changed.items() if amount}


def _movements(logged: LoggedEvent, held: Settled) -> Iterable[tuple[AccountId, AssetId, int]]:
    match logged.event:
        case Transferred(asset, sender, receiver, amount):
            if sender is not None:
                yield sender, asset, -amount
            if receiver is not None:
                yield receiver, asset, amount
        case Locked(_, terms) if not _held_by_contract(terms.asset):
            yield terms.sender, terms.asset, -terms.amount
        case Claimed() | Refunded() if (place := (logged.block.hash, logged.index)) in held:
            lock = held[place]
            yield lock.receiver if isinstance(logged.event, Claimed) else lock.sender, lock.asset, lock.amount


def _newest(connection: Connection, keys: set[_Key]) -> dict[_Key, int]:
    """Return what these accounts hold now."""
    now = dict.fromkeys(keys, 0)
    wanted = sorted(keys)
    for first in range(0, len(wanted), CHUNK):
        part = wanted[first : first + CHUNK]
        room = room_for(connection.dialect, len(part), FEW, CHUNK)
        asked = connection.exec_driver_sql(_newest_sql(connection.dialect, room), table_values(part, room))
        for asset, account, balance in asked:
            if balance is not None:
                now[AssetId(asset), AccountId(account)] = int(balance)
    return now


@lru_cache(maxsize=16)
def _newest_sql(dialect: sa.Dialect, room: int) -> str:
    """The newest balances of a number of (asset, account), for the driver. SQLAlchemy does not remember statements with
    VALUES, and to compile this one takes longer than to run it."""
    asked = table_of((balances.c.asset, balances.c.account), room)
    newest = (
        sa.select(balances.c.balance)
        .where(balances.c.asset == asked.c.asset, balances.c.account == asked.c.account)
        .order_by(balances.c.height.desc())
        .limit(sa.literal_column("1"))
        .offset(sa.literal_column("0"))
        .scalar_subquery()
    )
    query = sa.select(asked.c.asset, asked.c.account, newest.label("balance"))
    return str(query.compile(dialect=dialect))


def balances_before(connection: Connection, wanted: Sequence[tuple[AssetId, AccountId, Height]]) -> list[int]:
    """Return what each account held of an asset before the block at a height, in the order of `wanted`."""
    found: dict[tuple[str, str, int], int] = {}
    for first in range(0, len(wanted), CHUNK):
        part = wanted[first : first + CHUNK]
        room = room_for(connection.dialect, len(part), FEW, CHUNK)
        sql = _before_sql(connection.dialect, room)
        for asset, account, height, balance in connection.exec_driver_sql(sql, table_values(part, room)):
            found[asset, account, height] = int(balance or 0)
    return [found[one] for one in wanted]


@lru_cache(maxsize=16)
def _before_sql(dialect: sa.Dialect, room: int) -> str:
    """As `_newest_sql`, for the newest balances before a height each."""
    asked = table_of((balances.c.asset, balances.c.account, balances.c.height), room)
    newest = (
        sa.select(balances.c.balance)
        .where(balances.c.asset == asked.c.asset, balances.c.account == asked.c.account)
        .where(balances.c.height < asked.c.height)
        .order_by(balances.c.height.desc())
        .limit(sa.literal_column("1"))
        .offset(sa.literal_column("0"))
        .scalar_subquery()
    )
    query = sa.select(asked.c.asset, asked.c.account, asked.c.height, newest.label("balance"))
    return str(query.compile(dialect=dialect))
