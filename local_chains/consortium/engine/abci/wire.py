"""Protobuf as Go's decoder reads it, for requests that may be as large as a block and hold two million fields.

`core.proofs.protobuf` is stricter: what is hashed and signed has one form. Here only the work is bounded, by the bytes.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from core.proofs.cometbft.types import Timestamp
from core.proofs.errors import MalformedProofError
from core.proofs.protobuf import WIRE_BYTES, WIRE_FIXED64, WIRE_VARINT

WIRE_FIXED32: Final = 5
MAX_VARINT_SHIFT: Final = 63
_LENGTHS: Final = {WIRE_FIXED64: 8, WIRE_FIXED32: 4}
_UINT64: Final = (1 << 64) - 1


class Kind(IntEnum):
    """The type of a field; a `LIST` is of bytes."""

    BYTES = 0
    TEXT = 1
    INTEGER = 2
    LIST = 3
    TIME = 4


Fields = Mapping[int, tuple[str, Kind]]
"""By number: the name that a field's value is returned under, and its kind."""
_TIMESTAMP: Final[Fields] = {1: ("seconds", Kind.INTEGER), 2: ("nanos", Kind.INTEGER)}


def decode(body: bytes, fields: Fields) -> dict[str, Any]:
    """The values of a message's fields by name; others are skipped. Raise `MalformedProofError`."""
    values: dict[str, Any] = {}
    lists: dict[str, list[bytes]] = {}
    offset = 0
    while offset < len(body):
        number, wire, value, after = field_at(body, offset)
        if number not in fields:
            offset = after
            continue
        name, kind = fields[number]
        if wire != (WIRE_VARINT if kind is Kind.INTEGER else WIRE_BYTES):
            raise MalformedProofError("a field of this request has another type", field=name)
        if kind is Kind.LIST:
            after = _run(body, offset, lists.setdefault(name, []))
        else:
            values[name] = _converted(value, kind)
        offset = after
    return values | {name: tuple(entries) for name, entries in lists.items()}


def _run(raw: bytes, offset: int, into: list[bytes]) -> int:
    """Append the values of all fields from `offset` on that have the same key, and return where they end.

    A block may have two million entries: this is the loop that they go through.
    """
    _, start = _integer(raw, offset)
    key, width, end, append = raw[offset:start], start - offset, len(raw), into.append
    while raw.startswith(key, offset) and offset + width < end:
        offset += width
        length = raw[offset]
        if length < 0x80:
            offset += 1
        else:
            length, offset = _integer(raw, offset)
        after = offset + length
        if after > end:
            raise MalformedProofError("protobuf field is cut short")
        append(raw[offset:after])
        offset = after
    return offset


def field_at(raw: bytes, offset: int) -> tuple[int, int, Any, int]:
    """(number, wire type, value, where it ends) of the field at `offset`, as Go's decoder reads it: an integer may take
    more bytes than it needs, groups are refused. Raise `MalformedProofError`."""
    key, offset = _integer(raw, offset)
    number, wire = key >> 3, key & 7
    if wire == WIRE_VARINT:
        value, offset = _integer(raw, offset)
        return number, wire, value, offset
    if wire == WIRE_BYTES:
        length, offset = _integer(raw, offset)
    elif wire in _LENGTHS:
        length = _LENGTHS[wire]
    else:
        raise MalformedProofError("protobuf wire type is not supported", wire=wire)
    if length > len(raw) - offset:
        raise MalformedProofError("protobuf field is cut short", number=number)
    return number, wire, raw[offset : offset + length], offset + length


def _integer(raw: bytes, offset: int) -> tuple[int, int]:
    """An unsigned integer of 64 bits and where it ends. Raise `MalformedProofError`."""
    value = 0
    for shift in range(0, MAX_VARINT_SHIFT + 1, 7):
        if offset >= len(raw):
            raise MalformedProofError("varint is cut short")
        byte = raw[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _UINT64, offset
    raise MalformedProofError("varint is too long")


def _converted(value: Any, kind: Kind) -> Any:
    if kind is Kind.INTEGER:
        return _signed(value)
    if kind is Kind.TIME:
        parts = decode(value, _TIMESTAMP)
        return Timestamp(parts.get("seconds", 0), parts.get("nanos", 0))
    # Texts come from clients and peers, too, and Go passes on what is not UTF-8.
    return value.decode(errors="replace") if kind is Kind.TEXT else value


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
