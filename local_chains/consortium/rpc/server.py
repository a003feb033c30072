"""HTTP and WebSocket in front of the methods."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from core.model.errors import RetryableError
from core.runtime.web import (
    Cors,
    Entrance,
    Places,
    Problem,
    Runner,
    Turns,
    client_of,
    has_left,
    opens_websocket,
    problem_of,
    read_bytes,
    read_sent,
    sending,
)
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.feed import Listener
from local_chains.consortium.engine.rendering import encode, results_json
from local_chains.consortium.rpc.block_events import NEW_BLOCK, PublishedEvent, published_events
from local_chains.consortium.rpc.envelopes import (
    LARGE_BYTES,
    NOBODY,
    Call,
    answer_body,
    answer_message,
    apart,
    error_answer,
    guarded,
    refused_body,
    success,
)
from local_chains.consortium.rpc.errors import INVALID_REQUEST, METHOD_NOT_FOUND, RpcError, internal
from local_chains.consortium.rpc.event_query import MAX_QUERY_BYTES, TOO_LONG, EventQuery, parse_query
from local_chains.consortium.rpc.leniency import html_text, pairs, path_of, redirection
from local_chains.consortium.rpc.methods import Methods
from local_chains.consortium.rpc.parameters import Kind, Signature, from_json, from_uri
from local_chains.consortium.rpc.workshop import CLIENT, Workshop

MAX_BODY_BYTES: Final = 1_000_000
MAX_SUBSCRIPTIONS: Final = 5
MAX_SOCKETS: Final = 200
MAX_SOCKETS_OF_A_CLIENT: Final = 50
MAX_LARGE_BODIES: Final = 64
MAX_LARGE_BODIES_OF_A_CLIENT: Final = 32
"""Requests of more than `LARGE_BYTES`, or of a length that they do not say, that are read at once."""
MAX_AT_WORK: Final = 16
COUNTED_S: Final = 0.1
"""Requests at work at once, and for how long one is counted: the longer ones wait for a block or a search."""
SHUTDOWN_S: Final = 1.0
URI_REQUEST_ID: Final = -1
CORS_METHODS: Final = "HEAD, GET, POST"
"""CometBFT's `cors_allowed_methods`, as it has them by default."""
TURN_S: Final = 0.005
"""How long one subscriber's events are made before others have their turn, and then nobody's: half of the time is for
blocks, however many subscribe."""
HEARTBEAT_S: Final = 30.0
SEND_TIMEOUT_S: Final = 10.0
"""Seconds after which a client that takes nothing is cut off."""

_QUERY: Final[Signature] = {"query": Kind.STRING}
_SUBSCRIBING: Final[Mapping[str, Signature]] = {"subscribe": _QUERY, "unsubscribe": _QUERY, "unsubscribe_all": {}}
_TOO_MANY: Final = f"max_subscriptions_per_client {MAX_SUBSCRIPTIONS} reached"
_FORM_METHODS: Final = ("POST", "PUT", "PATCH")
_FORM: Final = "application/x-www-form-urlencoded"


