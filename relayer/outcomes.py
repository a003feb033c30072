"""What became of our transactions, told to their swaps: each step once, in the transaction that notes it as told."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.engine import Connection

from core.model.types import SwapId
from core.runtime.clock import Clock
from core.runtime.database import Database
from htlc import events
from relayer import book
from relayer.book import Switchboard
from relayer.signals import wait_any
from relayer.transactions import tables
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.tables import TransactionRecord, TransactionStatus

BATCH: Final = 200


class OutcomeTeller:
    """A named loop: whenever a pipeline notes progress, the swaps hear of it."""

    def __init__(
        self, database: Database, pipelines: Sequence[Pipeline], switchboard: Switchboard, clock: Clock
    ) -> None:
        self._database = database
        self._pipelines = pipelines
        self._switchboard = switchboard
        self._clock = clock

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            seen = [(pipeline.changed, pipeline.changed.count) for pipeline in self._pipelines]
            while await self.step() == BATCH:
                pass
            await wait_any(seen)

    async def step(self) -> int:
        """Tell what was not told yet, at most `BATCH` transactions; returns how many there were."""
        now_ns = self._clock.now_ns()

        def tell(connection: Connection) -> tuple[int, set[SwapId]]:
            waiting = tables.untold(connection, BATCH)
            changed = {swap_id for record in waiting if (swap_id := _tell(connection, record, now_ns)) is not None}
            return len(waiting), changed

        if not await self._database.read(lambda c: tables.untold(c, 1)):
            return 0
        count, changed = await book.write(self._database, tell)
        self._switchboard.changed(changed)
        return count


def _tell(connection: Connection, record: TransactionRecord, now_ns: int) -> SwapId | None:
    """The swap that changed, if any did."""
    tables.note_told(connection, record)
    event = outcome_event(record)
    swap_id = SwapId(record.effect_key.split(":")[0])
    if event is not None and book.take(connection, swap_id, [event], now_ns=now_ns):
        return swap_id
    return None


def outcome_event(record: TransactionRecord) -> events.EffectOutcome | None:
    """What the transaction's status means for the swap; None for one that is on its way (again)."""
    _, sequence_text, kind = record.effect_key.split(":")
    sequence = int(sequence_text)
    match record.status:
        case TransactionStatus.BROADCAST:
            return None
        case TransactionStatus.REFUSED:
            return events.EffectDropped(kind, sequence)
        case TransactionStatus.SUPERSEDED:
            return events.EffectVoided(kind, sequence)
        case TransactionStatus.INCLUDED | TransactionStatus.FINAL:
            final = record.status is TransactionStatus.FINAL
            if record.reverted:
                return events.EffectReverted(kind, sequence, record.reason or "reverted", final)
            if record.tx_hash is None or record.block is None:
                return None
            settled = events.EffectFinal if final else events.EffectIncluded
            return settled(kind, sequence, record.tx_hash, record.block)
