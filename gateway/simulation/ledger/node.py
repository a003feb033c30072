"""A node as one endpoint offers it: CometBFT's RPC in this process, through the envelopes, parsers and methods that
ship; late, silent, behind, or without some of its indices, as the endpoint is.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Final

from adapters.consortium.rpc import CALL_TIMEOUT_S
from adapters.consortium.transport import News, Reply
from adapters.memory import Endpoint
from core.model.errors import RetryableError
from gateway.simulation.ledger.engine import TownEngine
from local_chains.consortium.engine.rendering import encode
from local_chains.consortium.rpc.envelopes import answer_body
from local_chains.consortium.rpc.errors import METHOD_NOT_FOUND, RpcError, internal
from local_chains.consortium.rpc.methods import Methods
from local_chains.consortium.rpc.parameters import Arguments, from_json
from local_chains.consortium.rpc.workshop import Workshop

BROADCAST: Final = "broadcast_tx_sync"
BY_HEIGHT: Final = ("block", "block_results")
_ID: Final = b'{"jsonrpc":"2.0","id":'
_SAME: Final = re.compile(
    re.escape(_ID) + rb'(\d+)(,"method":"(?:block|block_results|abci_query)",.*)', re.DOTALL | re.ASCII
)
"""A request that has one answer for each newest block: its id, and what is asked."""
UNREACHED: Final = 1_000_000
"""More blocks than a story has."""


class Settings(StrEnum):
    """A part of its data that a node's operator has switched off."""

    FULL = "full"
    NO_INDEX = "no-index"
    NO_RESULTS = "no-results"


OFF: Final = {
    Settings.FULL: {},
    Settings.NO_INDEX: dict.fromkeys(("tx", "tx_search"), "transaction indexing is disabled"),
    Settings.NO_RESULTS: {"block_results": "node is not persisting abci responses"},
}
"""CometBFT's answers then, by method."""


class Node:
    """`Transport` to one endpoint's node."""

    def __init__(self, engine: TownEngine, endpoint: Endpoint, settings: Settings) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._settings = settings
        self._methods = Methods(engine, workshop=Workshop(threads=False)).table

    async def close(self) -> None: ...

    async def post(self, body: bytes) -> Reply:
        asked: list[str] = []
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._endpoint.call()
                reply = await self._replied(body, asked)
                if BROADCAST in asked:
                    self._endpoint.reply_to_submission()
                else:
                    await self._endpoint.answer()
        except TimeoutError:
            raise RetryableError("it timed out") from None
        return reply

    async def _replied(self, body: bytes, asked: list[str]) -> Reply:
        """The reply; the methods it is about go into `asked`. What a node with these settings has answered about the
        newest state, all of them answer to whoever asks the same."""
        same = None if self._endpoint.lag_blocks else _SAME.fullmatch(body)
        shown = self._engine.shown
        if same is not None and (known := shown.get((self._settings, same[2]))) is not None:
            return Reply(200, _ID + same[1] + known)

        async def call(method: str, params: bytes | None) -> Any:
            asked.append(method)
            return await self._answer(method, params)

        answered = await answer_body(body, call)
        reply = Reply(answered.status, encode(answered.body))
        if same is not None and reply.body.startswith(_ID + same[1] + b',"result":') and self._engine.shown is shown:
            shown[self._settings, same[2]] = reply.body[len(_ID + same[1]) :]
        return reply

    @asynccontextmanager
    async def subscribe(self, request: bytes) -> AsyncIterator[News]:
        await self._endpoint.call()
        yield _NodeNews(self._engine, self._endpoint)

    async def _answer(self, method: str, params: bytes | None) -> Any:
        if method not in self._methods:
            raise RpcError(METHOD_NOT_FOUND, "")
        if method in OFF[self._settings]:
            self._engine.counts[f"ledger-said-{self._settings}"] += 1
            raise internal(OFF[self._settings][method])
        found = self._methods[method]
        arguments = from_json(found.signature, params)
        if not self._endpoint.lag_blocks:
            return await found.answer(arguments)
        return await self._from_the_past(method, arguments)

    async def _from_the_past(self, method: str, arguments: Arguments) -> Any:
        """The answer of a node that has not got the newest blocks yet."""
        newest = max(1, self._engine.tip.height - self._endpoint.lag_blocks)
        height = arguments.get("height") or newest
        if method in BY_HEIGHT and height > newest:
            raise internal(f"height {height} must be less than or equal to the current blockchain height {newest}")
        if method in BY_HEIGHT or method == "abci_query":
            arguments = arguments | {"height": height if height <= newest else UNREACHED}
        place = await self._engine.find_transaction(arguments.get("hash", b"")) if method == "tx" else None
        if place is not None and place[0] > newest:
            raise internal(f"tx ({arguments['hash'].hex().upper()}) not found")
        stored = await self._engine.find_block(arguments.get("hash", b"")) if method == "block_by_hash" else None
        if stored is not None and stored.height > newest:
            arguments = {}
        return await self._methods[method].answer(arguments)


class _NodeNews:
    """New blocks, as an endpoint reports them: some twice, some never."""

    def __init__(self, engine: TownEngine, endpoint: Endpoint) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._reported = engine.tip.height
        self._again = False

    async def next(self, wait_s: float) -> None:
        if self._again:
            self._again = False
            return
        try:
            async with asyncio.timeout(wait_s):
                while not self._comes():
                    await self._engine.changed.wait()
        except TimeoutError:
            return

    def _comes(self) -> bool:
        height = self._engine.tip.height
        if height == self._reported:
            return False
        self._reported = height
        times = self._endpoint.notifications()
        self._again = times > 1
        return times > 0
