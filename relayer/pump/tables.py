"""The relayer's rows about its swaps, next to their state machines: who, which quote, which lock ids.

The state itself lives in the journal, under the swap's id. The row here is what lists, limits and lookups by hashlock
need. We fund a leg under a hashlock in one swap for ever; watched swaps may share it, since a hashlock is public as
soon as somebody locks. Plain functions over a `Connection`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError
from core.model.types import AccountId, ChainId, Hashlock, Height, SwapId, chain_of
from core.runtime.columns import Bytes32, Uint256
from core.runtime.database import METADATA
from htlc.decisions import next_wake
from htlc.model import Agreement, Leg, LegState, Phase, Role, SwapState

CHUNK: Final = 500
EVENTS_OF_NOTHING: Final = 2
"""The agreement, and what called it off: a swap with a lock, or with effects of ours, has more."""

relayer_swaps = sa.Table(
    "relayer_swaps",
    METADATA,
    sa.Column("swap_id", sa.Text, primary_key=True),
    sa.Column("hashlock", Bytes32, nullable=False, index=True),
    sa.Column("quote_id", sa.Text, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("initiator_chain", sa.Text, nullable=False),
    sa.Column("participant_chain", sa.Text, nullable=False),
    sa.Column("initiator_sender", sa.Text, nullable=False),
    sa.Column("initiator_receiver", sa.Text, nullable=False),
    sa.Column("lock_until_s", sa.BigInteger, nullable=False),
    sa.Column("own_asset", sa.Text),
    sa.Column("own_amount", Uint256),
    sa.Column("own_timelock", sa.BigInteger),
    sa.Column("own_funded", sa.Boolean, nullable=False),
    sa.Column("initiator_wake", sa.BigInteger),
    sa.Column("participant_wake", sa.BigInteger),
    sa.Column("initiator_unfinal", sa.BigInteger),
    sa.Column("participant_unfinal", sa.BigInteger),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("updated_ns", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("caller", sa.Text),
    sa.Column("hold_until_ns", sa.BigInteger),
    sa.Column("reserved_ns", sa.BigInteger),
    sa.Column("proven", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("verified", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("given_asset", sa.Text),
    sa.Column("given_amount", Uint256),
    sa.Column("initiator_payer", sa.Text),
    sa.Column("participant_payer", sa.Text),
    sa.Index(
        "uq_relayer_swaps_funded_hashlock",
        "hashlock",
        unique=True,
        sqlite_where=sa.text("own_asset IS NOT NULL"),
        postgresql_where=sa.text("own_asset IS NOT NULL"),
    ),
    sa.Index(None, "done", "created_ns"),
    sa.Index(None, "updated_ns", "swap_id"),
    sa.Index(None, "initiator_sender", "phase", "hold_until_ns"),
    sa.Index(None, "phase", "updated_ns"),
    sa.Index(None, "initiator_receiver"),
)
"""`lock_until_s`: when even a lock that was sent in time must be on chain. `own_*` describe the leg that we fund,
empty for a watchtower; `own_funded`: our lock has been seen on chain. `*_wake`: from which time of that leg's chain
on the swap has to get the time. `*_unfinal`: the lowest height of that chain whose finality it waits for. `caller`,
`hold_until_ns`, `reserved_ns`, `proven`, `verified` and `given_*`: see `relayer.inventory.Promise`; what older versions
wrote counts as proven and gives nothing. `*_payer`: our account that the swap needs on that leg's chain; see
`Agreement.own_accounts`."""

relayer_locks = sa.Table(
    "relayer_locks",
    METADATA,
    sa.Column("swap_id", sa.Text, primary_key=True),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("lock_id", sa.Text, nullable=False),
    sa.Index(None, "chain", "lock_id"),
)
"""The place of our own lock, written down before the lock is signed: one place a swap, and no two *open* swaps one
place. A chain may name a place again once its lock is settled (an EVM lane after 65,536 uses); who does so sooner lies,
or lags. A row goes if the swap ended without the lock ever having stood on chain."""

TABLES: Final = (relayer_swaps, relayer_locks)

_S: Final = relayer_swaps.c
_OF_SWAP: Final[sa.BindParameter[Any]] = sa.bindparam("of_swap")
_ON_CHAIN: Final[sa.BindParameter[Any]] = sa.bindparam("on_chain")
_ROW: Final = sa.select(
    _S.swap_id,
    _S.hashlock,
    _S.quote_id,
    _S.role,
    _S.phase,
    _S.initiator_chain,
    _S.participant_chain,
    _S.created_ns,
    _S.updated_ns,
    _S.version,
)
"""The columns that `_row` reads."""
_ROW_OF_SWAP: Final = _ROW.where(_S.swap_id == _OF_SWAP)
_ROW_OF_QUOTE: Final = _ROW.where(_S.quote_id == sa.bindparam("of_quote"))
_OPEN: Final = _ROW.where(~_S.done).order_by(_S.created_ns, _S.swap_id)
_MOST: Final[sa.BindParameter[int]] = sa.bindparam("most", type_=sa.Integer)
_NEWEST: Final = sa.select(_S.swap_id).order_by(_S.created_ns.desc(), _S.swap_id).limit(_MOST)
_CHANGED_NS: Final[sa.BindParameter[Any]] = sa.bindparam("changed_ns")
_CHANGED_BEHIND: Final = (
    _ROW.where(
        _S.updated_ns >= _CHANGED_NS,
        (_S.updated_ns > _CHANGED_NS) | ((_S.updated_ns == _CHANGED_NS) & (_S.swap_id > sa.bindparam("behind"))),
    )
    .order_by(_S.updated_ns, _S.swap_id)
    .limit(_MOST)
)
_IDS_FROM: Final = (
    sa.select(_S.swap_id)
    .where(_S.swap_id.startswith(sa.bindparam("prefix", type_=sa.Text), autoescape=False))
    .order_by(_S.swap_id)
    .limit(_MOST)
)
"""The caller's prefix is hexadecimal digits, so that nothing in it needs an escape."""
_OPEN_UNDER: Final = _OPEN.where(_S.hashlock.in_(sa.bindparam("hashlocks", expanding=True)))
_ABANDONED_UNDER: Final = _ROW.where(
    _S.hashlock.in_(sa.bindparam("hashlocks", expanding=True)),
    _S.done,
    _S.phase == Phase.ABANDONED,
    _S.role == Role.LIQUIDITY_PROVIDER,
).order_by(_S.created_ns, _S.swap_id)
_NEVER_LOCKED: Final = _OPEN.where(_S.phase == Phase.AGREED, _S.lock_until_s < sa.bindparam("now_s"))
_WAITING_FOR_TIME: Final = _OPEN.where(
    ((_S.initiator_chain == _ON_CHAIN) & (_S.initiator_wake <= sa.bindparam("head_s")))
    | ((_S.participant_chain == _ON_CHAIN) & (_S.participant_wake <= sa.bindparam("head_s")))
)
_WAITING_FOR_FINALITY: Final = _OPEN.where(
    ((_S.initiator_chain == _ON_CHAIN) & (_S.initiator_unfinal <= sa.bindparam("height")))
    | ((_S.participant_chain == _ON_CHAIN) & (_S.participant_unfinal <= sa.bindparam("height")))
)
_ANY_WAITS: Final = (
    sa.select(_S.swap_id)
    .where(
        ~_S.done,
        (
            (_S.initiator_chain == _ON_CHAIN)
            & ((_S.initiator_wake <= sa.bindparam("head_s")) | (_S.initiator_unfinal <= sa.bindparam("height")))
        )
        | (
            (_S.participant_chain == _ON_CHAIN)
            & ((_S.participant_wake <= sa.bindparam("head_s")) | (_S.participant_unfinal <= sa.bindparam("height")))
        ),
    )
    .limit(1)
)
_INSERT_SWAP: Final = sa.insert(relayer_swaps)
_NOW: Final = sa.bindparam("now_ns", type_=sa.BigInteger)
# As `Promise.is_firm` has it, of the row as it was.
_WAS_HELD: Final = (_S.phase != Phase.AGREED) | _S.hold_until_ns.is_(None) | (_S.hold_until_ns >= _NOW)
_WAS_FIRM: Final = _S.own_funded | _S.verified | (_S.proven & _WAS_HELD)
_NOTE_STATE: Final = (
    sa.update(relayer_swaps)
    .where(_S.swap_id == _OF_SWAP)
    # What reserved nothing until now comes behind all that did: a lock without a proof, or after its hold.
    .values(reserved_ns=sa.case((_WAS_FIRM, _S.reserved_ns), else_=_NOW))
)
_WITHOUT_PAYERS: Final = sa.select(_S.swap_id).where(
    ~_S.done, _S.role == Role.LIQUIDITY_PROVIDER, _S.initiator_payer.is_(None) | _S.participant_payer.is_(None)
)
_OF: Final[sa.BindParameter[Any]] = sa.bindparam("of_account")
_OF_ACCOUNT: Final = (
    sa.select(sa.func.count())
    .select_from(relayer_swaps)
    .where(~_S.done, (_S.initiator_payer == _OF) | (_S.participant_payer == _OF))
)
_NEAREST_TIMELOCK: Final = sa.select(sa.func.min(_S.own_timelock)).where(~_S.done)
_FUNDED: Final = sa.select(_S.swap_id).where(_S.hashlock == sa.bindparam("of_hashlock"), _S.own_asset.is_not(None))
_FREE_PLACE: Final = sa.delete(relayer_locks).where(relayer_locks.c.swap_id == _OF_SWAP)


