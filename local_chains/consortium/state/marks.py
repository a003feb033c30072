"""Which blocks may hold an event: four bytes for each distinct attribute of a block, so that a search reads few blocks.

An index of every attribute would write as much as the ledger itself. A mark may be that of another attribute, too
(CRC-32): whoever searches reads the block to be sure.
"""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

MARK_BYTES: Final = 4


def attribute_mark(name: str, value: str) -> bytes:
    """The mark of the attribute `name` (`type.key`) with this value."""
    return crc32(f"{name}={value}".encode()).to_bytes(MARK_BYTES, "big")


def name_mark(name: str) -> bytes:
    """The mark of the attribute `name`, whatever its value."""
    return crc32(name.encode()).to_bytes(MARK_BYTES, "big")


def block_marks(attributes: Iterable[tuple[str, str]]) -> bytes:
    """All marks of a block's attributes, (`type.key`, value)."""
    distinct = set(attributes)
    marks = {crc32(f"{name}={value}".encode()) for name, value in distinct}
    marks.update(crc32(name.encode()) for name in {name for name, _ in distinct})
    return b"".join([mark.to_bytes(MARK_BYTES, "big") for mark in marks])


def may_hold(marks: bytes, wanted: Iterable[bytes]) -> bool:
    """Return true if all wanted marks are among these."""
    return all(_holds(marks, mark) for mark in wanted)


def _holds(marks: bytes, mark: bytes) -> bool:
    place = marks.find(mark)
    while place >= 0 and place % MARK_BYTES:
        place = marks.find(mark, place + 1)
    return place >= 0
