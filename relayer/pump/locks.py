"""Locks of one asset that are ready at the same moment share a transaction, if the chain has batches.

Each lock makes its own checks, alone. The first that has passed them asks the chain what a signature needs anyway
(market, sequence, purse); whoever is ready by the time of the answer goes out with it, and nobody waits for anybody
else. Right before the signature each one's own gate is asked once more, and again in the database transaction that
stores it: one whose gate has closed is left behind, and the others go. A batch that comes to nothing is nobody's
transaction: then each lock checks everything again, and goes alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import FatalError, RejectedError, RetryableError
from core.model.ports import BatchBuilder
from core.model.transactions import UnsignedTransaction
from core.model.types import AssetId, ChainId, SwapId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from relayer.metrics import RelayerMetrics
from relayer.transactions.orders import Gate
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.records import TransactionRecord
from relayer.transactions.signing import Asked

GATHER_TIMEOUT_S: Final = 1.5
"""A chain that has not said by then what a signature needs is asked by each lock for itself. Longer than an endpoint
that hangs is waited for (`adapters.endpoints.voting.PATIENCE_S`): otherwise the wait for it would always be in vain."""
TOGETHER_TIMEOUT_S: Final = 10.0
"""A batch that is not signed and sent by then is left, and its locks go out one by one; after half of the time that the
first of their gates stays open, if that is sooner."""
LEFT_S: Final = 2 * GATHER_TIMEOUT_S
"""A lock whose gate closes sooner goes alone."""

KeptForExits = Callable[[Collection[SwapId]], Awaitable[Mapping[AssetId, int]]]
"""The least that has to be left in the purse next to these swaps' locks, by asset."""

log = get_logger("relayer.pump.locks")


@dataclass(frozen=True, slots=True)
class ReadyLock:
    """A lock that has passed its checks: what `Pipeline.send` takes. `deadline_s`, and `closes_s`, when its time gate
    closes, are Unix time."""

    key: str
    swap_id: SwapId
    asset: AssetId
    lock: UnsignedTransaction
    deadline_s: float
    gate: Gate
    keep: Mapping[AssetId, int]
    closes_s: float

    def is_open(self, connection: Connection) -> bool:
        """Return true if its gate is open."""
        try:
            self.gate(connection)
        except (RejectedError, RetryableError):
            return False
        return True


@dataclass(slots=True)
class _Room:
    """The locks of one asset that go out together. `done` is set once it is known if they do."""

    ready: list[ReadyLock]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class SharedLocks:
    """The locks of one account on its chain."""

    def __init__(
        self,
        database: Database,
        batches: BatchBuilder | None,
        pipeline: Pipeline,
        kept: KeptForExits,
        clock: Clock,
        metrics: RelayerMetrics,
    ) -> None:
        self._database = database
        self._batches = batches
        self._pipeline = pipeline
        self._kept = kept
        self._clock = clock
        self._metrics = metrics
        self._rooms: dict[AssetId, _Room] = {}

    async def send(self, ready: ReadyLock) -> TransactionRecord | None:
        """Send a lock, with those of its asset that are ready by then; None if it is to check everything again and to
        go `alone`. Raise as `Pipeline.send`."""
        if self._batches is None or ready.closes_s - self._clock.now() < LEFT_S:
            return await self.alone(ready)
        room = self._rooms.get(ready.asset)
        if room is not None:
            self._join(room, ready, self._batches.max_locks)
            await room.done.wait()
            return await self._pipeline.transaction(ready.key)
        room = self._rooms[ready.asset] = _Room([ready])
        try:
            asked = await self._asked(ready)
            self._close(room, ready.asset)
            if len(room.ready) == 1:
                return await self.alone(ready, asked)
            if asked is not None:
                await self._together(self._batches, self._pipeline.chain, room.ready, asked)
        finally:
            self._close(room, ready.asset)
            room.done.set()
        return await self._pipeline.transaction(ready.key)

    async def alone(self, ready: ReadyLock, asked: Asked | None = None) -> TransactionRecord:
        """Send a lock in a transaction of its own. Raise as `Pipeline.send`."""
        return await self._pipeline.send(
            ready.key,
            ready.lock,
            ready.deadline_s,
            watched=True,
            guarded=True,
            gate=ready.gate,
            keep=ready.keep,
            asked=asked,
        )

    def _join(self, room: _Room, ready: ReadyLock, most: int) -> None:
        room.ready.append(ready)
        if len(room.ready) >= most:
            self._close(room, ready.asset)

    def _close(self, room: _Room, asset: AssetId) -> None:
        if self._rooms.get(asset) is room:
            del self._rooms[asset]

    async def _asked(self, ready: ReadyLock) -> Asked | None:
        """None if the chain does not say soon."""
        try:
            async with asyncio.timeout(GATHER_TIMEOUT_S):
                return await self._pipeline.ask_for_lock(ready.lock)
        except (RetryableError, TimeoutError):
            return None

    async def _together(self, batches: BatchBuilder, chain: ChainId, ready: Sequence[ReadyLock], asked: Asked) -> None:
        """A batch saves gas and nothing else: whatever it meets, each lock goes its own way. Raise `FatalError`."""
        left_s = min(one.closes_s for one in ready) - self._clock.now()
        try:
            async with asyncio.timeout(min(TOGETHER_TIMEOUT_S, left_s / 2)):
                await self._send_together(batches, ready, asked)
        except FatalError:
            raise
        except Exception as error:
            log.warning("locks go out one by one", chain=chain, reason=str(error) or "it takes too long")

    async def _send_together(self, batches: BatchBuilder, ready: Sequence[ReadyLock], asked: Asked) -> None:
        """Without those whose gate is closed, or closes while the others are signed. Raise what the batch meets."""
        while len(part := await self._open(ready)) > 1:
            locks = [one.lock for one in part]
            keep = await self._kept({one.swap_id for one in part})
            try:
                await self._pipeline.send_locks(
                    [one.key for one in part],
                    [one.deadline_s for one in part],
                    batches.locks(locks),
                    batches.locks(locks, each=False),
                    asked,
                    _all_open(part),
                    keep,
                )
            except (RejectedError, RetryableError):
                if len(await self._open(part)) == len(part):
                    raise
                ready = part
            else:
                self._metrics.locks_together.labels(self._pipeline.chain).inc(len(part))
                return

    async def _open(self, ready: Sequence[ReadyLock]) -> list[ReadyLock]:
        return await self._database.read(lambda c: [one for one in ready if one.is_open(c)])


def _all_open(part: Sequence[ReadyLock]) -> Gate:
    def check(connection: Connection) -> None:
        for one in part:
            one.gate(connection)

    return check
