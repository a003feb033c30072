"""The audit log: every byte of it is covered, and so are its gaps and its end."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.runtime.database import InlineDatabase, create_schema
from regulator_api import audit
from regulator_api.anchoring import Anchorer, AuditAnchor, known_hashes, parse_anchor
from regulator_api.audit import Access, AuditEntry, verify_audit, verify_entries
from regulator_api.signing import Signer

SIGNER = Signer(b"\x07" * 32)
OTHER = Signer(b"\x08" * 32)
KEYS = [SIGNER.public_key]
ENTRIES = 6


def access(number: int, **changes: Any) -> Access:
    members: dict[str, Any] = {
        "time_ns": number,
        "who": "client:analyst",
        "method": "GET",
        "what": "/v1/tags",
        "purpose": "looking",
        "request_id": f"request-{number}",
        "status": 200,
        "answer_sha256": bytes([number]) * 32,
        "case_id": f"case {number}" if number % 2 else "",
    }
    return Access(**members | changes)


def written(signer: Signer | None = SIGNER, count: int = ENTRIES) -> list[AuditEntry]:
    previous, made = audit.FIRST_HASH, []
    for number in range(1, count + 1):
        found = audit.entry_hash(number, access(number), previous)
        made.append(AuditEntry(number, access(number), found, None if signer is None else signer.sign_entry(found)))
        previous = found
    return made


def rewritten(entries: list[AuditEntry], place: int, signer: Signer, **changes: Any) -> list[AuditEntry]:
    """The log as somebody would make it who changes one entry, and computes all hashes and signatures again."""
    previous, made = audit.FIRST_HASH, []
    for entry in entries:
        changed = replace(entry.access, **changes) if entry.seq == place else entry.access
        found = audit.entry_hash(entry.seq, changed, previous)
        made.append(AuditEntry(entry.seq, changed, found, signer.sign_entry(found)))
        previous = found
    return made


CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "time_ns": st.integers(0, 2**60),
    "who": st.text(max_size=20),
    "method": st.sampled_from(["POST", "HEAD", ""]),
    "what": st.text(max_size=20),
    "purpose": st.text(max_size=20),
    "request_id": st.text(max_size=20),
    "status": st.integers(0, 599),
    "answer_sha256": st.binary(min_size=32, max_size=32),
    "case_id": st.text(max_size=20),
}


def test_log_as_it_was_written_is_accepted() -> None:
    found = verify_entries(written(), {3: written()[2].hash}, KEYS)
    assert (found.ok, found.entries, found.unsigned, found.held) == (True, ENTRIES, 0, 1)
    assert verify_entries(written(None)).unsigned == ENTRIES


@given(st.integers(1, ENTRIES), st.sampled_from(sorted(CHANGES)), st.data())
def test_any_changed_member_is_found(place: int, member: str, data: st.DataObject) -> None:
    entries = written()
    value = data.draw(CHANGES[member])
    if value == getattr(entries[place - 1].access, member):
        return
    entries[place - 1] = replace(entries[place - 1], access=replace(entries[place - 1].access, **{member: value}))
    assert verify_entries(entries, public_keys=KEYS).wrong == f"entry {place} was changed, or an entry before it"


@given(st.integers(1, ENTRIES), st.integers(0, 63), st.integers(1, 255))
def test_any_changed_byte_of_hash_or_signature_is_found(place: int, byte: int, flip: int) -> None:
    entries = written()
    entry = entries[place - 1]
    signature = bytearray(entry.signature or b"")
    signature[byte] ^= flip
    changed = replace(entry, signature=bytes(signature))
    assert not verify_entries([*entries[: place - 1], changed, *entries[place:]], public_keys=KEYS).ok
    found = bytearray(entry.hash)
    found[byte % 32] ^= flip
    assert not verify_entries([*entries[: place - 1], replace(entry, hash=bytes(found)), *entries[place:]]).ok


@given(st.integers(1, ENTRIES))
def test_gap_and_doubled_entry_are_found(place: int) -> None:
    entries = written()
    without = entries[: place - 1] + entries[place:]
    assert place == ENTRIES or verify_entries(without).wrong == f"entry {place} is missing"
    assert not verify_entries([*entries[:place], entries[place - 1], *entries[place:]]).ok


def test_cut_end_is_found_by_a_hash_that_somebody_kept() -> None:
    entries = written()
    assert verify_entries(entries[:-1], public_keys=KEYS).ok  # nothing in the rest says so
    found = verify_entries(entries[:-1], {ENTRIES: entries[-1].hash}, KEYS)
    assert found.wrong == f"entries after {ENTRIES - 1} are missing"


def test_rewritten_log_is_found_by_its_key_or_by_a_kept_hash() -> None:
    entries = written()
    by_stranger = rewritten(entries, 2, OTHER, who="nobody")
    assert verify_entries(by_stranger).ok
    assert "not the regulator's" in str(verify_entries(by_stranger, public_keys=KEYS).wrong)
    by_holder = rewritten(entries, 2, SIGNER, who="nobody")
    assert verify_entries(by_holder, public_keys=KEYS).ok
    assert verify_entries(by_holder, {4: entries[3].hash}, KEYS).wrong == "entry 4 is not the one that was written"


def test_signature_that_was_taken_away_is_found() -> None:
    entries = written()
    entries[3] = replace(entries[3], signature=None)
    assert "has no signature" in str(verify_entries(entries, public_keys=KEYS).wrong)


@pytest.fixture
async def database() -> InlineDatabase:
    made = InlineDatabase()

    def fill(connection: Connection) -> None:
        create_schema(connection, audit.TABLES)
        audit.prepare(connection)
        for number in range(1, ENTRIES + 1):
            audit.append(connection, access(number), SIGNER)

    await made.write(fill)
    return made


def spoil(column: sa.Column[Any], connection: Connection) -> None:
    ours = audit.audit.c.seq == 3
    kept: Any = connection.execute(sa.select(column).where(ours)).scalar()
    other: Any = bytes(len(kept)) if isinstance(kept, bytes) else kept + (1 if isinstance(kept, int) else "x")
    connection.execute(sa.update(audit.audit).where(ours).values({column: other}))


def lose(seq: int, connection: Connection) -> None:
    connection.execute(sa.delete(audit.audit).where(audit.audit.c.seq == seq))


async def test_every_column_of_the_database_is_covered(database: InlineDatabase) -> None:
    assert (await database.read(lambda c: verify_audit(c, public_keys=KEYS))).ok
    columns = [column for column in audit.audit.c if column.name != "seq"]
    for column in columns:
        copy = database.copy()
        await copy.write(partial(spoil, column))
        assert not (await copy.read(lambda c: verify_audit(c, public_keys=KEYS))).ok, column
        await copy.close()


async def test_deleted_rows_are_found(database: InlineDatabase) -> None:
    for lost in (1, 3, ENTRIES):
        copy = database.copy()
        await copy.write(partial(lose, lost))
        assert not (await copy.read(verify_audit)).ok
        await copy.close()


async def test_anchor_is_written_when_the_log_has_moved_on(database: InlineDatabase) -> None:
    documents: list[bytes] = []

    async def write(document: bytes) -> None:
        documents.append(document)

    anchorer = Anchorer(database, "supervision", SIGNER.public_key, write)
    first = await anchorer.anchor_newest()
    assert first == parse_anchor(documents[0])
    assert first is not None
    assert first.seq == ENTRIES
    assert await anchorer.anchor_newest() is None
    await database.write(lambda c: audit.append(c, access(7), SIGNER))
    assert (await anchorer.anchor_newest() or first).seq == ENTRIES + 1
    known = known_hashes(map(parse_anchor, documents))
    assert (await database.read(lambda c: verify_audit(c, known, KEYS))).held == 2


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"\xff", b"[" * 900, b" " * 2_000, b'{"log":"a","seq":0,"hash":"","key":""}']
)
def test_document_that_is_no_anchor_is_refused(document: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_anchor(document)


def test_anchors_that_contradict_each_other_are_refused() -> None:
    one, other = (AuditAnchor("a", 1, digit * 64, "a" * 64) for digit in "bc")
    with pytest.raises(RejectedError, match="one log was two"):
        known_hashes([one, other])
