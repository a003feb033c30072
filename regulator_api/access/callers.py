"""Who calls the supervision API: the holder of an access token, or, in development, of an API key."""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from core.runtime.callers import Caller, KeyRing
from core.runtime.clock import Clock
from core.runtime.web import Problem
from core.runtime.web.auth import HEADER, KeyCallers, unauthorized
from regulator_api.access.keys import KeySource
from regulator_api.access.scope import SCOPE, UNTIL, Scope
from regulator_api.access.tokens import MAX_TOKEN_CHARS, Holder, TokenError, TokenRules, header_of, verified

CERTIFICATE_HEADER: Final = "Client-Cert"
"""RFC 9440: the proxy that ends TLS says which certificate the client showed."""
MAX_CERTIFICATE_CHARS: Final = 16_384
_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]+)")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Client:
    """The operator's word on one client of the issuer: the most that it may, whatever its tokens say.

    `jurisdictions` None: all. `scopes` empty: those of its tokens.
    """

    jurisdictions: frozenset[str] | None
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that are taken, and where their keys come from. `proxies` are the addresses whose `Client-Cert` is
    believed."""

    rules: TokenRules
    keys: KeySource
    clients: Mapping[str, Client]
    proxies: tuple[Network, ...] = ()


class RegulatorCallers:
    """API keys and tokens. `key_scopes`: the jurisdictions of API keys by name; a key that is not in it sees all."""

    def __init__(
        self,
        keys: KeyRing,
        clock: Clock,
        tokens: Tokens | None = None,
        key_scopes: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._keys = KeyCallers(keys)
        self._clock = clock
        self._tokens = tokens
        self._key_scopes = dict(key_scopes or {})
        self.bearer = tokens is not None
        self.needed = "an access token: send it as Authorization: Bearer …" if tokens is not None else KeyCallers.needed
        self.challenge = "Bearer" if tokens is not None else KeyCallers.challenge

    async def caller_of(self, request: web.Request) -> Caller:
        given = request.headers.getall("Authorization", [])
        if not given or self._tokens is None:
            return await self._by_key(request)
        if len(given) > 1 or HEADER in request.headers:
            raise _refused("send one set of credentials: a token or a key")
        match = _BEARER.fullmatch(given[0][: MAX_TOKEN_CHARS + 16])
        if match is None:
            raise _refused("the header Authorization is not Bearer and one token")
        return await self._by_token(request, match[1], self._tokens)

    async def _by_key(self, request: web.Request) -> Caller:
        caller = await self._keys.caller_of(request)
        request[SCOPE] = Scope(self._key_scopes.get(caller.name) if caller.by_key else frozenset(), caller.scopes)
        return caller

    async def _by_token(self, request: web.Request, token: str, tokens: Tokens) -> Caller:
        try:
            header = header_of(token, tokens.rules)
            key = await tokens.keys.find(header.kid)
            if key is None:
                raise TokenError("the token's key is not one of its issuer's")
            certificate = _certificate(request, tokens.proxies)
            holder = verified(token, key, tokens.rules, self._clock.now(), certificate)
        except TokenError as error:
            raise _refused(error.message) from None
        scope = _scope_of(holder, tokens.clients.get(holder.client))
        request[SCOPE] = scope
        request[UNTIL] = float(holder.until_s)
        return Caller(_name_of(holder), scope.roles, by_key=True)


def _scope_of(holder: Holder, client: Client | None) -> Scope:
    """The least of what the token and the operator say. A token that says nothing of jurisdictions sees those that the
    operator gives its client, and none without."""
    if client is None:
        return Scope(holder.jurisdictions, holder.scopes)
    roles = holder.scopes & client.scopes if client.scopes else holder.scopes
    if not holder.has_jurisdictions or holder.jurisdictions is None:
        return Scope(client.jurisdictions, roles)
    if client.jurisdictions is None:
        return Scope(holder.jurisdictions, roles)
    return Scope(holder.jurisdictions & client.jurisdictions, roles)


def _name_of(holder: Holder) -> str:
    """`client:NAME`, and the person if the token is a person's: no API key is called so."""
    person = "" if holder.subject in (None, holder.client) else f" {holder.subject}"
    return f"client:{holder.client}{person}"


def _certificate(request: web.Request, proxies: tuple[Network, ...]) -> bytes | None:
    """The SHA-256 of the certificate that the client showed to a proxy of ours, None if there is none to believe."""
    given = request.headers.getall(CERTIFICATE_HEADER, [])
    if len(given) != 1 or len(given[0]) > MAX_CERTIFICATE_CHARS or not _is_proxy(request.remote, proxies):
        return None
    text = given[0].strip()
    if len(text) < 3 or text[0] != ":" or text[-1] != ":":  # a byte sequence of RFC 8941
        return None
    try:
        return hashlib.sha256(base64.b64decode(text[1:-1], validate=True)).digest()
    except ValueError:
        return None


def _is_proxy(address: str | None, proxies: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    return any(parsed in network for network in proxies)


def _refused(detail: str) -> Problem:
    """RFC 6750 section 3.1; the sentence has no quotes in it."""
    said = detail.replace('"', "'").replace("\\", "")
    said = "".join(letter if " " <= letter <= "~" else "?" for letter in said)[:200]
    return unauthorized(detail, f'Bearer error="invalid_token", error_description="{said}"')
