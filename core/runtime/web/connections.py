"""How long each connection may keep a server waiting.

aiohttp waits for a client without an end: for headers, for the rest of a body, for an answer to be read. Here each wait
has a limit, and a connection that waits for its client gives way to a newer one when there are too many
(`core.runtime.web.crowd`).
"""

import asyncio
import secrets
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from aiohttp import EMPTY_PAYLOAD, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from core.model.errors import RetryableError
from core.runtime.callers import client_of
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from core.runtime.web.crowd import ConnectionLimits, Connections
from core.runtime.web.problems import Problem, problem_of
from core.runtime.web.turns import Turns
from core.runtime.web.untaken import Untaken

HEADERS_S: Final = 10.0
"""From a connection's beginning, or from the first byte of its next request, to the end of the headers."""
KEEP_ALIVE_S: Final = 20.0
"""Between two requests; longer than common clients keep an idle connection, so that theirs end first."""
ANSWER_S: Final = 30.0
"""For a client to take an answer."""
LINGER_S: Final = 2.0
"""For the rest of a body that nobody reads, so that a refusal arrives before the connection ends."""
READ_BYTES: Final = 16 * 1024
"""Read of one connection at once; its next bytes are read after its turn with these."""
SENT_BYTES: Final = 256 * 1024
"""Of an answer that the system takes in before its client has it: the rest is counted as untaken."""
MAX_LINE_BYTES: Final = 8_190
MAX_HEADERS: Final = 64
MAX_HEAD_BYTES: Final = 32 * 1024
"""Of a request's line and headers together, give or take a piece of `READ_BYTES`."""

assert HEADERS_S < KEEP_ALIVE_S

log = get_logger("core.runtime.web")


class Connection(web.RequestHandler, asyncio.BufferedProtocol):
    """One connection: aiohttp's, with an end to every wait, and problem documents for what is not HTTP.

    What a client sends is parsed in its turn, a piece at a time. Until then nothing more is read of its connection.
    """

    def __init__(self, server: "Server", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # its own runner passes None, too
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            auto_decompress=False,
        )
        self.client = ""
        self._event_loop = loop
        self._connections = server.open
        self._server = server
        self._turns = server.turns
        self._buffer = server.buffer
        self._untaken = server.untaken
        self._unread = b""
        """The piece that waits for its turn."""
        self._head_bytes = 0
        """Of headers that have not ended yet."""
        self._payload: StreamReader = EMPTY_PAYLOAD
        """The body of the last request whose headers are here."""
        self._socket: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._idle = True
        """No request of this connection is being answered."""
        self._begun = False
        """The first byte of the next request is here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._socket = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_BYTES)
        peer = transport.get_extra_info("peername")
        self.client = client_of(peer[0] if isinstance(peer, tuple) else "")
        if self._server.ended:
            self.abort()
            return
        if not self._connections.join(self):
            self._end_with(
                Problem(
                    503,
                    "too-many-connections",
                    "Too many connections",
                    "All connections that this server may have are in use: close others of yours, or try again later.",
                    headers={"Retry-After": "1"},
                )
            )
            return
        self._await_headers()

    def get_buffer(self, sizehint: int) -> memoryview:
        """All connections read into the same memory: what arrived is taken out at once, in `buffer_updated`."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._unread += bytes(self._buffer[:nbytes])
        self._pause_transport_reading()
        self._begun = True
        if self._idle and self._deadline is None:
            self._await_headers()
        self._turns.wait(self.client, self._read)

    def _read(self) -> None:
        data, self._unread = self._unread, b""
        if self._socket is None or self._socket.is_closing():
            return
        self.data_received(data)
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()

    def data_received(self, data: bytes) -> None:
        """Parse what came; end a connection whose headers do not end, since all of them are kept until they do.

        aiohttp calls this, too, with no bytes, to go on with those that it has.
        """
        requests = self._request_count
        super().data_received(data)
        if self._request_count != requests:
            self._head_bytes, self._payload = 0, self._messages[-1][1]
        elif self._upgraded or not self._payload.is_eof():
            self._head_bytes = 0
        else:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._end_with(_too_large(f"All headers together have at most {MAX_HEAD_BYTES} bytes."))

    def _resume_transport_reading(self) -> None:
        # aiohttp asks for more when it has room again: not while something waits here.
        if not self._unread:
            super()._resume_transport_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._unread = b""
        self._turns.forget(self.client, self._read)
        self._connections.leave(self)
        self._settle()
        super().connection_lost(exc)
        self._socket = None

    def request_begun(self) -> None:
        """The headers are here: it is the client who waits."""
        self._settle()
        self._idle = False
        self._connections.waits(self, False)

    def request_handled(self) -> None:
        """The answer is made: we wait for the client to take it."""
        self._connections.waits(self, True)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While this runs, we wait for the client: to send the rest of a body."""
        self._connections.waits(self, True)
        try:
            yield
        finally:
            self._connections.waits(self, False)

    @contextmanager
    def sending(self, size: int) -> Iterator[None]:
        """While this runs, the client is to take so many bytes. Raise `RetryableError` if it has too many to take."""
        with self._untaken.held(self.client, size, self.abort):
            yield

    def abort(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        if self._socket is not None:
            self._socket.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        body = resp.body if isinstance(resp, web.Response) else None
        size = len(body) if isinstance(body, bytes | bytearray) else 0
        try:
            with ExitStack() as stack:
                try:
                    stack.enter_context(self._untaken.held(self.client, size, self.abort))
                except RetryableError as error:
                    resp = problem_of(error).response(_request_id())
                async with asyncio.timeout(ANSWER_S):
                    return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            log.info("a client does not take its answer", client=self.client)
            self.abort()
            return resp, True
        finally:
            self._idle = True
            self._begun = False
            self._connections.waits(self, True)
            # aiohttp remembers both until the next request, which may never come.
            request._read_bytes = None
            if isinstance(resp, web.Response):
                resp.body = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The problem document for what is not HTTP, or for an error outside of the application."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            # An answer has begun, or nobody is there to read one.
            raise ConnectionResetError("the connection cannot carry another answer")
        if isinstance(exc, HttpProcessingError):
            problem = _malformed(exc)
        else:
            log.error("request failed", client=self.client, exc_info=exc)
            problem = problem_of(exc if exc is not None else RuntimeError(message))
        response = problem.response(_request_id())
        response.force_close()
        return response

    def _await_headers(self) -> None:
        self._settle()
        self._deadline = self._event_loop.call_later(HEADERS_S, self._headers_late)

    def _headers_late(self) -> None:
        self._deadline = None
        if self._unread:
            # It is the client who waits.
            self._await_headers()
            return
        if not self._begun:
            self.abort()
            return
        detail = f"The headers of a request arrive within {HEADERS_S:g} s, or the connection ends."
        self._end_with(Problem(408, "headers-too-slow", "Headers too slow", detail))

    def _end_with(self, problem: Problem) -> None:
        """Say why, and end the connection; a client that does not even take that is cut off."""
        if self._socket is None or self._socket.is_closing():
            return
        self._socket.write(problem.raw(_request_id()))
        self.force_close()
        self._event_loop.call_later(LINGER_S, self.abort)

    def _settle(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(web.Server):
    """aiohttp's server with limits. `inner` is the server of an application, whose place this takes."""

    def __init__(self, inner: web.Server, limits: ConnectionLimits | None) -> None:
        super().__init__(self._answer, request_factory=inner.request_factory)
        self.open = Connections(limits)
        self.turns = Turns()
        self.buffer = memoryview(bytearray(READ_BYTES))
        self.untaken = Untaken()
        self.ended = False
        self._inner: Callable[[Any], Awaitable[web.StreamResponse]] = inner.request_handler
        self._answering = Counter[Callable[[Any], Awaitable[web.StreamResponse]]]()
        self._answered = Signal()

    def turn_to(self, inner: web.Server) -> None:
        """Let the application of `inner` answer from the next request on, also on connections that are open."""
        self._inner = inner.request_handler

    async def answered_by(self, inner: web.Server, within_s: float) -> None:
        """Return once the application of `inner` has answered all that it was asked, or its time is over."""
        until_s = asyncio.get_running_loop().time() + within_s
        while self._answering[inner.request_handler] > 0:
            if (left_s := until_s - asyncio.get_running_loop().time()) <= 0:
                return
            await self._answered.wait_beyond(self._answered.count, left_s)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, asyncio.get_running_loop())

    async def shutdown(self, timeout: float | None = None) -> None:
        """End all connections, and those that were accepted just before and are still to begin."""
        self.ended = True
        await super().shutdown(timeout)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.request_begun()
        inner = self._inner
        self._answering[inner] += 1
        try:
            _require_ascii(request)
            return await inner(request)
        except (Problem, RetryableError, web.HTTPException) as error:
            # Raised before an application's middlewares, or by one without them.
            return problem_of(error).response(_request_id())
        finally:
            self._answering[inner] -= 1
            if not self._answering[inner]:
                del self._answering[inner]
                self._answered.notify()
            connection.request_handled()


