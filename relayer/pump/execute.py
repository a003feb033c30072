"""The pump's second half: effects of the outbox become transactions, and what came of them becomes events.

Effects on one leg of a swap run one after the other; everything else runs side by side, so that no exit waits for a
chain that hangs. The outcome is stored together with the effect's end. `relayer.pump.acting` does one effect,
`relayer.pump.exits` lets several share a transaction first.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import (
    ConflictError,
    FatalError,
    FencedError,
    PayoutBlockedError,
    RejectedError,
    RetryableError,
    UnaffordableError,
)
from core.model.types import SwapId
from core.runtime import journal, retry
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.journal import StoredEffect
from core.runtime.logging import get_logger
from core.runtime.retry import RetryPolicy
from core.runtime.signals import first_failure
from htlc import codec, effects, events
from relayer.metrics import RelayerMetrics
from relayer.pump import swaps
from relayer.pump.acting import EXIT_KINDS, Acts
from relayer.pump.checks import Checks, PreimageVault
from relayer.pump.exits import SharedExits
from relayer.pump.hands import Hands
from relayer.pump.updates import SwapUpdates

EFFECT_TIMEOUT_S: Final = 30.0
"""One try of one effect; what hangs longer is tried again later, and gives way to the swap's other effects."""
MAX_LANES_AT_ONCE: Final = 64
"""For each chain, and for its exits apart."""
IDLE_S: Final = 30.0
MAX_PENDING: Final = 500
ROOMS_KEPT: Final = 4 * MAX_PENDING
"""Effects whose room is remembered: all that are due are looked at whenever one of them has ended."""
SET_ASIDE_S: Final = 5.0
OBSTACLES: Final = (UnaffordableError, PayoutBlockedError)
"""Errors that do not pass by themselves in a moment."""

log = get_logger("relayer.pump.execute")

Lane = tuple[str, str]
"""A swap and one of its legs (or whatever else its effects are about)."""
Room = tuple[str, bool]
"""A chain, and whether it is about exits: what runs side by side is counted by these."""


