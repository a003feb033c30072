"""Who read what, why, and what was answered: written before the answer leaves, each entry chained to the one before.

An entry's hash covers all of it and the hash of its predecessor, and every answer carries its entry's number and hash
(`Causeway-Audit`). Whoever keeps one of these, an overseer or a reader, sees later whether anything up to
there was changed, left out or put in: `verify_audit` walks the chain and compares.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.columns import Bytes32
from core.runtime.database import METADATA
from core.runtime.inserts import insert_if_absent
from regulator_api.signing import Signer, verify_entry

HASH_PREFIX: Final = b"causeway audit entry v1\0"
HASH_PREFIX_OF_CASES: Final = b"causeway audit entry v2\0"
"""For entries that name a case, which those of the first version could not."""
FIRST_HASH: Final = bytes(32)
"""The predecessor of entry 1."""
MAX_PURPOSE_CHARS: Final = 200
MAX_CASE_CHARS: Final = 128
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
    sa.Column("case_id", sa.String(128), nullable=False, server_default=""),
    sa.Column("signature", sa.LargeBinary(64)),
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

_HOLD_HEAD: Final = sa.select(audit_head).where(audit_head.c.id == 1).with_for_update()
_INSERT: Final = sa.insert(audit)
_MOVE_HEAD: Final = (
    sa.update(audit_head).where(audit_head.c.id == 1).values(seq=sa.bindparam("to_seq"), hash=sa.bindparam("to_hash"))
)


@dataclass(frozen=True, slots=True)
class Access:
    """One request that was answered. `what` is path and query as they were sent; `purpose` and `case_id` are what the
    caller stated, empty if nothing."""

    time_ns: int
    who: str
    method: str
    what: str
    purpose: str
    request_id: str
    status: int
    answer_sha256: bytes
    case_id: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An access with its place in the chain. `seq` counts from 1; `signature` is that of the process that wrote it."""

    seq: int
    access: Access
    hash: bytes
    signature: bytes | None = None


