"""Live pages without a browser: what the console follows for whom, and what it says to pages."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from console import live
from console.application import regulator_console
from console.sessions import Sessions
from core.runtime.clock import SystemClock, SystemSecrets
from core.runtime.server_events import ServerEvent, read_events
from core.runtime.web import serve
from core.runtime.web.streams import event
from tests.support import eventually

READER, AUDITOR, OTHER = (f"cwk_{letter * 43}" for letter in "rao")
SCOPES = {READER: ["read"], AUDITOR: ["audit"], OTHER: ["read"]}
EVENTS = "/v1/stream/events"


class Hurried(SystemClock):
    """A clock that a test may put forward."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


@dataclass
class Streams:
    """An API of which only `/v1/me` and the streams are there.

    `asked` counts requests by key and path; `behind` are the ids that streams of events went on behind.
    """

    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    behind: list[str] = field(default_factory=list)
    refused: bool = False
    _open: dict[asyncio.Queue[bytes | None], str] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("X-API-Key", "")
        if request.path == "/v1/me":
            return web.json_response({"name": "somebody", "scopes": SCOPES[key]})
        self.asked[key, request.path] += 1
        if self.refused:
            return web.json_response({"title": "away"}, status=503)
        if request.path == EVENTS:
            self.behind.append(request.headers.get("Last-Event-ID", ""))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._open[queue] = request.path
        try:
            while (sent := await queue.get()) is not None:
                await response.write(sent)
        finally:
            del self._open[queue]
        return response

    def say(self, name: str, number: int, data: bytes = b'{"amount": "1000"}') -> None:
        for queue, path in self._open.items():
            if path == EVENTS:
                queue.put_nowait(event(name, number, data).encode())

    def cut(self, *paths: str) -> None:
        """End these streams, or all of them."""
        for queue, path in self._open.items():
            if not paths or path in paths:
                queue.put_nowait(None)

    def followed(self, key: str) -> int:
        return self.asked[key, EVENTS]


@pytest.fixture
def api() -> Streams:
    return Streams()


@pytest.fixture
def clock() -> Hurried:
    return Hurried()


@pytest.fixture
async def url(api: Streams, clock: Hurried) -> AsyncIterator[str]:
    secrets, place, app = SystemSecrets(), [""], web.Application()
    app.router.add_get("/v1/{rest:.*}", api.answer)
    sessions = Sessions(clock, secrets, secure=False)
    app.add_subapp("/console", regulator_console(lambda: place[0], sessions, clock, secrets, name="a test"))
    async with serve(app, "127.0.0.1", 0) as place[0]:
        yield place[0]
        api.cut()


@dataclass
class Person:
    """Somebody who is signed in, with as many windows as they like."""

    session: aiohttp.ClientSession
    url: str

    @classmethod
    async def arrives(cls, session: aiohttp.ClientSession, url: str, key: str) -> "Person":
        async with session.post(f"{url}/console/signin", data={"secret": key}, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/console/"
        return cls(session, url)

    async def status(self) -> int:
        async with self.session.get(f"{self.url}/console/live") as answer:
            return answer.status

    async def listens(self, position: str, last: str = "") -> AsyncIterator[ServerEvent]:
        headers = {"Last-Event-ID": last} if last else {}
        path = f"{self.url}/console/live"
        async with self.session.get(path, params={"after": position}, headers=headers) as answer:
            assert answer.status == 200
            async for one in read_events(answer.content.iter_any(), 1_000):
                yield one


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def test_pages_hear_kinds_and_never_data(api: Streams, url: str, browser: aiohttp.ClientSession) -> None:
    """A new window hears everything once, since nobody knows what it shows; then what changes, and no more."""
    heard = (await Person.arrives(browser, url, READER)).listens("nothing")
    first = await anext(heard)
    assert set(first.data.decode().split()) == live.KINDS
    api.say("lock", 7)
    assert (await anext(heard)).data == b"swaps"
    api.say("transfer", 8)
    api.say("finalized", 9)
    kinds: set[str] = set()
    while kinds != {"transfers", "final"}:
        kinds |= set((await anext(heard)).data.decode().split())


async def test_a_window_goes_on_behind_its_position(api: Streams, url: str, browser: aiohttp.ClientSession) -> None:
    person = await Person.arrives(browser, url, READER)
    heard = person.listens("nothing")
    position = (await anext(heard)).id
    await heard.aclose()  # type: ignore[attr-defined]
    api.say("lock", 7)
    # Browsers send the address that they opened first, and the last id as a header.
    again = person.listens("nothing", last=position)
    found = await anext(again)
    assert (found.data, found.id != position) == (b"swaps", True)
    await again.aclose()  # type: ignore[attr-defined]
    other = person.listens(found.id)
    api.say("transfer", 8)
    assert (await anext(other)).data == b"transfers", "the lock is behind it"


async def test_windows_of_one_person_follow_once(api: Streams, url: str, browser: aiohttp.ClientSession) -> None:
    person = await Person.arrives(browser, url, READER)
    windows = [person.listens("nothing") for _ in range(3)]
    assert [(await anext(one)).name for one in windows] == ["change"] * 3
    assert api.followed(READER) == 1
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        await anext((await Person.arrives(session, url, OTHER)).listens("nothing"))
        assert api.followed(OTHER) == 1, "with their own credentials"


async def test_a_cut_stream_goes_on_behind_its_number(
    api: Streams, clock: Hurried, url: str, browser: aiohttp.ClientSession
) -> None:
    heard = (await Person.arrives(browser, url, READER)).listens("nothing")
    await anext(heard)
    api.say("lock", 7)
    await anext(heard)
    clock.ahead_s += live.REST_S
    api.cut(EVENTS)
    await eventually(lambda: api.behind == ["", "7"])
    api.say("claim", 8)
    assert (await anext(heard)).data == b"swaps"


async def test_without_its_api_a_window_is_refused(api: Streams, url: str, browser: aiohttp.ClientSession) -> None:
    """The page then asks by itself; a stream that is refused is not asked for again and again."""
    person = await Person.arrives(browser, url, READER)
    api.refused = True
    assert [await person.status() for _ in range(5)] == [503] * 5
    assert api.followed(READER) == 1


async def test_a_stream_that_ends_at_once_is_left(api: Streams, url: str, browser: aiohttp.ClientSession) -> None:
    heard = (await Person.arrives(browser, url, READER)).listens("nothing")
    await anext(heard)
    api.cut()
    with pytest.raises(StopAsyncIteration):
        await anext(heard)
    assert api.followed(READER) == 1


async def test_strangers_and_other_roles_follow_nothing(api: Streams, url: str, browser: aiohttp.ClientSession) -> None:
    async with browser.get(f"{url}/console/live") as answer:
        assert answer.status == 204
    assert await (await Person.arrives(browser, url, AUDITOR)).status() == 204
    assert not api.asked


async def test_a_session_that_is_over_ends_its_windows(
    api: Streams, clock: Hurried, url: str, browser: aiohttp.ClientSession
) -> None:
    heard = (await Person.arrives(browser, url, READER)).listens("nothing")
    await anext(heard)
    clock.ahead_s += 24 * 3_600
    api.say("lock", 7)
    with pytest.raises(StopAsyncIteration):
        for _ in range(2):
            await anext(heard)
