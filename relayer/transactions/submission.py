"""The way out of one account's transactions: signed, stored, broadcast. The way back is in `pipeline`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import (
    ConflictError,
    FatalError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
)
from core.model.ports import ConsentSigner, Signer
from core.model.transactions import Consent, Outcome, OutcomeStatus, UnsignedTransaction
from core.model.types import AssetId
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.transactions import accounts, fees, records
from relayer.transactions.fees import FeePolicy
from relayer.transactions.inherited import CheckAgain, Inherited
from relayer.transactions.orders import Gate, Order
from relayer.transactions.records import SignedForm, TransactionRecord, TransactionStatus
from relayer.transactions.signing import Asked, Compose, Rebuild, SendingChain, Signatory, Worth
from relayer.transactions.tracking import AccountWatch

MAX_AT_ONCE: Final = 16
"""Questions and broadcasts of one account that are on their way together."""
MAX_REFUSALS: Final = 3
GIVE_UP_S: Final = 10.0
"""Refusals, or seconds of them, in whatever words, after which a batch makes way for single exits."""
SUBMIT_TIMEOUT_S: Final = 5.0
"""A broadcast that takes longer is tried again; meanwhile others of the account may go out."""
TURN_S: Final = 1.0
"""How long a broadcast waits for the one before it."""

_log = get_logger("relayer.transactions")

ClosedGate = Callable[[Connection, str, bool], str | None]
"""Why an effect (by its key) must not be repeated, None if it may. With `True` the time gates count, too."""


@dataclass(frozen=True, slots=True)
class PipelinePolicy:
    """`expiry_blocks`: how far ahead a transaction expires on chains that know expiries. `shared`: the owner uses the
    account elsewhere, too. `adopt`: an account that the chain shows as used and the journal has never seen is taken
    over deliberately; without it the operator has to acknowledge that use before anything is funded or revealed."""

    fees: FeePolicy = field(default_factory=FeePolicy)
    expiry_blocks: int = 50
    shared: bool = False
    adopt: bool = False


class Sending:
    """One account's way out. `start` before `send`; one process per account (an epoch fences older ones)."""

    def __init__(
        self,
        database: Database,
        access: SendingChain,
        signer: Signer,
        board: HeadBoard,
        clock: Clock,
        policy: PipelinePolicy,
        metrics: RelayerMetrics,
    ) -> None:
        self.chain = access.parameters.chain
        self.account = signer.account
        self.changed = Signal()
        """Counts every change of a transaction's status."""
        self.opened = Signal()
        """Counts the times that the account was opened."""
        self.closed_gate: ClosedGate | None = None
        """Decides if a transaction other than an exit may still be repeated."""
        self.check_again: CheckAgain | None = None
        """Asks once more for what a lock needs that an earlier process signed; set it before `start`."""
        self._database = database
        self._sender = access.transactions
        self._signer = signer
        self._board = board
        self._clock = clock
        self._policy = policy
        self._metrics = metrics
        self._watch = AccountWatch(
            database, self._sender, self.chain, self.account, board, clock, metrics, policy.shared
        )
        self._hand = Signatory(database, access, signer, board, clock, policy.fees, policy.expiry_blocks, self._watch)
        self._bodies = self._hand.bodies
        self._doubted = self._hand.doubted
        self._sending = asyncio.Lock()
        self._wake = Signal()
        self._unsent: set[int] = set()
        self._exits_wait = False
        self._inherited = Inherited(clock, metrics)
        self._refusals: dict[int, tuple[int, float]] = {}

    @property
    def rebuild(self) -> Rebuild | None:
        """Makes an effect's transaction again after a restart, if its body was not to be stored."""
        return self._hand.rebuild

    @rebuild.setter
    def rebuild(self, rebuild: Rebuild) -> None:
        self._hand.rebuild = rebuild

    @property
    def compose(self) -> Compose | None:
        """Makes one transaction of some effects of a batch of locks."""
        return self._hand.compose

    @compose.setter
    def compose(self, compose: Compose) -> None:
        self._hand.compose = compose

    @property
    def worth(self) -> Worth | None:
        """Says what the effects of a transaction earn or are worth: it is never bid up beyond that."""
        return self._hand.worth

    @worth.setter
    def worth(self, worth: Worth) -> None:
        self._hand.worth = worth

    async def start(self) -> None:
        """Take the account over and broadcast again whatever is open.

        The chain is asked for nothing, unless the journal has never seen the account: then for its count. Raise
        `RetryableError` if it does not answer.
        """
        known = await self._database.read(lambda c: accounts.is_known(c, self.chain, self.account))
        latest = None if known else (await self._sender.sequences(self.account)).latest
        adopt = self._policy.adopt or self._policy.shared
        now_ns = self._clock.now_ns()
        self._hand.epoch = await self._database.write(
            lambda c: accounts.open_account(c, self.chain, self.account, latest, adopt, now_ns)
        )
        since_ns = now_ns - round(fees.MEMORY_S * NS_PER_S)
        self._hand.market.recall(
            await self._database.read(
                lambda c: records.first_bids(c, self.chain, self.account, since_ns, fees.MARKETS_KEPT)
            )
        )
        opened = await self._open()
        self._unsent = {one.id for one in opened if one.status is TransactionStatus.BROADCAST}
        if self.check_again is not None:
            self._inherited.take_over(opened)
        self._wake.notify()
        self.opened.notify()

    # --- sending ---

    async def send(
        self,
        effect_key: str,
        unsigned: UnsignedTransaction,
        deadline_s: float | None = None,
        *,
        simulate: bool = True,
        watched: bool = False,
        guarded: bool = False,
        gate: Gate | None = None,
        keep: Mapping[AssetId, int] | None = None,
        asked: Asked | None = None,
    ) -> TransactionRecord:
        """Sign, store and broadcast an effect's transaction, or return the one that is there already.

        Return once its bytes are stored; a broadcast that fails for now is tried again. `deadline_s` is the Unix time
        by which it must be included. What is not simulated, and what reveals, is an exit: it is never cancelled. For
        the rest see `Order`. Raise `RevertedError` if the chain says that it would fail, before anything is signed;
        `UnaffordableError` if the purse does not cover it; `RetryableError` if the chain does not answer, or while a
        foreign use of the account is not acknowledged and this is `guarded`; and what `gate` raises.
        """
        self._check(unsigned)
        if (known := await self.transaction(effect_key)) is not None:
            if known.effect_key == effect_key and known.open:
                self._bodies[effect_key] = unsigned
            return known
        exits = not simulate or unsigned.reveals
        if not exits:
            await self._simulate(unsigned)
        deadline_ns = None if deadline_s is None else round(deadline_s * NS_PER_S)
        order = Order(
            effect_key,
            unsigned,
            deadline_ns,
            watched,
            exits=exits,
            guarded=guarded,
            gate=gate,
            keep=keep or {},
        )
        return await self._send_first(order, asked)

    async def ask_for_lock(self, lock: UnsignedTransaction) -> Asked:
        """Return what the chain has to say before this lock is signed, or several of its asset. Raise as `send`."""
        self._check(lock)
        return await self._hand.ask(lock, exits=False, guarded=True)

    async def send_locks(
        self,
        effect_keys: Sequence[str],
        deadlines_s: Sequence[float],
        batch: UnsignedTransaction,
        simulated: UnsignedTransaction,
        asked: Asked,
        gate: Gate,
        keep: Mapping[AssetId, int],
    ) -> None:
        """Send one transaction for several locks, in the order of its items, each with its deadline (Unix time),
        watched and guarded. `simulated`: the same locks, of which all or none are made.

        If one of them has a transaction already, nothing is sent. Raise as `send`.
        """
        self._check(batch)
        await self._simulate(simulated)
        deadlines_ns = [round(one * NS_PER_S) for one in deadlines_s]
        order = Order(
            f"{records.BATCH_PREFIX}{effect_keys[0]}",
            batch,
            min(deadlines_ns),
            watched=True,
            items=tuple(effect_keys),
            deadlines_ns=deadlines_ns,
            guarded=True,
            gate=gate,
            keep=keep,
        )
        await self._send_first(order, asked)

    async def send_answers(
        self,
        effect_keys: Sequence[str],
        deadline_s: float,
        batch: UnsignedTransaction,
        gate: Gate,
        keep: Mapping[AssetId, int],
    ) -> None:
        """Send one transaction for several effects, in the order of its items, of which a late one does no harm.
        `deadline_s`: the Unix time by which the last of them has to be included.

        If one of them has a transaction already, nothing is sent. Raise as `send`.
        """
        self._check(batch)
        await self._simulate(batch)
        key, deadline_ns = f"{records.BATCH_PREFIX}{effect_keys[0]}", round(deadline_s * NS_PER_S)
        deadlines_ns = [deadline_ns] * len(effect_keys)
        order = Order(
            key, batch, deadline_ns, items=tuple(effect_keys), deadlines_ns=deadlines_ns, gate=gate, keep=keep
        )
        await self._send_first(order)

    async def send_together(
        self,
        effect_keys: Sequence[str],
        batch: UnsignedTransaction,
        deadline_s: float | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Send one transaction for several exits, in the order of its items, watched and not simulated.

        If one of them has a transaction already, nothing is sent. Raise as `send`.
        """
        self._check(batch)
        deadline_ns = None if deadline_s is None else round(deadline_s * NS_PER_S)
        key = f"{records.BATCH_PREFIX}{effect_keys[0]}"
        await self._send_first(Order(key, batch, deadline_ns, True, tuple(effect_keys), exits=True, gate=gate))

    def _check(self, unsigned: UnsignedTransaction) -> None:
        if unsigned.sender != self.account or unsigned.chain != self.chain:
            raise RejectedError(f"this pipeline signs for {self.account}, not for {unsigned.sender}")
        if self._hand.epoch == 0:
            raise RetryableError(f"{self.account} is not open yet: {self.chain} has not answered")

    async def _simulate(self, unsigned: UnsignedTransaction) -> None:
        market = await self._hand.market.now()
        bid = None if market is None else fees.first_bid(market, 0.0, self._policy.fees.ceiling)
        try:
            await self._sender.simulate(unsigned, bid)
        except RevertedError:
            self._metrics.simulate_errors.labels(self.chain).inc()
            raise

    async def _send_first(self, order: Order, asked: Asked | None = None) -> TransactionRecord:
        record = await self._hand.first(order, asked)
        self._exits_wait |= record.exits
        # A batch is named by its first effect: one that was there already may be of others, too.
        if record.effect_key == order.effect_key and tuple(item.effect_key for item in record.items) == (*order.items,):
            self._bodies[order.effect_key] = order.unsigned
            await self._in_turn(record, record.newest)
        self.changed.notify()
        return record

    async def _in_turn(self, record: TransactionRecord, attempt: SignedForm) -> None:
        """In the order of sequences, which some chains insist on; but nobody waits long for another's broadcast."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._sending.acquire()
        except TimeoutError:
            await self._submit(record, attempt)
            return
        try:
            await self._submit(record, attempt)
        finally:
            self._sending.release()

    async def consent(self, asked: Consent) -> bytes | None:
        """The account's signature on something that is not a transaction, None if its signer gives none."""
        return await self._signer.consent(asked) if isinstance(self._signer, ConsentSigner) else None

    async def transaction(self, effect_key: str) -> TransactionRecord | None:
        """Return the record stored under an effect's key, if any."""
        return await self._database.read(lambda c: records.by_effect(c, effect_key))

    async def until(self, effect_key: str, *statuses: TransactionStatus) -> TransactionRecord:
        """Wait until the effect's transaction has one of these statuses (or is settled otherwise)."""
        while True:
            seen = self.changed.count
            record = await self.transaction(effect_key)
            if record is not None and (record.status in statuses or not record.open):
                return record
            await self.changed.wait_beyond(seen)

    # --- out ---

    async def _submit_all(self, records: Sequence[TransactionRecord]) -> None:
        """The newest form of each, begun in the order of sequences, so that one that hangs keeps no other waiting."""
        if not records:
            return
        lines = asyncio.Semaphore(MAX_AT_ONCE)

        async def submit(record: TransactionRecord) -> None:
            async with lines:
                await self._submit(record, record.newest)

        await asyncio.gather(*(submit(record) for record in records))

    async def _submit(self, record: TransactionRecord, attempt: SignedForm) -> None:
        try:
            async with asyncio.timeout(SUBMIT_TIMEOUT_S):
                await self._sender.submit(record.signed(attempt))
        except (RetryableError, TimeoutError) as error:
            self._metrics.broadcast_errors.labels(self.chain, getattr(error, "code", "timeout")).inc()
            if record.items and record.exits and self._gives_up(record, error):
                await self._give_up_batch(record, str(error) or "it takes too long")
                return
            self._unsent.add(record.id)
            self._wake.notify()
            _log.warning("not broadcast yet", chain=self.chain, effect=record.effect_key, reason=str(error))
        except ConflictError as error:
            # Its sequence is used, or held by another form of it: the outcome at the next head shows which.
            self._unsent.discard(record.id)
            self._metrics.broadcast_errors.labels(self.chain, error.code).inc()
        except RejectedError as error:
            self._unsent.discard(record.id)
            self._metrics.broadcast_errors.labels(self.chain, error.code).inc()
            if record.status is TransactionStatus.BROADCAST:
                await self._note(record, TransactionStatus.REFUSED, reason=error.message)
                self._doubted[record.id] = record.sequence
                self._wake.notify()
        except FatalError:
            raise
        except Exception as error:
            self._unsent.add(record.id)
            self._metrics.faults.labels("broadcast").inc()
            _log.error("not broadcast yet", effect=record.effect_key, error=str(error), exc_info=error)
        else:
            self._unsent.discard(record.id)
            self._refusals.pop(record.id, None)
            self._metrics.submitted_s.labels(self.chain).observe(self._age_s(record))

    def _gives_up(self, record: TransactionRecord, error: Exception) -> bool:
        """At once if the purse cannot carry a batch; after some refusals or some time, whatever they are about."""
        count, since_s = self._refusals.get(record.id, (0, self._clock.monotonic()))
        self._refusals[record.id] = (count + 1, since_s)
        waited_s = self._clock.monotonic() - since_s
        return isinstance(error, UnaffordableError) or count + 1 >= MAX_REFUSALS or waited_s >= GIVE_UP_S

    async def _give_up_batch(self, record: TransactionRecord, reason: str) -> None:
        """A batch asks for the gas of all its items beforehand; each of them alone may be affordable."""
        self._unsent.discard(record.id)
        self._refusals.pop(record.id, None)
        _log.warning("exits go out one by one", chain=self.chain, reason=reason)
        if record.status is TransactionStatus.BROADCAST:
            await self._note(record, TransactionStatus.REFUSED, reason=reason)

    # --- small ---

    async def _open(self) -> list[TransactionRecord]:
        """Raise `FencedError` once another process has taken the account over, so that one that was paused and wakes
        ends at its next head, with all its duties, though it has nothing to sign."""

        def read(connection: Connection) -> list[TransactionRecord]:
            accounts.check_fence(connection, self.account, self._hand.epoch)
            return records.open_transactions(connection, self.chain, self.account)

        return await self._database.read(read)

    async def _note(
        self,
        record: TransactionRecord,
        status: TransactionStatus,
        tx_hash: bytes | None = None,
        outcome: Outcome | None = None,
        reason: str | None = None,
    ) -> None:
        block = outcome.block if outcome else None
        reverted = outcome is not None and outcome.status is OutcomeStatus.REVERTED
        store = partial(
            records.store_status,
            transaction_id=record.id,
            status=status,
            tx_hash=tx_hash,
            block=block,
            reverted=reverted,
            reason=outcome.reason if outcome else reason,
            left_out=outcome.left_out if outcome else (),
        )
        await self._database.write(store)
        self._doubted.pop(record.id, None)
        if status not in records.OPEN:
            self._bodies.pop(record.effect_key, None)
            self._unsent.discard(record.id)
        self.changed.notify()

    def _age_s(self, record: TransactionRecord) -> float:
        return max(0.0, self._clock.now() - record.created_ns / NS_PER_S)
