"""Transactions over several endpoints: sent to all, and believed as far as a quorum says the same."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from statistics import median_low
from typing import Any, Final

from adapters.endpoints.voting import PATIENCE_S, Member, Said, Voters
from core.model.errors import (
    CausewayError,
    ConflictError,
    DisagreementError,
    NotFoundError,
    RejectedError,
    RetryableError,
    UnaffordableError,
    UnclearRefusalError,
)
from core.model.transactions import (
    FeeBid,
    FeeMarket,
    LeftOut,
    Outcome,
    OutcomeStatus,
    SequenceView,
    SignedTransaction,
    SigningRequest,
    UnsignedTransaction,
)
from core.model.types import AccountId, AssetId, BlockRef, Height

MAX_REMEMBERED_REFUSALS: Final = 4_096

_IN_A_BLOCK: Final = (OutcomeStatus.INCLUDED, OutcomeStatus.REVERTED)
_REFUSALS: Final = (RejectedError, UnaffordableError, UnclearRefusalError)
_Place = tuple[OutcomeStatus, BlockRef | None, tuple[LeftOut, ...]]


class BroadcastTransactionSender:
    """`TransactionSender`: everything goes to all members; what they say about it is counted.

    See `adapters.endpoints` for what a member that lies can cause.
    """

    def __init__(self, voters: Voters) -> None:
        self._voters = voters
        self._assembler = voters.members[0].access.transactions
        self._running: set[asyncio.Task[Any]] = set()
        self._refused: OrderedDict[bytes, CausewayError] = OrderedDict()

    async def sequences(self, account: AccountId) -> SequenceView:
        """The largest numbers that a quorum reaches; `finalized` is None while fewer know it.

        Raise `DisagreementError` if fewer than a quorum answer.
        """
        voters = self._voters
        answers = await voters.soon(
            lambda member: member.access.transactions.sequences(account), voters.answered, voters.impatient
        )
        views = [(one.member, one.answer) for one in answers if isinstance(one.answer, SequenceView)]
        latest = voters.reached([(member, view.latest) for member, view in views], "sequence")
        finals = [(member, view.finalized) for member, view in views if view.finalized is not None]
        try:
            return SequenceView(latest, min(latest, voters.reached(finals, "finalized sequence")))
        except DisagreementError:
            return SequenceView(latest, None)

    async def fee_market(self) -> FeeMarket | None:
        """The lower median of the operators', so that no minority makes us overpay.

        All members that are well are waited for: if only two answer, the lower of two is a lone member's word.
        """
        answers = await self._voters.soon(
            lambda member: member.access.transactions.fee_market(),
            lambda heard: len(heard) == len(self._voters.members),
            self._voters.undecided,
        )
        markets: dict[str, list[FeeMarket]] = {}
        for one in answers:
            if isinstance(one.answer, FeeMarket) and min(one.answer.base_fee, one.answer.priority_fee) >= 0:
                markets.setdefault(one.member.operator, []).append(one.answer)
        if markets:
            return _median([_median(of_one) for of_one in markets.values()])
        for one in answers:
            if one.answer is None:
                return None
        raise _worst(answers)

    async def simulate(self, transaction: UnsignedTransaction, fee: FeeBid | None = None) -> None:
        """Return if a quorum says that it would succeed, or some do and nobody contradicts.

        Raise the refusal on the same terms, `DisagreementError` if there is neither.
        """
        voters = self._voters

        def agree(heard: Sequence[Said]) -> bool:
            return any(len(_operators(group)) >= voters.quorum for group in _sides(heard))

        answers = await voters.soon(
            lambda member: member.access.transactions.simulate(transaction, fee), agree, voters.undecided
        )
        good, bad = _sides(answers)
        if len(_operators(bad)) >= voters.quorum or (bad and not good):
            raise self._refusal(bad)
        if not good:
            raise _worst(answers)
        if bad and len(_operators(good)) < voters.quorum:
            raise voters.disagreement(answers, "simulation of a transaction")

    def cost(self, transaction: UnsignedTransaction, fee: FeeBid | None) -> Mapping[AssetId, int]:
        return self._assembler.cost(transaction, fee)

    def exit_cost(self, fee: FeeBid | None) -> Mapping[AssetId, int]:
        return self._assembler.exit_cost(fee)

    async def cancellation(self, account: AccountId) -> UnsignedTransaction | None:
        return await self._voters.first(lambda member: member.access.transactions.cancellation(account))

    async def fitted(self, transaction: UnsignedTransaction, tries: int) -> UnsignedTransaction:
        """The lower median by cost of what the members estimate: no lone one makes an exit too dear to be carried."""
        answers = await self._voters.soon(
            lambda member: member.access.transactions.fitted(transaction, tries),
            self._voters.answered,
            self._voters.impatient,
        )
        fitted = [one.answer for one in answers if isinstance(one.answer, UnsignedTransaction)]
        if not fitted:
            return transaction
        fitted.sort(key=lambda each: sum(self._assembler.cost(each, FeeBid(1, 1)).values()))
        return fitted[(len(fitted) - 1) // 2]

    def assemble(
        self, transaction: UnsignedTransaction, sequence: int, fee: FeeBid | None, expiry: Height | None
    ) -> SigningRequest:
        return self._assembler.assemble(transaction, sequence, fee, expiry)

    def attach(self, request: SigningRequest, signature: bytes) -> SignedTransaction:
        return self._assembler.attach(request, signature)

    async def submit(self, signed: SignedTransaction) -> None:
        """Return at the first success; the other members still get it. One that hangs delays nobody: once a quorum has
        answered, whatever it says, the others' success is waited for `PATIENCE_S`.

        Raise a refusal only if a quorum refuses, otherwise `UnaffordableError` or `UnclearRefusalError` if a member
        gives one, else `RetryableError`. A success that a quorum's refusals contradicted afterwards is not believed
        again: the next submission of the same bytes raises what the quorum says, so that no lone member's "taken" hides
        for ever why nobody else takes it.
        """
        doubted = signed.hash in self._refused
        tasks = [
            self._start(self._voters.said(member, lambda one: one.access.transactions.submit(signed)))
            for member in self._voters.members
        ]
        self._start(self._remember(signed.hash, tasks))
        answers: list[Said] = []
        pending = set(tasks)
        patience_s: float | None = None
        while pending:
            done, pending = await asyncio.wait(pending, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            answers += [task.result() for task in tasks if task in done]
            taken = [one for one in answers if not one.failed]
            if taken and (not doubted or len(_operators(taken)) >= self._voters.quorum):
                return
            if len(_operators(answers)) >= self._voters.quorum:
                # An account's other transactions wait for this one: that it lacks a predecessor is heard at once.
                patience_s = PATIENCE_S
        if len(_refusing(answers)) < self._voters.quorum and any(not one.failed for one in answers):
            return
        raise self._unsent(answers)

    def _unsent(self, answers: Sequence[Said]) -> CausewayError:
        refusing = [one for one in answers if isinstance(one.answer, RejectedError)]
        if len(_operators(refusing)) >= self._voters.quorum:
            return self._refusal(refusing)
        for kind in (UnaffordableError, UnclearRefusalError):
            for one in answers:
                if isinstance(one.answer, kind):
                    return one.answer
        return RetryableError(f"no endpoint took the transaction, and too few say why: {_worst(answers)}")

    def _refusal(self, refusing: Sequence[Said]) -> CausewayError:
        """The refusal whose class a quorum gives, else the one that says most."""
        for kind in {type(one.answer) for one in refusing}:
            alike = [one for one in refusing if type(one.answer) is kind]
            if len(_operators(alike)) >= self._voters.quorum:
                return _worst(alike)
        return _worst(refusing)

    async def _remember(self, tx_hash: bytes, tasks: Collection[asyncio.Task[Said]]) -> None:
        """Note whether a quorum refused these bytes, once all have answered."""
        answers = await asyncio.gather(*tasks)
        refusing = [one for one in answers if isinstance(one.answer, _REFUSALS)]
        self._refused.pop(tx_hash, None)
        if len(_refusing(answers)) >= self._voters.quorum:
            self._refused[tx_hash] = _worst(refusing)
            if len(self._refused) > MAX_REMEMBERED_REFUSALS:
                self._refused.popitem(last=False)

    async def outcome(self, tx_hash: bytes) -> Outcome:
        """In a block, with what it left out, and final, only if a quorum says so of the same block.

        Dropped, if a quorum says so: one that says "pending" for ever keeps nobody from sending it again. Else waiting,
        if anybody knows of it. Raise `DisagreementError` if too few answer to call it dropped.
        """
        voters = self._voters
        answers = await voters.soon(
            lambda member: member.access.transactions.outcome(tx_hash),
            lambda heard: self._verdict(heard, certain=True) is not None,
            voters.undecided,
        )
        verdict = self._verdict(answers, certain=False)
        if verdict is None:
            raise voters.disagreement(answers, "outcome of a transaction")
        return verdict

    def _verdict(self, answers: Sequence[Said], certain: bool) -> Outcome | None:
        """None without one. `certain`: only what those that have not answered yet could not change."""
        heard = [(one.member, one.answer) for one in answers if isinstance(one.answer, Outcome)]
        places: dict[_Place, list[tuple[Member, Outcome]]] = {}
        for member, outcome in heard:
            if outcome.status in _IN_A_BLOCK:
                places.setdefault((outcome.status, outcome.block, outcome.left_out), []).append((member, outcome))
        quorum = self._voters.quorum
        for (status, block, left_out), sayers in places.items():
            if len(_voices(sayers)) >= quorum:
                final = len(_voices([(member, outcome) for member, outcome in sayers if outcome.final])) >= quorum
                return Outcome(status, final, block, sayers[0][1].reason, left_out)
        waiting = _voices((member, outcome) for member, outcome in heard if outcome.status is OutcomeStatus.PENDING)
        there = waiting | _voices(sayer for sayers in places.values() for sayer in sayers)
        gone = _voices(heard) - there
        if len(gone) >= quorum:
            return Outcome(OutcomeStatus.DROPPED, reason=next(o.reason for m, o in heard if m.operator in gone))
        known = len(waiting) >= quorum if certain else bool(there)
        return Outcome(OutcomeStatus.PENDING) if known else None

    def _start(self, saying: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(saying)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


def _operators(answers: Iterable[Said]) -> set[str]:
    return {one.member.operator for one in answers}


def _refusing(answers: Iterable[Said]) -> set[str]:
    """The operators that refuse, in whatever words."""
    return _operators(one for one in answers if isinstance(one.answer, _REFUSALS))


def _voices(sayers: Iterable[tuple[Member, Outcome]]) -> set[str]:
    return {member.operator for member, _ in sayers}


def _sides(answers: Sequence[Said]) -> tuple[list[Said], list[Said]]:
    """Those that agree to a question, and those that refuse it; the silent ones are on no side."""
    good = [one for one in answers if not one.failed]
    return good, [one for one in answers if isinstance(one.answer, RejectedError)]


def _median(markets: Sequence[FeeMarket]) -> FeeMarket:
    return FeeMarket(
        median_low(market.base_fee for market in markets), median_low(market.priority_fee for market in markets)
    )


def _worst(answers: Sequence[Said]) -> CausewayError:
    """The error that says most: a conflict before a refusal, a refusal before silence."""
    errors = [one.answer for one in answers if isinstance(one.answer, CausewayError)]
    ranks: list[Callable[[CausewayError], bool]] = [
        lambda error: isinstance(error, ConflictError),
        lambda error: isinstance(error, RejectedError) and not isinstance(error, NotFoundError),
        lambda error: True,
    ]
    for fits in ranks:
        for error in errors:
            if fits(error):
                return error
    return RetryableError("no endpoint answers")
