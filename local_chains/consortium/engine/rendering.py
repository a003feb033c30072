"""Results, blocks and commits in the JSON of CometBFT's RPC."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from core.model.consortium import event_to_attributes
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.types import Block, BlockId, TxResult
from local_chains.consortium.ledger.execution import Result

CODESPACE: Final = "causeway"
encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder().decode


def deterministic(results: Sequence[Result]) -> list[TxResult]:
    """The part of the results that `last_results_hash` covers: logs and events are not in it."""
    return [TxResult(code=int(result.code)) for result in results]


def result_to_json(result: Result) -> dict[str, Any]:
    """An ExecTxResult."""
    return {
        "code": int(result.code),
        "data": None,
        "log": result.log,
        "info": "",
        "gas_wanted": "0",
        "gas_used": "0",
        "events": [_event_to_json(event) for event in result.events],
        "codespace": CODESPACE if result.code else "",
    }


def _event_to_json(event: Any) -> dict[str, Any]:
    kind, attributes = event_to_attributes(event)
    return {
        "type": kind,
        "attributes": [{"key": key, "value": value, "index": True} for key, value in attributes.items()],
    }


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


def events_of(results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All events in an answer of `/block_results`."""
    yield from results["finalize_block_events"]
    for result in results["txs_results"]:
        yield from result["events"]


def block_to_json(block_id: BlockId, block: Block) -> dict[str, Any]:
    """The answer of `/block`."""
    return {"block_id": comet_json.block_id_to_json(block_id), "block": comet_json.block_to_json(block)}
