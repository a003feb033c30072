"""Every lock of the canonical chains and how it ended.

A lock is made once and settled once, so that a reverted block is undone exactly: settlements that stand in it are taken
off, locks that stand in it are deleted.
"""

from collections.abc import Sequence
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
)
from indexer.tables import locks
from indexer.writing import insert_many

CHUNK: Final = 500
_UNSETTLED: Final = {
    "status": LockStatus.LOCKED.value,
    "preimage": None,
    "settle_tx": None,
    "settle_block": None,
    "settle_height": None,
    "settle_time_s": None,
}


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a verb stands on its chain. `time_s` is the block's, in Unix seconds."""

    tx_hash: bytes
    block_hash: bytes
    height: Height
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


def apply(connection: Connection, blocks: Sequence[Block]) -> set[Hashlock]:
    """Store what these blocks, oldest first, say of locks. Returns the hashlocks that they touch."""
    made: list[dict[str, Any]] = []
    settled: list[dict[str, Any]] = []
    touched: set[Hashlock] = set()
    for block in blocks:
        for logged in block.events:
            match logged.event:
                case Locked(lock_id, terms):
                    made.append(_lock_row(block, logged, lock_id, terms))
                    touched.add(terms.hashlock)
                case Claimed(lock_id, lock, preimage):
                    settled.append(_settlement(block, logged, lock_id, LockStatus.CLAIMED, preimage))
                    touched.add(lock)
                case Refunded(lock_id, lock):
                    settled.append(_settlement(block, logged, lock_id, LockStatus.REFUNDED, None))
                    touched.add(lock)
    insert_many(connection, locks, made)
    if settled:
        # A lock made before the first indexed block has no row: its settlement stays an event only.
        connection.execute(
            sa.update(locks).where(
                locks.c.chain == sa.bindparam("of_chain"),
                locks.c.lock_id == sa.bindparam("of_lock"),
                locks.c.status == LockStatus.LOCKED.value,
            ),
            settled,
        )
    return touched


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> set[Hashlock]:
    """Undo what these blocks said. Returns the hashlocks that they touched."""
    touched: set[Hashlock] = set()
    for first in range(0, len(hashes), CHUNK):
        part = hashes[first : first + CHUNK]
        made = sa.and_(locks.c.chain == chain, locks.c.lock_block.in_(part))
        ended = sa.and_(locks.c.chain == chain, locks.c.settle_block.in_(part))
        query = sa.select(locks.c.hashlock).where(sa.or_(made, ended)).distinct()
        touched.update(Hashlock(row.hashlock) for row in connection.execute(query))
        connection.execute(sa.update(locks).where(ended).values(_UNSETTLED))
        connection.execute(sa.delete(locks).where(made))
    return touched


def lock_row(row: Any) -> LockRow:
    """A typed lock from a row with the columns of `indexer_locks`."""
    chain = ChainId(row.chain)
    settled = None
    if row.settle_tx is not None:
        settled = Placed(
            bytes(row.settle_tx), bytes(row.settle_block), Height(row.settle_height), int(row.settle_time_s)
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
        locked=Placed(bytes(row.lock_tx), bytes(row.lock_block), Height(row.lock_height), int(row.lock_time_s)),
        settled=settled,
        preimage=None if row.preimage is None else PublicPreimage(row.preimage),
    )


def locks_under(connection: Connection, hashlock: Hashlock, limit: int) -> list[LockRow]:
    """Locks under one hashlock, first made first, at most `limit`: anyone can copy a public hashlock."""
    query = (
        sa.select(locks)
        .where(locks.c.hashlock == hashlock)
        .order_by(locks.c.lock_time_s, locks.c.chain, locks.c.lock_height, locks.c.lock_id)
        .limit(limit)
    )
    return [lock_row(row) for row in connection.execute(query)]


def lock_by_id(connection: Connection, chain: ChainId, lock_id: LockId) -> LockRow | None:
    row = connection.execute(sa.select(locks).where(locks.c.chain == chain, locks.c.lock_id == lock_id)).first()
    return None if row is None else lock_row(row)


def matching_lock(connection: Connection, terms: LockTerms) -> LockRow | None:
    """The lock with exactly these terms. Only their sender can have made it; of several, the one made first."""
    query = (
        sa.select(locks)
        .where(
            locks.c.hashlock == terms.hashlock,
            locks.c.chain == terms.chain,
            locks.c.asset == terms.asset,
            locks.c.amount == terms.amount,
            locks.c.sender == terms.sender,
            locks.c.receiver == terms.receiver,
            locks.c.timelock == terms.timelock.seconds,
        )
        .order_by(locks.c.lock_height, locks.c.lock_id)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else lock_row(row)


def _lock_row(block: Block, logged: LoggedEvent, lock_id: LockId, terms: LockTerms) -> dict[str, Any]:
    return {
        "chain": terms.chain,
        "lock_id": lock_id,
        "hashlock": terms.hashlock,
        "asset": terms.asset,
        "amount": terms.amount,
        "sender": terms.sender,
        "receiver": terms.receiver,
        "timelock": terms.timelock.seconds,
        "status": LockStatus.LOCKED.value,
        "lock_tx": logged.tx_hash,
        "lock_block": block.header.ref.hash,
        "lock_height": block.header.height,
        "lock_time_s": block.header.time.seconds,
    }


def _settlement(
    block: Block, logged: LoggedEvent, lock_id: LockId, status: LockStatus, preimage: PublicPreimage | None
) -> dict[str, Any]:
    return {
        "of_chain": block.header.chain,
        "of_lock": lock_id,
        "status": status.value,
        "preimage": preimage,
        "settle_tx": logged.tx_hash,
        "settle_block": block.header.ref.hash,
        "settle_height": block.header.height,
        "settle_time_s": block.header.time.seconds,
    }
