"""A committed block for subscribers: CometBFT's events with their data and their tags.

Go leaves out of an event's data what is zero or empty there, other than in the answers to calls.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from core.model.consortium import event_to_attributes, transaction_hash
from core.proofs.cometbft import json as comet_json
from local_chains.consortium.engine.feed import CommittedBlock
from local_chains.consortium.engine.rendering import result_to_json
from local_chains.consortium.ledger.execution import Result
from local_chains.consortium.ledger.members import ValidatorUpdate

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """`tags` as a query sees them, and the data that a subscriber gets."""

    tags: dict[str, list[str]]
    make: Callable[[], dict[str, Any]]
    """Return the data: most events are nobody's, so it is made for those that a query matches."""


NEW_BLOCK: Final = {"tm.event": ["NewBlock"]}
"""The tags of the one event that has all results of a block in it."""


def published_events(committed: CommittedBlock, results: bytes | None) -> Iterator[PublishedEvent]:
    """In CometBFT's order: the block, its header, its events, then every entry, the clock included, and at last the
    validators that changed. `results` is the block's `results_json`, None if nobody wants the first of these."""
    if results is not None:
        yield _new_block(committed, _members(results))
    yield _event("NewBlockHeader", {"header": comet_json.header_to_json(committed.block.header)})
    counts = {"height": str(committed.height), "events": None, "num_txs": str(len(committed.block.txs))}
    yield _event("NewBlockEvents", counts)
    for index, (raw, result) in enumerate(zip(committed.block.txs, committed.results, strict=True)):
        tags = tx_tags(committed.height, raw, result) | {"tm.event": ["Tx"]}
        yield PublishedEvent(tags, partial(_tx_data, committed.height, index, raw, result))
    updates = committed.validator_updates
    if updates:
        yield _event("ValidatorSetUpdates", {"validator_updates": [_validator(update) for update in updates]})


def _validator(update: ValidatorUpdate) -> dict[str, Any]:
    """A validator whose power changed, 0 for one that leaves; nobody's turn is known yet."""
    return {
        "address": comet_json.bytes_to_hex(update.public_key.address),
        "pub_key": comet_json.public_key_to_json(update.public_key),
        "voting_power": str(update.power),
        "proposer_priority": "0",
    }


def tx_tags(height: int, raw: bytes, result: Result) -> dict[str, list[str]]:
    """Return what a query sees of one transaction."""
    tags = {"tx.hash": [comet_json.bytes_to_hex(transaction_hash(raw))], "tx.height": [str(height)]}
    for event in result.events:
        kind, attributes = event_to_attributes(event)
        for key, value in attributes.items():
            tags.setdefault(f"{kind}.{key}", []).append(value)
    return tags


def _new_block(committed: CommittedBlock, results: dict[str, msgspec.Raw]) -> PublishedEvent:
    updates = results["validator_updates"]
    outcome = {
        "tx_results": results["txs_results"],
        "validator_updates": None if bytes(updates) == b"[]" else updates,
        "app_hash": results["app_hash"],
    }
    return _event("NewBlock", _members(committed.stored.block) | {"result_finalize_block": outcome})


def _event(name: str, value: dict[str, Any]) -> PublishedEvent:
    data = {"type": f"tendermint/event/{name}", "value": value}
    return PublishedEvent({"tm.event": [name]}, lambda: data)


def _tx_data(height: int, index: int, raw: bytes, result: Result) -> dict[str, Any]:
    shown = msgspec.to_builtins(result_to_json(result))
    found = {
        "height": str(height),
        **({"index": index} if index else {}),
        "tx": comet_json.bytes_to_base64(raw),
        "result": {name: value for name, value in shown.items() if value and value != "0"},
    }
    return {"type": "tendermint/event/Tx", "value": {"TxResult": found}}
