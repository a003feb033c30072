"""Transactions on their way into the mempool: taken in order of arrival, their signatures checked many at a time.

While some wait for the processes that check signatures, those before them are checked against the state.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final

import structlog

from core.model.errors import CausewayError, RetryableError
from core.runtime.exhaustion import reason_of
from local_chains.consortium.engine.mempool import MempoolFullError
from local_chains.consortium.engine.verification import SignaturePool
from local_chains.consortium.ledger.execution import Result
from local_chains.consortium.ledger.signatures import SignatureChecker

BATCH: Final = 512
"""Transactions whose signatures are checked together, at least as many as came at once."""
BATCHES_AHEAD: Final = 3
MAX_WAITING: Final = 20_000
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Transactions on their way, and their bytes."""
TURN: Final = 64
"""Transactions taken before others have their turn on the event loop."""

_log = structlog.get_logger(__name__)

Admission = Result | CausewayError
"""CheckTx's answer, or why it was not asked: `AlreadySeenError`, `MempoolFullError`, `RetryableError`."""


class _Group:
    """Transactions that came together, and who waits for their admissions."""

    __slots__ = ("admissions", "size_bytes", "transactions")

    def __init__(self, transactions: Sequence[bytes]) -> None:
        self.transactions = transactions
        self.size_bytes = sum(map(len, transactions))
        self.admissions: asyncio.Future[list[Admission]] = asyncio.get_running_loop().create_future()


_Batch = tuple[list[_Group], asyncio.Task[None]]


class Intake:
    """The way in of one mempool; `submit` is its CheckTx, which may be asked once `settled` returns."""

    def __init__(
        self,
        submit: Callable[[bytes], Result],
        settled: Callable[[], Awaitable[None]],
        signatures: SignatureChecker,
        pool: SignaturePool,
    ) -> None:
        self._submit = submit
        self._settled = settled
        self._signatures = signatures
        self._pool = pool
        self._arrived: deque[_Group] = deque()
        self._waiting = self._waiting_bytes = 0
        self._working: asyncio.Task[None] | None = None

    async def admit(self, transactions: Sequence[bytes]) -> list[Admission]:
        """One admission for each, in order. Raise `MempoolFullError` when too many are on their way already."""
        group = _Group(transactions)
        if (
            self._waiting + len(transactions) > MAX_WAITING
            or self._waiting_bytes + group.size_bytes > MAX_WAITING_BYTES
        ):
            raise MempoolFullError(
                f"{self._waiting} transactions of {self._waiting_bytes} bytes are on their way to the mempool already"
            )
        self._arrived.append(group)
        self._waiting += len(transactions)
        self._waiting_bytes += group.size_bytes
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await asyncio.shield(group.admissions)

    async def close(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)

    async def _work(self) -> None:
        ahead: deque[_Batch] = deque()
        try:
            while self._arrived or ahead:
                # More come while some are checked: a small batch waits for them.
                while self._arrived and (not ahead or (len(ahead) < BATCHES_AHEAD and self._waiting_long())):
                    groups = self._next_groups()
                    ahead.append((groups, asyncio.create_task(self._verify(groups))))
                groups, verifying = ahead[0]
                await verifying
                await self._take(groups)
                ahead.popleft()
        except Exception as error:
            _log.exception("transactions could not be checked")
            self._give_up(ahead, error)
        except BaseException:
            self._give_up(ahead, RetryableError("the node stops"))
            raise

    def _waiting_long(self) -> bool:
        """Return true if a whole batch has arrived."""
        return sum(len(group.transactions) for group in islice(self._arrived, BATCH)) >= BATCH

    def _next_groups(self) -> list[_Group]:
        groups, count = [], 0
        while self._arrived and count < BATCH:
            groups.append(self._arrived.popleft())
            count += len(groups[-1].transactions)
        return groups

    async def _verify(self, groups: list[_Group]) -> None:
        transactions = [raw for group in groups for raw in group.transactions]
        if len(transactions) == 1:
            return
        held = await self._pool.verify(transactions)
        self._signatures.remember(raw for raw, good in zip(transactions, held, strict=True) if good)

    async def _take(self, groups: list[_Group]) -> None:
        since = 0
        for group in groups:
            admissions = []
            # No block comes about between two awaits.
            await self._settled()
            for raw in group.transactions:
                admissions.append(self._admission(raw))
                since += 1
                if since % TURN == 0:
                    await asyncio.sleep(0)
                    await self._settled()
            self._waiting -= len(group.transactions)
            self._waiting_bytes -= group.size_bytes
            if not group.admissions.done():
                group.admissions.set_result(admissions)

    def _admission(self, raw: bytes) -> Admission:
        try:
            return self._submit(raw)
        except CausewayError as error:
            return error

    def _give_up(self, ahead: deque[_Batch], error: Exception) -> None:
        """Answer all that wait: whoever asked was not cancelled, and may ask again."""
        reason = reason_of(error)
        for groups, verifying in ahead:
            verifying.cancel()
            self._arrived.extendleft(reversed(groups))
        for group in self._arrived:
            if not group.admissions.done():
                group.admissions.set_result(
                    [RetryableError(f"the transaction was not checked: {reason}") for _ in group.transactions]
                )
        self._arrived.clear()
        self._waiting = self._waiting_bytes = 0
