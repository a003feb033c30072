"""Access tokens: JSON Web Tokens of one issuer for one audience (RFC 9068, RFC 7519, RFC 8725).

Everything that a token says of how to verify it is compared with what we expect, never followed: the algorithm must be
one that its key is for, keys come from the issuer's set alone, and header parameters that name other keys are refused.
Pure: keys and time are given.
"""

import base64
import hmac
import re
from dataclasses import dataclass
from typing import Annotated, Final

import jwt
import msgspec

from core.model.errors import RejectedError
from regulator_api.access.keys import MAX_KEY_ID_CHARS, VerifyingKey
from regulator_api.access.roles import ALL_ALGORITHMS, EVERYWHERE, ROLES
from regulator_api.knowledge.tags import parsed_jurisdiction

MAX_TOKEN_CHARS: Final = 8_192
MAX_NAME_CHARS: Final = 96
MAX_AUDIENCES: Final = 16
MAX_JURISDICTIONS: Final = 300
_TYPES: Final = frozenset({"at+jwt", "application/at+jwt", "jwt"})
_HEADER: Final = frozenset({"alg", "kid", "typ"})
"""The parameters that a header may have. `jwk`, `jku`, `x5u`, `x5c` name other keys, `crit` what must be understood,
`b64` and `zip` other forms of the content."""
_NAME: Final = re.compile(r"[!-~]{1,96}")


class TokenError(RejectedError):
    """The token is not good. The message says why, and nothing of its content but times and names of claims."""

    code = "invalid-token"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    kid: str
    typ: str = "JWT"


class Confirmation(msgspec.Struct, frozen=True):
    """RFC 8705 section 3.1: the SHA-256 of the client's certificate, base64url."""

    x5t: str = msgspec.field(default="", name="x5t#S256")


class Claims(msgspec.Struct, frozen=True):
    """The claims that we read. Times are Unix seconds."""

    iss: str
    aud: str | Annotated[list[str], msgspec.Meta(max_length=MAX_AUDIENCES)]
    exp: int
    iat: int
    nbf: int | None = None
    sub: str | None = None
    client_id: str | None = None
    azp: str | None = None
    scope: str = ""
    jurisdictions: str | Annotated[list[str], msgspec.Meta(max_length=MAX_JURISDICTIONS)] | None = None
    cnf: Confirmation | None = None


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The tokens that are taken. `leeway_s` is how far our clock and the issuer's may differ; `max_life_s` is how long
    a token may be good for. With `bound` a token must be bound to the client's certificate (RFC 8705)."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...] = ALL_ALGORITHMS
    leeway_s: int = 30
    max_life_s: int = 3_600
    bound: bool = False


@dataclass(frozen=True, slots=True)
class Holder:
    """Who presents a token, which is good until `until_s` (Unix seconds). `jurisdictions` None: all; they are ISO 3166
    codes otherwise. Scopes that nobody here knows are left out."""

    client: str
    subject: str | None
    scopes: frozenset[str]
    jurisdictions: frozenset[str] | None
    has_jurisdictions: bool
    until_s: int


def header_of(token: str, rules: TokenRules) -> Header:
    """Return a token's header, which nothing vouches for yet. Raise `TokenError` if we take no such token."""
    if len(token) > MAX_TOKEN_CHARS or token.count(".") != 2 or not token.isascii():
        raise TokenError("the token is not a signed JSON Web Token of at most 8192 characters")
    try:
        header = msgspec.json.decode(_decoded(token.partition(".")[0]), type=Header)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise TokenError(f"the token's header has not just {', '.join(sorted(_HEADER))}, or is not JSON") from None
    if header.alg not in rules.algorithms:
        raise TokenError(f"the token's algorithm is not taken here: one of {', '.join(rules.algorithms)}")
    if header.typ.lower() not in _TYPES:
        raise TokenError("the token is not an access token: its typ is at+jwt or JWT")
    if not 0 < len(header.kid) <= MAX_KEY_ID_CHARS:
        raise TokenError("the token does not name its key (kid)")
    return header


