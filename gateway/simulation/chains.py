"""The face of a chain in a town, whichever kind it is: what people use, and what the verdict reads.

The verdict's readings come from a chain's own state and from the bytes themselves, never from an adapter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.endpoints import Member
from adapters.memory import Endpoint, MemoryChain, MemoryRules
from adapters.memory.ledger import LockRow, balance_key, lock_key, sequence_key
from adapters.memory.ports import MemoryLockReader
from adapters.memory.transactions import Batch, Claim, Lock, Refund, Transfer, decode_wire, transfer
from core.model.consortium import value_of
from core.model.facts import Block, Locked, LockStatus
from core.model.ports import ChainAccess, Signer
from core.model.transactions import UnsignedTransaction
from core.model.types import (
    AccountId,
    Asset,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
)
from core.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Payment:
    """Base units of an asset that leave the sender for a receiver, by no swap."""

    asset: AssetId
    receiver: AccountId
    amount: int


@dataclass(frozen=True, slots=True)
class Body:
    """The effect of signed bytes. `max_fee`: for a unit of gas, 0 without fees. `locks`: the terms that they lock
    under.

    `preimages`: what they reveal. `expiry_height`: the last block that may hold them, None for any. `settles`: the
    locks that they claim or refund. `pays`: what they pay to others.
    """

    sender: AccountId
    sequence: int
    max_fee: int
    locks: tuple[LockTerms, ...]
    preimages: tuple[bytes, ...]
    expiry_height: Height | None
    settles: tuple[LockId, ...] = ()
    pays: tuple[Payment, ...] = ()


@dataclass(frozen=True, slots=True)
class LockState:
    """A lock in a state of its chain."""

    terms: LockTerms
    status: LockStatus


class PlayedChain(Protocol):
    """One chain of a town."""

    @property
    def chain(self) -> ChainId: ...

    @property
    def native(self) -> AssetId | None:
        """The asset that pays fees, None without fees."""

    @property
    def height(self) -> Height: ...

    @property
    def finalized_height(self) -> Height: ...

    @property
    def waiting(self) -> int:
        """How many transactions wait for a block."""

    def block(self, at: Height | bytes) -> Block:
        """A canonical block with what happened in it. Raise `NotFoundError`."""

    def lock_at(self, lock_id: LockId, at: Height | None = None) -> LockState | None:
        """A lock in the state after the block at a height, by default the newest; None if there is none."""

    def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> int:
        """Return an account's balance after the block at a height, by default the newest; base units."""

    def used(self, account: AccountId, at: Height) -> int:
        """How many sequences of the account are used up in the state after the block at a height."""

    def read(self, raw: bytes) -> Body:
        """Return what these signed bytes do. Raise `RejectedError` for bytes that are not a transaction of this
        chain."""

    def signer(self, name: str, balances: Mapping[AssetId, int] | None = None) -> Signer:
        """The account called `name`; what `balances` gives it is there from the next block on."""

    def access(self, endpoint: Endpoint | None = None) -> ChainAccess:
        """The ports as one endpoint offers them; without an argument, as a perfect one does."""

    def member(self, operator: str, endpoint: Endpoint) -> Member:
        """One operator's endpoint, as a voice among several."""

    def harmless(self, account: AccountId, asset: AssetId) -> UnsignedTransaction:
        """A unit from the account to itself: something to use a sequence for."""


class PlayedMemory(MemoryChain):
    """A memory chain with that face. `unlocked`: hashlocks of which a reorg has taken a lock out."""

    def __init__(self, chain: ChainId, clock: Clock, assets: Mapping[AssetId, Asset], rules: MemoryRules) -> None:
        self.unlocked: set[Hashlock] = set()
        super().__init__(chain, clock, assets, rules)

    def reorg(self, depth: int, *arguments: Any, **options: Any) -> list[BlockRef]:
        gone = [self.block(Height(height)) for height in range(self.height - depth + 1, self.height + 1)]
        branch = super().reorg(depth, *arguments, **options)
        happened = (logged.event for block in gone for logged in block.events)
        self.unlocked |= {event.terms.hashlock for event in happened if isinstance(event, Locked)}
        return branch

    @property
    def native(self) -> AssetId | None:
        return self.rules.native

    @property
    def waiting(self) -> int:
        return len(self.pending())

    def lock_at(self, lock_id: LockId, at: Height | None = None) -> LockState | None:
        none: LockRow | None = None
        row = self.state.get(lock_key(lock_id), none, self.height if at is None else at)
        return None if row is None else LockState(row.terms, row.status)

    def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> int:
        return self.state.get(balance_key(account, asset), 0, self.height if at is None else at)

    def used(self, account: AccountId, at: Height) -> int:
        return self.state.get(sequence_key(account), 0, at)

    def read(self, raw: bytes) -> Body:
        body = decode_wire(raw).body
        messages = body.message.items if isinstance(body.message, Batch) else (body.message,)
        return Body(
            AccountId(body.sender),
            body.sequence,
            body.max_fee,
            tuple(self._terms(body.sender, message) for message in messages if isinstance(message, Lock)),
            tuple(message.preimage for message in messages if isinstance(message, Claim)),
            Height(body.expiry_height) if self.rules.knows_expiry and body.expiry_height else None,
            tuple(LockId(message.lock_id) for message in messages if isinstance(message, Claim | Refund)),
            tuple(self._payment(message) for message in messages if isinstance(message, Transfer)),
        )

    def _payment(self, message: Transfer) -> Payment:
        return Payment(AssetId(message.asset), AccountId(message.receiver), value_of(message.amount))

    def _terms(self, sender: str, message: Lock) -> LockTerms:
        return LockTerms(
            AssetId(message.asset),
            BaseUnits(value_of(message.amount)),
            AccountId(sender),
            AccountId(message.receiver),
            Hashlock(message.hashlock),
            ChainTime(self.chain, message.timelock),
        )

    def member(self, operator: str, endpoint: Endpoint) -> Member:
        return Member(operator, self.access(endpoint), MemoryLockReader(self, endpoint))

    def harmless(self, account: AccountId, asset: AssetId) -> UnsignedTransaction:
        return transfer(self.chain, account, account, asset, BaseUnits(1))
