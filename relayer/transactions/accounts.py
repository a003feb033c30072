"""Accounts that this process signs for: their next sequence, their fence, and uses of them that we do not know.

A *foreign use* is a sequence that the chain counts as used and that no transaction in this journal used: somebody else
signs with the key, or this database is empty or an old copy. Until the operator acknowledges it, the account neither
funds nor reveals: what the missing journal promised is not known. Exits go on with the next sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RetryableError, require
from core.model.types import AccountId, ChainId
from core.runtime import leases
from core.runtime.database import METADATA

MAX_FOREIGN_USES: Final = 1_000
"""Rows that a listing returns; uses that follow one another share a row."""

relayer_accounts = sa.Table(
    "relayer_accounts",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("next_sequence", sa.BigInteger, nullable=False),
)
relayer_foreign_uses = sa.Table(
    "relayer_foreign_uses",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("end_sequence", sa.BigInteger, nullable=False),
    sa.Column("seen_ns", sa.BigInteger, nullable=False),
    sa.Column("tx_hash", sa.LargeBinary),
    sa.Column("acknowledged_ns", sa.BigInteger),
)
"""One row for the sequences from `sequence` up to, and without, `end_sequence`. `tx_hash`: of the transaction that
used them, if it is known."""

_ACCOUNT: Final = sa.select(relayer_accounts).where(
    relayer_accounts.c.chain == sa.bindparam("of_chain"), relayer_accounts.c.account == sa.bindparam("of_account")
)
_ACCOUNT_HELD: Final = _ACCOUNT.with_for_update()
_ALL_HELD: Final = (
    sa.select(relayer_accounts.c.account)
    .order_by(relayer_accounts.c.chain, relayer_accounts.c.account)
    .with_for_update()
)
_ADVANCE: Final = sa.update(relayer_accounts).where(
    relayer_accounts.c.chain == sa.bindparam("of_chain"),
    relayer_accounts.c.account == sa.bindparam("of_account"),
    relayer_accounts.c.next_sequence < sa.bindparam("to_sequence"),
)
_UNACKNOWLEDGED: Final = (
    sa.select(relayer_foreign_uses)
    .where(relayer_foreign_uses.c.acknowledged_ns.is_(None))
    .order_by(relayer_foreign_uses.c.chain, relayer_foreign_uses.c.account, relayer_foreign_uses.c.sequence)
    .limit(MAX_FOREIGN_USES)
)


@dataclass(frozen=True, slots=True)
class ForeignUse:
    """Sequences from `first` up to, and without, `end` that the chain counts and the journal does not know.

    `seen_ns` (Unix time) is when that was first believed; `tx_hash` is None if it is not known.
    """

    chain: ChainId
    account: AccountId
    first: int
    end: int
    seen_ns: int
    tx_hash: bytes | None

    def __str__(self) -> str:
        what = f"sequence {self.first}" if self.end == self.first + 1 else f"sequences {self.first} to {self.end - 1}"
        return f"{what} of {self.account} on {self.chain}"


# --- opening and fencing -----------------------------------------------------------------------------------------


def is_known(connection: Connection, chain: ChainId, account: AccountId) -> bool:
    """True if this journal has signed for the account, or adopted it, before."""
    return account_row(connection, chain, account) is not None


def lease_of(account: AccountId) -> str:
    """Return the name of the account's lease. It has no term: whoever opens an account last signs for it."""
    return f"account {account}"


def open_account(
    connection: Connection,
    chain: ChainId,
    account: AccountId,
    latest: int | None,
    adopt: bool,
    now_ns: int,
    holder: str | None = None,
) -> int:
    """Take the account over for `holder` (None: this process) and return the lease's epoch to sign under.

    `latest` is the chain's next sequence, needed for an account that the journal has never seen. If the chain shows
    such an account as used, its uses are foreign ones: acknowledged if `adopt` says so (a deliberate first start),
    otherwise waiting for the operator.
    """
    epoch = leases.take(connection, lease_of(account), holder or leases.this_process(), now_ns=now_ns).epoch
    if is_known(connection, chain, account):
        return epoch
    if latest is None:
        raise RetryableError(
            f"{account} is new to this journal, and {chain} has not reported how many transactions it has sent"
        )
    values = {"chain": chain, "account": account, "next_sequence": latest}
    connection.execute(sa.insert(relayer_accounts).values(values))
    if latest > 0:
        note_foreign_use(connection, chain, account, 0, latest, now_ns, acknowledged=adopt)
    return epoch


def account_row(connection: Connection, chain: ChainId, account: AccountId, *, hold: bool = False) -> Any:
    """The account's row or None; with `hold` nobody else can change it before this transaction ends."""
    asked = {"of_chain": chain, "of_account": account}
    return connection.execute(_ACCOUNT_HELD if hold else _ACCOUNT, asked).one_or_none()


