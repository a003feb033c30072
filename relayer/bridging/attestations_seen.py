"""Attestations that were seen in blocks, with the transactions that prove them. Plain functions over a `Connection`."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import SignedAttestation
from core.model.types import AccountId, ChainId, Height
from core.runtime.database import METADATA

MAX_KEPT: Final = 1_024
"""Attestations of one account."""
MAX_KEPT_OF_ALL: Final = 16_384

seen_attestations = sa.Table(
    "relayer_seen_attestations",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("foreign_chain", sa.Text, nullable=False),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("block_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("accused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("account", "foreign_chain", "height", name="uq_relayer_seen_attestations"),
    sqlite_autoincrement=True,
)
"""`account`: who attested, with the chain that it did so on. `raw`: the signed transaction. `accused`: a second one was
seen, and the chain has answered to the report."""
read_up_to = sa.Table(
    "relayer_attestations_read",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("height", sa.BigInteger, nullable=False),
)
TABLES: Final = (seen_attestations, read_up_to)

_A: Final = seen_attestations.c


def note_attestation(connection: Connection, one: SignedAttestation) -> bytes | None:
    """Keep the account's first attestation for this height. Return the transaction of an earlier one that contradicts
    it and that the chain has not been asked about yet."""
    at = _at(one.account, one.foreign.chain, one.foreign.height)
    there = connection.execute(sa.select(_A.block_hash, _A.time, _A.raw, _A.accused).where(at)).one_or_none()
    if there is None:
        row = {"account": one.account, "foreign_chain": one.foreign.chain, "height": one.foreign.height}
        values = {**row, "block_hash": one.foreign.hash, "time": one.time, "raw": one.transaction}
        connection.execute(sa.insert(seen_attestations).values(values))
        _forget(connection, sa.select(_A.id).where(_A.account == one.account), MAX_KEPT)
        return None
    if there.accused or (bytes(there.block_hash), there.time) == (one.foreign.hash, one.time):
        return None
    return bytes(there.raw)


def mark_accused(connection: Connection, one: SignedAttestation) -> None:
    """Note that the chain has answered to a report about this account and height."""
    at = _at(one.account, one.foreign.chain, one.foreign.height)
    connection.execute(sa.update(seen_attestations).where(at).values(accused=True))


def forget_oldest(connection: Connection) -> None:
    """Keep the newest attestations of all accounts."""
    _forget(connection, sa.select(_A.id), MAX_KEPT_OF_ALL)


def blocks_read(connection: Connection, chain: ChainId) -> Height | None:
    """Return the height up to which the chain's blocks were read."""
    found = connection.execute(sa.select(read_up_to.c.height).where(read_up_to.c.chain == chain)).scalar_one_or_none()
    return None if found is None else Height(found)


def note_blocks_read(connection: Connection, chain: ChainId, height: Height) -> None:
    """Keep the height up to which the chain's blocks were read."""
    done = connection.execute(sa.update(read_up_to).where(read_up_to.c.chain == chain).values(height=height))
    if not done.rowcount:
        connection.execute(sa.insert(read_up_to).values(chain=chain, height=height))


def _at(account: AccountId, foreign: ChainId, height: Height) -> sa.ColumnElement[bool]:
    return sa.and_(_A.account == account, _A.foreign_chain == foreign, _A.height == height)


def _forget(connection: Connection, ids: "sa.Select[tuple[int]]", kept: int) -> None:
    """Delete all but the newest of these."""
    last = connection.execute(ids.order_by(_A.id.desc()).offset(kept).limit(1)).scalar_one_or_none()
    if last is not None:
        connection.execute(sa.delete(seen_attestations).where(_A.id.in_(ids.where(_A.id <= last))))
