"""The few deterministic protobuf encodings that CometBFT hashes and signs, and a bounded decoder.

Encoding follows proto3 as gogoproto emits it: fields in ascending order, scalar defaults omitted, embedded
non-nullable messages always present. Source: protobuf.dev "Encoding", CometBFT spec "Encoding".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core.proofs.errors import MalformedProofError

MAX_VARINT_BYTES = 10
MAX_FIELD_NUMBER = (1 << 29) - 1
MAX_MESSAGE_FIELDS = 4096

WIRE_VARINT = 0
WIRE_FIXED64 = 1
WIRE_BYTES = 2

_UINT64 = 1 << 64
_SHORT = [bytes([value]) for value in range(0x80)]
"""The varints of one byte: most fields and lengths."""


@dataclass(frozen=True, slots=True)
class Field:
    """One decoded field; `value` is an unsigned integer for varint and fixed64, bytes otherwise."""

    number: int
    wire: int
    value: int | bytes


def varint(value: int) -> bytes:
    """Base-128 varint; a negative number is its 64-bit two's complement, ten bytes long."""
    if 0 <= value < len(_SHORT):
        return _SHORT[value]
    if not -(_UINT64 >> 1) <= value < _UINT64:
        raise MalformedProofError("integer does not fit a 64-bit varint", value=value)
    remaining = value % _UINT64
    encoded = bytearray()
    while remaining > 0x7F:
        encoded.append(remaining & 0x7F | 0x80)
        remaining >>= 7
    encoded.append(remaining)
    return bytes(encoded)


def varint_field(number: int, value: int) -> bytes:
    """Scalar integer field; zero is the proto3 default and is omitted."""
    return varint(number << 3 | WIRE_VARINT) + varint(value) if value else b""


def sfixed64_field(number: int, value: int) -> bytes:
    """Signed 64-bit little-endian field, omitted when zero."""
    if not value:
        return b""
    if not -(1 << 63) <= value < 1 << 63:
        raise MalformedProofError("integer does not fit sfixed64", value=value)
    return varint(number << 3 | WIRE_FIXED64) + value.to_bytes(8, "little", signed=True)


def bytes_field(number: int, value: bytes) -> bytes:
    """Bytes or string field, omitted when empty."""
    return message_field(number, value) if value else b""


def message_field(number: int, body: bytes) -> bytes:
    """Embedded message, repeated bytes or oneof member: present even when empty."""
    return varint(number << 3 | WIRE_BYTES) + varint(len(body)) + body


def delimited(body: bytes) -> bytes:
    """Length-prefixed message, the framing of CometBFT sign bytes and sockets."""
    return varint(len(body)) + body


def decode_varint(data: bytes, offset: int) -> tuple[int, int]:
    """Return (unsigned value, next offset). Overlong forms are refused, so that an encoding is unique."""
    value = 0
    for length in range(MAX_VARINT_BYTES):
        if offset + length >= len(data):
            raise MalformedProofError("varint is cut short")
        byte = data[offset + length]
        value |= (byte & 0x7F) << 7 * length
        if byte < 0x80:
            if value >= _UINT64 or (length and not byte):
                raise MalformedProofError("varint is not canonical")
            return value, offset + length + 1
    raise MalformedProofError("varint is too long")


def decode_fields(data: bytes, *, max_fields: int = MAX_MESSAGE_FIELDS) -> Iterator[Field]:
    """Yield the fields of a message in order. Raise MalformedProofError; groups and fixed32 are refused."""
    offset = 0
    for _ in range(max_fields):
        if offset == len(data):
            return
        key, offset = decode_varint(data, offset)
        number, wire = key >> 3, key & 7
        if not 0 < number <= MAX_FIELD_NUMBER:
            raise MalformedProofError("protobuf field number is out of range", number=number)
        if wire == WIRE_VARINT:
            value, offset = decode_varint(data, offset)
            yield Field(number, wire, value)
            continue
        if wire == WIRE_FIXED64:
            length = 8
        elif wire == WIRE_BYTES:
            length, offset = decode_varint(data, offset)
        else:
            raise MalformedProofError("protobuf wire type is not supported", wire=wire)
        if length > len(data) - offset:
            raise MalformedProofError("protobuf field is cut short", number=number)
        chunk = data[offset : offset + length]
        offset += length
        yield Field(number, wire, int.from_bytes(chunk, "little") if wire == WIRE_FIXED64 else chunk)
    if offset != len(data):
        raise MalformedProofError("protobuf message has too many fields", limit=max_fields)
