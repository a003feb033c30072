"""Answers questions that accounts or contracts ask on a chain: proves them, and sends what the chain verifies itself.

The chain is the journal here: a question is open until it says otherwise, an answer that was sent is found under its
key in the account's transactions, and the chain takes one answer. So nothing is stored next to it. A second answer pays
for gas and earns nothing: none is sent while one is on its way. A question whose fee does not cover what the answer
may cost is left to others until it does.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from core.model.errors import CausewayError, FatalError, NotYetFinalError, RejectedError, RetryableError
from core.model.ports import ChainQuery, ChainTiming, HeadSource, Prover, QueryBoard
from core.model.questions import Evidence
from core.model.types import AssetId, ChainId, ChainTime
from core.model.uris import parse_uri
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from relayer.metrics import RelayerMetrics
from relayer.transactions.pipeline import Pipeline

LOOK_S: Final = 1.0
AGAIN_S: Final = 20.0
"""How soon a question is tried again if its answer was sent, or could not be made."""
MAX_A_LOOK: Final = 32
"""Questions that one look tries: whoever asks thousands of them gets no more of our endpoints. The next look goes on
behind them, so that those that wait keep no other waiting."""
MAX_TRIES: Final = 3
"""Refusals of one question, and answers to it that come to nothing: what failed three times will fail again."""
MAX_TRIED: Final = 16_384
"""Questions whose tries are remembered."""

Keep = Callable[[], Awaitable[Mapping[AssetId, int]]]
"""Amounts that have to stay in the account, in base units by asset: gas for the exits of open swaps first of all."""

log = get_logger("relayer.bridging.answerer")


@dataclass(slots=True)
class _Tried:
    times: int = 0
    not_before: float = 0.0


class Answerer:
    """Answers what is asked on the chain `home` with the account of `pipeline`, look after look, for ever: `run`."""

    def __init__(
        self,
        home: ChainId,
        board: QueryBoard,
        prover: Prover,
        heads: HeadSource,
        timing: ChainTiming,
        pipeline: Pipeline,
        keep: Keep,
        clock: Clock,
        metrics: RelayerMetrics,
    ) -> None:
        self.chain = home
        self._board = board
        self._prover = prover
        self._heads = heads
        self._timing = timing
        self._pipeline = pipeline
        self._keep = keep
        self._clock = clock
        self._metrics = metrics
        self._tried: dict[int, _Tried] = {}
        self._last = 0
        """The number of the question that was tried last."""
        self._native = f"{home}/slip44:60"

    async def run(self) -> None:
        """Answer for ever."""
        await self._pipeline.opened.wait_beyond(0)
        while True:
            try:
                await self.answer_open()
            except RetryableError as error:
                log.warning("questions cannot be read now", chain=self.chain, reason=error.message)
            await self._clock.sleep(LOOK_S)

    async def answer_open(self) -> int:
        """Try every question that can still be answered in time; return how many answers were sent.

        Raise `RetryableError` when the chain does not answer. What goes wrong with one question stops no other.
        """
        now = (await self._heads.head()).head.time
        sent, last = 0, self._last
        due = [query for query in await self._board.open_queries(now) if self._is_due(query, now)]
        for query in sorted(due, key=lambda one: (one.number <= last, one.number))[:MAX_A_LOOK]:
            self._last = query.number
            sent += await self._try(query)
        return sent

    def _is_due(self, query: ChainQuery, now: ChainTime) -> bool:
        tried = self._tried.get(query.number)
        if query.deadline - now <= self._timing.inclusion_s:
            return False
        return tried is None or (tried.times < MAX_TRIES and tried.not_before <= self._clock.monotonic())

    async def _try(self, query: ChainQuery) -> bool:
        try:
            self._require_paid(query, await self._board.cost(query))
            if not await self._board.is_open(query.number):
                return False
            if (key := await self._next_key(query)) is None:
                self._wait(query, counts=False)
                return False
            evidence = await self._proven(query)
            answer = self._board.answer(query.number, evidence, self._pipeline.account)
            cost = await self._board.cost(query, answer)
            self._require_paid(query, cost)
            # Whoever asks and then answers first lets us pay for a transaction that reverts. No exit may miss that gas.
            keep = await self._keep() if cost else {}
            await self._pipeline.send(key, answer, float(query.deadline.seconds), keep=keep)
        except NotYetFinalError:
            return False  # its height comes with another look
        except FatalError:
            raise
        except CausewayError as error:
            self._wait(query, counts=isinstance(error, RejectedError))
            self._metrics.answers.labels(self.chain, "refused").inc()
            log.info("question not answered", chain=self.chain, number=query.number, reason=error.message)
            return False
        self._wait(query, counts=False)
        self._metrics.answers.labels(self.chain, "sent").inc()
        log.info("question answered", chain=self.chain, number=query.number, height=evidence.as_of.block.height)
        return True

    def _require_paid(self, query: ChainQuery, cost: int) -> None:
        """Raise `RetryableError` if the question's fee is less than this."""
        if cost > (query.fee if query.asset in (None, self._native) else 0):
            raise RetryableError(f"an answer may cost {cost}, and its fee is {query.fee}: not at a loss")

    async def _next_key(self, query: ChainQuery) -> str | None:
        """Return the key of the next answer; None while one is on its way, or once `MAX_TRIES` came to nothing."""
        for number in range(MAX_TRIES):
            key = f"answer/{self.chain}/{self._pipeline.account}:{query.number}:{number}"
            record = await self._pipeline.transaction(key)
            if record is None:
                return key
            if record.under_way:
                return None
        return None

    async def _proven(self, query: ChainQuery) -> Evidence:
        """Evidence as of a height that the question admits.

        Raise `NotYetFinalError` if there is none yet, `RejectedError` if there can be none.
        """
        question = parse_uri(query.uri).question
        evidence = await self._prover.prove(question)
        if evidence.as_of.block.height > query.last:
            evidence = await self._prover.prove(question, query.last)
        if evidence.as_of.block.height < query.first:
            raise NotYetFinalError(f"block {query.first} of {question.chain} cannot be proven yet")
        return evidence

    def _wait(self, query: ChainQuery, *, counts: bool) -> None:
        tried = self._tried.setdefault(query.number, _Tried())
        tried.times += counts
        tried.not_before = self._clock.monotonic() + AGAIN_S
        while len(self._tried) > MAX_TRIED:
            del self._tried[next(iter(self._tried))]
