"""Which blocks may hold an event: four bytes for each distinct attribute of a block, so that a search reads few blocks.

An index of every attribute would write as much as the ledger itself. A mark may be that of another attribute, too
(CRC-32): whoever searches reads the block to be sure.
"""

from binascii import hexlify
from collections.abc import Iterable
from functools import cache
from struct import pack
from typing import Final
from zlib import crc32

from core.model.consortium import LedgerEvent

MARK_BYTES: Final = 4


def attribute_mark(name: str, value: str) -> bytes:
    """The mark of the attribute `name` (`type.key`) with this value."""
    return crc32(f"{name}={value}".encode()).to_bytes(MARK_BYTES, "big")


def name_mark(name: str) -> bytes:
    """The mark of the attribute `name`, whatever its value."""
    return crc32(name.encode()).to_bytes(MARK_BYTES, "big")


def block_marks(events: Iterable[LedgerEvent]) -> bytes:
    """All marks of a block's events."""
    marks: set[int] = set()
    for event in events:
        names, seeds = _seeds(type(event))
        marks |= names
        for field, seed in seeds:
            value = getattr(event, field)
            marks.add(crc32(hexlify(value) if type(value) is bytes else str(value).encode(), seed))
    return pack(f">{len(marks)}I", *marks)


@cache
def _seeds(kind: type[LedgerEvent]) -> tuple[frozenset[int], tuple[tuple[str, int], ...]]:
    """(the marks of a kind's attributes, each attribute with the mark that those of its values go on from)."""
    names = {field: f"{kind.__struct_config__.tag}.{field}" for field in kind.__struct_fields__}
    marks = frozenset(crc32(name.encode()) for name in names.values())
    return marks, tuple((field, crc32(f"{name}=".encode())) for field, name in names.items())


def may_hold(marks: bytes, wanted: Iterable[bytes]) -> bool:
    """Return true if all wanted marks are among these."""
    return all(_holds(marks, mark) for mark in wanted)


def _holds(marks: bytes, mark: bytes) -> bool:
    place = marks.find(mark)
    while place >= 0 and place % MARK_BYTES:
        place = marks.find(mark, place + 1)
    return place >= 0
