"""Asking several endpoints: the first that answers, all of them, or as many as a decision needs."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from core.model.errors import CausewayError, DisagreementError, NotFoundError, RejectedError, RetryableError
from core.model.facts import LockObservation
from core.model.ports import ChainAccess, LockReader
from core.model.types import Height, LockId, LockTerms

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)

CALL_TIMEOUT_S: Final = 10.0
MAX_FAILURES: Final = 8
"""Failures in a row beyond which an endpoint is not thought any worse of."""
CONTRADICTION_FAILURES: Final = MAX_FAILURES + 1
GRACE_S: Final = 0.1
"""How long the slower ones are still waited for once enough have answered."""


class PinnedLockReader(LockReader, Protocol):
    """A `LockReader` that can also read at a height on which several endpoints agree beforehand."""

    async def lock_at(self, lock_id: LockId, terms: LockTerms, at: Height | None) -> LockObservation:
        """As `lock`, as of the finalized block at `at`. Raises `NotFoundError` where the endpoint is not there yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One endpoint. Endpoints of one `operator` are one voice."""

    operator: str
    access: ChainAccess
    locks: PinnedLockReader


@dataclass(frozen=True, slots=True)
class Said:
    """What one member answered, or the error it gave."""

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

    @property
    def operators(self) -> frozenset[str]:
        return frozenset(member.operator for member in self.members)

    @property
    def quorum(self) -> int:
        """How many operators have to say the same: more than half of those configured."""
        return len(self.operators) // 2 + 1

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
        """One member's answer within the time limit. Raises what it raises, `RetryableError` for silence."""
        place = self.members.index(member)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await question(member)
        except TimeoutError:
            self._failed(place)
            raise RetryableError(f"an endpoint of {member.operator} did not answer in {self._timeout_s} s") from None
        except RetryableError:
            self._failed(place)
            raise
        if self._failures[place] <= MAX_FAILURES:
            self._failures[place] = 0
        return answer

    async def first(self, question: Callable[[Member], Awaitable[T]]) -> T:
        """The answer of the healthiest member that has one.

        A member that knows nothing of it may only be behind, so the others are asked too. Raises `NotFoundError` where
        some say so and the rest do not answer, `RetryableError` where none answers, every other error at once.
        """
        missing: NotFoundError | None = None
        failure: RetryableError | None = None
        for member in self.preferred():
            try:
                return await self.ask(member, question)
            except NotFoundError as error:
                missing = missing or error
            except RetryableError as error:
                failure = error
        raise missing or failure or RetryableError("no endpoint is configured")

    async def each(self, question: Callable[[Member], Awaitable[T]]) -> list[Said]:
        """What every member says, all asked at once."""
        return list(await asyncio.gather(*(self.said(member, question) for member in self.members)))

    async def soon(
        self, question: Callable[[Member], Awaitable[T]], enough: Callable[[Sequence[Said]], bool]
    ) -> list[Said]:
        """As `each`, without those that have not answered `GRACE_S` after there was enough: one that hangs delays
        nobody for long. In the members' order."""
        asked = {asyncio.create_task(self.said(member, question)): member for member in self.members}
        pending = set(asked)
        deadline: float | None = None
        try:
            while pending:
                now_s = asyncio.get_running_loop().time()
                timeout_s = None if deadline is None else max(0.0, deadline - now_s)
                done, pending = await asyncio.wait(pending, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                if deadline is None and enough([task.result() for task in asked if task.done()]):
                    deadline = asyncio.get_running_loop().time() + GRACE_S
            return [task.result() for task in asked if task not in pending]
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def is_enough(self, answers: Sequence[Said]) -> bool:
        """Whether a quorum of operators has answered, and every member from which an answer is to be expected."""
        heard = {one.member for one in answers}
        answered = {one.member.operator for one in answers if not one.failed}
        expected = {self.members[place] for place, failures in enumerate(self._failures) if not failures}
        return expected <= heard or len(answered) >= self.quorum

    async def said(self, member: Member, question: Callable[[Member], Awaitable[T]]) -> Said:
        try:
            return Said(member, await self.ask(member, question))
        except CausewayError as error:
            return Said(member, error)

    async def agreed(self, question: Callable[[Member], Awaitable[H]], about: str) -> H:
        """The answer that a quorum gives; members that contradict it are blamed.

        Raises `DisagreementError`, and the refusal itself where a quorum refuses the question.
        """
        answers = await self.soon(question, lambda heard: bool(self._winners(heard)))
        winners: list[H] = self._winners(answers)
        if not winners:
            refused = {one.member.operator: one.answer for one in answers if _is_refusal(one.answer)}
            if len(refused) >= self.quorum:
                raise next(error for error in refused.values() if isinstance(error, RejectedError))
            raise self.disagreement(answers, about)
        [winner] = winners
        for one in answers:
            if not one.failed:
                (self.acquit if one.answer == winner else self.blame)(one.member)
        return winner

    def _winners(self, answers: Sequence[Said]) -> list[Any]:
        """The answer that a quorum of operators gives, if there is one, in a list."""
        votes: dict[Any, set[str]] = {}
        for operator in self.operators:
            heard = [one for one in answers if one.member.operator == operator]
            voice = {one.answer for one in heard if not one.failed}
            # An operator whose own endpoints contradict each other has no voice, nor one that is not heard out yet.
            complete = len(heard) == sum(member.operator == operator for member in self.members)
            if complete and len(voice) == 1:
                votes.setdefault(voice.pop(), set()).add(operator)
        return [answer for answer, operators in votes.items() if len(operators) >= self.quorum]

    def reached(self, answers: Sequence[tuple[Member, int]], about: str) -> int:
        """The largest number that a quorum of operators reaches. Raises `DisagreementError` without one."""
        best: dict[str, int] = {}
        for member, number in answers:
            # Of one operator's numbers the smallest is what all its endpoints vouch for.
            best[member.operator] = min(number, best.get(member.operator, number))
        if len(best) < self.quorum:
            raise DisagreementError(
                f"{about}: {len(best)} of {len(self.operators)} operators answer, {self.quorum} must",
                answered=sorted(best),
            )
        return sorted(best.values(), reverse=True)[self.quorum - 1]

    def disagreement(self, answers: Sequence[Said], about: str) -> DisagreementError:
        heard = {one.member.operator: repr(one.answer)[:200] for one in answers}
        return DisagreementError(
            f"{about}: no {self.quorum} of {len(self.operators)} operators say the same", answers=heard
        )

    def _failed(self, place: int) -> None:
        if self._failures[place] < MAX_FAILURES:
            self._failures[place] += 1


def _is_refusal(answer: object) -> bool:
    """A member that knows nothing of it may only be behind: that refuses nothing."""
    return isinstance(answer, RejectedError) and not isinstance(answer, NotFoundError)
