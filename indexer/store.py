"""Facts, cursor and projections in one transaction. Synchronous functions over a `Connection`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, require
from core.model.facts import Block, BlockApplied, BlockFinalized, BlockHeader, BlockReverted, FollowerFact
from core.model.types import BlockRef, ChainId, Height
from core.runtime.inserts import insert_if_absent
from indexer import tables
from indexer.chain_view import Advance, ChainView
from indexer.encoding import EVENT_COLUMNS, event_values
from indexer.feed import FactKind, header_of
from indexer.listening import notify
from indexer.projections.keeping import count_set_aside, keep
from indexer.writing import insert_rows

CHUNK: Final = 500
"""Values bound in one `IN (…)`."""
_BLOCK_COLUMNS: Final = ("chain", "hash", "height", "parent_hash", "time_s", "canonical")
_EVENT_COLUMNS: Final = (
    "chain",
    "block_hash",
    "event_index",
    "height",
    "time_s",
    "tx_hash",
    "canonical",
    *EVENT_COLUMNS,
)
_FACT_COLUMNS: Final = ("seq", "chain", "kind", "height", "block_hash")

_OF_CHAIN: Final[sa.BindParameter[Any]] = sa.bindparam("of_chain")
_HASHES: Final[sa.BindParameter[Any]] = sa.bindparam("hashes", expanding=True)
_MARK_BLOCKS: Final = sa.update(tables.blocks).where(
    tables.blocks.c.chain == _OF_CHAIN, tables.blocks.c.hash.in_(_HASHES)
)
_MARK_EVENTS: Final = sa.update(tables.events).where(
    tables.events.c.chain == _OF_CHAIN, tables.events.c.block_hash.in_(_HASHES)
)
_KNOWN: Final = sa.select(tables.blocks.c.hash).where(
    tables.blocks.c.chain == _OF_CHAIN, tables.blocks.c.hash.in_(_HASHES)
)
_OBSERVE: Final = sa.update(tables.chains).where(tables.chains.c.chain == _OF_CHAIN)
_TAKE_NUMBERS: Final = (
    sa.update(tables.fact_order)
    .where(tables.fact_order.c.id == 1)
    .values(last_seq=tables.fact_order.c.last_seq + sa.bindparam("count"))
    .returning(tables.fact_order.c.last_seq)
)
_CURSOR: Final = sa.select(
    tables.cursors.c.tip_hash,
    tables.cursors.c.highest,
    sa.select(sa.func.count())
    .select_from(tables.set_aside)
    .where(tables.set_aside.c.chain == tables.cursors.c.chain)
    .scalar_subquery()
    .label("set_aside"),
).where(tables.cursors.c.chain == _OF_CHAIN)
_MOVE_CURSOR: Final = sa.update(tables.cursors).where(tables.cursors.c.chain == _OF_CHAIN)
_PLACE: Final = sa.select(tables.cursors).where(tables.cursors.c.chain == _OF_CHAIN)
_START: Final = sa.select(tables.chains.c.start_height).where(tables.chains.c.chain == _OF_CHAIN)
_CANONICAL: Final = (
    sa.select(tables.blocks)
    .where(tables.blocks.c.chain == _OF_CHAIN, tables.CANONICAL_BLOCK, tables.blocks.c.height >= sa.bindparam("first"))
    .order_by(tables.blocks.c.height)
)
_CANONICAL_UP_TO: Final = _CANONICAL.where(tables.blocks.c.height <= sa.bindparam("last"))
_CHAIN: Final = sa.select(tables.chains).where(tables.chains.c.chain == _OF_CHAIN)
_OPEN_ALARMS: Final = sa.select(sa.func.count()).where(
    tables.deep_reorgs.c.chain == _OF_CHAIN, tables.deep_reorgs.c.acknowledged_ns.is_(None)
)


@dataclass(frozen=True, slots=True)
class Observation:
    """The follower's view of its endpoint when it made a step: its state, the head, and when (`Clock.now_ns`)."""

    state: str
    detail: str
    head: BlockHeader | None
    at_ns: int


