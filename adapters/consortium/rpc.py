"""CometBFT's JSON-RPC over one endpoint: bounded, timed out, its errors translated.

Nothing an endpoint says is believed to be well formed: nonsense is a `RetryableError`, since another endpoint may do
better. Source: CometBFT RPC OpenAPI, v0.38 to v0.40.
"""

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from adapters.observed import RpcMetrics, origin
from adapters.rates import Pace, RateLimit, retry_after_s
from core.model.errors import CausewayError, NotFoundError, RejectedError, RetryableError
from core.proofs.cometbft.json import bytes_from_base64, bytes_to_base64, object_from_json

T = TypeVar("T")

CALL_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
COUNTER_BYTES: Final = 8
MAX_NEWS_BYTES: Final = 1024 * 1024
MAX_PARALLEL_CALLS: Final = 8
MAX_REASON_CHARS: Final = 300
MAX_RATE_WAIT_S: Final = 5.0
"""An endpoint that wants to be left alone for longer is not waited for: another may answer."""

_METHOD_UNKNOWN: Final = -32601
_BAD_PARAMETERS: Final = -32602
_BROADCAST: Final = "broadcast_"
_NOT_FOUND: Final = re.compile(
    r"not found|could not find|must be less than or equal|is not available, lowest height|pruned"
)
_TOO_OFTEN: Final = re.compile(r"rate limit|too many requests|request limit", re.IGNORECASE)
_NEW_BLOCK: Final = {"query": "tm.event='NewBlockHeader'"}
_HTTP_TOO_OFTEN: Final = (429, 503)
_HTTP_NOT_OFFERED: Final = (404, 405, 501)


class RpcError(CausewayError):
    """The endpoint answered with a JSON-RPC error. Never leaves this package."""

    def __init__(self, method: str, code: int, text: str) -> None:
        super().__init__(f"{method}: {text[:MAX_REASON_CHARS]}")
        self.code_number = code
        self.text = text

    @property
    def method_unknown(self) -> bool:
        return self.code_number == _METHOD_UNKNOWN

    def translated(self) -> CausewayError:
        if self.method_unknown:
            return RejectedError(f"this endpoint does not offer the method: use a full node's RPC ({self.message})")
        if _NOT_FOUND.search(self.text):
            return NotFoundError(self.message)
        if self.code_number == _BAD_PARAMETERS:
            return RejectedError(self.message)
        return RetryableError(self.message)


