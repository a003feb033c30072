"""The way to one node: bytes of JSON-RPC there and back, and news of blocks. HTTP and a WebSocket, or a node that runs
in this process, as simulations have.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import aiohttp

from adapters.observed import origin, reason_of
from core.model.errors import RetryableError

CONNECT_TIMEOUT_S: Final = 3.0
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_NEWS_BYTES: Final = 1024 * 1024
HEARTBEAT_S: Final = 10.0

_ENDINGS: Final = (
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.ERROR,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response: status and headers, and the body as it is."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class News(Protocol):
    """A subscription; every message means that there may be a new block."""

    async def next(self, wait_s: float) -> None:
        """Return when something came, or after `wait_s` seconds: it may be dead without a word about it.

        Raise `RetryableError` once it has ended.
        """


class Transport(Protocol):
    """One node."""

    async def post(self, body: bytes) -> Reply:
        """One request and its reply, at most `MAX_BODY_BYTES`. Raise `RetryableError` if none comes."""

    def subscribe(self, request: bytes) -> AbstractAsyncContextManager[News]:
        """Send this request on a connection of its own that stays. Raise `RetryableError`."""

    async def close(self) -> None: ...


class HttpTransport:
    """`Transport` to `url` (`http://host:port`). A request has `timeout_s` seconds."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, body: bytes) -> Reply:
        try:
            async with self._open().post(self._url, data=body, allow_redirects=False) as response:
                raw = await _bounded(response)
                return Reply(response.status, raw, response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RetryableError(reason_of(error)) from None

    @asynccontextmanager
    async def subscribe(self, request: bytes) -> AsyncIterator[News]:
        try:
            # Not wait_for: before Python 3.12 it may swallow a cancellation that comes as the connection does.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                socket = await self._open().ws_connect(
                    f"{self._url}/websocket", heartbeat=HEARTBEAT_S, max_msg_size=MAX_NEWS_BYTES
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RetryableError(f"{origin(self._url)} refuses a WebSocket: {reason_of(error)}") from None
        try:
            await socket.send_str(request.decode())
            yield _SocketNews(socket)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise RetryableError(f"{origin(self._url)} closed the WebSocket: {reason_of(error)}") from None
        finally:
            await socket.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                # What is not unpacked cannot grow: a few bytes of gzip may stand for gigabytes.
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


class _SocketNews:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def next(self, wait_s: float) -> None:
        try:
            message = await self._socket.receive(timeout=wait_s)
        except TimeoutError:
            return
        if message.type in _ENDINGS:
            raise RetryableError("the subscription ended")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RetryableError(f"an answer of more than {MAX_BODY_BYTES} bytes was cut off")
    return bytes(body)
