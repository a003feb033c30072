"""Results, blocks and commits in the JSON of CometBFT's RPC."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from core.model.consortium import LedgerEvent, event_to_attributes
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.types import Block, BlockId, TxResult
from local_chains.consortium.ledger.execution import Result

CODESPACE: Final = "causeway"
encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder().decode


def deterministic(results: Sequence[Result]) -> list[TxResult]:
    """The part of the results that `last_results_hash` covers: logs and events are not in it."""
    return [TxResult(code=int(result.code)) for result in results]


# A block has tens of thousands of these: structs that the collector of cycles does not look at, and no dictionaries.


class AttributeJson(msgspec.Struct, gc=False):
    """An EventAttribute."""

    key: str
    value: str
    index: bool = True


class EventJson(msgspec.Struct, gc=False):
    """An Event."""

    type: str
    attributes: list[AttributeJson]


class ResultJson(msgspec.Struct, gc=False):
    """An ExecTxResult, or a ResponseCheckTx, which has the same members."""

    code: int
    data: None
    log: str
    info: str
    gas_wanted: str
    gas_used: str
    events: list[EventJson]
    codespace: str


def result_to_json(result: Result) -> ResultJson:
    events = [_event_to_json(event) for event in result.events]
    return ResultJson(int(result.code), None, result.log, "", "0", "0", events, CODESPACE if result.code else "")


def _event_to_json(event: LedgerEvent) -> EventJson:
    kind, attributes = event_to_attributes(event)
    return EventJson(kind, [AttributeJson(key, value) for key, value in attributes.items()])


def results_to_json(height: int, results: Sequence[Result], app_hash: bytes) -> dict[str, Any]:
    """The answer of `/block_results`."""
    return {
        "height": str(height),
        "txs_results": [result_to_json(result) for result in results],
        "finalize_block_events": [],
        "validator_updates": [],
        "consensus_param_updates": None,
        "app_hash": comet_json.bytes_to_base64(app_hash),
    }


def attributes_of(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(`type.key`, value) of all attributes of all events in an answer of `/block_results`."""
    for event in results["finalize_block_events"]:
        yield from _attributes(event)
    for result in results["txs_results"]:
        for event in result.events:
            yield from _attributes(event)


def _attributes(event: EventJson) -> Iterator[tuple[str, str]]:
    for attribute in event.attributes:
        yield f"{event.type}.{attribute.key}", attribute.value


def block_to_json(block_id: BlockId, block: Block) -> dict[str, Any]:
    """The answer of `/block`."""
    return {"block_id": comet_json.block_id_to_json(block_id), "block": comet_json.block_to_json(block)}
