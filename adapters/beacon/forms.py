"""Light client data as nodes print it, and as evidence has it.

A node prints every object in the form of one fork: parts that are not there are zeros, and a header from before the
fork has its fields as zeros. Evidence has those parts left out.
"""

from collections.abc import Mapping
from typing import Any, Final

from core.model.beacon import BeaconFork, BeaconNetwork
from core.proofs.beacon.containers import Bootstrap, Update
from core.proofs.errors import MalformedProofError
from core.proofs.evidence.beacon_json import bootstrap_from_json, number_of, update_from_json

_BLOBS: Final = ("blob_gas_used", "excess_blob_gas")
_NEXT: Final = ("next_sync_committee", "next_sync_committee_branch")
_ZERO_ROOT: Final = f"0x{'00' * 32}"


def bootstrap_of(data: Any, network: BeaconNetwork) -> Bootstrap:
    """A bootstrap from a node's JSON. Raise MalformedProofError."""
    fields = _object(data)
    return bootstrap_from_json({**fields, "header": _header(fields.get("header"), network)})


def update_of(data: Any, network: BeaconNetwork) -> Update:
    """An update or a finality update from a node's JSON. Raise MalformedProofError."""
    fields = dict(_object(data))
    if _is_zero(fields.get("finality_branch")):
        fields |= {"finality_branch": [], "finalized_header": None}
    elif _is_genesis(fields.get("finalized_header")):
        fields["finalized_header"] = None
    else:
        fields["finalized_header"] = _header(fields.get("finalized_header"), network)
    if _is_zero(fields.get(_NEXT[1])):
        fields = {name: value for name, value in fields.items() if name not in _NEXT}
    return update_from_json({**fields, "attested_header": _header(fields.get("attested_header"), network)})


def _header(value: Any, network: BeaconNetwork) -> dict[str, Any]:
    """The header with the members that its own fork has."""
    fields = dict(_object(value))
    fork = network.fork_at(number_of(_object(fields.get("beacon")).get("slot"))).fork
    if fork < BeaconFork.CAPELLA:
        return {"beacon": fields.get("beacon")}
    if fork < BeaconFork.DENEB and "execution" in fields:
        execution = _object(fields["execution"])
        if any(execution.get(name, "0") != "0" for name in _BLOBS):
            raise MalformedProofError("a header before Deneb has no blob gas")
        fields["execution"] = {name: part for name, part in execution.items() if name not in _BLOBS}
    return fields


def _is_genesis(value: Any) -> bool:
    beacon = _object(_object(value).get("beacon"))
    return beacon.get("slot") == "0" and beacon.get("state_root") == _ZERO_ROOT


def _is_zero(branch: Any) -> bool:
    return isinstance(branch, list) and all(node == _ZERO_ROOT for node in branch)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedProofError("light client data is an object")
    return value