class CometRpc:
    """One endpoint at `url` (`http://host:port`). Connections open with the first call; `close` ends them."""

    def __init__(
        self,
        url: str,
        timeout_s: float = CALL_TIMEOUT_S,
        calls_per_s: float | None = None,
        observed: RpcMetrics | None = None,
    ) -> None:
        self._observed = observed
        self._limit = RateLimit(calls_per_s)
        self._pace = Pace()
        self.url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._session: aiohttp.ClientSession | None = None
        self._ids = itertools.count(1)
        self._slots = asyncio.Semaphore(MAX_PARALLEL_CALLS)
        self._exits = asyncio.Semaphore(MAX_PARALLEL_CALLS)
        """Slots of broadcasts: an endpoint on which reads hang keeps no transaction waiting."""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, **params: Any) -> Mapping[str, Any]:
        """The `result` object. Raises `RetryableError`, `NotFoundError`, `RejectedError`."""
        try:
            return await self.call_raw(method, **params)
        except RpcError as error:
            raise error.translated() from None

    async def call_raw(self, method: str, **params: Any) -> Mapping[str, Any]:
        """`call`, for those who look at the endpoint's own error: raises `RpcError` instead of a translation."""
        if self._observed is None:
            return await self._call(method, params)
        with self._observed.calling(origin(self.url), method):
            return await self._call(method, params)

    async def _call(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        request = self._request(method, params)
        broadcast = method.startswith(_BROADCAST)
        if not broadcast:
            await self._turn(method)
        try:
            async with (
                self._exits if broadcast else self._slots,
                self._open().post(self.url, data=msgspec.json.encode(request), allow_redirects=False) as response,
            ):
                raw = await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RetryableError(f"{self.url} does not answer {method}: {error or type(error).__name__}") from None
        if response.status in _HTTP_TOO_OFTEN:
            asked_s = retry_after_s(response.headers.get("Retry-After"), time.time())
            if response.status == 429 or asked_s is not None:
                raise self._too_often(method, asked_s)
        try:
            result = self._result(method, request["id"], response, raw)
        except RpcError as error:
            if _TOO_OFTEN.search(error.text):
                raise self._too_often(method, None) from None
            raise
        self._pace.answered()
        return result

    async def _turn(self, method: str) -> None:
        """Return when the endpoint may be asked. Raise `RetryableError` if it wants to be left alone for long."""
        await self._limit.wait()
        if self._pace.pause_s > MAX_RATE_WAIT_S:
            raise RetryableError(f"{self.url} wants to be left alone for {self._pace.pause_s:.0f} s more ({method})")
        await asyncio.sleep(self._pace.turn_s())

    def _too_often(self, method: str, asked_s: float | None) -> RetryableError:
        pause_s = self._pace.refused(asked_s)
        return RetryableError(
            f"{self.url} was asked too often, {method} waits for {pause_s:.1f} s: set its calls_per_s to its limit"
        )

    @asynccontextmanager
    async def new_blocks(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket on which every message that comes means: there may be a new block. Raises `RetryableError`."""
        try:
            # Not wait_for: before Python 3.12 it may swallow a cancellation that comes as the connection does.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                socket = await self._open().ws_connect(
                    f"{self.url}/websocket", heartbeat=CALL_TIMEOUT_S, max_msg_size=MAX_NEWS_BYTES
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RetryableError(f"{self.url} refuses a WebSocket: {error or type(error).__name__}") from None
        try:
            await socket.send_json(
                {"jsonrpc": "2.0", "id": next(self._ids), "method": "subscribe", "params": _NEW_BLOCK}
            )
            yield socket
        except (aiohttp.ClientError, ConnectionError) as error:
            raise RetryableError(f"{self.url} closed the WebSocket: {error or type(error).__name__}") from None
        finally:
            await socket.close()

    def _request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
                # What is not unpacked cannot grow: a few bytes of gzip may stand for gigabytes.
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _result(self, method: str, request_id: int, response: aiohttp.ClientResponse, raw: bytes) -> Mapping[str, Any]:
        try:
            envelope = object_from_json(msgspec.json.decode(raw))
            error = envelope.get("error")
            if error is None:
                result = object_from_json(envelope.get("result"))
            else:
                fields = object_from_json(error)
                code, text = int(fields.get("code") or 0), _text(fields.get("message"), fields.get("data"))
        except Exception:
            raise self._nonsense(method, response) from None
        if error is not None:
            raise RpcError(method, code, text)
        if envelope.get("id") != request_id:
            raise RetryableError(f"{self.url} answers {method} with the answer to another request")
        return result

    def _nonsense(self, method: str, response: aiohttp.ClientResponse) -> CausewayError:
        """The endpoint, or what stands before it, answers with something that is not JSON-RPC."""
        status, what = response.status, "what is no JSON-RPC response"
        if status in _HTTP_NOT_OFFERED:
            return RpcError(method, _METHOD_UNKNOWN, f"HTTP {status}")
        if 300 <= status < 400:
            target = response.headers.get("Location", "elsewhere")[:MAX_REASON_CHARS]
            what = f"a redirection to {target}: configure that URL"
        elif response.headers.get("Content-Encoding", "identity") != "identity":
            what = "a packed body that was not asked for"
        return RetryableError(f"{self.url} answers {method} with HTTP {status} and {what}")


def _text(message: Any, data: Any) -> str:
    """An error's words, whatever their shape."""
    return ": ".join(part[:MAX_REASON_CHARS] for part in (message, data) if isinstance(part, str) and part)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RetryableError(f"an answer of more than {MAX_BODY_BYTES} bytes was cut off")
    return bytes(body)


def parsed(parse: Callable[[], T]) -> T:
    """What `parse` makes of an endpoint's answer. Raises `RetryableError` for nonsense, whatever `parse` raises.

    `parse` does nothing but read the answer, so whatever goes wrong in it is the answer's fault.
    """
    try:
        return parse()
    except RetryableError:
        raise
    except Exception as error:
        reason = str(error)[:MAX_REASON_CHARS] or type(error).__name__
        raise RetryableError(f"the endpoint answers what is no CometBFT response: {reason}") from error


def count_of(raw: bytes | None) -> int:
    """A counter of 8 big-endian bytes; 0 if there is none. Raises `ValueError`."""
    if raw is not None and len(raw) != COUNTER_BYTES:
        raise ValueError(f"a counter has {COUNTER_BYTES} bytes")
    return int.from_bytes(raw or b"", "big")


def text_of(value: Any) -> str:
    """A short text for people; anything else is empty."""
    return value[:MAX_REASON_CHARS] if isinstance(value, str) else ""


def base64_of(raw: bytes) -> str:
    """Bytes as JSON-RPC parameters carry them."""
    return bytes_to_base64(raw)


def bytes_of(value: Any) -> bytes:
    """Bytes as JSON-RPC results carry them; null is empty."""
    return bytes_from_base64(value)
