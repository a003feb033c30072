"""The newest and the finalized block: pushed if the endpoint pushes, and always polled as well.

A subscription only wakes the poll: what is yielded was always asked for, so a subscription that dies, repeats itself or
lies about a head costs nothing but time.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import aiohttp
import msgspec

from adapters.evm.decode import Number, RawHeader, header_of
from adapters.evm.endpoints import Endpoints
from adapters.evm.errors import MAX_REASON_CHARS, printable
from adapters.evm.rpc import Call
from adapters.observed import origin, reason_of
from core.model.errors import CausewayError, FatalError, NotYetFinalError, RetryableError
from core.model.facts import BlockHeader, HeadUpdate
from core.model.types import ChainId, Height
from core.runtime.logging import get_logger

POLL_S: Final = 1.0
"""How long a head may go unnoticed, at most, when nothing pushes; the subscription makes it faster."""
POLL_FLOOR_S: Final = 0.2
"""Nobody is asked more often than this, however fast the chain is."""
POLLS_PER_BLOCK: Final = 2
"""Chosen so that a block which a dead subscription hides is seen half a block later, and the rest of the second block
time is left for `PATIENCE_POLLS`."""
POLL_GAPS: Final = 5
"""Requests that an endpoint is left for other things from one poll to the next."""
PATIENCE_POLLS: Final = 0.5
"""The time, in polls, that a subscription has to push a block that a poll has seen. Then it is dead: it is reopened."""
RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 2.0
"""How long to wait after an endpoint did not give its head; it doubles from the first to the second of these."""
LOUD_FAILURES: Final = 5
"""How many in a row are logged."""
SUBSCRIBE_RETRY_S: Final = 2.0
MAX_SUBSCRIBE_RETRY_S: Final = 600.0
"""A subscription that is refused, breaks or stays silent is asked for again after these; the wait doubles each time,
and falls back with the first block that one pushes."""
SUBSCRIBE_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 1.0
HEARTBEAT_S: Final = 20.0
MAX_PUSH_BYTES: Final = 1024 * 1024

_HEADER: Final = RawHeader | None

log = get_logger("adapters.evm.heads")


def poll_every_s(block_time_s: float) -> float:
    """How often to ask a chain with such blocks for its head."""
    return max(POLL_FLOOR_S, min(POLL_S, block_time_s / POLLS_PER_BLOCK))


class EvmHeadSource:
    """`HeadSource` for one chain; endpoints without WebSocket are only polled. `expect` gets each head of the stream
    just before the stream yields it."""

    def __init__(
        self,
        chain: ChainId,
        endpoints: Endpoints,
        poll_s: float = POLL_S,
        expect: Callable[[BlockHeader], None] = lambda _: None,
    ) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._poll_s = poll_s
        self._expect = expect

    async def head(self) -> HeadUpdate:
        """Ask now. Finalized never stands above the head: while a branch is replaced, nodes say so."""
        latest, finalized = await self._endpoints.batch(
            [Call("eth_getBlockByNumber", (tag, False), _HEADER) for tag in ("latest", "finalized")]
        )
        if latest is None or finalized is None:
            which = "latest" if latest is None else "finalized"
            raise RetryableError(
                f"an endpoint of {self._chain} has no {which} block: it still starts, or its client is too old"
            )
        head = header_of(self._chain, latest)
        final = header_of(self._chain, finalized)
        return HeadUpdate(head, final if final.height <= head.height else head)

    async def final_block(self, height: Height) -> BlockHeader:
        """See the port; a quorum is what `adapters.endpoints` makes of several."""
        finalized, raw = await self._endpoints.batch(
            [Call("eth_getBlockByNumber", (at, False), _HEADER) for at in ("finalized", hex(height))]
        )
        if finalized is None:
            raise RetryableError("the endpoint knows no finalized block")
        final = header_of(self._chain, finalized).height
        if raw is None or height > final:
            raise NotYetFinalError(f"{self._chain} is final up to {final}, not {height}", finalized=final)
        return header_of(self._chain, raw)

    async def heads(self) -> AsyncGenerator[HeadUpdate]:
        """See the port. Ends only by being closed."""
        pushed = asyncio.Event()
        subscriptions = [_Subscription(url, pushed) for url in self._endpoints.ws_urls]
        last: HeadUpdate | None = None
        seen_s, failures = 0.0, 0
        try:
            while True:
                pushed.clear()
                # Of an endpoint that takes few requests, polls take no more than a share.
                wait_s = max(self._poll_s, POLL_GAPS * max(client.gap_s for client in self._endpoints.clients))
                try:
                    update = await self.head()
                except FatalError:
                    raise
                except CausewayError as error:
                    failures += 1
                    wait_s = min(MAX_RETRY_S, RETRY_S * 2 ** min(failures - 1, 10))
                    if failures == LOUD_FAILURES:
                        log.warning("heads cannot be read", chain=self._chain, error=error.message)
                else:
                    failures = 0
                    now_s = asyncio.get_running_loop().time()
                    if last is None or update.head != last.head:
                        seen_s = now_s
                    if update != last:
                        last = update
                        self._expect(update.head)
                        yield update
                    patience_s = self._poll_s * PATIENCE_POLLS
                    for one in subscriptions:
                        if one.is_behind(update.head.height):
                            wait_s = min(wait_s, patience_s)
                            if now_s - seen_s >= patience_s:
                                one.reopen()
                # Not wait_for: before Python 3.12 it may swallow a cancellation that comes as the wait ends.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await pushed.wait()
        finally:
            await asyncio.gather(*(one.close() for one in subscriptions))


async def check_subscription(url: str) -> str:
    """Why an endpoint gives no subscription to new heads, "" if it gives one."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
    try:
        async with (
            asyncio.timeout(SUBSCRIBE_TIMEOUT_S),
            aiohttp.ClientSession() as session,
            session.ws_connect(url, max_msg_size=MAX_PUSH_BYTES) as socket,
        ):
            await socket.send_json(request)
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return "it hangs up"
            return _refusal(message.data)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return printable(str(error))[:MAX_REASON_CHARS] or type(error).__name__


