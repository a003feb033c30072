"""Arguments of a method, from JSON (named or in order) and from a URI (CometBFT `rpc/jsonrpc/server`, `libs/json`).

In JSON, 64-bit integers are decimal strings, never numbers; bytes are base64 or a list of numbers, and hex without `0x`
for `HEX`. In a URI integers stand as they are, bytes of both kinds are `0x…` or a quoted string that stands for itself,
and everything else is JSON.
"""

import base64
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, TypeVar

import msgspec

from local_chains.consortium.rpc.errors import internal, invalid_params
from local_chains.consortium.rpc.leniency import repaired

MAX_ARGUMENT_CHARS: Final = 256 * 1024
_INT64: Final = 2**63
_UINT64: Final = 2**64
_SPACE: Final = b" \t\r\n"
_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,19})")
_URI_INTEGER: Final = re.compile(r"-?[0-9]+", re.ASCII)
_HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2})*")
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Kind(Enum):
    """The kind of an argument. `INTEGER` has 64 bits with a sign, `NATURAL` without."""

    INTEGER = auto()
    NATURAL = auto()
    BOOLEAN = auto()
    STRING = auto()
    BYTES = auto()
    HEX = auto()


Signature = Mapping[str, Kind]
"""Names and kinds of a method's arguments, in order; any may be left out."""
Arguments = dict[str, Any]
T = TypeVar("T")

PAGES: Final[Signature] = {"page": Kind.INTEGER, "per_page": Kind.INTEGER}
ORDER: Final[Signature] = {"order_by": Kind.STRING}
DEFAULT_PER_PAGE: Final = 30
MAX_PER_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Method:
    """A method's arguments and what answers it."""

    signature: Signature
    answer: Callable[[Arguments], Awaitable[Any]]


def from_json(signature: Signature, params: bytes | None) -> Arguments:
    """Raise `RpcError` for arguments of the wrong kind; unknown names are ignored, as CometBFT does."""
    if params is None:
        return {}
    try:
        given = _given(signature, params)
        return {name: value for name, kind in signature.items() if (value := _json(kind, given.get(name))) is not None}
    except (ValueError, RecursionError) as error:
        raise invalid_params(f"error converting json params to arguments: {error}") from None


def from_uri(signature: Signature, query: Mapping[str, str]) -> Arguments:
    """Raise `RpcError` for arguments of the wrong kind."""
    try:
        return {
            name: value
            for name, kind in signature.items()
            if query.get(name) and (value := _uri(kind, query[name])) is not None
        }
    except (ValueError, RecursionError) as error:
        raise invalid_params(f"error converting http params to arguments: {error}") from None


def ordered(arguments: Arguments, ascending: Sequence[T], default: str) -> Sequence[T]:
    """Items in the order of `order_by`, which is `default` if it is left out. Raise `RpcError`."""
    order = arguments.get("order_by", "") or default
    if order not in ("asc", "desc"):
        raise internal("expected order_by to be either `asc` or `desc` or empty")
    return ascending if order == "asc" else ascending[::-1]


def page_of(arguments: Arguments, items: Sequence[T]) -> Sequence[T]:
    """The items of `page`, from 1. Raise `RpcError` for an invalid page."""
    per_page = arguments.get("per_page", DEFAULT_PER_PAGE)
    per_page = DEFAULT_PER_PAGE if per_page < 1 else min(per_page, MAX_PER_PAGE)
    pages = max(1, (len(items) + per_page - 1) // per_page)
    page = arguments.get("page", 1)
    if not 1 <= page <= pages:
        raise internal(f"page should be within [1, {pages}] range, given {page}")
    return items[(page - 1) * per_page : page * per_page]


def _given(signature: Signature, params: bytes) -> dict[str, bytes]:
    """Each argument's JSON by its name."""
    if params.startswith(b"["):
        items = _items(params)
        if len(items) != len(signature):
            raise ValueError(f"expected {len(signature)} parameters ({list(signature)}), got {len(items)}")
        return {name: bytes(item) for name, item in zip(signature, items, strict=True)}
    if params == b"null":
        return {}
    return {name: bytes(value) for name, value in _members(params).items()}


def _json(kind: Kind, raw: bytes | None) -> Any:
    """The value of one argument's JSON, None for null. Raise `ValueError`."""
    if raw is None or raw == b"null":
        return None
    if len(raw) > MAX_ARGUMENT_CHARS:
        raise ValueError("the argument is too long")
    match kind:
        case Kind.INTEGER:
            return _integer(_inside(raw, "64-bit integer"), -_INT64, _INT64)
        case Kind.NATURAL:
            return _integer(_inside(raw, "64-bit integer"), 0, _UINT64)
        case Kind.HEX:
            return _hex(_inside(raw, "hex string"))
        case Kind.BOOLEAN:
            return msgspec.json.decode(raw, type=bool)
        case Kind.STRING:
            return msgspec.json.decode(raw, type=str)
        case Kind.BYTES:
            return _bytes(msgspec.json.decode(raw))


def _uri(kind: Kind, text: str) -> Any:
    if len(text) > MAX_ARGUMENT_CHARS:
        raise ValueError("the argument is too long")
    if kind in (Kind.INTEGER, Kind.NATURAL) and _URI_INTEGER.fullmatch(text):
        return _json(kind, f'"{text}"'.encode())
    if text[:2].lower() == "0x":
        if kind not in (Kind.STRING, Kind.BYTES, Kind.HEX):
            raise ValueError(f"got a hex string arg, but expected '{kind.name.lower()}'")
        value = _hex(text[2:].encode(errors="surrogateescape"))
        return value.decode(errors="replace") if kind is Kind.STRING else value
    if kind in (Kind.BYTES, Kind.HEX) and text[0] == text[-1] == '"':
        plain: str = msgspec.json.decode(_raw(text), type=str)
        return plain.encode()
    return _json(kind, _raw(text).strip(_SPACE))


def _raw(text: str) -> bytes:
    return repaired(text.encode(errors="surrogateescape"))


def _inside(raw: bytes, what: str) -> bytes:
    """Return what stands between the quotes, as it stands there."""
    if len(raw) < 2 or raw[:1] != b'"' or raw[-1:] != b'"':
        raise ValueError(f"invalid {what} encoding, expected string")
    return raw[1:-1]


def _integer(text: bytes, low: int, high: int) -> int:
    number = text.strip(_SPACE)
    if number == b"null":
        return 0
    if not _NUMBER.fullmatch(number) or (number[:1] == b"-" and not low):
        raise ValueError("it is not a whole number")
    if not low <= int(number) < high:
        raise ValueError("the number has more than 64 bits")
    return int(number)


def _hex(text: bytes) -> bytes:
    if not _HEX.fullmatch(text):
        raise ValueError("it is not hex")
    return bytes.fromhex(text.decode())


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        # Line ends do not belong to base64 text (Go's `encoding/base64`).
        text = value.replace("\r", "").replace("\n", "")
        if not _BASE64.fullmatch(text):
            raise ValueError("it is not base64")
        return base64.b64decode(text)
    if isinstance(value, list) and all(item is None or (type(item) is int and 0 <= item < 256) for item in value):
        return bytes(item or 0 for item in value)
    raise ValueError("it is not base64")
