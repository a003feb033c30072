"""Ethereum headers that the consortium's ledger attests as final: what the kinds about Ethereum have in common."""

from collections.abc import Sequence
from typing import Any

from core.model.questions import AsOf, Question
from core.model.types import BlockRef, ChainTime, Height
from core.proofs import ethereum, mpt
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.kinds import FINAL_BY_ATTESTATION
from core.proofs.evidence.state import (
    ProvenState,
    StateEntry,
    attested_header,
    entries_from_json,
    entries_to_json,
)
from core.proofs.evidence.trail import Trail


def attested_block(
    question: Question, trail: Trail, attestation: StateEntry, raw_header: bytes
) -> ethereum.EthereumHeader:
    """The header, once the ledger's state under the trail's target is shown to attest exactly it.

    Raise InvalidProofError for another header, MalformedProofError for one that cannot be read.
    """
    header = ethereum.decode_header(raw_header)
    state = ProvenState(trail.target.app_hash, (attestation,))
    attested = attested_header(question.chain, header.number, state.read)
    if (attested.block_hash, attested.time) != (ethereum.header_hash(header), header.timestamp):
        raise InvalidProofError("the ledger attests another header at this height", height=header.number)
    return header


def as_of_header(question: Question, header: ethereum.EthereumHeader) -> AsOf:
    """The block that answers, final by attestation."""
    block = BlockRef(question.chain, Height(header.number), ethereum.header_hash(header))
    return AsOf(block, ChainTime(question.chain, header.timestamp), FINAL_BY_ATTESTATION)


def attestation_to_json(attestation: StateEntry) -> Any:
    """The ledger's leaf about the header, as a list of one."""
    return entries_to_json((attestation,))


def attestation_from_json(value: Any) -> StateEntry:
    """Inverse of `attestation_to_json`. Raise MalformedProofError."""
    entries = entries_from_json(value)
    if len(entries) != 1:
        raise MalformedProofError("exactly one leaf attests the header")
    [attestation] = entries
    return attestation


def nodes_to_json(nodes: Sequence[bytes]) -> list[str]:
    """Trie nodes from the root down, hex."""
    return [node.hex() for node in nodes]


def nodes_from_json(value: Any, max_node_bytes: int = mpt.MAX_STATE_NODE_BYTES) -> tuple[bytes, ...]:
    """Inverse of `nodes_to_json`. Raise MalformedProofError."""
    return tuple(canonical.hex_bytes(node, max_node_bytes) for node in canonical.items(value, mpt.MAX_NODES))
