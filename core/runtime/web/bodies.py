"""Bodies and query strings into msgspec Structs, with errors that point at the part that is wrong, and answers out."""

import asyncio
import json
import re
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from core.runtime.web.connections import has_left, reading
from core.runtime.web.problems import Problem
from core.runtime.web.routes import TAKEN, Flag

S = TypeVar("S", bound=msgspec.Struct)

MAX_BODY_BYTES: Final = 64 * 1024
BODY_S: Final = 10.0
"""For a whole body to arrive."""
MAX_CODED_PARTS: Final = 16
"""Members of one gzip body (RFC 1952 section 2.2)."""
MAX_EXACT_FLOAT: Final = 2**53
"""Floats up to it have every integer (IEEE 754, binary64)."""
MAX_INTEGER_CHARS: Final = 400
"""A longer one is beyond what any field takes."""
_WINDOWS: Final[Mapping[str, tuple[int, ...]]] = {
    "gzip": (zlib.MAX_WBITS | 16,),
    "x-gzip": (zlib.MAX_WBITS | 16,),
    # RFC 9110 means the zlib format; some clients send the bare stream.
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
}

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")


async def read_body(request: web.Request, kind: type[S]) -> S:
    """The JSON body as a `kind`.

    Raise a `Problem`: 415 for another content type, charset or coding, 400 for a body that is not JSON or not in its
    coding, 408 for one that does not arrive within `BODY_S`, 413 for more than `MAX_BODY_BYTES`, 422 with the RFC 6901
    pointer of what does not fit `kind`.
    """
    _check_json(request)
    raw = await read_bytes(request)
    try:
        try:
            found = msgspec.json.decode(raw, type=kind)
            json.loads(raw, object_pairs_hook=_distinct, parse_int=str, parse_float=str, parse_constant=str)
        except msgspec.ValidationError as error:
            if "got `float`" not in str(error):
                raise
            # 5.0 and 5e0 are integers in JSON Schema (2020-12, section 4.2.3), and so in our OpenAPI document.
            found = msgspec.convert(_loosely(raw), kind)
    except msgspec.ValidationError as error:
        raise _invalid(error, "body") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem(400, "malformed-json", "The body is not JSON", f"The body cannot be read: {error}.") from None
    return found


async def read_bytes(request: web.Request) -> bytes:
    """The body without its content codings, at most as many bytes as the application takes.

    Raise a `Problem` as `read_body` does: 400, 408, 413 or 415.
    """
    codings = _codings(request)
    raw = await read_sent(request)
    limit = request.client_max_size
    for coding in reversed(codings):
        raw = _decoded(raw, coding, limit)
    return raw


async def read_sent(request: web.Request) -> bytes:
    """The body as it was sent, whatever its headers say of it, at most as many bytes as the application takes.

    Raise a `Problem` as `read_body` does: 400, 408 or 413.
    """
    try:
        with reading(request):
            async with asyncio.timeout(BODY_S):
                return await request.read()
    except TimeoutError:
        raise Problem(
            408,
            "body-too-slow",
            "The body does not arrive",
            f"The rest of the body did not arrive within {BODY_S:g} s: send it again, faster or shorter.",
            headers={"Connection": "close"},
        ) from None
    except web.RequestPayloadError:
        raise Problem(
            400, "malformed-body", "The body is not as its headers say", "Its length or its chunks are wrong."
        ) from None
    except RuntimeError as error:
        # What aiohttp raises for a connection that had ended before somebody read from it.
        if has_left(request):
            raise ConnectionResetError("the client left before its body was read") from error
        raise


def _check_json(request: web.Request) -> None:
    if request.content_type not in ("application/json", "application/octet-stream"):
        raise Problem(
            415,
            "not-json",
            "The body is not declared as JSON",
            f"Send Content-Type: application/json, not {request.content_type}.",
            headers={"Accept": "application/json"},
        )
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Problem(
            415,
            "not-json",
            "The body is not declared as JSON",
            f"JSON is UTF-8 (RFC 8259 section 8.1), not {ascii(request.charset)[1:-1]}: leave out the charset.",
            headers={"Accept": "application/json"},
        )


def _codings(request: web.Request) -> list[str]:
    """The content codings in the order in which they were applied (RFC 9110 section 8.4)."""
    given = ",".join(request.headers.getall("Content-Encoding", ()))
    codings = [one.strip().lower() for one in given.split(",")]
    codings = [one for one in codings if one not in ("", "identity")]
    if len(codings) > 1 or any(one not in _WINDOWS for one in codings):
        raise Problem(
            415,
            "unknown-coding",
            "The body is in an unknown coding",
            f"Content-Encoding: {ascii(given[:64])[1:-1]} is not one of gzip, deflate, identity: send the body plain.",
            headers={"Accept-Encoding": "gzip, deflate, identity"},
        )
    return codings


