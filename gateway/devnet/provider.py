"""The devnet's own identity provider: whoever comes picks a role, and has signed in.

OpenID Connect with the code flow and PKCE alone (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9207). It asks
nobody for a password, so it exists in the process of a devnet and nowhere else: without a command, a configuration, or
another address than this machine's own.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from markupsafe import Markup

from console.openid import S256, WELL_KNOWN, word
from core.runtime.clock import Clock
from core.runtime.sockets import HOST
from core.runtime.web import serve
from gateway.config import TokensConfig
from gateway.supervision import issued_token, issuer_key_set
from regulator_api.access.roles import EVERYWHERE
from regulator_api.signing import Signer

CODE_S: Final = 60.0
MAX_CODES: Final = 1_000
ID_TOKEN_S: Final = 300
KEPT: Final = ("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge")
MAX_CHARS: Final = 512
"""Of one parameter."""
_PAGE: Final = Markup("""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Devnet sign-in</title><link rel="icon" href="data:,"></head>
<body><main><h1>Sign in to the devnet</h1>
<p>This is for development: nobody is asked for a password. Choose who you are.</p>
<form method="post" action="/authorize">
{hidden}
{buttons}
</form></main></body></html>
""")
_HIDDEN: Final = Markup('<input type="hidden" name="{}" value="{}">')
_BUTTON: Final = Markup('<p><button name="person" value="{0}">{0}</button> {1}</p>')


@dataclass(frozen=True, slots=True)
class Person:
    """Whom one can be: the client whose tokens they get, their scopes, and their own name at the client."""

    client: str
    scopes: Sequence[str]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class _Code:
    person: Person
    client_id: str
    redirect: str
    challenge: str
    nonce: str
    since_s: float


class DevnetProvider:
    """Signs anybody in as one of `people`, for one client with one redirect. `tokens.issuer` is its own address."""

    def __init__(
        self,
        seed: bytes,
        tokens: TokensConfig,
        people: Mapping[str, Person],
        client_id: str,
        redirect: str,
        life_s: int,
        clock: Clock,
    ) -> None:
        self._seed = seed
        self._tokens = tokens
        self._people = people
        self._client_id = client_id
        self._redirect = redirect
        self._life_s = life_s
        self._clock = clock
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    @asynccontextmanager
    async def served(self, port: int) -> AsyncIterator[str]:
        """Serve on this machine alone; give the address. Raise `FatalError` if the port is taken."""
        app = web.Application()
        app.router.add_routes(
            [
                web.get(WELL_KNOWN, self._discovery),
                web.get("/keys", self._keys),
                web.get("/authorize", self._ask),
                web.post("/authorize", self._choose),
                web.post("/token", self._token),
            ]
        )
        async with serve(app, HOST, port) as address:
            yield address

    async def _discovery(self, _: web.Request) -> web.Response:
        issuer = self._tokens.issuer
        return web.json_response(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/keys",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "subject_types_supported": ["public"],
                "scopes_supported": ["openid"],
                "id_token_signing_alg_values_supported": ["EdDSA"],
                "token_endpoint_auth_methods_supported": ["none"],
                "code_challenge_methods_supported": [S256],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _keys(self, _: web.Request) -> web.Response:
        return web.Response(body=issuer_key_set(self._seed), content_type="application/json")

    async def _ask(self, request: web.Request) -> web.Response:
        asked = self._checked(request.query)
        hidden = Markup("\n").join(_HIDDEN.format(name, value) for name, value in asked.items())
        buttons = Markup("\n").join(
            _BUTTON.format(name, f"may: {', '.join(person.scopes)}") for name, person in self._people.items()
        )
        back = urlsplit(self._redirect)
        # Browsers hold a form's redirect to this policy, too.
        policy = f"default-src 'none'; img-src data:; form-action 'self' {back.scheme}://{back.netloc}"
        headers = {
            "Content-Security-Policy": f"{policy}; base-uri 'none'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }
        text = _PAGE.format(hidden=hidden, buttons=buttons)
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _choose(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked, person = self._checked(form), self._people.get(form.get("person", ""))
        if person is None:
            raise web.HTTPBadRequest(text="nobody here is called so: choose a button of the page")
        while len(self._codes) >= MAX_CODES:
            self._codes.popitem(last=False)
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(
            person,
            asked["client_id"],
            asked["redirect_uri"],
            asked["code_challenge"],
            asked["nonce"],
            self._clock.monotonic(),
        )
        answer = urlencode({"code": code, "state": asked["state"], "iss": self._tokens.issuer})
        return web.Response(status=303, headers={"Location": f"{self._redirect}?{answer}", "Cache-Control": "no-store"})

    def _checked(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the request's parameters. Nobody is sent on to an address that is not the registered one."""
        asked = {name: given.get(name, "") for name in KEPT}
        if asked["client_id"] != self._client_id or asked["redirect_uri"] != self._redirect:
            raise web.HTTPBadRequest(text="client_id and redirect_uri are not exactly those that are registered here")
        good = asked["response_type"] == "code" and "openid" in asked["scope"].split()
        if not good or given.get("code_challenge_method", S256) != S256:
            raise web.HTTPBadRequest(text="ask with response_type=code, scope=openid and code_challenge_method=S256")
        if not all(0 < len(value) <= MAX_CHARS for value in asked.values()):
            raise web.HTTPBadRequest(text=f"{', '.join(KEPT)} have 1 to {MAX_CHARS} characters each")
        return asked

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("grant_type") != "authorization_code":
            return _refused("unsupported_grant_type")
        code = self._codes.pop(form.get("code", ""), None)  # whatever comes of it, it is used up
        if code is None or self._clock.monotonic() - code.since_s > CODE_S:
            return _refused("invalid_grant")
        challenge = word(hashlib.sha256(form.get("code_verifier", "").encode("utf-8", "replace")).digest())
        if not hmac.compare_digest(challenge.encode(), code.challenge.encode("utf-8", "replace")):
            return _refused("invalid_grant")
        if form.get("client_id") != code.client_id or form.get("redirect_uri") != code.redirect:
            return _refused("invalid_grant")
        person = code.person
        token = issued_token(
            self._seed, self._tokens, person.client, person.scopes, (EVERYWHERE,), self._life_s, person.name
        )
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._life_s,
            "id_token": self._id_token(code, token),
        }
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    def _id_token(self, code: _Code, access_token: str) -> str:
        now_s, half = int(self._clock.now()), hashlib.sha512(access_token.encode()).digest()[:32]
        claims = {
            "iss": self._tokens.issuer,
            "aud": code.client_id,
            "sub": code.person.name or code.person.client,
            "iat": now_s,
            "exp": now_s + ID_TOKEN_S,
            "nonce": code.nonce,
            "at_hash": word(half),
        }
        key = Ed25519PrivateKey.from_private_bytes(self._seed)
        return jwt.encode(claims, key, "EdDSA", headers={"kid": Signer(self._seed).key_id})


def _refused(error: str) -> web.Response:
    """RFC 6749 section 5.2."""
    return web.json_response({"error": error}, status=400, headers={"Cache-Control": "no-store"})
