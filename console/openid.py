"""An OpenID provider: its discovery document, our registration there, and the id token that it gives for a person.

OpenID Connect Core 1.0 (sections 3.1.2 and 3.1.3), Discovery 1.0, RFC 7636 (PKCE), RFC 9207 (the issuer in the
response). Everything that an answer says of itself is compared with what we expect, never followed.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol
from urllib.parse import SplitResult, quote_plus, urlencode, urlsplit

import jwt
import msgspec

from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import Clock

WELL_KNOWN: Final = "/.well-known/openid-configuration"
BACK: Final = "/console/signin/back"
"""The path to which a provider sends people back."""
MAX_TOKEN_CHARS: Final = 8_192
MAX_AUDIENCES: Final = 16
MAX_METHODS: Final = 64
MAX_URL_CHARS: Final = 2_048
REFRESH_S: Final = 600.0
"""A discovery document that is older is fetched again when the next person comes."""
RETRY_S: Final = 5.0
"""Between two fetches at the least, however many people come."""
LEEWAY_S: Final = 30
"""Seconds by which our clock and the provider's may differ."""
MAX_AGE_S: Final = 600
"""Seconds for which a fresh id token is taken after it was issued: it comes straight from the provider."""
S256: Final = "S256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Our registration at a provider. `redirect` is where people come back to, exactly as it is registered there.

    `audience` is the API's, which the access token has to be for. `secret` is None for a public client.
    """

    name: str
    issuer: str
    client_id: str
    redirect: str
    audience: str
    scope: str = "openid"
    secret: str | None = field(default=None, repr=False)

    @property
    def is_secure(self) -> bool:
        """True if browsers come by HTTPS, so that cookies are for HTTPS only."""
        return self.redirect.startswith("https:")


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a discovery document that we read (OpenID Connect Discovery 1.0 section 3, RFC 9207)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    methods: Annotated[list[str], msgspec.Meta(max_length=MAX_METHODS)] | None = msgspec.field(
        default=None, name="code_challenge_methods_supported"
    )
    authentications: Annotated[list[str], msgspec.Meta(max_length=MAX_METHODS)] = msgspec.field(
        default_factory=lambda: ["client_secret_basic"], name="token_endpoint_auth_methods_supported"
    )
    names_itself: bool = msgspec.field(default=False, name="authorization_response_iss_parameter_supported")


def parsed_metadata(raw: bytes, issuer: str) -> Metadata:
    """Return the discovery document of `issuer`. Raise `RejectedError` for one that is not its own, has an address that
    others on the way can read, or knows no PKCE with SHA-256."""
    try:
        found = msgspec.json.decode(raw, type=Metadata)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"this is not a discovery document of an OpenID provider: {error}") from None
    if found.issuer != issuer:
        raise RejectedError(f"the discovery document is of another issuer than {issuer}")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not is_safe(getattr(found, name)):
            raise RejectedError(f"the discovery document's {name} is not an https URL without a fragment")
    if found.methods is not None and S256 not in found.methods:
        raise RejectedError("the identity provider knows no code challenge by S256 (RFC 7636)")
    return found


def is_safe(url: str) -> bool:
    """Return true for an https URL without user and fragment, or an http one of this machine itself."""
    try:
        parts: SplitResult = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    if not host or parts.username is not None or parts.fragment or url.endswith("#"):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_own_machine(host))


def _is_own_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class VerifyingKey(Protocol):
    """A public key of the provider, and the algorithms that it may be used with."""

    @property
    def key(self) -> Any: ...
    @property
    def algorithms(self) -> tuple[str, ...]: ...


class KeySource(Protocol):
    """Gives the provider's keys."""

    async def find(self, key_id: str) -> VerifyingKey | None:
        """Return the key of this id, None if the provider has none. Raise `RetryableError` if nobody can say."""


class Discovery:
    """The discovery document of one issuer, kept for `REFRESH_S`.

    `fetch` returns the bytes at a URL, bounded, without following redirects, or raises `RetryableError`.
    """

    def __init__(self, issuer: str, fetch: Callable[[str], Awaitable[bytes]], clock: Clock) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._found: tuple[Metadata, float] | None = None
        self._tried_s: float | None = None
        self._alone = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """Raise `RetryableError` without an answer, `RejectedError` for one that is not good."""
        async with self._alone:
            now_s = self._clock.monotonic()
            if self._found is not None and now_s - self._found[1] <= REFRESH_S:
                return self._found[0]
            if self._tried_s is not None and now_s - self._tried_s < RETRY_S:
                raise RetryableError("the identity provider does not answer: try again in a moment")
            self._tried_s = now_s
            found = parsed_metadata(await self._fetch(self._issuer.rstrip("/") + WELL_KNOWN), self._issuer)
            self._found = found, self._clock.monotonic()
            self._tried_s = None
            return found


@dataclass(frozen=True, slots=True)
class Provider:
    """Where people sign in: our registration, the provider's addresses and its keys."""

    registration: Registration
    discovery: Discovery
    keys: KeySource


