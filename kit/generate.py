"""Write the kit's pinned constants, `src/chains/pinned.ts`, from the compiled contracts: `python -m kit.generate`.

A test holds the committed file against what this makes.
"""

import json
from pathlib import Path
from typing import Any, Final

from adapters.evm import htlc_code_hash
from adapters.evm.contracts.artifacts import load_artifact

PINNED: Final = Path(__file__).resolve().parent / "src/chains/pinned.ts"
FUNCTIONS: Final = ("lock", "lockToken", "claim", "claimToken", "refund", "refundToken")
TOKEN_ABI: Final = (
    {
        "type": "function",
        "name": "approve",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "spender", "type": "address"}, {"name": "amount", "type": "uint256"}],
        "outputs": [],
    },
    {
        "type": "function",
        "name": "allowance",
        "stateMutability": "view",
        "inputs": [{"name": "owner", "type": "address"}, {"name": "spender", "type": "address"}],
        "outputs": [{"name": "", "type": "uint256"}],
    },
)


def pinned() -> str:
    """Return the text of `pinned.ts`."""
    abi = [_plain(entry) for entry in load_artifact("HashedTimelock").abi if entry.get("name") in FUNCTIONS]
    return (
        "/** Made by `python -m kit.generate` from the compiled contracts. Do not edit. */\n\n"
        "/** Keccak-256 of the code of an honest HashedTimelock: it has no immutables, so all have this one. */\n"
        f'export const HASHED_TIMELOCK_CODE_HASH = "{htlc_code_hash().hex()}";\n\n'
        f"export const HASHED_TIMELOCK_ABI = {_literal(abi)} as const;\n\n"
        "/** As much of ERC-20 as a lock needs. Some tokens answer `approve` with nothing, so no answer is read. */\n"
        f"export const TOKEN_ABI = {_literal(TOKEN_ABI)} as const;\n"
    )


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a function's entry without the names that Solidity has for its types."""
    sides = {
        side: [{"name": one["name"], "type": one["type"]} for one in entry[side]] for side in ("inputs", "outputs")
    }
    return {"type": "function", "name": entry["name"], "stateMutability": entry["stateMutability"], **sides}


def _literal(entries: Any) -> str:
    lines = ",\n  ".join(json.dumps(entry) for entry in entries)
    return f"[\n  {lines},\n]"


if __name__ == "__main__":
    PINNED.write_text(pinned(), encoding="utf-8")
