"""Locks that an earlier process signed: neither sent again nor outbid before all that had to hold for them was checked
again.

Their bytes may have reached nobody. Meanwhile a token may have stopped, the operator may have paused, or the other lock
may be gone; what this process knows of the chains is as old as its predecessor. An exit that stands behind one of them
waits for its check, but not for long: then it is called off, and its sequence used up by something else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final

from core.model.errors import FatalError, RejectedError, RetryableError
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from core.runtime.signals import side_by_side
from relayer.metrics import RelayerMetrics
from relayer.transactions.records import TransactionRecord, TransactionStatus

CHECK_AGAIN_S: Final = 3.0
"""How long a step waits for the checks of one lock; the next step asks again."""

HELD_UP_S: Final = 4.0
"""How long after a start an exit may wait for the check of a lock before it, so that a process has read the chains up
by then: less than whoever was away has to come back."""

AT_ONCE: Final = 16
"""Locks that are checked at the same time."""

CheckAgain = Callable[[str], Awaitable[None]]
"""Ask everything once more for an effect, by its key. `RejectedError`: it must not happen any more."""

_log = get_logger("relayer.transactions")


class Inherited:
    """The locks of one account that are not checked again yet, and what was refused of them."""

    def __init__(self, clock: Clock, metrics: RelayerMetrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._since_s = clock.monotonic()
        self._unchecked: set[int] = set()
        self._refused: dict[int, frozenset[int]] = {}

    def take_over(self, records: Iterable[TransactionRecord]) -> None:
        """Remember what is open when a process begins."""
        sent = (one for one in records if one.status is TransactionStatus.BROADCAST)
        self._unchecked = {one.id for one in sent if not (one.exits or one.cancelling)}
        self._refused.clear()
        self._since_s = self._clock.monotonic()

    def waits(self, record: TransactionRecord) -> bool:
        """Return true if nobody has checked it since this process began. A cancellation waits for nothing."""
        return record.id in self._unchecked and not record.cancelling

    def refused(self, record: TransactionRecord) -> frozenset[int]:
        """Return the numbers of its effects that must not happen any more."""
        return self._refused.get(record.id, frozenset())

    def make_way(self, record: TransactionRecord) -> None:
        """An exit stands behind it: once that has waited long enough, no effect of it must happen any more."""
        if self.waits(record) and self._clock.monotonic() - self._since_s >= HELD_UP_S:
            _log.warning("not checked in time, makes way for an exit", effect=record.effect_key)
            self._unchecked.discard(record.id)
            self._refused[record.id] = frozenset(number for number, _ in record.carried)

    async def check(self, held: Collection[TransactionRecord], check_again: CheckAgain) -> bool:
        """Check these side by side: exits wait for the next step, however many of these a chain does not answer. Return
        true if one of them waits no longer."""
        looks = asyncio.Semaphore(AT_ONCE)

        async def check(record: TransactionRecord) -> bool:
            async with looks:
                return await self._check(record, check_again)

        return any(await side_by_side(map(check, held)))

    async def _check(self, record: TransactionRecord, check_again: CheckAgain) -> bool:
        """Check each of its effects; false while a chain does not say."""
        refused = set[int]()
        try:
            async with asyncio.timeout(CHECK_AGAIN_S):
                for number, item in record.carried:
                    try:
                        await check_again(item.effect_key)
                    except RejectedError as error:
                        _log.warning("not sent again", effect=item.effect_key, reason=error.message)
                        refused.add(number)
        except (RetryableError, TimeoutError) as error:
            _log.warning("waits to be checked again", effect=record.effect_key, reason=str(error) or "no answer")
            return False
        except FatalError:
            raise
        except Exception as error:
            self._metrics.faults.labels("transactions").inc()
            _log.error("cannot be checked again", effect=record.effect_key, error=str(error), exc_info=error)
            return False
        self._unchecked.discard(record.id)
        if refused:
            self._refused[record.id] = frozenset(refused)
        return True
