"""Value as it moves, two rows a transfer, in the order in which an account's history is read (`indexer.moves`).

One rule on every chain: what a lock holds moves by the events of locks. A lock is a move from its sender to the keeper
of the chain's locks, a claim one from the keeper to the receiver, a refund one back to the sender. The keeper is the
HTLC contract that was reported for the chain. A ledger that keeps locks by itself has no such account, so that one
stands for it that nobody has a key for (`ledger_keeper`). Transfers from or to the keeper in a transaction that locks
or settles the same asset are the same value a second time: they are marked as covered, and histories leave them out.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, Claimed, Locked, LoggedEvent, Refunded, Transferred
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Height
from indexer.moves import Direction, Move, MoveKey, MoveKind
from indexer.projections.contracts import holders
from indexer.projections.heights import HASHES, OF_CHAIN
from indexer.projections.numbers import known_numbers, numbers
from indexer.projections.settled import Settled, settled_locks
from indexer.tables import accounts, asset_numbers, blocks, chains, events, htlc_reports, moves
from indexer.writing import insert_rows

CHUNK: Final = 200
_KEEPER: Final = hashlib.sha256(b"causeway keeper of locks").digest()[:20].hex()
_COLUMNS: Final = tuple(column.name for column in moves.c)
_REPORTED: Final = sa.select(htlc_reports.c.contract)
_FOLLOWED: Final = sa.select(chains.c.chain)
_LOWEST: Final = sa.select(sa.func.min(blocks.c.height), sa.func.min(blocks.c.time_s)).where(
    blocks.c.chain == OF_CHAIN, blocks.c.hash.in_(HASHES)
)
_FORGET: Final = sa.delete(moves).where(
    moves.c.account_id == sa.bindparam("of_account"),
    moves.c.time_s >= sa.bindparam("since_s"),
    moves.c.chain == OF_CHAIN,
    moves.c.height >= sa.bindparam("lowest"),
)
_PARTIES: Final = (
    sa.select(events.c.sender, events.c.receiver, events.c.hashlock)
    .where(events.c.chain == OF_CHAIN, events.c.block_hash.in_(HASHES))
    .distinct()
)
_ENDED: Final = events.alias()
_LOCKED: Final = events.alias()
_PARTIES_OF_LOCKS: Final = (
    sa.select(_LOCKED.c.sender, _LOCKED.c.receiver, _LOCKED.c.hashlock)
    .join(_ENDED, (_ENDED.c.hashlock == _LOCKED.c.hashlock) & (_ENDED.c.lock_id == _LOCKED.c.lock_id))
    .where(_ENDED.c.chain == OF_CHAIN, _ENDED.c.block_hash.in_(HASHES), _ENDED.c.kind.in_(("claimed", "refunded")))
    .where(_ENDED.c.hashlock.is_not(None), _LOCKED.c.hashlock.is_not(None))
    .where(_LOCKED.c.chain == OF_CHAIN, _LOCKED.c.kind == "locked")
    .distinct()
)
_KEY: Final = (moves.c.time_s, moves.c.chain, moves.c.height, moves.c.event_index, moves.c.direction)


@lru_cache(maxsize=256)
def ledger_keeper(chain: ChainId) -> AccountId:
    """The account that stands for a ledger as the keeper of its locks: 20 bytes of a SHA-256, which no key gives."""
    return AccountId(f"{chain}:{_KEEPER}")


@dataclass(frozen=True, slots=True)
class Movement:
    """Value that one event moves. An issue has no sender, a burn no receiver."""

    logged: LoggedEvent
    kind: MoveKind
    asset: AssetId
    amount: BaseUnits
    sender: AccountId | None
    receiver: AccountId | None


def movements(block_events: Sequence[LoggedEvent], settled: Settled, keeper: AccountId) -> Iterator[Movement]:
    """Return what the events of one block move. `settled` are the locks that they end; one whose lock was made before
    the first indexed block moves nothing that anybody knows of."""
    verbs = _lock_movements(block_events, settled, keeper)
    covered = {(one.logged.tx_hash, one.asset) for one in verbs.values()}
    for logged in block_events:
        if isinstance(logged.event, Transferred):
            moved = logged.event
            twice = keeper in (moved.sender, moved.receiver) and (logged.tx_hash, moved.asset) in covered
            kind = MoveKind.COVERED if twice else MoveKind.TRANSFER
            yield Movement(logged, kind, moved.asset, moved.amount, moved.sender, moved.receiver)
        elif logged.index in verbs:
            yield verbs[logged.index]


def _lock_movements(block_events: Sequence[LoggedEvent], settled: Settled, keeper: AccountId) -> dict[int, Movement]:
    found: dict[int, Movement] = {}
    for logged in block_events:
        match logged.event:
            case Locked(_, terms):
                found[logged.index] = Movement(logged, MoveKind.LOCK, terms.asset, terms.amount, terms.sender, keeper)
            case Claimed() | Refunded() if (held := settled.get((logged.block.hash, logged.index))) is not None:
                claimed = isinstance(logged.event, Claimed)
                kind, to = (MoveKind.CLAIM, held.receiver) if claimed else (MoveKind.REFUND, held.sender)
                found[logged.index] = Movement(logged, kind, held.asset, held.amount, keeper, to)
            case _:
                pass
    return found


def apply(connection: Connection, applied: Sequence[Block]) -> None:
    """Store what these blocks, oldest first, move. The locks that they settle must be stored."""
    if not applied:
        return
    chain = applied[0].header.chain
    held = holders(connection, chain)
    settled = settled_locks(connection, chain, [block.events for block in applied])
    moved = [
        (block.header.time.seconds, movement)
        for block in applied
        for movement in movements(block.events, settled, _keeper_at(chain, held, block.header.height))
    ]
    parties = {party for _, one in moved for party in (one.sender, one.receiver) if party is not None}
    account_ids = numbers(connection, accounts, parties)
    asset_ids = numbers(connection, asset_numbers, {one.asset for _, one in moved})
    rows: list[tuple[Any, ...]] = []
    for time_s, one in moved:
        logged = one.logged
        place = (time_s, chain, logged.block.height, logged.index)
        what = (asset_ids[one.asset], one.amount, logged.tx_hash)
        sender = None if one.sender is None else account_ids[one.sender]
        receiver = None if one.receiver is None else account_ids[one.receiver]
        if sender is not None:
            rows.append((sender, *place, Direction.OUT.value, one.kind.value, receiver, *what))
        if receiver is not None:
            rows.append((receiver, *place, Direction.IN.value, one.kind.value, sender, *what))
    # In the order of the primary key, so that neighbours land on one page; no two rows have equal keys.
    rows.sort(key=lambda row: row[:6])
    insert_rows(connection, moves, _COLUMNS, rows)


def _keeper_at(chain: ChainId, held: Sequence[tuple[int, AccountId]], height: Height) -> AccountId:
    return next((contract for since, contract in reversed(held) if since <= height), ledger_keeper(chain))


def keepers(connection: Connection) -> frozenset[AccountId]:
    """Return every account that keeps, or kept, the locks of a chain: value only passes through it."""
    reported = map(AccountId, connection.execute(_REPORTED).scalars())
    return frozenset(reported) | {ledger_keeper(ChainId(chain)) for chain in connection.execute(_FOLLOWED).scalars()}


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks, the newest of the chain, moved. Every account that an event names is looked at."""
    for first in range(0, len(hashes), CHUNK):
        part = hashes[first : first + CHUNK]
        height, time_s = connection.execute(_LOWEST, {"of_chain": chain, "hashes": part}).one()
        named = _touched_accounts(connection, chain, part)
        ids = sorted(known_numbers(connection, accounts, named).values())
        if ids:
            since = {"of_chain": chain, "lowest": height, "since_s": time_s}
            connection.execute(_FORGET, [{"of_account": one, **since} for one in ids])