def register_chain(connection: Connection, chain: ChainId, genesis_hash: bytes, start: Height) -> None:
    """Pin the chain in this database, or check that it is the one that was pinned.

    Raise `FatalError` for another chain under the same id, and for a start before the first indexed block.
    """
    insert_if_absent(
        connection,
        tables.chains,
        chain=chain,
        genesis_hash=genesis_hash,
        start_height=start,
        state="starting",
        detail="",
    )
    insert_if_absent(connection, tables.cursors, chain=chain)
    row = connection.execute(_CHAIN, {"of_chain": chain}).one()
    if bytes(row.genesis_hash) != genesis_hash:
        raise FatalError(
            f"this database follows another {chain}: it began with block {bytes(row.genesis_hash).hex()}, "
            f"the endpoint's chain with {genesis_hash.hex()}; give it a new database, or point to the old chain",
            chain=chain,
        )
    if start < row.start_height:
        raise FatalError(
            f"this database holds {chain} from block {row.start_height} on; to begin at {start}, use a new database",
            chain=chain,
        )


def start_height(connection: Connection, chain: ChainId) -> Height | None:
    """Return the first height of this chain in the database, None before it was ever followed."""
    found = connection.execute(_START, {"of_chain": chain}).scalar()
    return None if found is None else Height(found)


def load_view(connection: Connection, chain: ChainId) -> ChainView:
    """The view as the last commit left it. Raise `FatalError` when the chain is not registered or is damaged."""
    cursor = connection.execute(_PLACE, {"of_chain": chain}).first()
    start = start_height(connection, chain)
    if cursor is None or start is None:
        raise FatalError(f"{chain} is not registered in this database", chain=chain)
    if cursor.tip_height is None:
        return ChainView(chain, Height(start))
    first = start if cursor.finalized_height is None else cursor.finalized_height
    window = canonical_headers(connection, chain, Height(first))
    require(
        bool(window) and window[-1].ref.hash == bytes(cursor.tip_hash),
        f"the cursor of {chain} is not at its newest block: restore the database from a backup",
    )
    return ChainView(chain, Height(start), window, None if cursor.finalized_height is None else window[0].ref)


def canonical_headers(
    connection: Connection, chain: ChainId, first: Height, last: Height | None = None
) -> tuple[BlockHeader, ...]:
    """Our headers first..last (to the tip by default), in order."""
    asked = {"of_chain": chain, "first": first}
    if last is None:
        return tuple(header_of(row) for row in connection.execute(_CANONICAL, asked))
    return tuple(header_of(row) for row in connection.execute(_CANONICAL_UP_TO, asked | {"last": last}))


def observe(connection: Connection, chain: ChainId, seen: Observation) -> None:
    """Note what the follower saw; a head stays as it was if none was seen."""
    values: dict[str, Any] = {"of_chain": chain, "state": seen.state, "detail": seen.detail}
    if seen.head is not None:
        values |= {
            "head_height": seen.head.height,
            "head_time_s": seen.head.time.seconds,
            "observed_ns": seen.at_ns,
        }
    connection.execute(_OBSERVE, values)


@dataclass(frozen=True, slots=True)
class Committed:
    """The newest fact's number, 0 for none, and how many of the chain's facts some projection cannot digest."""

    seq: int = 0
    set_aside: int = 0


