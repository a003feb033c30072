"""Strict JSON in one form only: sorted members, no spaces, ASCII. What does not re-encode to itself is refused."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from core.proofs.errors import MalformedProofError

MAX_DOCUMENT_BYTES = 1 << 20
MAX_NESTING = 24

V = TypeVar("V")

_HEX = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)
_DECIMAL = re.compile(r"0|[1-9]\d{0,77}", re.ASCII)
# A string, or an unfinished one up to the end: possessive and without a way to fail, so that scanning stays linear.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def dump(value: Any) -> bytes:
    """The canonical bytes of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def load(data: bytes, *, any_layout: bool = False) -> Any:
    """Parse canonical bytes, or with `any_layout` those of a person, indented and ordered at will.

    Raise MalformedProofError when too large, too deep, in any other form, or when a member stands twice.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise MalformedProofError("document is too large", limit=MAX_DOCUMENT_BYTES)
    try:
        document = data.decode("ascii")
        if _nesting(document) > MAX_NESTING:
            raise MalformedProofError("document is nested too deeply", limit=MAX_NESTING)
        value = json.loads(document, parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_refuse_doubles)
        canonical = dump(value)
    except (ValueError, RecursionError) as error:
        raise MalformedProofError("document is not JSON") from error
    if canonical != data and not any_layout:
        raise MalformedProofError("document is not in its canonical form")
    return value


def members(value: Any, *names: str) -> Mapping[str, Any]:
    """The value as an object with exactly these members. Raise MalformedProofError."""
    if not isinstance(value, dict) or set(value) != set(names):
        raise MalformedProofError("object does not have exactly its members", expected=sorted(names))
    return value


def items(value: Any, limit: int) -> list[Any]:
    """The value as a list of at most `limit`."""
    if not isinstance(value, list) or len(value) > limit:
        raise MalformedProofError("not a list within its limit", limit=limit)
    return value


def text(value: Any, limit: int) -> str:
    """The value as a string of at most `limit` characters."""
    if not isinstance(value, str) or len(value) > limit:
        raise MalformedProofError("not a string within its limit", limit=limit)
    return value


def integer(value: Any, high: int = (1 << 63) - 1) -> int:
    """The value as a JSON number, 0 ≤ n ≤ high."""
    if type(value) is not int or not 0 <= value <= high:
        raise MalformedProofError("not a whole number in its range", high=high)
    return value


def decimal(value: Any, high: int) -> int:
    """The value as a decimal string, 0 ≤ n ≤ high; for amounts, which JSON numbers cannot hold."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or int(value) > high:
        raise MalformedProofError("not a decimal number in its range", high=high)
    return int(value)


def boolean(value: Any) -> bool:
    """The value as true or false."""
    if not isinstance(value, bool):
        raise MalformedProofError("neither true nor false")
    return value


def hex_bytes(value: Any, limit: int) -> bytes:
    """The value as lower-case hex of at most `limit` bytes."""
    if not isinstance(value, str) or len(value) > 2 * limit or not _HEX.fullmatch(value):
        raise MalformedProofError("not lower-case hex within its limit", limit=limit)
    return bytes.fromhex(value)


def optional(value: Any, read: Callable[[Any], V]) -> V | None:
    """None for null, else what `read` makes of it."""
    return None if value is None else read(value)


def _refuse(token: str) -> NoReturn:
    raise ValueError(f"{token} is not allowed")


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _nesting(document: str) -> int:
    """How deep brackets nest outside strings, found before parsing, since parsers recurse."""
    depth = deepest = 0
    for character in re.sub(r"[^\[\]{}]", "", _STRING.sub("", document)):
        depth += 1 if character in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