def opens_websocket(request: web.BaseRequest) -> bool:
    """Return True if the request is a handshake as RFC 6455 section 4.2.1 has it."""
    try:
        return web.WebSocketResponse().can_prepare(request).ok
    except ValueError:
        return False  # a header that is not ASCII: aiohttp would answer with its text, and cannot encode that


@contextmanager
def reading(request: web.BaseRequest) -> Iterator[None]:
    """While this runs, the server waits for this request's client: its connection may give way to another one."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        yield
        return
    with connection.reading():
        yield


@contextmanager
def sending(request: web.BaseRequest, size: int) -> Iterator[None]:
    """While this runs, this request's client is to take `size` bytes of a WebSocket or stream.

    Raise `RetryableError` if it has too many to take already.
    """
    connection = request.protocol
    if not isinstance(connection, Connection):
        yield
        return
    with connection.sending(size):
        yield


def has_left(request: web.BaseRequest) -> bool:
    """Return True if nobody is there to read an answer."""
    return request.transport is None or request.transport.is_closing()


def _too_large(detail: str) -> Problem:
    return Problem(431, "headers-too-large", "Headers too large", detail)


def _malformed(error: HttpProcessingError) -> Problem:
    if isinstance(error, LineTooLong):
        return _too_large(f"The request line and each header have at most {MAX_LINE_BYTES} bytes.")
    return Problem(
        400,
        "malformed-http",
        "Not an HTTP request",
        f"The request cannot be read: send HTTP/1.1 with at most {MAX_HEADERS} headers.",
    )


def _require_ascii(request: web.BaseRequest) -> None:
    """Refuse what would become part of an answer and could not be encoded there."""
    if not request.headers.get("Host", "").isascii():
        # RFC 9112 section 3.2.
        raise Problem(400, "malformed-http", "Not an HTTP request", "The Host header is not a host: send it in ASCII.")
    if not request.headers.get("Expect", "").isascii():
        raise web.HTTPExpectationFailed


def _request_id() -> str:
    # Names an answer and nothing else, so it needs no injected source.
    return secrets.token_hex(8)
