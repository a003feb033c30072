"""The durable side of transactions: sequences, signed bytes and outcomes. Plain functions over a `Connection`.

A sequence is allotted in the very transaction that stores the bytes signed with it: there are no gaps from a crash
between the two, and nothing is broadcast before it is stored. Accounts are fenced: whoever opened an account last is
the only one who can store signed bytes for it. What an open transaction may still take from its account is reserved
in the same database transaction, so that nothing is ever signed that the purse cannot carry.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from core.model.errors import ConflictError
from core.model.transactions import FeeBid, LeftOut, SignedTransaction
from core.model.types import AccountId, AssetId, BlockRef, ChainId, Height
from core.runtime import leases
from core.runtime.columns import Uint256
from core.runtime.database import METADATA
from relayer.transactions.accounts import relayer_accounts, relayer_foreign_uses

MAX_REASON_CHARS: Final = 500
MAX_ATTEMPTS: Final = 64
"""Signed forms of one transaction that are kept. With fees rising 12.5 % each time the ceiling comes first; beyond it
the newest form is broadcast again, and forms that have expired for good make room."""
ROOM_TO_CANCEL: Final = 32
"""Forms beyond `MAX_ATTEMPTS` that only cancellations may take."""


class TransactionStatus(StrEnum):
    """`BROADCAST`: signed bytes are stored and may be anywhere. `INCLUDED` may be reorged, `FINAL` not; both may have
    reverted. `REFUSED`: no endpoint wants it; its sequence may be handed on. `EXPIRED`: its last form's expiry height
    is final and its sequence unused, so it can never be mined; its sequence may be handed on. `SUPERSEDED`: another
    transaction has its sequence, for good if that matters: it can never be mined, or only without harm (an exit)."""

    BROADCAST = "broadcast"
    INCLUDED = "included"
    FINAL = "final"
    REFUSED = "refused"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


OPEN: Final = (TransactionStatus.BROADCAST, TransactionStatus.INCLUDED, TransactionStatus.REFUSED)
"""Statuses that may still change: any bytes ever signed stay possible."""
GIVEN_UP: Final = (TransactionStatus.REFUSED, TransactionStatus.EXPIRED)
"""Statuses whose sequence another transaction may take."""
SETTLED: Final = (TransactionStatus.FINAL, TransactionStatus.SUPERSEDED)
"""Statuses whose sequence is used for good, unless a finalized block is replaced."""
UNDER_WAY: Final = (TransactionStatus.BROADCAST, TransactionStatus.INCLUDED, TransactionStatus.FINAL)
"""Statuses of what a block holds, or may hold one day."""


class SequenceTakenError(ConflictError):
    """The sequence or an effect key was taken by another transaction meanwhile: look, and sign again."""

    code = "sequence-taken"


@dataclass(frozen=True, slots=True)
class SignedForm:
    """One signed form of an effect. `expiry_height` binds only on chains that know one. `cancels`: it does nothing but
    use up the sequence, so that the effect can never be mined. `without`: the items of a batch, by their numbers, that
    are not in this form."""

    hash: bytes
    raw: bytes = field(repr=False)
    fee: FeeBid | None
    expiry_height: Height | None
    signed_ns: int
    cancels: bool = False
    without: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Item:
    """One effect of a transaction. `left_out`: why it did nothing, if the rest of a batch went through. `deadline_ns`:
    Unix time by which it must be included."""

    effect_key: str
    left_out: str | None = None
    deadline_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """A transaction under all its hashes, oldest first. `block` and `tx_hash` are of the included one.

    It is one effect's, `effect_key`; or a batch, which has a key of its own, and its effects in `items`. `exits`: it is
    a claim or a refund, or clears the way for one: never cancelled, and broadcast again until it is in a block.
    `deadline_ns`: the nearest of the effects that its newest form is for.
    """

    id: int
    effect_key: str
    chain: ChainId
    account: AccountId
    sequence: int
    status: TransactionStatus
    summary: str
    body: bytes | None = field(repr=False)
    deadline_ns: int | None
    created_ns: int
    tx_hash: bytes | None
    block: BlockRef | None
    reverted: bool
    reason: str | None
    attempts: tuple[SignedForm, ...]
    items: tuple[Item, ...] = ()
    exits: bool = False

    @property
    def effects(self) -> tuple[Item, ...]:
        """The effects that this transaction is for."""
        return self.items or (Item(self.effect_key, deadline_ns=self.deadline_ns),)

    @property
    def carried(self) -> tuple[tuple[int, Item], ...]:
        """The effects that the newest form is for, each with its number."""
        return tuple((number, item) for number, item in enumerate(self.effects) if number not in self.newest.without)

    @property
    def newest(self) -> SignedForm:
        return self.attempts[-1]

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def under_way(self) -> bool:
        """A block holds it, or may hold it one day, and it did not fail there."""
        return self.status in UNDER_WAY and not self.reverted

    @property
    def cancelling(self) -> bool:
        """Its newest form uses up the sequence without effect; an older form may still come first."""
        return self.newest.cancels

    @property
    def cancelled(self) -> bool:
        """The form that is in a block is a cancellation."""
        return self.tx_hash is not None and any(one.cancels and one.hash == self.tx_hash for one in self.attempts)

    @property
    def included(self) -> bool:
        """The effect itself, not its cancellation, is in a block."""
        return self.status in (TransactionStatus.INCLUDED, TransactionStatus.FINAL) and not self.cancelled

    @property
    def bid(self) -> FeeBid | None:
        """The highest bid of any form, by field; None on chains without fees."""
        bids = [one.fee for one in self.attempts if one.fee is not None]
        return FeeBid(max(one.max_fee for one in bids), max(one.priority_fee for one in bids)) if bids else None

    def signed(self, attempt: SignedForm) -> SignedTransaction:
        return SignedTransaction(self.chain, self.account, self.sequence, attempt.hash, attempt.raw)


# As the index has it, so that a database sees that it may use that.
_IS_UNREPORTED: Final = (
    "told IS NOT NULL AND told <> CASE WHEN reverted THEN status || '-reverted' ELSE status END"  # prose: ok
)
relayer_transactions = sa.Table(
    "relayer_transactions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("effect_key", sa.Text, nullable=False, unique=True),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Column("deadline_ns", sa.BigInteger),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("tx_hash", sa.LargeBinary),
    sa.Column("block_height", sa.BigInteger),
    sa.Column("block_hash", sa.LargeBinary),
    sa.Column("reverted", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("told", sa.Text),  # prose: ok, a column's name
    sa.Column("exits", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index(None, "chain", "account", "sequence"),
    sa.Index(None, "status"),
    sa.Index(
        "ix_relayer_transactions_unreported",
        "id",
        sqlite_where=sa.text(_IS_UNREPORTED),
        postgresql_where=sa.text(_IS_UNREPORTED),
    ),
)
"""`told` (prose: ok): the status last reported to the effect's swap, as `progress` names it; empty if nobody follows
it."""
relayer_transaction_attempts = sa.Table(
    "relayer_transaction_attempts",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("transaction_id", sa.ForeignKey(relayer_transactions.c.id), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("max_fee", Uint256),
    sa.Column("priority_fee", Uint256),
    sa.Column("expiry_height", sa.BigInteger),
    sa.Column("signed_ns", sa.BigInteger, nullable=False),
    sa.Column("cancels", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("without", sa.Text, nullable=False, server_default=""),
)
"""`without`: numbers of a batch's items, in order, with commas between them."""
relayer_reservations = sa.Table(
    "relayer_reservations",
    METADATA,
    sa.Column("transaction_id", sa.ForeignKey(relayer_transactions.c.id), primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("amount", Uint256, nullable=False),
)
"""The most that any form of a transaction may take of each asset."""

relayer_batch_items = sa.Table(
    "relayer_batch_items",
    METADATA,
    sa.Column("effect_key", sa.Text, primary_key=True),
    sa.Column("transaction_id", sa.ForeignKey(relayer_transactions.c.id), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("left_out", sa.Text),
    sa.Column("deadline_ns", sa.BigInteger),
)
"""The effects of a batch, in its order. An effect has one transaction in its life, alone or in a batch."""

TABLES: Final = (
    *leases.TABLES,
    relayer_accounts,
    relayer_foreign_uses,
    relayer_transactions,
    relayer_transaction_attempts,
    relayer_batch_items,
    relayer_reservations,
)
WITHDRAWAL_PREFIX: Final = "withdrawal/"
"""Begins the key of a transaction that takes money out for the operator. Such transactions are kept for ever."""
BATCH_PREFIX: Final = "batch/"
"""Begins the key of a transaction that is several effects'; the rest is the first one's key."""

_T: Final = relayer_transactions.c
_OF_TRANSACTION: Final[sa.BindParameter[Any]] = sa.bindparam("of_transaction")
_KEYS: Final[sa.BindParameter[Any]] = sa.bindparam("effect_keys", expanding=True)
_IN_ORDER: Final = sa.select(relayer_transactions).order_by(_T.sequence, _T.id)
_OF_ACCOUNT: Final = _IN_ORDER.where(_T.chain == sa.bindparam("of_chain"), _T.account == sa.bindparam("of_account"))
_OPEN_OF_ACCOUNT: Final = _OF_ACCOUNT.where(_T.status.in_(OPEN))
_WITH_SEQUENCE: Final = _OF_ACCOUNT.where(_T.sequence == sa.bindparam("at_sequence"))
_BY_IDS: Final = _IN_ORDER.where(_T.id.in_(sa.bindparam("ids", expanding=True)))
_BY_EFFECTS: Final = _IN_ORDER.where(
    _T.effect_key.in_(_KEYS)
    | _T.id.in_(sa.select(relayer_batch_items.c.transaction_id).where(relayer_batch_items.c.effect_key.in_(_KEYS)))
)
_ATTEMPTS: Final = (
    sa.select(relayer_transaction_attempts)
    .where(relayer_transaction_attempts.c.transaction_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(relayer_transaction_attempts.c.transaction_id, relayer_transaction_attempts.c.number)
)
_ITEMS_OF: Final = (
    sa.select(relayer_batch_items)
    .where(relayer_batch_items.c.transaction_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(relayer_batch_items.c.number)
)
_FIRST_BIDS: Final = (
    sa.select(relayer_transaction_attempts.c.max_fee, relayer_transaction_attempts.c.priority_fee)
    .join(relayer_transactions, _T.id == relayer_transaction_attempts.c.transaction_id)
    .where(
        _T.chain == sa.bindparam("of_chain"),
        _T.account == sa.bindparam("of_account"),
        relayer_transaction_attempts.c.number == 1,
        relayer_transaction_attempts.c.max_fee.is_not(None),
        relayer_transaction_attempts.c.signed_ns >= sa.bindparam("since_ns"),
    )
    .order_by(relayer_transaction_attempts.c.signed_ns.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_LEAVING: Final = (
    sa.select(_T.effect_key, _T.created_ns, _T.account, relayer_reservations.c.asset, relayer_reservations.c.amount)
    .join(relayer_reservations, relayer_reservations.c.transaction_id == _T.id)
    .where(
        _T.status.in_((TransactionStatus.BROADCAST, TransactionStatus.REFUSED)),
        _T.effect_key.startswith(WITHDRAWAL_PREFIX, autoescape=True),
    )
    .order_by(_T.created_ns, _T.id)
)
INSERT_TRANSACTION: Final = sa.insert(relayer_transactions).returning(relayer_transactions.c.id)
_INSERT_ATTEMPT: Final = sa.insert(relayer_transaction_attempts)
_STORE_STATUS: Final = sa.update(relayer_transactions).where(_T.id == _OF_TRANSACTION, _T.status.in_(OPEN))
_NOTE_REPORTED: Final = sa.update(relayer_transactions).where(_T.id == _OF_TRANSACTION)
_ITEMS: Final = sa.select(relayer_batch_items).where(relayer_batch_items.c.transaction_id == _OF_TRANSACTION)
_UNREPORTED: Final = sa.select(_T.id).where(sa.text(_IS_UNREPORTED)).limit(sa.bindparam("most", type_=sa.Integer))


def first_bids(connection: Connection, chain: ChainId, account: AccountId, since_ns: int, most: int) -> list[FeeBid]:
    """Return the newest bids that this account's transactions began with, at most `most`, the oldest first."""
    asked = {"of_chain": chain, "of_account": account, "since_ns": since_ns, "most": most}
    rows = connection.execute(_FIRST_BIDS, asked).all()
    return [FeeBid(row.max_fee, row.priority_fee) for row in reversed(rows)]


# --- transactions ------------------------------------------------------------------------------------------------


def insert_attempt(
    connection: Connection, transaction_id: int, chain: ChainId, number: int, attempt: SignedForm
) -> None:
    connection.execute(
        _INSERT_ATTEMPT,
        {
            "chain": chain,
            "hash": attempt.hash,
            "transaction_id": transaction_id,
            "number": number,
            "raw": attempt.raw,
            "max_fee": attempt.fee and attempt.fee.max_fee,
            "priority_fee": attempt.fee and attempt.fee.priority_fee,
            "expiry_height": attempt.expiry_height,
            "signed_ns": attempt.signed_ns,
            "cancels": attempt.cancels,
            "without": ",".join(map(str, sorted(attempt.without))),
        },
    )


def store_status(
    connection: Connection,
    transaction_id: int,
    status: TransactionStatus,
    *,
    tx_hash: bytes | None = None,
    block: BlockRef | None = None,
    reverted: bool = False,
    reason: str | None = None,
    left_out: Sequence[LeftOut] = (),
) -> None:
    """Note where the transaction stands, and what a batch in a block left out. `FINAL` and `SUPERSEDED` stay."""
    values = {
        "of_transaction": transaction_id,
        "status": status,
        "tx_hash": tx_hash,
        "block_height": block and block.height,
        "block_hash": block and block.hash,
        "reverted": reverted,
        "reason": reason and reason[:MAX_REASON_CHARS],
    }
    changed = connection.execute(_STORE_STATUS, values).rowcount
    if changed and block is not None:
        _note_left_out(connection, transaction_id, {item.index: item.reason for item in left_out})


def _note_left_out(connection: Connection, transaction_id: int, reasons: dict[int, str]) -> None:
    """Report again to the swaps, if another block left out other items than the last."""
    table = relayer_batch_items
    items = connection.execute(_ITEMS, {"of_transaction": transaction_id})
    changed = [row for row in items if row.left_out != _short(reasons.get(row.number))]
    for row in changed:
        said = {"left_out": _short(reasons.get(row.number))}
        connection.execute(sa.update(table).where(table.c.effect_key == row.effect_key).values(said))
    if changed:
        noted = sa.update(relayer_transactions).where(relayer_transactions.c.id == transaction_id)
        connection.execute(noted.where(relayer_transactions.c.told.is_not(None)).values(told=""))


def _short(reason: str | None) -> str | None:
    return None if reason is None else reason[:MAX_REASON_CHARS]


def by_effect(connection: Connection, effect_key: str) -> TransactionRecord | None:
    """The transaction of an effect, alone or in a batch; None if none was signed."""
    return by_effects(connection, (effect_key,))


def by_effects(connection: Connection, effect_keys: Sequence[str]) -> TransactionRecord | None:
    """The first transaction that is for any of these effects, None if none was signed."""
    found = _records(connection, _BY_EFFECTS, effect_keys=list(effect_keys))
    return found[0] if found else None


def by_each_effect(connection: Connection, effect_keys: Sequence[str]) -> dict[str, TransactionRecord]:
    """Return the transaction of each of these effects that has one."""
    asked, found = set(effect_keys), _records(connection, _BY_EFFECTS, effect_keys=list(effect_keys))
    return {item.effect_key: record for record in found for item in record.effects if item.effect_key in asked}


def of_effect_prefix(connection: Connection, prefix: str) -> list[TransactionRecord]:
    """All transactions of effects whose keys begin with `prefix`, oldest first."""
    alone = _T.effect_key.startswith(prefix, autoescape=True)
    in_batch = sa.select(relayer_batch_items.c.transaction_id).where(
        relayer_batch_items.c.effect_key.startswith(prefix, autoescape=True)
    )
    return _records(connection, _IN_ORDER.where(alone | _T.id.in_(in_batch)))


def newest(
    connection: Connection, limit: int, chain: ChainId | None = None, since_ns: int = 0, without: Iterable[str] = ()
) -> list[TransactionRecord]:
    """Return the transactions that were signed last, the newest first, at most `limit`: of one chain, since some time,
    and `without` those whose keys begin so."""
    asked = sa.select(relayer_transactions).order_by(_T.id.desc()).limit(limit)
    if chain is not None:
        asked = asked.where(_T.chain == chain)
    if since_ns:
        asked = asked.where(_T.created_ns > since_ns)
    for prefix in without:
        asked = asked.where(~_T.effect_key.startswith(prefix, autoescape=True))
    return _records(connection, asked)


def progress(record: TransactionRecord) -> str:
    """Status and revert in one word, such as `included-reverted`."""
    return f"{record.status}-reverted" if record.reverted else str(record.status)


def unreported(connection: Connection, limit: int) -> list[TransactionRecord]:
    """Watched transactions whose progress was not reported yet, at most `limit`."""
    found = [row.id for row in connection.execute(_UNREPORTED, {"most": limit})]
    return _records(connection, _BY_IDS, ids=found) if found else []


def note_reported(connection: Connection, record: TransactionRecord) -> None:
    """Note, in the transaction that notifies the swap, what was reported."""
    connection.execute(_NOTE_REPORTED, {"of_transaction": record.id, "told": progress(record)})  # prose: ok, a column


def prune(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget older settled transactions that notify nobody (votes, allowances, answers); return how many."""
    table, attempts = relayer_transactions, relayer_transaction_attempts
    query = sa.select(table.c.id).where(
        table.c.told.is_(None),
        table.c.status.not_in(OPEN),
        table.c.created_ns < before_ns,
        ~table.c.effect_key.startswith(WITHDRAWAL_PREFIX, autoescape=True),
    )
    found = [row.id for row in connection.execute(query.limit(limit))]
    if found:
        for owned in (attempts, relayer_reservations, relayer_batch_items):
            connection.execute(sa.delete(owned).where(owned.c.transaction_id.in_(found)))
        connection.execute(sa.delete(table).where(table.c.id.in_(found)))
    return len(found)


def leaving(connection: Connection) -> list[tuple[str, int, AccountId, AssetId, int]]:
    """Return what withdrawals may still take: key, when it was signed (Unix nanoseconds), account, asset and base units
    of each.

    One that a block has is not among them: balances are less by it.
    """
    return [
        (row.effect_key, row.created_ns, AccountId(row.account), AssetId(row.asset), int(row.amount))
        for row in connection.execute(_LEAVING)
    ]


def reserved_by(connection: Connection, transaction_ids: Sequence[int], asset: AssetId) -> int:
    """Return how much of an asset these transactions may take at most, in base units."""
    table = relayer_reservations
    query = sa.select(table.c.amount).where(table.c.transaction_id.in_(transaction_ids), table.c.asset == asset)
    return sum(int(amount) for amount in connection.execute(query).scalars())


def reserved_since(
    connection: Connection, account: AccountId, prefix: str, asset: AssetId, since_ns: int, but_for: str = ""
) -> int:
    """Return the most that transactions of an account whose effects' keys begin with `prefix`, and that were first
    signed since then, may take or have taken of an asset, in base units. Those that were cancelled count, too; the
    one for the effect `but_for` does not."""
    query = (
        sa.select(relayer_reservations.c.amount)
        .join(relayer_transactions, _T.id == relayer_reservations.c.transaction_id)
        .where(
            _T.account == account,
            _T.created_ns >= since_ns,
            _T.effect_key.startswith(prefix, autoescape=True),
            _T.effect_key != but_for,
            relayer_reservations.c.asset == asset,
        )
    )
    return sum(int(amount) for amount in connection.execute(query).scalars())


def open_transactions(connection: Connection, chain: ChainId, account: AccountId) -> list[TransactionRecord]:
    """Transactions that may still change, in the order of sequences."""
    return _records(connection, _OPEN_OF_ACCOUNT, of_chain=chain, of_account=account)


def with_sequence(connection: Connection, chain: ChainId, account: AccountId, sequence: int) -> list[TransactionRecord]:
    """Everything that was ever signed under this sequence."""
    return _records(connection, _WITH_SEQUENCE, of_chain=chain, of_account=account, at_sequence=sequence)


def _records(connection: Connection, statement: sa.Select[Any], **asked: object) -> list[TransactionRecord]:
    rows = connection.execute(statement, asked).all()
    if not rows:
        return []
    items = _items(connection, [row.id for row in rows if row.effect_key.startswith(BATCH_PREFIX)])
    attempts: dict[int, list[SignedForm]] = {row.id: [] for row in rows}
    for row in connection.execute(_ATTEMPTS, {"ids": list(attempts)}):
        fee = None if row.max_fee is None else FeeBid(row.max_fee, row.priority_fee)
        attempts[row.transaction_id].append(
            SignedForm(row.hash, row.raw, fee, row.expiry_height, row.signed_ns, row.cancels, _numbers(row.without))
        )
    return [_record(row, tuple(attempts[row.id]), tuple(items.get(row.id, ()))) for row in rows]


def _items(connection: Connection, batches: Sequence[int]) -> dict[int, list[Item]]:
    """The effects of each batch, in order."""
    found: dict[int, list[Item]] = {}
    if batches:
        for row in connection.execute(_ITEMS_OF, {"ids": batches}):
            found.setdefault(row.transaction_id, []).append(Item(row.effect_key, row.left_out, row.deadline_ns))
    return found


def _numbers(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split(","))) if text else frozenset()


def soonest_ns(items: Iterable[Item]) -> int | None:
    """Return the nearest deadline of these effects; None if none has one."""
    return min((item.deadline_ns for item in items if item.deadline_ns is not None), default=None)


def _record(row: Row[Any], attempts: tuple[SignedForm, ...], items: tuple[Item, ...]) -> TransactionRecord:
    carried = (item for number, item in enumerate(items) if number not in attempts[-1].without)
    soonest = soonest_ns(carried)
    block = None
    if row.block_hash is not None:
        block = BlockRef(ChainId(row.chain), Height(row.block_height), row.block_hash)
    return TransactionRecord(
        id=row.id,
        effect_key=row.effect_key,
        chain=ChainId(row.chain),
        account=AccountId(row.account),
        sequence=row.sequence,
        status=TransactionStatus(row.status),
        summary=row.summary,
        body=row.body,
        deadline_ns=row.deadline_ns if soonest is None else soonest,
        created_ns=row.created_ns,
        tx_hash=row.tx_hash,
        block=block,
        reverted=row.reverted,
        reason=row.reason,
        attempts=attempts,
        items=items,
        exits=row.exits,
    )
