"""Blocks with what their transactions did: the `BlockSource` of a consortium chain."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from adapters.consortium.facts import fact_of
from adapters.consortium.raw_blocks import RawBlock, fetch_block
from adapters.consortium.results import BlockResults
from adapters.consortium.rpc import CometRpc, parsed
from core.model.consortium import event_from_attributes, transaction_hash
from core.model.errors import (
    RejectedError,
    ReorgedError,
)
from core.model.facts import Block, BlockHeader, ChainEvent, LoggedEvent
from core.model.types import ChainId, Height
from core.proofs.cometbft.json import list_from_json, object_from_json
from core.runtime.signals import side_by_side

MAX_BLOCK_RANGE: Final = 100
MAX_EVENTS: Final = 10_000
MAX_ATTRIBUTES: Final = 32


class ConsortiumBlockSource:
    """`BlockSource`."""

    def __init__(self, rpc: CometRpc, chain: ChainId, results: BlockResults) -> None:
        self._rpc = rpc
        self._chain = chain
        self._results = results

    async def header(self, at: Height | bytes) -> BlockHeader:
        block = await fetch_block(self._rpc, self._chain, at)
        return parsed(block.block_header)

    async def blocks(self, first: Height, last: Height) -> Sequence[Block]:
        if not 0 <= last - first < MAX_BLOCK_RANGE:
            raise RejectedError(f"ask for 1 to {MAX_BLOCK_RANGE} blocks, first to last")
        blocks = await side_by_side(self._block(Height(height)) for height in range(first, last + 1))
        for older, newer in pairwise(blocks):
            if newer.header.parent_hash != older.header.ref.hash:
                raise ReorgedError(f"{self._chain} at {newer.header.height} does not follow the block before")
        return blocks

    async def _block(self, height: Height) -> Block:
        raw = await fetch_block(self._rpc, self._chain, height)
        outcomes = await self._results.of(raw)
        return parsed(lambda: Block(raw.block_header(), _events(raw, outcomes)))


def _events(raw: RawBlock, outcomes: Sequence[Mapping[str, Any]]) -> tuple[LoggedEvent, ...]:
    happened = [
        (transaction_hash(entry), fact)
        for entry, outcome in zip(raw.entries, outcomes, strict=True)
        for fact in _facts(raw.chain, outcome)
    ]
    return tuple(LoggedEvent(raw.ref, tx_hash, index, fact) for index, (tx_hash, fact) in enumerate(happened))


def _facts(chain: ChainId, outcome: Mapping[str, Any]) -> list[ChainEvent]:
    facts = []
    for raw in list_from_json(outcome.get("events"), MAX_EVENTS):
        fields = object_from_json(raw)
        attributes = [object_from_json(entry) for entry in list_from_json(fields.get("attributes"), MAX_ATTRIBUTES)]
        named = {str(entry["key"]): str(entry.get("value") or "") for entry in attributes}
        event = event_from_attributes(str(fields.get("type")), named)
        fact = None if event is None else fact_of(chain, event)
        if fact is not None:
            facts.append(fact)
    return facts
