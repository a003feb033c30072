"""One account of one chain: allots, signs, stores, broadcasts, watches, rebroadcasts, outbids, cancels.

    send(key, unsigned) ──> sign ──> store bytes ──> submit ┐
    each new head ──> outcome of every open transaction ────┴──> included ──> final
                          an exit: again to everybody, until it is in a block
                          dropped: the same bytes again · late: a better fee · expires: a later expiry
                          no exit, and too late, called off or not to be paid: a cancellation under its sequence

Everything is keyed by the effect: sending the same effect again answers the transaction that is there. A batch is one
transaction of several effects, each of which finds it under its own key. What one transaction meets, in whatever
words, never concerns another transaction: see `step`.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, FatalError, RetryableError
from core.model.ports import Signer
from core.model.transactions import FeeBid, LeftOut, Outcome, OutcomeStatus, SequenceView, UnsignedTransaction
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.signals import wait_any
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.transactions import fees, records
from relayer.transactions.orders import Order
from relayer.transactions.records import SignedForm, TransactionRecord, TransactionStatus
from relayer.transactions.signing import EXIT_ASKS_S, Rebuild, SendingChain
from relayer.transactions.submission import MAX_AT_ONCE, MAX_REFUSALS, ClosedGate, PipelinePolicy, Sending
from relayer.transactions.tracking import LOOKS
from relayer.transactions.urgency import Urgency, urgencies

__all__ = ["MAX_REFUSALS", "ClosedGate", "Pipeline", "PipelinePolicy", "Rebuild"]

EXIT_LOOKS: Final = 3
"""As `LOOKS`, for an exit, which does no harm if it is signed again in vain."""
MAX_FILLERS: Final = 8
"""Missing sequences that one step fills."""
STEP_TIMEOUT_S: Final = 60.0
RETRY_S: Final = 1.0
"""How soon a step that met a dead endpoint is tried again, heads or not."""
IDLE_S: Final = 20.0
"""How long a step waits for a head before it looks all the same."""
EXIT_IDLE_S: Final = 4.0
"""The same while an exit waits for a block, but for two blocks at least: an endpoint may lose word of some heads."""
TAKEN_OUT: Final = "its time was over, or its gate closed: another form of the batch was mined, without it"
"""Why an item did nothing that the form in a block does not have."""
OVERLAP_SHARE: Final = 3
"""An exit is signed again when a third of its time to expire is left: the older form stays good meanwhile."""

_log = get_logger("relayer.transactions")


class Pipeline(Sending):
    """The transactions of one account. Call `start` before `send` and `run`; one process per account."""

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
        super().__init__(database, access, signer, board, clock, policy, metrics)
        self._stranger_looks: dict[int, int] = {}
        self._expired_looks: dict[int, int] = {}
        self._exit_idle_s = min(IDLE_S, max(EXIT_IDLE_S, 2 * access.parameters.timing.block_time_s))

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
            await self._idle(heads, self._wake.count)

    async def _idle(self, heads: int, wakes: int) -> None:
        """Return at the next head, when something asks for a step, or after as long as what is on its way may be left
        alone: an exit that is sent meanwhile, less."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        while (left_s := began_s + self._idle_s - clock()) > 0:
            await wait_any([(self._board.changed, heads), (self._wake, wakes)], min(left_s, self._exit_idle_s))
            if self._board.changed.count > heads or self._wake.count > wakes:
                return

    @property
    def _idle_s(self) -> float:
        if self._unsent:  # what a step could not send waits: an endpoint that refuses at once is not hammered
            return RETRY_S
        return self._exit_idle_s if self._exits_wait else IDLE_S

    async def step(self) -> None:
        """Look once at every open transaction and do what its outcome asks for.

        What goes wrong with one of them stops no other; the first `RetryableError` is raised when all are done with.
        """
        self._exits_wait = False  # one that is sent from now on may not be among those that are read
        records = await self._open()
        self._metrics.backlog.labels(self.chain).set(len(records))
        failures: list[RetryableError] = []
        held = await self._held(records)
        ready = [one for one in records if one.id in self._unsent and one.id not in held]
        unsent = [one for one in ready if not await self._over(one, in_time=True)]
        tried = {one.newest.hash for one in unsent}
        if unsent:
            await self._submit_all(unsent)
            records = await self._open()
        self._exits_wait |= any(one.exits and one.status is TransactionStatus.BROADCAST for one in records)
        view = await self._view(failures)
        seen = await self._outcomes(records, failures)
        again: list[TransactionRecord] = []
        behind = urgencies(records)
        # In the order of sequences: some chains refuse a transaction whose predecessor they do not know.
        for record in records:
            try:
                if await self._act(record, seen.get(record.id), view, behind[record.id], record.id in held):
                    again.append(record)
            except RetryableError as error:
                failures.append(error)
            except FatalError:
                raise
            except Exception as error:
                self._metrics.faults.labels("transactions").inc()
                _log.error("transaction set aside for now", effect=record.effect_key, error=str(error), exc_info=error)
        await self._submit_all([one for one in again if one.newest.hash not in tried])
        if view is not None:
            await self._fill_gaps(records, view, self._in_doubt(records, seen, behind))
        if self.check_again is not None and await self._inherited.check(held.values(), self.check_again):
            self._wake.notify()
        if failures:
            raise failures[0]

    async def _held(self, records: Sequence[TransactionRecord]) -> dict[int, TransactionRecord]:
        """Locks of an earlier process that wait to be checked again: none that makes way for an exit. What is over is
        called off like any other."""
        waiting = [one for one in records if self._inherited.waits(one)]
        behind = urgencies(records) if waiting else {}
        for one in waiting:
            if behind[one.id].exits:
                self._inherited.make_way(one)
        return {one.id: one for one in waiting if not await self._over(one, in_time=True)}

    async def _view(self, failures: list[RetryableError]) -> SequenceView | None:
        try:
            return await self._watch.look()
        except RetryableError as error:
            failures.append(error)
            return None

    async def _outcomes(
        self, records: Sequence[TransactionRecord], failures: list[RetryableError]
    ) -> dict[int, list[tuple[SignedForm, Outcome]]]:
        """Return what the chain says of every form of every transaction, newest first; nothing of those it does not
        answer."""
        if not records:
            return {}
        looks = asyncio.Semaphore(MAX_AT_ONCE)

        async def look(record: TransactionRecord) -> list[tuple[SignedForm, Outcome]] | RetryableError:
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

    # --- back: outcomes ---

    async def _act(
        self,
        record: TransactionRecord,
        outcomes: Sequence[tuple[SignedForm, Outcome]] | None,
        view: SequenceView | None,
        urgency: Urgency,
        held: bool,
    ) -> bool:
        """Do what the outcome asks for. True if the newest form is to be broadcast again; what was signed here, was.
        `held`: neither is to happen yet."""
        for attempt, outcome in outcomes or ():
            if outcome.status in (OutcomeStatus.INCLUDED, OutcomeStatus.REVERTED):
                await self._included(record, attempt, outcome)
                return False
        if outcomes is None:
            # Nobody says what became of it. An exit goes out again all the same, before it expires in another form, and
            # so does what stands before one, unless it waits to be checked again, or must not happen any more.
            again = urgency.exits and record.status is TransactionStatus.BROADCAST and not held
            if again and record.exits and await self._expires(record, unused=False):
                return False
            return again and not await self._over(record, in_time=True)
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
                await self._still_refused(record, urgency, view)
            return False
        if held:
            return False
        if record.newest.expiry_height is not None and await self._expires(record, dropped and view is not None):
            return False
        if not record.exits and await self._calls_off(record, urgency):
            return False
        if await self._outbid(record, urgency):
            return False
        if dropped:  # nodes forget what they took, and blocks that held it are replaced
            if over := await self._over(record, in_time=True):
                await self._take_out(record, over, urgency)
                return False
            self._metrics.rebroadcasts.labels(self.chain).inc()
        return dropped or urgency.exits or record.cancelling

    async def _included(self, record: TransactionRecord, attempt: SignedForm, outcome: Outcome) -> None:
        status = TransactionStatus.FINAL if outcome.final else TransactionStatus.INCLUDED
        outcome = _by_items(record, attempt, outcome)
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
        others = await self._database.read(
            lambda c: records.with_sequence(c, self.chain, self.account, record.sequence)
        )
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

    async def _still_refused(self, record: TransactionRecord, urgency: Urgency, view: SequenceView | None) -> None:
        """Neither signed nor sent again: its effect is asked for again, or called off. Only its sequence matters."""
        self._unsent.discard(record.id)
        self._doubted.pop(record.id, None)
        expiry, now_ns = record.newest.expiry_height, self._clock.now_ns()
        if expiry is not None and expiry < (await self._board.current()).finalized.height:
            if view is not None:
                await self._expired(record, record.reason or "refused")
        elif expiry is None and not record.exits and _is_late(record, now_ns) and not await self._handed_on(record):
            await self._cancel(record, urgency)

    async def _handed_on(self, record: TransactionRecord) -> bool:
        others = await self._database.read(
            lambda c: records.with_sequence(c, self.chain, self.account, record.sequence)
        )
        return any(other.id != record.id and other.status not in records.GIVEN_UP for other in others)

    # --- again: expiries, cancellations, fees ---

    async def _expires(self, record: TransactionRecord, unused: bool) -> bool:
        """On chains that know expiries: sign again in time; true if nothing else is to be done. `unused`: no form of it
        is anywhere, and the chain does not count its sequence."""
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
        if not unused or last >= heights.finalized.height:
            return True
        over = await self._over(record, in_time=True)
        left = len(over) < len(record.carried) and not record.cancelling
        if not left or not await self._sign_again(record, None, without=record.newest.without | over):
            await self._expired(record, "it expired before any block took it")
        return True

    async def _expired(self, record: TransactionRecord, reason: str) -> None:
        """Note as expired after `EXIT_LOOKS` looks: one node may lag behind the other that reports the head."""
        looks = self._expired_looks[record.id] = self._expired_looks.get(record.id, 0) + 1
        if looks >= EXIT_LOOKS:
            del self._expired_looks[record.id]
            await self._note(record, TransactionStatus.EXPIRED, reason=reason)

    async def _calls_off(self, record: TransactionRecord, urgency: Urgency) -> bool:
        """Cancel what is too late, is not wanted any more, or stands unpaid before an exit. On chains without fees
        nothing outbids it while a node has it: only what stands before an exit is cancelled then."""
        if record.cancelling or (record.newest.fee is None and not urgency.exits):
            return False
        if over := await self._over(record, in_time=False):
            await self._take_out(record, over, urgency)
            return True
        unpaid = record.newest.fee is not None and urgency.exits and await self._cannot_pay(record)
        return unpaid and await self._cancel(record, urgency)

    async def _over(self, record: TransactionRecord, in_time: bool) -> frozenset[int]:
        """The numbers of its effects, of those in its newest form, that must not happen any more: their deadline has
        passed, or their gate has closed since it was signed. None of an exit, nor of a cancellation; once there is one,
        all of a batch that waits to be checked again: no form of it is signed before."""
        if record.exits or record.cancelling:
            return frozenset()
        carried = record.carried
        late = {*self._inherited.refused(record)} & {number for number, _ in carried}
        late |= await self._database.read(
            lambda c: {number for number, item in carried if self._speaks_against(c, item, in_time) is not None}
        )
        return frozenset(number for number, _ in carried if number in late or (late and self._inherited.waits(record)))

    def _still_open(self, record: TransactionRecord, without: frozenset[int], connection: Connection) -> None:
        """Ask once more, in the transaction that stores another form of it: a signer may take longer than a gate stays
        open. Raise `ConflictError` if one of its effects, but for those left out, must not happen any more."""
        for number, item in enumerate(record.effects):
            reason = None if number in without else self._speaks_against(connection, item, in_time=True)
            if reason is not None:
                raise ConflictError(f"{item.effect_key} is not signed again: {reason}")

    def _speaks_against(self, connection: Connection, item: records.Item, in_time: bool) -> str | None:
        """Return why this effect must not happen any more, None if it may; see `ClosedGate`."""
        if item.deadline_ns is not None and self._clock.now_ns() >= item.deadline_ns:
            return "its time is over"
        return None if self.closed_gate is None else self.closed_gate(connection, item.effect_key, in_time)

    async def _take_out(self, record: TransactionRecord, over: frozenset[int], urgency: Urgency) -> bool:
        """Outbid it with a form without these effects, and without those whose time gate has closed; with a
        cancellation if nothing is left of it, or if there is no room for such a form. True if one was signed."""
        over |= await self._over(record, in_time=True)
        left = len(over) < len(record.carried) and len(record.attempts) < records.MAX_ATTEMPTS
        bid = await self._bid_for(record, urgency, must=True) if left else None
        if left and (bid is not None or record.newest.fee is None):
            _log.warning("taken out of a batch", chain=self.chain, effect=record.effect_key, items=sorted(over))
            if await self._sign_again(record, bid, without=record.newest.without | over):
                return True
        return await self._cancel(record, urgency)

    async def _cannot_pay(self, record: TransactionRecord) -> bool:
        """The purse holds less than it takes next to the exits behind it: no block could hold it, or then not them."""
        if (cost := await self._hand.cost_of(record)) is None:
            return False
        purse = await self._hand.purse(cost, lenient=True)
        return purse is not None and await self._hand.lacks(record, cost, purse)

    async def _cancel(self, record: TransactionRecord, urgency: Urgency) -> bool:
        """Use its sequence up with a transaction that outbids it, where there are fees, and does nothing; true if one
        was signed."""
        cancellation = await self._sender.cancellation(self.account)
        bid = await self._bid_for(record, urgency, must=True)
        if cancellation is None or (bid is None and record.newest.fee is not None):
            return False
        _log.warning("cancelling", chain=self.chain, effect=record.effect_key, sequence=record.sequence)
        self._metrics.cancellations.labels(self.chain).inc()
        return await self._sign_again(record, bid, cancellation)

    async def _outbid(self, record: TransactionRecord, urgency: Urgency) -> bool:
        """Sign it again with a better fee if it is late, or stands before an exit that offers more."""
        most = records.MAX_ATTEMPTS + (records.ROOM_TO_CANCEL if record.cancelling else 0)
        if record.newest.fee is None or len(record.attempts) >= most:
            return False
        bid = await self._bid_for(record, urgency, must=False)
        if bid is None:
            return False
        over = await self._over(record, in_time=True)
        if record.cancelling or len(over) == len(record.carried):
            cancellation = await self._sender.cancellation(self.account)
            return cancellation is not None and await self._sign_again(record, bid, cancellation)
        if not await self._hand.is_worth(record, bid, record.newest.without | over):
            # It waits as it is; but it keeps no exit behind it from being mined.
            return urgency.exits and await self._cancel(record, urgency)
        return await self._sign_again(record, bid, without=record.newest.without | over)

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
        self,
        record: TransactionRecord,
        bid: FeeBid | None,
        cancellation: UnsignedTransaction | None = None,
        without: frozenset[int] | None = None,
    ) -> bool:
        """Another form under the same sequence, broadcast; false if nothing was signed. See `Signatory.again`."""
        left_out = record.newest.without if without is None else without
        gate = None if record.exits or cancellation is not None else partial(self._still_open, record, left_out)
        attempt = await self._hand.again(record, bid, cancellation, without, gate)
        if attempt is None:
            return False
        self._metrics.replacements.labels(self.chain).inc()
        _log.info("signed again", chain=self.chain, effect=record.effect_key, attempts=len(record.attempts) + 1)
        again = replace(record, status=TransactionStatus.BROADCAST, attempts=(*record.attempts, attempt))
        await self._submit(again, attempt)
        self.changed.notify()
        return True

    @staticmethod
    def _in_doubt(
        records: Sequence[TransactionRecord],
        seen: Mapping[int, Sequence[tuple[SignedForm, Outcome]]],
        behind: Mapping[int, Urgency],
    ) -> frozenset[int]:
        """The sequences of what was refused, and may wait for a block all the same: nobody says now that it is nowhere.
        If an exit stands behind one, that does not wait to hear."""

        def is_nowhere(record: TransactionRecord) -> bool:
            return record.id in seen and all(one.status is OutcomeStatus.DROPPED for _, one in seen[record.id])

        refused = (one for one in records if one.status is TransactionStatus.REFUSED and not behind[one.id].exits)
        return frozenset(one.sequence for one in refused if not is_nowhere(one))

    async def _fill_gaps(
        self, records: Sequence[TransactionRecord], view: SequenceView, in_doubt: Collection[int]
    ) -> None:
        """A sequence that nothing uses keeps everything behind it from being mined: use it up."""
        waiting = [one.sequence for one in records if one.status is TransactionStatus.BROADCAST]
        missing = await self._watch.missing(view, max(waiting, default=0))
        for sequence in [one for one in missing if one not in in_doubt][:MAX_FILLERS]:
            nothing = await self._sender.cancellation(self.account)
            if nothing is None:
                _log.error("a sequence is missing and cannot be filled: fund the account", account=self.account)
                return
            key = f"gap/{self.account}/{sequence}/{self._clock.now_ns()}"
            await self._send_first(Order(key, nothing, exits=True, sequence=sequence))


def _is_late(record: TransactionRecord, now_ns: int) -> bool:
    return record.deadline_ns is not None and now_ns >= record.deadline_ns


def _by_items(record: TransactionRecord, attempt: SignedForm, outcome: Outcome) -> Outcome:
    """The outcome of a form that is without some items, as one of all of them: what was left out, by their numbers."""
    if not attempt.without:
        return outcome
    held = [number for number in range(len(record.items)) if number not in attempt.without]
    reasons = {held[one.index]: one.reason for one in outcome.left_out if one.index < len(held)}
    reasons |= dict.fromkeys(attempt.without, TAKEN_OUT)
    return replace(outcome, left_out=tuple(LeftOut(number, reason) for number, reason in sorted(reasons.items())))
