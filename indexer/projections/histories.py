"""Histories of many accounts at once, and which of their moves belong to joined swaps: what rules are run over."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import LockStatus
from core.model.types import AccountId, AssetId, ChainId, Height, SwapId
from core.runtime.lists import is_one_of, list_values, room_for
from indexer.feed import FactKind
from indexer.moves import Direction, MoveKey, MoveKind
from indexer.projections.agreements import (
    INITIATOR,
    PARTICIPANT,
    ReportedAgreement,
    agreement_of,
)
from indexer.projections.locks import LockRow, matching_legs, matching_lock
from indexer.projections.numbers import known_numbers, names_of
from indexer.tables import (
    accounts,
    agreement_legs,
    agreements,
    asset_numbers,
    blocks,
    chains,
    events,
    facts,
    locks,
    moves,
)

T = TypeVar("T")

FEW: Final = 8
CHUNK: Final = 400
"""Values in one statement: few, or at most as many as this."""


class StoredMove(NamedTuple):
    """A move with numbers for its accounts and its asset. `other` None: an issue or a burn."""

    account: int
    time_s: int
    chain: str
    height: int
    event_index: int
    direction: int
    other: int | None
    asset: int
    amount: int


class Crossing(NamedTuple):
    """A move that a lock made. `swap` and `role` are of the joined swap that the lock is a leg of, None without one.
    `far` is the same party's account on the other chain, `via` the counterparty's on this one."""

    refund: bool
    swap: SwapId | None = None
    role: str | None = None
    far: AccountId | None = None
    via: AccountId | None = None


MovePlace = tuple[str, int, int]
"""Chain, height and event index of a move."""

_COVERED: Final[sa.ColumnElement[int]] = sa.literal_column(str(MoveKind.COVERED.value))
_STORED: Final = sa.select(
    *(
        moves.c[name]
        for name in (
            "account_id",
            "time_s",
            "chain",
            "height",
            "event_index",
            "direction",
            "other_id",
            "asset_id",
            "amount",
        )
    )
).where(moves.c.kind != _COVERED)
_MOVES: Final = _STORED.where(
    moves.c.account_id.in_(sa.bindparam("ids", expanding=True)),
    moves.c.time_s.between(sa.bindparam("since"), sa.bindparam("until")),
)
_COUNTS: Final = _MOVES.with_only_columns(moves.c.account_id, sa.func.count()).group_by(moves.c.account_id)
_BEFORE: Final = moves.alias("before")
_LAST_S: Final = (
    sa.select(_BEFORE.c.time_s)
    .where(
        _BEFORE.c.account_id == accounts.c.account_id,
        _BEFORE.c.time_s < sa.bindparam("before"),
        _BEFORE.c.kind != MoveKind.COVERED.value,
    )
    .order_by(
        _BEFORE.c.time_s.desc(),
        _BEFORE.c.chain.desc(),
        _BEFORE.c.height.desc(),
        _BEFORE.c.event_index.desc(),
        _BEFORE.c.direction.desc(),
    )
    .limit(1)
    .correlate(accounts)
    .scalar_subquery()
)
_LAST: Final = _STORED.join(accounts, accounts.c.account_id == moves.c.account_id).where(
    accounts.c.account_id.in_(sa.bindparam("ids", expanding=True)), moves.c.time_s == _LAST_S
)
_ASSETS: Final = sa.select(asset_numbers.c.asset_id, asset_numbers.c.asset)
_FACTS: Final = (
    sa.select(*(facts.c[name] for name in ("seq", "kind", "chain", "height", "block_hash")), blocks.c.time_s)
    .join(blocks, (blocks.c.chain == facts.c.chain) & (blocks.c.hash == facts.c.block_hash))
    .where(facts.c.seq > sa.bindparam("after"))
    .order_by(facts.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_HERE: Final = (
    events.c.chain == sa.bindparam("of_chain"),
    events.c.block_hash.in_(sa.bindparam("hashes", expanding=True)),
)
_NAMED: Final = sa.select(events.c.block_hash, events.c.sender, events.c.receiver).where(*_HERE).distinct()
_MADE: Final = events.alias("made")
# The event that made a lock stays when the lock itself is reverted.
_NAMED_BY_LOCKS: Final = (
    sa.select(events.c.block_hash, _MADE.c.sender, _MADE.c.receiver)
    .join(_MADE, (_MADE.c.hashlock == events.c.hashlock) & (_MADE.c.lock_id == events.c.lock_id))
    .where(*_HERE, events.c.kind.in_(("claimed", "refunded")), events.c.hashlock.is_not(None))
    .where(_MADE.c.chain == sa.bindparam("of_chain"), _MADE.c.kind == "locked", _MADE.c.hashlock.is_not(None))
    .distinct()
)
_REPORTED_SINCE: Final = (
    sa.select(agreements.c.reported_ns, agreements.c.swap_id)
    .where(agreements.c.reported_ns > sa.bindparam("after"))
    .order_by(agreements.c.reported_ns, agreements.c.swap_id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_LAST_REPORT: Final = sa.select(sa.func.max(agreements.c.reported_ns))
_LATE: Final = sa.select(chains.c.chain).where(chains.c.start_height > 1)
_FIRST_TIME: Final = (
    sa.select(blocks.c.time_s)
    .where(blocks.c.chain == sa.bindparam("of_chain"), blocks.c.canonical)
    .order_by(blocks.c.height)
    .limit(1)
)
_LOCK: Final = sa.select(
    *(locks.c[name] for name in ("lock_height", "lock_index", "settle_height", "settle_index", "hashlock", "status"))
)
_LOCKED_AT: Final = _LOCK.where(
    locks.c.chain == sa.bindparam("of_chain"), locks.c.lock_height.in_(sa.bindparam("heights", expanding=True))
)
_SETTLED_AT: Final = _LOCK.where(
    locks.c.chain == sa.bindparam("of_chain"), locks.c.settle_height.in_(sa.bindparam("heights", expanding=True))
)
# Of both tables, since PostgreSQL does not follow a list from one to the other.
HASHLOCKS: Final[sa.BindParameter[Any]] = sa.bindparam("hashlocks", expanding=True)
_FAR: Final = agreement_legs.alias("far")
# Both legs of each agreement under these hashlocks of which a lock has exactly the terms: `matching_locks`, with the
# parties alone.
LEGS: Final = (
    matching_legs(
        agreements.c.swap_id,
        agreement_legs.c.role,
        locks.c.chain,
        locks.c.lock_height,
        locks.c.lock_index,
        agreement_legs.c.sender,
        agreement_legs.c.receiver,
        _FAR.c.sender.label("far_sender"),
        _FAR.c.receiver.label("far_receiver"),
    )
    .join(_FAR, (_FAR.c.swap_id == agreement_legs.c.swap_id) & (_FAR.c.role != agreement_legs.c.role))
    .where(agreements.c.hashlock.in_(HASHLOCKS), locks.c.hashlock.in_(HASHLOCKS))
)


def stored_moves(
    connection: Connection, account_ids: Collection[int], since_s: int, until_s: int
) -> Iterator[StoredMove]:
    """Return the moves of these accounts in a span of time, both ends included, in no order."""
    chains: dict[bytes, str] = {}
    for part in _chunks(sorted(account_ids)):
        room = room_for(connection.dialect, len(part), FEW, CHUNK)
        asked = (*list_values(part, room), since_s, until_s)
        rows = connection.exec_driver_sql(_moves_sql(connection.dialect, room), asked)
        for account, time_s, raw, height, index, direction, other, asset, amount in rows.fetchall():
            chain = chains.get(raw)
            if chain is None:
                chain = chains[raw] = bytes(raw).decode("ascii")
            value = int.from_bytes(amount, "big")
            yield StoredMove(account, time_s, chain, height, index, direction, other, asset, value)


@lru_cache(maxsize=16)
def _moves_sql(dialect: sa.Dialect, room: int) -> str:
    """`_STORED` of some accounts, for the driver: SQLAlchemy takes longer to hand on a row than the database to find
    it."""
    since, until = (sa.bindparam(name, type_=sa.BigInteger) for name in ("since", "until"))
    query = _STORED.where(is_one_of(moves.c.account_id, room), moves.c.time_s.between(since, until))
    return str(query.compile(dialect=dialect))


def count_moves(connection: Connection, account_ids: Collection[int], since_s: int, until_s: int) -> dict[int, int]:
    """Return how many moves `stored_moves` would return of each account, for those that have any."""
    found: dict[int, int] = {}
    for part in _chunks(sorted(account_ids)):
        rows = connection.execute(_COUNTS, {"ids": part, "since": since_s, "until": until_s})
        found.update((number, count) for number, count in rows)
    return found


def last_moves(connection: Connection, account_ids: Collection[int], before_s: int) -> Iterator[StoredMove]:
    """Return each account's moves of its last second with any before `before_s`."""
    for part in _chunks(sorted(account_ids)):
        for row in connection.execute(_LAST, {"ids": part, "before": before_s}):
            yield StoredMove(*row)


