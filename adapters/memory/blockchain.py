"""The chain itself: blocks on demand, a mempool, finality by depth, reorgs."""

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from adapters.memory import ledger
from adapters.memory.mempool import Mempool, Pooled
from adapters.memory.signing import MemorySigner
from adapters.memory.state import Key, Overlay, VersionedState
from adapters.memory.transactions import Batch, Body, Message, account_of, decode_wire, payload, transaction_hash
from core.model.errors import ConflictError, NotFoundError, RejectedError, RevertedError
from core.model.facts import Block, BlockHeader, ChainEvent, HeadUpdate, LoggedEvent, Transferred
from core.model.ports import ChainTiming
from core.model.transactions import FeeMarket, LeftOut, Outcome, OutcomeStatus
from core.model.types import AccountId, Asset, AssetId, BaseUnits, BlockRef, ChainId, ChainTime, Height, Seconds
from core.runtime.clock import Clock

GAS_PER_TRANSACTION: Final = 100_000
MAX_BLOCK_TRANSACTIONS: Final = 1_000
HTLC_CODE_HASH: Final = hashlib.sha256(b"causeway/memory/htlc/1").digest()
"""`LockObservation.code_hash` on an honest memory chain."""


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """The rules of one memory chain.

    `finality_depth`: blocks on top of one that make it final, 0 for at once. `skew_s`: how far its time runs ahead of
    the clock. `fees` None: no fees; otherwise every transaction costs `gas` units of `native`, times
    its price, and one that the account cannot pay, with what it moves of `native`, waits for ever.
    `knows_expiry`: whether a transaction's expiry height counts. `deployed_code_hash`: set it apart from
    `HTLC_CODE_HASH` for a chain whose HTLC is not the honest one. `attestors`: voting power of bridge operators.
    `batches`: whether exits may share a transaction.
    `allowances`: see `ledger.Allowances`. `early_refunds`: whether a receiver may give a lock back before its timelock.
    `lock_ids_repeat`: whether the id of a settled lock may be used again.
    `suspects_of_256`: how many of 256 blocks without events say that they may have some.
    """

    timing: ChainTiming
    finality_depth: int = 0
    skew_s: int = 0
    native: AssetId | None = None
    fees: FeeMarket | None = None
    gas: int = GAS_PER_TRANSACTION
    knows_expiry: bool = True
    block_transactions: int = MAX_BLOCK_TRANSACTIONS
    deployed_code_hash: bytes = HTLC_CODE_HASH
    attestors: Mapping[AccountId, int] = field(default_factory=dict)
    batches: bool = True
    lock_ids_repeat: bool = False
    allowances: ledger.Allowances = field(default_factory=ledger.Allowances)
    early_refunds: bool = False
    suspects_of_256: int = 0


