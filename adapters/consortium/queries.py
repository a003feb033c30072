"""Questions that accounts ask on the ledger, and their answers as transactions."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final, TypeVar

from adapters.consortium.messages import unsigned
from adapters.consortium.rpc import CometRpc, parsed
from adapters.consortium.state import read_count, read_leaf
from core.model.boards import AnswerDraft, ChainQuery, QueryEnd, QueryNews
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
from core.model.facts import HeadUpdate
from core.model.questions import Evidence
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, ChainTime, Height
from core.proofs.evidence.bare import bare_of

T = TypeVar("T")

MAX_NEW: Final = 256
"""Questions that one look reads for the first time; the next look goes on."""
MAX_WATCHED: Final = 64
"""Open questions that one look reads again."""
OPEN: Final = "open"


class ConsortiumQueryBoard:
    """`QueryBoard` over one endpoint. What it reads is unproven: a lie costs a proof that nobody takes.

    The position is the number of the last question that was read. Blocks of this chain are final.
    """

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain

    @property
    def pays_in(self) -> AssetId | None:
        return None

    @property
    def max_together(self) -> int:
        # All messages of a transaction are applied or none: one that came too late would take the others with it.
        return 1

    async def news(self, position: int, head: HeadUpdate, watched: Collection[int]) -> QueryNews:
        block = head.head.ref
        count = await read_count(self._rpc, sequence_count_key(QUERIES))
        asked, ended, last = list[ChainQuery](), list[QueryEnd](), min(count, position + MAX_NEW)
        for number in range(position + 1, last + 1):
            if (leaf := await self._leaf(number)).status == OPEN:
                asked.append(parsed(partial(_query_of, self._chain, number, leaf, block)))
        for number in sorted(watched)[:MAX_WATCHED]:
            if (leaf := await self._leaf(number)).status != OPEN:
                ended.append(QueryEnd(number, leaf.status == "answered", block))
        return QueryNews(tuple(asked), tuple(ended), max(position, last), None)

    async def is_open(self, number: int) -> bool:
        return (await self._leaf(number)).status == OPEN

    async def least_costs(self, queries: Sequence[ChainQuery]) -> Sequence[BaseUnits]:
        return [BaseUnits(0)] * len(queries)

    async def draft(self, answers: Sequence[tuple[ChainQuery, Evidence]], sender: AccountId) -> AnswerDraft:
        if len(answers) != 1:
            raise RejectedError(f"a transaction of {self._chain} has one answer, not {len(answers)}")
        [(query, evidence)] = answers
        message = AnswerQuery(query.number, bare_of(evidence))
        transaction = unsigned(self._chain, sender, (message,), f"answer question {query.number}")
        return AnswerDraft(transaction, BaseUnits(0), (BaseUnits(0),))

    async def check(self, transaction: UnsignedTransaction) -> None:
        """The ledger takes no fees: what it refuses costs nothing."""

    async def _leaf(self, number: int) -> QueryLeaf:
        leaf = await read_leaf(self._rpc, query_key(number), QueryLeaf)
        if leaf is None:
            raise RetryableError(f"question {number} of {self._chain} is counted, but not there")
        return leaf


class FailoverQueryBoard:
    """`QueryBoard` over those of several endpoints: the first that answers."""

    def __init__(self, boards: Sequence[ConsortiumQueryBoard]) -> None:
        if not boards:
            raise RejectedError("there is no endpoint to ask")
        self._boards = tuple(boards)

    @property
    def pays_in(self) -> AssetId | None:
        return self._boards[0].pays_in

    @property
    def max_together(self) -> int:
        return self._boards[0].max_together

    async def news(self, position: int, head: HeadUpdate, watched: Collection[int]) -> QueryNews:
        return await self._first(lambda board: board.news(position, head, watched))

    async def is_open(self, number: int) -> bool:
        return await self._first(lambda board: board.is_open(number))

    async def least_costs(self, queries: Sequence[ChainQuery]) -> Sequence[BaseUnits]:
        return await self._boards[0].least_costs(queries)

    async def draft(self, answers: Sequence[tuple[ChainQuery, Evidence]], sender: AccountId) -> AnswerDraft:
        return await self._boards[0].draft(answers, sender)

    async def check(self, transaction: UnsignedTransaction) -> None:
        await self._boards[0].check(transaction)

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


def _query_of(chain: ChainId, number: int, leaf: QueryLeaf, block: BlockRef) -> ChainQuery:
    return ChainQuery(
        number=number,
        uri=leaf.uri,
        first=Height(leaf.first),
        last=Height(leaf.last),
        deadline=ChainTime(chain, leaf.deadline),
        asset=caip_asset(chain, leaf.asset) if leaf.fee else None,
        fee=BaseUnits(value_of(leaf.fee)),
        block=block,
    )
