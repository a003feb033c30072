"""Locks, claims and refunds of a memory chain as unsigned transactions: alone, in batches, before the timelock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.memory import ledger
from adapters.memory.blockchain import Blockchain
from adapters.memory.faults import Endpoint
from adapters.memory.transactions import (
    Allow,
    Batch,
    Claim,
    GiveBack,
    Lock,
    Refund,
    decode_message,
    transfer,
    unsigned,
)
from adapters.payments import check_transfer
from core.model.consortium import quantity
from core.model.errors import (
    RejectedError,
)
from core.model.transactions import (
    Consent,
    Draft,
    UnsignedTransaction,
)
from core.model.types import (
    MAX_BASE_UNITS,
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    LockId,
    LockTerms,
    Preimage,
)

MAX_LOCK_NUMBER: Final = 1_000_000
MAX_EXITS: Final = 8
MAX_LOCKS: Final = 8


class MemoryLegBuilder:
    def __init__(self, chain: Blockchain, endpoint: Endpoint) -> None:
        self._chain = chain
        self._endpoint = endpoint

    async def lock_id(self, terms: LockTerms, taken: Collection[LockId] = ()) -> LockId:
        await self._endpoint.call()
        owner = terms.sender.rsplit(":", 1)[1]
        unknown: ledger.LockRow | None = None
        for number in range(MAX_LOCK_NUMBER):
            name = LockId(f"{owner}/{number}")
            if name not in taken and self._chain.state.get(ledger.lock_key(name), unknown) is None:
                return name
        raise RejectedError("this account has no lock id left")

    async def prepare(self, terms: LockTerms) -> UnsignedTransaction | None:
        """See the port: as on an EVM chain, without end if the token allows that, and step by step otherwise."""
        await self._endpoint.call()
        rules = self._chain.rules.allowances
        newest = max(0, self._chain.height - self._endpoint.lag_blocks)
        allowed = self._chain.state.get(ledger.allowance_key(terms.sender, terms.asset), 0, newest)
        if terms.asset not in rules.needed or allowed >= terms.amount:
            return None
        amount = MAX_BASE_UNITS
        if terms.asset in rules.stepwise:
            amount = 0 if allowed else terms.amount
        message = Allow(terms.asset, quantity(amount))
        return unsigned(self._chain.chain, terms.sender, message, f"allow {amount} {terms.asset} to be locked")

    def lock(self, terms: LockTerms, lock_id: LockId) -> UnsignedTransaction:
        message = Lock(
            lock_id, terms.asset, quantity(terms.amount), terms.receiver, terms.hashlock, terms.timelock.seconds
        )
        summary = f"lock {terms.amount} {terms.asset} for {terms.receiver}"
        return unsigned(self._chain.chain, terms.sender, message, summary)

    def claim(self, terms: LockTerms, lock_id: LockId, preimage: Preimage, sender: AccountId) -> UnsignedTransaction:
        summary = f"claim {terms.amount} {terms.asset} for {terms.receiver}"
        return unsigned(self._chain.chain, sender, Claim(lock_id, preimage.expose()), summary, reveals=True)

    def refund(self, terms: LockTerms, lock_id: LockId, sender: AccountId) -> UnsignedTransaction:
        summary = f"refund {terms.amount} {terms.asset} to {terms.sender}"
        return unsigned(self._chain.chain, sender, Refund(lock_id), summary)


@dataclass(frozen=True, slots=True)
class _GivesBack:
    """A refund before the timelock, sent by its receiver: it waits for nobody's signature."""

    terms: LockTerms
    lock_id: LockId
    consent: Consent

    def complete(self, signature: bytes, sender: AccountId) -> UnsignedTransaction:
        """See the port."""
        if sender != self.terms.receiver:
            raise RejectedError(f"only {self.terms.receiver} can give this back")
        return unsigned(self.terms.chain, sender, GiveBack(self.lock_id), self.consent.summary)


class MemoryConsentBuilder:
    async def lock(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> Draft | None:
        """No asset takes a consent."""
        return None

    def refund(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> Draft:
        """Only by the receiver's own transaction."""
        summary = f"give {terms.amount} {terms.asset} back to {terms.sender} before the timelock"
        return _GivesBack(terms, lock_id, Consent(terms.receiver, "", b"", summary))


class MemoryBatchBuilder:
    max_exits: int = MAX_EXITS
    max_locks: int = MAX_LOCKS

    def __init__(self, chain: ChainId) -> None:
        self._chain = chain

    def divided(self, exits: Sequence[UnsignedTransaction]) -> Sequence[Sequence[int]]:
        parts = (range(len(exits))[first : first + MAX_EXITS] for first in range(0, len(exits), MAX_EXITS))
        return [part for part in parts if len(part) > 1]

    def batch(self, exits: Sequence[UnsignedTransaction]) -> UnsignedTransaction:
        messages = [decode_message(one.body) for one in exits]
        items = tuple(message for message in messages if isinstance(message, Claim | Refund))
        senders = {(one.chain, one.sender) for one in exits}
        if not 0 < len(exits) <= MAX_EXITS or len(senders) != 1 or len(items) != len(messages):
            raise RejectedError(f"a batch has 1 to {MAX_EXITS} claims and refunds, all of one sender")
        reveals = any(one.reveals for one in exits)
        return unsigned(self._chain, exits[0].sender, Batch(items), "; ".join(one.summary for one in exits), reveals)

    def locks(self, locks: Sequence[UnsignedTransaction], *, each: bool = True) -> UnsignedTransaction:
        messages = [decode_message(one.body) for one in locks]
        items = tuple(message for message in messages if isinstance(message, Lock))
        alike = {(one.chain, one.sender) for one in locks}, {item.asset for item in items}
        if not 0 < len(locks) <= MAX_LOCKS or len(items) != len(messages) or any(len(one) != 1 for one in alike):
            raise RejectedError(f"a batch has 1 to {MAX_LOCKS} locks, all of one sender and one asset")
        summary = "; ".join(one.summary for one in locks)
        return unsigned(self._chain, locks[0].sender, Batch(items, each), summary)


class MemoryTransferBuilder:
    """`TransferBuilder`: asks nobody."""

    def __init__(self, chain: ChainId) -> None:
        self._chain = chain

    async def transfer(
        self, sender: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits
    ) -> UnsignedTransaction:
        check_transfer(self._chain, sender, receiver, asset, amount)
        return transfer(self._chain, sender, receiver, asset, amount)
