"""Every lock of the canonical chains and how it ended.

A lock is known by where its event stands: whoever locks chooses its id, and may use it again once the lock is settled.
It is settled once, so that a reverted block is undone exactly: settlements that stand in it are taken off, locks that
stand in it are deleted.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, Claimed, Locked, LockStatus, LoggedEvent, Refunded
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    PublicPreimage,
    SwapId,
    chain_of,
)
from core.runtime.statements import MAX_LIST
from indexer.projections.heights import HASHES, LOWEST, OF_CHAIN
from indexer.tables import agreement_legs, agreements, locks
from indexer.writing import insert_many

CHUNK: Final = 500
_UNSETTLED: Final = {
    "status": LockStatus.LOCKED.value,
    "preimage": None,
    "settle_tx": None,
    "settle_block": None,
    "settle_height": None,
    "settle_index": None,
    "settle_time_s": None,
}


def by_hashlock(table: sa.FromClause, name: str) -> sa.ColumnElement[Any]:
    """That column in a form that no index has, if it has one: a lock under a hashlock is found by the hashlock. Without
    statistics SQLite takes an index by chain or by asset for as good, and looks at every lock there is."""
    return table.c[name].concat("") if name in ("chain", "asset") else table.c[name]


def same_terms(lock: sa.FromClause, leg: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    """The conditions that a lock under an agreement's hashlock has exactly the terms of a leg.

    Not by `=`: PostgreSQL would take it for cheaper to compare all locks there are with some legs, by a hash of these
    columns, than to look for the locks of some hashlocks.
    """
    return [
        by_hashlock(lock, name).is_not_distinct_from(leg.c[name])
        for name in ("chain", "asset", "amount", "sender", "receiver", "timelock")
    ]


_MATCHING: Final = (
    sa.select(locks)
    .where(
        *(
            by_hashlock(locks, name) == sa.bindparam(f"of_{name}", type_=locks.c[name].type)
            for name in ("hashlock", "chain", "asset", "amount", "sender", "receiver", "timelock")
        )
    )
    .order_by(locks.c.lock_height, locks.c.lock_index)
    .limit(1)
)
_EARLIER: Final = locks.alias("earlier")


def _agreed_terms(table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    """The conditions that a lock is under an agreement's hashlock, with exactly the terms of its leg."""
    return [table.c.hashlock == agreements.c.hashlock, *same_terms(table, agreement_legs)]


def matching_legs(*columns: Any) -> sa.Select[Any]:
    """These columns of locks and of the agreed legs (`agreements`, `agreement_legs`) that they are: one lock for a leg,
    or several of one block, by swap, role and place."""
    return (
        sa.select(*columns)
        .select_from(agreement_legs)
        .join(agreements, agreements.c.swap_id == agreement_legs.c.swap_id)
        .join(locks, sa.and_(*_agreed_terms(locks)))
        # The one that was made first: whoever makes a thousand of them makes no answer longer. Its height is compared
        # in a form that no index has, since the hashlock finds it.
        .where(
            locks.c.lock_height + sa.literal_column("0")
            == sa.select(sa.func.min(_EARLIER.c.lock_height))
            .where(*_agreed_terms(_EARLIER))
            .correlate(agreements, agreement_legs)
            .scalar_subquery()
        )
        .order_by(agreement_legs.c.swap_id, agreement_legs.c.role, locks.c.lock_index)
    )


_SWAP_IDS: Final[sa.BindParameter[Any]] = sa.bindparam("swap_ids", expanding=True)
# Of both tables, since PostgreSQL does not follow a list from one to the other.
OF_SWAPS: Final = sa.and_(agreement_legs.c.swap_id.in_(_SWAP_IDS), agreements.c.swap_id.in_(_SWAP_IDS))
_MATCHING_LEGS: Final = matching_legs(locks, agreement_legs.c.swap_id, agreement_legs.c.role).where(OF_SWAPS)
_OPEN: Final = (
    sa.select(locks.c.lock_id, locks.c.hashlock, locks.c.lock_height, locks.c.lock_index)
    .where(locks.c.chain == sa.bindparam("of_chain"), locks.c.lock_id.in_(sa.bindparam("names", expanding=True)))
    .where(locks.c.status == LockStatus.LOCKED.value)
    .order_by(locks.c.lock_height, locks.c.lock_index)
)
_SETTLE: Final = sa.update(locks).where(
    locks.c.chain == sa.bindparam("of_chain"),
    locks.c.lock_height == sa.bindparam("of_height"),
    locks.c.lock_index == sa.bindparam("of_index"),
)
_UNSETTLE: Final = (
    sa.update(locks)
    .where(locks.c.chain == OF_CHAIN, locks.c.settle_height >= LOWEST, locks.c.settle_block.in_(HASHES))
    .values(_UNSETTLED)
)
_FORGET: Final = sa.delete(locks).where(
    locks.c.chain == OF_CHAIN, locks.c.lock_height >= LOWEST, locks.c.lock_block.in_(HASHES)
)
_Name = tuple[LockId, Hashlock]
"""The names by which a settlement means its lock."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The place of a verb on its chain. `time_s` is the block's, in Unix seconds; `index` orders its block's events."""

    tx_hash: bytes
    block_hash: bytes
    height: Height
    index: int
    time_s: int


