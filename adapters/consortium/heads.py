"""Heads. A block of this chain is final as soon as it is committed, so head and finalized are one."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import structlog

from adapters.consortium.raw_blocks import fetch_block, read_block
from adapters.consortium.rpc import CometRpc, parsed
from core.model.errors import (
    CausewayError,
    NotFoundError,
    NotYetFinalError,
)
from core.model.facts import BlockHeader, HeadUpdate
from core.model.types import ChainId, Height

_log = structlog.get_logger(__name__)

POLL_S: Final = 1.0
"""How often the head is asked for if no notification comes."""
RECONNECT_S: Final = 5.0
"""How long to go on by polling alone before a WebSocket is tried again."""


class ConsortiumHeadSource:
    """`HeadSource`: a subscription hints at news, a poll finds out."""

    def __init__(self, rpc: CometRpc, chain: ChainId, poll_s: float = POLL_S) -> None:
        self._rpc = rpc
        self._chain = chain
        self._poll_s = poll_s
        self._read: tuple[Mapping[str, Any], HeadUpdate] | None = None
        """The last answer about the newest block, and what it says."""

    async def head(self) -> HeadUpdate:
        answer = await self._rpc.call("block")
        if self._read is None or answer != self._read[0]:  # a head is asked for far more often than it changes
            header = parsed(lambda: read_block(self._chain, answer).block_header())
            self._read = answer, HeadUpdate(header, header)
        return self._read[1]

    async def final_block(self, height: Height) -> BlockHeader:
        """See the port; what is committed is final."""
        try:
            block = await fetch_block(self._rpc, self._chain, height)
        except NotFoundError as error:
            raise NotYetFinalError(error.message) from error
        return parsed(block.block_header)

    async def heads(self) -> AsyncIterator[HeadUpdate]:
        last: HeadUpdate | None = None
        while True:
            try:
                async with self._rpc.new_blocks() as news:
                    while True:
                        update = await self.head()
                        if update != last:
                            last = update
                            yield update
                        await news.next(self._poll_s)
            except CausewayError as error:
                _log.info(
                    "no subscription to new blocks, they are polled", endpoint=self._rpc.origin, reason=str(error)
                )
            loop = asyncio.get_running_loop()
            reconnect_at = loop.time() + RECONNECT_S
            while loop.time() < reconnect_at:
                polled = await self._head_or_none()
                if polled is not None and polled != last:
                    last = polled
                    yield polled
                await asyncio.sleep(self._poll_s)

    async def _head_or_none(self) -> HeadUpdate | None:
        try:
            return await self.head()
        except CausewayError:
            return None
