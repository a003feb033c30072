"""The committed artifacts of our contracts: ABI and bytecode, read without a compiler."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

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
