"""Answers questions that accounts or contracts ask on a chain: proves them, and sends what the chain verifies itself.

    board, heads, transactions ──> watch ──> journal ──> outbox ──> answering ──> prover, transactions

Each question is a machine of its own (`queries`). Its events are stored before anything follows from them, and what it
asks for is executed from a queue of its own of the outbox, so that no swap waits for a question.
"""

from collections.abc import Callable, Mapping
from typing import Final

from core.model.boards import QueryBoard
from core.model.errors import RetryableError
from core.model.facts import HeadUpdate
from core.model.ports import ChainTiming, HeadSource, Prover
from core.model.types import ChainId, Height
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.signals import Signal, side_by_side, wait_any
from relayer.bridging.answering import Answering, Keep
from relayer.bridging.proving import Proving
from relayer.bridging.queue import QuestionQueue
from relayer.bridging.watching import Watch
from relayer.metrics import RelayerMetrics
from relayer.transactions.pipeline import Pipeline

LOOK_S: Final = 1.0
PAUSE_S: Final = 0.25
"""Between two looks at a board, however fast blocks come."""
PRUNE_S: Final = 60.0

log = get_logger("relayer.bridging.answerer")


class Answerer:
    """Answers what is asked on the chain `home` with the account of `pipeline`, look after look, for ever: `run`.

    `answering`: the heads of the chains that can be asked about. `moved` count new heads of any of these chains.
    """

    def __init__(
        self,
        database: Database,
        home: ChainId,
        board: QueryBoard,
        prover: Prover,
        heads: HeadSource,
        timing: ChainTiming,
        answering: Mapping[ChainId, HeadSource],
        pipeline: Pipeline,
        keep: Keep,
        clock: Clock,
        metrics: RelayerMetrics,
        moved: tuple[Signal, ...] = (),
        need_header: Callable[[Height], None] | None = None,
    ) -> None:
        self.chain = home
        self._pipeline = pipeline
        self._clock = clock
        self._metrics = metrics
        self._moved = moved
        self._head: HeadUpdate | None = None
        self.watch = Watch(database, home, board, heads, timing, answering, clock)
        self._queue = QuestionQueue(database, home, board, self.watch, clock, metrics, need_header)
        proving = Proving(board, prover, self._queue, timing)
        self._answering = Answering(
            database, board, self.watch, self._queue, proving, timing, pipeline, keep, clock, metrics
        )

    async def run(self) -> None:
        """Answer for ever."""
        await self._pipeline.opened.wait_beyond(0)
        await side_by_side([self._look_for_ever(), self._act_for_ever()])

    async def answer_open(self) -> int:
        """Look once, and try what is due; return how many answers were sent.

        Raise `RetryableError` when the asking chain does not answer. What goes wrong with one question stops no other.
        """
        self._head = await self.watch.look()
        return await self._answering.act(self._head)

    async def _look_for_ever(self) -> None:
        pruned_s = 0.0
        while True:
            seen = [(signal, signal.count) for signal in self._moved]
            try:
                self._head = await self.watch.look()
                self._metrics.open_questions.labels(self.chain).set(len(self.watch.open))
                if (now_s := self._clock.monotonic()) >= pruned_s + PRUNE_S:
                    await self.watch.prune()
                    pruned_s = now_s
            except RetryableError as error:
                log.warning("questions cannot be read now", chain=self.chain, reason=error.message)
            await self._clock.sleep(PAUSE_S)
            await wait_any(seen, LOOK_S)

    async def _act_for_ever(self) -> None:
        while True:
            seen, wait_s = self.watch.changed.count, LOOK_S
            try:
                if self._head is not None:
                    await self._answering.act(self._head)
                    wait_s = await self._idle_s()
            except RetryableError as error:
                log.warning("questions cannot be answered now", chain=self.chain, reason=error.message)
            await self.watch.changed.wait_beyond(seen, wait_s)

    async def _idle_s(self) -> float:
        """Until the next effect is due; what stays due although it was tried is tried with the next look."""
        _, next_ns = await self._queue.due()
        wait_ns = 0 if next_ns is None else next_ns - self._clock.now_ns()
        return min(LOOK_S, wait_ns / NS_PER_S) if wait_ns > 0 else LOOK_S