def commit(
    connection: Connection, before: ChainView, step: Advance, seen: Observation, projected: bool = True
) -> Committed:
    """Store one step: headers, events, facts, projections (if `projected`) and the cursor.

    Raise `ConflictError` when the stored cursor is not where `before` ends: somebody else follows this chain too.
    """
    chain = before.chain
    observe(connection, chain, seen)
    if not step.facts:
        return Committed(0, count_set_aside(connection, chain))
    last = _hold_order(connection, len(step.facts))
    highest, set_aside = _check_cursor(connection, before)
    applied, reverted = step.applied, step.reverted
    _mark(connection, chain, [ref.hash for ref in reverted], canonical=False)
    _store_blocks(connection, chain, applied, highest)
    if projected and (reverted or any(block.events for block in applied)):
        keep(connection, chain, reverted, applied)
        set_aside = count_set_aside(connection, chain)
    first_seq = last - len(step.facts) + 1
    rows = [_fact_row(first_seq + i, fact) for i, fact in enumerate(step.facts)]
    insert_rows(connection, tables.facts, _FACT_COLUMNS, rows)
    if step.deep:
        require(before.finalized is not None, "only a finalized block can be reverted deeply")
        _note_deep_reorg(connection, before, first_seq, min(ref.height for ref in reverted) - 1, seen.at_ns)
    _move_cursor(connection, step.view, highest)
    notify(connection, last)
    return Committed(last, set_aside)


def _hold_order(connection: Connection, count: int) -> int:
    """Take the next `count` numbers; other writers of facts wait until this transaction ends. Return the last one."""
    last = connection.execute(_TAKE_NUMBERS, {"count": count}).scalar()
    require(last is not None, "the indexer's tables were not prepared: call prepare first")
    return int(last or 0)


def prepare(connection: Connection) -> None:
    """Fill in the one row that orders facts; the schema must exist (`core.runtime.database.create_schema`)."""
    insert_if_absent(connection, tables.fact_order, id=1, last_seq=0)


def _check_cursor(connection: Connection, before: ChainView) -> tuple[int, int]:
    """The greatest height ever applied, -1 for none, and how many facts are set aside."""
    row = connection.execute(_CURSOR, {"of_chain": before.chain}).one()
    stored = None if row.tip_hash is None else bytes(row.tip_hash)
    expected = None if before.tip is None else before.tip.ref.hash
    if stored != expected:
        raise ConflictError(f"another process follows {before.chain} into this database too", chain=before.chain)
    return -1 if row.highest is None else int(row.highest), int(row.set_aside)


def _move_cursor(connection: Connection, view: ChainView, highest: int) -> None:
    tip, final = view.tip, view.finalized
    connection.execute(
        _MOVE_CURSOR,
        {
            "of_chain": view.chain,
            "tip_height": tip.height if tip else None,
            "tip_hash": tip.ref.hash if tip else None,
            "finalized_height": final.height if final else None,
            "finalized_hash": final.hash if final else None,
            "highest": max(highest, tip.height if tip else -1),
        },
    )


def _mark(connection: Connection, chain: ChainId, hashes: Sequence[bytes], canonical: bool) -> None:
    for part in _chunks(hashes):
        marked = {"of_chain": chain, "hashes": part, "canonical": canonical}
        connection.execute(_MARK_BLOCKS, marked)
        connection.execute(_MARK_EVENTS, marked)


def _store_blocks(connection: Connection, chain: ChainId, applied: Sequence[Block], highest: int) -> None:
    """Insert headers and events; blocks of a branch that came back are there already and are only marked."""
    suspects = [block.header.ref.hash for block in applied if block.header.height <= highest]
    known: set[bytes] = set()
    for part in _chunks(suspects):
        known.update(bytes(row.hash) for row in connection.execute(_KNOWN, {"of_chain": chain, "hashes": part}))
    _mark(connection, chain, [found for found in suspects if found in known], canonical=True)
    new = [block for block in applied if block.header.ref.hash not in known]
    insert_rows(connection, tables.blocks, _BLOCK_COLUMNS, [_block_row(block.header) for block in new])
    insert_rows(connection, tables.events, _EVENT_COLUMNS, [row for block in new for row in _event_rows(block)])


def _block_row(header: BlockHeader) -> tuple[Any, ...]:
    return (header.chain, header.ref.hash, header.height, header.parent_hash, header.time.seconds, True)


