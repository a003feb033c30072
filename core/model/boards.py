"""The port of questions that are asked on a chain: a board shows them, says how they end, and takes answers.

A board keeps nothing between two calls: who asks it keeps the position, and what was found.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.model.facts import HeadUpdate
from core.model.questions import Evidence
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainTime, Height


@dataclass(frozen=True, slots=True)
class ChainQuery:
    """Question `number` of a chain, open, as one of its endpoints shows it: unproven.

    Blocks from `first` to `last` of the other chain answer it, strictly before `deadline` by the asking chain's time.
    `fee` is in base units of `asset`, None if there is none. `block` has the request; on chains whose blocks are all
    final it is the newest when the question was seen. `holder` is the contract that keeps it, None if the ledger
    itself does. `terms` is what the chain wants to see again in an answer, in the adapter's own encoding.
    """

    number: int
    uri: str
    first: Height
    last: Height
    deadline: ChainTime
    asset: AssetId | None
    fee: BaseUnits
    block: BlockRef
    holder: AccountId | None = None
    terms: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class QueryEnd:
    """A block has an answer to question `number`, by anybody, or (`answered` false) gives its fee back."""

    number: int
    answered: bool
    block: BlockRef


@dataclass(frozen=True, slots=True)
class QueryNews:
    """The findings of one look at a board. The next look goes on at `position`.

    `read`: the blocks, first and last, all of whose requests and ends are here, as they are canonical now; a request
    or an end that was seen in one of them and is not here is gone. None if no block of the chain is ever replaced.
    """

    asked: tuple[ChainQuery, ...]
    ended: tuple[QueryEnd, ...]
    position: int
    read: tuple[Height, Height] | None


@dataclass(frozen=True, slots=True)
class AnswerDraft:
    """Answers in one transaction, and the most that it may cost, in base units of `QueryBoard.pays_in`: `shared` by
    all of them, and for `each` in their order."""

    transaction: UnsignedTransaction
    shared: BaseUnits
    each: tuple[BaseUnits, ...]


class QueryBoard(Protocol):
    """Questions that are asked on a chain, and answers to them. All raise `RetryableError` if it does not answer."""

    @property
    def pays_in(self) -> AssetId | None:
        """The asset that pays for a transaction of the chain, in which costs are counted; None if it takes no fees."""

    @property
    def max_together(self) -> int:
        """How many answers one transaction may hold."""

    async def news(self, position: int, head: HeadUpdate, watched: Collection[int]) -> QueryNews:
        """Return what was asked and what ended since `position`; 0 begins with what is not old.

        `watched`: numbers of open questions of which the caller wants to know if they have ended, if the chain does
        not say so by itself. A flood is read in several looks.
        """

    async def is_open(self, number: int) -> bool:
        """Return false once the question is answered or over; by a quorum, where answers cost anything."""

    async def least_costs(self, queries: Sequence[ChainQuery]) -> Sequence[BaseUnits]:
        """Return what the shortest answer to each may cost if others pay for all that they share; 0 without fees."""

    async def draft(self, answers: Sequence[tuple[ChainQuery, Evidence]], sender: AccountId) -> AnswerDraft:
        """Return the transaction with these answers, which are as of one block, at most `max_together`.

        Raise `RejectedError` for evidence that the chain cannot take.
        """

    async def check(self, transaction: UnsignedTransaction) -> None:
        """Return if these answers would be taken now, by a quorum, where answers cost anything: one endpoint that makes
        questions or fees up must not have us pay. Raise `RevertedError` with the chain's reason if they would not be,
        `DisagreementError` without a quorum."""