class Executor:
    """A named loop that runs due effects."""

    def __init__(
        self,
        database: Database,
        hands: Hands,
        checks: Checks,
        updates: SwapUpdates,
        clock: Clock,
        metrics: RelayerMetrics,
        vault: PreimageVault | None = None,
    ) -> None:
        self._database = database
        self._updates = updates
        self._clock = clock
        self._metrics = metrics
        self._acts = Acts(database, hands, checks, clock, metrics, vault)
        self._exits = SharedExits(database, hands, checks, clock, metrics)
        self._running: dict[Lane, Room] = {}
        self._ended: set[Lane] = set()
        """Lanes that have ended since the last look at the outbox began."""
        self._due: dict[journal.Try, StoredEffect] = {}

    async def run(self) -> None:
        """Run effects for ever as they become due. Raise `FencedError`, and what is fatal of the database."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._dispatch_or_wait(group)
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from failures

    async def _dispatch_or_wait(self, group: asyncio.TaskGroup) -> None:
        """Start what is due, or wait for more. An error here ends no effect that is running."""
        try:
            await self._dispatch(group)
        except RetryableError as error:
            log.warning("the database does not answer", reason=error.message)
            await self._clock.sleep(retry.CALL.delay_s(1))
        except FatalError:
            raise
        except Exception as error:
            self._metrics.faults.labels("effects").inc()
            log.error("effects cannot be started", error=str(error), exc_info=error)
            await self._clock.sleep(SET_ASIDE_S)

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        """Start what is due and not running, then wait for news or for the next retry."""
        seen, now_ns = self._updates.effects.count, self._clock.now_ns()
        self._ended.clear()
        self._due, exits, next_ns = await self._database.read(partial(_look, now_ns=now_ns, known=self._due))
        due = {effect.key: effect for effect in (*exits, *self._due.values())}.values()
        self._metrics.effect_backlog.set(len(due))
        lanes: dict[Lane, list[StoredEffect]] = {}
        for effect in due:
            lanes.setdefault(_lane(effect), []).append(effect)
        starting = self._with_room({lane: waiting[0] for lane, waiting in lanes.items()})
        self._running.update({lane: _room(lanes[lane][0]) for lane in starting})
        for chain, shared in self._exits.sharing([lanes[lane][0] for lane in starting]).items():
            if len(shared) > 1:
                starting = [lane for lane in starting if lane not in {_lane(effect) for effect in shared}]
                together = self._exits.work(chain, shared, partial(self._go_alone, group, lanes))
                group.create_task(together, name=f"exits of {chain}")
        for lane in starting:
            group.create_task(self._work(lane, lanes[lane]), name=f"effects of {lane}")
        await self._updates.effects.wait_beyond(seen, _idle_s(next_ns, now_ns))

    def _with_room(self, first: Mapping[Lane, StoredEffect]) -> list[Lane]:
        """Lanes to start, by their first effect. Each chain has room of its own, and its exits have theirs: what hangs
        there takes no place from the others. A lane that has ended since is left: what was read of it is old."""
        taken = Counter(self._running.values())
        starting = []
        for lane, effect in sorted(first.items(), key=lambda item: item[1].kind not in EXIT_KINDS):
            if lane not in self._running and lane not in self._ended and taken[_room(effect)] < MAX_LANES_AT_ONCE:
                taken[_room(effect)] += 1
                starting.append(lane)
        return starting

    def _go_alone(
        self, group: asyncio.TaskGroup, lanes: Mapping[Lane, Sequence[StoredEffect]], due: Sequence[StoredEffect]
    ) -> None:
        for lane in map(_lane, due):
            group.create_task(self._work(lane, lanes[lane]), name=f"effects of {lane}")

    async def _work(self, lane: Lane, due: Sequence[StoredEffect]) -> None:
        """Execute them in the order in which they were asked for. What comes meanwhile begins when this has ended."""
        try:
            for effect in sorted(due, key=lambda one: (one.sequence, one.kind)):
                await self.execute(effect)
        except RetryableError as error:
            log.warning("the database does not answer", swap=lane[0], reason=error.message)
            await self._clock.sleep(retry.CALL.delay_s(1))
        except FatalError:
            raise
        except Exception as error:
            self._metrics.faults.labels("effects").inc()
            log.error("effects set aside for now", swap=lane[0], error=str(error), exc_info=error)
            await self._clock.sleep(SET_ASIDE_S)
        finally:
            self._running.pop(lane, None)
            self._ended.add(lane)
            self._updates.effects.notify()

    async def execute(self, effect: StoredEffect) -> None:
        """Try one effect once and store what came of it.

        What it meets is its own business: an error that nobody planned for, also in its own swap's state, sets it
        aside, and it is tried again. Raise `FencedError`, and what the database raises.
        """
        try:
            await self._execute(effect)
        except (RetryableError, FencedError):
            raise
        except Exception as error:
            await self._set_aside(effect, error)

    async def _execute(self, effect: StoredEffect) -> None:
        asked: effects.SwapEffect | None = None
        try:
            asked = codec.decode_effect(effect.body)
            async with asyncio.timeout(EFFECT_TIMEOUT_S):
                outcome = await self._acts.do(asked, effect.key)
        except (RetryableError, TimeoutError) as error:
            delays = retry.EFFECT if isinstance(error, OBSTACLES) else retry.MOMENT
            await self._retry(effect, str(error) or "it takes too long", delays)
        except RejectedError as error:
            if asked is None:
                raise
            await self._refused(effect, asked, error)
        else:
            self._metrics.effects.labels(_label(asked), "done").inc()
            await self._finish(effect, outcome)

    async def _retry(self, effect: StoredEffect, reason: str, delays: RetryPolicy = retry.SURPRISE) -> None:
        delay_s = delays.delay_s(effect.attempts + 1)
        due_ns = self._clock.now_ns() + round(delay_s * NS_PER_S)
        log.warning("effect is tried again", effect=effect.key, delay_s=delay_s, reason=reason)
        self._metrics.effects.labels(effect.kind.split("-")[0], "retried").inc()
        try:
            await self._database.write(lambda c: journal.retry_effect(c, effect.key, due_ns=due_ns, error=reason))
        except ConflictError:
            log.info("effect was called off meanwhile", effect=effect.key)

    async def _set_aside(self, effect: StoredEffect, error: Exception) -> None:
        self._metrics.faults.labels("effects").inc()
        log.error("effect set aside for now", effect=effect.key, error=str(error), exc_info=error)
        await self._retry(effect, f"{type(error).__name__}: {error}")

    async def _refused(self, effect: StoredEffect, asked: effects.SwapEffect, error: RejectedError) -> None:
        log.warning("effect refused", effect=effect.key, code=error.code, reason=error.message)
        self._metrics.effects.labels(_label(asked), "refused").inc()
        if gate := error.fields.get("gate"):
            self._metrics.gates_closed.labels(str(gate)).inc()
        event = events.EffectRefused(effect.kind, effect.sequence, error.code, error.message)
        if isinstance(asked, effects.VerifyLock):
            await self._finish(effect, events.LockRefused(asked.leg, asked.lock_id, error.code, error.message))
        else:
            await self._finish(effect, event, failed=error.message)

    async def _finish(self, effect: StoredEffect, outcome: events.SwapEvent | None, failed: str | None = None) -> None:
        """The effect's end and the event that it means, in one transaction."""
        swap_id, now_ns = SwapId(effect.stream), self._clock.now_ns()

        def store(connection: Connection) -> bool:
            if failed is None:
                journal.complete_effect(connection, effect.key, now_ns=now_ns)
            else:
                journal.fail_effect(connection, effect.key, failed, now_ns=now_ns)
            return outcome is not None and swaps.take(connection, swap_id, [outcome], now_ns=now_ns)

        with self._updates.unsure_if_unheard():
            if await swaps.write(self._database, store):
                self._updates.changed([swap_id])


