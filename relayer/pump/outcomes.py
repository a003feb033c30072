"""Outcomes of our transactions, reported to their swaps: each step once, in the transaction that notes it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.effect_keys import EffectKey
from core.model.errors import ConflictError, FencedError, RetryableError
from core.model.types import SwapId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.savepoints import contained
from core.runtime.signals import wait_any
from htlc import events
from relayer.pump import swaps
from relayer.pump.updates import SwapUpdates
from relayer.transactions import records
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.records import Item, TransactionRecord, TransactionStatus

BATCH: Final = 200

log = get_logger("relayer.pump.outcomes")


class OutcomeRecorder:
    """A named loop: whenever a pipeline notes progress, the swaps hear of it."""

    def __init__(self, database: Database, pipelines: Sequence[Pipeline], updates: SwapUpdates, clock: Clock) -> None:
        self._database = database
        self._pipelines = pipelines
        self._updates = updates
        self._clock = clock
        self._trying: frozenset[tuple[int, str]] = frozenset()
        """Progress of transactions (by their ids) that is being reported, or was, and nobody knows."""

    async def run(self) -> None:
        """Report for ever."""
        while True:
            seen = [(pipeline.changed, pipeline.changed.count) for pipeline in self._pipelines]
            while await self.step() == BATCH:
                pass
            await wait_any(seen)

    async def step(self) -> int:
        """Report what was not reported yet, at most `BATCH` transactions; return how many there were.

        One whose swap cannot take its outcome in is set aside with an alarm, and keeps no other waiting.
        """
        waiting = await self._database.read(lambda c: records.unreported(c, BATCH))
        now = frozenset((record.id, records.progress(record)) for record in waiting)
        if self._trying - now:  # the answer of that commit was lost
            self._updates.unsure()
        self._trying = now
        if not waiting:
            return 0
        try:
            changed = await swaps.write(self._database, partial(_report_all, now_ns=self._clock.now_ns()))
        except (RetryableError, FencedError):
            raise
        except Exception as error:
            log.error("outcomes are reported one by one", error=str(error), exc_info=error)
            changed = set()
            for record in waiting:
                changed |= await self._report_alone(record)
        self._trying = frozenset()
        self._updates.changed(changed)
        return len(waiting)

    async def _report_alone(self, record: TransactionRecord) -> set[SwapId]:
        """Raise what the database raises: a full disk is not its fault, and it is reported once there is room."""
        changed, error = await swaps.write(
            self._database, partial(_report_or_set_aside, record=record, now_ns=self._clock.now_ns())
        )
        if error is not None:
            log.error("outcome set aside", effect=record.effect_key, status=record.status, exc_info=error)
        return changed


def _report_or_set_aside(
    connection: Connection, record: TransactionRecord, now_ns: int
) -> tuple[set[SwapId], Exception | None]:
    """Return the swaps that changed, and the error for which the outcome counts as reported without them."""
    changed = set[SwapId]()
    error = contained(connection, lambda: changed.update(_report(connection, record, now_ns)))
    if error is None:
        return changed, None
    if isinstance(error, ConflictError | FencedError):
        raise error  # another one was faster, or has taken over
    records.note_reported(connection, record)
    return set(), error


def _report_all(connection: Connection, now_ns: int) -> set[SwapId]:
    waiting = records.unreported(connection, BATCH)
    return {swap_id for record in waiting for swap_id in _report(connection, record, now_ns)}


def _report(connection: Connection, record: TransactionRecord, now_ns: int) -> Iterator[SwapId]:
    """The swaps that changed, of all that the transaction is for."""
    records.note_reported(connection, record)
    for item in record.effects:
        event = outcome_event(record, item)
        swap_id = SwapId(EffectKey.parse(item.effect_key).stream)
        if event is not None and swaps.take(connection, swap_id, [event], now_ns=now_ns):
            yield swap_id


def outcome_event(record: TransactionRecord, item: Item) -> events.EffectOutcome | None:
    """Return what the transaction's status means for one of its effects; None for one that is on its way (again)."""
    _, sequence, kind = EffectKey.parse(item.effect_key)
    match record.status:
        case TransactionStatus.BROADCAST:
            return None
        case TransactionStatus.REFUSED:
            return events.EffectDropped(kind, sequence)
        case TransactionStatus.SUPERSEDED | TransactionStatus.EXPIRED:
            return events.EffectVoided(kind, sequence)
        case TransactionStatus.INCLUDED | TransactionStatus.FINAL:
            final = record.status is TransactionStatus.FINAL
            if record.cancelled:
                return None
            if record.reverted or item.left_out is not None:
                reason = record.reason if record.reverted else item.left_out
                return events.EffectReverted(kind, sequence, reason or "reverted", final)
            if record.tx_hash is None or record.block is None:
                return None
            settled = events.EffectFinal if final else events.EffectIncluded
            return settled(kind, sequence, record.tx_hash, record.block)
