"""Asking several endpoints: the first that answers, all of them, or as many as a decision needs."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import structlog

from adapters import quorum
from core.model.errors import (
    CausewayError,
    DisagreementError,
    FatalError,
    NotFoundError,
    RejectedError,
    ReorgedError,
    RetryableError,
)
from core.model.facts import LockObservation
from core.model.ports import ChainAccess, LockReader
from core.model.types import Height, LockId, LockTerms
from core.runtime.signals import first_done

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)

CALL_TIMEOUT_S: Final = 10.0
MAX_FAILURES: Final = 8
"""Failures in a row beyond which an endpoint is not thought any worse of."""
CONTRADICTION_FAILURES: Final = MAX_FAILURES + 1
GRACE_S: Final = 0.1
"""How long the slower ones are still waited for once enough have answered."""
PATIENCE_S: Final = 1.0
"""How long those that failed lately are waited for once all others have answered, though that is not enough."""
UNDECIDED_S: Final = 2.0
"""How long the rest is waited for once a quorum has answered without a verdict. Less than an exit waits for the market
(`relayer.transactions.signing.EXIT_ASKS_S`): otherwise one silent endpoint would keep the others' answer from it."""
HEDGE_S: Final = 1.0
"""How long one member may keep a read to itself before the next is asked as well."""
MAX_REASON_CHARS: Final = 200

_log = structlog.get_logger(__name__)


class PinnedLockReader(LockReader, Protocol):
    """A `LockReader` that can also read at a height on which several endpoints agree beforehand."""

    async def lock_at(self, lock_id: LockId, terms: LockTerms, at: Height | None) -> LockObservation:
        """As `lock`, as of the finalized block at `at`. Raise `NotFoundError` if the endpoint is not there yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One endpoint. Endpoints of one `operator` are one voice."""

    operator: str
    access: ChainAccess
    locks: PinnedLockReader


@dataclass(frozen=True, slots=True)
class Said:
    """One member's answer, or the error it gave."""

    member: Member
    answer: object

    @property
    def failed(self) -> bool:
        return isinstance(self.answer, CausewayError)


