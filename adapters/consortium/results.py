"""Results of blocks' entries, from whatever the node keeps of them.

A node with `[storage] discard_abci_responses = true` answers no `block_results`, one with `[tx_index] indexer = "null"`
(or `"psql"`) no `tx_search`. Either is enough for the events of a block (CometBFT v0.38 to v0.40, `state/store.go`,
`state/txindex`).
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from adapters.consortium.raw_blocks import MAX_ENTRIES, RawBlock
from adapters.consortium.rpc import CometRpc, RpcError, bytes_of, parsed
from core.model.errors import NotFoundError, RetryableError
from core.proofs.cometbft.json import integer_from_json, list_from_json, object_from_json

PAGE: Final = 100
"""Transactions that `tx_search` gives at most (CometBFT `rpc/core/env.go`)."""
RESULTS_WAIT_S: Final = 1.0
RESULTS_POLL_S: Final = 0.05
REMEMBER_S: Final = 300.0
"""How long a node that keeps no results is not asked for them: its operator may change the setting."""

NO_RESULTS: Final = "it keeps no results of blocks ([storage] discard_abci_responses = true)"
NO_INDEX: Final = 'it keeps no index of transactions ([tx_index] indexer is not "kv")'
NEITHER: Final = (
    f"{NO_RESULTS} and {NO_INDEX}: what happened in a block cannot be read here. Change one of the settings and sync"
    " the node again, or use another endpoint"
)


class BlockResults:
    """The results of one endpoint's blocks, one object for each entry."""

    def __init__(self, rpc: CometRpc) -> None:
        self._rpc = rpc
        self._without_until_s = 0.0

    async def of(self, block: RawBlock) -> list[Mapping[str, Any]]:
        """In the order of the entries. Raise `RetryableError` if they are not there, or not yet."""
        missing: RpcError | None = None
        if asyncio.get_running_loop().time() >= self._without_until_s:
            try:
                return await self._soon(block)
            except RpcError as error:
                missing = error
            if not isinstance(missing.translated(), NotFoundError):
                self._without_until_s, missing = asyncio.get_running_loop().time() + REMEMBER_S, None
        try:
            return await self.indexed(block)
        except (RpcError, RetryableError) as error:
            if missing is not None:
                sentence = f"the block is there, its results are not yet, or not any more: {missing.message}"
                raise RetryableError(sentence) from None
            if isinstance(error, RetryableError):
                raise
            self._without_until_s = 0.0
            raise RetryableError(f"{self._rpc.origin}: {NEITHER} ({error.message})") from None

    async def _soon(self, block: RawBlock) -> list[Mapping[str, Any]]:
        """As `kept`: a node shows a block a moment before its results."""
        until_s = asyncio.get_running_loop().time() + RESULTS_WAIT_S
        while True:
            try:
                return await self.kept(block)
            except RpcError as error:
                if asyncio.get_running_loop().time() >= until_s or not isinstance(error.translated(), NotFoundError):
                    raise
            await asyncio.sleep(RESULTS_POLL_S)

    async def kept(self, block: RawBlock) -> list[Mapping[str, Any]]:
        """From `block_results`. Raise `RpcError` too."""
        answer = await self._rpc.call_raw("block_results", height=str(block.ref.height))
        return parsed(lambda: _one_per_entry(block, answer.get("txs_results")))

    async def indexed(self, block: RawBlock) -> list[Mapping[str, Any]]:
        """From `tx_search`. Raise `RpcError` too."""
        found: list[Mapping[str, Any]] = []
        for page in range(1, -(-len(block.entries) // PAGE) + 1):
            answer = await self._rpc.call_raw(
                "tx_search",
                query=f"tx.height={block.ref.height}",
                prove=False,
                page=str(page),
                per_page=str(PAGE),
                order_by="asc",
            )
            place = len(found)
            found += parsed(lambda: _page(block, answer, place))  # noqa: B023
        return parsed(lambda: _one_per_entry(block, found))


def _page(block: RawBlock, answer: Mapping[str, Any], place: int) -> list[Mapping[str, Any]]:
    results = []
    for offset, raw in enumerate(list_from_json(answer.get("txs"), PAGE), place):
        found = object_from_json(raw)
        index, height = integer_from_json(found.get("index") or 0), integer_from_json(found.get("height"))
        if (height, index) != (block.ref.height, offset) or bytes_of(found.get("tx")) != block.entries[offset]:
            raise ValueError("the index has other transactions than the block")
        results.append(object_from_json(found.get("tx_result")))
    return results


def _one_per_entry(block: RawBlock, value: Any) -> list[Mapping[str, Any]]:
    outcomes = [object_from_json(each) for each in list_from_json(value, MAX_ENTRIES)]
    if len(outcomes) != len(block.entries):
        raise ValueError("a block has one result per entry")
    return outcomes
