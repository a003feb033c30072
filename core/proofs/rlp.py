"""Recursive Length Prefix, strict: one value has one encoding, every other is refused.

Source: Ethereum Yellow Paper, appendix "Recursive Length Prefix". Written here rather than taken from the `rlp`
package because untrusted input has to be bounded in depth and size.
"""

from typing import Union

from core.proofs.errors import MalformedProofError

MAX_DEPTH = 8
MAX_BYTES = 1 << 22

Rlp = Union[bytes, list["Rlp"]]  # noqa: UP007 (a forward reference has no `|`)

_STRING = 0x80
_LIST = 0xC0
_LONG = 55


def encode(value: Rlp) -> bytes:
    """Encode bytes or nested lists of bytes."""
    if isinstance(value, bytes):
        if len(value) == 1 and value[0] < _STRING:
            return value
        return _prefix(len(value), _STRING) + value
    body = b"".join(encode(item) for item in value)
    return _prefix(len(body), _LIST) + body


def encode_integer(value: int) -> bytes:
    """Bytes of a scalar: big-endian without leading zeros, empty for zero. Not yet RLP-encoded."""
    if value < 0:
        raise MalformedProofError("RLP scalars are not negative")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def decode(data: bytes) -> Rlp:
    """Decode exactly one item that fills `data`. Raise MalformedProofError."""
    if len(data) > MAX_BYTES:
        raise MalformedProofError("RLP item is too large", limit=MAX_BYTES)
    item, end = _decode_item(data, 0, len(data), 0)
    if end != len(data):
        raise MalformedProofError("RLP item has bytes behind it")
    return item


def decode_list(data: bytes) -> list[Rlp]:
    """Decode exactly one list. Raise MalformedProofError."""
    return as_list(decode(data))


def as_list(item: Rlp) -> list[Rlp]:
    """The item as a list. Raise MalformedProofError for a string."""
    if not isinstance(item, list):
        raise MalformedProofError("RLP item is not a list")
    return item


def as_bytes(item: Rlp, size: int | None = None) -> bytes:
    """The item as a string, of exactly `size` bytes if given. Raise MalformedProofError."""
    if not isinstance(item, bytes) or (size is not None and len(item) != size):
        raise MalformedProofError("RLP item is not a string of the expected size", size=size)
    return item


def as_integer(item: Rlp, max_bytes: int = 32) -> int:
    """The item as a scalar without leading zeros. Raise MalformedProofError."""
    raw = as_bytes(item)
    if len(raw) > max_bytes or raw[:1] == b"\x00":
        raise MalformedProofError("RLP scalar is not minimal or too large", max_bytes=max_bytes)
    return int.from_bytes(raw, "big")


def _prefix(length: int, base: int) -> bytes:
    if length <= _LONG:
        return bytes([base + length])
    size = encode_integer(length)
    return bytes([base + _LONG + len(size)]) + size


def _decode_item(data: bytes, start: int, limit: int, depth: int) -> tuple[Rlp, int]:
    if depth > MAX_DEPTH:
        raise MalformedProofError("RLP is nested too deeply", limit=MAX_DEPTH)
    if start >= limit:
        raise MalformedProofError("RLP item is cut short")
    first = data[start]
    if first < _STRING:
        return data[start : start + 1], start + 1
    base = _STRING if first < _LIST else _LIST
    body, length = start + 1, first - base
    if length > _LONG:
        body, length = _long_length(data, body, length - _LONG, limit)
    end = body + length
    if end > limit:
        raise MalformedProofError("RLP item is cut short")
    if base == _STRING:
        if length == 1 and data[body] < _STRING:
            raise MalformedProofError("RLP single byte is not canonical")
        return data[body:end], end
    items: list[Rlp] = []
    while body < end:
        item, body = _decode_item(data, body, end, depth + 1)
        items.append(item)
    return items, end


def _long_length(data: bytes, start: int, size: int, limit: int) -> tuple[int, int]:
    raw = data[start : start + size]
    if start + size > limit or raw[0] == 0:
        raise MalformedProofError("RLP length is not canonical")
    length = int.from_bytes(raw, "big")
    if length <= _LONG:
        raise MalformedProofError("RLP length is not canonical")
    return start + size, length
