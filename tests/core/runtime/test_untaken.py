"""Answers that nobody takes: bounded for each client, and for all by giving up those of the one with the most."""

import sys
from contextlib import ExitStack

import aiohttp
import pytest
from aiohttp import web

from core.model.errors import RetryableError
from core.runtime.web import Route
from core.runtime.web.untaken import LARGE_BYTES, MAX_BYTES, MAX_BYTES_OF_A_CLIENT, Untaken
from tests.core.runtime.test_connections import serving
from tests.support import eventually

QUARTER = MAX_BYTES_OF_A_CLIENT // 4


def never() -> None:
    raise AssertionError("nobody has too much")


def test_client_with_too_much_to_take_is_refused() -> None:
    untaken = Untaken()
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(untaken.held("a", QUARTER, never))
        with pytest.raises(RetryableError, match="read them"), untaken.held("a", QUARTER, never):
            pass
        with untaken.held("a", LARGE_BYTES, never), untaken.held("b", QUARTER, never):
            pass
    with untaken.held("a", QUARTER, never):
        pass


def test_one_answer_alone_may_be_as_long_as_it_is() -> None:
    untaken = Untaken()
    with untaken.held("a", 2 * MAX_BYTES, never), pytest.raises(RetryableError), untaken.held("a", QUARTER, never):
        pass


def test_oldest_answers_of_the_largest_crowd_give_way() -> None:
    untaken, ended = Untaken(), []
    with ExitStack() as stack:
        for client, count in (("a", 4), ("b", 3), ("c", 1)):
            for number in range(count):
                stack.enter_context(untaken.held(client, QUARTER, lambda one=(client, number): ended.append(one)))  # type: ignore[misc]
        assert ended == []
        with untaken.held("d", 2 * QUARTER, never):
            assert ended == [("a", 0), ("a", 1)]
    with untaken.held("a", MAX_BYTES_OF_A_CLIENT, never):
        assert len(ended) == 2, "what gave way counts no more"


async def test_connection_that_idles_keeps_no_body_in_memory() -> None:
    answer, sent = bytes(100_000), list[bytes]()

    async def echo(request: web.Request) -> web.Response:
        sent.append(await request.read())
        return web.Response(body=answer)

    held = sys.getrefcount(answer)
    async with serving(Route("POST", "/v1/echo", echo, "Echo")) as port, aiohttp.ClientSession() as session:
        async with session.post(f"http://127.0.0.1:{port}/v1/echo", data=b"x" * 50_000) as response:
            assert await response.read() == answer
        await eventually(lambda: sys.getrefcount(answer) == held)
        await eventually(lambda: sys.getrefcount(sent[0]) == 2)
