"""Arguments of a method, from JSON (named or in order) and from a URI (CometBFT `rpc/jsonrpc/server`).

64-bit integers may be numbers or decimal strings. Bytes are base64 in JSON, but hex for `HEX`; in a URI both are
`0x…` or a quoted string that stands for itself.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, TypeVar

from local_chains.consortium.rpc.errors import internal, invalid_params

MAX_ARGUMENT_CHARS: Final = 256 * 1024
_INT64: Final = 2**63


class Kind(Enum):
    """What an argument is."""

    INTEGER = auto()
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


def from_json(signature: Signature, params: Any) -> Arguments:
    """Raises `RpcError` for arguments of the wrong kind; unknown names are ignored, as CometBFT does."""
    if params is None:
        return {}
    if isinstance(params, Sequence) and not isinstance(params, str):
        if len(params) > len(signature):
            raise invalid_params(f"expected {len(signature)} parameters, got {len(params)}")
        params = dict(zip(signature, params, strict=False))
    if not isinstance(params, dict):
        raise invalid_params("params are a list or an object")
    return {
        name: _json_value(name, kind, params[name]) for name, kind in signature.items() if params.get(name) is not None
    }


def from_uri(signature: Signature, query: Mapping[str, str]) -> Arguments:
    """Raises `RpcError` for arguments of the wrong kind."""
    return {name: _uri_value(name, kind, query[name]) for name, kind in signature.items() if query.get(name)}


def ordered(arguments: Arguments, ascending: Sequence[T], default: str) -> Sequence[T]:
    """Items in the order of `order_by`, which is `default` where it is left out. Raises `RpcError`."""
    order = arguments.get("order_by", "") or default
    if order not in ("asc", "desc"):
        raise internal("expected order_by to be either `asc` or `desc` or empty")
    return ascending if order == "asc" else ascending[::-1]


def page_of(arguments: Arguments, items: Sequence[T]) -> Sequence[T]:
    """The items of `page`, from 1. Raises `RpcError` for a page that is none."""
    per_page = arguments.get("per_page", DEFAULT_PER_PAGE)
    per_page = DEFAULT_PER_PAGE if per_page < 1 else min(per_page, MAX_PER_PAGE)
    pages = max(1, (len(items) + per_page - 1) // per_page)
    page = arguments.get("page", 1)
    if not 1 <= page <= pages:
        raise internal(f"page should be within [1, {pages}] range, given {page}")
    return items[(page - 1) * per_page : page * per_page]


def _json_value(name: str, kind: Kind, value: Any) -> Any:
    if kind is Kind.INTEGER and type(value) in (int, str):
        return _integer(name, value)
    if kind is Kind.BOOLEAN and isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= MAX_ARGUMENT_CHARS:
        if kind is Kind.STRING:
            return value
        if kind is Kind.HEX:
            return _hex(name, value.removeprefix("0x"))
        if kind is Kind.BYTES:
            return _base64(name, value)
    raise invalid_params(f"error converting json params to arguments: {name} is not a {kind.name.lower()}")


def _uri_value(name: str, kind: Kind, text: str) -> Any:
    if len(text) > MAX_ARGUMENT_CHARS:
        raise invalid_params(f"error parsing parameter {name}: it is too long")
    quoted = len(text) >= 2 and text[0] == text[-1] == '"'
    if kind is Kind.INTEGER:
        return _integer(name, text[1:-1] if quoted else text)
    if kind is Kind.BOOLEAN and text in ("true", "false"):
        return text == "true"
    if kind in (Kind.BYTES, Kind.HEX) and text.startswith("0x"):
        return _hex(name, text[2:])
    if quoted:
        plain = _unquoted(name, text)
        return plain if kind is Kind.STRING else plain.encode()
    raise invalid_params(f"error parsing parameter {name}: {text[:64]!r} is not a {kind.name.lower()}")


def _integer(name: str, value: Any) -> int:
    try:
        number = int(value) if len(str(value)) <= 20 else _INT64
    except ValueError:
        number = _INT64
    if not -_INT64 <= number < _INT64:
        raise invalid_params(f"error parsing parameter {name}: it is not a 64-bit integer")
    return number


def _hex(name: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise invalid_params(f"error parsing parameter {name}: it is not hex") from None


def _base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_params(f"error parsing parameter {name}: it is not base64") from None


def _unquoted(name: str, text: str) -> str:
    try:
        plain = json.loads(text)
    except ValueError:
        plain = None
    if not isinstance(plain, str):
        raise invalid_params(f"error parsing parameter {name}: it is not a quoted string")
    return plain
