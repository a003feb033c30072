"""Orders to sign, and what has to hold when their bytes are stored: the fence, the gates, the purse.

Everything is decided in the database transaction that stores the bytes, so that what is signed is paid for, whatever
else is signed at the same time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, UnaffordableError, refuse
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, ChainId, Height
from relayer.transactions import accounts, records
from relayer.transactions.records import SequenceTakenError, SignedForm, TransactionRecord, TransactionStatus

Gate = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Order:
    """Something to be signed for the first time.

    `deadline_ns`: Unix time by which it must be included. `items`: the effects of a batch, and `deadlines_ns` theirs,
    in the same order, if each has its own. `watched`: its progress is reported to its swap. `exits`: see
    `TransactionRecord`. `guarded`: it funds or reveals, so it waits while a foreign use of the account is not
    acknowledged. `gate` is asked once more inside the database transaction that stores the first signature, and
    raises a `RejectedError` if the act must not happen any more. `keep`: what has to be left in the purse, by asset.
    `sequence`: the one that it must take, None for the next free one.
    """

    effect_key: str
    unsigned: UnsignedTransaction
    deadline_ns: int | None = None
    watched: bool = False
    items: Sequence[str] = ()
    deadlines_ns: Sequence[int] = ()
    exits: bool = False
    guarded: bool = False
    gate: Gate | None = None
    keep: Mapping[AssetId, int] = field(default_factory=dict)
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Purse:
    """The balances of the account at `height`, by asset, in base units."""

    height: Height
    held: Mapping[AssetId, int]


_HELD: Final = records.relayer_reservations.c
_SENT: Final = records.relayer_transactions.c
_RESERVED: Final = (
    sa.select(_SENT.sequence, _SENT.status, _SENT.block_height, _HELD.asset, _HELD.amount)
    .join(records.relayer_reservations, _HELD.transaction_id == _SENT.id)
    .where(
        _SENT.chain == sa.bindparam("of_chain"),
        _SENT.account == sa.bindparam("of_account"),
        _SENT.status.in_(records.OPEN),
    )
)
_AROUND: Final[sa.BindParameter[Any]] = sa.bindparam("around")
_RESERVED_BEFORE_EXITS: Final = _RESERVED.where(_SENT.sequence < _AROUND, _SENT.exits)
_RESERVED_AROUND: Final = _RESERVED.where((_SENT.sequence < _AROUND) | ((_SENT.sequence > _AROUND) & _SENT.exits))
_OF_TRANSACTION: Final = sa.select(records.relayer_reservations).where(_HELD.transaction_id == sa.bindparam("of_id"))
_INSERT_RESERVATION: Final = sa.insert(records.relayer_reservations)


def store_first(
    connection: Connection,
    epoch: int,
    order: Order,
    sequence: int,
    attempt: SignedForm,
    cost: Mapping[AssetId, int],
    purse: Purse | None,
) -> TransactionRecord:
    """Allot the sequence, reserve `cost` and store the signed bytes, before their first broadcast.

    A body that reveals is stored in its signed bytes only. Raise `SequenceTakenError` if the sequence
    or an effect key is taken meanwhile, `UnaffordableError` if the purse does not cover it (None: nobody could say),
    `FencedError` when fenced off, `RetryableError` for a guarded order while a foreign use waits for the operator, and
    what the order's gate raises.
    """
    chain, account = order.unsigned.chain, order.unsigned.sender
    row = accounts.fence(connection, chain, account, epoch)
    if (known := records.by_effects(connection, (order.effect_key, *order.items))) is not None:
        raise SequenceTakenError(f"{known.effect_key} has a transaction already", effect_key=known.effect_key)
    unused = (*records.GIVEN_UP, *records.SETTLED) if order.sequence is not None else records.GIVEN_UP
    if not _is_free(connection, chain, account, sequence, row.next_sequence, unused):
        raise SequenceTakenError(f"sequence {sequence} of {account} was allotted meanwhile", sequence=sequence)
    check_order(connection, order, cost, purse)
    accounts.advance(connection, chain, account, sequence + 1)
    values = {
        "effect_key": order.effect_key,
        "chain": chain,
        "account": account,
        "sequence": sequence,
        "status": TransactionStatus.BROADCAST,
        "summary": order.unsigned.summary,
        "body": None if order.unsigned.reveals else order.unsigned.body,
        "deadline_ns": order.deadline_ns,
        "created_ns": attempt.signed_ns,
        "reverted": False,
        "told": TransactionStatus.BROADCAST if order.watched else None,  # prose: ok, a column's name
        "exits": order.exits,
    }
    transaction_id = connection.execute(records.INSERT_TRANSACTION, values).scalar_one()
    records.insert_attempt(connection, transaction_id, chain, 1, attempt)
    _reserve(connection, transaction_id, cost)
    if order.items:
        deadlines: Sequence[int | None] = order.deadlines_ns or [None] * len(order.items)
        rows = [
            {"effect_key": key, "transaction_id": transaction_id, "number": number, "deadline_ns": deadline_ns}
            for number, (key, deadline_ns) in enumerate(zip(order.items, deadlines, strict=True))
        ]
        connection.execute(sa.insert(records.relayer_batch_items), rows)
    stored = records.by_effect(connection, order.effect_key)
    if stored is None:
        refuse("what was stored is not there", effect_key=order.effect_key)
    return stored


def _is_free(
    connection: Connection,
    chain: ChainId,
    account: AccountId,
    sequence: int,
    upcoming: int,
    unused: Collection[TransactionStatus],
) -> bool:
    """True for a sequence that was never allotted, or under which everything of ours has one of these statuses."""
    if sequence >= upcoming:
        return sequence == upcoming
    return all(one.status in unused for one in records.with_sequence(connection, chain, account, sequence))


def check_order(connection: Connection, order: Order, cost: Mapping[AssetId, int], purse: Purse | None) -> None:
    """Everything that must hold for an order right before and after it is signed. Raise as `store_first`."""
    chain, account = order.unsigned.chain, order.unsigned.sender
    if order.guarded:
        accounts.check_acknowledged(connection, [(chain, account)])
    if order.gate is not None:
        order.gate(connection)
    if purse is None or order.exits:
        return
    promised = reserved(connection, chain, account, purse.height)
    for asset, amount in cost.items():
        free = purse.held.get(asset, 0) - promised.get(asset, 0) - order.keep.get(asset, 0)
        if free < amount:
            raise UnaffordableError(
                f"{order.unsigned.summary}: it may take {amount} of {asset}, {max(0, free)} are free (held "
                f"{purse.held.get(asset, 0)}, promised to open transactions {promised.get(asset, 0)}, kept for exits "
                f"{order.keep.get(asset, 0)})",
                asset=asset,
            )


def reserved(
    connection: Connection,
    chain: ChainId,
    account: AccountId,
    height: Height,
    around: int | None = None,
    *,
    exits: bool = False,
) -> dict[AssetId, int]:
    """The most that open transactions may still take from what the account held at `height`, by asset.

    Of several under one sequence only one can be mined: the dearest counts. `around`: what counts against the
    transaction under that sequence: with `exits`, exits before it; otherwise everything before it, and exits behind.
    """
    query = _RESERVED if around is None else _RESERVED_BEFORE_EXITS if exits else _RESERVED_AROUND
    asked = {"of_chain": chain, "of_account": account, **({} if around is None else {"around": around})}
    dearest: dict[tuple[int, str], int] = {}
    for row in connection.execute(query, asked):
        taken = row.status == TransactionStatus.INCLUDED and row.block_height <= height
        if not taken:
            place = (row.sequence, row.asset)
            dearest[place] = max(int(row.amount), dearest.get(place, 0))
    found: dict[AssetId, int] = {}
    for (_, asset), amount in dearest.items():
        found[AssetId(asset)] = found.get(AssetId(asset), 0) + amount
    return found


def _reserve(connection: Connection, transaction_id: int, cost: Mapping[AssetId, int]) -> None:
    table = records.relayer_reservations
    known = {row.asset: int(row.amount) for row in connection.execute(_OF_TRANSACTION, {"of_id": transaction_id})}
    for asset, amount in cost.items():
        if asset not in known:
            values = {"transaction_id": transaction_id, "asset": asset, "amount": amount}
            connection.execute(_INSERT_RESERVATION, values)
        elif known[asset] < amount:
            same = sa.update(table).where(table.c.transaction_id == transaction_id, table.c.asset == asset)
            connection.execute(same.values(amount=amount))


def store_replacement(
    connection: Connection,
    epoch: int,
    record: TransactionRecord,
    attempt: SignedForm,
    cost: Mapping[AssetId, int],
    dead_below: Height | None = None,
    gate: Gate | None = None,
) -> None:
    """Add another signed form under the same sequence; a refused transaction is on its way again.

    Forms that expired below `dead_below` make room if there are too many. Raise `ConflictError` if the transaction is
    settled, or has too many forms that may still be mined; `FencedError` when fenced off; and what `gate` raises.
    """
    accounts.fence(connection, record.chain, record.account, epoch)
    table, attempts = records.relayer_transactions, records.relayer_transaction_attempts
    stored = connection.execute(sa.select(table.c.status).where(table.c.id == record.id)).scalar_one()
    if stored not in records.OPEN:
        raise ConflictError(f"{record.effect_key} is {stored} already")
    if gate is not None:
        gate(connection)
    of_record = attempts.c.transaction_id == record.id
    count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(attempts.c.number)).where(of_record)).one()
    if count >= records.MAX_ATTEMPTS and dead_below is not None:
        dead = sa.delete(attempts).where(of_record, attempts.c.expiry_height < dead_below)
        count -= connection.execute(dead).rowcount
    if count >= records.MAX_ATTEMPTS + (records.ROOM_TO_CANCEL if attempt.cancels else 0):
        raise ConflictError(f"{record.effect_key} has {count} signed forms that may all be mined: it gets no more")
    records.insert_attempt(connection, record.id, record.chain, last + 1, attempt)
    _reserve(connection, record.id, cost)
    if stored == TransactionStatus.REFUSED:
        connection.execute(sa.update(table).where(table.c.id == record.id).values(status=TransactionStatus.BROADCAST))
