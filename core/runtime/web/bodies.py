"""Bodies and query strings into msgspec Structs, with errors that point at the part that is wrong, and answers out."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from core.runtime.web.problems import Problem

S = TypeVar("S", bound=msgspec.Struct)

MAX_BODY_BYTES: Final = 64 * 1024

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")


async def read_body(request: web.Request, kind: type[S]) -> S:
    """The JSON body as a `kind`.

    Raises a `Problem`: 415 for another content type, 400 for what is no JSON, 422 with the RFC 6901 pointer of what
    does not fit `kind`, 413 for more than `MAX_BODY_BYTES`.
    """
    if request.content_type not in ("application/json", "application/octet-stream"):
        raise Problem(
            415,
            "not-json",
            "The body is not declared as JSON",
            f"Send Content-Type: application/json, not {request.content_type}.",
            headers={"Accept": "application/json"},
        )
    raw = await request.read()
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(error, "body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "malformed-json", "The body is not JSON", f"The body cannot be read: {error}.") from None


def read_query(request: web.Request, kind: type[S]) -> S:
    """The query string as a `kind` of scalars and lists of scalars (a name given several times).

    Raises a 422 `Problem` for unknown names (where `kind` forbids them), repeated scalars, and values that do not fit.
    """
    lists = {
        field.encode_name
        for field in msgspec.structs.fields(kind)
        if isinstance(msgspec.inspect.type_info(field.type), msgspec.inspect.ListType)
    }
    values: dict[str, Any] = {}
    for name in request.query:
        given = request.query.getall(name)
        if name in lists:
            values[name] = given
        elif len(given) > 1:
            raise Problem(422, "invalid-query", "The query does not fit", f"{name} is given more than once.")
        else:
            values[name] = given[0]
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error, "query") from None


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
        f"The {part} does not fit",
        f"{what}, {place} of the {part}.",
        errors=[{"pointer": pointer, "detail": what}],
    )


def _pointer(path: str | None) -> str:
    """msgspec's `$.legs[1].amount` as the URI fragment of a JSON pointer (RFC 6901 section 6), `#/legs/1/amount`.

    msgspec writes `[...]` for a member of a mapping, whose name it does not tell: the pointer then ends at the mapping.
    """
    pointer = "#"
    for step in _STEP.finditer(path or ""):
        if step["index"] == "...":
            break
        pointer += "/" + (step["name"] or step["index"]).replace("~", "~0").replace("/", "~1")
    return pointer
