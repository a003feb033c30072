"""The facts for consumers: of all chains in one total order, from a cursor of their own.

`read_facts` is synchronous over a `Connection`, so that a consumer reads facts, stores what follows from them and
advances its cursor in one transaction. `FactSignal` wakes it after each commit; a signal carries no data, and a
consumer that misses one finds the facts when it looks next.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.model.facts import BlockHeader, Claimed, Locked, LoggedEvent
from core.model.types import BlockRef, ChainId, ChainTime, Hashlock, Height, LockId, LockTerms, PublicPreimage
from core.runtime.signals import Signal
from indexer import tables
from indexer.encoding import EVENT_COLUMNS, decode_event

MAX_FACTS: Final = 1_000
"""Facts a consumer may read in one go."""
MAX_NAMES: Final = 500
"""Locks, or blocks, that one statement names."""


class FactKind(StrEnum):
    """The three things that a follower says, in the words of `core.model.facts`."""

    APPLIED = "applied"
    REVERTED = "reverted"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact in the order of all chains, counted from 1 without gaps.

    `events` are those of the block, ordered by index, for a block applied and for one reverted (what is undone); a
    finalized block brings none. Finality includes every earlier block of the chain.
    """

    seq: int
    chain: ChainId
    kind: FactKind
    header: BlockHeader
    events: tuple[LoggedEvent, ...]