def _touched_accounts(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> set[AccountId]:
    """Return every account whose moves may stand in these blocks, on whatever branch (at most `CHUNK` of them).

    Parties of a settled lock are taken from the event that made it, which stays when the lock itself is reverted.
    """
    found: set[AccountId] = set()
    any_lock = False
    for query in (_PARTIES, _PARTIES_OF_LOCKS):
        for sender, receiver, lock in connection.execute(query, {"of_chain": chain, "hashes": hashes}):
            found |= {AccountId(party) for party in (sender, receiver) if party is not None}
            any_lock = any_lock or lock is not None
    if any_lock:
        found |= {ledger_keeper(chain), *(contract for _, contract in holders(connection, chain))}
    return found


OTHER: Final = accounts.alias("other")
_SELECT: Final = (
    sa.select(moves, accounts.c.account, OTHER.c.account.label("other"), asset_numbers.c.asset)
    .join(accounts, accounts.c.account_id == moves.c.account_id)
    .outerjoin(OTHER, OTHER.c.account_id == moves.c.other_id)
    .join(asset_numbers, asset_numbers.c.asset_id == moves.c.asset_id)
)


def select_moves() -> sa.Select[Any]:
    """Return the query of all moves, for `move_of`; the caller adds conditions on `indexer.tables.moves`, order and
    limit."""
    return _SELECT


def move_of(row: Any) -> Move:
    """A typed move from a row of `select_moves`."""
    key = MoveKey(row.time_s, ChainId(row.chain), Height(row.height), row.event_index, Direction(row.direction))
    other = None if row.other is None else AccountId(row.other)
    asset, amount = AssetId(row.asset), BaseUnits(row.amount)
    return Move(key, AccountId(row.account), other, asset, amount, bytes(row.tx_hash), MoveKind(row.kind))


NOBODY: Final = -1
"""The number of no account: whoever asks for it asks the same of the database, and finds nothing."""


def account_number(connection: Connection, account: AccountId) -> int | None:
    """Return the number of an account, None if it never moved value."""
    return known_numbers(connection, accounts, (account,)).get(account)


def key_columns() -> tuple[sa.Column[Any], ...]:
    """Return the columns that moves are ordered by within an account."""
    return _KEY
