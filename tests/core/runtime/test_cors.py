"""Pages of other origins: who may call, and the headers that their browsers get."""

from typing import Any

import aiohttp
import pytest

from core.model.errors import RejectedError
from core.runtime.clock import SystemClock
from core.runtime.metrics import Metrics
from core.runtime.web import Cors, Route, build_application, respond, serve
from core.runtime.web.cors import parse_origin

PAGE, OTHER = "https://dapp.example", "https://evil.example:8443"


async def asked(cors: Cors | None, method: str, path: str, **headers: str) -> aiohttp.ClientResponse:
    async def things(_: object) -> Any:
        return respond({"ok": True})

    routes = [Route("GET", "/v1/things", things, "Things"), Route("POST", "/v1/things", things, "More things")]
    app = build_application(routes, title="t", version="1", metrics=Metrics(), clock=SystemClock(), cors=cors)
    async with (
        serve(app, "127.0.0.1", 0) as url,
        aiohttp.ClientSession() as session,
        session.request(method, url + path, headers=headers) as response,
    ):
        await response.read()
        return response


@pytest.mark.parametrize(("origins", "allowed"), [((PAGE,), PAGE), (("*",), "*"), ((OTHER, PAGE), PAGE)])
async def test_a_listed_page_may_call(origins: tuple[str, ...], allowed: str | None) -> None:
    before = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = await asked(Cors(origins), "OPTIONS", "/v1/things", **before)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == allowed
    assert {"GET", "HEAD", "POST"} <= set(preflight.headers["Access-Control-Allow-Methods"].split(", "))
    assert "Content-Type" in preflight.headers["Access-Control-Allow-Headers"]
    for path, status in (("/v1/things", 200), ("/v1/nothing", 404), ("/openapi.json", 200)):
        answer = await asked(Cors(origins), "GET", path, Origin=PAGE)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, allowed)
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("cors", [None, Cors(), Cors((PAGE,))])
async def test_any_other_page_may_not_call(cors: Cors | None) -> None:
    for method in ("GET", "OPTIONS"):
        answer = await asked(cors, method, "/v1/things", Origin=OTHER)
        assert not [name for name in answer.headers if name.startswith("Access-Control")]


async def test_answers_that_depend_on_the_origin_say_so() -> None:
    for origin in (PAGE, OTHER):
        answer = await asked(Cors((PAGE,)), "GET", "/v1/things", Origin=origin)
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "text",
    [
        *("", "dapp.example", "https://dapp.example/", "https://DAPP.example", "ftp://dapp.example", "null", "**"),
        *("https://dapp.example:443", "http://dapp.example:80", "https://dapp.example:99999", "https://a b"),
        "https://*.example",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(RejectedError, match="is not an origin"):
        parse_origin(text)


@pytest.mark.parametrize("text", ["*", "https://dapp.example", "http://localhost:5173", "http://[::1]:8080"])
def test_an_origin_is_taken_as_it_is(text: str) -> None:
    assert parse_origin(text) == text