class Voters:
    """The members in order of preference, and how they did lately."""

    def __init__(self, members: Sequence[Member], timeout_s: float = CALL_TIMEOUT_S) -> None:
        self.members = tuple(members)
        self._timeout_s = timeout_s
        self._failures = [0] * len(self.members)
        self._members_of = Counter(member.operator for member in self.members)
        self.operators = frozenset(self._members_of)
        self.quorum = quorum.size(self.operators)
        """How many operators have to say the same: more than half of those configured."""

    def preferred(self) -> list[Member]:
        """The healthiest first; among equals the order of the configuration."""
        order = sorted(range(len(self.members)), key=lambda index: (self._failures[index], index))
        return [self.members[index] for index in order]

    def blame(self, member: Member) -> None:
        """Ask this member last until it answers well again: it contradicts the others about a finalized block."""
        self._failures[self.members.index(member)] = CONTRADICTION_FAILURES

    def acquit(self, member: Member) -> None:
        self._failures[self.members.index(member)] = 0

    async def ask(self, member: Member, question: Callable[[Member], Awaitable[T]]) -> T:
        """One member's answer within the time limit.

        Raise what the member raises; `RetryableError` for silence, and for whatever no member may raise: a
        `FatalError` (one endpoint's trouble is not the chain's) and exceptions that are not ours.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._answer(member, question)
        except TimeoutError:
            self._failed(self.members.index(member))
            raise self._silence(member) from None

    def _silence(self, member: Member) -> RetryableError:
        return RetryableError(f"an endpoint of {member.operator} did not answer in {self._timeout_s} s")

    async def _answer(self, member: Member, question: Callable[[Member], Awaitable[T]]) -> T:
        """As `ask`, for a caller who sees to the time limit."""
        place = self.members.index(member)
        try:
            answer = await question(member)
        except TimeoutError:
            self._failed(place)
            raise self._silence(member) from None
        except RetryableError:
            self._failed(place)
            raise
        except FatalError as error:
            self._failed(place)
            raise RetryableError(f"an endpoint of {member.operator} cannot be used: {error.message}") from error
        except CausewayError:
            raise
        except Exception as error:
            self._failed(place)
            _log.exception("an endpoint made its adapter fail", operator=member.operator)
            raise RetryableError(
                f"an endpoint of {member.operator} answers nonsense: {type(error).__name__}"
            ) from error
        if self._failures[place] <= MAX_FAILURES:
            self._failures[place] = 0
        return answer

    async def first(self, question: Callable[[Member], Awaitable[T]]) -> T:
        """The answer of the healthiest member that has one.

        The next is asked as soon as one fails or refuses, and next to one that takes longer than `HEDGE_S`: a member
        that knows nothing of it may only be behind, and one that refuses may lie. Raise, if none answers: the refusal
        of a quorum or of all, `ReorgedError`, `NotFoundError` if some say so, else `RetryableError`.
        """
        order = self.preferred()
        waiting, heard = list(order), list[Said]()
        running: dict[asyncio.Task[Said], Member] = {}
        try:
            while waiting or running:
                if waiting:
                    member = waiting.pop(0)
                    running[asyncio.create_task(self.said(member, question))] = member
                done, _ = await asyncio.wait(
                    running, timeout=HEDGE_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in [one for one in running if one in done]:
                    said = task.result()
                    del running[task]
                    if not said.failed:
                        for slow in set(running.values()) & set(order[: order.index(said.member)]):
                            self._failed(self.members.index(slow))
                        answer: T = said.answer  # type: ignore[assignment]
                        return answer
                    heard.append(said)
        finally:
            await _cancelled(running)
        raise self._refusal(heard)

    def _refusal(self, heard: Sequence[Said]) -> CausewayError:
        refused = [one for one in heard if _is_refusal(one.answer)]
        if refused and (len(refused) == len(heard) or len({one.member.operator for one in refused}) >= self.quorum):
            return _error_of(refused[0])
        for kind in (ReorgedError, NotFoundError, RetryableError):
            for one in heard:
                if isinstance(one.answer, kind):
                    return one.answer
        return RetryableError("no endpoint is configured")

    async def each(self, question: Callable[[Member], Awaitable[T]]) -> list[Said]:
        """Return what every member says, all asked at once."""
        return list(await asyncio.gather(*(self.said(member, question) for member in self.members)))

    async def soon(
        self,
        question: Callable[[Member], Awaitable[T]],
        enough: Callable[[Sequence[Said]], bool],
        patience: Callable[[Sequence[Said]], float | None] = lambda heard: None,
    ) -> list[Said]:
        """As `each`, without those that have not answered `GRACE_S` after there was enough, or so many seconds as
        `patience` says after it first said any: one that hangs delays nobody for long, and is waited for in vain once.
        In the members' order."""
        asked = {asyncio.create_task(self._said_in_the_end(member, question)): member for member in self.members}
        pending = set(asked)
        clock = asyncio.get_running_loop().time
        began = clock()
        deadline = silent_at = began + self._timeout_s
        try:
            while pending:
                await first_done(pending, max(0.0, deadline - clock()))
                waiting = {task for task in pending if not task.done()}
                if len(waiting) == len(pending):
                    break
                pending = waiting
                heard = [task.result() for task in asked if task.done()]
                wait_s = GRACE_S if enough(heard) else patience(heard)
                if wait_s is not None:
                    deadline = min(deadline, clock() + wait_s)
            if deadline < silent_at:
                return [task.result() for task in asked if task not in pending]
            return [
                Said(member, self._silence(member)) if task in pending else task.result()
                for task, member in asked.items()
            ]
        finally:
            if clock() - began >= HEDGE_S:  # also if whoever asks gives up before we do
                for silent in pending:
                    if not silent.done():
                        self._failed(self.members.index(asked[silent]))
            await _cancelled(pending)

    def answered(self, answers: Sequence[Said]) -> bool:
        """True once a quorum of operators has answered."""
        return len({one.member.operator for one in answers if not one.failed}) >= self.quorum

    def impatient(self, answers: Sequence[Said]) -> float | None:
        """`PATIENCE_S` once every member has answered from which an answer is to be expected."""
        heard = {one.member for one in answers}
        expected = {self.members[place] for place, failures in enumerate(self._failures) if not failures}
        return PATIENCE_S if expected <= heard else None

    def undecided(self, answers: Sequence[Said]) -> float | None:
        """`UNDECIDED_S` once a quorum has answered, less if nothing is to be expected of the others."""
        return (self.impatient(answers) or UNDECIDED_S) if self.answered(answers) else None

    async def said(self, member: Member, question: Callable[[Member], Awaitable[T]]) -> Said:
        try:
            return Said(member, await self.ask(member, question))
        except CausewayError as error:
            return Said(member, error)

    async def _said_in_the_end(self, member: Member, question: Callable[[Member], Awaitable[T]]) -> Said:
        """As `said`, for a caller who sees to the time limit."""
        try:
            return Said(member, await self._answer(member, question))
        except CausewayError as error:
            return Said(member, error)

    async def agreed(self, question: Callable[[Member], Awaitable[H]], about: str) -> H:
        """The answer that a quorum gives; members that contradict it are blamed.

        Raise `DisagreementError`, and the refusal itself if a quorum refuses the question.
        """
        answers = await self.soon(question, lambda heard: bool(self._winners(heard)))
        winners: list[H] = self._agree(answers)
        if not winners:
            refused = {one.member.operator: one.answer for one in answers if _is_refusal(one.answer)}
            if len(refused) >= self.quorum:
                raise next(error for error in refused.values() if isinstance(error, RejectedError))
            raise self.disagreement(answers, about)
        return winners[0]

    def decided(self, answers: Sequence[tuple[Member, H]]) -> H | None:
        """Return what a quorum has said already, with the consequences of `agreed`; None if there is no quorum yet."""
        winners: list[H] = self._agree([Said(member, answer) for member, answer in answers])
        return winners[0] if winners else None

    def _agree(self, answers: Sequence[Said]) -> list[Any]:
        """`_winners`; members that contradict the winner are blamed, those that say the same acquitted."""
        winners = self._winners(answers)
        for winner in winners:
            for one in answers:
                if not one.failed:
                    (self.acquit if one.answer == winner else self.blame)(one.member)
        return winners

    def _winners(self, answers: Sequence[Said]) -> list[Any]:
        return quorum.winners([(one.member.operator, one.answer) for one in answers], self._members_of)

    def reached(self, answers: Sequence[tuple[Member, int]], about: str) -> int:
        """The largest number that a quorum of operators reaches. Raise `DisagreementError` without one."""
        said = [(member.operator, number) for member, number in answers]
        number = quorum.reached(said, self._members_of)
        if number is None:
            answered = sorted({operator for operator, _ in said})
            raise DisagreementError(
                f"{about}: {len(answered)} of {len(self.operators)} operators answer, {self.quorum} must",
                answered=answered,
            )
        return number

    async def undisputed(self, question: Callable[[Member], Awaitable[int]], answers: Sequence[Said]) -> list[Said]:
        """The answers; if others contradict each other, and one that failed would decide how much `reached` says, those
        that failed are asked once more, for at most `HEDGE_S`: one that lies and one that fails for a moment are two,
        and would have the last word together."""
        said = [(one.member.operator, one.answer) for one in answers if isinstance(one.answer, int)]
        if not quorum.may_rise(said, self._members_of):
            return list(answers)
        failed = [one.member for one in answers if isinstance(one.answer, RetryableError)]
        again = {one.member: one for one in await self._asked_briefly(failed, question)}
        return [again.get(one.member, one) for one in answers]

    async def _asked_briefly(self, members: Sequence[Member], question: Callable[[Member], Awaitable[T]]) -> list[Said]:
        """Return what these members say, but for those that take longer than `HEDGE_S`."""
        if not members:
            return []
        asked = [asyncio.create_task(self._said_in_the_end(member, question)) for member in members]
        try:
            done, _ = await asyncio.wait(asked, timeout=HEDGE_S)
            return [task.result() for task in asked if task in done]
        finally:
            await _cancelled(asked)

    def disagreement(self, answers: Sequence[Said], about: str) -> DisagreementError:
        heard = {one.member.operator: repr(one.answer)[:200] for one in answers}
        return DisagreementError(
            f"{about}: no {self.quorum} of {len(self.operators)} operators say the same", answers=heard
        )

    def is_well(self, member: Member) -> bool:
        """True if the member has answered everything lately."""
        return not self._failures[self.members.index(member)]

    def _failed(self, place: int) -> None:
        if self._failures[place] < MAX_FAILURES:
            self._failures[place] += 1


def _is_refusal(answer: object) -> bool:
    """A member that knows nothing of it may only be behind: that refuses nothing."""
    return isinstance(answer, RejectedError) and not isinstance(answer, NotFoundError)


def _error_of(said: Said) -> CausewayError:
    assert isinstance(said.answer, CausewayError)
    return said.answer


async def _cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