def hold_all(connection: Connection) -> None:
    """Nobody signs for any account before this transaction ends, and what was being signed is stored: whoever calls
    something off looks behind this for what was signed. PostgreSQL's READ COMMITTED would let the two miss each other.
    """
    connection.execute(_ALL_HELD).all()


def where_account(statement: Any, chain: ChainId, account: AccountId) -> Any:
    return statement.where(relayer_accounts.c.chain == chain, relayer_accounts.c.account == account)


def fence(connection: Connection, chain: ChainId, account: AccountId, epoch: int) -> Any:
    """Return the account's row, held. Raise `FencedError` if another process has taken the account over."""
    leases.fence(connection, lease_of(account), epoch)
    return account_row(connection, chain, account, hold=True)


def check_fence(connection: Connection, account: AccountId, epoch: int) -> None:
    """As `fence`, for who only looks: nobody is kept from taking the account over meanwhile."""
    leases.check(connection, lease_of(account), epoch)


def next_sequence(connection: Connection, chain: ChainId, account: AccountId) -> int:
    """The sequence that was never allotted. The account must be open."""
    row = account_row(connection, chain, account)
    require(row is not None, "an account is opened before it signs", account=account)
    return int(row.next_sequence)


def advance(connection: Connection, chain: ChainId, account: AccountId, sequence: int) -> None:
    """Allot nothing below `sequence` from now on."""
    moved = {"of_chain": chain, "of_account": account, "to_sequence": sequence, "next_sequence": sequence}
    connection.execute(_ADVANCE, moved)


# --- foreign uses ------------------------------------------------------------------------------------------------


def note_foreign_use(
    connection: Connection,
    chain: ChainId,
    account: AccountId,
    first: int,
    end: int,
    now_ns: int,
    *,
    tx_hash: bytes | None = None,
    acknowledged: bool = False,
) -> bool:
    """Record that `first` up to, and without, `end` were used by somebody else; return True if that is news."""
    table = relayer_foreign_uses
    advance(connection, chain, account, end)
    known = connection.execute(_uses(sa.select(table), chain, account).order_by(table.c.sequence)).all()
    if any(row.sequence <= first and end <= row.end_sequence for row in known):
        return False
    while covering := [row for row in known if row.sequence <= first < row.end_sequence]:
        first = covering[0].end_sequence
    joined = [row for row in known if row.end_sequence == first and row.acknowledged_ns is None]
    if joined and not acknowledged:
        same = _uses(sa.update(table), chain, account).where(table.c.sequence == joined[0].sequence)
        connection.execute(same.values(end_sequence=end))
        return True
    connection.execute(
        sa.insert(table).values(
            chain=chain,
            account=account,
            sequence=first,
            end_sequence=end,
            seen_ns=now_ns,
            tx_hash=tx_hash,
            acknowledged_ns=now_ns if acknowledged else None,
        )
    )
    return True


def is_foreign(connection: Connection, chain: ChainId, account: AccountId, sequence: int) -> bool:
    """True if somebody else is known to have used this sequence."""
    table = relayer_foreign_uses
    query = _uses(sa.select(sa.func.count()), chain, account)
    return bool(connection.execute(query.where(table.c.sequence <= sequence, table.c.end_sequence > sequence)).scalar())


def unacknowledged(
    connection: Connection, accounts: Sequence[tuple[ChainId, AccountId]] | None = None
) -> list[ForeignUse]:
    """Foreign uses that wait for the operator, by chain, account and sequence; of these accounts only, if given."""
    rows = connection.execute(_UNACKNOWLEDGED).all()
    found = [
        ForeignUse(ChainId(row.chain), AccountId(row.account), row.sequence, row.end_sequence, row.seen_ns, row.tx_hash)
        for row in rows
    ]
    return [use for use in found if accounts is None or (use.chain, use.account) in accounts]


def acknowledge(connection: Connection, uses: Sequence[ForeignUse], now_ns: int) -> int:
    """The operator has looked into exactly these uses; return how many were still waiting.

    A row that has grown since it was listed keeps waiting.
    """
    table, count = relayer_foreign_uses, 0
    for use in uses:
        same = _uses(sa.update(table), use.chain, use.account).where(
            table.c.sequence == use.first, table.c.end_sequence == use.end, table.c.acknowledged_ns.is_(None)
        )
        count += connection.execute(same.values(acknowledged_ns=now_ns)).rowcount
    return count


def check_acknowledged(connection: Connection, accounts: Sequence[tuple[ChainId, AccountId]]) -> None:
    """Raise `RetryableError` while a foreign use of one of these accounts waits for the operator."""
    if waiting := unacknowledged(connection, accounts):
        raise RetryableError(
            f"{waiting[0]}: used, but not by this journal. Nothing is quoted, funded or revealed until the operator "
            "has looked into it and acknowledged it (`causeway relayer adopt`)",
            uses=[str(use) for use in waiting[:10]],
        )


def _uses(statement: Any, chain: ChainId, account: AccountId) -> Any:
    return statement.where(relayer_foreign_uses.c.chain == chain, relayer_foreign_uses.c.account == account)
