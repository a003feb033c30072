"""Subscriptions that are refused, odd or dead cost an endpoint few connections and a follower no head."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from adapters.evm import heads as heads_module
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.heads import EvmHeadSource
from tests.adapters.evm.harness import CHAIN, EvmHarness

ANSWERS = [
    '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"the method eth_subscribe does not exist"}}',
    '{"jsonrpc":"2.0","id":1,"error":"notifications not supported"}',
    '{"jsonrpc":"2.0","id":null,"error":{"message":"upgrade your plan"}}',
    "<html>",
    '{"params":{"result":{"number":"latest"}}}',
    '{"params":{"result":{"number":7}}}',
    '{"params":{"result":{"number":"0x' + "f" * 100 + '"}}}',
    '{"params":' * 500 + "1" + "}" * 500,
]


@asynccontextmanager
async def websocket(handle: Callable[[web.WebSocketResponse], Awaitable[None]]) -> AsyncIterator[tuple[str, list[int]]]:
    opened: list[int] = []

    async def accept(request: web.Request) -> web.WebSocketResponse:
        opened.append(1)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await handle(socket)
        return socket

    application = web.Application()
    application.router.add_get("/", accept)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/", opened
    finally:
        await runner.cleanup()


async def follow(evm: EvmHarness, ws_url: str, blocks: int) -> None:
    """Every head is seen by polling."""
    pool = Endpoints([Endpoint(evm.anvil.rpc_url, ws_url=ws_url)])
    stream = EvmHeadSource(CHAIN, pool, 0.05).heads()
    async with asyncio.timeout(20), contextlib.aclosing(stream):
        await anext(stream)
        for _ in range(blocks):
            await evm.advance()
            await anext(stream)
    await pool.close()


@pytest.mark.parametrize("answer", ANSWERS)
async def test_refused_subscription_is_not_asked_for_at_every_block(evm: EvmHarness, answer: str) -> None:
    async def refuse(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_str(answer)
        await socket.receive()

    async with websocket(refuse) as (url, opened):
        await follow(evm, url, 20)
        assert len(opened) <= 3


async def test_subscription_that_is_hung_up_is_asked_for_ever_less(
    evm: EvmHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_module, "SUBSCRIBE_RETRY_S", 0.05)

    async def hang_up(socket: web.WebSocketResponse) -> None:
        await socket.close()

    async with websocket(hang_up) as (url, opened):
        await follow(evm, url, 20)
        assert 1 <= len(opened) <= 8
