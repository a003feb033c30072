"""Results, blocks and commits in the JSON of CometBFT's RPC."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from core.model.consortium import LedgerEvent, event_to_attributes
from core.model.errors import FatalError
from core.proofs import merkle
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.encoding import encode_tx_result
from core.proofs.cometbft.types import Block, BlockId, KeyKind, TxResult
from local_chains.consortium.ledger.execution import BlockResult, Result
from local_chains.consortium.ledger.members import ValidatorUpdate
from local_chains.consortium.state.store import StoredBlock

CODESPACE: Final = "causeway"
encode: Final = msgspec.json.Encoder().encode
_SUM_TYPES: Final = {
    KeyKind.ED25519: "tendermint.crypto.PublicKey_Ed25519",
    KeyKind.SECP256K1_ETH: "tendermint.crypto.PublicKey_Secp256K1Eth",
}
_SUM_FIELDS: Final = {KeyKind.ED25519: "ed25519", KeyKind.SECP256K1_ETH: "secp256k1eth"}
decode: Final = msgspec.json.Decoder().decode


def results_hash(results: Sequence[Result]) -> bytes:
    """`last_results_hash` of the next header; logs and events are not in it. Most results of a block are alike, and
    each kind is encoded once."""
    encoded: dict[tuple[int, int], bytes] = {}
    leaves = []
    for result in results:
        alike = int(result.code), result.cost
        leaf = encoded.get(alike)
        if leaf is None:
            leaf = encoded[alike] = encode_tx_result(TxResult(alike[0], b"", result.cost, result.cost))
        leaves.append(leaf)
    return merkle.root(leaves)


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
    cost = str(result.cost)
    return ResultJson(int(result.code), None, result.log, "", cost, cost, events, CODESPACE if result.code else "")


def _event_to_json(event: LedgerEvent) -> EventJson:
    kind, attributes = event_to_attributes(event)
    return EventJson(kind, [AttributeJson(key, value) for key, value in attributes.items()])


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A block's effect as it is stored: most results are never asked for, so they are shown when somebody does."""

    results: tuple[Result, ...]
    validator_updates: tuple[ValidatorUpdate, ...]
    events: tuple[LedgerEvent, ...]


_encode_outcome: Final = msgspec.msgpack.Encoder().encode
# Not strict: an amount may stand in decimal.
_decode_outcome: Final = msgspec.msgpack.Decoder(Outcome, strict=False).decode


def encode_outcome(outcome: BlockResult) -> bytes:
    """The record of a block's effect that `StoredBlock.results` is."""
    try:
        return _encode_outcome(Outcome(outcome.results, outcome.validator_updates, outcome.events))
    except OverflowError:
        # MessagePack's integers have 64 bits, amounts up to 256: here all integers of events stand in decimal.
        results = tuple(
            msgspec.structs.replace(one, events=tuple(map(_in_decimal, one.events))) for one in outcome.results
        )
        return _encode_outcome(Outcome(results, outcome.validator_updates, tuple(map(_in_decimal, outcome.events))))


def _in_decimal(event: LedgerEvent) -> LedgerEvent:
    integers = {name: str(value) for name in event.__struct_fields__ if isinstance(value := getattr(event, name), int)}
    # The types say integers; what is encoded says text, and becomes an integer again when it is decoded.
    return msgspec.structs.replace(event, **integers)


def outcome_of(stored: StoredBlock) -> Outcome:
    """A stored block's effect. Raise `FatalError` if the record is damaged."""
    try:
        return _decode_outcome(stored.results)
    except msgspec.MsgspecError as error:
        raise FatalError(f"the results of block {stored.height} are damaged: restore the home from a backup") from error


def results_json(stored: StoredBlock) -> bytes:
    """The answer of `/block_results`. The work grows with the block. Raise `FatalError` if the record is damaged."""
    return encode(results_to_json(stored.height, outcome_of(stored), stored.app_hash))


def results_to_json(height: int, outcome: BlockResult | Outcome, app_hash: bytes) -> dict[str, Any]:
    """The answer of `/block_results`, to be encoded."""
    return {
        "height": str(height),
        "txs_results": [result_to_json(result) for result in outcome.results],
        "finalize_block_events": [_event_to_json(event) for event in outcome.events],
        "validator_updates": [_update_to_json(update) for update in outcome.validator_updates],
        "consensus_param_updates": None,
        "app_hash": comet_json.bytes_to_base64(app_hash),
    }


def _update_to_json(update: ValidatorUpdate) -> dict[str, Any]:
    kind = update.public_key.kind
    key = {"type": _SUM_TYPES[kind], "value": {_SUM_FIELDS[kind]: comet_json.bytes_to_base64(update.public_key.data)}}
    # Power 0 is left out, as Go's encoder does.
    power = {"power": str(update.power)} if update.power else {}
    return {"pub_key": {"Sum": key}, **power}


def events_of(outcome: BlockResult) -> Iterator[LedgerEvent]:
    """All events of a block: its own, and its transactions'."""
    yield from outcome.events
    for result in outcome.results:
        yield from result.events


def block_to_json(block_id: BlockId, block: Block) -> dict[str, Any]:
    """The answer of `/block`."""
    return {"block_id": comet_json.block_id_to_json(block_id), "block": comet_json.block_to_json(block)}
