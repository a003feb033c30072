"""HTTP and WebSocket in front of the methods."""

import asyncio
import time
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from core.model.errors import RetryableError
from core.runtime.web import Places, Runner, client_of, read_bytes
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.feed import Listener
from local_chains.consortium.engine.rendering import encode
from local_chains.consortium.rpc.block_events import published_events
from local_chains.consortium.rpc.envelopes import Call, answer_body, answer_message, error_answer, guarded, success
from local_chains.consortium.rpc.errors import METHOD_NOT_FOUND, RpcError, internal
from local_chains.consortium.rpc.event_query import EventQuery, parse_query
from local_chains.consortium.rpc.methods import Methods
from local_chains.consortium.rpc.parameters import Kind, Signature, from_json, from_uri

MAX_BODY_BYTES: Final = 1_000_000
MAX_SUBSCRIPTIONS: Final = 5
MAX_SOCKETS: Final = 200
MAX_SOCKETS_OF_A_CLIENT: Final = 50
SHUTDOWN_S: Final = 1.0
URI_REQUEST_ID: Final = -1
TURN_S: Final = 0.01
"""How long one subscriber's events are made before others have their turn."""
HEARTBEAT_S: Final = 30.0
SEND_TIMEOUT_S: Final = 10.0
"""A client that takes nothing for so long is cut off."""

_QUERY: Final[Signature] = {"query": Kind.STRING}
_SUBSCRIBING: Final = ("subscribe", "unsubscribe", "unsubscribe_all")


class RpcServer:
    """One engine's RPC. `start` binds, `stop` lets go of all connections."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self._methods = Methods(engine)
        self._sockets: set[web.WebSocketResponse] = set()
        self._places = Places("WebSockets", MAX_SOCKETS, MAX_SOCKETS_OF_A_CLIENT)
        self._runner: Runner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port, which is a free one for `port` 0. Raise `OSError` if it is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/", self._post)
        app.router.add_get("/websocket", self._websocket)
        app.router.add_get("/{method:.*}", self._uri)
        self._runner = Runner(app, SHUTDOWN_S)
        _, bound = await self._runner.listen(host, port)
        return bound

    async def stop(self) -> None:
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        if self._runner is not None:
            await self._runner.cleanup()
        self._methods.close()

    async def _call(self, method: str, params: bytes | None) -> Any:
        found = self._methods.table.get(method)
        if found is None:
            raise RpcError(METHOD_NOT_FOUND, "")
        return await found.answer(from_json(found.signature, params))

    async def _post(self, request: web.Request) -> web.Response:
        raw = await read_bytes(request)
        if not raw:
            return self._list_methods()
        answer = await answer_body(raw, self._call)
        if answer.body is None:
            return web.Response()
        return _json_response(answer.body, answer.status)

    async def _uri(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if not method:
            return self._list_methods()
        if method in _SUBSCRIBING:
            return _json_response(error_answer(URI_REQUEST_ID, RpcError(METHOD_NOT_FOUND, "")), status=404)
        found = self._methods.table.get(method)
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        try:
            result = await guarded(found.answer(from_uri(found.signature, request.query)))
        except RpcError as error:
            return _json_response(error_answer(URI_REQUEST_ID, error), status=500)
        return _json_response(success(URI_REQUEST_ID, result))

    def _list_methods(self) -> web.Response:
        """Return the page for a browser that asks for nothing."""
        lines = [f'<a href="/{name}">/{name}</a><br>' for name in sorted(self._methods.table)]
        page = "".join(["<html><body>Available endpoints:<br>", *lines, "</body></html>"])
        return web.Response(text=page, content_type="text/html")

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        with self._places.taken(client_of(request.remote)):
            return await self._talk(request)

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_BODY_BYTES, heartbeat=HEARTBEAT_S)
        await socket.prepare(request)
        self._sockets.add(socket)
        connection = _Connection(self._engine, socket, self._call)
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await connection.receive(message.data)
        except (ConnectionError, TimeoutError):
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        finally:
            await connection.close()
            self._sockets.discard(socket)
        return socket


class _Connection:
    """One WebSocket: calls like over HTTP, and subscriptions, whose events carry the id of their request."""

    def __init__(self, engine: EmbeddedEngine, socket: web.WebSocketResponse, call: Call) -> None:
        self._engine = engine
        self._socket = socket
        self._call_method = call
        self._subscriptions: dict[str, tuple[Any, EventQuery]] = {}
        self._listener: Listener | None = None
        self._pump: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def receive(self, raw: str | bytes) -> None:
        message = raw.encode() if isinstance(raw, str) else raw
        answer = await answer_message(message, self._call_method, self._subscribing)
        if answer is not None:
            await self._send(answer)

    async def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        if self._listener is not None:
            self._engine.feed.leave(self._listener)

    async def _subscribing(self, method: str, params: bytes | None, request_id: Any) -> Any:
        """Handle the methods that belong to a connection; NotImplemented for all others."""
        if method not in _SUBSCRIBING:
            return NotImplemented
        if method == "unsubscribe_all":
            if not self._subscriptions:
                raise internal("subscription not found")
            self._subscriptions.clear()
            return {}
        query = parse_query(from_json(_QUERY, params).get("query", ""))
        if method == "unsubscribe":
            if self._subscriptions.pop(query.text, None) is None:
                raise internal("subscription not found")
            return {}
        if query.text in self._subscriptions:
            raise internal("already subscribed")
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise internal(f"max_subscriptions_per_client {MAX_SUBSCRIPTIONS} reached")
        if self._pump is None:
            self._listen()
        self._subscriptions[query.text] = (request_id, query)
        return {}

    def _listen(self) -> None:
        try:
            self._listener = self._engine.feed.listen()
        except RetryableError as error:
            raise internal(error.message) from None
        self._pump = asyncio.create_task(self._forward(self._listener))

    async def _forward(self, listener: Listener) -> None:
        try:
            while True:
                committed = await listener.next()
                turn = time.monotonic()
                for event in published_events(committed):
                    if time.monotonic() - turn > TURN_S:
                        await asyncio.sleep(0)
                        turn = time.monotonic()
                    for request_id, query in list(self._subscriptions.values()):
                        if query.matches(event.tags):
                            result = {"query": query.text, "data": event.data, "events": event.tags}
                            await self._send(success(request_id, result))
        except (RetryableError, ConnectionError, TimeoutError):
            await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER)

    async def _send(self, answer: Any) -> None:
        async with self._sending, asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.send_str(encode(answer).decode())


def _json_response(answer: Any, status: int = 200) -> web.Response:
    return web.Response(body=encode(answer), status=status, content_type="application/json")