@dataclass(frozen=True, slots=True)
class Changed:
    """One block that came, or is gone (`reverted`): the accounts that its events name, on whatever branch it is."""

    seq: int
    reverted: bool
    lowest: MoveKey
    accounts: frozenset[AccountId]


def read_changes(connection: Connection, after_seq: int, limit: int) -> tuple[int, list[Changed]]:
    """Return how far the log of facts was read, at most `limit` facts, and the blocks with events among them, in order.

    An account may be named whose history did not change; none that changed is left out but the keepers of locks.
    """
    rows = connection.execute(_FACTS, {"after": after_seq, "most": limit}).all()
    wanted: dict[str, set[bytes]] = defaultdict(set)
    for row in rows:
        if row.kind != FactKind.FINALIZED:
            wanted[row.chain].add(bytes(row.block_hash))
    parties = {chain: _parties(connection, ChainId(chain), sorted(hashes)) for chain, hashes in wanted.items()}
    found = []
    for row in rows:
        named = parties.get(row.chain, {}).get(bytes(row.block_hash))
        if named and row.kind != FactKind.FINALIZED:
            lowest = MoveKey(row.time_s, ChainId(row.chain), Height(row.height), 0, Direction.OUT)
            found.append(Changed(row.seq, row.kind == FactKind.REVERTED, lowest, frozenset(named)))
    return (rows[-1].seq if rows else after_seq), found


