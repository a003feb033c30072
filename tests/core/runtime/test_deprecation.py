"""Routes on their way out: their headers come with every answer, and the description says the same."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from core.model.errors import NotFoundError
from core.runtime.clock import SeededSecrets, SystemClock
from core.runtime.metrics import Metrics
from core.runtime.web import (
    Cors,
    Deprecation,
    KeyRing,
    Route,
    build_application,
    issue_key,
    openapi,
    respond,
    serve,
)

SINCE_S = 1_688_169_599
"""The example of RFC 9745 section 2.1: Friday, 30 June 2023 23:59:59 UTC."""
SUNSET_S = 1_735_689_599
LEAVING = Deprecation(
    since_s=SINCE_S, sunset_s=SUNSET_S, successor="/v2/things/{id}", guide="https://docs.example/leaving"
)
HEADERS = {
    "Deprecation": "@1688169599",
    "Sunset": "Tue, 31 Dec 2024 23:59:59 GMT",
    "Link": '<https://docs.example/leaving>; rel="deprecation", </v2/things/{id}>; rel="successor-version"',
}


async def thing(request: web.Request) -> web.Response:
    if request.match_info["id"] == "none":
        raise NotFoundError("there is no such thing")
    return respond({"id": request.match_info["id"]})


ROUTES = [
    Route("GET", "/v1/things/{id}", thing, "A thing", answer=dict[str, str], scope="read", deprecated=LEAVING),
    Route("GET", "/v2/things/{id}", thing, "A thing", answer=dict[str, str], scope="read"),
]


@pytest.fixture
async def served() -> AsyncIterator[tuple[aiohttp.ClientSession, dict[str, str]]]:
    text, key = issue_key("somebody", ["read"], SeededSecrets(1))
    app = build_application(
        ROUTES,
        title="Test",
        version="1",
        metrics=Metrics(),
        clock=SystemClock(),
        keys=KeyRing([key]),
        cors=Cors(["https://dapp.example"]),
    )
    async with serve(app, "127.0.0.1", 0) as address, aiohttp.ClientSession(address) as session:
        yield session, {"X-API-Key": text}


async def test_every_answer_of_a_leaving_route_says_so(
    served: tuple[aiohttp.ClientSession, dict[str, str]],
) -> None:
    session, key = served
    for path, sent, status in (("one", key, 200), ("none", key, 404), ("one", {}, 401)):
        async with session.get(f"/v1/things/{path}", headers=sent) as answer:
            assert answer.status == status
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        async with session.get(f"/v2/things/{path}", headers=sent) as answer:
            assert answer.status == status
            assert not set(HEADERS) & set(answer.headers)
    async with session.get("/v1/things/one", headers={**key, "Origin": "https://dapp.example"}) as answer:
        assert set(HEADERS) <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))


def test_description_says_that_a_route_is_leaving() -> None:
    paths = openapi(ROUTES, title="Test", version="1")["paths"]
    leaving = paths["/v1/things/{id}"]["get"]
    assert leaving["deprecated"] is True
    assert leaving["description"] == (
        "Deprecated since 2023-06-30. It may be gone from 2024-12-31 on. Use `/v2/things/{id}`."
    )
    assert all(set(HEADERS) <= set(response["headers"]) for response in leaving["responses"].values())
    staying = paths["/v2/things/{id}"]["get"]
    assert "deprecated" not in staying
    assert not set(HEADERS) & set(staying["responses"]["200"]["headers"])


def test_headers_leave_out_what_nobody_knows_yet() -> None:
    assert Deprecation(since_s=SINCE_S).headers == {"Deprecation": "@1688169599"}
    assert Deprecation(since_s=SINCE_S).sentence == "Deprecated since 2023-06-30."


def test_sunset_before_the_deprecation_is_refused() -> None:
    with pytest.raises(Exception, match="deprecated before its sunset"):
        Deprecation(since_s=SUNSET_S, sunset_s=SINCE_S)
