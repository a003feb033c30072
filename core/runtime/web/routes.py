"""A route that describes itself: the application dispatches on it, the OpenAPI document is generated from it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final

import msgspec
from aiohttp import web

from core.model.errors import require
from core.runtime.callers import Caller

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID: Final = web.RequestKey("request_id", str)
CALLER: Final = web.RequestKey("caller", Caller)
"""Who makes the request, for every handler: `request[CALLER]`. On a scoped route it is the holder of a key."""

TAKEN: Final = web.RequestKey("taken", frozenset[str])
"""Names of the query that were read before the handler: `read_query` passes over those that it does not know."""

# A pattern may have quantifiers, as aiohttp's own may.
_PATH_PARAMETER = re.compile(r"\{([a-z_]+)(?::((?:[^{}]|\{[^{}]*\})+))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """A route on its way out. `since_s`: Unix seconds from which new callers should not use it (RFC 9745); `sunset_s`:
    from which it may be gone (RFC 8594), None if nobody knows yet. `successor`: the path to use instead; `guide`: a URL
    of words about it."""

    since_s: int
    sunset_s: int | None = None
    successor: str | None = None
    guide: str | None = None

    def __post_init__(self) -> None:
        # RFC 9745 section 4: a route does not end before it is deprecated.
        require(self.sunset_s is None or self.sunset_s >= self.since_s, "a route is deprecated before its sunset")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of each of the route's answers, refusals too."""
        made = {"Deprecation": f"@{self.since_s}"}
        if self.sunset_s is not None:
            made["Sunset"] = formatdate(self.sunset_s, usegmt=True)
        links = {"deprecation": self.guide, "successor-version": self.successor}
        if shown := ", ".join(f'<{target}>; rel="{rel}"' for rel, target in links.items() if target is not None):
            made["Link"] = shown
        return made

    @property
    def sentence(self) -> str:
        """The same for people."""
        ends = "" if self.sunset_s is None else f" It may be gone from {_day(self.sunset_s)} on."
        instead = "" if self.successor is None else f" Use `{self.successor}`."
        return f"Deprecated since {_day(self.since_s)}.{ends}{instead}"


DEPRECATED: Final = web.RequestKey("deprecated", Deprecation)
"""On requests to a deprecated route."""


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Flag:
    """A parameter of the query, `true` or `false`, that is read before the handler. With `true` the answer, a Struct,
    has one member more, called `member`, of the type `kind`."""

    name: str
    description: str
    member: str
    kind: type[msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path (aiohttp's form: `/v1/swaps/{id}` or `/v1/assets/{asset:.+}/conservation`).

    `body` and `query` are the msgspec Structs that the handler reads with `read_body` and `read_query`, `answer` the
    type that it responds with in `content_type`, `or_answer` another type that it may be. `accepted` is the type of its
    other answer, 202 with a `Location`, None if it has none. `scope` names what an API key must be allowed; None is
    open to everybody. `problems` adds statuses that this route can answer with, each with
    a sentence. `websocket` marks an upgrade to a WebSocket, `idempotent` a handler that knows `Idempotency-Key`,
    `deprecated` a route that callers should leave. `flag` is read by what stands before the handler.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    description: str = ""
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    answer: Any = None
    or_answer: Any = None
    accepted: Any = None
    content_type: str = "application/json"
    status: int = 200
    scope: str | None = None
    problems: tuple[tuple[int, str], ...] = ()
    tag: str = "api"
    websocket: bool = False
    idempotent: bool = False
    deprecated: Deprecation | None = None
    flag: Flag | None = None

    @property
    def template(self) -> str:
        """The path without patterns, as OpenAPI writes it."""
        return _PATH_PARAMETER.sub(r"{\1}", self.path)

    @property
    def path_parameters(self) -> tuple[tuple[str, str | None], ...]:
        """(name, pattern or None) of every variable part."""
        return tuple((match[1], match[2]) for match in _PATH_PARAMETER.finditer(self.path))