def _look(
    connection: Connection, now_ns: int, known: Mapping[journal.Try, StoredEffect]
) -> tuple[dict[journal.Try, StoredEffect], list[StoredEffect], int | None]:
    """Return what is due, the exits among it, and when the next effect is. However much is due, all exits are there."""
    due = journal.pending_again(connection, now_ns, MAX_PENDING, known)
    exits = [one for one in due.values() if one.kind in EXIT_KINDS]
    if len(due) == MAX_PENDING:  # there may be exits behind them
        exits = journal.pending_effects(connection, now_ns, MAX_PENDING, EXIT_KINDS)
    return due, exits, journal.next_due_ns(connection)


def _idle_s(next_ns: int | None, now_ns: int) -> float:
    """Until the next retry is due; what is due now is running, and its end wakes us."""
    if next_ns is None or next_ns <= now_ns:
        return IDLE_S
    return min(IDLE_S, (next_ns - now_ns) / NS_PER_S)


def _room(effect: StoredEffect) -> Room:
    """Return the room where it runs. An effect that cannot be read has a room of its own."""
    return _room_of(effect.kind, effect.body)


@lru_cache(ROOMS_KEPT)
def _room_of(kind: str, body: bytes) -> Room:
    try:
        asked = codec.decode_effect(body)
    except Exception:
        return "", False
    terms = getattr(asked, "terms", None)
    return ("" if terms is None else str(terms.chain)), kind in EXIT_KINDS


def _lane(effect: StoredEffect) -> Lane:
    return effect.stream, effect.kind.rpartition("-")[2]


def _label(asked: effects.SwapEffect) -> str:
    return str(asked.__struct_config__.tag)
