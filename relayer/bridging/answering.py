"""Answers to the questions of one chain are sent, never at a loss.

Of answers that share a transaction each pays for itself and its part of what they share; one that does not waits. Those
that are refused together are divided until the bad one is alone. Everything is looked up under the effect's key first:
acting twice is harmless.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.engine import Connection

from core.model.boards import AnswerDraft, QueryBoard
from core.model.errors import (
    CausewayError,
    FatalError,
    GateClosedError,
    NotYetFinalError,
    RejectedError,
    RetryableError,
    UnaffordableError,
    UnclearRefusalError,
)
from core.model.facts import HeadUpdate
from core.model.ports import ChainTiming
from core.model.questions import Evidence
from core.model.types import AssetId, Height
from core.proofs.evidence import decode_evidence
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.journal import StoredEffect
from core.runtime.logging import get_logger
from queries import engine, events
from queries.effects import Deliver, Finished
from queries.gates import check_delivery_now
from queries.model import Phase
from relayer.bridging import asked as store
from relayer.bridging.asked import Open
from relayer.bridging.proving import ACT_TIMEOUT_S, Proving
from relayer.bridging.queue import QuestionQueue, unpaid
from relayer.bridging.watching import Watch, delivery_outcome
from relayer.metrics import RelayerMetrics
from relayer.pump import swaps
from relayer.transactions import records
from relayer.transactions.pipeline import Pipeline

Keep = Callable[[], Awaitable[Mapping[AssetId, int]]]
"""Amounts that have to stay in the account, in base units by asset: gas for the exits of open swaps first of all."""

log = get_logger("relayer.bridging.answering")


@dataclass(frozen=True, slots=True)
class _Ready:
    """An answer that can be sent: the effect that asks for it, its question, and the proof."""

    effect: StoredEffect
    sequence: int
    open: Open
    evidence: Evidence


class Answering:
    """The acts of one process on the questions of one chain: those of `proving`, and the answers."""

    def __init__(
        self,
        database: Database,
        board: QueryBoard,
        watch: Watch,
        queue: QuestionQueue,
        proving: Proving,
        timing: ChainTiming,
        pipeline: Pipeline,
        keep: Keep,
        clock: Clock,
        metrics: RelayerMetrics,
    ) -> None:
        self.chain = pipeline.chain
        self._database = database
        self._board = board
        self._watch = watch
        self._queue = queue
        self._proving = proving
        self._timing = timing
        self._pipeline = pipeline
        self._keep = keep
        self._clock = clock
        self._metrics = metrics
        self._worth_of_others, pipeline.worth = pipeline.worth, self._worth

    async def act(self, head: HeadUpdate) -> int:
        """Try what is due; return how many answers were sent. What goes wrong with one question stops no other.

        `head` is that of the asking chain. Raise `FatalError`, and what the database raises.
        """
        await self._finish_all((await self._queue.due())[0])
        try:
            await self._proving.prove_all((await self._queue.due())[0], head)
        except RetryableError as error:
            log.warning("nobody says what answers cost", chain=self.chain, reason=error.message)
        return await self._deliver_all((await self._queue.due())[0], head)

    async def _finish_all(self, due: Iterable[StoredEffect]) -> None:
        for effect in due:
            asked = await self._queue.decoded(effect)
            if not isinstance(asked, Finished):
                continue
            now_ns = self._clock.now_ns()

            def end(connection: Connection, asked: Finished = asked, now_ns: int = now_ns) -> None:
                store.finish(connection, asked.query_id, now_ns)

            await swaps.write(self._database, end)
            self._watch.forget(asked.query_id)
            self._metrics.questions.labels(self.chain, asked.phase).inc()
            log.info("question ended", chain=self.chain, query=asked.query_id, phase=asked.phase, reason=asked.reason)

    async def _deliver_all(self, due: Iterable[StoredEffect], head: HeadUpdate) -> int:
        together: dict[tuple[Height, bytes], list[_Ready]] = {}
        for effect, asked, known in await self._queue.answers(due):
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
            await self._queue.settle(effect, known, failed or events.DeliverySubmitted(asked.sequence))
            return None
        try:
            async with asyncio.timeout(ACT_TIMEOUT_S):
                check_delivery_now(known.state.request, head.head.time, self._timing)
                if known.state.asked_in is None or not await self._board.is_open(known.query.number):
                    raise NotYetFinalError(f"question {known.query.number} is not open now: a block will show why")
                raw = await self._database.read(lambda c: store.kept_proof(c, asked.query_id, asked.proof))
                return _Ready(effect, asked.sequence, known, decode_evidence(raw))
        except (RetryableError, TimeoutError) as error:
            await self._queue.retry(effect, known, error)
        except RejectedError as error:
            await self._queue.refuse(effect, known, asked.sequence, error)
        return None

    async def _send(self, group: Sequence[_Ready]) -> int:
        """Send these answers in one transaction, or those that pay; in two halves if that is refused, so that one bad
        answer, or too many, stop no other. Return how many."""
        try:
            async with asyncio.timeout(ACT_TIMEOUT_S):
                paying = await self._send_paying(group)
        except FatalError:
            raise
        except (CausewayError, TimeoutError) as error:
            if len(group) > 1 and isinstance(error, RejectedError | UnaffordableError | UnclearRefusalError):
                log.info("answers are divided", chain=self.chain, answers=len(group), reason=str(error))
                middle = len(group) // 2
                return await self._send(group[:middle]) + await self._send(group[middle:])
            for one in group:
                if isinstance(error, RejectedError):
                    await self._queue.refuse(one.effect, one.open, one.sequence, error)
                else:
                    await self._queue.retry(one.effect, one.open, error)
            return 0
        except Exception as error:
            for one in group:
                await self._queue.set_aside(one.effect, error)
            return 0
        return await self._note_sent(paying)

    async def _send_paying(self, group: Sequence[_Ready]) -> Sequence[_Ready]:
        draft = await self._draft(group)
        while poor := self._poor(group, draft):
            for one, cost in poor:
                await self._queue.retry(one.effect, one.open, unpaid(one.open, cost, self._watch.pays(one.open.query)))
            left = {one.effect.key for one, _ in poor}
            group = [one for one in group if one.effect.key not in left]
            if not group:
                return group
            draft = await self._draft(group)
        await self._board.check(draft.transaction)
        # Whoever asks and then answers first lets us pay for a transaction that reverts. No exit may miss that gas.
        keep = await self._keep() if draft.shared + sum(draft.each) else {}
        gate = partial(_gate, ready=tuple(group))
        if len(group) == 1:
            [one] = group
            deadline_s = float(one.open.query.deadline.seconds)
            await self._pipeline.send(one.effect.key, draft.transaction, deadline_s, keep=keep, gate=gate)
        else:
            # The contract leaves out what is late, or answered meanwhile: the others need no other form of the batch.
            deadline_s = float(max(one.open.query.deadline.seconds for one in group))
            keys = [one.effect.key for one in group]
            await self._pipeline.send_answers(keys, deadline_s, draft.transaction, gate, keep)
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
            await self._queue.settle(one.effect, one.open, events.DeliverySubmitted(one.sequence))
            query, height = one.open.query, one.evidence.as_of.block.height
            self._metrics.answers.labels(self.chain, "sent").inc()
            log.info("question answered", chain=self.chain, number=query.number, height=height)
        if len(sent) > 1:
            self._metrics.answers_together.labels(self.chain).inc(len(sent))
        return len(sent)

    # --- for the pipeline ---

    async def _worth(self, effect_keys: Sequence[str]) -> int | None:
        """The fees of the questions that these answers still earn, as `Pipeline.worth`."""
        if not effect_keys[0].startswith(engine.STREAM_PREFIX):
            return None if self._worth_of_others is None else await self._worth_of_others(effect_keys)
        streams = {key.partition(":")[0] for key in effect_keys}
        asking = [one for one in self._watch.open.values() if one.stream in streams and one.state.settlement is None]
        return sum(self._watch.pays(one.query) for one in asking if not one.state.phase.terminal)


def _gate(connection: Connection, ready: Sequence[_Ready]) -> None:
    """With the states as they are now. Raise `GateClosedError` if one of these questions asks for no answer now."""
    for one in ready:
        state = engine.load(connection, one.open.stream)
        attempt = state.delivery
        wanted = attempt is not None and attempt.sequence == one.sequence and attempt.status.under_way
        if not wanted or state.asked_in is None or state.phase is not Phase.DELIVERING:
            raise GateClosedError(f"question {one.open.query.number} is {state.phase}: it asks for no answer now")
