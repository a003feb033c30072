"""Transactions that wait for a block, each checked against the newest state and everything that waits before it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from core.model.consortium import ResultCode, transaction_hash
from core.model.errors import ConflictError, RetryableError
from local_chains.consortium.ledger.execution import Result, check_transaction, ledger_time_ms
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.ledger.view import Overlay
from local_chains.consortium.state.ledger_state import LedgerState

MAX_TRANSACTIONS: Final = 20_000
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_SEEN: Final = 50_000
"""Hashes remembered, so that a transaction that is in the pool or was committed lately is not taken again."""
RECHECKED: Final = 1_000
"""While more than so many wait, a block does not make all of them be checked again."""
BLOCKS_WITHOUT_RECHECK: Final = 20

_FRAMING_BYTES: Final = 8
"""Protobuf tag and length of one transaction in a block, at most."""


class AlreadySeenError(ConflictError):
    """The transaction is in the mempool, or was included lately."""


class MempoolFullError(RetryableError):
    """No room; it may be sent again after the next block."""


class Mempool:
    """First in, first out, bounded in number and bytes."""

    def __init__(
        self, chain_id: str, state: LedgerState, signatures: SignatureChecker, now_ms: Callable[[], int]
    ) -> None:
        self._chain_id = chain_id
        self._state = state
        self._signatures = signatures
        self._now_ms = now_ms
        self._waiting: dict[bytes, bytes] = {}
        self._bytes = 0
        self._seen: dict[bytes, None] = {}
        self._pending = Overlay(state)
        self._unchecked_blocks = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def add(self, raw: bytes) -> Result:
        """CheckTx: take the transaction in if it would succeed in the next block.

        Raises `AlreadySeenError`, `MempoolFullError`. A refused one may be sent again.
        """
        name = transaction_hash(raw)
        if name in self._seen:
            raise AlreadySeenError("tx already exists in cache")
        if len(self._waiting) >= MAX_TRANSACTIONS or self._bytes + len(raw) > MAX_BYTES:
            raise MempoolFullError(
                f"mempool is full: number of txs {len(self._waiting)} (max: {MAX_TRANSACTIONS}), "
                f"total txs bytes {self._bytes} (max: {MAX_BYTES})"
            )
        result = self._check(raw, self._pending)
        if result.code is ResultCode.OK:
            self._waiting[name] = raw
            self._bytes += len(raw)
            self._remember(name)
        return result

    def check(self, raw: bytes) -> Result:
        """What `add` would say of it after everything that waits; nothing is taken in."""
        return self._check(raw, Overlay(self._pending))

    def reap(self, max_bytes: int) -> list[bytes]:
        """The oldest transactions that fit in so many bytes of a block; they stay until `committed`."""
        taken = []
        for raw in self._waiting.values():
            max_bytes -= len(raw) + _FRAMING_BYTES
            if max_bytes < 0:
                break
            taken.append(raw)
        return taken

    def first(self, limit: int) -> list[bytes]:
        return [raw for raw, _ in zip(self._waiting.values(), range(limit), strict=False)]

    def committed(self, transactions: Iterable[bytes], writes: Mapping[bytes, bytes | None]) -> None:
        """Forget what the newest block contains, and check again what still waits: some of it may have become void.

        Under load that is left out for some blocks. What turns out void then fails in its block instead.
        """
        for raw in transactions:
            name = transaction_hash(raw)
            self._remember(name)
            if self._waiting.pop(name, None) is not None:
                self._bytes -= len(raw)
        self._unchecked_blocks += 1
        if len(self._waiting) > RECHECKED and self._unchecked_blocks <= BLOCKS_WITHOUT_RECHECK:
            self._settle(writes)
        else:
            self._recheck()

    def _settle(self, writes: Mapping[bytes, bytes | None]) -> None:
        """What the block wrote as expected is state now; what differs was written by transactions that still wait."""
        pending = self._pending.writes
        for key, leaf in writes.items():
            if pending.get(key, leaf) == leaf:
                pending.pop(key, None)

    def _recheck(self) -> None:
        self._unchecked_blocks = 0
        self._pending = Overlay(self._state)
        for name, raw in list(self._waiting.items()):
            if self._check(raw, self._pending).code is not ResultCode.OK:
                del self._waiting[name]
                self._bytes -= len(raw)
                self._seen.pop(name, None)

    def _check(self, raw: bytes, state: Overlay) -> Result:
        # What the next block's clock will be at least; ledger time itself is that of the block before.
        time_ms = max(self._now_ms(), ledger_time_ms(self._state) + 1)
        return check_transaction(state, self._chain_id, self._state.height + 1, time_ms, raw, self._signatures)

    def _remember(self, name: bytes) -> None:
        self._seen.pop(name, None)
        while len(self._seen) >= MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[name] = None
