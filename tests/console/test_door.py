"""The door without a browser: what a hand-written request may ask for, and pages whose API fails."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from console.application import regulator_console
from console.regulator import place_of
from console.sessions import COOKIE, Sessions
from core.runtime.clock import SystemClock, SystemSecrets
from core.runtime.web import serve
from gateway import operating

KEY = "cwk_" + "x" * 43
ME = {"name": "somebody", "scopes": ["read"]}


async def api(request: web.Request) -> web.Response:
    if request.path == "/v1/me":
        return web.json_response(ME)
    if request.path == "/v1/orders":
        status = int(request.query["cursor"])
        return web.json_response({"type": "urn:causeway:problem:some", "title": "no"}, status=status)
    raise web.HTTPNotFound


@pytest.fixture
async def url() -> AsyncIterator[str]:
    clock, secrets, place = SystemClock(), SystemSecrets(), [""]
    app = web.Application()
    app.router.add_get("/v1/{rest:.*}", api)
    sessions = Sessions(clock, secrets, secure=False)
    app.add_subapp("/console", regulator_console(lambda: place[0], sessions, clock, secrets, name="a test"))
    async with serve(app, "127.0.0.1", 0) as place[0]:
        yield place[0]


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def signs_in(visitor: aiohttp.ClientSession, url: str, then: str) -> str:
    form = {"secret": KEY, "then": then}
    async with visitor.post(f"{url}/console/signin", data=form, allow_redirects=False) as answer:
        assert answer.status == 303
        assert COOKIE in answer.cookies
        return answer.headers["Location"]


@pytest.mark.parametrize(
    "then",
    ["//[", "//evil.example", "https://evil.example/console/", "/console/\r\nSet-Cookie: a=b", "/\\evil", "/console/é"],
)
async def test_nobody_is_sent_elsewhere_after_signing_in(visitor: aiohttp.ClientSession, url: str, then: str) -> None:
    async with visitor.get(f"{url}/console/signin", params={"then": then}) as answer:
        assert answer.status == 200
    assert await signs_in(visitor, url, then) == "/console/"
    assert await signs_in(visitor, url, "/console/swaps?status=claimed") == "/console/swaps?status=claimed"


async def test_forms_with_another_token_end_no_session(visitor: aiohttp.ClientSession, url: str) -> None:
    await signs_in(visitor, url, "")
    for token in ("é", "0" * 64, ""):
        async with visitor.post(f"{url}/console/signout", data={"token": token}, allow_redirects=False) as answer:
            assert answer.status == 303
    async with visitor.get(f"{url}/console/orders?cursor=404", allow_redirects=False) as answer:
        assert answer.status == 200


async def test_a_failing_api_is_not_shown_as_nothing(visitor: aiohttp.ClientSession, url: str) -> None:
    """A page leaves out what is not there or not for this person; without an answer there is no page."""
    await signs_in(visitor, url, "")
    for status, shown in ((403, 200), (404, 200), (429, 429), (500, 500), (503, 503)):
        async with visitor.get(f"{url}/console/orders?cursor={status}") as answer:
            assert answer.status == shown


def test_a_record_that_is_found_has_its_page() -> None:
    path = "/v1/records/causeway:one/ns/a%2Fb"
    found = place_of({"kind": "record", "id": "ns/a/b", "path": path, "detail": ""})
    assert found == "/console/records/causeway:one/ns/a%2Fb"


def test_an_address_with_any_other_token_admits_nobody() -> None:
    admits = operating._admits("ab" * 24)
    for token, host, admitted in (
        ("ab" * 24, "127.0.0.1:1", True),
        ("ab" * 24, "evil.example", False),
        ("%C3%A9", "127.0.0.1:1", False),
        ("", "127.0.0.1:1", False),
    ):
        request = make_mocked_request("GET", f"/console/enter?token={token}", headers={"Host": host})
        assert admits(request) is admitted