@dataclass(frozen=True, slots=True)
class Issue:
    """An entry that only the test itself can make: new units of an asset."""

    receiver: AccountId
    asset: AssetId
    amount: BaseUnits
    number: int

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(f"issue/{self.number}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an entry: why it reverted, None if it did not; its events; what it left out."""

    reason: str | None
    events: tuple[ChainEvent, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Mined:
    """A block as the chain keeps it, with what became of each entry."""

    block: Block
    entries: tuple[Issue | Pooled, ...]
    done: tuple[Done, ...]


@dataclass(frozen=True, slots=True)
class _Replaced:
    """A block that a reorg took away, and what it had written."""

    mined: Mined
    changes: Mapping[Key, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    block: BlockRef
    done: Done


class Blockchain:
    """One chain, honest and shared; what its endpoints do to the truth is `Endpoint`'s business."""

    def __init__(self, chain: ChainId, clock: Clock, assets: Mapping[AssetId, Asset], rules: MemoryRules) -> None:
        self.chain = chain
        self.clock = clock
        self.assets = dict(assets)
        self.rules = rules
        self.fees = rules.fees
        self.state = VersionedState()
        self.changed = asyncio.Event()
        self.tokens = ledger.Tokens()
        self._rulebook = ledger.Rulebook(chain, rules.attestors, self.tokens, rules.lock_ids_repeat, rules.allowances)
        self._keys: dict[AccountId, VerifyKey] = {}
        self._mempool = Mempool()
        self._issues: list[Issue] = []
        self._blocks: list[Mined] = []
        self._places: dict[bytes, _Place] = {}
        self._by_hash: dict[bytes, int] = {}
        self._former: tuple[_Replaced, ...] = ()
        self._numbers = itertools.count()
        self._salt = 0
        self._final = 0
        self._append((), ())

    # --- accounts ------------------------------------------------------------------------------------------------

    def open(self, public_key: bytes) -> AccountId:
        """Make an account known by its ed25519 public key; idempotent."""
        account = account_of(self.chain, public_key)
        self._keys[account] = VerifyKey(public_key)
        return account

    def signer(self, name: str, balances: Mapping[AssetId, int] | None = None) -> MemorySigner:
        """Open the account called `name`; what `balances` gives it is there from the next block on."""
        signer = MemorySigner(self.chain, name)
        self.open(signer.public_key)
        for asset, amount in (balances or {}).items():
            self.fund(signer.account, asset, amount)
        return signer

    def fund(self, account: AccountId, asset: AssetId, amount: int) -> None:
        """Issue new units, in the next block."""
        if asset not in self.assets:
            raise RejectedError(f"{asset} is not an asset of {self.chain}")
        self._issues.append(Issue(account, asset, BaseUnits(amount), next(self._numbers)))

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def height(self) -> Height:
        return Height(len(self._blocks) - 1)

    @property
    def finalized_height(self) -> Height:
        return Height(self._final)

    @property
    def head(self) -> HeadUpdate:
        return self.head_behind(0)

    def head_behind(self, lag_blocks: int) -> HeadUpdate:
        """Head and finalized as somebody sees them who is `lag_blocks` behind."""
        height = max(0, self.height - lag_blocks)
        final = min(self._final, height) if not lag_blocks else max(0, min(self._final - lag_blocks, height))
        return HeadUpdate(self._blocks[height].block.header, self._blocks[final].block.header)

    def block(self, at: Height | bytes) -> Block:
        """A canonical block. Raise `NotFoundError`."""
        height = self._by_hash.get(at) if isinstance(at, bytes) else at
        if height is None or not 0 <= height <= self.height:
            raise NotFoundError(f"{self.chain} has no such block")
        return self._blocks[height].block

    def may_have_events(self, block: Block) -> bool:
        """Return what a block says of its events, as a bloom filter does: "no" for certain, "yes" by chance, too."""
        return bool(block.events) or block.header.ref.hash[0] < self.rules.suspects_of_256

    def pending(self) -> tuple[bytes, ...]:
        """Hashes in the mempool, in order of arrival."""
        return tuple(pooled.hash for pooled in self._mempool.all())

    def outcome(self, tx_hash: bytes) -> Outcome:
        place = self._places.get(tx_hash)
        if place is not None:
            done, final = place.done, place.block.height <= self._final
            status = OutcomeStatus.INCLUDED if done.reason is None else OutcomeStatus.REVERTED
            return Outcome(status, final, place.block, done.reason, done.left_out)
        return Outcome(OutcomeStatus.PENDING if tx_hash in self._mempool else OutcomeStatus.DROPPED)

    # --- transactions --------------------------------------------------------------------------------------------

    def check(self, sender: AccountId, message: Message) -> None:
        """Would it succeed in a block made now? Raise `RevertedError`."""
        try:
            ledger.apply(self._rulebook, Overlay(self.state), sender, message, self._next_time())
        except ledger.Refused as refused:
            raise RevertedError(f"{self.chain} would refuse this: {refused}", reason=str(refused)) from None

    def take(self, raw: bytes) -> None:
        """Into the mempool; known bytes are taken again without effect.

        Raise `RevertedError` for bytes that can never be included, `ConflictError` when the sequence is used up or
        held by another transaction.
        """
        tx_hash = transaction_hash(raw)
        if tx_hash in self._mempool or tx_hash in self._places:
            return
        body = self._checked(raw)
        if body.sequence < self.state.get(ledger.sequence_key(AccountId(body.sender)), 0):
            raise ConflictError("the sequence is used up", sequence=body.sequence)
        if self._expired(body, self.height + 1):
            raise RevertedError("the transaction has expired", reason="expired")
        self._mempool.add(Pooled(tx_hash, raw, body, next(self._numbers)))

    def forget(self, tx_hash: bytes) -> None:
        """Drop a transaction that waits, as every node's mempool may at any time."""
        self._mempool.remove(tx_hash)

    def _checked(self, raw: bytes) -> Body:
        try:
            wire = decode_wire(raw)
        except RejectedError as error:
            raise RevertedError(error.message, reason="malformed") from None
        key = self._keys.get(AccountId(wire.body.sender))
        if wire.body.chain != self.chain or key is None:
            raise RevertedError("another chain's transaction, or an account that was never opened", reason="account")
        try:
            key.verify(payload(wire.body), wire.signature)
        except (BadSignatureError, ValueError):
            raise RevertedError("the signature is not the account's", reason="signature") from None
        return wire.body

    def verifies(self, account: AccountId, signed: bytes, signature: bytes) -> bool:
        """Return true if the signature is the account's."""
        try:
            self._keys[account].verify(signed, signature)
        except (KeyError, BadSignatureError, ValueError):
            return False
        return True

    def _expired(self, body: Body, height: int) -> bool:
        return self.rules.knows_expiry and 0 < body.expiry_height < height

    # --- blocks --------------------------------------------------------------------------------------------------

    def mine(self, count: int = 1, accept: Callable[[bytes], bool] | None = None) -> list[BlockRef]:
        """Produce blocks at the clock's time. `accept` chooses transactions by hash: what it refuses keeps waiting."""
        mined = [self._mine_one(accept) for _ in range(count)]
        self._notify()
        return mined

    async def produce(self, interval_s: float) -> None:
        """Mine on a beat until cancelled."""
        while True:
            await self.clock.sleep(interval_s)
            self.mine()

    def reorg(
        self,
        depth: int,
        length: int | None = None,
        keep: Callable[[bytes], bool] = lambda _: True,
        fill: bool = True,
        deep: bool = False,
    ) -> list[BlockRef]:
        """Replace the newest `depth` blocks by `length` others (default: one more), made at the clock's time.

        Transactions of the old branch return to the mempool if `keep` says so of their hash, and are lost
        otherwise; with `fill` false the new branch is empty and they wait. Issues are made again in its first block.
        Raise ValueError if a finalized block would go; `deep` lets it go if the new branch is at least as long, so that
        what is final keeps its height.
        """
        length = length or depth + 1
        most = self.height if deep and length >= depth else self.height - self._final
        if not 0 < depth <= most:
            raise ValueError(f"cannot replace {depth} blocks: {most} can be")
        self._drop(depth, keep)
        self._salt += 1
        branch = [self._mine_one(None if fill else lambda _: False) for _ in range(length)]
        self._notify()
        return branch

    def return_to_former(self) -> list[BlockRef]:
        """Go back to the branch that the last reorg replaced, the same blocks again; one more makes it the longer one.

        Raise ValueError if no such branch parts from the chain above what is final.
        """
        former = self._former
        fork = None if not former else self._by_hash.get(former[0].mined.block.header.parent_hash)
        if fork is None or not self._final <= fork < self.height:
            raise ValueError("no former branch parts from this chain above what is final")
        self._drop(self.height - fork, lambda _: True)
        again = {entry.hash for one in former for entry in one.mined.entries}
        self._issues = [issue for issue in self._issues if issue.hash not in again]
        for one in former:
            self.state.put(one.mined.block.header.height, one.changes)
            for entry in one.mined.entries:
                self._mempool.remove(entry.hash)
            self._keep(one.mined)
        self._sweep()
        self._mine_one(None)
        self._notify()
        return [one.mined.block.header.ref for one in former]

    def _drop(self, depth: int, keep: Callable[[bytes], bool]) -> None:
        self._former = tuple(reversed([self._drop_newest() for _ in range(depth)]))
        returning = [entry for one in self._former for entry in one.mined.entries]
        self._issues = [entry for entry in returning if isinstance(entry, Issue)] + self._issues
        for entry in returning:
            if isinstance(entry, Pooled) and keep(entry.hash):
                self._take_back(entry)

    def _take_back(self, pooled: Pooled) -> None:
        if self._mempool.at(pooled.sender, pooled.body.sequence) is None:
            self._mempool.add(pooled)

    def _drop_newest(self) -> _Replaced:
        mined = self._blocks.pop()
        changes = self.state.undo(mined.block.header.height)
        del self._by_hash[mined.block.header.ref.hash]
        for entry in mined.entries:
            del self._places[entry.hash]
        return _Replaced(mined, changes)

    def _mine_one(self, accept: Callable[[bytes], bool] | None) -> BlockRef:
        height, time = self.height + 1, self._next_time()
        issues, self._issues = self._issues, []
        entries: list[Issue | Pooled] = []
        outcomes: list[Done] = []
        for issue in issues:
            overlay = Overlay(self.state)
            ledger.credit(overlay, issue.receiver, issue.asset, issue.amount)
            self.state.put(height, overlay.changes)
            entries.append(issue)
            outcomes.append(Done(None, (Transferred(issue.asset, None, issue.receiver, issue.amount),)))
        while len(entries) - len(issues) < self.rules.block_transactions:
            pooled = self._next_ready(height, accept)
            if pooled is None:
                break
            self._mempool.remove(pooled.hash)
            entries.append(pooled)
            outcomes.append(self._execute(pooled, height, time))
        ref = self._append(tuple(entries), tuple(outcomes), time)
        self._sweep()
        return ref

    def _next_ready(self, height: int, accept: Callable[[bytes], bool] | None) -> Pooled | None:
        """The best payer among those whose turn it is; the first to arrive among equals."""
        ready = [
            pooled
            for pooled in self._mempool.all()
            if pooled.body.sequence == self.state.get(ledger.sequence_key(pooled.sender), 0)
            and self._affordable(pooled)
            and not self._expired(pooled.body, height)
            and (accept is None or accept(pooled.hash))
        ]
        return max(ready, key=lambda pooled: (self._tip(pooled.body), -pooled.arrival), default=None)

    def _tip(self, body: Body) -> int:
        return 0 if self.fees is None else min(body.priority_fee, body.max_fee - self.fees.base_fee)

    def _cost(self, body: Body) -> int:
        return 0 if self.fees is None else self.rules.gas * (self.fees.base_fee + self._tip(body))

    def _affordable(self, pooled: Pooled) -> bool:
        if self.fees is None or self.rules.native is None:
            return True
        held = self.state.get(ledger.balance_key(pooled.sender, self.rules.native), 0)
        needed = self._cost(pooled.body) + ledger.moved(pooled.body.message, self.rules.native)
        return pooled.body.max_fee >= self.fees.base_fee and held >= needed

    def _execute(self, pooled: Pooled, height: int, time: ChainTime) -> Done:
        """A transaction that reverts still uses its sequence and pays its fee."""
        charge = Overlay(self.state)
        charge.put(ledger.sequence_key(pooled.sender), pooled.body.sequence + 1)
        if self.rules.native is not None:
            ledger.debit(charge, pooled.sender, self.rules.native, self._cost(pooled.body))
        self.state.put(height, charge.changes)
        overlay, message = Overlay(self.state), pooled.body.message
        left_out: tuple[LeftOut, ...] = ()
        try:
            if isinstance(message, Batch):
                events, left_out = ledger.apply_each(self._rulebook, overlay, pooled.sender, message, time)
            else:
                events = ledger.apply(self._rulebook, overlay, pooled.sender, message, time)
        except ledger.Refused as refused:
            return Done(str(refused))
        self.state.put(height, overlay.changes)
        return Done(None, events, left_out)

    def _append(
        self,
        entries: tuple[Issue | Pooled, ...],
        outcomes: tuple[Done, ...],
        time: ChainTime | None = None,
    ) -> BlockRef:
        parent = self._blocks[-1].block.header.ref.hash if self._blocks else b""
        height = Height(len(self._blocks))
        time = time or self._next_time()
        digest = hashlib.sha256(f"{self.chain}/{height}/{time.seconds}/{self._salt}/".encode() + parent)
        for entry in entries:
            digest.update(entry.hash)
        ref = BlockRef(self.chain, height, digest.digest())
        happened = [(entry.hash, event) for entry, done in zip(entries, outcomes, strict=True) for event in done.events]
        logged = tuple(LoggedEvent(ref, tx, index, event) for index, (tx, event) in enumerate(happened))
        self._keep(Mined(Block(BlockHeader(ref, parent, time), logged), entries, outcomes))
        return ref

    def _keep(self, mined: Mined) -> None:
        ref = mined.block.header.ref
        self._blocks.append(mined)
        self._by_hash[ref.hash] = ref.height
        for entry, done in zip(mined.entries, mined.done, strict=True):
            self._places[entry.hash] = _Place(ref, done)
        self._final = max(self._final, ref.height - self.rules.finality_depth)

    def _sweep(self) -> None:
        for pooled in self._mempool.all():
            used = self.state.get(ledger.sequence_key(pooled.sender), 0) > pooled.body.sequence
            if used or self._expired(pooled.body, self.height + 1):
                self._mempool.remove(pooled.hash)

    def _next_time(self) -> ChainTime:
        """The clock's time in whole seconds, shifted by the skew, never before the parent's."""
        now = ChainTime(self.chain, int(self.clock.now()) + self.rules.skew_s)
        return max(now, self._blocks[-1].block.header.time) if self._blocks else now

    def _notify(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


def default_timing(block_time_s: int = 1, finality_depth: int = 0) -> ChainTiming:
    """Timing that fits a chain mined every `block_time_s` seconds, with room for two missed blocks."""
    block = Seconds(block_time_s)
    return ChainTiming(
        block_time_s=block,
        inclusion_s=Seconds(3 * block_time_s),
        finality_s=Seconds((finality_depth + 1) * block_time_s),
        observation_s=Seconds(2 * block_time_s),
        lead_s=Seconds(1),
        lag_s=Seconds(block_time_s + 1),
    )