@dataclass(frozen=True, slots=True)
class LockRow:
    """A lock as the canonical chain shows it. `settled` and `preimage` say how it ended, if it has."""

    lock_id: LockId
    terms: LockTerms
    status: LockStatus
    locked: Placed
    settled: Placed | None
    preimage: PublicPreimage | None

    @property
    def chain(self) -> ChainId:
        return self.terms.chain

    @property
    def place(self) -> tuple[ChainId, Height, int]:
        """The key that no other lock has: `lock_id` may come again."""
        return self.chain, self.locked.height, self.locked.index


def apply(connection: Connection, blocks: Sequence[Block]) -> None:
    """Store what these blocks of one chain, oldest first, say of locks.

    A claim or refund settles the newest open lock of its id and hashlock. One whose lock was made before the first
    indexed block stays an event only.
    """
    made: list[dict[str, Any]] = []
    open_here: dict[_Name, list[dict[str, Any]]] = defaultdict(list)
    earlier: list[tuple[_Name, dict[str, Any]]] = []
    for block in blocks:
        for logged in block.events:
            match logged.event:
                case Locked(lock_id, terms):
                    row = _lock_row(block, logged, lock_id, terms)
                    made.append(row)
                    open_here[lock_id, terms.hashlock].append(row)
                case Claimed(lock_id, hashlock) | Refunded(lock_id, hashlock):
                    name, ended = (lock_id, hashlock), _settlement(block, logged, logged.event)
                    if open_here[name]:
                        open_here[name].pop().update(ended)
                    else:
                        earlier.append((name, ended))
    if earlier:
        _settle(connection, blocks[0].header.chain, earlier)
    insert_many(connection, locks, made)


def _settle(connection: Connection, chain: ChainId, ended: Sequence[tuple[_Name, dict[str, Any]]]) -> None:
    """Settle locks that are stored. `ended` are the settlements, in their order, with what each one names."""
    stored = _open_locks(connection, chain, sorted({lock_id for (lock_id, _), _ in ended}))
    found = [{**stored[name].pop(), **values} for name, values in ended if stored[name]]
    if found:
        connection.execute(_SETTLE, found)


