"""The door: an API key or a token that was given out, or a person's own sign-in at an identity provider.

OpenID Connect, authorization code flow with PKCE (RFC 6749, RFC 7636, OpenID Connect Core 1.0 section 3.1): the
provider sends the person back with a code, which is exchanged for an access token here; the API verifies that token as
any other.
"""

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web

from console.api import ApiProblem, Credentials, Outside
from console.frame import Frame, redirect
from console.sessions import sent_by_us
from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import Clock, SecretSource

MAX_SECRET_CHARS: Final = 8_192
MAX_WAITING: Final = 1_000
WAITS_S: Final = 600.0
"""How long a person may take at the provider."""
MAX_ANSWER_BYTES: Final = 256 * 1024
TIMEOUT_S: Final = 10.0
WHY: Final = {
    "over": "Your session is over: sign in again.",
    "refused": "These credentials were refused.",
    "away": "The API does not answer: try again in a moment.",
    "provider": "The identity provider did not let you in.",
    "old": "That took too long, or came from another browser: begin again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An identity provider, as its discovery document has it, and our registration there, without a secret."""

    name: str
    authorization_endpoint: str
    token_endpoint: str
    client_id: str
    audience: str
    scope: str = "openid"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody who is at the provider's. `binding`: the SHA-256 of a cookie of the browser that was sent there."""

    verifier: str
    binding: bytes
    then: str
    since_s: float


STATE_COOKIE: Final = "causeway_signin"


class Door:
    """Signs people in and out. `url`: where the console is for browsers, None takes the address they came by."""

    def __init__(
        self,
        frame: Frame,
        clock: Clock,
        secrets: SecretSource,
        outside: Outside,
        provider: Provider | None = None,
        url: str | None = None,
    ) -> None:
        self._frame = frame
        self._clock = clock
        self._secrets = secrets
        self._outside = outside
        self._provider = provider
        self._url = url
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/signin", self._show),
            web.post("/signin", self._by_secret),
            web.post("/signout", self._out),
            web.get("/signin/start", self._start),
            web.get("/signin/back", self._back),
        ]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        why = WHY.get(request.query.get("why", ""))
        then = _inside(request.query.get("then", ""))
        return self._frame.page("signin.html", "Sign in", request, None, why=why, then=then, provider=self._provider)

    async def _by_secret(self, request: web.Request) -> web.StreamResponse:
        if not _same_origin(request):
            return _again("refused")
        form = await request.post()
        text, then = str(form.get("secret", "")).strip(), _inside(str(form.get("then", "")))
        if not _fits_a_header(text):
            return _again("refused", then)
        # A JSON Web Token has two dots; API keys have none.
        return await self._admit(Credentials.token(text) if text.count(".") == 2 else Credentials.key(text), then)

    async def _admit(self, credentials: Credentials, then: str) -> web.StreamResponse:
        try:
            me = await self._frame.api.get("/v1/me", credentials)
        except ApiProblem:
            return _again("refused", then)
        except RetryableError:
            return _again("away", then)
        response = redirect(then)
        self._frame.sessions.begin(response, str(me["name"]), credentials, frozenset(me["scopes"]))
        return response

    async def _out(self, request: web.Request) -> web.StreamResponse:
        session = self._frame.sessions.find(request)
        response = redirect("/console/signin")
        if session is not None and sent_by_us(session, dict(await request.post())):
            self._frame.sessions.end(request, response)
        return response

    # --- at an identity provider ---

    async def _start(self, request: web.Request) -> web.StreamResponse:
        if self._provider is None:
            return _again("provider")
        state, verifier, mark = (_word(self._secrets.token_bytes(32)) for _ in range(3))
        now_s = self._clock.monotonic()
        while self._waiting and (
            len(self._waiting) >= MAX_WAITING or now_s - next(iter(self._waiting.values())).since_s > WAITS_S
        ):
            self._waiting.popitem(last=False)
        binding = hashlib.sha256(mark.encode()).digest()
        self._waiting[state] = _Waiting(verifier, binding, _inside(request.query.get("then", "")), now_s)
        asked = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": self._redirect(request),
            "scope": self._provider.scope,
            "audience": self._provider.audience,
            "state": state,
            "code_challenge": _word(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        response = redirect(f"{self._provider.authorization_endpoint}?{urlencode(asked)}")
        secure = self._redirect(request).startswith("https:")
        response.set_cookie(
            STATE_COOKIE,
            mark,
            path="/console/signin",
            httponly=True,
            samesite="Lax",
            secure=secure,
            max_age=int(WAITS_S),
        )
        return response

    async def _back(self, request: web.Request) -> web.StreamResponse:
        waiting = self._waiting.pop(request.query.get("state", ""), None)
        mark = hashlib.sha256(request.cookies.get(STATE_COOKIE, "").encode()).digest()
        if self._provider is None or waiting is None or not hmac.compare_digest(mark, waiting.binding):
            return _again("old")
        if self._clock.monotonic() - waiting.since_s > WAITS_S:
            return _again("old")
        code = request.query.get("code", "")
        if "error" in request.query or not 0 < len(code) <= MAX_SECRET_CHARS:
            return _again("provider", waiting.then)
        try:
            token = await self._exchanged(self._provider, code, waiting.verifier, self._redirect(request))
        except (RejectedError, RetryableError):
            return _again("provider", waiting.then)
        return await self._admit(Credentials.token(token), waiting.then)

    async def _exchanged(self, provider: Provider, code: str, verifier: str, redirect: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "client_id": provider.client_id,
            "code_verifier": verifier,
        }
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._outside.session.post(
                provider.token_endpoint, data=form, timeout=timeout, allow_redirects=False
            ) as response:
                raw = await response.content.read(MAX_ANSWER_BYTES)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError(f"the identity provider does not answer: {error}") from None
        try:
            found: Mapping[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise RejectedError("the identity provider's answer is not a JSON object") from None
        token = found.get("access_token")
        if status != 200 or not isinstance(token, str) or not _fits_a_header(token):
            raise RejectedError(f"the identity provider gives no token (status {status})")
        return token

    def _redirect(self, request: web.Request) -> str:
        return f"{self._url or f'{request.scheme}://{request.host}'}/console/signin/back"


def _word(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _fits_a_header(secret: str) -> bool:
    return 0 < len(secret) <= MAX_SECRET_CHARS and secret.isascii() and secret.isprintable()


def _inside(then: str) -> str:
    """A page of the console, whatever was asked for: nobody is sent elsewhere."""
    good = then.startswith("/console/") and then.isascii() and then.isprintable() and "\\" not in then
    return then if good and "/signin" not in then else "/console/"


def _again(why: str, then: str = "/console/") -> web.Response:
    return redirect(f"/console/signin?{urlencode({'why': why, 'then': then})}")


def _same_origin(request: web.Request) -> bool:
    """False for a form of another site's page (Fetch metadata), so that nobody is signed in as somebody else."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
