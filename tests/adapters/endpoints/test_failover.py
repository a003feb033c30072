"""Proofs and attestations over several endpoints, one of which lies, hangs or fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from adapters.endpoints import FailoverBridgeBuilder
from adapters.evidence import FailoverProver
from core.model.errors import CausewayError, NotFoundError, RejectedError, RetryableError
from core.model.ports import BridgeBuilder, Prover
from core.model.questions import Evidence, RecordQuestion
from core.model.types import BlockRef, ChainId, Height
from core.runtime.clock import run_virtually

CHAIN = ChainId("eip155:1")
QUESTION = RecordQuestion(CHAIN, "notes", "one")
EVIDENCE = cast(Evidence, object())
TIMEOUT_S = 5.0


class Endpoint:
    """Answers everything by `answer`."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self._answer = answer

    async def attested(self, chain: ChainId) -> Any:
        answer = self._answer()
        return await answer if isinstance(answer, Awaitable) else answer

    async def prove(self, question: Any, at: Any = None, *, trusted: Any = None) -> Any:
        return await self.attested(CHAIN)


def at(height: int) -> BlockRef:
    return BlockRef(CHAIN, Height(height), height.to_bytes(32, "big"))


def raising(error: Exception) -> Callable[[], Any]:
    def raise_it() -> Any:
        raise error

    return raise_it


async def hang() -> Any:
    await asyncio.Event().wait()


def attested(*answers: Callable[[], Any]) -> BlockRef | None:
    async def ask() -> BlockRef | None:
        bridges = [cast(BridgeBuilder, Endpoint(answer)) for answer in answers]
        return await FailoverBridgeBuilder(bridges, TIMEOUT_S).attested(CHAIN)

    return run_virtually(ask())


def prove(*answers: Callable[[], Any]) -> Evidence:
    async def ask() -> Evidence:
        return await FailoverProver([cast(Prover, Endpoint(answer)) for answer in answers]).prove(QUESTION)

    return run_virtually(ask())


@pytest.mark.parametrize("liar", [0, 1, 2])
@pytest.mark.parametrize(
    "lie",
    [lambda: at(10**12), lambda: None, lambda: at(1), hang, raising(KeyError("height")), raising(RejectedError("no"))],
)
def test_a_lone_liar_about_attestations_is_outvoted(liar: int, lie: Callable[[], Any]) -> None:
    answers: list[Callable[[], Any]] = [lambda: at(7)] * 3
    answers[liar] = lie
    assert attested(*answers) == at(7)


def test_no_answer_about_attestations_is_retryable() -> None:
    with pytest.raises(RetryableError):
        attested(raising(RetryableError("down")), hang, raising(ValueError("x")))


@pytest.mark.parametrize("error", [RetryableError("x"), NotFoundError("x"), RejectedError("x"), KeyError("x")])
def test_a_bad_prover_keeps_no_other_from_proving(error: Exception) -> None:
    assert prove(raising(error), lambda: EVIDENCE) is EVIDENCE
    assert prove(lambda: EVIDENCE, raising(error)) is EVIDENCE


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ((RejectedError("a"), RejectedError("b")), RejectedError),
        ((RejectedError("a"), RetryableError("b")), RetryableError),
        ((RetryableError("a"), RejectedError("b")), RetryableError),
        ((NotFoundError("a"), KeyError("b")), RetryableError),
    ],
)
def test_a_question_is_refused_only_by_all(errors: tuple[Exception, ...], kind: type[CausewayError]) -> None:
    with pytest.raises(kind):
        prove(*(raising(error) for error in errors))