@dataclass(frozen=True, slots=True)
class SwapRow:
    """A swap's row. Times are nanoseconds since the Unix epoch."""

    swap_id: SwapId
    hashlock: Hashlock
    quote_id: str
    role: Role
    phase: Phase
    initiator_chain: ChainId
    participant_chain: ChainId
    created_ns: int
    updated_ns: int
    version: int

    @property
    def done(self) -> bool:
        return self.phase.terminal

    @property
    def chains(self) -> tuple[ChainId, ChainId]:
        return self.initiator_chain, self.participant_chain

    def leg_on(self, chain: ChainId) -> Leg | None:
        """The leg that lives on this chain, None if the swap has no part in it."""
        return {self.initiator_chain: Leg.INITIATOR, self.participant_chain: Leg.PARTICIPANT}.get(chain)


def insert_swap(
    connection: Connection,
    agreement: Agreement,
    quote_id: str | None,
    now_ns: int,
    caller: str | None = None,
    hold_until_ns: int | None = None,
    proven: bool = True,
) -> None:
    """Raise `ConflictError` if the quote was used before, or the hashlock in a swap whose leg we fund."""
    own = agreement.own_leg
    terms = None if own is None else agreement.terms(own)
    connection.execute(
        _INSERT_SWAP,
        {
            "swap_id": agreement.swap_id,
            "hashlock": agreement.hashlock,
            "quote_id": quote_id,
            "role": agreement.role,
            "phase": Phase.AGREED,
            "done": False,
            "initiator_chain": agreement.initiator_leg.chain,
            "participant_chain": agreement.participant_leg.chain,
            "initiator_sender": agreement.initiator_leg.sender,
            "initiator_receiver": agreement.participant_leg.receiver,
            "lock_until_s": agreement.lock_deadline_s + agreement.initiator_timing.inclusion_s,
            "own_asset": terms and terms.asset,
            "own_amount": terms and terms.amount,
            "own_timelock": terms and terms.timelock.seconds,
            "own_funded": False,
            "initiator_wake": 0,
            "participant_wake": 0,
            "created_ns": now_ns,
            "updated_ns": now_ns,
            "version": 0,
            "caller": caller,
            "hold_until_ns": hold_until_ns,
            "reserved_ns": now_ns,
            "proven": proven,
            "verified": False,
            "given_asset": agreement.initiator_leg.asset,
            "given_amount": agreement.initiator_leg.amount,
            **_payers(agreement),
        },
    )


