"""A server whose application comes and goes, on connections that stay."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from core.runtime.clock import ManualClock
from core.runtime.metrics import Metrics
from core.runtime.web import Absence, Front
from core.runtime.web import application as application_module
from core.runtime.web.front import STANDING_BY
from tests.support import eventually


def application(word: str, ended: list[str]) -> web.Application:
    app = web.Application()

    async def say(_: web.Request) -> web.Response:
        return web.Response(text=word)

    async def socket(request: web.Request) -> web.WebSocketResponse:
        opened = web.WebSocketResponse()
        request.app[SOCKETS].append(opened)
        await opened.prepare(request)
        async for _ in opened:
            pass
        return opened

    async def close(app: web.Application) -> None:
        for opened in app[SOCKETS]:
            await opened.close()
        ended.append(word)

    app[SOCKETS] = []
    app.router.add_get("/", say)
    app.router.add_get("/ws", socket)
    app.on_shutdown.append(close)
    return app


SOCKETS = web.AppKey("sockets", list[web.WebSocketResponse])


async def test_applications_take_turns_on_open_connections() -> None:
    front, ended = Front(), list[str]()
    async with front.listening("a test", Metrics(), ManualClock(), "127.0.0.1", 0):
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(front.url, connector=connector) as session:

            async def said() -> tuple[int, str]:
                async with session.get("/") as response:
                    return response.status, await response.text()

            status, text = await said()
            assert (status, "urn:causeway:problem:starting" in text) == (503, True)
            await front.show(application("one", ended))
            assert await said() == (200, "one")
            await front.show(application("two", ended))
            assert await said() == (200, "two")
            assert ended == ["one"]
            front.absent = Absence(STANDING_BY, "another one leads")
            await front.show(None)
            status, text = await said()
            assert (status, "another one leads" in text, "problem:standing-by" in text) == (
                503,
                True,
                True,
            )
            assert ended == ["one", "two"]


async def test_the_sockets_of_an_application_end_with_it() -> None:
    front, ended = Front(), list[str]()
    async with front.listening("a test", Metrics(), ManualClock(), "127.0.0.1", 0):
        await front.show(application("one", ended))
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{front.url}/ws") as socket:
            await front.show(None)
            assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await front.show(application("two", ended))
    await eventually(lambda: ended == ["one", "two"])


async def test_a_former_application_answers_what_it_was_asked() -> None:
    front, asked, released = Front(), asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        asked.set()
        await released.wait()
        return web.Response(text="one")

    former = application("one", [])
    former.router.add_get("/slow", slow)
    async with front.listening("a test", Metrics(), ManualClock(), "127.0.0.1", 0):
        await front.show(former)
        async with aiohttp.ClientSession(front.url) as session:

            async def said(path: str) -> str:
                async with session.get(path) as response:
                    return await response.text()

            waiting = asyncio.create_task(said("/slow"))
            await asked.wait()
            showing = asyncio.create_task(front.show(application("two", [])))
            await eventually_two(said)
            assert not showing.done()
            released.set()
            await asyncio.wait_for(showing, 10)
            assert await waiting == "one"
            assert await said("/") == "two"


async def eventually_two(said: Callable[[str], Awaitable[str]]) -> None:
    async def is_two() -> bool:
        return await said("/") == "two"

    await eventually(is_two)


async def test_a_former_application_does_not_hang_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application_module, "SHUTDOWN_S", 0.2)
    front, asked = Front(), asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    former = application("one", [])
    former.router.add_get("/never", never)
    async with front.listening("a test", Metrics(), ManualClock(), "127.0.0.1", 0):
        await front.show(former)
        async with aiohttp.ClientSession(front.url) as session:
            waiting = asyncio.create_task(session.get("/never"))
            await asked.wait()
            await asyncio.wait_for(front.show(application("two", [])), 10)
            async with session.get("/") as response:
                assert await response.text() == "two"
            assert not waiting.done(), "nobody has answered it: the next did not wait for that"
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
