"""The queue of what the questions of one chain ask for: what is due, and what becomes of it.

An effect ends together with the event that it means, in one transaction. What goes wrong with one stops no other: it is
tried again, later and later, behind what was not tried yet.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.boards import QueryBoard
from core.model.errors import (
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
    UntrustedHeaderError,
)
from core.model.types import ChainId, Height
from core.runtime import journal, retry
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.journal import StoredEffect
from core.runtime.logging import get_logger
from core.runtime.retry import RetryPolicy
from queries import codec, engine, events
from queries.effects import Deliver, Finished, Prove
from relayer.bridging.asked import Open
from relayer.bridging.watching import AGAIN_S, Watch
from relayer.metrics import RelayerMetrics
from relayer.pump import swaps

MAX_DUE: Final = 500
MAX_A_LOOK: Final = 32
"""Proofs, and answers, that one look tries: whoever asks thousands of questions gets no more of our endpoints. What was
tried comes behind what was not, so that those that wait keep no other waiting."""
UNPAID: Final = RetryPolicy((AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S, 8 * AGAIN_S, 16 * AGAIN_S))
"""A question whose fee does not cover what an answer may cost: it is looked at again as prices fall."""
SETTLED: Final = RetryPolicy((AGAIN_S,))
"""A block has an answer, or has given the fee back: unless a reorg takes it, nothing is left to do."""
NOT_YET: Final = RetryPolicy((0.5, 1.0, 1.0, 2.0))
"""A height that cannot be proven yet, though it is final; or a question that is over, as a block will show."""

P = TypeVar("P", Prove, Deliver)

_FINISHED: Final = str(Finished.__struct_config__.tag)

log = get_logger("relayer.bridging.queue")


class UnpaidError(RetryableError):
    """The fee does not cover what the answer may cost."""

    code = "unpaid"


class QuestionQueue:
    """The effects of the questions asked on `chain`. `need_header`: called with the height of a header that the chain's
    light client does not take yet."""

    def __init__(
        self,
        database: Database,
        chain: ChainId,
        board: QueryBoard,
        watch: Watch,
        clock: Clock,
        metrics: RelayerMetrics,
        need_header: Callable[[Height], None] | None = None,
    ) -> None:
        self.chain = chain
        self._database = database
        self._board = board
        self._watch = watch
        self._clock = clock
        self._metrics = metrics
        self._need_header = need_header
        self._name = engine.queue_on(chain)

    async def due(self) -> tuple[list[StoredEffect], int | None]:
        """Return what is due, and when (Unix nanoseconds) the next effect is, None if there is none."""
        now_ns = self._clock.now_ns()

        def read(connection: Connection) -> tuple[list[StoredEffect], int | None]:
            found = journal.pending_effects(connection, now_ns, MAX_DUE, queue=self._name)
            return found, journal.next_due_ns(connection, self._name)

        return await self._database.read(read)

    async def decoded(self, effect: StoredEffect) -> Prove | Deliver | Finished | None:
        """None for what cannot be read: it is set aside, and keeps no other waiting."""
        try:
            return codec.decode_effect(effect.body)
        except Exception as error:
            await self.set_aside(effect, error)
            return None

    async def wanted(self, due: Iterable[StoredEffect], kind: type[P]) -> list[tuple[StoredEffect, P, Open]]:
        """The effects of this kind that questions still ask for, those never tried first."""
        found = list[tuple[StoredEffect, P, Open]]()
        for effect in sorted(due, key=lambda one: (one.attempts > 0, one.due_ns)):
            asked = await self.decoded(effect) if effect.kind != _FINISHED else None
            if not isinstance(asked, kind):
                continue
            known = self._watch.open.get(asked.query_id)
            if known is None or known.state.settlement is not None:
                await self.later(effect, "a block settles the question, or it is set aside", SETTLED)
            elif not known.state.phase.terminal:  # its end is stored, and takes its effects with it
                found.append((effect, asked, known))
        return found

    async def paying(self, due: Iterable[StoredEffect]) -> list[tuple[StoredEffect, Prove, Open]]:
        """The proofs that are due, at most `MAX_A_LOOK`, of questions whose fee covers what every answer costs. A flood
        of others takes no turn from these. Raise `RetryableError` if nobody says what answers cost."""
        wanted = await self.wanted(due, Prove)
        costs = await self._board.least_costs([known.query for _, _, known in wanted])
        found, poor = list[tuple[StoredEffect, Prove, Open]](), dict[str, tuple[int, str]]()
        for (effect, asked, known), cost in zip(wanted, costs, strict=True):
            if cost <= (paid := self._watch.pays(known.query)):
                found.append((effect, asked, known))
                continue
            error = unpaid(known, cost, paid)
            self.refused(known, error)
            poor[effect.key] = self._due_ns(effect, UNPAID), error.message
        if poor:
            await swaps.write(self._database, partial(_retry_all, again=poor))
        return found[:MAX_A_LOOK]

    async def answers(self, due: Iterable[StoredEffect]) -> list[tuple[StoredEffect, Deliver, Open]]:
        """The answers that are due, at most `MAX_A_LOOK`."""
        return (await self.wanted(due, Deliver))[:MAX_A_LOOK]

    async def settle(
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

    async def refuse(self, effect: StoredEffect, known: Open, sequence: int, error: RejectedError) -> None:
        """Nothing was signed. What somebody else has answered meanwhile is not refused: a block will show it."""
        if isinstance(error, RevertedError):
            try:
                if not await self._board.is_open(known.query.number):
                    return await self.retry(effect, known, NotYetFinalError("answered or over meanwhile"))
            except RetryableError as silent:
                return await self.retry(effect, known, silent)
        self.refused(known, error)
        return await self.settle(effect, known, events.DeliveryRefused(sequence, error.message))

    def refused(self, known: Open, error: Exception) -> None:
        self._metrics.answers.labels(self.chain, "refused").inc()
        log.info("question not answered", chain=self.chain, number=known.query.number, reason=str(error))

    async def retry(self, effect: StoredEffect, known: Open, error: Exception) -> None:
        match error:
            case NotYetFinalError():
                delays = NOT_YET
            case UnpaidError() | UnaffordableError():
                delays = UNPAID
            case UntrustedHeaderError():
                delays = retry.EFFECT
                if self._need_header is not None:
                    self._need_header(Height(error.fields["height"]))
            case _:
                delays = retry.EFFECT
        if delays is not NOT_YET:
            self.refused(known, error)
        await self.later(effect, str(error) or "it takes too long", delays)

    async def set_aside(self, effect: StoredEffect, error: Exception) -> None:
        self._metrics.faults.labels("answers").inc()
        log.error("effect set aside for now", effect=effect.key, error=str(error), exc_info=error)
        await self.later(effect, f"{type(error).__name__}: {error}", retry.EFFECT)

    async def later(self, effect: StoredEffect, reason: str, delays: RetryPolicy) -> None:
        again = {effect.key: (self._due_ns(effect, delays), reason)}
        await swaps.write(self._database, partial(_retry_all, again=again))

    def _due_ns(self, effect: StoredEffect, delays: RetryPolicy) -> int:
        return self._clock.now_ns() + round(delays.delay_s(effect.attempts + 1) * NS_PER_S)


def _retry_all(connection: Connection, again: Mapping[str, tuple[int, str]]) -> None:
    """Effects by their keys, each with when it is due and why it failed. Those of a question that made room for others
    are gone."""
    for key, (due_ns, reason) in again.items():
        with suppress(NotFoundError):
            journal.retry_effect(connection, key, due_ns=due_ns, error=reason)


def unpaid(known: Open, cost: int, paid: int) -> UnpaidError:
    return UnpaidError(f"an answer may cost {cost}, and question {known.query.number} pays {paid}: not at a loss")