def _payers(agreement: Agreement) -> dict[str, AccountId | None]:
    ours = {chain_of(account): account for account in agreement.own_accounts}
    legs = {"initiator_payer": agreement.initiator_leg, "participant_payer": agreement.participant_leg}
    return {column: ours.get(terms.chain) for column, terms in legs.items()}


def without_payers(connection: Connection) -> list[SwapId]:
    """Return the provider's open swaps that an older version has stored without our accounts."""
    return [SwapId(row) for row in connection.execute(_WITHOUT_PAYERS).scalars()]


def note_payers(connection: Connection, agreement: Agreement) -> None:
    """Write our accounts of a swap into its row."""
    row = sa.update(relayer_swaps).where(_S.swap_id == agreement.swap_id)
    connection.execute(row.values(**_payers(agreement)))


def count_of_account(connection: Connection, account: AccountId) -> int:
    """Return how many open swaps need this account of ours."""
    return int(connection.execute(_OF_ACCOUNT, {"of_account": account}).scalar_one())


def note_state(connection: Connection, state: SwapState, now_ns: int) -> None:
    """Bring the row up to the state that was stored in the same transaction."""
    own = state.agreement.own_leg
    initiator_wake, participant_wake = next_wake(state)
    values = {
        "of_swap": state.swap_id,
        "phase": state.phase,
        "done": state.phase.terminal,
        "own_funded": own is not None and state.leg(own).lock is not None,
        "initiator_wake": initiator_wake,
        "participant_wake": participant_wake,
        "initiator_unfinal": _unfinal(state.initiator_leg),
        "participant_unfinal": _unfinal(state.participant_leg),
        "updated_ns": now_ns,
        "version": state.sequence,
        "verified": state.agreement.role is Role.LIQUIDITY_PROVIDER and state.verified is not None,
        "now_ns": now_ns,
    }
    connection.execute(_NOTE_STATE, values)
    if state.phase.terminal and own is not None and state.leg(own).lock is None:
        connection.execute(_FREE_PLACE, {"of_swap": state.swap_id})


