"""Transactions that wait for a block, each checked against the newest state and everything that waits before it."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from core.model.consortium import ResultCode, transaction_hash
from core.model.errors import ConflictError, RejectedError, RetryableError
from core.runtime.clock import loop_time
from local_chains.consortium.engine.lanes import OF_ACCOUNT, ORDINARY, Candidate, Classifier, Room, chosen
from local_chains.consortium.ledger.execution import Priced, Result, check_transaction, ledger_time_ms
from local_chains.consortium.ledger.leaves import next_sequence
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.ledger.view import Overlay, Written
from local_chains.consortium.state.ledger_state import LedgerState

MAX_TRANSACTIONS: Final = 20_000
"""Of those that are not exits."""
MAX_EXITS: Final = 10_000
BLOCKS_WAITING: Final = 8
"""The number of blocks whose shares waiting transactions may have."""
MAX_SEEN: Final = 50_000
"""Hashes remembered, so that a transaction that is in the pool or was committed lately is not taken again."""
RECHECKED: Final = 1_000
"""While more than this many wait, a block does not make all of them be checked again."""
BLOCKS_WITHOUT_RECHECK: Final = 20
SLICE_S: Final = 0.01
"""How long checking again holds the event loop at a time."""


class AlreadySeenError(ConflictError):
    """The transaction is in the mempool, or was included lately."""


class MempoolFullError(RetryableError):
    """No room; it may be sent again after the next block."""


class NoRoomError(MempoolFullError):
    """The sender's share of what waits is full: a result of CheckTx, as a CometBFT node has it from its ledger."""

    def __init__(self, fault: str, cost: int) -> None:
        super().__init__(f"mempool is full: {fault}")
        self.cost = cost


