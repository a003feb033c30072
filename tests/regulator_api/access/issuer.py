"""An issuer of tokens, and what an attacker makes of them."""

import base64
import json
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "https://supervision.example"
NOW_S: Final = 1_800_000_000
KEY: Final = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
OTHER: Final = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
EC_KEY: Final = ec.derive_private_key(7, ec.SECP256R1())
RSA_KEY: Final = rsa.generate_private_key(65_537, 2_048)
KEYS: Final[dict[str, tuple[Any, str]]] = {"ed": (KEY, "EdDSA"), "ec": (EC_KEY, "ES256"), "rsa": (RSA_KEY, "RS256")}


def key_set(**more: Any) -> bytes:
    """The issuer's public keys, and further entries by their ids."""
    entries = []
    for key_id, (key, algorithm) in KEYS.items():
        entry = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
        entries.append({**entry, "kid": key_id, "use": "sig"})
    return json.dumps({"keys": entries + [{"kid": key_id, **entry} for key_id, entry in more.items()]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims; a change to None takes one away."""
    values = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": NOW_S + 600,
        "iat": NOW_S,
        "sub": "analysts",
        "client_id": "analysts",
        "scope": "read trace nonsense",
        "jurisdictions": ["CH", "FR"],
    } | changes
    return {name: value for name, value in values.items() if value is not None}


def token(key: Any = KEY, algorithm: str = "EdDSA", kid: str | None = "ed", headers: Any = None, **changes: Any) -> str:
    named = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm, headers={"typ": "at+jwt", **named, **(headers or {})})


def forged(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand."""
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
