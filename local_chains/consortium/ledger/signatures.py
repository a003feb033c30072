"""Account signatures, verified once per process if possible.

The memory never decides: it only holds the exact bytes that this process has verified, hashes of long ones, and what
short ones decode to; whatever is not in it is decoded and verified. A result is the same with an empty memory.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from core.model.consortium import (
    Transaction,
    TransactionBody,
    address,
    decode_transaction,
    sign_bytes,
    transaction_hash,
)
from core.model.errors import RejectedError
from core.proofs.ed25519 import verify_ed25519

MAX_REMEMBERED: Final = 30_000
"""More than a full mempool and a block on its way."""
MAX_REMEMBERED_BYTES: Final = 64 * 1024 * 1024
MAX_KEPT_BYTES: Final = 1_024
"""Up to this size a decoded transaction is kept: longer ones cost little compared to what they hold."""
ENTRY_BYTES: Final = 256
"""Memory of one entry, without its bytes."""
DECODED_FACTOR: Final = 4
"""The memory of a decoded short transaction, compared to its bytes."""

MAX_SENDERS: Final = 16_384
"""Public keys whose addresses are remembered: most transactions are by few of them."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) → whether the signature holds."""


sender_of: Final = lru_cache(MAX_SENDERS)(address)
"""`address`, remembered."""


def verify_all(transactions: Sequence[bytes]) -> list[bool]:
    """Return true for each that is a canonical transaction with a good signature. Made for other processes."""
    return [_is_signed(raw) for raw in transactions]


def _is_signed(raw: bytes) -> bool:
    try:
        transaction = decode_transaction(raw)
    except RejectedError:
        return False
    return verify_ed25519(transaction.body.public_key, sign_bytes(transaction.body), transaction.signature)


_UNKNOWN: Final = Transaction(TransactionBody("", b"", 0, 0, ()), b"")
"""The memory's answer about bytes that it does not know."""
_decode: Final = msgspec.msgpack.Decoder(Transaction).decode


class SignatureChecker:
    """Verifies transactions' signatures, from any thread. What it remembers is bounded in number and bytes."""

    def __init__(
        self, verify: Verify = verify_ed25519, limit: int = MAX_REMEMBERED, limit_bytes: int = MAX_REMEMBERED_BYTES
    ) -> None:
        self._verify = verify
        self._limit = limit
        self._limit_bytes = limit_bytes
        # Taking out the oldest is quick in this kind of dictionary only.
        self._verified: OrderedDict[bytes, Transaction | None] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """About how much memory the memory takes."""
        return self._bytes

    def decode(self, raw: bytes) -> Transaction:
        """`decode_transaction`, done once for short bytes whose signature is known to hold."""
        name = _name(raw)
        known = self._verified.get(name, _UNKNOWN)
        if known is _UNKNOWN:
            return decode_transaction(raw)
        if known is not None:
            return known
        # Whoever verified these bytes has found them in canonical form.
        transaction = _decode(raw)
        if name is raw:
            with self._lock:
                if name in self._verified:
                    self._verified[name] = transaction
        return transaction

    def holds(self, raw: bytes, transaction: Transaction) -> bool:
        """Return true if the signature of `transaction`, whose exact bytes are `raw`, is by its public key."""
        if _name(raw) in self._verified:
            return True
        if not self._verify(transaction.body.public_key, sign_bytes(transaction.body), transaction.signature):
            return False
        self._remember([(raw, transaction)])
        return True

    def remember(self, verified: Iterable[bytes]) -> None:
        """Transactions whose signatures this process, or one that it started, has just verified by `verify_all`."""
        self._remember([(raw, None) for raw in verified])

    def forget(self, raw: bytes) -> None:
        """Bytes that will not be asked about again soon, such as those of a refused transaction."""
        with self._lock:
            self._drop(_name(raw))

    def _remember(self, verified: Sequence[tuple[bytes, Transaction | None]]) -> None:
        with self._lock:
            for raw, transaction in verified:
                name = _name(raw)
                self._drop(name)
                self._verified[name] = transaction if name is raw else None
                self._bytes += _weight(name)
            while len(self._verified) > self._limit or self._bytes > self._limit_bytes:
                name, _ = self._verified.popitem(last=False)
                self._bytes -= _weight(name)

    def _drop(self, name: bytes) -> None:
        if name in self._verified:
            del self._verified[name]
            self._bytes -= _weight(name)


def _name(raw: bytes) -> bytes:
    """Return what bytes are remembered by: short ones by themselves, long ones by their hash (never a transaction)."""
    return raw if len(raw) <= MAX_KEPT_BYTES else transaction_hash(raw)


def _weight(name: bytes) -> int:
    """About how much memory an entry takes, with what the bytes decode to, which comes later."""
    return ENTRY_BYTES + (1 + DECODED_FACTOR) * len(name)
