"""The face of a chain in a town, whichever kind it is: what people use, and what the verdict reads.

The verdict's readings come from a chain's own state and from the bytes themselves, never from an adapter.
"""

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, Protocol

from adapters.endpoints import Member
from adapters.memory import Endpoint, MemoryChain, MemoryRules
from adapters.memory.blockchain import Issue
from adapters.memory.ledger import LockRow, balance_key, lock_key, sequence_key
from adapters.memory.mempool import Pooled
from adapters.memory.ports import MemoryLockReader
from adapters.memory.transactions import (
    Batch,
    Claim,
    Lock,
    Message,
    Refund,
    Transfer,
    Wire,
    decode_message,
    decode_wire,
    encode_wire,
    transaction_hash,
    transfer,
)
from adapters.memory.transactions import Body as WireBody
from core.model.consortium import value_of
from core.model.errors import CausewayError
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

PARTED: Final = 1_000_000
"""From where on a chain that parts from another counts what it numbers: nothing of it is the other's."""
REPEATED: Final = 6
"""How many of another chain's newest blocks are looked through for what this one does not have."""
UNSIGNED: Final = bytes(64)


@dataclass(frozen=True, slots=True)
class Payment:
    """Base units of an asset that leave the sender for a receiver, by no swap."""

    asset: AssetId
    receiver: AccountId
    amount: int


@dataclass(frozen=True, slots=True)
class Body:
    """The effect of signed bytes. `max_fee`: for a unit of gas, 0 without fees, and `tip`, the part of it that is for
    the block's producer. `locks`: the terms that they lock under.

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
    tip: int = 0


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

    def meant(self, transaction: UnsignedTransaction) -> Body:
        """Return what a transaction will do once it is signed, as if under sequence 0 and for nothing."""

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
        return self._body(decode_wire(raw).body)

    def meant(self, transaction: UnsignedTransaction) -> Body:
        return self._body(WireBody(self.chain, transaction.sender, 0, 0, 0, 0, decode_message(transaction.body)))

    def _body(self, body: WireBody) -> Body:
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
            body.priority_fee,
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

    # --- for liars ---

    def parted(self) -> "PlayedMemory":
        """Return a chain with the same blocks and the same accounts, which goes its own way from now on."""
        other = copy(self)
        other.state, other._mempool = self.state.copy(), self._mempool.copy()
        other._blocks, other._issues = list(self._blocks), list(self._issues)
        other._places, other._by_hash = dict(self._places), dict(self._by_hash)
        other.unlocked, other.changed = set(), asyncio.Event()
        other._salt, other._numbers = self._salt + PARTED, itertools.count(PARTED)
        return other

    def repeat(self, other: "PlayedMemory") -> None:
        """Take in whatever the newest blocks of another chain hold and this one does not have."""
        for entry in (entry for mined in other._blocks[-REPEATED:] for entry in mined.entries):
            if isinstance(entry, Issue):
                if entry.hash not in self._places and entry not in self._issues:
                    self._issues.append(entry)
            else:
                with suppress(CausewayError):  # its sequence is used by something else here
                    self.take(entry.raw)

    def invent(self, sender: AccountId, message: Message) -> None:
        """Have the next block hold a message that its sender has not signed."""
        sequence = self.used(sender, self.height)
        while self._mempool.at(sender, sequence) is not None:
            sequence += 1
        bid = 0 if self.fees is None else 2 * self.fees.base_fee
        body = WireBody(self.chain, sender, sequence, bid, bid, 0, message)
        raw = encode_wire(Wire(body, UNSIGNED))
        self._mempool.add(Pooled(transaction_hash(raw), raw, body, next(self._numbers)))

    def harmless(self, account: AccountId, asset: AssetId) -> UnsignedTransaction:
        return transfer(self.chain, account, account, asset, BaseUnits(1))
