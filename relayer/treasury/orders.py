"""Withdrawals as an operator orders them: rows that a command writes, and a running relayer carries out.

    asked ──> sent ──> paid        a block that is final has it
      │         └────> failed      it reverted, expired, or was called off: nothing was moved
      ├──> refused                 it is not to be: the reason says why
      └──> lapsed                  nobody sent it before its time was over

Whoever can write to the database must not be able to spend: a row counts only with a seal under a key that is derived
from the relayer's keystore, over everything that it says. Plain functions over a `Connection`.
"""

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.model.types import MAX_BASE_UNITS, AccountId, AssetId, BaseUnits, ChainId, chain_of
from core.runtime.clock import NS_PER_S, SecretSource
from core.runtime.columns import Uint256
from core.runtime.database import METADATA
from relayer.transactions.records import MAX_REASON_CHARS, WITHDRAWAL_PREFIX

ID_BYTES: Final = 8
MAX_WAITING: Final = 100
"""Withdrawals that may be on their way at once."""
MAX_WITHIN_S: Final = 7 * 24 * 3600
SEAL_BYTES: Final = 32
_SEALED: Final = b"causeway withdrawal v1\0"
_DERIVED: Final = b"causeway treasury key v1"


class WithdrawalStatus(StrEnum):
    """See the module's diagram."""

    ASKED = "asked"
    SENT = "sent"
    PAID = "paid"
    FAILED = "failed"
    REFUSED = "refused"
    LAPSED = "lapsed"

    @property
    def ended(self) -> bool:
        return self not in (WithdrawalStatus.ASKED, WithdrawalStatus.SENT)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An order: `amount` base units of `asset` from our `account` to `receiver`, None for all that is free.

    It may be sent, and has to be in a block, before `until_ns` (Unix time). `taken` is the amount that was settled on
    when it was sent.
    """

    id: str
    account: AccountId
    receiver: AccountId
    asset: AssetId
    amount: BaseUnits | None
    asked_ns: int
    until_ns: int
    status: WithdrawalStatus = WithdrawalStatus.ASKED
    taken: BaseUnits | None = None
    reason: str | None = None

    @property
    def chain(self) -> ChainId:
        return chain_of(self.asset)

    @property
    def effect_key(self) -> str:
        """The key of its transaction, which makes it happen once at most."""
        return f"{WITHDRAWAL_PREFIX}{self.id}"


relayer_withdrawals = sa.Table(
    "relayer_withdrawals",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("amount", Uint256),
    sa.Column("asked_ns", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger, nullable=False),
    sa.Column("seal", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("taken", Uint256),
    sa.Column("reason", sa.Text),
    sa.Index(None, "status"),
)
"""One row for each order, for ever. `seal`: see `Seal`."""
TABLES: Final = (relayer_withdrawals,)

_WAITING: Final = (
    sa.select(relayer_withdrawals)
    .where(relayer_withdrawals.c.status.in_([status for status in WithdrawalStatus if not status.ended]))
    .order_by(relayer_withdrawals.c.asked_ns, relayer_withdrawals.c.id)
    .limit(MAX_WAITING)
)


class Seal:
    """The key that orders are sealed with, and checked by. Has no `repr` of it."""

    __slots__ = ("_key",)

    def __init__(self, secret: bytes) -> None:
        """`secret` is a private key of the relayer's keystore, 32 bytes: the one that signs its quotes."""
        self._key = hmac.digest(secret, _DERIVED, hashlib.sha256)

    def of(self, order: Withdrawal) -> bytes:
        """Return the seal over all that was asked for (HMAC-SHA-256, RFC 2104; fields as a JSON list, so that none
        runs into the next)."""
        asked = (
            order.id,
            order.account,
            order.receiver,
            order.asset,
            None if order.amount is None else str(order.amount),
            order.asked_ns,
            order.until_ns,
        )
        return hmac.digest(self._key, _SEALED + msgspec.json.encode(asked), hashlib.sha256)

    def holds(self, order: Withdrawal, seal: bytes) -> bool:
        """Return true for the seal of this very order."""
        return hmac.compare_digest(self.of(order), seal)

    def __repr__(self) -> str:
        return "Seal()"

    def __reduce__(self) -> str:
        raise TypeError("a key does not leave the process by pickling")


def new_order(
    secrets: SecretSource,
    account: AccountId,
    receiver: AccountId,
    asset: AssetId,
    amount: int | None,
    now_ns: int,
    within_s: int,
) -> Withdrawal:
    """Return an order that was not written yet. Raise `RejectedError` for one that nobody could carry out."""
    if amount is not None and not 0 < amount <= MAX_BASE_UNITS:
        raise RejectedError(f"{amount} is not an amount: base units, 1 or more and below 2^256")
    if not {chain_of(account), chain_of(receiver)} == {chain_of(asset)}:
        raise RejectedError(f"{asset} is paid on {chain_of(asset)}: {receiver} is not an account there")
    if account.lower() == receiver.lower():
        raise RejectedError(f"{receiver} is the relayer's own account: name another one")
    if not 0 < within_s <= MAX_WITHIN_S:
        raise RejectedError(f"{within_s} is not a number of seconds from 1 to {MAX_WITHIN_S}")
    return Withdrawal(
        id=secrets.token_bytes(ID_BYTES).hex(),
        account=account,
        receiver=receiver,
        asset=asset,
        amount=None if amount is None else BaseUnits(amount),
        asked_ns=now_ns,
        until_ns=now_ns + within_s * NS_PER_S,
    )


