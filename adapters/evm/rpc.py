"""JSON-RPC over HTTP: aiohttp and msgspec, answers decoded straight into typed structs.

web3's own provider and formatters are several times slower than the chain reads here may be; it is used for contracts
and accounts, not for reads.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import aiohttp
import msgspec

from adapters.evm.errors import translate
from adapters.observed import RpcMetrics, origin
from adapters.rates import RateLimit
from core.model.errors import CausewayError, RetryableError

CALL_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_BATCH_CALLS: Final = 1_000
MAX_CONNECTIONS: Final = 16
MAX_MESSAGE_CHARS: Final = 200
SEND_TRANSACTION: Final = "eth_sendRawTransaction"

T = TypeVar("T")


class RpcFault(msgspec.Struct):
    """A JSON-RPC error object."""

    code: int
    message: str
    data: Any = None


class RpcAnswer(msgspec.Struct):
    """One JSON-RPC response; `result` stays undecoded until its type is known."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: RpcFault | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call and the type that its result decodes to."""

    method: str
    params: tuple[Any, ...] = ()
    into: Any = str


_NO_JSON: Final = (msgspec.MsgspecError, RecursionError)
"""Also what is nested deeper than a decoder follows."""
_one = msgspec.json.Decoder(RpcAnswer)
_many = msgspec.json.Decoder(list[RpcAnswer])


@lru_cache(maxsize=256)
def _decoder(into: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(into)


class RpcClient:
    """One endpoint. `close()` it; safe to use from many tasks.

    Every method raises `RetryableError` when the endpoint cannot be reached or answers nonsense, and what
    `adapters.evm.errors.translate` makes of a JSON-RPC error.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = CALL_TIMEOUT_S,
        calls_per_s: float | None = None,
        observed: RpcMetrics | None = None,
    ) -> None:
        self.url = url
        self._observed = observed
        self._limit = RateLimit(calls_per_s)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, *params: Any, into: type[T] | Any = str) -> T:
        """One call, its result decoded into `into` (a msgspec type)."""
        with self._observing(method):
            return cast(T, await self._call(method, params, into))

    async def _call(self, method: str, params: Sequence[Any], into: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
        if method != SEND_TRANSACTION:
            await self._limit.wait()
        raw = await self._post(msgspec.json.encode(request))
        try:
            answer = _one.decode(raw)
        except _NO_JSON as error:
            raise RetryableError(f"{self} answered {method} with something that is no JSON-RPC") from error
        return self._result(Call(method, tuple(params), into), answer)

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Many calls in one request, results in their order. Raises what the first failed call raises."""
        return [_or_raise(result) for result in await self.batch_each(calls)]

    async def batch_each(self, calls: Sequence[Call]) -> list[Any]:
        """As `batch`, but a failed call's place holds its `CausewayError`."""
        if not calls:
            return []
        if len(calls) > MAX_BATCH_CALLS:
            raise ValueError(f"a batch holds at most {MAX_BATCH_CALLS} calls")
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}
            for number, call in enumerate(calls)
        ]
        with self._observing(*(call.method for call in calls)):
            await self._limit.wait(sum(call.method != SEND_TRANSACTION for call in calls))
            raw = await self._post(msgspec.json.encode(requests))
            try:
                answers = {answer.id: answer for answer in _many.decode(raw)}
            except _NO_JSON as error:
                raise RetryableError(f"{self} answered a batch with something that is no JSON-RPC batch") from error
        results: list[Any] = []
        for number, call in enumerate(calls):
            answer = answers.get(number)
            if answer is None:
                raise RetryableError(f"{self} left {call.method} of a batch unanswered")
            try:
                results.append(self._result(call, answer))
            except CausewayError as error:
                if self._observed is not None:
                    self._observed.failed(str(self), call.method, error)
                results.append(error)
        return results

    def _observing(self, *methods: str) -> AbstractContextManager[None]:
        return nullcontext() if self._observed is None else self._observed.calling(str(self), *methods)

    def _result(self, call: Call, answer: RpcAnswer) -> Any:
        if answer.error is not None:
            raise translate(call.method, answer.error.code, answer.error.message, answer.error.data)
        try:
            return _decoder(call.into).decode(answer.result)
        except _NO_JSON as error:
            raise RetryableError(f"{self} answered {call.method} in a shape that the method does not have") from error

    async def _post(self, body: bytes) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
            )
        try:
            async with self._session.post(
                self.url, data=body, headers={"content-type": "application/json"}
            ) as response:
                if response.status != 200:
                    raise RetryableError(f"{self} answered HTTP {response.status}", status=response.status)
                return await _read_bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            detail = str(error)[:MAX_MESSAGE_CHARS] or type(error).__name__
            raise RetryableError(f"{self} cannot be reached: {detail}") from error

    def __str__(self) -> str:
        """The endpoint without path and query, where providers put their keys."""
        return origin(self.url)

    __repr__ = __str__


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    total = 0
    async for part in response.content.iter_any():
        total += len(part)
        if total > MAX_ANSWER_BYTES:
            raise RetryableError(f"an answer of more than {MAX_ANSWER_BYTES} bytes was cut off", limit=MAX_ANSWER_BYTES)
        parts.append(part)
    return b"".join(parts)


def quantity(text: str) -> int:
    """A number, or a word of storage. Raises `RetryableError` where an endpoint answered something else."""
    try:
        return int(text, 16)
    except ValueError as error:
        raise RetryableError("an endpoint answered with something that is no number") from error


def data_bytes(text: str) -> bytes:
    """Bytes of `0x…`. Raises `RetryableError` where an endpoint answered something else."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise RetryableError("an endpoint answered with something that is no hex") from error


def _or_raise(result: Any) -> Any:
    if isinstance(result, CausewayError):
        raise result
    return result
