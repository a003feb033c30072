"""The newest and the finalized block, pushed where the endpoint pushes and polled beside it.

A subscription only wakes the poll: what is yielded was always asked for, so a subscription that dies, repeats itself or
lies about a head costs nothing but time.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

import aiohttp

from adapters.evm.decode import RawHeader, header_of
from adapters.evm.endpoints import Endpoints
from adapters.evm.rpc import Call
from core.model.errors import NotFoundError, RetryableError
from core.model.facts import HeadUpdate
from core.model.types import ChainId

POLL_S: Final = 1.0
"""How long a head may go unnoticed when nothing pushes; the subscription makes it faster."""
RETRY_S: Final = 0.5
SUBSCRIBE_RETRY_S: Final = 2.0
SUBSCRIPTION_SILENCE_S: Final = 60.0
"""A subscription that is silent for so long is opened again."""
MAX_PUSH_BYTES: Final = 1024 * 1024

_HEADER: Final = RawHeader | None


class EvmHeadSource:
    """`HeadSource` for one chain; endpoints without WebSocket are only polled."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, poll_s: float = POLL_S) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._poll_s = poll_s

    async def head(self) -> HeadUpdate:
        """Ask now. Finalized never stands above the head: while a branch is replaced, nodes say so."""
        latest, finalized = await self._endpoints.batch(
            [Call("eth_getBlockByNumber", (tag, False), _HEADER) for tag in ("latest", "finalized")]
        )
        if latest is None or finalized is None:
            raise RetryableError("the endpoint knows no latest or no finalized block")
        head = header_of(self._chain, latest)
        final = header_of(self._chain, finalized)
        return HeadUpdate(head, final if final.height <= head.height else head)

    async def heads(self) -> AsyncGenerator[HeadUpdate]:
        """See the port. Ends only by being closed."""
        pushed = asyncio.Event()
        subscriptions = [asyncio.create_task(_subscribe(url, pushed)) for url in self._endpoints.ws_urls]
        last: HeadUpdate | None = None
        try:
            while True:
                pushed.clear()
                wait_s = self._poll_s
                try:
                    update = await self.head()
                except (RetryableError, NotFoundError):
                    wait_s = RETRY_S
                else:
                    if update != last:
                        last = update
                        yield update
                # Not wait_for: before Python 3.12 it may swallow a cancellation that comes as the wait ends.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await pushed.wait()
        finally:
            for subscription in subscriptions:
                subscription.cancel()
            await asyncio.gather(*subscriptions, return_exceptions=True)


async def _subscribe(url: str, pushed: asyncio.Event) -> None:
    """Keep a newHeads subscription open for ever, and set `pushed` at everything that it says."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.ws_connect(url, max_msg_size=MAX_PUSH_BYTES, heartbeat=20) as socket:
                    await socket.send_json(request)
                    while True:
                        message = await socket.receive(timeout=SUBSCRIPTION_SILENCE_S)
                        if message.type is not aiohttp.WSMsgType.TEXT:
                            break
                        pushed.set()
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(SUBSCRIBE_RETRY_S)
