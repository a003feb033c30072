"""The door: an API key or a token that was given out, or a person's own sign-in at an identity provider.

OpenID Connect, authorization code flow with PKCE (RFC 6749, RFC 7636, OpenID Connect Core 1.0 section 3.1): the
provider sends the person back with a code, which is exchanged for an id token and an access token here. The id token
shows that they are of this very sign-in; the API verifies the access token as any other.

What a sign-in waits with is in a cookie of its browser, sealed, and nowhere else: anybody may begin sign-ins, as many
as they like, and takes no place from others.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web
from multidict import MultiMapping
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from console import openid
from console.api import ApiProblem, Credentials, Outside
from console.frame import Frame, redirect
from console.openid import Metadata, Provider, word
from console.sessions import sent_by_us
from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import Clock, SecretSource
from core.runtime.logging import get_logger

MAX_SECRET_CHARS: Final = 8_192
MAX_THEN_CHARS: Final = 1_024
"""Of the page that a person wanted: it goes into the cookie, of which browsers keep 4,096 characters."""
WAITS_S: Final = 600.0
"""How long a person may take at the provider."""
MAX_ANSWER_BYTES: Final = 256 * 1024
TIMEOUT_S: Final = 10.0
WHY: Final = {
    "over": "Your session is over: sign in again.",
    "refused": "These credentials were refused.",
    "away": "The API does not answer: try again in a moment.",
    "provider": "The identity provider did not let you in.",
    "absent": "The identity provider does not answer: try again in a moment.",
    "old": "That took too long, or came from another browser: begin again.",
}


log = get_logger("console")


class _Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A person who is at the provider's, since `since_s` by our monotonic clock."""

    state: str
    verifier: str
    nonce: str
    then: str
    since_s: float

    def __repr__(self) -> str:
        return "_Waiting()"


STATE_COOKIE: Final = "causeway_signin"


class Door:
    """Signs people in and out; without a `provider` by keys and tokens alone."""

    def __init__(
        self,
        frame: Frame,
        clock: Clock,
        secrets: SecretSource,
        outside: Outside,
        provider: Provider | None = None,
    ) -> None:
        self._frame = frame
        self._clock = clock
        self._secrets = secrets
        self._outside = outside
        self._provider = provider
        self._box = SecretBox(secrets.token_bytes(SecretBox.KEY_SIZE))

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
        name = None if self._provider is None else self._provider.registration.name
        return self._frame.page("signin.html", "Sign in", request, None, why=why, then=then, provider=name)

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
        provider, then = self._provider, _inside(request.query.get("then", ""))
        if provider is None:
            return _again("provider", then)
        try:
            metadata = await provider.discovery.metadata()
        except (RejectedError, RetryableError) as error:
            log.warning("nobody can be sent to the identity provider", reason=error.message)
            return _again("absent", then)
        state, nonce, verifier = (word(self._secrets.token_bytes(32)) for _ in range(3))
        waiting = _Waiting(
            state, verifier, nonce, then if len(then) <= MAX_THEN_CHARS else _inside(""), self._clock.monotonic()
        )
        registration = provider.registration
        response = redirect(openid.authorization_url(registration, metadata, state, nonce, verifier))
        response.set_cookie(
            STATE_COOKIE,
            self._sealed(waiting),
            path="/console/signin",
            httponly=True,
            samesite="Lax",
            secure=registration.is_secure,
            max_age=int(WAITS_S),
        )
        return response

    def _sealed(self, waiting: _Waiting) -> str:
        return word(self._box.encrypt(msgspec.msgpack.encode(waiting), self._secrets.token_bytes(SecretBox.NONCE_SIZE)))

    def _opened(self, sealed: str) -> _Waiting | None:
        """None for a cookie that is not of this process."""
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            return msgspec.msgpack.decode(self._box.decrypt(raw), type=_Waiting)
        except (ValueError, CryptoError, msgspec.MsgspecError):
            return None

    async def _back(self, request: web.Request) -> web.StreamResponse:
        response = await self._admitted(_single(request.query), self._opened(request.cookies.get(STATE_COOKIE, "")))
        # A sign-in has one answer, whatever it was.
        response.del_cookie(STATE_COOKIE, path="/console/signin")
        return response

    async def _admitted(self, given: Mapping[str, str], waiting: _Waiting | None) -> web.StreamResponse:
        state = given.get("state", "").encode("utf-8", "replace")
        if self._provider is None or waiting is None or not hmac.compare_digest(state, waiting.state.encode()):
            return _again("old")
        if self._clock.monotonic() - waiting.since_s > WAITS_S:
            return _again("old")
        try:
            metadata = await self._provider.discovery.metadata()
            token = await self._exchanged(self._provider, waiting, metadata, _code(given, metadata))
        except (RejectedError, RetryableError) as error:
            log.warning("somebody was not signed in by the identity provider", reason=error.message)
            return _again("provider", waiting.then)
        return await self._admit(Credentials.token(token), waiting.then)

    async def _exchanged(self, provider: Provider, waiting: _Waiting, metadata: Metadata, code: str) -> str:
        """Return the access token that the code stands for. Raise `RetryableError` and `RejectedError`."""
        answer = openid.parsed_answer(await self._posted(provider, waiting, metadata, code))
        key = await provider.keys.find(openid.key_id_of(answer.id_token))
        if key is None:
            raise RejectedError("the id token's key is not one of its provider's")
        token = answer.access_token
        openid.check_id_token(
            answer.id_token,
            key,
            provider.registration,
            nonce=waiting.nonce,
            access_token=token,
            now_s=self._clock.now(),
        )
        if not _fits_a_header(token):
            raise RejectedError(f"the access token is not printable text of at most {MAX_SECRET_CHARS} characters")
        return token

    async def _posted(self, provider: Provider, waiting: _Waiting, metadata: Metadata, code: str) -> bytes:
        form, headers = openid.token_request(provider.registration, metadata, code, waiting.verifier)
        timeout, found = aiohttp.ClientTimeout(total=TIMEOUT_S), bytearray()
        try:
            async with self._outside.session.post(
                metadata.token_endpoint, data=form, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise RejectedError(f"the identity provider gives no token (status {response.status})")
                async for part in response.content.iter_chunked(16_384):
                    found += part
                    if len(found) > MAX_ANSWER_BYTES:
                        raise RejectedError(f"the identity provider's answer has more than {MAX_ANSWER_BYTES} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RetryableError(f"the identity provider does not answer: {type(error).__name__}") from None
        return bytes(found)


def _single(query: MultiMapping[str]) -> dict[str, str]:
    """The parameters that are there once: a provider sends none of ours twice."""
    return {name: query[name] for name in query if len(query.getall(name)) == 1}


def _code(given: Mapping[str, str], metadata: Metadata) -> str:
    """Return the code of a provider's response. Raise `RejectedError` for a refusal, or the response of another issuer
    (RFC 9207: whoever mixes up two providers takes the code of one to the other)."""
    issuer = given.get("iss")
    if issuer != metadata.issuer if issuer is not None else metadata.names_itself:
        raise RejectedError("the response is of another issuer than the one that the person was sent to")
    code = given.get("code", "")
    if "error" in given or not 0 < len(code) <= MAX_SECRET_CHARS:
        raise RejectedError("the identity provider's response has no code")
    return code


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
