"""CometBFT's JSON-RPC over one endpoint: bounded, timed out, its errors translated.

Nothing an endpoint says is believed to be well formed: nonsense is a `RetryableError`, since another endpoint may do
better. Source: CometBFT RPC OpenAPI, v0.38 to v0.40.
"""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from adapters.observed import RpcMetrics, origin
from adapters.rates import RateLimit
from core.model.errors import CausewayError, NotFoundError, RejectedError, RetryableError
from core.proofs.cometbft.json import bytes_from_base64, bytes_to_base64, object_from_json
from core.proofs.errors import ProofError

T = TypeVar("T")

CALL_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_PARALLEL_CALLS: Final = 8
MAX_REASON_CHARS: Final = 300

_METHOD_UNKNOWN: Final = -32601
_BAD_PARAMETERS: Final = -32602
_BROADCAST: Final = "broadcast_"
_NOT_FOUND: Final = re.compile(r"not found|must be less than or equal|is not available, lowest height|pruned")
_NEW_BLOCK: Final = {"query": "tm.event='NewBlock'"}


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
        if _NOT_FOUND.search(self.text):
            return NotFoundError(self.message)
        if self.code_number in (_METHOD_UNKNOWN, _BAD_PARAMETERS):
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
        self.url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._session: aiohttp.ClientSession | None = None
        self._ids = itertools.count(1)
        self._slots = asyncio.Semaphore(MAX_PARALLEL_CALLS)

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
        if not method.startswith(_BROADCAST):
            await self._limit.wait()
        try:
            async with self._slots, self._open().post(self.url, data=msgspec.json.encode(request)) as response:
                raw = await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError(f"{self.url} does not answer {method}: {error or type(error).__name__}") from None
        return self._result(method, raw)

    @asynccontextmanager
    async def new_blocks(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket on which every message that comes means: there may be a new block. Raises `RetryableError`."""
        try:
            # Not wait_for: before Python 3.12 it may swallow a cancellation that comes as the connection does.
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                socket = await self._open().ws_connect(f"{self.url}/websocket", heartbeat=CALL_TIMEOUT_S)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
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
                timeout=self._timeout, headers={"Content-Type": "application/json"}, trust_env=False
            )
        return self._session

    def _result(self, method: str, raw: bytes) -> Mapping[str, Any]:
        try:
            envelope = object_from_json(msgspec.json.decode(raw))
            error = envelope.get("error")
            if error is not None:
                fields = object_from_json(error)
                text = f"{fields.get('message', '')}: {fields.get('data', '')}"
                raise RpcError(method, int(fields.get("code", 0)), text)
            return object_from_json(envelope.get("result"))
        except (msgspec.MsgspecError, ProofError, TypeError, ValueError, RecursionError):
            raise RetryableError(f"{self.url} answers {method} with what is no JSON-RPC response") from None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise RetryableError(f"an answer of more than {MAX_BODY_BYTES} bytes was cut off")
    return bytes(body)


def parsed(parse: Callable[[], T]) -> T:
    """What `parse` makes of an endpoint's answer; nonsense is a `RetryableError`."""
    try:
        return parse()
    except RetryableError:
        raise
    except (RejectedError, KeyError, TypeError, ValueError, IndexError) as error:
        raise RetryableError(f"the endpoint answers what is no CometBFT response: {error}") from None


def base64_of(raw: bytes) -> str:
    """Bytes as JSON-RPC parameters carry them."""
    return bytes_to_base64(raw)


def bytes_of(value: Any) -> bytes:
    """Bytes as JSON-RPC results carry them; null is empty."""
    return bytes_from_base64(value)
