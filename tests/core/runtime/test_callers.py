"""Who asks: one notion for scopes, for counting and for logs, whoever serves."""

import aiohttp
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from core.runtime.callers import Caller, KeyRing, client_of, issue_key
from core.runtime.clock import SeededSecrets, SystemClock
from core.runtime.metrics import Metrics
from core.runtime.web import CALLER, Route, build_application, respond, serve

TEXT, KEY = issue_key("dApp", ["read"], SeededSecrets(1))


def test_a_known_key_names_its_caller_from_anywhere() -> None:
    ring = KeyRing([KEY])
    here, there = ring.caller(TEXT, "192.0.2.1"), ring.caller(TEXT, "2001:db8::1")
    assert here == there == Caller("dApp", frozenset({"read"}), by_key=True)


def test_an_unknown_key_leaves_the_address() -> None:
    ring = KeyRing([KEY])
    assert ring.caller(TEXT + "x", "192.0.2.1") == ring.caller(None, "192.0.2.1") == Caller("192.0.2.1")


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_address_never_passes_for_a_key(address: str, name: str) -> None:
    assert Caller(client_of(address)).id != Caller(name, by_key=True).id


async def test_every_route_knows_its_caller() -> None:
    async def who(request: web.Request) -> web.Response:
        return respond({"id": request[CALLER].id})

    app = build_application(
        [Route("GET", "/v1/open", who, "Who asks", answer=dict[str, str])],
        title="Test",
        version="1",
        metrics=Metrics(),
        clock=SystemClock(),
        keys=KeyRing([KEY]),
    )
    async with serve(app, "127.0.0.1", 0) as address, aiohttp.ClientSession(address) as session:
        for headers, expected in (
            ({}, "127.0.0.1"),
            ({"X-API-Key": TEXT}, "key:dApp"),
            ({"X-API-Key": "?"}, "127.0.0.1"),
        ):
            async with session.get("/v1/open", headers=headers) as response:
                assert await response.json() == {"id": expected}
