"""JSON-RPC over HTTP: aiohttp and msgspec, answers decoded straight into typed structs.

web3's own provider and formatters are several times slower than the chain reads here may be.

Providers answer as they like: refusals come with any HTTP status, a batch may be answered by a single error, in part or
in another order, and how many calls it may hold is found out by trying. All of that ends here.
"""

import asyncio
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeVar, cast

import msgspec

from adapters.evm.errors import MAX_REASON_CHARS, printable, refusal_in, translate
from adapters.evm.transport import MAX_MESSAGE_CHARS, HttpTransport
from adapters.evm.wire import NO_JSON, RpcAnswer, decoded, is_one_refusal, number_of, refuses
from adapters.evm.words import Refusal
from adapters.learnt import LearntLimit
from adapters.observed import RpcMetrics, origin
from adapters.rates import Pace, RateLimit
from adapters.sharing import SharedRequests
from core.model.errors import CausewayError, NotFoundError, RejectedError, RetryableError, UnclearRefusalError

CALL_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Of logs, receipts, traces and whole blocks; other answers are small."""
SMALL_ANSWER_BYTES: Final = 4 * 1024 * 1024
BYTES_A_CALL: Final = 64 * 1024
MAX_BATCH_CALLS: Final = 1_000
MAX_REQUESTS: Final = 1_000_000
"""Of an endpoint whose pace is not known to have a limit."""
MAX_RATE_WAITS: Final = 4
"""How often a request that came too soon is made again before its caller hears of it,"""
MAX_RATE_WAIT_S: Final = 3.0
"""and only while the endpoint wants no longer pause than this."""
MAX_GAPS: Final = 3
"""How often the calls of a batch that came too soon, behind others that did not, are asked again."""
MAX_QUANTITY_DIGITS: Final = 64
SEND_TRANSACTION: Final = "eth_sendRawTransaction"
TAGS: Final = frozenset({"latest", "pending", "finalized", "safe", "earliest"})

_HEAVY: Final = ("eth_getLogs", "eth_getBlockReceipts", "trace_", "debug_")
_TOO_MUCH: Final = frozenset({Refusal.BATCH_TOO_LONG.value, Refusal.UNCLEAR.value, Refusal.NOT_OFFERED.value})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One call and the type that its result decodes to."""

    method: str
    params: tuple[Any, ...] = ()
    into: Any = str

    @property
    def question(self) -> Hashable:
        """Equal for calls that ask the same."""
        return self.method, msgspec.json.encode(self.params), self.into


@dataclass(slots=True)
class _Tries:
    """How often one sequence of calls was asked for again: the whole, and a part, because it came too soon."""

    waits: int = 0
    gaps: int = 0