def _parties(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> dict[bytes, set[AccountId]]:
    """Return the accounts that the events of each block name; blocks without any are left out."""
    found: dict[bytes, set[AccountId]] = defaultdict(set)
    for part in _chunks(hashes):
        for statement in (_NAMED, _NAMED_BY_LOCKS):
            for block_hash, sender, receiver in connection.execute(statement, {"of_chain": chain, "hashes": part}):
                found[bytes(block_hash)] |= {AccountId(party) for party in (sender, receiver) if party is not None}
    return found


def account_numbers(connection: Connection, names: Collection[AccountId]) -> dict[str, int]:
    """Return the numbers of those accounts that ever moved value."""
    return known_numbers(connection, accounts, names)


def account_names(connection: Connection, account_ids: Collection[int]) -> dict[int, AccountId]:
    """Return the accounts behind these numbers, which never mean another one."""
    found = names_of(connection, accounts, account_ids)
    return {number: AccountId(name) for number, name in found.items()}


def asset_names(connection: Connection) -> dict[int, AssetId]:
    """Return every asset that ever moved, by its number."""
    return {number: AssetId(name) for number, name in connection.execute(_ASSETS)}


def all_accounts(connection: Connection, after: int, limit: int) -> list[tuple[int, AccountId]]:
    """Return accounts with their numbers, in the order of these, at most `limit`, behind the number `after`."""
    query = sa.select(accounts).where(accounts.c.account_id > after).order_by(accounts.c.account_id).limit(limit)
    return [(row.account_id, AccountId(row.account)) for row in connection.execute(query)]


def complete_since(connection: Connection) -> int:
    """Return the time from which on every followed chain is indexed, 0 if each is from its beginning."""
    late = [chain for (chain,) in connection.execute(_LATE)]
    first = (connection.execute(_FIRST_TIME, {"of_chain": chain}).scalar() for chain in late)
    return max((time_s for time_s in first if time_s is not None), default=0)


class _Lock(NamedTuple):
    """A lock's place, its hashlock, and if it was refunded."""

    place: MovePlace
    hashlock: bytes
    refunded: bool


class _Leg(NamedTuple):
    """A joined leg: its swap, if it is the initiator's, its own parties and those of the other leg."""

    swap_id: str
    first: bool
    sender: str
    receiver: str
    far_sender: str
    far_receiver: str


def crossings(
    connection: Connection, out: Collection[MovePlace], back: Collection[MovePlace]
) -> dict[MovePlace, Crossing]:
    """Return what the moves into locks (`out`), and those out of locks (`back`), at these places belong to."""
    made = _locks_at(connection, _LOCKED_AT, out, 0)
    ended = _locks_at(connection, _SETTLED_AT, back, 2)
    legs = _joined(connection, {lock.hashlock for lock in (*made.values(), *ended.values())})
    crossed = {place: _crossing(lock, True, legs) for place, lock in made.items()}
    return crossed | {place: _crossing(lock, False, legs) for place, lock in ended.items()}


def _locks_at(
    connection: Connection, statement: sa.Select[Any], places: Collection[MovePlace], at: int
) -> dict[MovePlace, _Lock]:
    """Return the locks whose height and index, from the column `at` on, are those of these places."""
    by_chain: dict[str, set[int]] = defaultdict(set)
    for chain, height, _ in places:
        by_chain[chain].add(height)
    found = {}
    for chain, heights in by_chain.items():
        for part in _chunks(sorted(heights)):
            for row in connection.execute(statement, {"of_chain": chain, "heights": part}):
                place = (chain, row[at], row[at + 1])
                if place in places:
                    height, index, _, _, hashlock, status = row
                    found[place] = _Lock((chain, height, index), hashlock, status == LockStatus.REFUNDED.value)
    return found


def _joined(connection: Connection, hashlocks: Collection[bytes]) -> dict[MovePlace, _Leg]:
    """Return the legs of agreements under these hashlocks, by the places of their locks."""
    found: dict[MovePlace, _Leg] = {}
    for part in _chunks(sorted(hashlocks)):
        met = set[tuple[str, str]]()
        for swap_id, role, chain, height, index, *parties in connection.execute(LEGS, {"hashlocks": part}):
            # Of several locks with exactly the agreed terms the first is the leg; of several agreements on one lock,
            # the first.
            if (swap_id, role) not in met:
                met.add((swap_id, role))
                found.setdefault((chain, height, index), _Leg(swap_id, role == INITIATOR, *parties))
    return found


def _crossing(lock: _Lock, out: bool, legs: Mapping[MovePlace, _Leg]) -> Crossing:
    refund = not out and lock.refunded
    leg = None if refund else legs.get(lock.place)
    if leg is None:
        return Crossing(refund)
    # Whoever locks the initiator's leg gets the participant's, and the other way round.
    role = INITIATOR if leg.first == out else PARTICIPANT
    far, via = (leg.far_receiver, leg.receiver) if out else (leg.far_sender, leg.sender)
    return Crossing(False, SwapId(leg.swap_id), role, AccountId(far), AccountId(via))


def last_report(connection: Connection) -> int:
    """Return the moment at which the newest agreement was reported, 0 if there is none."""
    return int(connection.execute(_LAST_REPORT).scalar() or 0)


def agreements_since(connection: Connection, after_ns: int, limit: int) -> list[tuple[int, ReportedAgreement]]:
    """Return agreements that were reported after a moment, the first of them first, with that moment."""
    found = []
    for reported_ns, swap_id in connection.execute(_REPORTED_SINCE, {"after": after_ns, "most": limit}).all():
        agreement = agreement_of(connection, SwapId(swap_id))
        if agreement is not None:
            found.append((int(reported_ns), agreement))
    return found


def legs_of(connection: Connection, agreement: ReportedAgreement) -> list[LockRow]:
    """Return the locks that are the legs of an agreement."""
    legs = (matching_lock(connection, terms) for terms in (agreement.initiator, agreement.participant))
    return [leg for leg in legs if leg is not None]


def chain_heights(connection: Connection) -> dict[ChainId, Height]:
    """Return the newest height of each chain that the histories contain."""
    query = sa.select(blocks.c.chain, sa.func.max(blocks.c.height)).where(blocks.c.canonical).group_by(blocks.c.chain)
    return {ChainId(chain): Height(height) for chain, height in connection.execute(query)}


def _chunks(values: Sequence[T]) -> Iterator[list[T]]:
    for first in range(0, len(values), CHUNK):
        yield list(values[first : first + CHUNK])
