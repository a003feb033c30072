"""A relayer's API over HTTP and WebSocket: typed and thin. What its answers are worth, others check."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from core.model.errors import (
    CausewayError,
    ConflictError,
    DisagreementError,
    GateClosedError,
    MalformedIdentifierError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    RetryableError,
    TooManyError,
)
from core.runtime.server_events import END, ServerEvent, read_events
from core.runtime.web.problems import TYPE_PREFIX
from relayer.api.bodies import (
    ChainBody,
    ChallengeBody,
    ChallengeCall,
    PairBody,
    QuoteBody,
    QuoteCall,
    RelayerBody,
    RestoreCall,
    RestoredBody,
    SocketAnswer,
    SocketCall,
    SwapBody,
    SwapCall,
    SwapsQuery,
    TransactionCall,
    WalletTransactionBody,
    WatchCall,
    WebhookBody,
    WebhookCall,
)
from relayer.api.query_bodies import MAX_WAIT_S, QueriesBody, QueriesCall, QueryBody
from relayer.api.subscription_bodies import SubscriptionBody, SubscriptionCall
from relayer.asking.caller_queries import PROOF_TIMEOUT_S

T = TypeVar("T")

TIMEOUT_S: Final = 15.0
QUERY_TIMEOUT_S: Final = TIMEOUT_S + PROOF_TIMEOUT_S + MAX_WAIT_S
HEARTBEAT_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
MAX_TOLD_CHARS: Final = 1_000
"""Of what a relayer says in its own words."""
SILENCE_S: Final = 60.0
"""Seconds without a byte after which a stream is lost: a sign of life comes every 15 seconds."""
NO_CONTENT: Final = 204
EVERY_SWAP: Final = "*"
CHANNEL: Final = "swap.update"

_KINDS: Final[dict[str, type[CausewayError]]] = {
    kind.code: kind
    for kind in (
        NotFoundError,
        ConflictError,
        GateClosedError,
        MalformedIdentifierError,
        NotYetFinalError,
        DisagreementError,
        TooManyError,
        RejectedError,
    )
}


class Refused(RejectedError):
    """The API refuses for a reason of its own; `fields['problem']` is its machine code."""

    code = "refused"


class RelayerApi:
    """One relayer's API at `url`, such as `http://127.0.0.1:8080`. Use it as `async with`, or `close` it.

    Every call raises `RetryableError` if the relayer does not answer or is too busy, and the error that its problem
    document stands for if it refuses, with the document's other members in `fields`.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession | None = None) -> None:
        self._url = url.rstrip("/")
        self._session = session
        self._own = session is None

    async def __aenter__(self) -> "RelayerApi":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._own and self._session is not None:
            await self._session.close()
            self._session = None

    async def relayer(self) -> RelayerBody:
        return await self._call("GET", "/v1/relayer", RelayerBody)

    async def chains(self) -> list[ChainBody]:
        return await self._call("GET", "/v1/chains", list[ChainBody])

    async def pairs(self) -> list[PairBody]:
        return await self._call("GET", "/v1/pairs", list[PairBody])

    async def quote(self, call: QuoteCall) -> QuoteBody:
        return await self._call("POST", "/v1/quotes", QuoteBody, call)

    async def open_swap(self, call: SwapCall) -> SwapBody:
        """The same call again answers the same swap."""
        return await self._call("POST", "/v1/swaps", SwapBody, call)

    async def swap(self, swap_id: str) -> SwapBody:
        return await self._call("GET", f"/v1/swaps/{quote(swap_id, safe='')}", SwapBody)

    async def swaps(self, query: SwapsQuery | None = None) -> list[SwapBody]:
        given = msgspec.to_builtins(query or SwapsQuery())
        ids = given.pop("id")
        words = [(name, _word(value)) for name, value in given.items() if value is not None]
        words += [("id", swap_id) for swap_id in ids]
        return await self._call("GET", "/v1/swaps", list[SwapBody], query=words)

    async def transaction(self, swap_id: str, call: TransactionCall) -> WalletTransactionBody:
        """An unsigned transaction of the swap: compare it with the terms before a wallet signs it."""
        path = f"/v1/swaps/{quote(swap_id, safe='')}/transactions"
        return await self._call("POST", path, WalletTransactionBody, call)

    async def challenge(self, account: str) -> ChallengeBody:
        """The statement that the account signs to show that its holder asks."""
        return await self._call("POST", "/v1/challenges", ChallengeBody, ChallengeCall(account=account))

    async def restore(self, call: RestoreCall) -> RestoredBody:
        """All swaps of an account whose holder asks."""
        return await self._call("POST", "/v1/restore", RestoredBody, call)

    async def webhook(self, swap_id: str, call: WebhookCall) -> WebhookBody:
        """Have changes of the swap posted to an address."""
        return await self._call("POST", f"/v1/swaps/{quote(swap_id, safe='')}/webhooks", WebhookBody, call)

    async def queries(self, call: QueriesCall) -> QueriesBody:
        """Evidence for questions to chains. Verify it (`relayer.client.ProvenQueries` does): nothing here is proven."""
        return await self._call("POST", "/v1/queries", QueriesBody, call, timeout_s=QUERY_TIMEOUT_S)

    async def begin_query(self, call: QueriesCall) -> QueryBody:
        """A query that the relayer keeps open: follow it with `query_events`."""
        return await self._call("POST", "/v1/queries", QueryBody, call, headers={"Prefer": "respond-async"})

    async def query(self, query_id: str) -> QueryBody:
        """A query and its answers so far."""
        return await self._call("GET", f"/v1/queries/{quote(query_id, safe='')}", QueryBody)

    async def delete_query(self, query_id: str) -> QueryBody:
        """Want no answer any more: the query goes. Return it as it was."""
        return await self._call("DELETE", f"/v1/queries/{quote(query_id, safe='')}", QueryBody)

    async def subscribe(self, call: SubscriptionCall) -> SubscriptionBody:
        """Follow questions: see `subscription_events`."""
        return await self._call("POST", "/v1/subscriptions", SubscriptionBody, call)

    async def subscription(self, subscription_id: str) -> SubscriptionBody:
        return await self._call("GET", f"/v1/subscriptions/{quote(subscription_id, safe='')}", SubscriptionBody)

    async def unsubscribe(self, subscription_id: str) -> SubscriptionBody:
        return await self._call("DELETE", f"/v1/subscriptions/{quote(subscription_id, safe='')}", SubscriptionBody)

    def query_events(self, query_id: str, last: str = "") -> AsyncGenerator[ServerEvent, None]:
        """The events of a query behind the event `last`. Ends with the event `end`, or at once if that is behind us;
        raises `RetryableError` when the connection is lost before."""
        return self._events(f"/v1/queries/{quote(query_id, safe='')}/events", last)

    def subscription_events(self, subscription_id: str, last: str = "") -> AsyncGenerator[ServerEvent, None]:
        """The events of a subscription, as `query_events`."""
        return self._events(f"/v1/subscriptions/{quote(subscription_id, safe='')}/events", last)

    async def watch(self, call: WatchCall) -> SwapBody:
        """Register a swap of two other parties with this relayer's watchtower; again is harmless."""
        return await self._call("POST", "/v1/watches", SwapBody, call)

    async def updates(self, swap_ids: Collection[str] = (EVERY_SWAP,)) -> AsyncIterator[SwapBody]:
        """These swaps as they are now (not with `*`) and whenever they change. A hint: the chains are what counts.

        Ends with a `RetryableError` when the connection is lost; close the iterator to unsubscribe.
        """
        try:
            async with self._http().ws_connect(
                f"{self._url}/v1/ws", heartbeat=HEARTBEAT_S, max_msg_size=MAX_ANSWER_BYTES
            ) as socket:
                call = SocketCall(op="subscribe", channel=CHANNEL, args=tuple(swap_ids))
                await socket.send_str(msgspec.json.encode(call).decode())
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    answer = _decoded(message.data.encode(), SocketAnswer)
                    if answer.problem is not None:
                        raise _refusal(dict(answer.problem))
                    for swap in answer.swaps:
                        yield swap
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RetryableError(f"{self._url} does not answer: {error}") from error
        raise RetryableError(f"{self._url} has closed the connection")

    async def _call(
        self,
        method: str,
        path: str,
        into: type[T],
        body: msgspec.Struct | None = None,
        query: Any = None,
        timeout_s: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        data = None if body is None else msgspec.json.encode(body)
        headers = {**(headers or {}), **({"Content-Type": "application/json"} if data is not None else {})}
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._http().request(method, self._url + path, data=data, headers=headers, params=query) as response,
            ):
                raw = await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise RetryableError(f"the relayer at {self._url} does not answer: {reason}") from error
        if response.status >= 400:
            raise _refusal(_document(raw, response.status))
        return _decoded(raw, into)

    async def _events(self, path: str, last: str) -> AsyncGenerator[ServerEvent, None]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        timeout = aiohttp.ClientTimeout(sock_connect=TIMEOUT_S, sock_read=SILENCE_S)
        try:
            async with self._http().get(self._url + path, headers=headers, timeout=timeout) as response:
                if response.status == NO_CONTENT:
                    return
                if response.status >= 400:
                    raise _refusal(_document(await _bounded(response), response.status))
                async for event in read_events(response.content.iter_any(), MAX_ANSWER_BYTES):
                    yield event
                    if event.name == END:
                        return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise RetryableError(f"the relayer at {self._url} does not answer: {reason}") from error
        raise RetryableError(f"the relayer at {self._url} has closed the stream")

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(64 * 1024):
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise RetryableError(f"the relayer's answer is longer than {MAX_ANSWER_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _decoded(raw: bytes, into: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=into)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RetryableError(f"the relayer's answer cannot be read: {str(error)[:MAX_TOLD_CHARS]}") from None


def _document(raw: bytes, status: int) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    return {**found, "status": status} if isinstance(found, dict) else {"status": status}


def error_of(code: str, detail: str) -> CausewayError:
    """The error that a problem's kind stands for, as far as a client knows it."""
    return _KINDS.get(code, RetryableError)(detail[:MAX_TOLD_CHARS])


def _refusal(problem: dict[str, Any]) -> CausewayError:
    """The error that a problem document stands for. Its members are the relayer's words, whatever they are."""
    code = str(problem.get("type", "")).removeprefix(TYPE_PREFIX)[:MAX_TOLD_CHARS]
    status = problem.get("status")
    message = str(problem.get("detail") or f"the relayer answers with status {status}")[:MAX_TOLD_CHARS]
    if code in _KINDS:
        error = _KINDS[code](message)
    elif isinstance(status, int) and (status >= 500 or status in (408, 429)):
        error = RetryableError(message, problem=code)
    else:
        error = Refused(message, problem=code)
    rest = {name: value for name, value in problem.items() if name not in ("type", "title", "status", "detail")}
    error.fields = {**rest, **error.fields}
    return error


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
