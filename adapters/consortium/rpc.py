"""CometBFT's JSON-RPC over one endpoint: its envelopes read, its errors translated, its rate kept to.

Nothing an endpoint says is believed to be well formed: nonsense is a `RetryableError`, since another endpoint may do
better. Source: CometBFT RPC OpenAPI, v0.38 to v0.40.
"""

import asyncio
import itertools
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

import msgspec

from adapters.consortium.transport import HttpTransport, News, Reply, Transport
from adapters.observed import RpcMetrics, origin
from adapters.rates import Pace, RateLimit, retry_after_s
from adapters.sharing import SharedRequests
from core.model.errors import CausewayError, NotFoundError, RejectedError, RetryableError
from core.proofs.cometbft.json import bytes_from_base64, bytes_to_base64, object_from_json

T = TypeVar("T")

CALL_TIMEOUT_S: Final = 10.0
COUNTER_BYTES: Final = 8
MAX_PARALLEL_CALLS: Final = 8
MAX_REASON_CHARS: Final = 300
MAX_RATE_WAIT_S: Final = 5.0
"""An endpoint that wants to be left alone for longer is not waited for: another may answer."""

MAX_KEPT: Final = 4
"""Results of an endpoint that are kept decoded."""
MAX_KEPT_BYTES: Final = 16 * 1024
"""Of JSON: a longer result is decoded each time that it comes."""

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


class _Envelope(msgspec.Struct):
    """A JSON-RPC response, its result as it came."""

    id: Any = None
    error: Any = None
    result: msgspec.Raw = msgspec.Raw(b"null")


_envelope: Final = msgspec.json.Decoder(_Envelope)


class CometRpc:
    """One endpoint at `url` (`http://host:port`). Connections open with the first call; `close` ends them.

    `transport` is another way there than HTTP to `url`, which then only names the endpoint.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = CALL_TIMEOUT_S,
        calls_per_s: float | None = None,
        observed: RpcMetrics | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._observed = observed
        self._limit = RateLimit(calls_per_s)
        self._pace = Pace()
        self.url = url.rstrip("/")
        self.origin = origin(self.url)
        """For messages: providers put their keys behind it."""
        self._transport = transport or HttpTransport(self.url, timeout_s)
        self._shared = SharedRequests()
        self._kept: OrderedDict[bytes, Mapping[str, Any]] = OrderedDict()
        """The last short results, as they came: a head is asked for far more often than it changes."""
        self._ids = itertools.count(1)
        self._slots = asyncio.Semaphore(MAX_PARALLEL_CALLS)
        self._exits = asyncio.Semaphore(MAX_PARALLEL_CALLS)
        """Slots of broadcasts: an endpoint on which reads hang keeps no transaction waiting."""

    async def close(self) -> None:
        await self._transport.close()

    async def call(self, method: str, **params: Any) -> Mapping[str, Any]:
        """The `result` object. Raise `RetryableError`, `NotFoundError`, `RejectedError`."""
        try:
            return await self.call_raw(method, **params)
        except RpcError as error:
            raise error.translated() from None

    async def call_raw(self, method: str, **params: Any) -> Mapping[str, Any]:
        """`call`, for those who look at the endpoint's own error: raises `RpcError` instead of a translation."""

        async def send() -> Mapping[str, Any]:
            if self._observed is None:
                return await self._call(method, params)
            with self._observed.calling(self.origin, method):
                return await self._call(method, params)

        if method.startswith(_BROADCAST):
            return await send()
        return await self._shared.ask((method, msgspec.json.encode(params)), send)

    async def _call(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        request = self._request(method, params)
        broadcast = method.startswith(_BROADCAST)
        if not broadcast:
            await self._turn(method)
        try:
            async with self._exits if broadcast else self._slots:
                reply = await self._transport.post(msgspec.json.encode(request))
        except RetryableError as error:
            raise RetryableError(f"{self.origin} does not answer {method}: {error.message}") from None
        if reply.status in _HTTP_TOO_OFTEN:
            asked_s = retry_after_s(reply.headers.get("Retry-After"), time.time())
            if reply.status == 429 or asked_s is not None:
                raise self._too_often(method, asked_s)
        try:
            result = self._result(method, request["id"], reply)
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
            raise RetryableError(f"{self.origin} asks to wait {self._pace.pause_s:.0f} s more ({method})")
        await asyncio.sleep(self._pace.turn_s())

    def _too_often(self, method: str, asked_s: float | None) -> RetryableError:
        pause_s = self._pace.refused(asked_s)
        return RetryableError(
            f"{self.origin} was asked too often, {method} waits for {pause_s:.1f} s: set its calls_per_s to its limit"
        )

    def new_blocks(self) -> AbstractAsyncContextManager[News]:
        """A subscription to new blocks. Entering it raises `RetryableError`."""
        return self._transport.subscribe(msgspec.json.encode(self._request("subscribe", _NEW_BLOCK)))

    def _request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}

    def _result(self, method: str, request_id: int, reply: Reply) -> Mapping[str, Any]:
        try:
            envelope = _envelope.decode(reply.body)
            error = envelope.error
            if error is None:
                result = self._decoded(bytes(envelope.result))
            else:
                fields = object_from_json(error)
                code, text = int(fields.get("code") or 0), _text(fields.get("message"), fields.get("data"))
        except Exception:
            raise self._nonsense(method, reply) from None
        if error is not None:
            raise RpcError(method, code, text)
        if envelope.id != request_id:
            raise RetryableError(f"{self.origin} answers {method} with the answer to another request")
        return result

    def _decoded(self, raw: bytes) -> Mapping[str, Any]:
        """The object, the same one again if it came lately: nobody changes it."""
        if (known := self._kept.get(raw)) is not None:
            return known
        result = object_from_json(msgspec.json.decode(raw))
        if len(raw) <= MAX_KEPT_BYTES:
            self._kept[raw] = result
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return result

    def _nonsense(self, method: str, reply: Reply) -> CausewayError:
        """The endpoint, or what stands before it, answers with something that is not JSON-RPC."""
        status, what = reply.status, "something that is not a JSON-RPC response"
        if status in _HTTP_NOT_OFFERED:
            return RpcError(method, _METHOD_UNKNOWN, f"HTTP {status}")
        if 300 <= status < 400:
            target = reply.headers.get("Location", "elsewhere")[:MAX_REASON_CHARS]
            what = f"a redirection to {target}: configure that URL"
        elif reply.headers.get("Content-Encoding", "identity") != "identity":
            what = "a packed body that was not asked for"
        return RetryableError(f"{self.origin} answers {method} with HTTP {status} and {what}")


def _text(message: Any, data: Any) -> str:
    """An error's words, whatever their shape."""
    return ": ".join(part[:MAX_REASON_CHARS] for part in (message, data) if isinstance(part, str) and part)


def parsed(parse: Callable[[], T]) -> T:
    """Return what `parse` makes of an endpoint's answer. Raise `RetryableError` for whatever `parse` raises.

    `parse` does nothing but read the answer, so whatever goes wrong in it is the answer's fault.
    """
    try:
        return parse()
    except RetryableError:
        raise
    except Exception as error:
        reason = str(error)[:MAX_REASON_CHARS] or type(error).__name__
        raise RetryableError(
            f"the endpoint answers with something that is not a CometBFT response: {reason}"
        ) from error


def count_of(raw: bytes | None) -> int:
    """A counter of 8 big-endian bytes; 0 if there is none. Raise `ValueError`."""
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