@lru_cache(maxsize=256)
def _decoder(into: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(into)


class RpcClient:
    """One endpoint. `close()` it; safe to use from many tasks.

    Every method raises `RetryableError` when the endpoint cannot be reached, wants to be left alone or answers
    nonsense, and what `adapters.evm.errors.translate` makes of a JSON-RPC error.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = CALL_TIMEOUT_S,
        calls_per_s: float | None = None,
        observed: RpcMetrics | None = None,
    ) -> None:
        self.url = url
        self.batches = LearntLimit(MAX_BATCH_CALLS)
        """How many calls it takes in one request."""
        self.ranges = LearntLimit(MAX_BATCH_CALLS)
        """Over how many blocks it looks for logs; see `adapters.evm.logs`."""
        self.learning = asyncio.Lock()
        """Held while a length is tried that was not answered yet."""
        self.receipt_failures = 0
        """How often in a row it did not answer for receipts; see `adapters.evm.logs`."""
        self._observed = observed
        self._limit = RateLimit(calls_per_s)
        self._pace = Pace()
        self._transport = HttpTransport(url, timeout_s)
        self._shared = SharedRequests()

    async def close(self) -> None:
        await self._transport.close()

    async def call(self, method: str, *params: Any, into: type[T] | Any = str) -> T:
        """One call, its result decoded into `into` (a msgspec type)."""
        call = Call(method, params, into)

        async def send() -> Any:
            with self._observing(method):
                return await self._one(call)

        if method == SEND_TRANSACTION:
            return cast(T, await send())
        return cast(T, await self._shared.ask(call.question, send))

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Many calls, results in their order. Raise what the first failed call raises."""
        return [_or_raise(result) for result in await self.batch_each(calls)]

    async def batch_each(self, calls: Sequence[Call]) -> list[Any]:
        """As `batch`, but a failed call's place holds its `CausewayError`.

        The calls are answered in their order, so that the first and the last of them can hold the others in a bracket:
        in one request if the endpoint takes that many, otherwise in several, one after the other.
        """
        if not calls:
            return []
        if len(calls) > MAX_BATCH_CALLS:
            raise ValueError(f"a batch holds at most {MAX_BATCH_CALLS} calls")

        async def send() -> list[Any]:
            with self._observing(*(call.method for call in calls)):
                results = await self._all(calls)
            if self._observed is not None:
                for call, result in zip(calls, results, strict=True):
                    if isinstance(result, CausewayError):
                        self._observed.failed(str(self), call.method, result)
            return results

        if any(call.method == SEND_TRANSACTION for call in calls):
            return await send()
        return list(await self._shared.ask(tuple(call.question for call in calls), send))

    async def longest_batch(self, most: int) -> int:
        """Find how many calls, `most` at most, it takes in a request, and remember it in `batches`.

        `eth_chainId` is asked for `most` times at once, and for half as often while that is refused. Return the length
        that was answered, or 0 if none was. Raise `RetryableError` as `batch` does.
        """
        calls, tries = [Call("eth_chainId")] * most, _Tries()
        with self._observing("eth_chainId"):
            for _ in range(most.bit_length() + MAX_RATE_WAITS + MAX_GAPS):
                if self.batches.is_sure(wanted := min(most, self.batches.known)):
                    return wanted
                await self._some(calls, tries)
        return 0

    def _observing(self, *methods: str) -> AbstractContextManager[None]:
        return nullcontext() if self._observed is None else self._observed.calling(str(self), *methods)

    @property
    def gap_s(self) -> float:
        """The time between requests that the endpoint was found to need; 0 if it needs none."""
        return self._pace.gap_s

    def requests_within(self, seconds: float) -> int:
        """Return about how many requests it takes in this time, at the pace learnt of it and by `calls_per_s`."""
        return self._pace.turns_within(seconds, MAX_REQUESTS)

    # --- one call, and many ---

    async def _one(self, call: Call) -> Any:
        waits = 0
        while True:
            try:
                answer = await self._exchange([call], single=True)
                if isinstance(answer, list):
                    if len(answer) != 1:
                        raise RetryableError(
                            f"{self} answered {call.method} with something that is not a JSON-RPC answer"
                        )
                    [answer] = answer
                if number_of(answer.id) != 0 and answer.id is not None:
                    raise RetryableError(f"{self} left {call.method} unanswered: it answered another call")
                result = self._result(call, answer)
            except RetryableError as error:
                if call.method == SEND_TRANSACTION or not self._waits(error, waits):
                    raise
                waits += 1
                continue
            self.batches.took(1)
            return result

    async def _all(self, calls: Sequence[Call]) -> list[Any]:
        results: list[Any] = []
        tries = _Tries()
        while len(results) < len(calls):
            results += await self._some(calls[len(results) :], tries)
        return results

    async def _some(self, calls: Sequence[Call], tries: _Tries) -> list[Any]:
        """Return the results of the first calls, none of them if less, or the same later, is to be asked for."""
        part = calls[: self.batches.size()]
        if len(part) == 1:
            return [await self._alone(part[0])]
        try:
            got, is_cut = await self._part(part)
        except CausewayError as error:
            if self._waits(error, tries.waits):
                tries.waits += 1
                return []
            if isinstance(error, RejectedError) or refusal_in(error) in _TOO_MUCH:
                self.batches.refused(len(part))
                return []
            self.batches.doubted(len(part))
            raise
        if got and len(part) > 1 and await self._is_refused_whole(part, got):
            self.batches.refused(len(part))
            return []
        if len(got) == len(part):
            self.batches.took(len(part))
            return got
        if is_cut:
            self.batches.refused(len(part))
            return got
        tries.gaps += 1
        if tries.gaps > MAX_GAPS:
            raise RetryableError(f"{self} left {part[len(got)].method} of a batch unanswered: it came too soon")
        return got

    async def _alone(self, call: Call) -> Any:
        """Return what the call gives, or how it is refused; raise if the endpoint does not answer."""
        try:
            return await self._one(call)
        except RejectedError as error:
            return error
        except RetryableError as error:
            if refusal_in(error) and refusal_in(error) != Refusal.RATE_LIMITED:
                return error
            raise

    async def _part(self, calls: Sequence[Call]) -> tuple[list[Any], bool]:
        """The results of the first calls, up to one that was left unanswered (True) or came too soon.

        Raise what a single error for the whole batch stands for.
        """
        answers = await self._exchange(calls)
        if isinstance(answers, RpcAnswer) or is_one_refusal(answers):
            one = answers if isinstance(answers, RpcAnswer) else answers[0]
            if one.error is None:
                raise RetryableError(f"{self} answered a batch with something that is not a JSON-RPC batch")
            raise self._refusal("batch", one.error)
        by_id = self._by_id(answers, len(calls))
        results: list[Any] = []
        for number, call in enumerate(calls):
            answer = by_id.get(number)
            if answer is None:
                return results, True
            try:
                results.append(self._result(call, answer))
            except CausewayError as error:
                if refusal_in(error) == Refusal.RATE_LIMITED:
                    self._pace.refused(None)
                    if not results:
                        raise
                    return results, False
                results.append(error)
        return results, False

    async def _is_refused_whole(self, part: Sequence[Call], results: Sequence[Any]) -> bool:
        """Return true if the batch was refused call by call. One of them alone shows it, if no word does."""
        if not all(isinstance(one, CausewayError) for one in results):
            return False
        kinds = {refusal_in(one) for one in results}
        if Refusal.BATCH_TOO_LONG in kinds:
            return True
        if Refusal.UNCLEAR not in kinds and len(results) == len(part):
            return False
        alone = await self._alone(part[0])
        return not isinstance(alone, CausewayError) or type(alone) is not type(results[0])

    def _by_id(self, answers: Sequence[RpcAnswer], calls: int) -> dict[int, RpcAnswer]:
        """Raise `RetryableError` for two different answers to one call."""
        found: dict[int, RpcAnswer] = {}
        for answer in answers:
            number = number_of(answer.id)
            if number is None or not 0 <= number < calls:
                continue
            known = found.get(number)
            if known is not None and (bytes(known.result), known.error) != (bytes(answer.result), answer.error):
                raise RetryableError(f"{self} answered one call of a batch twice, and not alike")
            found[number] = answer
        return found

    def _waits(self, error: CausewayError, waits: int) -> bool:
        """Return true if a request that came too soon is to be made again, once its turn has come."""
        return (
            refusal_in(error) == Refusal.RATE_LIMITED
            and waits < MAX_RATE_WAITS
            and self._pace.pause_s <= MAX_RATE_WAIT_S
        )

    # --- results ---

    def _result(self, call: Call, answer: RpcAnswer) -> Any:
        if answer.error is not None:
            error = self._refusal(call.method, answer.error)
            if isinstance(error, NotFoundError) and any(isinstance(one, str) and one in TAGS for one in call.params):
                # Every node has such a block, or will have: one that says otherwise lags behind, or still starts.
                raise RetryableError(error.message, refusal=Refusal.BLOCK_UNKNOWN.value)
            if refusal_in(error) == Refusal.RATE_LIMITED and call.method != SEND_TRANSACTION:
                self._pace.refused(None)
            raise error
        try:
            return _decoder(call.into).decode(answer.result)
        except NO_JSON as error:
            raise RetryableError(
                f"{self} answered {call.method} in a shape that the method does not have: "
                f"{printable(str(error))[:MAX_MESSAGE_CHARS]}"
            ) from error

    def _refusal(self, method: str, error: Any) -> CausewayError:
        """The error that the `error` of an answer stands for, however it is shaped."""
        if not isinstance(error, dict):
            return translate(method, 0, error if isinstance(error, str) else "")
        code, message = error.get("code"), error.get("message")
        return translate(
            method,
            code if isinstance(code, int) and not isinstance(code, bool) else number_of(code) or 0,
            message if isinstance(message, str) else "",
            error.get("data"),
        )

    # --- requests ---

    async def _exchange(self, calls: Sequence[Call], single: bool = False) -> list[RpcAnswer] | RpcAnswer:
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}
            for number, call in enumerate(calls)
        ]
        cost = sum(call.method != SEND_TRANSACTION for call in calls)
        if cost:
            await self._turn(cost)
        body = msgspec.json.encode(requests[0] if single else requests)
        reply = await self._transport.post(body, _most_bytes(calls))
        status, asked_s, raw = reply.status, reply.retry_after_s, reply.body
        answers: list[RpcAnswer] | RpcAnswer | None = None
        try:
            answers = decoded(raw)
        except NO_JSON as error:
            if status == 200:
                what = f"{calls[0].method} with something other than JSON-RPC" if single else "a batch with no JSON-RPC"
                raise RetryableError(f"{self} answered {what}") from error
        if status == 429 or (status == 503 and asked_s is not None):
            if cost:
                self._pace.refused(asked_s)
            raise RetryableError(
                f"{self} answered HTTP {status}: it is asked too often; set its calls_per_s",
                status=status,
                refusal=Refusal.RATE_LIMITED.value,
            )
        if status != 200 and (answers is None or not refuses(answers)):
            self._refuse(status, raw)
        self._pace.answered()
        assert answers is not None
        return answers

    def _refuse(self, status: int, raw: bytes) -> NoReturn:
        """Raise the error that an HTTP status without a JSON-RPC error in its body stands for."""
        said = printable(raw[:MAX_REASON_CHARS].decode(errors="replace"))
        text = f"{self} answered HTTP {status}" + (f": {said}" if said else "")
        if status in (401, 403):
            raise RetryableError(f"{text}; correct the key in its url", status=status)
        if status in (404, 405):
            raise RetryableError(f"{text}; is its url right?", status=status, refusal=Refusal.UNCLEAR.value)
        if status >= 500 and status != 501:
            raise RetryableError(text, status=status)
        raise UnclearRefusalError(text, status=status, refusal=Refusal.UNCLEAR.value)

    async def _turn(self, cost: int) -> None:
        """Return when the request may be made. Raise `RetryableError` while the endpoint wants to be left alone."""
        if self._pace.pause_s > MAX_RATE_WAIT_S:
            raise RetryableError(
                f"{self} asks to wait {self._pace.pause_s:.0f} s more: it was asked too often; set its calls_per_s",
                refusal=Refusal.RATE_LIMITED.value,
            )
        await self._limit.wait(cost)
        delay_s = self._pace.turn_s()
        if delay_s:
            await asyncio.sleep(delay_s)

    def __str__(self) -> str:
        """The endpoint without path and query, where providers put their keys."""
        return origin(self.url)

    __repr__ = __str__


def _most_bytes(calls: Sequence[Call]) -> int:
    for call in calls:
        if call.method.startswith(_HEAVY) or (call.method.startswith("eth_getBlockBy") and call.params[-1] is True):
            return MAX_ANSWER_BYTES
    return min(MAX_ANSWER_BYTES, SMALL_ANSWER_BYTES + BYTES_A_CALL * len(calls))


def quantity(text: str) -> int:
    """A number below 2**256 (`0x…`), or a word of storage. Raise `RetryableError` for anything else."""
    digits = text[2:]
    if text[:2] in ("0x", "0X") and len(digits) <= MAX_QUANTITY_DIGITS and digits.isascii() and digits.isalnum():
        with suppress(ValueError):
            return int(digits, 16)
    raise RetryableError("an endpoint answered with something that is not a number")


def data_bytes(text: str) -> bytes:
    """Bytes of `0x…`. Raise `RetryableError` if an endpoint answered something else."""
    try:
        return bytes.fromhex(text[2:] if text[:2] in ("0x", "0X") else text)
    except ValueError as error:
        raise RetryableError("an endpoint answered with something that is not hex") from error


def _or_raise(result: Any) -> Any:
    if isinstance(result, CausewayError):
        raise result
    return result