_HAS_EVENTS: Final = sa.exists().where(
    tables.events.c.chain == tables.facts.c.chain, tables.events.c.block_hash == tables.facts.c.block_hash
)
_FACTS: Final = (
    sa.select(tables.facts.c.seq, tables.facts.c.kind, tables.facts.c.chain, _HAS_EVENTS.label("has_events"))
    .add_columns(*(tables.blocks.c[name] for name in ("hash", "height", "parent_hash", "time_s")))
    .join(
        tables.blocks,
        sa.and_(tables.blocks.c.chain == tables.facts.c.chain, tables.blocks.c.hash == tables.facts.c.block_hash),
    )
    .where(tables.facts.c.seq > sa.bindparam("after"))
    .order_by(tables.facts.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_FACTS_OF_CHAINS: Final = _FACTS.where(tables.facts.c.chain.in_(sa.bindparam("chains", expanding=True)))
_LAST_SEQ: Final = sa.select(tables.fact_order.c.last_seq)
_PREIMAGE: Final = (
    sa.select(*(tables.events.c[name] for name in EVENT_COLUMNS))
    .where(tables.events.c.hashlock == sa.bindparam("of_hashlock"), tables.events.c.kind == "claimed")
    .limit(1)
)
_HASHLOCK: Final = (
    sa.select(tables.events.c.event_index).where(tables.events.c.hashlock == sa.bindparam("of_hashlock")).limit(1)
)
_CANONICAL: Final = sa.select(tables.blocks.c.canonical).where(
    tables.blocks.c.chain == sa.bindparam("of_chain"), tables.blocks.c.hash == sa.bindparam("of_hash")
)
_EVENTS_OF_BLOCKS: Final = (
    sa.select(*(tables.events.c[name] for name in ("block_hash", "height", "tx_hash", "event_index", *EVENT_COLUMNS)))
    .where(
        tables.events.c.chain == sa.bindparam("of_chain"),
        tables.events.c.block_hash.in_(sa.bindparam("hashes", expanding=True)),
    )
    .order_by(tables.events.c.block_hash, tables.events.c.event_index)
)
_LOCKS_AS_AGREED: Final = (
    sa.select(*(tables.events.c[name] for name in ("block_hash", "height", "tx_hash", "event_index", *EVENT_COLUMNS)))
    .where(
        tables.events.c.hashlock == sa.bindparam("of_hashlock"),
        tables.events.c.chain == sa.bindparam("of_chain"),
        tables.events.c.canonical,
        tables.events.c.kind == "locked",
        tables.events.c.asset == sa.bindparam("of_asset"),
        tables.events.c.sender == sa.bindparam("of_sender"),
        tables.events.c.receiver == sa.bindparam("of_receiver"),
        tables.events.c.amount == sa.bindparam("of_amount"),
    )
    .order_by(tables.events.c.height, tables.events.c.event_index)
)
_ENDS: Final = sa.select(*_LOCKS_AS_AGREED.selected_columns).where(
    tables.events.c.hashlock == sa.bindparam("of_hashlock"),
    tables.events.c.chain == sa.bindparam("of_chain"),
    tables.events.c.canonical,
    tables.events.c.kind.in_(("claimed", "refunded")),
    tables.events.c.lock_id.in_(sa.bindparam("lock_ids", expanding=True)),
)

_LOCKS_NAMED: Final = sa.select(*(tables.events.c[name] for name in EVENT_COLUMNS)).where(
    tables.events.c.chain == sa.bindparam("of_chain"),
    tables.events.c.lock_id.in_(sa.bindparam("lock_ids", expanding=True)),
    tables.events.c.kind == "locked",
)
_TIMES: Final = sa.select(tables.blocks.c.hash, tables.blocks.c.time_s).where(
    tables.blocks.c.chain == sa.bindparam("of_chain"),
    tables.blocks.c.hash.in_(sa.bindparam("hashes", expanding=True)),
)


def read_facts(
    connection: Connection, after_seq: int, limit: int, chains: Collection[ChainId] | None = None
) -> list[Fact]:
    """The next facts after `after_seq`, at most `limit` (1 … `MAX_FACTS`), of `chains` if they are named.

    Raise `RejectedError` for a limit out of bounds.
    """
    if not 1 <= limit <= MAX_FACTS:
        raise RejectedError(f"between 1 and {MAX_FACTS} facts can be read at once")
    asked: dict[str, Any] = {"after": after_seq, "most": limit}
    if chains is None:
        rows = connection.execute(_FACTS, asked).all()
    else:
        rows = connection.execute(_FACTS_OF_CHAINS, asked | {"chains": sorted(chains)}).all()
    wanted: dict[str, set[bytes]] = defaultdict(set)
    for row in rows:
        if row.has_events and row.kind != FactKind.FINALIZED:
            wanted[row.chain].add(bytes(row.hash))
    events = {chain: block_events(connection, ChainId(chain), hashes) for chain, hashes in wanted.items()}
    return [
        Fact(
            seq=row.seq,
            chain=ChainId(row.chain),
            kind=(kind := FactKind(row.kind)),
            header=header_of(row),
            events=() if kind is FactKind.FINALIZED else events.get(row.chain, {}).get(bytes(row.hash), ()),
        )
        for row in rows
    ]


def last_seq(connection: Connection) -> int:
    """The newest fact's number, 0 if there is none. A consumer that wants only the future starts here."""
    return connection.execute(_LAST_SEQ).scalar() or 0


def public_preimage(connection: Connection, hashlock: Hashlock) -> PublicPreimage | None:
    """The preimage, if any chain ever showed it, in an orphaned block too: what is public stays public."""
    row = connection.execute(_PREIMAGE, {"of_hashlock": hashlock}).first()
    if row is None:
        return None
    event = decode_event(row)
    return event.preimage if isinstance(event, Claimed) else None


def hashlock_seen(connection: Connection, hashlock: Hashlock) -> bool:
    """Return true if any chain ever showed this hashlock, in an orphaned block too."""
    return connection.execute(_HASHLOCK, {"of_hashlock": hashlock}).first() is not None


def history_of(connection: Connection, terms: LockTerms, limit: int) -> list[LoggedEvent]:
    """Return what the canonical chain shows of locks with exactly these terms, oldest first.

    The first `limit` such locks are looked at: only their sender can have made them. Locks of others under the same
    hashlock, however many, are left out.
    """
    under = {"of_hashlock": terms.hashlock, "of_chain": terms.chain}
    as_agreed = {
        "of_asset": terms.asset,
        "of_sender": terms.sender,
        "of_receiver": terms.receiver,
        "of_amount": terms.amount,
    }
    found: list[LoggedEvent] = []
    for row in connection.execute(_LOCKS_AS_AGREED, under | as_agreed):
        logged = _logged(terms.chain, row)
        if isinstance(logged.event, Locked) and logged.event.terms == terms:
            found.append(logged)
        if len(found) == limit:
            break
    names = sorted({logged.event.lock_id for logged in found if isinstance(logged.event, Locked)})
    found += [_logged(terms.chain, row) for row in connection.execute(_ENDS, under | {"lock_ids": names})]
    return sorted(found, key=lambda logged: (logged.block.height, logged.index))


def terms_of_locks(connection: Connection, chain: ChainId, locks: Iterable[LockId]) -> dict[LockId, LockTerms]:
    """Return the terms of these locks of a chain, those in orphaned blocks too; locks that no block shows are left
    out."""
    found: dict[LockId, LockTerms] = {}
    names = sorted(set(locks))
    for first in range(0, len(names), MAX_NAMES):
        asked = {"of_chain": chain, "lock_ids": names[first : first + MAX_NAMES]}
        for row in connection.execute(_LOCKS_NAMED, asked):
            event = decode_event(row)
            if isinstance(event, Locked):
                found[event.lock_id] = event.terms
    return found


def times_of(connection: Connection, chain: ChainId, hashes: Iterable[bytes]) -> dict[bytes, ChainTime]:
    """Return the times of these blocks (at most `MAX_NAMES`) of a chain."""
    rows = connection.execute(_TIMES, {"of_chain": chain, "hashes": sorted(set(hashes))})
    return {bytes(row.hash): ChainTime(chain, row.time_s) for row in rows}


def _logged(chain: ChainId, row: sa.Row[Any]) -> LoggedEvent:
    block = BlockRef(chain, Height(row.height), bytes(row.block_hash))
    return LoggedEvent(block, bytes(row.tx_hash), row.event_index, decode_event(row))


def is_canonical(connection: Connection, block: BlockRef) -> bool:
    """Return true if the block belongs to its chain as it is followed now."""
    return bool(connection.execute(_CANONICAL, {"of_chain": block.chain, "of_hash": block.hash}).scalar())


def header_of(row: sa.Row[tuple[object, ...]]) -> BlockHeader:
    """The header behind a row with the columns of `indexer_blocks`."""
    chain = ChainId(row.chain)
    return BlockHeader(
        BlockRef(chain, Height(row.height), bytes(row.hash)), bytes(row.parent_hash), ChainTime(chain, row.time_s)
    )


def block_events(
    connection: Connection, chain: ChainId, hashes: Collection[bytes]
) -> dict[bytes, tuple[LoggedEvent, ...]]:
    """The events of these blocks, on whatever branch; blocks without events are left out."""
    found: dict[bytes, list[LoggedEvent]] = defaultdict(list)
    for row in connection.execute(_EVENTS_OF_BLOCKS, {"of_chain": chain, "hashes": sorted(hashes)}):
        logged = _logged(chain, row)
        found[logged.block.hash].append(logged)
    return {block_hash: tuple(logged) for block_hash, logged in found.items()}


class FactSignal(Signal):
    """Wakes consumers in this process after each commit of facts: it counts up to the newest fact's number.

    A consumer of a database that other processes write to waits with a time limit, and looks by itself.
    """

    @property
    def seq(self) -> int:
        """The newest fact announced in this process; the database may hold newer ones of other processes."""
        return self.count

    def announce(self, seq: int) -> None:
        """Facts up to `seq` are committed: wake everybody who waits."""
        self.reach(seq)
