"""Who is signed in: a cookie with a random name, and what it stands for, in this process's memory.

The credentials never reach the browser. A session ends after some hours, after a while without a request, by signing
out, or with the process.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from console.api import Credentials
from core.runtime.clock import Clock, SecretSource

COOKIE: Final = "causeway_console"
NAME_BYTES: Final = 32
MAX_SESSIONS: Final = 10_000
LASTS_S: Final = 8 * 3_600.0
IDLE_S: Final = 3_600.0


@dataclass(slots=True)
class Session:
    """`token` is what forms send back, so that no other page can send them (CSRF)."""

    who: str
    credentials: Credentials
    scopes: frozenset[str]
    token: str = field(repr=False)
    began_s: float
    seen_s: float


class Sessions:
    """All sessions of this process. `secure`: the cookie is for HTTPS only."""

    def __init__(self, clock: Clock, secrets: SecretSource, secure: bool) -> None:
        self._clock = clock
        self._secrets = secrets
        self._secure = secure
        self._sessions: dict[str, Session] = {}

    def begin(self, response: web.StreamResponse, who: str, credentials: Credentials, scopes: frozenset[str]) -> None:
        """A new session, whose name the response's cookie has; the oldest makes room for it if there are too many."""
        now_s = self._clock.monotonic()
        self._forget_old(now_s)
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        name = self._secrets.token_bytes(NAME_BYTES).hex()
        token = self._secrets.token_bytes(NAME_BYTES).hex()
        self._sessions[name] = Session(who, credentials, scopes, token, now_s, now_s)
        response.set_cookie(
            COOKIE, name, path="/console", httponly=True, samesite="Lax", secure=self._secure, max_age=int(LASTS_S)
        )

    def find(self, request: web.Request) -> Session | None:
        session = self._sessions.get(request.cookies.get(COOKIE, ""))
        now_s = self._clock.monotonic()
        if session is None or _is_over(session, now_s):
            return None
        session.seen_s = now_s
        return session

    def end(self, request: web.Request, response: web.StreamResponse) -> None:
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)
        response.del_cookie(COOKIE, path="/console")

    def _forget_old(self, now_s: float) -> None:
        self._sessions = {name: one for name, one in self._sessions.items() if not _is_over(one, now_s)}


def _is_over(session: Session, now_s: float) -> bool:
    return now_s - session.began_s > LASTS_S or now_s - session.seen_s > IDLE_S


def sent_by_us(session: Session, form: Mapping[str, object]) -> bool:
    """Return true if the form came from a page of this session."""
    return hmac.compare_digest(session.token.encode(), str(form.get("token", "")).encode("utf-8", "replace"))