def _unfinal(leg: LegState) -> int | None:
    waiting = [seen.block.height for seen in (leg.lock, leg.claim, leg.refund) if seen is not None and not seen.final]
    return min(waiting, default=None)


def swap_row(connection: Connection, swap_id: SwapId) -> SwapRow:
    """Raise `NotFoundError`."""
    row = connection.execute(_ROW_OF_SWAP, {"of_swap": swap_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"no swap {swap_id[:64]!r}")
    return _row(row)


def exists(connection: Connection, swap_id: SwapId) -> bool:
    return connection.execute(_ROW_OF_SWAP, {"of_swap": swap_id}).first() is not None


def swap_of_quote(connection: Connection, quote_id: str) -> SwapRow | None:
    row = connection.execute(_ROW_OF_QUOTE, {"of_quote": quote_id}).one_or_none()
    return None if row is None else _row(row)


def hashlock_funded(connection: Connection, hashlock: Hashlock) -> bool:
    """Return true if any swap in which we fund a leg, open or done, uses this hashlock."""
    return connection.execute(_FUNDED, {"of_hashlock": hashlock}).first() is not None


def open_ids(connection: Connection) -> list[SwapId]:
    """Swaps that are not done, the oldest first."""
    return [row.swap_id for row in _rows(connection, _OPEN)]


def newest_ids(connection: Connection, limit: int) -> list[SwapId]:
    """Swaps, done or not, the newest first."""
    return [row.swap_id for row in connection.execute(_NEWEST, {"most": limit})]


def ids_from(connection: Connection, prefix: str, limit: int) -> list[SwapId]:
    """Swaps whose ids begin with `prefix`."""
    return [row.swap_id for row in connection.execute(_IDS_FROM, {"prefix": prefix, "most": limit})]


def never_locked(connection: Connection, now_s: int) -> list[SwapRow]:
    """Open swaps that are only agreed, though the time to lock is over."""
    return _rows(connection, _NEVER_LOCKED, now_s=now_s)


def nearest_timelock_s(connection: Connection) -> int | None:
    """The earliest timelock of our own open legs, in seconds of their chains."""
    return connection.execute(_NEAREST_TIMELOCK).scalar()


def waiting_for_time(connection: Connection, chain: ChainId, head_s: int) -> list[SwapRow]:
    """Open swaps that wait for `chain` to reach this time."""
    return _rows(connection, _WAITING_FOR_TIME, on_chain=chain, head_s=head_s)


def waiting_for_finality(connection: Connection, chain: ChainId, height: Height) -> list[SwapRow]:
    """Open swaps of which something becomes final by this height of `chain` being final."""
    return _rows(connection, _WAITING_FOR_FINALITY, on_chain=chain, height=height)


def any_waits(connection: Connection, chain: ChainId, head_s: int, height: Height) -> bool:
    """Return true if `waiting_for_time` or `waiting_for_finality` would find a swap."""
    asked = {"on_chain": chain, "head_s": head_s, "height": height}
    return connection.execute(_ANY_WAITS, asked).first() is not None


def _rows(connection: Connection, statement: sa.Select[Any], **asked: object) -> list[SwapRow]:
    return [_row(row) for row in connection.execute(statement, asked)]


def open_under(connection: Connection, hashlocks: Collection[Hashlock]) -> list[SwapRow]:
    """The open swaps under these hashlocks."""
    return _under(connection, _OPEN_UNDER, hashlocks)


def abandoned_under(connection: Connection, hashlocks: Collection[Hashlock]) -> list[SwapRow]:
    """A provider's swaps under these hashlocks that came to nothing."""
    return _under(connection, _ABANDONED_UNDER, hashlocks)


def _under(connection: Connection, query: sa.Select[Any], hashlocks: Collection[Hashlock]) -> list[SwapRow]:
    ordered, found = sorted(hashlocks), list[SwapRow]()
    for first in range(0, len(ordered), CHUNK):
        found += _rows(connection, query, hashlocks=ordered[first : first + CHUNK])
    return found


@dataclass(frozen=True, slots=True)
class WatchCounts:
    """Open watches: all of them, those without a lock, and one caller's."""

    open: int
    unseen: int
    of_caller: int


def watch_counts(connection: Connection, caller: str | None) -> WatchCounts:
    """How many watches are open."""
    table = relayer_swaps
    unseen = sa.case((table.c.phase == Phase.AGREED, 1), else_=0)
    theirs = sa.case((table.c.caller == caller, 1), else_=0) if caller is not None else sa.literal(0)
    row = connection.execute(
        sa.select(
            sa.func.count(), sa.func.coalesce(sa.func.sum(unseen), 0), sa.func.coalesce(sa.func.sum(theirs), 0)
        ).where(~table.c.done, table.c.role == Role.WATCHTOWER)
    ).one()
    return WatchCounts(int(row[0]), int(row[1]), int(row[2]))


def forget(connection: Connection, swap_id: SwapId) -> None:
    """Delete a swap's rows. Only for a swap under which nothing was ever locked."""
    for table in (relayer_swaps, relayer_locks):
        connection.execute(sa.delete(table).where(table.c.swap_id == swap_id))


def came_to_nothing(connection: Connection, before_ns: int, limit: int) -> list[SwapRow]:
    """Swaps of callers that ended before then without any lock: agreed, and called off by the next event."""
    table = relayer_swaps
    query = _ROW.where(
        table.c.done,
        table.c.phase == Phase.ABANDONED,
        table.c.role.in_((Role.LIQUIDITY_PROVIDER, Role.WATCHTOWER)),
        table.c.version <= EVENTS_OF_NOTHING,
        table.c.updated_ns < before_ns,
    )
    return [_row(row) for row in connection.execute(query.order_by(table.c.updated_ns).limit(limit))]


def counts_by_phase(connection: Connection) -> dict[Phase, int]:
    """How many swaps are open in each phase."""
    table = relayer_swaps
    query = sa.select(table.c.phase, sa.func.count()).where(~table.c.done).group_by(table.c.phase)
    return {Phase(phase): count for phase, count in connection.execute(query)}


def changed_behind(connection: Connection, position: tuple[int, str], limit: int) -> list[SwapRow]:
    """Swaps by the time of their last change, in nanoseconds, and their id; those behind a position."""
    changed_ns, swap_id = position
    asked = {"changed_ns": changed_ns, "behind": swap_id, "most": limit}
    return [_row(row) for row in connection.execute(_CHANGED_BEHIND, asked)]


def list_rows(
    connection: Connection,
    limit: int,
    *,
    ids: Sequence[SwapId] = (),
    done: bool | None = None,
    phase: Phase | None = None,
    hashlock: Hashlock | None = None,
    account: AccountId | None = None,
    changed_since_ns: int | None = None,
    before: SwapId | None = None,
) -> Sequence[SwapRow]:
    """Newest first; `before` continues behind a swap. Raise `NotFoundError` for an unknown `before`."""
    table = relayer_swaps
    query = _ROW.order_by(table.c.created_ns.desc(), table.c.swap_id.desc()).limit(limit)
    if ids:
        query = query.where(table.c.swap_id.in_(ids))
    if done is not None:
        query = query.where(table.c.done == done)
    if phase is not None:
        query = query.where(table.c.phase == phase)
    if hashlock is not None:
        query = query.where(table.c.hashlock == hashlock)
    if account is not None:
        query = query.where((table.c.initiator_sender == account) | (table.c.initiator_receiver == account))
    if changed_since_ns is not None:
        query = query.where(table.c.updated_ns >= changed_since_ns)
    if before is not None:
        last = swap_row(connection, before)
        query = query.where(
            (table.c.created_ns < last.created_ns)
            | ((table.c.created_ns == last.created_ns) & (table.c.swap_id < last.swap_id))
        )
    return [_row(row) for row in connection.execute(query)]


def _row(row: Any) -> SwapRow:
    return SwapRow(
        swap_id=SwapId(row.swap_id),
        hashlock=Hashlock(row.hashlock),
        quote_id=row.quote_id or "",
        role=Role(row.role),
        phase=Phase(row.phase),
        initiator_chain=ChainId(row.initiator_chain),
        participant_chain=ChainId(row.participant_chain),
        created_ns=row.created_ns,
        updated_ns=row.updated_ns,
        version=row.version,
    )
