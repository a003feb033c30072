"""Vouchers of an Ethereum header: the consortium's ledger that attests it, sync committees, or both."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from core.model.questions import AsOf, Question
from core.model.types import BlockRef, ChainTime, Height
from core.proofs import ethereum, mpt
from core.proofs.errors import AnchorMismatchError, InvalidProofError, MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.kinds import (
    FINAL_BY_ATTESTATION,
    FINAL_BY_BOTH,
    FINAL_BY_SYNC_COMMITTEE,
    Trusted,
    beacon_anchor,
    ledger_anchor,
)
from core.proofs.evidence.state import (
    ProvenState,
    StateEntry,
    attested_header,
    entries_from_json,
    entries_to_json,
)
from core.proofs.evidence.synced import SyncProof, sync_from_json, sync_to_json, verify_synced
from core.proofs.evidence.trail import Trail, trail_from_json, trail_to_json, verify_trail

ATTESTED_MEMBERS: Final = ("trail", "attestation")
SYNC_MEMBER: Final = "sync"


class Vouchers(NamedTuple):
    """The parts that vouch for a header: `trail` and `attestation`, which belong together, or `sync`, or all."""

    trail: Trail | None
    attestation: StateEntry | None
    sync: SyncProof | None

    @property
    def finality(self) -> str:
        """The name of the rule, as of the parts that are there."""
        if self.sync is None:
            return FINAL_BY_ATTESTATION
        return FINAL_BY_SYNC_COMMITTEE if self.trail is None else FINAL_BY_BOTH


def vouched_block(question: Question, vouchers: Vouchers, raw_header: bytes) -> ethereum.EthereumHeader:
    """The header, once the ledger's state under the trail's target is shown to attest exactly it, if one is carried.

    Raise InvalidProofError for another header, MalformedProofError for one that cannot be read.
    """
    header = ethereum.decode_header(raw_header)
    match vouchers:
        case Vouchers(None, None, None):
            raise MalformedProofError("nothing vouches for the header")
        case Vouchers(None, None, _):
            return header
        case Vouchers(Trail() as trail, StateEntry() as attestation, _):
            state = ProvenState(trail.target.app_hash, (attestation,))
        case _:
            raise MalformedProofError("a trail and an attestation belong together")
    attested = attested_header(question.chain, header.number, state.read)
    if (attested.block_hash, attested.time) != (ethereum.header_hash(header), header.timestamp):
        raise InvalidProofError("the ledger attests another header at this height", height=header.number)
    return header


def verify_vouchers(
    question: Question, vouchers: Vouchers, raw_header: bytes, trusted: Trusted, now_s: int
) -> tuple[str, ...]:
    """Prove the header from every anchor that the reader has, and return by which rules.

    Each way that is carried and has an anchor must hold: one that fails is not made good by the other. Raise
    AnchorMismatchError if there is an anchor for none of them, and as `verify_trail` and `verify_synced`.
    """
    ledger, beacon = ledger_anchor(trusted), beacon_anchor(trusted)
    relies: list[str] = []
    if vouchers.trail is not None and ledger is not None:
        verify_trail(vouchers.trail, ledger, now_s)
        relies.append(FINAL_BY_ATTESTATION)
    if vouchers.sync is not None and beacon is not None:
        verify_synced(question, ethereum.decode_header(raw_header), vouchers.sync, beacon, now_s)
        relies.append(FINAL_BY_SYNC_COMMITTEE)
    if not relies:
        raise AnchorMismatchError(f"the evidence is final by {vouchers.finality}: take an anchor for that")
    return tuple(relies)


def as_of_header(question: Question, header: ethereum.EthereumHeader, finality: str = FINAL_BY_ATTESTATION) -> AsOf:
    """The block that answers, final by this rule."""
    block = BlockRef(question.chain, Height(header.number), ethereum.header_hash(header))
    return AsOf(block, ChainTime(question.chain, header.timestamp), finality)


def vouchers_to_json(vouchers: Vouchers) -> dict[str, Any]:
    """The members that are there; the attestation is a list of one leaf."""
    body: dict[str, Any] = {}
    match vouchers:
        case Vouchers(Trail() as trail, StateEntry() as attestation, _):
            body |= {"trail": trail_to_json(trail), "attestation": entries_to_json((attestation,))}
    if vouchers.sync is not None:
        body[SYNC_MEMBER] = sync_to_json(vouchers.sync)
    return body


def proof_members(data: bytes, *names: str) -> tuple[Vouchers, Mapping[str, Any]]:
    """The vouchers of a proof's header, and its other members `names`. Raise MalformedProofError."""
    value = canonical.load(data)
    found = set(value) if isinstance(value, dict) else set()
    attested = ATTESTED_MEMBERS if found & set(ATTESTED_MEMBERS) else ()
    synced = (SYNC_MEMBER,) if SYNC_MEMBER in found or not attested else ()
    fields = canonical.members(value, *attested, *synced, *names)
    trail = attestation = None
    if attested:
        trail, attestation = trail_from_json(fields["trail"]), _attestation_from_json(fields["attestation"])
    return Vouchers(trail, attestation, sync_from_json(fields[SYNC_MEMBER]) if synced else None), fields


def _attestation_from_json(value: Any) -> StateEntry:
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
