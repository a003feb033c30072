"""API keys over HTTP: a key travels in the header `X-API-Key`, and each scoped route asks for one of its scopes."""

from typing import Final

from aiohttp import web

from core.runtime.callers import Caller, KeyRing
from core.runtime.web.problems import Problem

HEADER: Final = "X-API-Key"


def caller_of(request: web.Request, keys: KeyRing) -> Caller:
    """Return who makes the request: by the key in its header, or by the address that it comes from."""
    return keys.caller(request.headers.get(HEADER), request.remote)


def require_scope(caller: Caller, scope: str, request: web.Request) -> None:
    """Raise a 401 `Problem` without a known key, a 403 one if the key lacks the scope."""
    if not caller.by_key:
        if HEADER not in request.headers:
            raise _unauthorized(f"This needs an API key: send it in the header {HEADER}.")
        raise _unauthorized("This API key is not known here: ask the operator for one.")
    if scope not in caller.scopes:
        raise Problem(
            403,
            "scope-missing",
            "The API key lacks a scope",
            f"The key of {caller.name} lacks the scope {scope}: ask the operator for it.",
            scope=scope,
        )


def _unauthorized(detail: str) -> Problem:
    return Problem(
        401,
        "unauthorized",
        "API key missing or unknown",
        detail,
        headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'},
    )
