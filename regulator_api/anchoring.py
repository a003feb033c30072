"""The end of the audit log, written down where others keep it: a record of a consortium chain, one version an anchor.

A trigger only enqueues; the worker looks at the log's head, and writes it if it has moved on since the last anchor.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Final

import msgspec

from core.model.errors import RejectedError
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from regulator_api import audit

MAX_DOCUMENT_BYTES: Final = 1_024
log = get_logger("regulator_api.anchoring")

Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Write = Callable[[bytes], Awaitable[object]]
"""Writes a document as the next version of the record, and returns once a block holds it."""


class AuditAnchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document: number and hash of the log's last entry, and the public key that entries are signed with."""

    log: str
    seq: Annotated[int, msgspec.Meta(ge=1)]
    hash: Hex32
    key: Hex32


def parse_anchor(document: bytes) -> AuditAnchor:
    """Raise `RejectedError` for a document that is not an anchor."""
    if len(document) > MAX_DOCUMENT_BYTES:
        raise RejectedError(f"an anchor has at most {MAX_DOCUMENT_BYTES} bytes")
    try:
        return msgspec.json.decode(document, type=AuditAnchor)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"this version of the record is not an anchor of an audit log: {error}") from None


def known_hashes(anchors: Iterable[AuditAnchor]) -> dict[int, bytes]:
    """Return the hashes that anchors keep, by entry number. Raise `RejectedError` for two that contradict."""
    found: dict[int, bytes] = {}
    for anchor in anchors:
        kept = bytes.fromhex(anchor.hash)
        if found.setdefault(anchor.seq, kept) != kept:
            raise RejectedError(f"two anchors name different hashes of entry {anchor.seq}: one log was two")
    return found


class Anchorer:
    """Writes the head of one log. `name` is the log's, `public_key` that of its signatures."""

    def __init__(self, database: Database, name: str, public_key: bytes, write: Write) -> None:
        self._database = database
        self._name = name
        self._public_key = public_key
        self._write = write
        self._written = 0
        self._asked = Signal()

    def trigger(self) -> None:
        """Ask for an anchor of what stands in the log now."""
        self._asked.notify()

    async def run(self) -> None:
        """Answer triggers for ever."""
        answered = 0
        while True:
            await self._asked.wait_beyond(answered)
            answered = self._asked.count
            await self.anchor_newest()

    async def anchor_newest(self) -> AuditAnchor | None:
        """Write the head, and return it; None if it is written already, or the log is empty.

        Raise what `write` raises.
        """
        seq, head = await self._database.read(audit.head_of)
        if seq <= self._written:
            return None
        anchor = AuditAnchor(self._name, seq, head.hex(), self._public_key.hex())
        await self._write(msgspec.json.encode(anchor))
        self._written = seq
        log.info("the audit log is anchored", seq=seq)
        return anchor
