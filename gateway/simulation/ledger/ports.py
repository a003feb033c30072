"""A liar's words on a ledger's heads and locks, next to what its node answers: only a quorum finds that out.

The rest of an endpoint's faults happen on the way to its node, below the adapter.
"""

from collections.abc import AsyncIterator

from adapters.consortium.locks import ConsortiumLockReader
from adapters.memory import Endpoint
from core.model.errors import PayoutBlockedError
from core.model.facts import BlockHeader, HeadUpdate, LockObservation
from core.model.ports import HeadSource
from core.model.types import Height, LockId, LockTerms


class ToldHeads:
    """`HeadSource`."""

    def __init__(self, inner: HeadSource, endpoint: Endpoint) -> None:
        self._inner = inner
        self._endpoint = endpoint

    async def head(self) -> HeadUpdate:
        return self._endpoint.report_head(await self._inner.head())

    async def final_block(self, height: Height) -> BlockHeader:
        return self._endpoint.report_header(await self._inner.final_block(height))

    async def heads(self) -> AsyncIterator[HeadUpdate]:
        late: HeadUpdate | None = None
        async for truth in self._inner.heads():
            shown = self._endpoint.report_head(truth)
            yield shown
            if late is not None:
                yield late
            late = shown if self._endpoint.comes_late() else None


class ToldLocks:
    """`LockReader`, pinned to a height for a quorum."""

    def __init__(self, inner: ConsortiumLockReader, endpoint: Endpoint) -> None:
        self._inner = inner
        self._endpoint = endpoint

    async def lock(self, lock_id: LockId, terms: LockTerms) -> LockObservation:
        return await self.lock_at(lock_id, terms, None)

    async def lock_at(self, lock_id: LockId, terms: LockTerms, at: Height | None) -> LockObservation:
        return self._endpoint.report_lock(await self._inner.lock_at(lock_id, terms, at))

    async def check_payout(self, terms: LockTerms) -> None:
        truth: str | None = None
        try:
            await self._inner.check_payout(terms)
        except PayoutBlockedError as error:
            truth = error.message
        shown = self._endpoint.report_refusal(truth)
        if shown is not None:
            raise PayoutBlockedError(f"{terms.receiver} cannot be paid {terms.asset} now: {shown}", reason=shown)
