"""A route that describes itself: the application dispatches on it, the OpenAPI document is generated from it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from core.runtime.callers import Caller

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID: Final = web.RequestKey("request_id", str)
CALLER: Final = web.RequestKey("caller", Caller)
"""Who makes the request, for every handler: `request[CALLER]`. On a scoped route it is the holder of a key."""

# A pattern may have quantifiers, as aiohttp's own may.
_PATH_PARAMETER = re.compile(r"\{([a-z_]+)(?::((?:[^{}]|\{[^{}]*\})+))?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path (aiohttp's form: `/v1/swaps/{id}` or `/v1/assets/{asset:.+}/conservation`).

    `body` and `query` are the msgspec Structs that the handler reads with `read_body` and `read_query`, `answer` the
    type that it responds with in `content_type`, `or_answer` another type that it may be. `accepted` is the type of its
    other answer, 202 with a `Location`, None if it has none. `scope` names what an API key must be allowed; None is
    open to everybody. `problems` adds statuses that this route can answer with, each with
    a sentence. `websocket` marks an upgrade to a WebSocket, `idempotent` a handler that knows `Idempotency-Key`.
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

    @property
    def template(self) -> str:
        """The path without patterns, as OpenAPI writes it."""
        return _PATH_PARAMETER.sub(r"{\1}", self.path)

    @property
    def path_parameters(self) -> tuple[tuple[str, str | None], ...]:
        """(name, pattern or None) of every variable part."""
        return tuple((match[1], match[2]) for match in _PATH_PARAMETER.finditer(self.path))
