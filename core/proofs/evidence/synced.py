"""Ethereum headers that sync committees call final: the second way to believe a header, next to attestation."""

from dataclasses import dataclass
from typing import Any, Final

from core.model.beacon import BeaconAnchor
from core.model.questions import Question
from core.proofs import ethereum
from core.proofs.beacon.chain import SyncChain, verify_sync_chain
from core.proofs.errors import AnchorMismatchError, InvalidProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.beacon_json import chain_from_json, chain_to_json

MAX_SYNC_LINKS: Final = 256
"""Ethereum headers between the final one and that of the proof."""


@dataclass(frozen=True, slots=True)
class SyncProof:
    """`chain` leads from a beacon anchor to a final block.

    `links` are RLP, from that block's Ethereum header back to the child of the proof's header, each the parent of the
    one before; none if the proof's header is the final block's own.
    """

    chain: SyncChain
    links: tuple[bytes, ...] = ()


def verify_synced(
    question: Question, header: ethereum.EthereumHeader, proof: SyncProof, anchor: BeaconAnchor, now_s: int
) -> None:
    """Prove that the header is final by sync committees. Raise as `verify_sync_chain`, or InvalidProofError."""
    if question.chain != anchor.chain:
        raise AnchorMismatchError("the beacon anchor is of another chain than the question", expected=anchor.chain)
    final = verify_sync_chain(proof.chain, anchor, now_s)
    if final.execution is None:
        raise InvalidProofError("a beacon block before Capella shows no Ethereum block", slot=final.slot)
    expected = final.execution.block_hash
    for raw in proof.links:
        newer = ethereum.decode_header(raw)
        if ethereum.header_hash(newer) != expected:
            raise InvalidProofError("a header does not lead back from the final one", height=newer.number)
        expected = newer.parent_hash
    if ethereum.header_hash(header) != expected:
        raise InvalidProofError("the header is not the one that sync committees call final", height=header.number)


def sync_to_json(proof: SyncProof) -> dict[str, Any]:
    """Light client data as the beacon API prints it, and the links in hex."""
    return {**chain_to_json(proof.chain), "links": [link.hex() for link in proof.links]}


def sync_from_json(value: Any) -> SyncProof:
    """Inverse of `sync_to_json`. Raise MalformedProofError."""
    fields = canonical.members(value, "bootstrap", "updates", "links")
    links = canonical.items(fields["links"], MAX_SYNC_LINKS)
    return SyncProof(
        chain_from_json({name: fields[name] for name in ("bootstrap", "updates")}),
        tuple(canonical.hex_bytes(link, ethereum.MAX_HEADER_BYTES) for link in links),
    )
