"""ed25519 by RFC 8032 as libsodium verifies it: signatures of the ledger's accounts, and most of validators'."""

from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return True if the signature holds: small-order keys and non-canonical signatures are refused.

    The chain takes more of its validators' signatures (`zip215`).
    """
    # The library reads as many bytes of a key as a key has, however few there are.
    if len(signature) != SIGNATURE_BYTES or len(public_key) != KEY_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, ValueError):
        return False
    return True