def _open_locks(connection: Connection, chain: ChainId, names: Sequence[LockId]) -> dict[_Name, list[dict[str, Any]]]:
    """Return the open locks with these ids, the newest last."""
    found: dict[_Name, list[dict[str, Any]]] = defaultdict(list)
    for first in range(0, len(names), CHUNK):
        for row in connection.execute(_OPEN, {"of_chain": chain, "names": names[first : first + CHUNK]}):
            place = {"of_chain": chain, "of_height": row.lock_height, "of_index": row.lock_index}
            found[LockId(row.lock_id), Hashlock(row.hashlock)].append(place)
    return found


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks, the newest of the chain, said."""
    for first in range(0, len(hashes), CHUNK):
        gone = {"of_chain": chain, "hashes": hashes[first : first + CHUNK]}
        connection.execute(_UNSETTLE, gone)
        connection.execute(_FORGET, gone)


def lock_row(row: Any) -> LockRow:
    """A typed lock from a row with the columns of `indexer_locks`."""
    chain = ChainId(row.chain)
    settled = None
    if row.settle_tx is not None:
        settled = Placed(
            bytes(row.settle_tx),
            bytes(row.settle_block),
            Height(row.settle_height),
            row.settle_index,
            int(row.settle_time_s),
        )
    return LockRow(
        lock_id=LockId(row.lock_id),
        terms=LockTerms(
            asset=AssetId(row.asset),
            amount=BaseUnits(row.amount),
            sender=AccountId(row.sender),
            receiver=AccountId(row.receiver),
            hashlock=Hashlock(row.hashlock),
            timelock=ChainTime(chain, row.timelock),
        ),
        status=LockStatus(row.status),
        locked=Placed(
            bytes(row.lock_tx), bytes(row.lock_block), Height(row.lock_height), row.lock_index, int(row.lock_time_s)
        ),
        settled=settled,
        preimage=None if row.preimage is None else PublicPreimage(row.preimage),
    )


def locks_under(connection: Connection, hashlock: Hashlock, limit: int) -> list[LockRow]:
    """Locks under one hashlock, first made first, at most `limit`: anyone can copy a public hashlock."""
    query = (
        sa.select(locks)
        .where(locks.c.hashlock == hashlock)
        .order_by(locks.c.lock_time_s, locks.c.chain, locks.c.lock_height, locks.c.lock_index)
        .limit(limit)
    )
    return [lock_row(row) for row in connection.execute(query)]


def open_hashlocks_of(connection: Connection, accounts: Collection[AccountId]) -> list[Hashlock]:
    """Return the hashlocks of open locks that one of these accounts made, or is paid by."""
    own = [
        (locks.c.chain == chain_of(account)) & ((locks.c.sender == account) | (locks.c.receiver == account))
        for account in accounts
    ]
    query = sa.select(locks.c.hashlock).distinct().where(locks.c.status == LockStatus.LOCKED.value, sa.or_(*own))
    return [Hashlock(bytes(raw)) for raw in connection.execute(query.order_by(locks.c.hashlock)).scalars()]


def locks_of(connection: Connection, hashlock: Hashlock, accounts: Collection[AccountId], limit: int) -> list[LockRow]:
    """Return the locks under a hashlock that these accounts made, and the `limit` largest of those that pay them: a
    stranger's small ones, however many, keep none of the others out."""
    made, paid = list[LockRow](), list[LockRow]()
    for account in accounts:
        here = sa.select(locks).where(locks.c.hashlock == hashlock, locks.c.chain == chain_of(account))
        order = (locks.c.lock_height, locks.c.lock_index)
        own = here.where(locks.c.sender == account).order_by(*order)
        made += [lock_row(row) for row in connection.execute(own)]
        others = here.where(locks.c.receiver == account, locks.c.sender != account)
        largest = others.order_by(locks.c.amount.desc(), *order).limit(limit)
        paid += [lock_row(row) for row in connection.execute(largest)]
    return [*made, *sorted(paid, key=lambda row: row.terms.amount, reverse=True)[:limit]]


def matching_lock(connection: Connection, terms: LockTerms) -> LockRow | None:
    """The lock with exactly these terms. Only their sender can have made it; of several, the one made first."""
    asked = {
        "of_hashlock": terms.hashlock,
        "of_chain": terms.chain,
        "of_asset": terms.asset,
        "of_amount": terms.amount,
        "of_sender": terms.sender,
        "of_receiver": terms.receiver,
        "of_timelock": terms.timelock.seconds,
    }
    row = connection.execute(_MATCHING, asked).first()
    return None if row is None else lock_row(row)


def matching_locks(connection: Connection, swap_ids: Sequence[SwapId]) -> dict[tuple[SwapId, str], LockRow]:
    """As `matching_lock`, of both legs of some agreements: by swap and role, those that are there."""
    found: dict[tuple[SwapId, str], LockRow] = {}
    for first in range(0, len(swap_ids), MAX_LIST):
        for row in connection.execute(_MATCHING_LEGS, {"swap_ids": swap_ids[first : first + MAX_LIST]}):
            found.setdefault((SwapId(row.swap_id), row.role), lock_row(row))
    return found


def _lock_row(block: Block, logged: LoggedEvent, lock_id: LockId, terms: LockTerms) -> dict[str, Any]:
    return {
        "chain": terms.chain,
        "lock_height": block.header.height,
        "lock_index": logged.index,
        "lock_id": lock_id,
        "hashlock": terms.hashlock,
        "asset": terms.asset,
        "amount": terms.amount,
        "sender": terms.sender,
        "receiver": terms.receiver,
        "timelock": terms.timelock.seconds,
        "lock_tx": logged.tx_hash,
        "lock_block": block.header.ref.hash,
        "lock_time_s": block.header.time.seconds,
        **_UNSETTLED,
    }


def _settlement(block: Block, logged: LoggedEvent, event: Claimed | Refunded) -> dict[str, Any]:
    claimed = isinstance(event, Claimed)
    return {
        "status": (LockStatus.CLAIMED if claimed else LockStatus.REFUNDED).value,
        "preimage": event.preimage if isinstance(event, Claimed) else None,
        "settle_tx": logged.tx_hash,
        "settle_block": block.header.ref.hash,
        "settle_height": block.header.height,
        "settle_index": logged.index,
        "settle_time_s": block.header.time.seconds,
    }