def entry_hash(seq: int, access: Access, previous: bytes) -> bytes:
    """SHA-256 over prefix, predecessor's hash and the entry as a MessagePack array, in the order of its columns.

    An entry without a case is hashed as it always was.
    """
    fields: list[Any] = [
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
    prefix = HASH_PREFIX
    if access.case_id:
        prefix, fields = HASH_PREFIX_OF_CASES, [*fields, access.case_id]
    return hashlib.sha256(prefix + previous + msgspec.msgpack.encode(fields)).digest()


def hashes(connection: Connection, numbers: Sequence[int]) -> dict[int, bytes]:
    """Return the hashes of entries by number; that of entry 0 is what the chain begins with."""
    query = sa.select(audit.c.seq, audit.c.hash).where(audit.c.seq.in_(numbers))
    return {0: FIRST_HASH, **{row.seq: bytes(row.hash) for row in connection.execute(query)}}


def prepare(connection: Connection) -> None:
    """Fill in the head of an empty log; the schema must exist."""
    insert_if_absent(connection, audit_head, id=1, seq=0, hash=FIRST_HASH)


def append(connection: Connection, access: Access, signer: Signer | None = None) -> AuditEntry:
    """Add one entry at the end of the chain, signed if there is a signer. `prepare` must have run."""
    return append_all(connection, [access], signer)[0]


def append_all(connection: Connection, accesses: Sequence[Access], signer: Signer | None = None) -> list[AuditEntry]:
    """As `append`, of some entries in their order: the chain's end is read and written once."""
    head = connection.execute(_HOLD_HEAD).one()
    seq, previous = head.seq, bytes(head.hash)
    entries, rows = [], []
    for access in accesses:
        seq += 1
        previous = entry_hash(seq, access, previous)
        signature = None if signer is None else signer.sign_entry(previous)
        entries.append(AuditEntry(seq, access, previous, signature))
        rows.append({"seq": seq, "hash": previous, "signature": signature, **_columns(access)})
    connection.execute(_INSERT, rows)
    connection.execute(_MOVE_HEAD, {"to_seq": seq, "to_hash": previous})
    return entries


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """The result of walking the chain. `wrong` says what is not as it was written, None if all is. `unsigned` counts
    entries without a signature, `held` how many of the known hashes were met."""

    entries: int
    head: bytes
    wrong: str | None
    unsigned: int = 0
    held: int = 0

    @property
    def ok(self) -> bool:
        return self.wrong is None


def verify_audit(
    connection: Connection, known: Mapping[int, bytes] | None = None, public_keys: Sequence[bytes] = ()
) -> AuditCheck:
    """Walk the whole log. `known` are hashes by entry number that somebody kept elsewhere; each must still be there.

    With `public_keys` every signature must be one of theirs, and from the first signed entry on all are signed.
    Without any hash kept elsewhere, who has the signing key could have rewritten the log from some entry on, and
    anybody could have cut it off there.
    """
    found = verify_entries(_entries(connection), known, public_keys)
    if not found.ok:
        return found
    head = connection.execute(sa.select(audit_head).where(audit_head.c.id == 1)).first()
    if head is None or (head.seq, head.hash) != (found.entries, found.head):
        return replace(found, wrong="the end of the log does not fit its head: entries were cut off or added")
    return found


def verify_entries(
    entries: Iterable[AuditEntry], known: Mapping[int, bytes] | None = None, public_keys: Sequence[bytes] = ()
) -> AuditCheck:
    """As `verify_audit`, of entries from the first one on, as an export has them."""
    kept = dict(known or {})
    held = len(kept)
    seq, previous, unsigned = 0, FIRST_HASH, 0
    for entry in entries:
        if entry.seq != seq + 1:
            return AuditCheck(seq, previous, f"entry {seq + 1} is missing", unsigned)
        if entry_hash(entry.seq, entry.access, previous) != entry.hash:
            return AuditCheck(seq, previous, f"entry {entry.seq} was changed, or an entry before it", unsigned)
        if kept.pop(entry.seq, entry.hash) != entry.hash:
            return AuditCheck(seq, previous, f"entry {entry.seq} is not the one that was written", unsigned)
        fault = _signature_fault(entry, unsigned == seq, public_keys)
        if fault is not None:
            return AuditCheck(seq, previous, fault, unsigned)
        unsigned += entry.signature is None
        seq, previous = entry.seq, entry.hash
    if any(number > seq for number in kept):
        return AuditCheck(seq, previous, f"entries after {seq} are missing", unsigned)
    if kept:
        return AuditCheck(seq, previous, f"there is no entry {min(kept)}: entries count from 1", unsigned)
    return AuditCheck(seq, previous, None, unsigned, held)


def _signature_fault(entry: AuditEntry, none_before: bool, public_keys: Sequence[bytes]) -> str | None:
    """`none_before`: no entry before this one is signed."""
    if entry.signature is None:
        return None if none_before else f"entry {entry.seq} has no signature, and entries before it have one"
    if public_keys and not verify_entry(entry.hash, entry.signature, public_keys):
        return f"the signature of entry {entry.seq} is not the regulator's"
    return None


def _entries(connection: Connection) -> Iterator[AuditEntry]:
    seq = 0
    while rows := connection.execute(sa.select(audit).where(audit.c.seq > seq).order_by(audit.c.seq).limit(PAGE)).all():
        for row in rows:
            yield _entry(row)
        seq = rows[-1].seq


def read_entries(connection: Connection, behind: int, limit: int) -> list[AuditEntry]:
    """Entries in their order behind the number `behind`, at most `limit`: for exports."""
    query = sa.select(audit).where(audit.c.seq > behind).order_by(audit.c.seq).limit(limit)
    return [_entry(row) for row in connection.execute(query)]


def head_of(connection: Connection) -> tuple[int, bytes]:
    """Return number and hash of the last entry; (0, `FIRST_HASH`) of an empty log."""
    head = connection.execute(sa.select(audit_head).where(audit_head.c.id == 1)).first()
    return (0, FIRST_HASH) if head is None else (head.seq, head.hash)


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
    access = Access(**{name: getattr(row, name) for name in Access.__dataclass_fields__})
    return AuditEntry(row.seq, access, row.hash, None if row.signature is None else bytes(row.signature))
