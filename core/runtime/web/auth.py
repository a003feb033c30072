"""Who calls, and what they may: each scoped route asks for one of the caller's scopes.

API keys travel in the header `X-API-Key` (`KeyCallers`). An API with other credentials has its own `Callers`.
"""

from typing import Final, Protocol

from aiohttp import web

from core.runtime.callers import Caller, KeyRing
from core.runtime.web.problems import Problem

HEADER: Final = "X-API-Key"


class Callers(Protocol):
    """Finds out who makes a request. `needed` says which credentials to send, `challenge` is the value of
    `WWW-Authenticate` for who sends none that are known. `bearer`: access tokens are among them (RFC 6750)."""

    needed: str
    challenge: str
    bearer: bool

    async def caller_of(self, request: web.Request) -> Caller:
        """Return who makes the request: without credentials that are known, the address that it comes from.

        Raise a 401 `Problem` for credentials that say why they are not good.
        """


class KeyCallers:
    """API keys alone."""

    needed = f"an API key: send it in the header {HEADER}"
    challenge = f'ApiKey header="{HEADER}"'
    bearer = False

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def caller_of(self, request: web.Request) -> Caller:
        return self._keys.caller(request.headers.get(HEADER), request.remote)


def require_scope(caller: Caller, scope: str, request: web.Request, callers: Callers) -> None:
    """Raise a 401 `Problem` without known credentials, a 403 one if they lack the scope."""
    if not caller.by_key:
        if HEADER not in request.headers:
            raise unauthorized(f"This needs {callers.needed}.", callers.challenge)
        raise unauthorized("This API key is not known here: ask the operator for one.", callers.challenge)
    if scope not in caller.scopes:
        raise Problem(
            403,
            "scope-missing",
            "A scope is missing",
            f"{caller.name} lacks the scope {scope}: ask the operator for it.",
            scope=scope,
        )


def unauthorized(detail: str, challenge: str) -> Problem:
    """The problem of credentials that are missing or not good (RFC 9110 section 15.5.2)."""
    return Problem(
        401, "unauthorized", "Credentials missing or not known", detail, headers={"WWW-Authenticate": challenge}
    )
