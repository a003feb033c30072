"""The committed artifacts of our contracts: ABI and bytecode, read without a compiler."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from core.proofs.keccak import keccak256

ARTIFACTS_DIR = Path(__file__).parent / "artifacts"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    `bytecode` is the creation code without constructor arguments; `deployed_bytecode` is the runtime code, in which
    immutables are zero.
    """

    contract: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    deployed_bytecode: bytes


@cache
def load_artifact(contract: str) -> Artifact:
    """The artifact of `contract` (for test contracts `testing/Name`). Raise FileNotFoundError for an unknown name."""
    raw: dict[str, Any] = msgspec.json.decode((ARTIFACTS_DIR / f"{contract}.json").read_bytes())
    return Artifact(
        contract=raw["contract"],
        abi=raw["abi"],
        bytecode=bytes.fromhex(raw["bytecode"]),
        deployed_bytecode=bytes.fromhex(raw["deployed_bytecode"]),
    )


def selector_of(entry: Mapping[str, Any]) -> bytes:
    """The selector of an ABI's function or error: 4 bytes of its signature's hash (Solidity, "Contract ABI
    Specification")."""
    return keccak256(f"{entry['name']}({','.join(types_of(entry))})".encode())[:4]


def types_of(entry: Mapping[str, Any]) -> list[str]:
    """The canonical types of an ABI entry's parameters."""
    return [_type(item) for item in entry["inputs"]]


def _type(item: Mapping[str, Any]) -> str:
    """A parameter's canonical type: tuples are written out."""
    kind = str(item["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(_type, item['components']))}){kind.removeprefix('tuple')}"
