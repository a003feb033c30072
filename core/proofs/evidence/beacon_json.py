"""Light client data as JSON in the form of Ethereum's beacon API: 0x hex, decimal strings, one form only.

An update without `next_sync_committee` is a finality update. Source: ethereum/beacon-APIs, `types/altair/` and later.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from core.model.beacon import COMMITTEE_SIZES, MAX_SLOT_NUMBER
from core.proofs.beacon import ssz
from core.proofs.beacon.bls import KEY_SIZE, SIGNATURE_SIZE
from core.proofs.beacon.chain import MAX_UPDATES, SyncChain
from core.proofs.beacon.containers import (
    MAX_EXTRA_DATA,
    BeaconHeader,
    Bootstrap,
    Branch,
    ExecutionHeader,
    Finality,
    LightHeader,
    NextCommittee,
    SyncCommittee,
    Update,
)
from core.proofs.errors import MalformedProofError
from core.proofs.evidence import canonical

MAX_BRANCH: Final = 12
MAX_MEMBERS: Final = max(COMMITTEE_SIZES)
MAX_WORD: Final = 2**256 - 1

_HEX = re.compile(r"0x((?:[0-9a-f]{2})*)", re.ASCII)

_HASH, _NUMBER, _WORD, _ADDRESS, _BLOOM, _EXTRA = "hash", "number", "word", "address", "bloom", "extra"
_EXECUTION: Final = {
    "parent_hash": _HASH,
    "fee_recipient": _ADDRESS,
    "state_root": _HASH,
    "receipts_root": _HASH,
    "logs_bloom": _BLOOM,
    "prev_randao": _HASH,
    "block_number": _NUMBER,
    "gas_limit": _NUMBER,
    "gas_used": _NUMBER,
    "timestamp": _NUMBER,
    "extra_data": _EXTRA,
    "base_fee_per_gas": _WORD,
    "block_hash": _HASH,
    "transactions_root": _HASH,
    "withdrawals_root": _HASH,
}
_BLOBS: Final = {"blob_gas_used": _NUMBER, "excess_blob_gas": _NUMBER}
_BEACON: Final = {
    "slot": _NUMBER,
    "proposer_index": _NUMBER,
    "parent_root": _HASH,
    "state_root": _HASH,
    "body_root": _HASH,
}
_NEXT: Final = ("next_sync_committee", "next_sync_committee_branch")
_SIGNED: Final = ("attested_header", "finalized_header", "finality_branch", "sync_aggregate", "signature_slot")


def hex_of(raw: bytes) -> str:
    """Lower-case hex with 0x."""
    return f"0x{raw.hex()}"


def bytes_of(value: Any, size: int) -> bytes:
    """Exactly `size` bytes of 0x hex. Raise MalformedProofError."""
    raw = _hex(value, size)
    if len(raw) != size:
        raise MalformedProofError("0x hex of another length than it has to have", expected=size, found=len(raw))
    return raw


def number_of(value: Any, high: int = MAX_SLOT_NUMBER) -> int:
    """A whole number in a decimal string. Raise MalformedProofError."""
    return canonical.decimal(value, high)


# --- chains ------------------------------------------------------------------------------------------------------


def chain_to_json(chain: SyncChain) -> dict[str, Any]:
    """A bootstrap and the updates after it."""
    return {"bootstrap": bootstrap_to_json(chain.bootstrap), "updates": [update_to_json(one) for one in chain.updates]}


def chain_from_json(value: Any) -> SyncChain:
    """Inverse of `chain_to_json`. Raise MalformedProofError."""
    fields = canonical.members(value, "bootstrap", "updates")
    updates = canonical.items(fields["updates"], MAX_UPDATES)
    return SyncChain(bootstrap_from_json(fields["bootstrap"]), tuple(update_from_json(one) for one in updates))


def bootstrap_to_json(bootstrap: Bootstrap) -> dict[str, Any]:
    """`LightClientBootstrap`."""
    return {
        "header": header_to_json(bootstrap.header),
        "current_sync_committee": _committee_to_json(bootstrap.committee),
        "current_sync_committee_branch": _branch_to_json(bootstrap.committee_branch),
    }


def bootstrap_from_json(value: Any) -> Bootstrap:
    """Inverse of `bootstrap_to_json`. Raise MalformedProofError."""
    fields = canonical.members(value, "header", "current_sync_committee", "current_sync_committee_branch")
    return Bootstrap(
        header_from_json(fields["header"]),
        _committee_from_json(fields["current_sync_committee"]),
        _branch_from_json(fields["current_sync_committee_branch"]),
    )


def update_to_json(update: Update) -> dict[str, Any]:
    """`LightClientUpdate`, or `LightClientFinalityUpdate` if it names no next committee.

    A header that is not there is null: a beacon node writes zeros for it.
    """
    finality, following = update.finality, update.following
    header = None if finality is None or finality.header is None else header_to_json(finality.header)
    body = {
        "attested_header": header_to_json(update.attested),
        "finalized_header": header,
        "finality_branch": _branch_to_json(() if finality is None else finality.branch),
        "sync_aggregate": {
            "sync_committee_bits": hex_of(update.participation),
            "sync_committee_signature": hex_of(update.signature),
        },
        "signature_slot": str(update.signature_slot),
    }
    if following is not None:
        body["next_sync_committee"] = _committee_to_json(following.committee)
        body["next_sync_committee_branch"] = _branch_to_json(following.branch)
    return body


def update_from_json(value: Any) -> Update:
    """Inverse of `update_to_json`. Raise MalformedProofError."""
    has_next = isinstance(value, dict) and _NEXT[0] in value
    fields = canonical.members(value, *_SIGNED, *(_NEXT if has_next else ()))
    following = None
    if has_next:
        following = NextCommittee(_committee_from_json(fields[_NEXT[0]]), _branch_from_json(fields[_NEXT[1]]))
    branch = _branch_from_json(fields["finality_branch"])
    header = canonical.optional(fields["finalized_header"], header_from_json)
    if not branch and header is not None:
        raise MalformedProofError("a final header without its branch")
    aggregate = canonical.members(fields["sync_aggregate"], "sync_committee_bits", "sync_committee_signature")
    return Update(
        header_from_json(fields["attested_header"]),
        following,
        Finality(header, branch) if branch else None,
        _hex(aggregate["sync_committee_bits"], MAX_MEMBERS // 8),
        bytes_of(aggregate["sync_committee_signature"], SIGNATURE_SIZE),
        number_of(fields["signature_slot"]),
    )


def header_to_json(header: LightHeader) -> dict[str, Any]:
    """`LightClientHeader`; the execution header from Capella on."""
    body: dict[str, Any] = {"beacon": _to_json(header.beacon, _BEACON)}
    execution = header.execution
    if execution is not None:
        has_blobs = execution.blob_gas_used is not None
        body["execution"] = _to_json(execution, {**_EXECUTION, **(_BLOBS if has_blobs else {})})
        body["execution_branch"] = _branch_to_json(header.execution_branch)
    return body


def header_from_json(value: Any) -> LightHeader:
    """Inverse of `header_to_json`. Raise MalformedProofError."""
    has_execution = isinstance(value, dict) and "execution" in value
    fields = canonical.members(value, "beacon", *(("execution", "execution_branch") if has_execution else ()))
    beacon = BeaconHeader(**_from_json(fields["beacon"], _BEACON))
    if not has_execution:
        return LightHeader(beacon)
    inner = fields["execution"]
    has_blobs = isinstance(inner, dict) and "blob_gas_used" in inner
    execution = ExecutionHeader(**_from_json(inner, {**_EXECUTION, **(_BLOBS if has_blobs else {})}))
    return LightHeader(beacon, execution, _branch_from_json(fields["execution_branch"]))


def _committee_to_json(committee: SyncCommittee) -> dict[str, Any]:
    return {"pubkeys": list(map(hex_of, committee.keys)), "aggregate_pubkey": hex_of(committee.aggregate_key)}


def _committee_from_json(value: Any) -> SyncCommittee:
    fields = canonical.members(value, "pubkeys", "aggregate_pubkey")
    keys = canonical.items(fields["pubkeys"], MAX_MEMBERS)
    return SyncCommittee(tuple(bytes_of(key, KEY_SIZE) for key in keys), bytes_of(fields["aggregate_pubkey"], KEY_SIZE))


def _branch_to_json(branch: Branch) -> list[str]:
    return list(map(hex_of, branch))


def _branch_from_json(value: Any) -> Branch:
    return tuple(bytes_of(node, ssz.CHUNK_SIZE) for node in canonical.items(value, MAX_BRANCH))


def _to_json(container: BeaconHeader | ExecutionHeader, fields: Mapping[str, str]) -> dict[str, str]:
    values = ((name, getattr(container, name)) for name in fields)
    return {name: str(value) if isinstance(value, int) else hex_of(value) for name, value in values}


def _from_json(value: Any, fields: Mapping[str, str]) -> dict[str, Any]:
    found = canonical.members(value, *fields)
    return {name: _READ[kind](found[name]) for name, kind in fields.items()}


def _hex(value: Any, most: int) -> bytes:
    match = _HEX.fullmatch(value) if isinstance(value, str) and len(value) <= 2 * most + 2 else None
    if match is None:
        raise MalformedProofError("not lower-case 0x hex within its limit", limit=most)
    return bytes.fromhex(match[1])


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    _HASH: lambda value: bytes_of(value, 32),
    _ADDRESS: lambda value: bytes_of(value, 20),
    _BLOOM: lambda value: bytes_of(value, 256),
    _EXTRA: lambda value: _hex(value, MAX_EXTRA_DATA),
    _NUMBER: number_of,
    _WORD: lambda value: number_of(value, MAX_WORD),
}
