"""One account of one chain: allots, signs, stores, broadcasts, watches, rebroadcasts, outbids.

    send(key, unsigned) ──> sign ──> store bytes ──> submit ┐
    each new head ──> outcome of every open transaction ────┴──> included ──> final
                          dropped: the same bytes again · late: a better fee · expired: a later expiry

Everything is keyed by the effect: sending the same effect again answers the transaction that is there. A batch is one
transaction of several effects, each of which finds it under its own key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from core.model.errors import (
    ConflictError,
    FatalError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
)
from core.model.ports import ChainAccess, ConsentSigner, Signer
from core.model.transactions import Consent, FeeBid, FeeMarket, Outcome, OutcomeStatus, UnsignedTransaction
from core.model.types import Height
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from relayer.metrics import RelayerMetrics
from relayer.signals import HeadBoard, Signal, wait_any
from relayer.transactions import fees, tables
from relayer.transactions.fees import FeePolicy
from relayer.transactions.tables import Attempt, TransactionRecord, TransactionStatus

SIGNING_RETRIES: Final = 5
MAX_OUTCOMES_AT_ONCE: Final = 16
FOREIGN_USE_LOOKS: Final = 5
"""Looks at the chain, a block apart, that must all say that a stranger used our sequence before we stop."""
STEP_TIMEOUT_S: Final = 60.0
SUBMIT_TIMEOUT_S: Final = 5.0
"""A broadcast that takes longer is tried again; meanwhile others of the account may go out."""
RETRY_S: Final = 1.0
"""How soon a step that met a dead endpoint is tried again, heads or not."""

_log = get_logger("relayer.transactions")


Rebuild = Callable[[str], Awaitable[UnsignedTransaction | None]]


@dataclass(frozen=True, slots=True)
class PipelinePolicy:
    """`expiry_blocks`: how far ahead a transaction expires on chains that know expiries. `exclusive`: nobody else
    uses the account, from its first transaction on."""

    fees: FeePolicy = field(default_factory=FeePolicy)
    expiry_blocks: int = 50
    exclusive: bool = False


class Pipeline:
    """See the module's text. `start` before `send` and `run`; one process per account (an epoch fences older ones)."""

    def __init__(
        self,
        database: Database,
        access: ChainAccess,
        signer: Signer,
        board: HeadBoard,
        clock: Clock,
        policy: PipelinePolicy,
        metrics: RelayerMetrics,
    ) -> None:
        self.chain = access.chain
        self.account = signer.account
        self.changed = Signal()
        """Counts every change of a transaction's status."""
        self.rebuild: Rebuild | None = None
        """Makes an effect's transaction again after a restart, where its body was not to be stored."""
        self._database = database
        self._sender = access.transactions
        self._signer = signer
        self._board = board
        self._clock = clock
        self._policy = policy
        self._metrics = metrics
        self._epoch = 0
        self._signing = asyncio.Lock()
        self._wake = Signal()
        self._bodies: dict[str, UnsignedTransaction] = {}
        self._unsent: set[int] = set()
        self._foreign: dict[int, int] = {}

    async def start(self) -> None:
        """Compare the chain with the journal, take the account over and broadcast again whatever is open.

        Raises `FatalError` when the chain shows transactions of ours that the journal does not know, `RetryableError`
        when the chain does not answer.
        """
        view = await self._sender.sequences(self.account)
        self._epoch = await self._database.write(
            lambda c: tables.open_account(c, self.chain, self.account, view.latest, self._policy.exclusive)
        )
        self._unsent = {record.id for record in await self._open()}
        self._wake.notify()

    async def send(
        self,
        effect_key: str,
        unsigned: UnsignedTransaction,
        deadline_s: float | None = None,
        *,
        simulate: bool = True,
        watched: bool = False,
    ) -> TransactionRecord:
        """Sign, store and broadcast an effect's transaction, or answer the one that is there already.

        Returns once its bytes are stored; a broadcast that fails for now is tried again. `deadline_s` is the Unix time
        by which it must be included. Exits are not simulated, and what reveals never is. A `watched` transaction's
        progress is told to its swap. Raises `RevertedError` when the chain says that it would fail, before anything was
        signed, and `RetryableError` when the chain does not answer.
        """
        self._check(unsigned)
        if (known := await self.transaction(effect_key)) is not None:
            if known.effect_key == effect_key and known.open:
                self._bodies[effect_key] = unsigned
            return known
        if simulate and not unsigned.reveals:
            await self._simulate(unsigned)
        return await self._send_first(effect_key, unsigned, deadline_s, watched)

    async def send_together(
        self, effect_keys: Sequence[str], batch: UnsignedTransaction, deadline_s: float | None = None
    ) -> None:
        """Send one transaction for several exits, in the order of its items, watched and not simulated.

        Where one of them has a transaction already, nothing is sent. Raises as `send`.
        """
        self._check(batch)
        await self._send_first(f"{tables.BATCH_PREFIX}{effect_keys[0]}", batch, deadline_s, True, effect_keys)

    def _check(self, unsigned: UnsignedTransaction) -> None:
        if unsigned.sender != self.account or unsigned.chain != self.chain:
            raise RejectedError(f"this pipeline signs for {self.account}, not for {unsigned.sender}")
        if self._epoch == 0:
            raise RetryableError(f"{self.account} is not open yet: {self.chain} has not answered")

    async def _send_first(
        self,
        effect_key: str,
        unsigned: UnsignedTransaction,
        deadline_s: float | None,
        watched: bool,
        items: Sequence[str] = (),
    ) -> TransactionRecord:
        async with self._signing:
            record = await self._sign_first(effect_key, unsigned, deadline_s, watched, items)
            if record.effect_key == effect_key:
                self._bodies[effect_key] = unsigned
                await self._submit(record, record.newest)
        self.changed.notify()
        return record

    async def consent(self, asked: Consent) -> bytes | None:
        """The account's signature beside its transactions, None where its signer gives none."""
        return await self._signer.consent(asked) if isinstance(self._signer, ConsentSigner) else None

    async def transaction(self, effect_key: str) -> TransactionRecord | None:
        """What is stored under an effect's key."""
        return await self._database.read(lambda c: tables.by_effect(c, effect_key))

    async def until(self, effect_key: str, *statuses: TransactionStatus) -> TransactionRecord:
        """Wait until the effect's transaction has one of these statuses (or is settled otherwise)."""
        while True:
            seen = self.changed.count
            record = await self.transaction(effect_key)
            if record is not None and (record.status in statuses or not record.open):
                return record
            await self.changed.wait_beyond(seen)

    async def run(self) -> None:
        """Watch open transactions for ever: at every head, and at once after something went wrong on the way out."""
        while True:
            heads = self._board.changed.count
            try:
                async with asyncio.timeout(STEP_TIMEOUT_S):
                    await self.step()
            except (RetryableError, TimeoutError) as error:
                self._metrics.broadcast_errors.labels(self.chain, getattr(error, "code", "timeout")).inc()
                _log.warning("chain does not answer", chain=self.chain, reason=str(error))
                await self._clock.sleep(RETRY_S)
                continue
            # What the step itself could not send waits for RETRY_S: an endpoint that refuses at once is not hammered.
            retry_s, wakes = RETRY_S if self._unsent else None, self._wake.count
            await wait_any([(self._board.changed, heads), (self._wake, wakes)], retry_s)

    async def step(self) -> None:
        """Look once at every open transaction and do what its outcome asks for."""
        records = await self._open()
        self._metrics.backlog.labels(self.chain).set(len(records))
        for record in records:
            if record.id in self._unsent:
                await self._submit(record, record.newest)
        looks = asyncio.Semaphore(MAX_OUTCOMES_AT_ONCE)

        async def look(record: TransactionRecord) -> list[tuple[Attempt, Outcome]]:
            async with looks:
                return [(attempt, await self._sender.outcome(attempt.hash)) for attempt in reversed(record.attempts)]

        seen = await asyncio.gather(*(look(record) for record in records))
        # In the order of sequences: some chains refuse a transaction whose predecessor they do not know.
        for record, outcomes in zip(records, seen, strict=True):
            await self._act(record, outcomes)

    # --- out: sign, store, submit ---

    async def _simulate(self, unsigned: UnsignedTransaction) -> None:
        try:
            await self._sender.simulate(unsigned)
        except RevertedError:
            self._metrics.simulate_errors.labels(self.chain).inc()
            raise

    async def _sign_first(
        self,
        effect_key: str,
        unsigned: UnsignedTransaction,
        deadline_s: float | None,
        watched: bool,
        items: Sequence[str] = (),
    ) -> TransactionRecord:
        """The stored record; one that is there already for any of these effects stays, and is answered."""
        market = await self._sender.fee_market()
        bid = None if market is None else fees.first_bid(market, 0.0, self._policy.fees.ceiling)
        deadline_ns = None if deadline_s is None else round(deadline_s * NS_PER_S)
        for _ in range(SIGNING_RETRIES):
            known, sequence = await self._database.read(
                lambda c: (
                    tables.by_effects(c, (effect_key, *items)),
                    tables.free_sequence(c, self.chain, self.account),
                )
            )
            if known is not None:
                return known
            attempt = await self._sign(unsigned, sequence, bid)
            store = partial(
                tables.store_first,
                epoch=self._epoch,
                effect_key=effect_key,
                unsigned=unsigned,
                sequence=sequence,
                attempt=attempt,
                deadline_ns=deadline_ns,
                watched=watched,
                items=items,
            )
            with suppress(ConflictError):
                return await self._database.write(store)
        raise RetryableError(f"no sequence of {self.account} could be allotted: others sign for it, too")

    async def _sign(self, unsigned: UnsignedTransaction, sequence: int, bid: FeeBid | None) -> Attempt:
        expiry = None
        if bid is None:  # chains with a fee market know no expiry
            expiry = Height((await self._board.current()).head.height + self._policy.expiry_blocks)
        request = self._sender.assemble(unsigned, sequence, bid, expiry)
        signed = self._sender.attach(request, await self._signer.sign(request))
        return Attempt(signed.hash, signed.raw, bid, expiry, self._clock.now_ns())

    async def _submit(self, record: TransactionRecord, attempt: Attempt) -> None:
        try:
            async with asyncio.timeout(SUBMIT_TIMEOUT_S):
                await self._sender.submit(record.signed(attempt))
        except (RetryableError, TimeoutError) as error:
            self._metrics.broadcast_errors.labels(self.chain, getattr(error, "code", "timeout")).inc()
            if record.items and isinstance(error, UnaffordableError):
                await self._give_up_batch(record, error)
                return
            self._unsent.add(record.id)
            self._wake.notify()
            _log.warning("not broadcast yet", chain=self.chain, effect=record.effect_key, reason=str(error))
        except ConflictError as error:
            # Its sequence is used, or held by another form of it: the outcome at the next head tells which.
            self._unsent.discard(record.id)
            self._metrics.broadcast_errors.labels(self.chain, error.code).inc()
        except RevertedError as error:
            self._unsent.discard(record.id)
            self._metrics.broadcast_errors.labels(self.chain, error.code).inc()
            if record.status is TransactionStatus.BROADCAST:
                await self._note(record, TransactionStatus.REFUSED, reason=error.message)
        else:
            self._unsent.discard(record.id)
            if record.status is TransactionStatus.REFUSED:
                await self._note(record, TransactionStatus.BROADCAST)
            self._metrics.submitted_s.labels(self.chain).observe(self._age_s(record))

    async def _give_up_batch(self, record: TransactionRecord, error: UnaffordableError) -> None:
        """A batch asks for the gas of all its items beforehand; each of them alone may be affordable."""
        self._unsent.discard(record.id)
        _log.warning("exits go out one by one", chain=self.chain, reason=error.message)
        if record.status is TransactionStatus.BROADCAST:
            await self._note(record, TransactionStatus.REFUSED, reason=error.message)

    # --- back: outcomes ---

    async def _act(self, record: TransactionRecord, outcomes: Sequence[tuple[Attempt, Outcome]]) -> None:
        for attempt, outcome in outcomes:
            if outcome.status in (OutcomeStatus.INCLUDED, OutcomeStatus.REVERTED):
                await self._included(record, attempt, outcome)
                return
        if record.status is TransactionStatus.INCLUDED:
            _log.warning("reorged out", chain=self.chain, effect=record.effect_key)
            await self._note(record, TransactionStatus.BROADCAST)
            record = replace(record, status=TransactionStatus.BROADCAST)
        if all(outcome.status is OutcomeStatus.DROPPED for _, outcome in outcomes):
            await self._dropped(record)
        elif record.status is TransactionStatus.REFUSED:
            await self._note(record, TransactionStatus.BROADCAST)
        else:
            await self._outbid(record)

    async def _included(self, record: TransactionRecord, attempt: Attempt, outcome: Outcome) -> None:
        status = TransactionStatus.FINAL if outcome.final else TransactionStatus.INCLUDED
        if (status, attempt.hash, outcome.block) == (record.status, record.tx_hash, record.block):
            return
        if record.status is not TransactionStatus.INCLUDED:
            self._metrics.confirmed_s.labels(self.chain).observe(self._age_s(record))
        await self._note(record, status, attempt.hash, outcome)

    async def _dropped(self, record: TransactionRecord) -> None:
        view = await self._sender.sequences(self.account)
        if view.latest > record.sequence:
            if view.finalized is not None and view.finalized > record.sequence:
                await self._used_otherwise(record)
            return
        self._foreign.pop(record.id, None)
        if record.status is TransactionStatus.REFUSED and await self._handed_on(record):
            return
        last, heights = record.newest.expiry_height, await self._board.current()
        if last is not None and last <= heights.head.height:
            # Nobody takes it any more. Other bytes only once no branch can hold it.
            if last < heights.finalized.height:
                await self._sign_again(record, None)
            return
        if await self._outbid(record):  # nodes forget what cannot pay the base fee, and refuse to hear of it again
            return
        _log.info("broadcast again", chain=self.chain, effect=record.effect_key, sequence=record.sequence)
        self._metrics.rebroadcasts.labels(self.chain).inc()
        await self._submit(record, record.newest)

    async def _handed_on(self, record: TransactionRecord) -> bool:
        others = await self._with_its_sequence(record)
        return any(other.id != record.id and other.status is not TransactionStatus.REFUSED for other in others)

    async def _with_its_sequence(self, record: TransactionRecord) -> list[TransactionRecord]:
        return await self._database.read(lambda c: tables.with_sequence(c, self.chain, self.account, record.sequence))

    async def _used_otherwise(self, record: TransactionRecord) -> None:
        others = await self._database.read(lambda c: tables.with_sequence(c, self.chain, self.account, record.sequence))
        if any(other.status is TransactionStatus.FINAL for other in others):
            await self._note(record, TransactionStatus.SUPERSEDED)
            return
        if any(other.id != record.id and other.open for other in others):
            return
        looks = self._foreign[record.id] = self._foreign.get(record.id, 0) + 1
        if looks >= FOREIGN_USE_LOOKS:
            raise FatalError(
                f"sequence {record.sequence} of {self.account} was used by a transaction that is not in the journal: "
                "somebody else has the key, or this database is an old copy",
                effect_key=record.effect_key,
            )

    async def _outbid(self, record: TransactionRecord) -> bool:
        """Sign it again with a better fee where it is late; whether that was done."""
        last = record.newest
        if last.fee is None or len(record.attempts) >= tables.MAX_ATTEMPTS:
            return False
        market = await self._sender.fee_market()
        deadline_s = None if record.deadline_ns is None else record.deadline_ns / NS_PER_S
        now_s, signed_s = self._clock.now(), last.signed_ns / NS_PER_S
        if market is None or not fees.is_late(self._policy.fees, signed_s, deadline_s, now_s, last.fee, market):
            return False
        bid = self._better(record, last.fee, market, deadline_s, now_s)
        return bid is not None and await self._sign_again(record, bid)

    def _better(
        self, record: TransactionRecord, last: FeeBid, market: FeeMarket, deadline_s: float | None, now_s: float
    ) -> FeeBid | None:
        share = fees.share_used(record.created_ns / NS_PER_S, deadline_s, now_s)
        return fees.replacement_bid(last, market, share, self._policy.fees.ceiling)

    async def _sign_again(self, record: TransactionRecord, bid: FeeBid | None) -> bool:
        """Another form under the same sequence; false where there is nothing to sign, or somebody was faster."""
        unsigned = self._bodies.get(record.effect_key)
        if unsigned is None and record.body is not None:
            unsigned = UnsignedTransaction(self.chain, self.account, record.body, False, record.summary)
        if unsigned is None and self.rebuild is not None:
            unsigned = await self.rebuild(record.effect_key)
        if unsigned is None:
            return False
        async with self._signing:
            attempt = await self._sign(unsigned, record.sequence, bid)
            if attempt.hash in {known.hash for known in record.attempts}:
                return False
            try:
                await self._database.write(lambda c: tables.store_replacement(c, self._epoch, record, attempt))
            except ConflictError:
                return False
            self._metrics.replacements.labels(self.chain).inc()
            _log.info("signed again", chain=self.chain, effect=record.effect_key, attempts=len(record.attempts) + 1)
            await self._submit(record, attempt)
        self.changed.notify()
        return True

    # --- small ---

    async def _open(self) -> list[TransactionRecord]:
        return await self._database.read(lambda c: tables.open_transactions(c, self.chain, self.account))

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
            tables.store_status,
            transaction_id=record.id,
            status=status,
            tx_hash=tx_hash,
            block=block,
            reverted=reverted,
            reason=outcome.reason if outcome else reason,
            left_out=outcome.left_out if outcome else (),
        )
        await self._database.write(store)
        if status in (TransactionStatus.FINAL, TransactionStatus.SUPERSEDED):
            self._bodies.pop(record.effect_key, None)
        self.changed.notify()

    def _age_s(self, record: TransactionRecord) -> float:
        return max(0.0, self._clock.now() - record.created_ns / NS_PER_S)
