"""One operator among several who lies: the same lie all the time, from a seed."""

from collections import Counter
from dataclasses import replace
from typing import Any, Final, TypeVar

from adapters.endpoints import Member
from adapters.memory import Endpoint
from core.model.errors import ConflictError, RevertedError, UnaffordableError, UnclearRefusalError
from core.model.ports import TransactionSender
from core.model.transactions import FeeMarket, Outcome, OutcomeStatus, SequenceView, SignedTransaction
from core.model.types import AccountId, BlockRef, ChainId, Height
from gateway.simulation.plan import Lie

T = TypeVar("T")

LAG_BLOCKS: Final = 6
FAR: Final = 40
"""How many sequences a liar is off."""
TIMES: Final = 1_000
"""How much dearer than it is a liar calls inclusion."""


def lying(member: Member, lie: Lie, endpoint: Endpoint, faults: Counter[str]) -> Member:
    """The member, with this lie on its lips."""
    match lie:
        case Lie.HEADS_AND_LOCKS:
            endpoint.lying = True
        case Lie.FROM_THE_PAST:
            endpoint.lag_blocks = LAG_BLOCKS
        case Lie.HANGS:
            endpoint.hang()
        case _:
            pass
    faults[f"lie-{lie}"] += 1
    liar = _Liar(member.access.transactions, lie, member.access.chain, faults)
    return replace(member, access=replace(member.access, transactions=liar))


class _Liar:
    """A `TransactionSender` that says what its lie has it say, and counts how often it said so."""

    def __init__(self, inner: TransactionSender, lie: Lie, chain: ChainId, faults: Counter[str]) -> None:
        self._inner = inner
        self._lie = lie
        self._chain = chain
        self._faults = faults
        self._refusals = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def sequences(self, account: AccountId) -> SequenceView:
        truth = await self._inner.sequences(account)
        if self._lie is Lie.HIGH_SEQUENCE:
            return self._said(SequenceView(truth.latest + FAR, truth.latest + FAR))
        if self._lie is Lie.LOW_SEQUENCE:
            return self._said(SequenceView(0, 0))
        return truth

    async def fee_market(self) -> FeeMarket | None:
        truth = await self._inner.fee_market()
        if truth is not None and self._lie is Lie.HIGH_FEE:
            return self._said(FeeMarket(truth.base_fee * TIMES, truth.priority_fee * TIMES))
        if truth is not None and self._lie is Lie.LOW_FEE:
            return self._said(FeeMarket(1, 1))
        if self._lie is Lie.MALFORMED:
            raise ValueError(self._said("not a number: '0x'"))
        return truth

    async def submit(self, signed: SignedTransaction) -> None:
        if self._lie in (Lie.PENDING, Lie.INCLUDED):
            return  # taken, it says, and throws it away
        if self._lie is Lie.REFUSES:
            self._refusals += 1
            words = self._said("the moon is in the wrong house")
            kinds = (UnclearRefusalError, RevertedError, ConflictError, UnaffordableError)
            raise kinds[self._refusals % len(kinds)](words)
        await self._inner.submit(signed)

    async def outcome(self, tx_hash: bytes) -> Outcome:
        if self._lie is Lie.PENDING:
            return self._said(Outcome(OutcomeStatus.PENDING))
        if self._lie is Lie.INCLUDED:
            invented = BlockRef(self._chain, Height(1), tx_hash)
            return self._said(Outcome(OutcomeStatus.INCLUDED, True, invented))
        if self._lie is Lie.MALFORMED:
            raise KeyError(self._said("blockNumber"))
        return await self._inner.outcome(tx_hash)

    def _said(self, answer: T) -> T:
        self._faults[f"said-{self._lie}"] += 1
        return answer
