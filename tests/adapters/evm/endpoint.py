"""A JSON-RPC endpoint between the adapter and anvil that a test can make lie, fail or hang."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

Tamper = Callable[[str, list[Any], Any], Any]


class RpcRefusal(Exception):
    """Raised by a tampering function: the endpoint answers with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message


class MiddleMan:
    """Forwards to `upstream`. `tamper(method, params, result)` says what is answered instead."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.url = ""
        self.tamper: Tamper | None = None
        self.raw: bytes | None = None
        self.status = 200
        self.hanging = asyncio.Event()
        self.hanging.set()
        self.methods: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        await self.hanging.wait()
        body = await request.json()
        if self.raw is not None or self.status != 200:
            return web.Response(body=self.raw, status=self.status)
        async with aiohttp.ClientSession() as session, session.post(self.upstream, json=body) as response:
            answers = await response.json()
        if isinstance(body, list):
            by_id = {item["id"]: item for item in body}
            answers = [self._tampered(by_id[answer["id"]], answer) for answer in answers]
        else:
            answers = self._tampered(body, answers)
        return web.Response(body=json.dumps(answers).encode(), content_type="application/json")

    def _tampered(self, call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        self.methods.append(call["method"])
        if self.tamper is None or "result" not in answer:
            return answer
        try:
            return {**answer, "result": self.tamper(call["method"], call["params"], answer["result"])}
        except RpcRefusal as refusal:
            error = {"code": refusal.code, "message": refusal.message}
            return {"jsonrpc": "2.0", "id": answer["id"], "error": error}


@asynccontextmanager
async def middle_man(upstream: str) -> AsyncIterator[MiddleMan]:
    endpoint = MiddleMan(upstream)
    application = web.Application()
    application.router.add_post("/", endpoint.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    endpoint.url = f"http://127.0.0.1:{address[1]}/"
    try:
        yield endpoint
    finally:
        endpoint.hanging.set()
        await runner.cleanup()
