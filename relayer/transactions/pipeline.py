"""One account of one chain: allots, signs, stores, broadcasts, watches, rebroadcasts, outbids, cancels.

    send(key, unsigned) ──> sign ──> store bytes ──> submit ┐
    each new head ──> outcome of every open transaction ────┴──> included ──> final
                          an exit: again to everybody, until it is in a block
                          dropped: the same bytes again · late: a better fee · expires: a later expiry
                          no exit, and too late, called off or not to be paid: a cancellation under its sequence

Everything is keyed by the effect: sending the same effect again answers the transaction that is there. A batch is one
transaction of several effects, each of which finds it under its own key. What one transaction meets, in whatever
words, is no other transaction's business: see `step`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from core.model.ports import ChainAccess, ConsentSigner, Signer
from core.model.transactions import (
    Consent,
    FeeBid,
    Outcome,
    OutcomeStatus,
    SequenceView,
    UnsignedTransaction,
)
from core.model.types import AssetId
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from relayer.metrics import RelayerMetrics
from relayer.signals import HeadBoard, Signal, wait_any
from relayer.transactions import accounts, fees, tables
from relayer.transactions.fees import FeePolicy
from relayer.transactions.signing import EXIT_ASKS_S, Rebuild, Signatory
from relayer.transactions.tables import Attempt, Gate, Order, TransactionRecord, TransactionStatus
from relayer.transactions.urgency import Urgency, urgencies
from relayer.transactions.watch import LOOKS, AccountWatch

MAX_AT_ONCE: Final = 16
"""Questions and broadcasts of one account that are on their way together."""
EXIT_LOOKS: Final = 3
"""As `LOOKS`, for an exit, which does no harm if it is signed again in vain."""
MAX_FILLERS: Final = 8
"""Missing sequences that one step fills."""
MAX_REFUSALS: Final = 3
GIVE_UP_S: Final = 10.0
"""A batch that was refused so often, or for so long, in whatever words, makes way for single exits."""
STEP_TIMEOUT_S: Final = 60.0
SUBMIT_TIMEOUT_S: Final = 5.0
"""A broadcast that takes longer is tried again; meanwhile others of the account may go out."""
RETRY_S: Final = 1.0
"""How soon a step that met a dead endpoint is tried again, heads or not."""
IDLE_S: Final = 20.0
"""How long a step waits for a head before it looks all the same."""
OVERLAP_SHARE: Final = 3
"""An exit is signed again when a third of its time to expire is left: the older form stays good meanwhile."""

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
        self.opened = Signal()
        """Counts the times that the account was opened."""
        self.closed_gate: ClosedGate | None = None
        """Knows whether a transaction that is no exit may still be repeated."""
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
        self._sending = asyncio.Lock()
        self._wake = Signal()
        self._unsent: set[int] = set()
        self._refusals: dict[int, tuple[int, float]] = {}
        self._stranger_looks: dict[int, int] = {}

    @property
    def rebuild(self) -> Rebuild | None:
        """Makes an effect's transaction again after a restart, where its body was not to be stored."""
        return self._hand.rebuild

    @rebuild.setter
    def rebuild(self, rebuild: Rebuild) -> None:
        self._hand.rebuild = rebuild

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
        self._unsent = {one.id for one in await self._open() if one.status is TransactionStatus.BROADCAST}
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
        return await self._send_first(order)

    async def send_together(
        self, effect_keys: Sequence[str], batch: UnsignedTransaction, deadline_s: float | None = None
    ) -> None:
        """Send one transaction for several exits, in the order of its items, watched and not simulated.

        If one of them has a transaction already, nothing is sent. Raise as `send`.
        """
        self._check(batch)
        deadline_ns = None if deadline_s is None else round(deadline_s * NS_PER_S)
        key = f"{tables.BATCH_PREFIX}{effect_keys[0]}"
        await self._send_first(Order(key, batch, deadline_ns, True, tuple(effect_keys), exits=True))

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

    async def _send_first(self, order: Order) -> TransactionRecord:
        record = await self._hand.first(order)
        if record.effect_key == order.effect_key:
            self._bodies[order.effect_key] = order.unsigned
            await self._in_turn(record, record.newest)
        self.changed.notify()
        return record

    async def _in_turn(self, record: TransactionRecord, attempt: Attempt) -> None:
        """In the order of sequences, which some chains insist on; but nobody waits long for another's broadcast."""
        try:
            async with asyncio.timeout(RETRY_S):
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

    # --- watching ---

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
            retry_s, wakes = RETRY_S if self._unsent else IDLE_S, self._wake.count
            await wait_any([(self._board.changed, heads), (self._wake, wakes)], retry_s)

    async def step(self) -> None:
        """Look once at every open transaction and do what its outcome asks for.

        What goes wrong with one of them stops no other; the first `RetryableError` is raised when all are done with.
        """
        records = await self._open()
        self._metrics.backlog.labels(self.chain).set(len(records))
        failures: list[RetryableError] = []
        if unsent := [one for one in records if one.id in self._unsent]:
            await self._submit_all(unsent)
            records = await self._open()
        view = await self._view(failures)
        seen = await self._outcomes(records, failures)
        again: list[TransactionRecord] = []
        behind = urgencies(records)
        # In the order of sequences: some chains refuse a transaction whose predecessor they do not know.
        for record in records:
            try:
                if await self._act(record, seen.get(record.id), view, behind[record.id]):
                    again.append(record)
            except RetryableError as error:
                failures.append(error)
            except FatalError:
                raise
            except Exception as error:
                self._metrics.faults.labels("transactions").inc()
                _log.error("transaction set aside for now", effect=record.effect_key, error=str(error), exc_info=error)
        await self._submit_all(again)
        if view is not None:
            await self._fill_gaps(records, view)
        if failures:
            raise failures[0]

    async def _view(self, failures: list[RetryableError]) -> SequenceView | None:
        try:
            return await self._watch.look()
        except RetryableError as error:
            failures.append(error)
            return None

    async def _outcomes(
        self, records: Sequence[TransactionRecord], failures: list[RetryableError]
    ) -> dict[int, list[tuple[Attempt, Outcome]]]:
        """What the chain says of every form of every transaction, newest first; nothing of those it does not answer."""
        looks = asyncio.Semaphore(MAX_AT_ONCE)

        async def look(record: TransactionRecord) -> list[tuple[Attempt, Outcome]] | RetryableError:
            async with looks:
                try:
                    return [(one, await self._sender.outcome(one.hash)) for one in reversed(record.attempts)]
                except RetryableError as error:
                    return error
                except FatalError:
                    raise
                except Exception as error:
                    self._metrics.faults.labels("outcomes").inc()
                    _log.error("outcome cannot be read", effect=record.effect_key, error=str(error), exc_info=error)
                    return RetryableError(f"what became of {record.effect_key} cannot be read: {error}")

        answers = await asyncio.gather(*(look(record) for record in records))
        failures += [answer for answer in answers if isinstance(answer, RetryableError)]
        return {
            record.id: answer
            for record, answer in zip(records, answers, strict=True)
            if not isinstance(answer, RetryableError)
        }

    # --- out ---

    async def _submit_all(self, records: Sequence[TransactionRecord]) -> None:
        """The newest form of each, begun in the order of sequences, so that one that hangs keeps no other waiting."""
        lines = asyncio.Semaphore(MAX_AT_ONCE)

        async def submit(record: TransactionRecord) -> None:
            async with lines:
                await self._submit(record, record.newest)

        await asyncio.gather(*(submit(record) for record in records))

    async def _submit(self, record: TransactionRecord, attempt: Attempt) -> None:
        try:
            async with asyncio.timeout(SUBMIT_TIMEOUT_S):
                await self._sender.submit(record.signed(attempt))
        except (RetryableError, TimeoutError) as error:
            self._metrics.broadcast_errors.labels(self.chain, getattr(error, "code", "timeout")).inc()
            if record.items and self._gives_up(record, error):
                await self._give_up_batch(record, str(error) or "it takes too long")
                return
            self._unsent.add(record.id)
            self._wake.notify()
            _log.warning("not broadcast yet", chain=self.chain, effect=record.effect_key, reason=str(error))
        except ConflictError as error:
            # Its sequence is used, or held by another form of it: the outcome at the next head tells which.
            self._unsent.discard(record.id)
            self._metrics.broadcast_errors.labels(self.chain, error.code).inc()
        except RejectedError as error:
            self._unsent.discard(record.id)
            self._metrics.broadcast_errors.labels(self.chain, error.code).inc()
            if record.status is TransactionStatus.BROADCAST:
                await self._note(record, TransactionStatus.REFUSED, reason=error.message)
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

    # --- back: outcomes ---

    async def _act(
        self,
        record: TransactionRecord,
        outcomes: Sequence[tuple[Attempt, Outcome]] | None,
        view: SequenceView | None,
        urgency: Urgency,
    ) -> bool:
        """Do what the outcome asks for. True if the newest form is to be broadcast again; what was signed here, was."""
        for attempt, outcome in outcomes or ():
            if outcome.status in (OutcomeStatus.INCLUDED, OutcomeStatus.REVERTED):
                await self._included(record, attempt, outcome)
                return False
        if outcomes is None:
            # Nobody says what became of it. An exit goes out again all the same.
            return urgency.exits and record.status is TransactionStatus.BROADCAST
        if record.status is TransactionStatus.INCLUDED:
            _log.warning("reorged out", chain=self.chain, effect=record.effect_key)
            await self._note(record, TransactionStatus.BROADCAST)
            record = replace(record, status=TransactionStatus.BROADCAST)
        dropped = all(outcome.status is OutcomeStatus.DROPPED for _, outcome in outcomes)
        if dropped and view is not None and view.latest > record.sequence:
            await self._used_otherwise(record, view)
            return False
        self._stranger_looks.pop(record.id, None)
        if record.status is TransactionStatus.REFUSED:
            if not dropped:
                await self._note(record, TransactionStatus.BROADCAST)
            else:
                await self._still_refused(record, urgency)
            return False
        if record.newest.expiry_height is not None and await self._expires(record, urgency, dropped):
            return False
        if not record.exits and await self._calls_off(record, urgency):
            return False
        if await self._outbid(record, urgency, dropped):
            return False
        if dropped:  # nodes forget what they took, and blocks that held it are replaced
            self._metrics.rebroadcasts.labels(self.chain).inc()
        return dropped or urgency.exits or record.cancelling

    async def _included(self, record: TransactionRecord, attempt: Attempt, outcome: Outcome) -> None:
        status = TransactionStatus.FINAL if outcome.final else TransactionStatus.INCLUDED
        if attempt.cancels and outcome.final:
            await self._note(record, TransactionStatus.SUPERSEDED, reason="its cancellation came first")
            return
        if (status, attempt.hash, outcome.block) == (record.status, record.tx_hash, record.block):
            return
        if record.status is not TransactionStatus.INCLUDED:
            self._metrics.confirmed_s.labels(self.chain).observe(self._age_s(record))
        self._unsent.discard(record.id)
        await self._note(record, status, attempt.hash, outcome)

    async def _used_otherwise(self, record: TransactionRecord, view: SequenceView) -> None:
        """Its sequence is used, and not by any form of it that the chain shows.

        An exit does no harm if it is done twice, so its effect may be signed again as soon as that is likely. Anything
        else may still come back until another transaction with its sequence is final.
        """
        others = await self._database.read(lambda c: tables.with_sequence(c, self.chain, self.account, record.sequence))
        if any(other.status is TransactionStatus.FINAL for other in others):
            await self._note(record, TransactionStatus.SUPERSEDED)
            return
        if any(other.id != record.id and other.status is TransactionStatus.INCLUDED for other in others):
            return
        looks = self._stranger_looks[record.id] = self._stranger_looks.get(record.id, 0) + 1
        final = view.finalized is not None and view.finalized > record.sequence
        if looks < (EXIT_LOOKS if record.exits else LOOKS):
            return
        if not any(other.status is TransactionStatus.SUPERSEDED for other in others):
            await self._watch.believe(record.sequence, record.sequence + 1)
        if record.exits or final:
            reason = f"sequence {record.sequence} was used by a transaction that is not in the journal"
            _log.warning("our sequence was used elsewhere", chain=self.chain, sequence=record.sequence)
            await self._note(record, TransactionStatus.SUPERSEDED, reason=reason)

    async def _still_refused(self, record: TransactionRecord, urgency: Urgency) -> None:
        """Neither signed nor sent again: its effect is asked for anew, or called off. Only its sequence matters."""
        self._unsent.discard(record.id)
        expiry = record.newest.expiry_height
        if expiry is not None and expiry < (await self._board.current()).finalized.height:
            await self._note(record, TransactionStatus.EXPIRED, reason=record.reason)
        elif expiry is None and not record.exits and self._is_late(record) and not await self._handed_on(record):
            await self._cancel(record, urgency)

    async def _handed_on(self, record: TransactionRecord) -> bool:
        others = await self._database.read(lambda c: tables.with_sequence(c, self.chain, self.account, record.sequence))
        return any(other.id != record.id and other.status not in tables.GIVEN_UP for other in others)

    # --- again: expiries, cancellations, fees ---

    async def _expires(self, record: TransactionRecord, urgency: Urgency, dropped: bool) -> bool:
        """On chains that know expiries: sign again in time; true if nothing else is to be done."""
        last, heights = record.newest.expiry_height, await self._board.current()
        if last is None:
            return False
        left = last - heights.head.height
        if record.exits:
            overlap = max(1, self._policy.expiry_blocks // OVERLAP_SHARE)
            return left <= overlap and await self._sign_again(record, None)
        if left > 0:
            return False
        # Nobody takes it any more. Other bytes only once no branch can hold it, and only if it still may happen.
        if dropped and last < heights.finalized.height:
            over = self._is_late(record) or await self._closed(record, in_time=True)
            if over or not await self._sign_again(record, None):
                await self._note(record, TransactionStatus.EXPIRED, reason="it expired before any block took it")
        return True

    async def _calls_off(self, record: TransactionRecord, urgency: Urgency) -> bool:
        """On chains with fees: cancel what is too late, is not wanted any more, or stands unpaid before an exit."""
        if record.newest.fee is None or record.cancelling:
            return False
        over = self._is_late(record) or await self._closed(record, in_time=False)
        if over or (urgency.exits and await self._cannot_pay(record)):
            return await self._cancel(record, urgency)
        return False

    def _is_late(self, record: TransactionRecord) -> bool:
        return record.deadline_ns is not None and self._clock.now_ns() >= record.deadline_ns

    async def _closed(self, record: TransactionRecord, in_time: bool) -> bool:
        """Its gate has closed since it was signed."""
        if self.closed_gate is None or record.exits:
            return False
        gate = self.closed_gate
        reasons = await self._database.read(lambda c: [gate(c, item.effect_key, in_time) for item in record.effects])
        return any(reason is not None for reason in reasons)

    async def _cannot_pay(self, record: TransactionRecord) -> bool:
        """The purse holds less than it takes next to the exits behind it: no block could hold it, or then not them."""
        if (cost := self._hand.cost_of(record)) is None:
            return False
        purse = await self._hand.purse(cost, lenient=True)
        return purse is not None and await self._hand.lacks(record, cost, purse)

    async def _cancel(self, record: TransactionRecord, urgency: Urgency) -> bool:
        """Use its sequence up with a transaction that outbids it and does nothing; true if one was signed."""
        cancellation = await self._sender.cancellation(self.account)
        bid = await self._bid_for(record, urgency, must=True)
        if cancellation is None or bid is None:
            return False
        _log.warning("cancelling", chain=self.chain, effect=record.effect_key, sequence=record.sequence)
        self._metrics.cancellations.labels(self.chain).inc()
        return await self._sign_again(record, bid, cancellation)

    async def _outbid(self, record: TransactionRecord, urgency: Urgency, dropped: bool) -> bool:
        """Sign it again with a better fee if it is late, or stands before an exit that offers more."""
        if record.newest.fee is None or len(record.attempts) >= tables.MAX_ATTEMPTS:
            return False
        bid = await self._bid_for(record, urgency, must=False)
        if bid is None:
            return False
        if record.cancelling or (not record.exits and await self._closed(record, in_time=True)):
            cancellation = await self._sender.cancellation(self.account)
            return cancellation is not None and await self._sign_again(record, bid, cancellation)
        return await self._sign_again(record, bid)

    async def _bid_for(self, record: TransactionRecord, urgency: Urgency, must: bool) -> FeeBid | None:
        """A better bid than all so far, None if none is called for (unless it `must`) or the ceiling allows none."""
        last, newest, policy = record.bid, record.newest, self._policy.fees
        market = await self._hand.market.now(EXIT_ASKS_S if urgency.exits else None)
        if last is None or newest.fee is None or market is None:
            return None
        now_s, signed_s = self._clock.now(), newest.signed_ns / NS_PER_S
        below = fees.outbidding(last, urgency.floor)
        late = fees.is_late(policy, signed_s, urgency.deadline_s, now_s, newest.fee, market)
        if not (must or below or late):
            return None
        share = urgency.share(now_s)
        most = policy.most(self._hand.market.usual, share, urgency.exits or record.cancelling or must)
        bid = fees.replacement_bid(last, market, share, most)
        if below is None or below.max_fee > most:
            return bid
        if bid is None:
            return below
        return FeeBid(max(bid.max_fee, below.max_fee), max(bid.priority_fee, below.priority_fee))

    async def _sign_again(
        self, record: TransactionRecord, bid: FeeBid | None, cancellation: UnsignedTransaction | None = None
    ) -> bool:
        """Another form under the same sequence, broadcast; false if nothing was signed."""
        attempt = await self._hand.again(record, bid, cancellation)
        if attempt is None:
            return False
        self._metrics.replacements.labels(self.chain).inc()
        _log.info("signed again", chain=self.chain, effect=record.effect_key, attempts=len(record.attempts) + 1)
        again = replace(record, status=TransactionStatus.BROADCAST, attempts=(*record.attempts, attempt))
        await self._submit(again, attempt)
        self.changed.notify()
        return True

    async def _fill_gaps(self, records: Sequence[TransactionRecord], view: SequenceView) -> None:
        """A sequence that nothing uses keeps everything behind it from being mined: use it up."""
        waiting = [one.sequence for one in records if one.status is TransactionStatus.BROADCAST]
        missing = await self._watch.missing(view, max(waiting, default=0))
        for sequence in missing[:MAX_FILLERS]:
            nothing = await self._sender.cancellation(self.account)
            if nothing is None:
                _log.error("a sequence is missing and cannot be filled: fund the account", account=self.account)
                return
            key = f"gap/{self.account}/{sequence}/{self._clock.now_ns()}"
            await self._send_first(Order(key, nothing, exits=True, sequence=sequence))

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
        if status not in tables.OPEN:
            self._bodies.pop(record.effect_key, None)
            self._unsent.discard(record.id)
        self.changed.notify()

    def _age_s(self, record: TransactionRecord) -> float:
        return max(0.0, self._clock.now() - record.created_ns / NS_PER_S)