class Mempool:
    """By age, bounded in number, bytes and work; exits have room of their own (`engine.lanes`)."""

    def __init__(
        self, chain_id: str, state: LedgerState, signatures: SignatureChecker, now_ms: Callable[[], int]
    ) -> None:
        self._chain_id = chain_id
        self._state = state
        self._signatures = signatures
        self._now_ms = now_ms
        self._waiting: dict[bytes, Candidate] = {}
        self._early: set[bytes] = set()
        """Claims and refunds of locks that wait themselves: exits once those are in the state."""
        self._exits = 0
        self._bytes = 0
        # Taking out the oldest is quick in this kind of dictionary only.
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._pending = Overlay(state)
        self._unchecked_blocks = 0
        self._unchecked: deque[bytes] = deque()
        self._start_over()

    def _start_over(self) -> None:
        self._look_again()
        self._room = Room(BLOCKS_WAITING, waiting=True)

    def _look_again(self) -> None:
        """See what waits as the newest state does."""
        self._classifier = Classifier(self._state)
        self._least_ms = ledger_time_ms(self._state) + 1

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def add(self, raw: bytes) -> Result:
        """CheckTx: take the transaction in if it would succeed in the next block.

        Raise `AlreadySeenError`, `MempoolFullError`. A refused one may be sent again.
        """
        self.recheck_all()
        name = transaction_hash(raw)
        if name in self._seen:
            raise AlreadySeenError("tx already exists in cache")
        one, priced = self._priced(raw)
        if one is not None:
            try:
                self._require_room(one)
            except MempoolFullError:
                self._signatures.forget(raw)
                raise
        result = self._check(raw, self._pending, priced)
        if result.code is ResultCode.OK and one is not None:
            self._keep(name, one)
            self._remember(name)
        else:
            self._signatures.forget(raw)
            if one is not None:
                self._room.give_back(one)
        return result

    def check(self, raw: bytes) -> Result:
        """Return what `add` would say of it after everything that waits; nothing is taken in."""
        self.recheck_all()
        result = self._check(raw, self._pending)
        self._pending.take_back()
        return result

    def reap(self, max_bytes: int) -> list[bytes]:
        """The transactions of the next block, in at most this many bytes; they stay until `committed`."""
        self.recheck_all()
        for name in [name for name in self._early if name in self._waiting]:
            one = self._candidate(self._waiting[name].raw)
            if one is not None and one.is_exit and not self._room.take(one):
                self._room.give_back(self._waiting[name])
                self._waiting[name] = one
                self._exits += 1
                self._early.discard(name)
        return chosen(self._nearest(), partial(next_sequence, self._state), max_bytes)

    def _nearest(self) -> list[Candidate]:
        """Of those that wait, all that may be in the next block: exits with what goes before them, and the oldest."""
        exiting = {one.sender for one in self._waiting.values() if one.is_exit} if self._exits else set()
        found: list[Candidate] = []
        costs: dict[bytes, int] = {}
        left = ORDINARY.cost
        for one in self._waiting.values():
            if one.sender in exiting:
                found.append(one)
            elif left > 0:
                cost = costs.get(one.sender, 0)
                if cost <= OF_ACCOUNT[one.standing].cost:
                    costs[one.sender] = cost + one.cost
                    left -= one.cost
                    found.append(one)
            elif not exiting:
                break
        return found

    def first(self, limit: int) -> list[bytes]:
        return [one.raw for one, _ in zip(self._waiting.values(), range(limit), strict=False)]

    def committed(self, names: Iterable[bytes], written: Mapping[bytes, Written]) -> None:
        """Forget the newest block's transactions, of these hashes. What still waits is to be checked again, some of it
        may have become void: `recheck_some` does that.

        Under load that is left out for some blocks. What turns out void then fails in its block instead.
        """
        self.recheck_all()
        for name in names:
            self._remember(name)
            self._drop(name)
        self._look_again()
        self._unchecked_blocks += 1
        if len(self._waiting) > RECHECKED and self._unchecked_blocks <= BLOCKS_WITHOUT_RECHECK:
            self._settle(written)
        else:
            self._unchecked_blocks = 0
            self._pending = Overlay(self._state)
            self._start_over()
            self._unchecked.extend(self._waiting)

    def recheck_some(self, seconds: float = SLICE_S) -> bool:
        """Check waiting transactions again for about this long. Return True if some are left."""
        until = loop_time() + seconds
        while self._unchecked:
            name = self._unchecked.popleft()
            raw = self._drop(name, give_back=False)
            if raw is not None:
                self._check_again(name, raw)
            if loop_time() >= until:
                break
        return bool(self._unchecked)

    def recheck_all(self) -> None:
        while self._unchecked:
            self.recheck_some()

    def _check_again(self, name: bytes, raw: bytes) -> None:
        one, priced = self._priced(raw)
        if one is None or self._room.take(one):
            self._seen.pop(name, None)
        elif self._check(raw, self._pending, priced).code is ResultCode.OK:
            self._keep(name, one)
        else:
            self._room.give_back(one)
            self._seen.pop(name, None)
            self._signatures.forget(raw)

    def _settle(self, written: Mapping[bytes, Written]) -> None:
        """Drop what the block wrote as expected: it is state now. What differs was written by transactions that still
        wait."""
        self._pending.settle(written)

    def _candidate(self, raw: bytes) -> Candidate | None:
        """None for bytes that the ledger will refuse."""
        return self._priced(raw)[0]

    def _priced(self, raw: bytes) -> tuple[Candidate, Priced] | tuple[None, None]:
        """The candidate, and what need not be found out about it twice; none for bytes that the ledger will refuse."""
        try:
            transaction = self._signatures.decode(raw)
            one = self._classifier.candidate(raw, transaction)
        except RejectedError:
            return None, None
        return one, (transaction, one.cost)

    def _require_room(self, one: Candidate) -> None:
        count, most = (self._exits, MAX_EXITS) if one.is_exit else (len(self._waiting) - self._exits, MAX_TRANSACTIONS)
        if count >= most:
            raise MempoolFullError(f"mempool is full: number of txs {count} (max: {most})")
        fault = self._room.take(one)
        if fault:
            raise NoRoomError(fault, one.cost)

    def _keep(self, name: bytes, one: Candidate) -> None:
        self._waiting[name] = one
        self._exits += one.is_exit
        self._bytes += len(one.raw)
        if one.settles and not one.is_exit:
            self._early.add(name)

    def _drop(self, name: bytes, give_back: bool = True) -> bytes | None:
        one = self._waiting.pop(name, None)
        self._early.discard(name)
        if one is None:
            return None
        self._exits -= one.is_exit
        self._bytes -= len(one.raw)
        if give_back:
            self._room.give_back(one)
        return one.raw

    def _check(self, raw: bytes, state: Overlay, priced: Priced | None = None) -> Result:
        # What the next block's clock will be at least; ledger time itself is that of the block before.
        time_ms = max(self._now_ms(), self._least_ms)
        height, tariff = self._state.height + 1, self._classifier.tariff
        return check_transaction(state, self._chain_id, height, time_ms, raw, self._signatures, tariff, priced)

    def _remember(self, name: bytes) -> None:
        if name in self._seen:
            self._seen.move_to_end(name)
            return
        while len(self._seen) >= MAX_SEEN:
            self._seen.popitem(last=False)
        self._seen[name] = None
