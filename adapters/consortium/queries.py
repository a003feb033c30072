"""Questions that accounts ask on the ledger, and their answers as transactions."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from adapters.consortium.messages import unsigned
from adapters.consortium.rpc import CometRpc, parsed
from adapters.consortium.state import read_count, read_leaf
from core.model.consortium import (
    QUERIES,
    AnswerQuery,
    QueryLeaf,
    caip_asset,
    query_key,
    sequence_count_key,
    value_of,
)
from core.model.errors import RejectedError, RetryableError
from core.model.ports import ChainQuery
from core.model.questions import Evidence
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, BaseUnits, ChainId, ChainTime, Height
from core.proofs.evidence.bare import bare_of

T = TypeVar("T")

MAX_NEW: Final = 256
"""Questions that one look reads for the first time; the next look goes on."""
MAX_OPEN: Final = 4_096
"""Open questions that are remembered; beyond them the oldest are left to others."""


class ConsortiumQueryBoard:
    """`QueryBoard` over one endpoint. What it reads is unproven: a lie costs a proof that nobody takes."""

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain
        self._seen = 0
        self._open: dict[int, ChainQuery] = {}

    async def open_queries(self, now: ChainTime) -> tuple[ChainQuery, ...]:
        count = await read_count(self._rpc, sequence_count_key(QUERIES))
        for number in range(self._seen + 1, min(count, self._seen + MAX_NEW) + 1):
            found = await self._query(number)
            self._seen = number
            if found is not None:
                self._open[number] = found
        for number in [number for number, one in self._open.items() if one.deadline <= now]:
            del self._open[number]
        while len(self._open) > MAX_OPEN:
            del self._open[next(iter(self._open))]
        return tuple(self._open.values())

    async def is_open(self, number: int) -> bool:
        if await self._query(number) is not None:
            return True
        self._open.pop(number, None)
        return False

    async def cost(self, query: ChainQuery, answer: UnsignedTransaction | None = None) -> BaseUnits:
        return BaseUnits(0)

    def answer(self, number: int, evidence: Evidence, sender: AccountId) -> UnsignedTransaction:
        message = AnswerQuery(number, bare_of(evidence))
        return unsigned(self._chain, sender, (message,), f"answer question {number}")

    async def _query(self, number: int) -> ChainQuery | None:
        leaf = await read_leaf(self._rpc, query_key(number), QueryLeaf)
        if leaf is None:
            raise RetryableError(f"question {number} of {self._chain} is counted, but not there")
        return None if leaf.status != "open" else parsed(lambda: _query_of(self._chain, number, leaf))


class FailoverQueryBoard:
    """`QueryBoard` over those of several endpoints: the first that answers."""

    def __init__(self, boards: Sequence[ConsortiumQueryBoard]) -> None:
        if not boards:
            raise RejectedError("there is no endpoint to ask")
        self._boards = tuple(boards)

    async def open_queries(self, now: ChainTime) -> tuple[ChainQuery, ...]:
        return await self._first(lambda board: board.open_queries(now))

    async def is_open(self, number: int) -> bool:
        return await self._first(lambda board: board.is_open(number))

    async def _first(self, ask: Callable[[ConsortiumQueryBoard], Awaitable[T]]) -> T:
        """Raise what the last board raises."""
        failure: RetryableError | None = None
        for board in self._boards:
            try:
                return await ask(board)
            except RetryableError as error:
                failure = error
        assert failure is not None
        raise failure

    async def cost(self, query: ChainQuery, answer: UnsignedTransaction | None = None) -> BaseUnits:
        return BaseUnits(0)

    def answer(self, number: int, evidence: Evidence, sender: AccountId) -> UnsignedTransaction:
        return self._boards[0].answer(number, evidence, sender)


def _query_of(chain: ChainId, number: int, leaf: QueryLeaf) -> ChainQuery:
    return ChainQuery(
        number=number,
        uri=leaf.uri,
        first=Height(leaf.first),
        last=Height(leaf.last),
        deadline=ChainTime(chain, leaf.deadline),
        asset=caip_asset(chain, leaf.asset) if leaf.fee else None,
        fee=BaseUnits(value_of(leaf.fee)),
    )
