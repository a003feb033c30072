"""Several questions in one request: one height per chain, and each failure in its own place."""

from dataclasses import replace
from typing import Any

import pytest

from core.model.errors import CausewayError, NotFoundError, NotYetFinalError, RejectedError
from core.model.questions import AsOf, BalanceAnswer, Evidence, LeafQuestion, LogQuestion, Question
from core.model.types import BaseUnits, BlockRef, ChainId, ChainTime, Height
from core.model.uris import Asked
from queries.together import MAX_TOGETHER, ask_together

LEDGER, ETHEREUM = ChainId("causeway:test-1"), ChainId("eip155:31337")
NEWEST = {LEDGER: 100, ETHEREUM: 900}


class Moving:
    """Each question without a height is answered one block later than the one before, as on chains that go on."""

    def __init__(self, *refused: Question) -> None:
        self.refused = refused
        self.asked: list[tuple[Question, Height | None, Height | None]] = []

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        self.asked.append((question, at, trusted))
        if question in self.refused:
            raise NotFoundError("there is nothing")
        if at is not None and at > 5_000:
            raise NotYetFinalError("later")
        height = Height(NEWEST[question.chain] + len(self.asked)) if at is None else at
        block = BlockRef(question.chain, height, bytes(32))
        return Evidence(question, BalanceAnswer(BaseUnits(1)), AsOf(block, ChainTime(question.chain, 1), "x"), "x", b"")


def leaf(number: int) -> Asked:
    return Asked(LeafQuestion(LEDGER, b"%d" % number))


def log(number: int) -> Asked:
    return Asked(LogQuestion(ETHEREUM, bytes([number]) * 32, 0))


def heights(answers: list[Any]) -> list[int | str]:
    return [one.code if isinstance(one, CausewayError) else one.as_of.block.height for one in answers]


async def test_answers_about_one_chain_have_one_height() -> None:
    prover = Moving()
    asked = [leaf(1), replace(leaf(2), question=LeafQuestion(ETHEREUM, b"x")), leaf(3), leaf(4)]
    found = await ask_together(prover, asked, Height(7))
    assert [one.question for one in found if isinstance(one, Evidence)] == [one.question for one in asked]
    ledger, ethereum, *rest = heights(found)
    assert rest == [ledger, ledger]
    assert ethereum != ledger
    assert {trusted for _, _, trusted in prover.asked} == {7}


async def test_height_that_one_question_names_holds_for_its_chain() -> None:
    found = await ask_together(Moving(), [leaf(1), replace(leaf(2), at=Height(40)), leaf(3)])
    assert heights(found) == [40, 40, 40]


async def test_question_that_fails_leaves_the_others_their_height() -> None:
    found = await ask_together(Moving(leaf(1).question, leaf(3).question), [leaf(1), leaf(2), leaf(3), leaf(4)])
    first, second, third, fourth = heights(found)
    assert (first, third) == ("not-found", "not-found")
    assert second == fourth
    assert heights(await ask_together(Moving(leaf(1).question), [leaf(1)])) == ["not-found"]
    late = [replace(leaf(1), at=Height(10_000)), leaf(2)]
    assert heights(await ask_together(Moving(), late)) == ["not-yet-final", "not-yet-final"]


async def test_logs_are_as_of_their_own_blocks() -> None:
    prover = Moving()
    state = Asked(LeafQuestion(ETHEREUM, b"x"), Height(500))
    await ask_together(prover, [log(1), state, replace(log(2), at=Height(300))])
    assert {(question, at) for question, at, _ in prover.asked} == {
        (log(1).question, None),
        (state.question, 500),
        (log(2).question, 300),
    }


async def test_two_heights_of_one_chain_are_refused() -> None:
    with pytest.raises(RejectedError, match="one height per chain"):
        await ask_together(Moving(), [replace(leaf(1), at=Height(1)), replace(leaf(2), at=Height(2))])


@pytest.mark.parametrize("count", [0, MAX_TOGETHER + 1])
async def test_number_of_questions_is_bounded(count: int) -> None:
    with pytest.raises(RejectedError, match="1 to 16"):
        await ask_together(Moving(), [leaf(number) for number in range(count)])