def _event_rows(block: Block) -> Iterable[tuple[Any, ...]]:
    header = block.header
    chain, block_hash, height, time_s = header.chain, header.ref.hash, header.height, header.time.seconds
    for logged in block.events:
        yield (chain, block_hash, logged.index, height, time_s, logged.tx_hash, True, *event_values(logged.event))


def _fact_row(seq: int, fact: FollowerFact) -> tuple[Any, ...]:
    match fact:
        case BlockApplied(block):
            kind, ref = FactKind.APPLIED, block.header.ref
        case BlockReverted(ref):
            kind = FactKind.REVERTED
        case BlockFinalized(ref):
            kind = FactKind.FINALIZED
    return (seq, ref.chain, kind.value, ref.height, ref.hash)


def _note_deep_reorg(connection: Connection, before: ChainView, seq: int, fork: int, now_ns: int) -> None:
    connection.execute(
        sa.insert(tables.deep_reorgs).values(
            chain=before.chain,
            seq=seq,
            fork_height=fork,
            finalized_height=before.finalized.height if before.finalized else fork,
            noticed_ns=now_ns,
        )
    )


def open_alarms(connection: Connection, chain: ChainId) -> int:
    """Reorgs below finality that no operator has acknowledged yet."""
    return connection.execute(_OPEN_ALARMS, {"of_chain": chain}).scalar_one()


def acknowledge_alarms(connection: Connection, chain: ChainId, now_ns: int) -> int:
    """The operator has seen what happened below finality and lets this chain be relayed again. Return how many."""
    deep = tables.deep_reorgs
    done = sa.update(deep).where(deep.c.chain == chain, deep.c.acknowledged_ns.is_(None)).values(acknowledged_ns=now_ns)
    return connection.execute(done).rowcount


def _chunks(values: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    for first in range(0, len(values), CHUNK):
        yield values[first : first + CHUNK]


@dataclass(frozen=True, slots=True)
class ChainRow:
    """One chain as the database knows it. Heights are None before anything was seen, times are Unix seconds.

    `alarms`: reorgs below finality that nobody has acknowledged. `set_aside`: facts that some projection cannot digest.
    """

    chain: ChainId
    genesis_hash: bytes
    start: Height
    state: str
    detail: str
    head_height: Height | None
    head_time_s: int | None
    observed_ns: int | None
    tip: BlockHeader | None
    finalized: BlockHeader | None
    alarms: int
    set_aside: int


def chain_rows(connection: Connection) -> list[ChainRow]:
    """All chains, by id."""
    joined = sa.select(tables.chains, tables.cursors).join(
        tables.cursors, tables.cursors.c.chain == tables.chains.c.chain
    )
    found = []
    for row in connection.execute(joined.order_by(tables.chains.c.chain)).mappings():
        chain = ChainId(row[tables.chains.c.chain])
        found.append(
            ChainRow(
                chain=chain,
                genesis_hash=bytes(row["genesis_hash"]),
                start=Height(row["start_height"]),
                state=row["state"],
                detail=row["detail"],
                head_height=row["head_height"],
                head_time_s=row["head_time_s"],
                observed_ns=row["observed_ns"],
                tip=_header(connection, chain, row["tip_hash"]),
                finalized=_header(connection, chain, row["finalized_hash"]),
                alarms=open_alarms(connection, chain),
                set_aside=count_set_aside(connection, chain),
            )
        )
    return found


def _header(connection: Connection, chain: ChainId, block_hash: bytes | None) -> BlockHeader | None:
    if block_hash is None:
        return None
    blocks = tables.blocks
    row = connection.execute(sa.select(blocks).where(blocks.c.chain == chain, blocks.c.hash == block_hash)).one()
    return header_of(row)


def block_ref(connection: Connection, chain: ChainId, height: Height) -> BlockRef | None:
    """Our block at this height."""
    found = canonical_headers(connection, chain, height, height)
    return found[0].ref if found else None