def _refusal(data: str) -> str:
    """Why a subscription is refused, "" if it is not."""
    try:
        error = _push.decode(data).error
    except _NO_PUSH:
        return ""
    if error is None:
        return ""
    said = error.get("message") if isinstance(error, dict) else error
    return f"refused: {printable(str(said))[:MAX_REASON_CHARS]}"


class _PushedHeader(msgspec.Struct):
    number: Number


class _PushedParams(msgspec.Struct):
    result: _PushedHeader


class _Push(msgspec.Struct):
    """A message of eth_subscribe's newHeads; the answer to the subscription itself has no `params`."""

    params: _PushedParams | None = None
    error: Any = None


_push: Final = msgspec.json.Decoder(_Push)


class _Subscription:
    """newHeads of one endpoint, kept open for ever; it sets `pushed` at everything that it hears.

    A connection may die without being closed. It is dead, and not just idle, if a poll saw a block that the open
    subscription did not push. One that is refused is asked for seldom: polling goes on.
    """

    def __init__(self, url: str, pushed: asyncio.Event) -> None:
        self._url = url
        self._pushed = pushed
        self._stands = False
        self._newest_pushed: int | None = None
        self._failures = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._running = asyncio.create_task(self._run(0.0))

    def is_behind(self, height: int) -> bool:
        """Return true if it has not pushed the block at `height`, which is there. A block before its opening counts as
        pushed."""
        if not self._stands:
            return False
        if self._newest_pushed is None:
            self._newest_pushed = height
        return self._newest_pushed < height

    def reopen(self) -> None:
        """Leave the connection to die by itself, and open another: at once if this one ever pushed a block."""
        log.warning("a subscription pushes no new blocks: it is opened again", endpoint=origin(self._url))
        old, self._stands = self._running, False
        self._closing.add(old)
        old.add_done_callback(self._closing.discard)
        old.cancel()
        self._failures += 1
        self._running = asyncio.create_task(self._run(0.0 if self._failures == 1 else self._retry_s()))

    async def close(self) -> None:
        tasks = [self._running, *self._closing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _retry_s(self) -> float:
        return min(MAX_SUBSCRIBE_RETRY_S, SUBSCRIBE_RETRY_S * 2.0 ** min(max(0, self._failures - 1), 10))

    async def _run(self, first_s: float) -> None:
        await asyncio.sleep(first_s)
        async with aiohttp.ClientSession() as session:
            while True:
                reason = "it was closed"
                try:
                    reason = await self._listen(session)
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                    reason = printable(reason_of(error))
                self._stands = False
                self._failures += 1
                if self._failures == LOUD_FAILURES:
                    log.warning(
                        "no subscription: heads are polled",
                        endpoint=origin(self._url),
                        reason=reason[:MAX_REASON_CHARS],
                    )
                await asyncio.sleep(self._retry_s())

    async def _listen(self, session: aiohttp.ClientSession) -> str:
        """Listen until the connection ends. Return why it did."""
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
        timeout = aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S)
        async with asyncio.timeout(SUBSCRIBE_TIMEOUT_S):
            socket = await session.ws_connect(
                self._url, max_msg_size=MAX_PUSH_BYTES, heartbeat=HEARTBEAT_S, timeout=timeout
            )
        try:
            await socket.send_json(request)
            async with asyncio.timeout(SUBSCRIBE_TIMEOUT_S):
                message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT and (refused := _refusal(message.data)):
                return refused
            self._newest_pushed, self._stands = None, True
            while message.type is aiohttp.WSMsgType.TEXT:
                self._heard(message.data)
                message = await socket.receive()
            return f"it ended with {message.type.name}"
        finally:
            await socket.close()

    def _heard(self, data: str) -> None:
        self._pushed.set()
        with contextlib.suppress(*_NO_PUSH):
            push = _push.decode(data)
            if push.params is not None:
                self._newest_pushed = int(push.params.result.number, 16)
                self._failures = 0


_NO_PUSH: Final = (msgspec.MsgspecError, RecursionError, ValueError)
