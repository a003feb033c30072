"""Requests that come by the thousand, read by hand if they are written exactly as CometBFT writes them.

`messages.decode_request` reads them, too, and everything else.
"""

from typing import Final

from core.proofs.protobuf import WIRE_BYTES, message_field, varint_field

_CHECK_TX: Final = 8 << 3 | WIRE_BYTES
_CHECK_TX_TX: Final = 1 << 3 | WIRE_BYTES
_CHECK_TX_AGAIN: Final = varint_field(2, 1)
"""A check of something that waits already."""
FLUSH: Final = message_field(2, b"")
"""RequestFlush, which follows almost every CheckTx, as CometBFT writes it."""


def plain_check_tx(raw: bytes) -> bytes | None:
    """Return the transaction in a RequestCheckTx that is written as CometBFT writes it, None for any other bytes.

    Most of what a node sends are these, and `decode_request` reads them, too.
    """
    try:
        if raw[0] != _CHECK_TX:
            return None
        length, at = _short_length(raw, 1)
        if at + length != len(raw):
            return None
        if not length:
            return b""
        if raw[at] != _CHECK_TX_TX:
            return None
        length, at = _short_length(raw, at + 1)
    except IndexError:
        return None
    end = at + length
    return raw[at:end] if length and (end == len(raw) or (end < len(raw) and raw[end:] == _CHECK_TX_AGAIN)) else None


def _short_length(raw: bytes, at: int) -> tuple[int, int]:
    """A length of at most three bytes and where it ends. Raise `IndexError` for a longer one."""
    value = raw[at]
    if value < 0x80:
        return value, at + 1
    second = raw[at + 1]
    if second < 0x80:
        return value & 0x7F | second << 7, at + 2
    third = raw[at + 2]
    if third < 0x80:
        return value & 0x7F | (second & 0x7F) << 7 | third << 14, at + 3
    raise IndexError
