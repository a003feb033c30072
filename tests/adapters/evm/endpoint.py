"""A JSON-RPC endpoint between the adapter and anvil that a test can make lie, fail or hang."""

import asyncio
import contextlib
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
        self.refuse: Callable[[str, list[Any]], None] | None = None
        """Raise `RpcRefusal` for a single call that upstream is not to hear of."""
        self.raw: bytes | None = None
        self.status = 200
        self.hanging = asyncio.Event()
        self.hanging.set()
        self.methods: list[str] = []
        self.requests = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        await self.hanging.wait()
        body = await request.json()
        if self.raw is not None or self.status != 200:
            return web.Response(body=self.raw, status=self.status)
        try:
            if self.refuse is not None and not isinstance(body, list):
                self.refuse(body["method"], body["params"])
        except RpcRefusal as refusal:
            return web.json_response(_error(body["id"], refusal))
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
            return _error(answer["id"], refusal)


def _error(call_id: Any, refusal: RpcRefusal) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "error": {"code": refusal.code, "message": refusal.message}}


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


class Relay:
    """Forwards TCP connections to a port, until `silence`: then those that are open stay, and carry nothing."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.port = 0
        self.connections = 0
        self.opened = asyncio.Event()
        self._carrying: list[asyncio.Event] = []
        self._pumps: set[asyncio.Task[None]] = set()

    def silence(self) -> None:
        for carries in self._carrying:
            carries.clear()
        self._carrying.clear()
        self.opened.clear()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        carries = asyncio.Event()
        carries.set()
        self._carrying.append(carries)
        for one, other in ((reader, back), (there, writer)):
            self._pumps.add(asyncio.create_task(self._pump(one, other, carries)))
        self.connections += 1
        self.opened.set()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carries: asyncio.Event) -> None:
        try:
            while data := await reader.read(65_536):
                await carries.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def close(self) -> None:
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[Relay]:
    made = Relay(port)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
