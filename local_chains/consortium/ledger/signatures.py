"""Account signatures, verified once per process where possible.

The memory never decides: it only holds the exact bytes that this process has verified, and what they decode to;
whatever is not in it is decoded and verified. A result is the same with an empty memory.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from core.model.consortium import Transaction, decode_transaction, sign_bytes
from core.model.errors import RejectedError

SIGNATURE_BYTES: Final = 64
MAX_REMEMBERED: Final = 30_000
"""More than a full mempool and a block on its way."""

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


def verify_all(transactions: Sequence[bytes]) -> list[bool]:
    """Whether each of these is a transaction in canonical form with a good signature. Made for other processes."""
    return [_is_signed(raw) for raw in transactions]


def _is_signed(raw: bytes) -> bool:
    try:
        transaction = decode_transaction(raw)
    except RejectedError:
        return False
    return verify_ed25519(transaction.body.public_key, sign_bytes(transaction.body), transaction.signature)


class SignatureChecker:
    """Verifies transactions' signatures; safe to use from several threads."""

    def __init__(self, verify: Verify = verify_ed25519, limit: int = MAX_REMEMBERED) -> None:
        self._verify = verify
        self._limit = limit
        self._verified: dict[bytes, Transaction | None] = {}
        self._lock = threading.Lock()

    def decode(self, raw: bytes) -> Transaction:
        """`decode_transaction`, done once for bytes whose signature is known to hold."""
        known = self._verified.get(raw)
        if known is not None:
            return known
        transaction = decode_transaction(raw)
        with self._lock:
            if raw in self._verified:
                self._verified[raw] = transaction
        return transaction

    def holds(self, raw: bytes, transaction: Transaction) -> bool:
        """Whether the signature of `transaction`, whose exact bytes are `raw`, is by its public key."""
        if raw in self._verified:
            return True
        if not self._verify(transaction.body.public_key, sign_bytes(transaction.body), transaction.signature):
            return False
        self._remember({raw: transaction})
        return True

    def remember(self, verified: Iterable[bytes]) -> None:
        """Transactions whose signatures this process, or one that it started, has just verified by `verify_all`."""
        self._remember(dict.fromkeys(verified))

    def _remember(self, verified: Mapping[bytes, Transaction | None]) -> None:
        with self._lock:
            self._verified.update(verified)
            while len(self._verified) > self._limit:
                del self._verified[next(iter(self._verified))]
