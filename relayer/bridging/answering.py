"""Effects of the questions of one chain: proofs are made and kept, answers are sent, never at a loss.

What is due at one look is proven as of one height of each chain if it can be, so that answers share a header and a
transaction. Of answers that share one each pays for itself and its part of what they share; one that does not waits,
and one that fails is tried alone. Everything is looked up under the effect's key first: acting twice is harmless.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.boards import AnswerDraft, QueryBoard
from core.model.errors import (
    CausewayError,
    FatalError,
    GateClosedError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
    UnclearRefusalError,
    UntrustedHeaderError,
)
from core.model.facts import HeadUpdate
from core.model.ports import ChainTiming, Prover
from core.model.questions import Evidence, LogQuestion
from core.model.transactions import UnsignedTransaction
from core.model.types import AssetId, ChainId, Height
from core.model.uris import parse_uri
from core.proofs.evidence import decode_evidence, encode_evidence
from core.runtime import journal, retry
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.journal import StoredEffect
from core.runtime.logging import get_logger
from core.runtime.retry import RetryPolicy
from queries import codec, engine, events
from queries.effects import Deliver, Finished, Prove
from queries.gates import check_delivery_now
from queries.model import Phase, Proof, Request
from relayer.bridging import asked as store
from relayer.bridging.asked import Open
from relayer.bridging.watching import AGAIN_S, Watch, delivery_outcome
from relayer.metrics import RelayerMetrics
from relayer.pump import swaps
from relayer.transactions import records
from relayer.transactions.pipeline import Pipeline

MAX_A_LOOK: Final = 32
"""Proofs, and answers, that one look tries: whoever asks thousands of questions gets no more of our endpoints. What was
tried comes behind what was not, so that those that wait keep no other waiting."""
MAX_DUE: Final = 500
AT_ONCE: Final = 8
ACT_TIMEOUT_S: Final = 30.0
"""One try of one effect, or of one transaction."""
UNPAID: Final = RetryPolicy((AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S, 8 * AGAIN_S, 16 * AGAIN_S))
"""A question whose fee does not cover what an answer may cost: it is looked at again as prices fall."""
SETTLED: Final = RetryPolicy((AGAIN_S,))
"""A block has an answer, or has given the fee back: unless a reorg takes it, nothing is left to do."""
NOT_YET: Final = RetryPolicy((0.5, 1.0, 1.0, 2.0))
"""A height that cannot be proven yet, though it is final."""

Keep = Callable[[], Awaitable[Mapping[AssetId, int]]]
"""Amounts that have to stay in the account, in base units by asset: gas for the exits of open swaps first of all."""

P = TypeVar("P", Prove, Deliver)

_FINISHED: Final = str(Finished.__struct_config__.tag)

log = get_logger("relayer.bridging.answering")


class UnpaidError(RetryableError):
    """The fee does not cover what the answer may cost."""

    code = "unpaid"


@dataclass(frozen=True, slots=True)
class _Ready:
    """An answer that can be sent: the effect that asks for it, its question, and the proof."""

    effect: StoredEffect
    sequence: int
    open: Open
    evidence: Evidence


class Answering:
    """The acts of one process on the questions of one chain."""

    def __init__(
        self,
        database: Database,
        board: QueryBoard,
        prover: Prover,
        watch: Watch,
        timing: ChainTiming,
        pipeline: Pipeline,
        keep: Keep,
        clock: Clock,
        metrics: RelayerMetrics,
        need_header: Callable[[Height], None] | None = None,
    ) -> None:
        """`need_header`: called with the height of a header that the chain's light client does not take yet."""
        self.chain = pipeline.chain
        self._need_header = need_header
        self._database = database
        self._board = board
        self._prover = prover
        self._watch = watch
        self._timing = timing
        self._pipeline = pipeline
        self._keep = keep
        self._clock = clock
        self._metrics = metrics
        self._queue = engine.queue_on(self.chain)
        self._compose_others, self._gate_others = pipeline.compose, pipeline.closed_gate
        pipeline.compose, pipeline.closed_gate = self._compose, self._closed_gate

    async def due(self) -> tuple[list[StoredEffect], int | None]:
        """Return what is due, and when (Unix nanoseconds) the next effect is, None if there is none."""
        now_ns = self._clock.now_ns()

        def read(connection: Connection) -> tuple[list[StoredEffect], int | None]:
            found = journal.pending_effects(connection, now_ns, MAX_DUE, queue=self._queue)
            return found, journal.next_due_ns(connection, self._queue)

        return await self._database.read(read)

    async def act(self, head: HeadUpdate) -> int:
        """Try what is due; return how many answers were sent. What goes wrong with one question stops no other.

        `head` is that of the asking chain. Raise `FatalError`, and what the database raises.
        """
        await self._finish_all((await self.due())[0])
        await self._prove_all((await self.due())[0], head)
        return await self._deliver_all((await self.due())[0], head)

    # --- the end ---

    async def _finish_all(self, due: Iterable[StoredEffect]) -> None:
        for effect in due:
            asked = await self._decoded(effect)
            if not isinstance(asked, Finished):
                continue
            now_ns = self._clock.now_ns()

            def end(connection: Connection, asked: Finished = asked, now_ns: int = now_ns) -> None:
                store.finish(connection, asked.query_id, now_ns)

            await swaps.write(self._database, end)
            self._watch.forget(asked.query_id)
            self._metrics.questions.labels(self.chain, asked.phase).inc()
            log.info("question ended", chain=self.chain, query=asked.query_id, phase=asked.phase, reason=asked.reason)

    # --- proofs ---

    async def _prove_all(self, due: Iterable[StoredEffect], head: HeadUpdate) -> None:
        by_chain: dict[ChainId, list[tuple[StoredEffect, Prove, Open]]] = {}
        for effect, asked, known in (await self._wanted(due, Prove))[:MAX_A_LOOK]:
            by_chain.setdefault(known.state.request.answering, []).append((effect, asked, known))
        lines = asyncio.Semaphore(AT_ONCE)

        async def prove(one: tuple[StoredEffect, Prove, Open], at: Height | None) -> Height | None:
            async with lines:
                return await self._prove(*one, at, head)

        async def chain(proofs: list[tuple[StoredEffect, Prove, Open]]) -> None:
            at: Height | None = None
            while proofs and at is None:
                at = await prove(proofs.pop(0), None)
            await asyncio.gather(*(prove(one, at) for one in proofs))

        await asyncio.gather(*(chain(proofs) for proofs in by_chain.values()))

    async def _prove(
        self, effect: StoredEffect, asked: Prove, known: Open, at: Height | None, head: HeadUpdate
    ) -> Height | None:
        """Make and keep one proof; return the height that others can be proven at, too."""
        query, request = known.query, known.state.request
        try:
            async with asyncio.timeout(ACT_TIMEOUT_S):
                check_delivery_now(request, head.head.time, self._timing)
                self._require_paid(known, await self._board.least_cost(query))
                if not await self._board.is_open(query.number):
                    raise NotYetFinalError(f"question {query.number} is answered or over: a block will show it")
                evidence = await self._proven(request, at)
        except FatalError:
            raise
        except (RetryableError, TimeoutError) as error:
            await self._retry(effect, known, error)
        except RejectedError as error:
            self._refused(known, error)
            late = isinstance(error, GateClosedError)
            event = events.NotProven(asked.sequence, error.message, never=late)
            await self._settle(effect, known, event)
        except Exception as error:
            await self._set_aside(effect, error)
        else:
            raw = encode_evidence(evidence)
            proof = Proof(evidence.as_of.block.height, hashlib.sha256(raw).digest())
            keep = partial(store.keep_proof, query_id=asked.query_id, proof=proof, evidence=raw)
            await self._settle(effect, known, events.Proven(asked.sequence, proof), keep)
            return None if isinstance(evidence.question, LogQuestion) else proof.height
        return None

    async def _proven(self, request: Request, at: Height | None) -> Evidence:
        """Evidence as of a height that the question admits, `at` if it does.

        Raise `NotYetFinalError` if there is none yet, `RejectedError` if there can be none.
        """
        question = parse_uri(request.uri).question
        if at is not None and (not request.admits(at) or isinstance(question, LogQuestion)):
            at = None
        evidence = await self._prover.prove(question, at)
        if request.last is not None and evidence.as_of.block.height > request.last:
            evidence = await self._prover.prove(question, request.last)
        if evidence.as_of.block.height < request.first:
            raise NotYetFinalError(f"block {request.first} of {question.chain} cannot be proven yet")
        return evidence

    # --- answers ---

    async def _deliver_all(self, due: Iterable[StoredEffect], head: HeadUpdate) -> int:
        together: dict[tuple[Height, bytes], list[_Ready]] = {}
        for effect, asked, known in (await self._wanted(due, Deliver))[:MAX_A_LOOK]:
            if (ready := await self._ready(effect, asked, known, head)) is not None:
                block = ready.evidence.as_of.block
                together.setdefault((block.height, block.hash), []).append(ready)
        sent, most = 0, self._board.max_together
        for group in together.values():
            group.sort(key=lambda one: one.open.query.number)
            for start in range(0, len(group), most):
                sent += await self._send(group[start : start + most])
        return sent

    async def _ready(self, effect: StoredEffect, asked: Deliver, known: Open, head: HeadUpdate) -> _Ready | None:
        """Return the answer if it may be sent now. One that was sent before a crash is noted as sent."""
        if (record := await self._pipeline.transaction(effect.key)) is not None:
            failed = delivery_outcome(known.state, record)
            await self._settle(effect, known, failed or events.DeliverySubmitted(asked.sequence))
            return None
        try:
            async with asyncio.timeout(ACT_TIMEOUT_S):
                check_delivery_now(known.state.request, head.head.time, self._timing)
                if known.state.asked_in is None or not await self._board.is_open(known.query.number):
                    raise NotYetFinalError(f"question {known.query.number} is not open now: a block will show why")
                raw = await self._database.read(lambda c: store.kept_proof(c, asked.query_id, asked.proof))
                return _Ready(effect, asked.sequence, known, decode_evidence(raw))
        except (RetryableError, TimeoutError) as error:
            await self._retry(effect, known, error)
        except RejectedError as error:
            await self._refuse(effect, known, asked.sequence, error)
        return None

    async def _send(self, group: Sequence[_Ready]) -> int:
        """Send these answers in one transaction, or those that pay; each alone if that fails. Return how many."""
        try:
            async with asyncio.timeout(ACT_TIMEOUT_S):
                paying = await self._send_paying(group)
        except FatalError:
            raise
        except (CausewayError, TimeoutError) as error:
            if len(group) > 1 and isinstance(error, RejectedError | UnaffordableError | UnclearRefusalError):
                log.info("answers go out one by one", chain=self.chain, answers=len(group), reason=str(error))
                return sum([await self._send([one]) for one in group])
            for one in group:
                if isinstance(error, RejectedError):
                    await self._refuse(one.effect, one.open, one.sequence, error)
                else:
                    await self._retry(one.effect, one.open, error)
            return 0
        except Exception as error:
            for one in group:
                await self._set_aside(one.effect, error)
            return 0
        return await self._note_sent(paying)

    async def _send_paying(self, group: Sequence[_Ready]) -> Sequence[_Ready]:
        draft = await self._draft(group)
        while poor := self._poor(group, draft):
            for one, cost in poor:
                await self._retry(one.effect, one.open, _unpaid(one.open, cost, self._watch.pays(one.open.query)))
            left = {one.effect.key for one, _ in poor}
            group = [one for one in group if one.effect.key not in left]
            if not group:
                return group
            draft = await self._draft(group)
        # Whoever asks and then answers first lets us pay for a transaction that reverts. No exit may miss that gas.
        keep = await self._keep() if draft.shared + sum(draft.each) else {}
        gate = partial(_gate, ready=tuple(group))
        if len(group) == 1:
            [one] = group
            deadline_s = float(one.open.query.deadline.seconds)
            await self._pipeline.send(one.effect.key, draft.transaction, deadline_s, keep=keep, gate=gate)
        else:
            deadlines_s = [float(one.open.query.deadline.seconds) for one in group]
            keys = [one.effect.key for one in group]
            await self._pipeline.send_answers(keys, deadlines_s, draft.transaction, gate, keep)
        return group

    async def _draft(self, group: Sequence[_Ready]) -> AnswerDraft:
        return await self._board.draft([(one.open.query, one.evidence) for one in group], self._pipeline.account)

    def _poor(self, group: Sequence[_Ready], draft: AnswerDraft) -> list[tuple[_Ready, int]]:
        """Those that do not pay for themselves and for their part of what all share, which is rounded up, each with
        its cost. Without them the parts only grow, so that they can never be among these."""
        part = -(-draft.shared // len(group))
        costs = [(one, each + part) for one, each in zip(group, draft.each, strict=True)]
        return [(one, cost) for one, cost in costs if cost > self._watch.pays(one.open.query)]

    async def _note_sent(self, group: Sequence[_Ready]) -> int:
        keys = [one.effect.key for one in group]
        found = await self._database.read(lambda c: records.by_each_effect(c, keys)) if keys else {}
        sent = [one for one in group if one.effect.key in found]
        for one in sent:
            await self._settle(one.effect, one.open, events.DeliverySubmitted(one.sequence))
            query, height = one.open.query, one.evidence.as_of.block.height
            self._metrics.answers.labels(self.chain, "sent").inc()
            log.info("question answered", chain=self.chain, number=query.number, height=height)
        if len(sent) > 1:
            self._metrics.answers_together.labels(self.chain).inc(len(sent))
        return len(sent)

    # --- what becomes of an effect ---

    async def _decoded(self, effect: StoredEffect) -> Prove | Deliver | Finished | None:
        """None for what cannot be read: it is set aside, and keeps no other waiting."""
        try:
            return codec.decode_effect(effect.body)
        except Exception as error:
            await self._set_aside(effect, error)
            return None

    async def _wanted(self, due: Iterable[StoredEffect], kind: type[P]) -> list[tuple[StoredEffect, P, Open]]:
        """The effects of this kind that their questions still ask for, those that were never tried first."""
        found = list[tuple[StoredEffect, P, Open]]()
        for effect in sorted(due, key=lambda one: (one.attempts > 0, one.due_ns)):
            asked = await self._decoded(effect) if effect.kind != _FINISHED else None
            if not isinstance(asked, kind):
                continue
            known = self._watch.open.get(asked.query_id)
            if known is None or known.state.phase.terminal:
                continue  # its end is stored, and takes its effects with it
            if known.state.settlement is not None:
                await self._later(effect, "a block settles the question", SETTLED)
                continue
            found.append((effect, asked, known))
        return found

    async def _settle(
        self,
        effect: StoredEffect,
        known: Open,
        event: events.QueryEvent,
        also: Callable[[Connection], object] | None = None,
    ) -> None:
        """The effect's end and the event that it means, in one transaction."""
        now_ns = self._clock.now_ns()

        def end(connection: Connection) -> None:
            journal.complete_effect(connection, effect.key, now_ns=now_ns)
            if also is not None:
                also(connection)

        try:
            await self._watch.take(known.state.query_id, [event], end)
        except NotFoundError:
            log.info("a question made room for others", chain=self.chain, number=known.query.number)

    async def _refuse(self, effect: StoredEffect, known: Open, sequence: int, error: RejectedError) -> None:
        """Nothing was signed. What somebody else has answered meanwhile is not refused: a block will show it."""
        if isinstance(error, RevertedError):
            try:
                if not await self._board.is_open(known.query.number):
                    return await self._retry(effect, known, NotYetFinalError("answered or over meanwhile"))
            except RetryableError as silent:
                return await self._retry(effect, known, silent)
        self._refused(known, error)
        return await self._settle(effect, known, events.DeliveryRefused(sequence, error.message))

    def _refused(self, known: Open, error: Exception) -> None:
        self._metrics.answers.labels(self.chain, "refused").inc()
        log.info("question not answered", chain=self.chain, number=known.query.number, reason=str(error))

    async def _retry(self, effect: StoredEffect, known: Open, error: Exception) -> None:
        match error:
            case NotYetFinalError():
                delays = NOT_YET
            case UnpaidError() | UnaffordableError():
                delays = UNPAID
            case UntrustedHeaderError():
                delays = NOT_YET
                if self._need_header is not None:
                    self._need_header(Height(error.fields["height"]))
            case _:
                delays = retry.EFFECT
        if delays is not NOT_YET:
            self._refused(known, error)
        await self._later(effect, str(error) or "it takes too long", delays)

    async def _set_aside(self, effect: StoredEffect, error: Exception) -> None:
        self._metrics.faults.labels("answers").inc()
        log.error("effect set aside for now", effect=effect.key, error=str(error), exc_info=error)
        await self._later(effect, f"{type(error).__name__}: {error}", retry.EFFECT)

    async def _later(self, effect: StoredEffect, reason: str, delays: RetryPolicy) -> None:
        due_ns = self._clock.now_ns() + round(delays.delay_s(effect.attempts + 1) * NS_PER_S)

        def note(connection: Connection) -> None:
            journal.retry_effect(connection, effect.key, due_ns=due_ns, error=reason)

        try:
            await swaps.write(self._database, note)
        except NotFoundError:
            log.info("a question made room for others", chain=self.chain, effect=effect.key)

    def _require_paid(self, known: Open, cost: int) -> None:
        """Raise `UnpaidError` if the question's fee is less than this."""
        if cost > (paid := self._watch.pays(known.query)):
            raise _unpaid(known, cost, paid)

    # --- for the pipeline ---

    async def _compose(self, effect_keys: Sequence[str]) -> UnsignedTransaction | None:
        """The answers of these effects in one transaction, as `Pipeline.compose`."""
        if not effect_keys or not effect_keys[0].startswith(engine.STREAM_PREFIX):
            return None if self._compose_others is None else await self._compose_others(effect_keys)

        def read(connection: Connection) -> list[tuple[Open, bytes]]:
            asked = [codec.decode_effect(journal.effect(connection, key).body) for key in effect_keys]
            return [
                (store.load(connection, one.query_id), store.kept_proof(connection, one.query_id, one.proof))
                for one in asked
                if isinstance(one, Deliver)
            ]

        try:
            found = [(one.query, decode_evidence(raw)) for one, raw in await self._database.read(read)]
            return (await self._board.draft(found, self._pipeline.account)).transaction
        except RejectedError as error:
            log.warning("answers cannot be made again", chain=self.chain, reason=error.message)
            return None

    def _closed_gate(self, connection: Connection, effect_key: str, in_time: bool) -> str | None:
        """An answer to a question that has ended need not go out again, as `Pipeline.closed_gate`."""
        if not effect_key.startswith(engine.STREAM_PREFIX):
            return None if self._gate_others is None else self._gate_others(connection, effect_key, in_time)
        try:
            state = engine.load(connection, effect_key.partition(":")[0])
        except NotFoundError:
            return "the question is not known any more"
        return f"the question is {state.phase}" if state.phase.terminal else None


def _gate(connection: Connection, ready: Sequence[_Ready]) -> None:
    """With the states as they are now. Raise `GateClosedError` if one of these questions asks for no answer now."""
    for one in ready:
        state = engine.load(connection, one.open.stream)
        attempt = state.delivery
        wanted = attempt is not None and attempt.sequence == one.sequence and attempt.status.under_way
        if not wanted or state.asked_in is None or state.phase is not Phase.DELIVERING:
            raise GateClosedError(f"question {one.open.query.number} is {state.phase}: it asks for no answer now")


def _unpaid(known: Open, cost: int, paid: int) -> UnpaidError:
    return UnpaidError(f"an answer may cost {cost}, and question {known.query.number} pays {paid}: not at a loss")
