"""Account signatures, verified once per process where possible.

The memory never decides: it only holds bytes that this process has verified, under the hash of those exact bytes, and
whatever is not in it is verified. A result is the same with an empty memory.
"""

import threading
from collections.abc import Callable
from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from core.model.consortium import Transaction, sign_bytes, transaction_hash

SIGNATURE_BYTES: Final = 64
MAX_REMEMBERED: Final = 100_000

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) → whether the signature holds."""


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032 as libsodium verifies it: small-order keys and non-canonical signatures are refused."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, ValueError):
        return False
    return True


class SignatureChecker:
    """Verifies transactions' signatures; safe to use from several threads."""

    def __init__(self, verify: Verify = verify_ed25519, limit: int = MAX_REMEMBERED) -> None:
        self._verify = verify
        self._limit = limit
        self._verified: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def holds(self, raw: bytes, transaction: Transaction) -> bool:
        """Whether the signature of `transaction`, whose exact bytes are `raw`, is by its public key."""
        name = transaction_hash(raw)
        with self._lock:
            if name in self._verified:
                return True
        if not self._verify(transaction.body.public_key, sign_bytes(transaction.body), transaction.signature):
            return False
        with self._lock:
            while len(self._verified) >= self._limit:
                del self._verified[next(iter(self._verified))]
            self._verified[name] = None
        return True