class RpcServer:
    """One engine's RPC. `start` binds, `stop` lets go of all connections. `cors` says which pages may ask."""

    def __init__(self, engine: EmbeddedEngine, cors: Cors | None = None) -> None:
        self._engine = engine
        self._cors = cors or Cors()
        self._methods = Methods(engine)
        self._news = Workshop()
        """Its own, so that new blocks do not wait for searches."""
        self._turns = asyncio.Lock()
        self._entrance = Entrance(MAX_AT_WORK, COUNTED_S)
        self._answers = Turns()
        self._bodies = Places("bodies", MAX_LARGE_BODIES, MAX_LARGE_BODIES_OF_A_CLIENT)
        self._ending = False
        self._sockets: set[web.WebSocketResponse] = set()
        self._places = Places("WebSockets", MAX_SOCKETS, MAX_SOCKETS_OF_A_CLIENT)
        self._runner: Runner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port, which is a free one for `port` 0. Raise `OSError` if it is taken."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        # CometBFT looks at paths and bodies, and never at the method.
        app.router.add_route("*", r"/{path:[\s\S]*}", self._begin)
        app.on_response_prepare.extend((_say_when, self._name_pages))
        self._runner = Runner(app, SHUTDOWN_S)
        _, bound = await self._runner.listen(host, port)
        return bound

    async def stop(self) -> None:
        self._ending = True
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        if self._runner is not None:
            await self._runner.cleanup()
        self._methods.close()
        self._news.close()

    async def _call(self, method: str, params: bytes | None) -> Any:
        found = self._methods.table.get(method)
        if found is None:
            raise RpcError(METHOD_NOT_FOUND, "")
        return await found.answer(from_json(found.signature, params))

    async def _call_all(self, method: str, params: Sequence[bytes | None]) -> list[Any]:
        found: list[Any] = []
        signature = self._methods.table[method].signature
        for one in params:
            try:
                found.append(from_json(signature, one))
            except RpcError as error:
                found.append(error)
        return await self._methods.broadcast_all(method, found)

    async def _in_turn(self, client: str) -> None:
        """Let one answer go in each round of the event loop: many may have waited for the same block or signatures."""
        if not self._ending:
            await self._answers.come(client)

    async def _name_pages(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(self._cors.headers(request.headers.get("Origin")))

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        may_ask = self._cors.preflight(request.headers.get("Origin"), CORS_METHODS)
        if may_ask and _is_preflight(request):
            return web.Response(status=204, headers=may_ask)
        path = path_of(request.rel_url.raw_path)
        if path is None:
            return web.Response(status=400, text="400 Bad Request")
        client = client_of(request.remote)
        CLIENT.set(client)
        body = await self._body(request, client)
        if isinstance(body, web.Response):
            return body
        async with self._entrance.passed(client):
            if has_left(request):
                raise ConnectionResetError("the client left before its turn came")
            if self._ending:
                raise RetryableError("the node stops: ask another one, or later")
            return await self._answer(request, path, body)

    async def _body(self, request: web.Request, client: str) -> bytes | web.Response:
        """The body, or the answer to one that cannot be read. Raise `RetryableError` while too many are read."""
        coded = "Content-Encoding" in request.headers
        large = request.can_read_body and not 0 <= (request.content_length or -1) <= LARGE_BYTES
        try:
            with self._bodies.taken(client) if large else nullcontext():
                return await (read_bytes(request) if coded else read_sent(request))
        except (Problem, web.HTTPRequestEntityTooLarge) as error:
            if coded:
                raise
            sentence = f"error reading request body: {problem_of(error).detail}"
            refusal = _json_response(error_answer(NOBODY, RpcError(INVALID_REQUEST, sentence)), status=400)
            refusal.force_close()
            return refusal

    async def _answer(self, request: web.Request, path: str, body: bytes) -> web.StreamResponse:
        if path == "/":
            return await self._root(request, body)
        refused = await refused_body(body)
        if refused is not None:
            return _json_response(refused)
        elsewhere = redirection(request.rel_url.raw_path, path, request.rel_url.raw_query_string)
        if elsewhere is not None:
            return _redirect(request, elsewhere)
        if path == "/websocket":
            return await self._websocket(request)
        return await self._uri(path[1:], request, body)

    async def _root(self, request: web.Request, body: bytes) -> web.Response:
        if not body:
            return self._list_methods(request.host)
        answer = await answer_body(body, self._call, self._call_all, threads=True)
        await self._in_turn(client_of(request.remote))
        if answer.body is None:
            return web.Response()
        return _json_response(answer.body, answer.status)

    async def _uri(self, method: str, request: web.Request, body: bytes) -> web.Response:
        if method in _SUBSCRIBING:
            return _json_response(error_answer(URI_REQUEST_ID, RpcError(METHOD_NOT_FOUND, "")), status=404)
        found = self._methods.table.get(method)
        if found is None:
            return web.Response(status=404, text="404 page not found\n")
        try:
            arguments = await _arguments(request, body)
            result = await guarded(found.answer(from_uri(found.signature, arguments)))
            await self._in_turn(client_of(request.remote))
        except RpcError as error:
            return _json_response(error_answer(URI_REQUEST_ID, error), status=500)
        return _json_response(success(URI_REQUEST_ID, result))

    def _list_methods(self, host: str) -> web.Response:
        """Return the page for a browser that asks for nothing."""
        signatures = {**{name: method.signature for name, method in self._methods.table.items()}, **_SUBSCRIBING}
        links = [
            f"{name}?{'&'.join(f'{one}=_' for one in signature)}" for name, signature in sorted(signatures.items())
        ]
        lines = [f'<a href="//{html_text(host)}/{link}">//{html_text(host)}/{link}</a></br>' for link in links]
        page = "".join(["<html><body><br>Available endpoints:<br>", *lines, "</body></html>"])
        return web.Response(body=page.encode(), headers={"Content-Type": "text/html"})

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if not opens_websocket(request):
            return web.Response(status=400, text="Bad Request\n")
        client = client_of(request.remote)
        with self._places.taken(client):
            return await self._talk(request, client)

    async def _talk(self, request: web.Request, client: str) -> web.WebSocketResponse:
        # aiohttp answers pings by itself without giving others their turn.
        socket = web.WebSocketResponse(max_msg_size=MAX_BODY_BYTES, heartbeat=HEARTBEAT_S, autoping=False)
        await socket.prepare(request)
        self._sockets.add(socket)
        in_turn = partial(self._in_turn, client)
        taking = partial(sending, request)
        connection = _Connection(self._engine, socket, self._call, self._news, self._turns, in_turn, taking)
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    async with self._entrance.passed(client):
                        await connection.receive(message.data)
                    continue
                await self._in_turn(client)
                if message.type is WSMsgType.PING:
                    await connection.pong(message.data)
        except (RetryableError, ConnectionError, TimeoutError):
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
        finally:
            await connection.close()
            self._sockets.discard(socket)
        return socket


class _Connection:
    """One WebSocket: calls like over HTTP, and subscriptions, whose events carry the id of their request."""

    def __init__(
        self,
        engine: EmbeddedEngine,
        socket: web.WebSocketResponse,
        call: Call,
        news: Workshop,
        turns: asyncio.Lock,
        in_turn: Callable[[], Awaitable[None]],
        taking: Callable[[int], AbstractContextManager[None]],
    ) -> None:
        """`news` renders the results of new blocks, once for all connections, which take `turns` at their events.
        Answers go `in_turn`; their bytes count while a block of `taking` runs."""
        self._engine = engine
        self._news = news
        self._turns = turns
        self._in_turn = in_turn
        self._taking = taking
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
            await self._in_turn()
            await self._send(answer)

    async def pong(self, data: bytes) -> None:
        async with self._sending, asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.pong(data)

    async def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        if self._listener is not None:
            self._engine.feed.leave(self._listener)

    async def _subscribing(self, method: str, params: bytes | None, request_id: Any) -> Any:
        """Handle the methods that belong to a connection; NotImplemented for all others."""
        if method == "broadcast_tx_commit" and len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise internal(_TOO_MANY)
        if method not in _SUBSCRIBING:
            return NotImplemented
        if method == "unsubscribe_all":
            from_json(_SUBSCRIBING[method], params)
            if not self._subscriptions:
                raise internal("subscription not found")
            self._subscriptions.clear()
            return {}
        text = from_json(_QUERY, params).get("query", "")
        if method == "unsubscribe":
            # Whoever asks for too much cannot have subscribed to it.
            name = str(_parsed(text)) if len(text.encode()) <= MAX_QUERY_BYTES else ""
            if self._subscriptions.pop(name, None) is None:
                raise internal("subscription not found")
            return {}
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise internal(_TOO_MANY)
        query = _parsed(text)
        if str(query) in self._subscriptions:
            raise internal("already subscribed")
        if self._pump is None:
            self._listen()
        self._subscriptions[str(query)] = (request_id, query)
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
                results = None
                if any(query.matches(NEW_BLOCK) for _, query in self._subscriptions.values()):
                    stored = committed.stored
                    results = await self._news.made(stored.height, len(stored.results), partial(results_json, stored))
                events = published_events(committed, results)
                more = True
                while more:
                    async with self._turns:
                        heard, more = self._heard(events)
                        if more:
                            await asyncio.sleep(TURN_S)
                    with self._taking(sum(len(text) for text in heard)):
                        for text in heard:
                            await self._send_text(text)
        except (RetryableError, ConnectionError, TimeoutError):
            await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER)

    def _heard(self, events: Iterator[PublishedEvent]) -> tuple[list[str], bool]:
        """(answers of the subscriptions to the next events, whether there are more events) after a turn."""
        until = time.monotonic() + TURN_S
        heard = []
        for event in events:
            for request_id, query in self._subscriptions.values():
                if query.matches(event.tags):
                    result = {"query": query.text, "data": event.make(), "events": event.tags}
                    heard.append(encode(success(request_id, result)).decode())
            if time.monotonic() > until:
                return heard, True
        return heard, False

    async def _send(self, answer: Any) -> None:
        text = encode(answer).decode()
        with self._taking(len(text)):
            await self._send_text(text)

    async def _send_text(self, text: str) -> None:
        async with self._sending, asyncio.timeout(SEND_TIMEOUT_S):
            await self._socket.send_str(text)


