"""Endpoints in messages: without user, path and query, where providers put their keys."""

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from adapters.consortium.rpc import CometRpc
from adapters.consortium.transport import HttpTransport
from adapters.evm.transport import HttpTransport as EvmTransport
from adapters.observed import origin, reason_of
from core.model.errors import CausewayError
from core.runtime.sockets import HOST, free_port

SECRET = "s3cretkey"


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@node.example/",
        f"https://node.example/v3/{SECRET}",
        f"https://node.example?key={SECRET}",
        f"https://node.example#{SECRET}",
        f"https://{SECRET}@node.example/{SECRET}?a={SECRET}",
    ],
)
def test_an_origin_has_no_key_in_it(url: str) -> None:
    assert origin(url) == "https://node.example"


async def refusing(_: web.Request) -> web.Response:
    return web.Response(status=403, text="no")


async def subscribed(url: str) -> None:
    transport = HttpTransport(url, 2.0)
    try:
        async with transport.subscribe(b"{}"):
            pass
    finally:
        await transport.close()


async def called(url: str) -> None:
    rpc = CometRpc(url, 2.0)
    try:
        await rpc.call("status")
    finally:
        await rpc.close()


async def posted(url: str) -> None:
    transport = EvmTransport(url, 2.0)
    try:
        await transport.post(b"{}", 1_000)
    finally:
        await transport.close()


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("ask", [subscribed, called, posted])
async def test_no_error_quotes_an_endpoints_path(ask: Callable[[str], Any], listens: bool) -> None:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refusing)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    if listens:
        await web.TCPSite(runner, HOST, port).start()
    said = ""
    try:
        await ask(f"http://{HOST}:{port}/{SECRET}")
    except CausewayError as error:
        said = error.message
    finally:
        await runner.cleanup()
    assert SECRET not in said
    assert said or ask is posted


def test_errors_that_quote_the_address_are_named_by_status() -> None:
    info = aiohttp.RequestInfo(url=f"http://h/{SECRET}", method="GET", headers={}, real_url=f"http://h/{SECRET}")  # type: ignore[arg-type]
    refused = aiohttp.WSServerHandshakeError(info, (), status=403, message="Invalid response status")
    assert SECRET in str(refused)
    assert reason_of(refused) == "it answers with status 403"
    assert SECRET not in reason_of(aiohttp.InvalidURL(f"http://{SECRET}"))
    assert reason_of(OSError("gone")) == "gone"
    assert reason_of(TimeoutError()) == "TimeoutError"
