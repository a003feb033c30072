"""The regulator's own signatures: ed25519 over entries of its audit log and over its answers.

An answer's signature covers its status, its content and the request that it is for (RFC 9421 section 2.4, RFC 9530), so
that whoever keeps the three can show them to others. The key's id is the hex of the first 16 bytes of SHA-256 of the
public key; `/v1/keys` has the public keys.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import http_message_signatures as rfc9421
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from multidict import CIMultiDict
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from core.model.errors import RejectedError
from core.runtime.clock import Clock

AUDIT_PREFIX: Final = b"causeway audit signature v1\0"
SIGNATURE_LABEL: Final = "causeway"
COVERED: Final = ("@status", "content-digest", "content-type", "causeway-audit", "etag")
OF_REQUEST: Final = ('"@method";req', '"@path";req', '"@query";req')
"""The authority is left out: behind a proxy it is not the one that the caller asked."""
_PLAIN_TARGET: Final = re.compile(
    r"(?P<path>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)"
    r"(?:\?(?P<query>(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*))?"
)
"""A path and a query as RFC 3986 section 3 has them."""


class Signer:
    """The private key. Has no `repr` of it."""

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.public_key = bytes(self._key.verify_key)
        self.key_id = key_id(self.public_key)
        self._resolver = _OneKey(self.key_id, Ed25519PrivateKey.from_private_bytes(seed))

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"

    def sign_entry(self, entry_hash: bytes) -> bytes:
        """Return the signature of an entry of the audit log, 64 bytes."""
        return bytes(self._key.sign(AUDIT_PREFIX + entry_hash).signature)

    def sign_answer(self, request: web.Request, response: web.Response, clock: Clock) -> None:
        """Add `Content-Digest`, `Signature-Input` and `Signature` to a whole answer.

        The signature base is written here: the library that verifies it takes longer for one than all the rest of an
        answer. A target that is not in the plain form of RFC 3986 is left to the library.
        """
        body = response.body if isinstance(response.body, bytes) else b""
        headers = response.headers
        headers["Content-Digest"] = content_digest(body)
        target = _PLAIN_TARGET.fullmatch(request.raw_path)
        if target is None:
            self._sign_with_library(request, response, clock)
            return
        covered = [(f'"{name}"', headers[name]) for name in COVERED[1:] if name in headers]
        lines = [
            ('"@status"', str(response.status)),
            *covered,
            *zip(OF_REQUEST, (request.method, target["path"], f"?{target['query'] or ''}"), strict=True),
        ]
        names = " ".join(name for name, _ in lines)
        parameters = f'({names});created={int(clock.now())};keyid="{self.key_id}";alg="ed25519"'
        base = "\n".join(f"{name}: {value}" for name, value in [*lines, ('"@signature-params"', parameters)])
        signature = base64.b64encode(self._key.sign(base.encode("ascii")).signature).decode()
        headers["Signature-Input"] = f"{SIGNATURE_LABEL}={parameters}"
        headers["Signature"] = f"{SIGNATURE_LABEL}=:{signature}:"

    def _sign_with_library(self, request: web.Request, response: web.Response, clock: Clock) -> None:
        message = _Answered(
            response.status, response.headers, _Asked(request.method, f"http://localhost{request.raw_path}")
        )
        signer = rfc9421.HTTPMessageSigner(signature_algorithm=rfc9421.algorithms.ED25519, key_resolver=self._resolver)
        covered = [*(name for name in COVERED if name[0] == "@" or name in response.headers), *OF_REQUEST]
        signer.sign(
            message,
            key_id=self.key_id,
            created=datetime.fromtimestamp(int(clock.now()), UTC),
            label=SIGNATURE_LABEL,
            covered_component_ids=covered,
            include_alg=True,
            use_existing_digest=True,
        )


def verify_entry(entry_hash: bytes, signature: bytes, public_keys: Iterable[bytes]) -> bool:
    """Return true if one of these keys signed the entry."""
    for public_key in public_keys:
        try:
            VerifyKey(public_key).verify(AUDIT_PREFIX + entry_hash, signature)
        except (BadSignatureError, ValueError):
            continue
        return True
    return False


def verify_answer(
    method: str, path_and_query: str, status: int, headers: Mapping[str, str], body: bytes, public_key: bytes
) -> None:
    """Hold an answer against the regulator's public key: its content, its status and the request that it is for.

    Raise `RejectedError` if the signature does not cover them, or is not the key's. It says nothing of when: compare
    `created` yourself.
    """
    answered: CIMultiDict[str] = CIMultiDict(headers)
    message = _Answered(status, answered, _Asked(method, f"http://localhost{path_and_query}"))
    verifier = rfc9421.HTTPMessageVerifier(
        signature_algorithm=rfc9421.algorithms.ED25519,
        key_resolver=_OneKey(key_id(public_key), Ed25519PublicKey.from_public_bytes(public_key)),
    )
    needed = ("@status", "content-digest", *OF_REQUEST)
    try:
        results = verifier.verify(message, max_age=None, require_components=needed, body=body)
    except rfc9421.HTTPMessageSignaturesException as error:
        raise RejectedError(f"this key did not sign this answer to this request: {error}") from None
    if not results:
        raise RejectedError("the answer has no signature")


def content_digest(body: bytes) -> str:
    """The header's value (RFC 9530 section 2)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def key_id(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()[:32]


def public_jwk(public_key: bytes) -> dict[str, str]:
    """The public key as a JSON Web Key (RFC 8037)."""
    encoded = base64.urlsafe_b64encode(public_key).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": encoded, "kid": key_id(public_key), "use": "sig", "alg": "EdDSA"}


@dataclass(frozen=True, slots=True)
class _Asked:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answered:
    """An answer as the library reads it."""

    status_code: int
    headers: Any
    request: _Asked


class _OneKey(rfc9421.HTTPSignatureKeyResolver):
    def __init__(self, name: str, key: Any) -> None:
        self._name, self._key = name, key

    def resolve_private_key(self, key_id: str) -> Any:
        return self._key

    def resolve_public_key(self, key_id: str) -> Any:
        return self._key if key_id == self._name else None