def write(connection: Connection, order: Withdrawal, seal: bytes) -> None:
    """Store an order. Raise `ConflictError` while `MAX_WAITING` others are on their way."""
    if len(waiting(connection)) >= MAX_WAITING:
        raise ConflictError(f"{MAX_WAITING} withdrawals are on their way already: wait for them")
    connection.execute(
        sa.insert(relayer_withdrawals).values(
            id=order.id,
            account=order.account,
            receiver=order.receiver,
            asset=order.asset,
            amount=order.amount,
            asked_ns=order.asked_ns,
            until_ns=order.until_ns,
            seal=seal,
            status=order.status,
        )
    )


def waiting(connection: Connection) -> list[tuple[Withdrawal, bytes]]:
    """Return the orders that have not ended, the oldest first, each with its seal."""
    return [(_order(row), row.seal) for row in connection.execute(_WAITING)]


def newest(connection: Connection, limit: int) -> list[Withdrawal]:
    """Return the newest orders, at most `limit`."""
    table = relayer_withdrawals
    query = sa.select(table).order_by(table.c.asked_ns.desc(), table.c.id).limit(limit)
    return [_order(row) for row in connection.execute(query)]


def paid_since(connection: Connection, account: AccountId, asset: AssetId, since_ns: int) -> int:
    """Return how much of an asset was ordered from an account since then (Unix time) and is paid, or may still be."""
    table = relayer_withdrawals
    statuses = (WithdrawalStatus.ASKED, WithdrawalStatus.SENT, WithdrawalStatus.PAID)
    query = sa.select(table.c.amount, table.c.taken).where(
        table.c.account == account,
        table.c.asset == asset,
        table.c.asked_ns >= since_ns,
        table.c.status.in_(statuses),
    )
    return sum(int(row.amount if row.taken is None else row.taken) for row in connection.execute(query))


def last_of(connection: Connection, account: AccountId, asset: AssetId) -> Withdrawal | None:
    """Return the newest order of an asset from an account."""
    table = relayer_withdrawals
    query = sa.select(table).where(table.c.account == account, table.c.asset == asset)
    row = connection.execute(query.order_by(table.c.asked_ns.desc(), table.c.id).limit(1)).one_or_none()
    return None if row is None else _order(row)


def find(connection: Connection, ids: Collection[str]) -> list[Withdrawal]:
    """Return these orders as they stand now, in the order in which they were asked for. Raise `NotFoundError`."""
    table = relayer_withdrawals
    query = sa.select(table).where(table.c.id.in_(ids)).order_by(table.c.asked_ns, table.c.id)
    found = [_order(row) for row in connection.execute(query)]
    if len(found) < len(set(ids)):
        raise NotFoundError("a withdrawal is not in this database")
    return found


def change(
    connection: Connection,
    order: Withdrawal,
    status: WithdrawalStatus,
    *,
    taken: BaseUnits | None = None,
    reason: str | None = None,
) -> bool:
    """Take the order from the status that it was read with to another; return false if it has another one by now."""
    table = relayer_withdrawals
    same = sa.update(table).where(table.c.id == order.id, table.c.status == order.status)
    values: dict[str, Any] = {"status": status, "reason": reason and reason[:MAX_REASON_CHARS]}
    if taken is not None:
        values["taken"] = taken
    return connection.execute(same.values(values)).rowcount == 1


def settle_amount(connection: Connection, order: Withdrawal, taken: BaseUnits) -> None:
    """Note the amount of an order for all that is free, before anything is signed for it."""
    table = relayer_withdrawals
    connection.execute(sa.update(table).where(table.c.id == order.id).values(taken=taken))


def status_of(connection: Connection, order_id: str) -> WithdrawalStatus | None:
    """Return where an order stands, None if it is not there."""
    table = relayer_withdrawals
    found = connection.execute(sa.select(table.c.status).where(table.c.id == order_id)).scalar()
    return None if found is None else WithdrawalStatus(found)


def _order(row: Any) -> Withdrawal:
    return Withdrawal(
        id=row.id,
        account=AccountId(row.account),
        receiver=AccountId(row.receiver),
        asset=AssetId(row.asset),
        amount=None if row.amount is None else BaseUnits(row.amount),
        asked_ns=row.asked_ns,
        until_ns=row.until_ns,
        status=WithdrawalStatus(row.status),
        taken=None if row.taken is None else BaseUnits(row.taken),
        reason=row.reason,
    )
