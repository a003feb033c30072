"""A server in front of a real node that answers some calls otherwise: what stands before nodes in the field."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from core.runtime.sockets import free_port

Forward = Callable[[], Awaitable[dict[str, Any]]]
Answer = Callable[[dict[str, Any], Forward], Awaitable[web.StreamResponse | dict[str, Any]]]
"""(request, the node's own answer when it is awaited) → what the client gets."""


@asynccontextmanager
async def proxy(node_url: str, answer: Answer) -> AsyncIterator[str]:
    """Its URL. WebSockets are refused."""
    async with aiohttp.ClientSession() as session:

        async def post(request: web.Request) -> web.StreamResponse:
            asked = json.loads(await request.read())

            async def forward() -> dict[str, Any]:
                async with session.post(node_url, json=asked) as response:
                    answered: dict[str, Any] = await response.json()
                    return answered

            told = await answer(asked, forward)
            return web.json_response(told) if isinstance(told, dict) else told

        app = web.Application()
        app.router.add_post("/", post)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


def error_of(asked: dict[str, Any], code: int, data: str, message: str = "Internal error") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": code, "message": message, "data": data}}
