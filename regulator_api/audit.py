"""Who read what, why, and what was answered: written before the answer leaves, each entry chained to the one before.

An entry's hash covers all of it and the hash of its predecessor, and every answer carries its entry's number and hash
(`Causeway-Audit`). Whoever keeps one of these, an overseer or a reader, sees later whether anything up to
there was changed, left out or put in: `verify_audit` walks the chain and compares.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.columns import Bytes32
from core.runtime.database import METADATA
from core.runtime.inserts import insert_if_absent

HASH_PREFIX: Final = b"causeway audit entry v1\0"
FIRST_HASH: Final = bytes(32)
"""The predecessor of entry 1."""
MAX_PURPOSE_CHARS: Final = 200
MAX_WHAT_CHARS: Final = 2_048
PAGE: Final = 1_000

audit = sa.Table(
    "regulator_audit",
    METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time_ns", sa.BigInteger, nullable=False),
    sa.Column("who", sa.String(256), nullable=False),
    sa.Column("method", sa.String(16), nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("answer_sha256", Bytes32, nullable=False),
    sa.Column("hash", Bytes32, nullable=False),
)
sa.Index("ix_regulator_audit_who", audit.c.who, audit.c.seq)

audit_head = sa.Table(
    "regulator_audit_head",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", Bytes32, nullable=False),
)
"""One row, held by whoever appends until the commit: the chain has no branches. An end that was cut off shows."""

TABLES: Final = (audit, audit_head)


@dataclass(frozen=True, slots=True)
class Access:
    """One request that was answered. `what` is path and query as they were sent, `purpose` what the caller stated."""

    time_ns: int
    who: str
    method: str
    what: str
    purpose: str
    request_id: str
    status: int
    answer_sha256: bytes


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An access with its place in the chain. `seq` counts from 1."""

    seq: int
    access: Access
    hash: bytes


def entry_hash(seq: int, access: Access, previous: bytes) -> bytes:
    """SHA-256 over prefix, predecessor's hash and the entry as a MessagePack array, in the order of its columns."""
    fields = [
        seq,
        access.time_ns,
        access.who,
        access.method,
        access.what,
        access.purpose,
        access.request_id,
        access.status,
        access.answer_sha256,
    ]
    return hashlib.sha256(HASH_PREFIX + previous + msgspec.msgpack.encode(fields)).digest()


def prepare(connection: Connection) -> None:
    """Fill in the head of an empty log; the schema must exist."""
    insert_if_absent(connection, audit_head, id=1, seq=0, hash=FIRST_HASH)


def append(connection: Connection, access: Access) -> AuditEntry:
    """Add one entry at the end of the chain. `prepare` must have run."""
    head = connection.execute(sa.select(audit_head).where(audit_head.c.id == 1).with_for_update()).one()
    seq = head.seq + 1
    entry = AuditEntry(seq, access, entry_hash(seq, access, head.hash))
    connection.execute(sa.insert(audit).values(seq=seq, hash=entry.hash, **_columns(access)))
    connection.execute(sa.update(audit_head).where(audit_head.c.id == 1).values(seq=seq, hash=entry.hash))
    return entry


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """The result of walking the chain. `wrong` says what is not as it was written, None if all is."""

    entries: int
    head: bytes
    wrong: str | None

    @property
    def ok(self) -> bool:
        return self.wrong is None


def verify_audit(connection: Connection, known: Mapping[int, bytes] | None = None) -> AuditCheck:
    """Walk the whole log. `known` are hashes by entry number that somebody kept elsewhere; each must still be there.

    Without any, a log that was rewritten from some entry to its end (head included) looks like a true one.
    """
    kept = dict(known or {})
    seq, previous = 0, FIRST_HASH
    while rows := connection.execute(sa.select(audit).where(audit.c.seq > seq).order_by(audit.c.seq).limit(PAGE)).all():
        for row in rows:
            if row.seq != seq + 1:
                return AuditCheck(seq, previous, f"entry {seq + 1} is missing")
            entry = _entry(row)
            if entry_hash(row.seq, entry.access, previous) != entry.hash:
                return AuditCheck(seq, previous, f"entry {row.seq} was changed, or an entry before it")
            if kept.pop(row.seq, entry.hash) != entry.hash:
                return AuditCheck(seq, previous, f"entry {row.seq} is not the one that was written")
            seq, previous = row.seq, entry.hash
    if any(number > seq for number in kept):
        return AuditCheck(seq, previous, f"entries after {seq} are missing")
    head = connection.execute(sa.select(audit_head).where(audit_head.c.id == 1)).first()
    if head is None or (head.seq, head.hash) != (seq, previous):
        return AuditCheck(seq, previous, "the end of the log does not fit its head: entries were cut off or added")
    return AuditCheck(seq, previous, None)


def list_audit(connection: Connection, who: str | None, limit: int, before: int | None = None) -> list[AuditEntry]:
    """Entries, newest first, at most `limit`; `before` is the number of the last one of the page before."""
    query = sa.select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if who is not None:
        query = query.where(audit.c.who == who)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return [_entry(row) for row in connection.execute(query)]


def _columns(access: Access) -> dict[str, Any]:
    return {name: getattr(access, name) for name in Access.__dataclass_fields__}


def _entry(row: Any) -> AuditEntry:
    return AuditEntry(row.seq, Access(**{name: getattr(row, name) for name in Access.__dataclass_fields__}), row.hash)