def word(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def authorization_url(registration: Registration, metadata: Metadata, state: str, nonce: str, verifier: str) -> str:
    """Return the address that a person is sent to (OpenID Connect Core 1.0 section 3.1.2.1)."""
    asked = {
        "response_type": "code",
        "client_id": registration.client_id,
        "redirect_uri": registration.redirect,
        "scope": registration.scope,
        "audience": registration.audience,
        "state": state,
        "nonce": nonce,
        "code_challenge": word(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": S256,
    }
    place = metadata.authorization_endpoint
    return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"


def token_request(
    registration: Registration, metadata: Metadata, code: str, verifier: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form and the headers that exchange a code (RFC 6749 sections 2.3.1 and 4.1.3)."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": registration.redirect,
        "client_id": registration.client_id,
        "code_verifier": verifier,
    }
    headers = {"Accept": "application/json"}
    secret = registration.secret
    if secret is None:
        return form, headers
    if "client_secret_basic" in metadata.authentications:
        pair = f"{quote_plus(registration.client_id)}:{quote_plus(secret)}"
        return form, headers | {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return form | {"client_secret": secret}, headers


class TokenAnswer(msgspec.Struct, frozen=True):
    """RFC 6749 section 5.1, OpenID Connect Core 1.0 section 3.1.3.3."""

    access_token: str
    id_token: str
    token_type: str

    def __repr__(self) -> str:
        return "TokenAnswer()"


def parsed_answer(raw: bytes) -> TokenAnswer:
    """Return the tokens. Raise `RejectedError` if the provider gives none that we can use."""
    try:
        found = msgspec.json.decode(raw, type=TokenAnswer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"the identity provider's answer has not both tokens: {error}") from None
    if found.token_type.lower() != "bearer":
        raise RejectedError("the identity provider's token is not a bearer token (RFC 6750)")
    return found


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str
    typ: str = "JWT"
    crit: Any = None


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    aud: str | Annotated[list[str], msgspec.Meta(max_length=MAX_AUDIENCES)]
    exp: float
    iat: float
    nonce: str
    nbf: float | None = None
    azp: str | None = None
    at_hash: str | None = None


def key_id_of(id_token: str) -> str:
    """Return the name of the key that an id token says it is signed with. Raise `RejectedError` if we take no such."""
    return _header(id_token).kid


def _header(id_token: str) -> _Header:
    if len(id_token) > MAX_TOKEN_CHARS or id_token.count(".") != 2 or not id_token.isascii():
        raise RejectedError(f"the id token is not a signed JSON Web Token of at most {MAX_TOKEN_CHARS} characters")
    part = id_token.partition(".")[0]
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=_Header)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise RejectedError("the id token's header names no algorithm and key (alg, kid)") from None
    if header.crit is not None or header.typ.upper() != "JWT":
        raise RejectedError("the id token is of another kind: its typ is JWT, without crit")
    return header


def check_id_token(
    id_token: str, key: VerifyingKey, registration: Registration, *, nonce: str, access_token: str, now_s: float
) -> str:
    """Return the person's name at the provider (`sub`), if the token is good now, for us, and for this very sign-in.

    `key` is the provider's of the token's `kid`; no algorithm counts but the key's own. OpenID Connect Core 1.0 section
    3.1.3.7. Raise `RejectedError`.
    """
    header = _header(id_token)
    if header.alg not in key.algorithms:
        raise RejectedError("the id token's algorithm is not that of its key")
    try:
        payload = jwt.PyJWS().decode_complete(id_token, key=key.key, algorithms=[header.alg])["payload"]
        claims = msgspec.json.decode(payload, type=_Claims)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"the id token's claims are not in their form: {error}") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise RejectedError("the id token's signature is not that of its provider") from None
    _check_parties(claims, registration)
    _check_times(claims, now_s)
    if not hmac.compare_digest(claims.nonce.encode("utf-8", "replace"), nonce.encode()):
        raise RejectedError("the id token was made for another sign-in (nonce)")
    if claims.at_hash is not None and claims.at_hash != _half_hash(header.alg, access_token):
        raise RejectedError("the id token came with another access token (at_hash)")
    return claims.sub


def _check_parties(claims: _Claims, registration: Registration) -> None:
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if claims.iss != registration.issuer:
        raise RejectedError("the id token is of another issuer")
    if registration.client_id not in audiences:
        raise RejectedError("the id token is for another client (aud)")
    # Whoever is named next to us could pass the token on; the authorized party says whom it was made for.
    party = registration.client_id if claims.azp is None and len(audiences) == 1 else claims.azp
    if party != registration.client_id:
        raise RejectedError("the id token was made for another client (azp)")


def _check_times(claims: _Claims, now_s: float) -> None:
    if now_s >= claims.exp + LEEWAY_S:
        raise RejectedError("the id token has expired: compare the clocks")
    if max(claims.iat, claims.nbf or claims.iat) > now_s + LEEWAY_S:
        raise RejectedError("the id token is not good yet: compare the clocks")
    if claims.iat < now_s - MAX_AGE_S - LEEWAY_S:
        raise RejectedError("the id token was issued long ago: compare the clocks")


_HASHES: Final = {
    "ES256": hashlib.sha256,
    "RS256": hashlib.sha256,
    "PS256": hashlib.sha256,
    "ES384": hashlib.sha384,
    "EdDSA": hashlib.sha512,
    "Ed25519": hashlib.sha512,
}


def _half_hash(algorithm: str, access_token: str) -> str:
    """OpenID Connect Core 1.0 section 3.1.3.6: the left half of the hash that the algorithm signs with."""
    digest = _HASHES[algorithm](access_token.encode()).digest()
    return word(digest[: len(digest) // 2])