def _decoded(raw: bytes, coding: str, limit: int) -> bytes:
    """Undo one coding. The output is never longer than `limit` and a byte, whatever the input claims."""
    for window in _WINDOWS[coding]:
        try:
            return _inflated(raw, window, limit)
        except (zlib.error, EOFError):
            continue
    raise Problem(
        400,
        "malformed-body",
        "The body is not as its headers say",
        f"The body is not a whole {coding} stream, as its Content-Encoding says.",
    )


def _inflated(raw: bytes, window: int, limit: int) -> bytes:
    parts, size, rest = [], 0, raw
    for _ in range(MAX_CODED_PARTS):
        stream = zlib.decompressobj(window)
        parts.append(stream.decompress(rest, limit + 1 - size))
        size += len(parts[-1])
        if size > limit:
            raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=size)
        if not stream.eof:
            raise EOFError
        rest = stream.unused_data
        if not rest:
            return b"".join(parts)
    raise EOFError


def _loosely(raw: bytes) -> Any:
    """The JSON with integers as such however they are written. Raise `ValueError` if it is not JSON."""
    hooks: dict[str, Any] = {"parse_int": _integer, "parse_float": _number, "parse_constant": _no_number}
    return json.loads(raw.decode(), object_pairs_hook=_distinct, **hooks)


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= MAX_INTEGER_CHARS else float(text)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number of JSON")


def _number(text: str) -> int | float:
    """The number as an integer if it is one, and small enough to be written as a float exactly."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= MAX_EXACT_FLOAT else value


def _distinct(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that has a name twice: readers differ in which of the values counts (RFC 8259 section 4)."""
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found:
            raise ValueError(f"the name {name[:64]!a} is there more than once")
        found[name] = value
    return found


def read_query(request: web.Request, kind: type[S]) -> S:
    """The query string as a `kind` of scalars and lists of scalars (a name given several times).

    Raise a 422 `Problem` for unknown names (if `kind` forbids them), repeated scalars, and values that do not fit.
    """
    names, lists = _names(kind)
    values: dict[str, Any] = {}
    for name in request.query:
        if name in request.get(TAKEN, ()) and name not in names:
            continue
        given = request.query.getall(name)
        if name in lists:
            values[name] = given
        elif len(given) > 1:
            raise Problem(422, "invalid-query", "The query is not valid", f"{name} is given more than once.")
        else:
            values[name] = given[0]
    try:
        found = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error, "query") from None
    for field in msgspec.structs.fields(kind):
        # `done=null` would be a filter that is there and does nothing.
        if field.encode_name in values and getattr(found, field.name) is None:
            raise Problem(
                422,
                "invalid-query",
                "The query is not valid",
                f"{field.encode_name}={values[field.encode_name][:16]} says nothing: leave it out, or give a value.",
            )
    return found


@cache
def _names(kind: type[msgspec.Struct]) -> tuple[frozenset[str], frozenset[str]]:
    """All names of a query, and those that may be given several times. There are as many kinds as routes."""
    fields = msgspec.structs.fields(kind)
    lists = (one for one in fields if isinstance(msgspec.inspect.type_info(one.type), msgspec.inspect.ListType))
    return frozenset(one.encode_name for one in fields), frozenset(one.encode_name for one in lists)


def read_flag(request: web.Request, flag: Flag, *, alone: bool = False) -> bool:
    """Return true if the query asks for it. Raise a 422 `Problem` for what is neither true nor false, or is repeated,
    and, if it is `alone` in its route's query, for any other name.

    `read_query` then passes over the name.
    """
    if alone and (others := [name for name in request.query if name != flag.name]):
        raise Problem(422, "invalid-query", "The query is not valid", f"{others[0][:64]!a} is not asked for here.")
    request[TAKEN] = request.get(TAKEN, frozenset()) | {flag.name}
    given = request.query.getall(flag.name, ["false"])
    try:
        if len(given) == 1:
            return msgspec.convert(given[0], bool, strict=False)
    except msgspec.ValidationError:
        pass
    raise Problem(422, "invalid-query", "The query is not valid", f"{flag.name} is true or false, and given once.")


def respond(answer: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response of anything that msgspec encodes."""
    return web.Response(
        status=status, headers=headers, content_type="application/json", body=msgspec.json.encode(answer)
    )


def _invalid(error: msgspec.ValidationError, part: str) -> Problem:
    match = _AT.match(str(error))
    what = match["what"] if match else str(error)
    pointer = _pointer(match["path"] if match else None)
    place = f"at {pointer}" if pointer != "#" else "as a whole"
    return Problem(
        422,
        f"invalid-{part}",
        f"The {part} is not valid",
        f"{what}, {place} of the {part}.",
        errors=[{"pointer": pointer, "detail": what}],
    )


def _pointer(path: str | None) -> str:
    """msgspec's `$.legs[1].amount` as the URI fragment of a JSON pointer (RFC 6901 section 6), `#/legs/1/amount`.

    msgspec writes `[...]` for a member of a mapping and does not name it: the pointer then ends at the mapping.
    """
    pointer = "#"
    for step in _STEP.finditer(path or ""):
        if step["index"] == "...":
            break
        pointer += "/" + (step["name"] or step["index"]).replace("~", "~0").replace("/", "~1")
    return pointer
