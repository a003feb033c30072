"""Results of checks and of blocks, as ABCI carries them (CometBFT `proto/tendermint/abci/types.proto`).

Most of what a node's ledger writes: what is alike is encoded once.
"""

from functools import lru_cache
from typing import Final

from core.model.consortium import LedgerEvent, event_to_attributes
from core.proofs.cometbft.encoding import encode_public_key
from core.proofs.protobuf import WIRE_BYTES, bytes_field, message_field, varint, varint_field
from local_chains.consortium.engine.rendering import CODESPACE
from local_chains.consortium.ledger.execution import BlockResult, Result
from local_chains.consortium.ledger.members import ValidatorUpdate

MAX_PASSED: Final = 4_096
"""Different costs whose answers are remembered."""
MAX_NAMES: Final = 256
"""Names of events and their attributes that are remembered, more than there are."""


def check_tx(result: Result) -> bytes:
    """Without events, which CometBFT drops: what is taken has the same answer as all others of its cost."""
    if result.code or result.log:
        return message_field(9, _outcome(result) + _codespace(result))
    return _passed(result.cost)


@lru_cache(MAX_PASSED)
def _passed(cost: int) -> bytes:
    return message_field(9, varint_field(5, cost) + varint_field(6, cost))


def finalize_block(outcome: BlockResult, app_hash: bytes) -> bytes:
    """Parameters stay as they are."""
    # Results of entries that nobody looked at are one and the same.
    distinct = {id(result): result for result in outcome.results}
    encoded = {place: message_field(2, tx_result(result)) for place, result in distinct.items()}
    results = b"".join([encoded[id(result)] for result in outcome.results])
    updates = b"".join(message_field(3, _validator_update(update)) for update in outcome.validator_updates)
    events = b"".join(message_field(1, _event(event)) for event in outcome.events)
    return message_field(21, events + results + updates + bytes_field(5, app_hash))


def _validator_update(update: ValidatorUpdate) -> bytes:
    return message_field(1, encode_public_key(update.public_key)) + varint_field(2, update.power)


def tx_result(result: Result) -> bytes:
    """An ExecTxResult; ResponseCheckTx has the same fields."""
    events = b"".join(message_field(7, _event(event)) for event in result.events)
    return _outcome(result) + events + _codespace(result)


def _outcome(result: Result) -> bytes:
    return (
        varint_field(1, int(result.code))
        + bytes_field(3, result.log.encode())
        + varint_field(5, result.cost)
        + varint_field(6, result.cost)
    )


def _codespace(result: Result) -> bytes:
    return bytes_field(8, CODESPACE.encode() if result.code and result.log else b"")


def _event(event: LedgerEvent) -> bytes:
    kind, attributes = event_to_attributes(event)
    return _event_type(kind) + b"".join([_attribute(key, value) for key, value in attributes.items()])


@lru_cache(MAX_NAMES)
def _event_type(kind: str) -> bytes:
    return bytes_field(1, kind.encode())


@lru_cache(MAX_NAMES)
def _attribute_key(key: str) -> bytes:
    return bytes_field(1, key.encode())


def _attribute(key: str, value: str) -> bytes:
    text = value.encode()
    body = _attribute_key(key) + (_VALUE + _length(len(text)) + text if text else b"") + _INDEXED
    return _ATTRIBUTE + _length(len(body)) + body


def _length(size: int) -> bytes:
    return _LENGTHS[size] if size < len(_LENGTHS) else varint(size)


_ATTRIBUTE: Final = varint(2 << 3 | WIRE_BYTES)
_VALUE: Final = varint(2 << 3 | WIRE_BYTES)
_INDEXED: Final = varint_field(3, 1)
_LENGTHS: Final = tuple(varint(size) for size in range(256))
