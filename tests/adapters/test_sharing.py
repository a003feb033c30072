"""Requests that several share: fewer of them, and no answer that is older than its question."""

import asyncio

import pytest

from adapters import sharing
from adapters.sharing import SharedRequests
from core.model.errors import RetryableError
from tests.support import eventually

NEVER_S = 600.0
"""For what has to come without patience."""


class Endpoint:
    """Counts requests; each is answered by its number once it is let go."""

    def __init__(self) -> None:
        self.shared = SharedRequests()
        self.requests = list[asyncio.Future[int]]()

    async def _send(self) -> int:
        number = len(self.requests)
        self.requests.append(asyncio.get_running_loop().create_future())
        await self.requests[number]
        return number

    def asks(self, question: str = "head") -> asyncio.Task[int]:
        return asyncio.create_task(self.shared.ask(question, self._send))

    async def begun(self, count: int) -> None:
        await eventually(lambda: len(self.requests) == count)

    def answer(self, number: int) -> None:
        self.requests[number].set_result(number)


@pytest.fixture
def endless_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PATIENCE_S", NEVER_S)


@pytest.mark.usefixtures("endless_patience")
async def test_equal_questions_of_one_moment_are_one_request() -> None:
    endpoint = Endpoint()
    asking = [endpoint.asks() for _ in range(5)]
    await endpoint.begun(1)
    endpoint.answer(0)
    assert await asyncio.gather(*asking) == [0] * 5


@pytest.mark.usefixtures("endless_patience")
async def test_a_question_shares_no_request_that_has_begun() -> None:
    endpoint = Endpoint()
    first = endpoint.asks()
    await endpoint.begun(1)
    later = [endpoint.asks() for _ in range(5)]
    await asyncio.sleep(0)
    endpoint.answer(0)
    assert await first == 0
    await endpoint.begun(2)
    latest = endpoint.asks()
    await asyncio.sleep(0)
    endpoint.answer(1)
    assert await asyncio.gather(*later) == [1] * 5
    await endpoint.begun(3)
    endpoint.answer(2)
    assert await latest == 2


@pytest.mark.usefixtures("endless_patience")
async def test_different_questions_wait_for_nobody() -> None:
    endpoint = Endpoint()
    asking = [endpoint.asks(question) for question in ("head", "balance")]
    await endpoint.begun(2)
    endpoint.answer(1)
    assert await asking[1] == 1
    assert not asking[0].done()
    endpoint.answer(0)
    assert await asking[0] == 0


async def test_a_request_that_hangs_holds_the_next_up_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PATIENCE_S", 0.01)
    endpoint = Endpoint()
    hangs = endpoint.asks()
    await endpoint.begun(1)
    later = endpoint.asks()
    await endpoint.begun(2)
    endpoint.answer(1)
    assert await later == 1
    assert not hangs.done()
    endpoint.answer(0)
    assert await hangs == 0


@pytest.mark.usefixtures("endless_patience")
async def test_an_error_is_raised_to_all_who_share_it() -> None:
    shared = SharedRequests()

    async def fails() -> None:
        raise RetryableError("nobody is there")

    answers = await asyncio.gather(*(shared.ask("head", fails) for _ in range(3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["nobody is there"] * 3


@pytest.mark.usefixtures("endless_patience")
async def test_who_goes_takes_no_answer_from_the_others() -> None:
    endpoint = Endpoint()
    goes, stays = endpoint.asks(), endpoint.asks()
    await endpoint.begun(1)
    goes.cancel()
    await asyncio.gather(goes, return_exceptions=True)
    endpoint.answer(0)
    assert await stays == 0


@pytest.mark.usefixtures("endless_patience")
async def test_a_request_that_nobody_waits_for_ends() -> None:
    endpoint = Endpoint()
    goes = endpoint.asks()
    await endpoint.begun(1)
    goes.cancel()
    await asyncio.gather(goes, return_exceptions=True)
    await eventually(lambda: endpoint.requests[0].done())
    assert endpoint.requests[0].cancelled()


@pytest.mark.usefixtures("endless_patience")
async def test_who_asks_after_the_last_has_gone_is_answered() -> None:
    endpoint = Endpoint()
    first = endpoint.asks()
    await endpoint.begun(1)
    goes = endpoint.asks()  # its request waits for the first one
    await asyncio.sleep(0)
    goes.cancel()
    comes = endpoint.asks()
    await asyncio.gather(goes, return_exceptions=True)
    endpoint.answer(0)
    assert await first == 0
    await endpoint.begun(2)
    endpoint.answer(1)
    assert await comes == 1