def _parsed(text: str) -> EventQuery:
    """Raise `RpcError` as a subscription words it."""
    try:
        return parse_query(text)
    except RpcError as error:
        raise error if error.data == TOO_LONG else internal(f"failed to parse query: {error.data}") from None


async def _arguments(request: web.Request, body: bytes) -> Mapping[str, str]:
    """Arguments of the query, and of a form for those that the query leaves out or empty."""
    query = pairs(request.rel_url.raw_query_string)
    if request.method not in _FORM_METHODS or request.content_type != _FORM:
        return query
    form = await apart(lambda raw: pairs(raw.decode(errors="surrogateescape")), body)
    return form | {name: value for name, value in query.items() if value}


def _redirect(request: web.Request, target: str) -> web.Response:
    headers = {"Location": target}
    if request.method not in ("GET", "HEAD"):
        return web.Response(status=307, headers=headers)
    page = f'<a href="{html_text(target)}">Temporary Redirect</a>.\n\n'
    return web.Response(status=307, headers=headers, text=page, content_type="text/html")


def _is_preflight(request: web.Request) -> bool:
    """A browser's question before a call (Fetch standard, "CORS-preflight request")."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


async def _say_when(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Server-Time"] = str(int(time.time()))


def _json_response(answer: Any, status: int = 200) -> web.Response:
    return web.Response(body=encode(answer), status=status, content_type="application/json")
