"""`tx_search` and `block_search`: what CometBFT's `kv` indexer answers (CometBFT `state/txindex/kv`, `state/indexer`).

Conditions on attributes must hold in one event, an `=` compares texts, and `tx.hash` decides alone.
"""

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from typing import Final

import msgspec

from core.model.errors import RejectedError
from core.proofs.cometbft import json as comet_json
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.rpc.errors import RpcError, internal
from local_chains.consortium.rpc.event_query import Condition, EventQuery
from local_chains.consortium.rpc.workshop import Workshop
from local_chains.consortium.state.marks import attribute_mark, name_mark
from local_chains.consortium.state.store import StoredBlock

TX_HASH: Final = "tx.hash"
TX_HEIGHT: Final = "tx.height"
BLOCK_HEIGHT: Final = "block.height"
MAX_BLOCKS: Final = 20_000
MAX_FOUND: Final = 1_000_000
MAX_READ_BYTES: Final = 128 * 1024 * 1024
"""The most that one search may read: of blocks whose results have to be looked at, all together."""


class _Attribute(msgspec.Struct):
    key: str
    value: str


class _Event(msgspec.Struct):
    type: str
    attributes: list[_Attribute]


class _TxResult(msgspec.Struct):
    events: list[_Event]


class _Results(msgspec.Struct):
    txs_results: list[_TxResult]
    finalize_block_events: list[_Event]


_results = msgspec.json.Decoder(_Results).decode


async def find_transactions(engine: EmbeddedEngine, workshop: Workshop, query: EventQuery) -> list[tuple[int, int]]:
    """(height, position) of all that match, ascending. Raise `RpcError` if that takes too much reading."""
    for condition in query.conditions:
        if condition.key == TX_HASH:
            return await _by_hash(engine, condition)
    conditions = [condition for condition in query.conditions if condition.key != TX_HEIGHT]
    found: list[tuple[int, int]] = []
    async for stored in _candidates(engine, query, TX_HEIGHT, conditions):
        found += await workshop.run(partial(_transactions_in, stored, conditions))
        if len(found) > MAX_FOUND:
            raise _too_many(TX_HEIGHT)
    return found


def _transactions_in(stored: StoredBlock, conditions: Sequence[Condition]) -> list[tuple[int, int]]:
    return [
        (stored.height, position)
        for position, result in enumerate(_results(stored.results).txs_results)
        if not conditions or _any_event(conditions, result.events)
    ]


async def find_blocks(engine: EmbeddedEngine, workshop: Workshop, query: EventQuery) -> list[int]:
    """Heights of all blocks that match by their height or by events of their own, ascending. Raise `RpcError`."""
    conditions = [condition for condition in query.conditions if condition.key != BLOCK_HEIGHT]
    if not conditions:
        return await _heights(engine, query, BLOCK_HEIGHT, ())
    found = []
    async for stored in _candidates(engine, query, BLOCK_HEIGHT, conditions):
        if await workshop.run(partial(_block_matches, stored, conditions)):
            found.append(stored.height)
    return found


def _block_matches(stored: StoredBlock, conditions: Sequence[Condition]) -> bool:
    return _any_event(conditions, _results(stored.results).finalize_block_events)


async def _by_hash(engine: EmbeddedEngine, condition: Condition) -> list[tuple[int, int]]:
    try:
        place = await engine.find_transaction(comet_json.bytes_from_hex(condition.text))
    except RejectedError as error:
        raise internal(f"error during searching for a hash in the query: {error.message}") from None
    return [] if place is None else [place]


async def _candidates(
    engine: EmbeddedEngine, query: EventQuery, height_key: str, conditions: Sequence[Condition]
) -> AsyncIterator[StoredBlock]:
    """All blocks at the wanted heights whose results may hold the wanted attributes."""
    marks = [
        attribute_mark(condition.key, condition.text) if condition.operator == "=" else name_mark(condition.key)
        for condition in conditions
    ]
    heights = await _heights(engine, query, height_key, marks)
    read = 0
    for height in heights:
        stored = await engine.store.block(height)
        if stored is None:
            continue
        read += len(stored.results)
        if read > MAX_READ_BYTES:
            raise _too_many(height_key)
        yield stored


async def _heights(engine: EmbeddedEngine, query: EventQuery, key: str, marks: Sequence[bytes]) -> list[int]:
    wanted = [condition for condition in query.conditions if condition.key == key]
    first, last = 1, engine.tip.height
    for condition in wanted:
        if condition.number is not None and condition.operator[0] in "=>":
            first = max(first, math.ceil(condition.number))
        if condition.number is not None and condition.operator[0] in "=<":
            last = min(last, math.floor(condition.number))
    found = await engine.store.marked(marks, first, last, MAX_BLOCKS + 1)
    if len(found) > MAX_BLOCKS:
        raise _too_many(key)
    return [height for height in found if all(condition.holds([str(height)]) for condition in wanted)]


def _too_many(height_key: str) -> RpcError:
    return internal(f"this search would have to read too many blocks: narrow the query by {height_key}")


def _any_event(conditions: Sequence[Condition], events: Iterable[_Event]) -> bool:
    return any(_holds_in(conditions, event) for event in events)


def _holds_in(conditions: Sequence[Condition], event: _Event) -> bool:
    values = {f"{event.type}.{attribute.key}": attribute.value for attribute in event.attributes}
    for condition in conditions:
        value = values.get(condition.key)
        if value is None:
            return False
        if condition.operator == "=":
            if value != condition.text:
                return False
        elif not condition.holds([value]):
            return False
    return True