def verified(token: str, key: VerifyingKey, rules: TokenRules, now_s: float, certificate: bytes | None) -> Holder:
    """Return who holds the token, if it is good now.

    `key` is the issuer's of the header's `kid`, `certificate` the SHA-256 of the certificate that the client's
    connection was made with, None if there was none. Raise `TokenError`.
    """
    header = header_of(token, rules)
    if header.alg not in key.algorithms:
        raise TokenError("the token's algorithm is not that of its key")
    try:
        payload = jwt.PyJWS().decode_complete(token, key=key.key, algorithms=[header.alg])["payload"]
        claims = msgspec.json.decode(payload, type=Claims)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TokenError(f"the token's claims are not in their form: {error}") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise TokenError("the token's signature is not that of its issuer") from None
    _check_times(claims, rules, now_s)
    if claims.iss != rules.issuer:
        raise TokenError("the token is of another issuer")
    if rules.audience not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        raise TokenError("the token is for another audience")
    _check_certificate(claims, rules, certificate)
    return _holder(claims, rules)


def _check_times(claims: Claims, rules: TokenRules, now_s: float) -> None:
    leeway = rules.leeway_s
    if now_s >= claims.exp + leeway:
        raise TokenError(f"the token expired at {claims.exp}: get a fresh one")
    if claims.iat > now_s + leeway or (claims.nbf is not None and claims.nbf > now_s + leeway):
        raise TokenError("the token is not good yet: compare the clocks")
    if claims.exp - claims.iat > rules.max_life_s:
        raise TokenError(f"the token is good for {claims.exp - claims.iat} s, at most {rules.max_life_s} s are taken")


def _check_certificate(claims: Claims, rules: TokenRules, certificate: bytes | None) -> None:
    """RFC 8705 section 3: whoever has the token must have the certificate's key, too."""
    bound_to = "" if claims.cnf is None else claims.cnf.x5t
    if claims.cnf is not None and not bound_to:
        raise TokenError("the token is bound to something else than a certificate")
    if not bound_to:
        if rules.bound:
            raise TokenError("the token is not bound to a certificate (RFC 8705), and must be")
        return
    presented = "" if certificate is None else base64.urlsafe_b64encode(certificate).rstrip(b"=").decode()
    if not hmac.compare_digest(presented.encode(), bound_to.encode()):
        raise TokenError("the token is bound to another certificate than the connection's")


def _holder(claims: Claims, rules: TokenRules) -> Holder:
    client = claims.client_id or claims.azp or claims.sub
    for name in (client, claims.sub):
        if name is not None:
            check_name(name)
    if client is None:
        raise TokenError("the token names neither client_id nor azp nor sub")
    stated = claims.jurisdictions
    return Holder(
        client=client,
        subject=claims.sub,
        scopes=frozenset(claims.scope.split()) & frozenset(ROLES),
        jurisdictions=_jurisdictions(stated),
        has_jurisdictions=stated is not None,
        until_s=claims.exp + rules.leeway_s,
    )


def check_name(name: str) -> None:
    """Raise `TokenError` for a name that no client and no person can have in the audit log."""
    if _NAME.fullmatch(name) is None:
        raise TokenError(f"a client and a subject have 1 to {MAX_NAME_CHARS} printable characters, no spaces")


def _jurisdictions(stated: str | list[str] | None) -> frozenset[str] | None:
    """`*` is all of them; without the claim there are none, which is not the same."""
    codes = stated.split() if isinstance(stated, str) else (stated or [])
    if codes == [EVERYWHERE]:
        return None
    try:
        return frozenset(map(parsed_jurisdiction, codes))
    except RejectedError as error:
        raise TokenError(f"the claim jurisdictions: {error.message}") from None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
