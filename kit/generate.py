"""The parts of the kit's source that are made, and by what.

`python -m kit.generate` writes the pinned constants, `src/chains/pinned.ts`, from the compiled contracts. The types of
both APIs, `src/api/*.types.ts`, come from the documents that running servers give: `python -m tests.kit.documents`.
Tests hold the committed files against what this makes.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from adapters.evm import htlc_code_hash
from adapters.evm.contracts.artifacts import load_artifact

PINNED: Final = Path(__file__).resolve().parent / "src/chains/pinned.ts"
TYPES: Final = Path(__file__).resolve().parent / "src/api"
GENERATOR: Final = Path(__file__).resolve().parents[1] / "node_modules/.bin/openapi-typescript"
GENERATOR_S: Final = 120
FUNCTIONS: Final = ("lock", "lockToken", "claim", "claimToken", "refund", "refundToken")
_REFUSALS: Final = 400
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
        "name": "balanceOf",
        "stateMutability": "view",
        "inputs": [{"name": "owner", "type": "address"}],
        "outputs": [{"name": "", "type": "uint256"}],
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


def types(title: str, document: dict[str, Any]) -> str:
    """Return TypeScript types of an OpenAPI document's calls, apart from an operator's (`/healthz`, `/metrics`).

    Refusals are one `default` answer of each call, the problem document (RFC 9457), instead of one for each status.
    Raise `CalledProcessError` if openapi-typescript fails.
    """
    paths = {
        path: {method: _with_one_refusal(operation) for method, operation in methods.items()}
        for path, methods in document["paths"].items()
        if path.startswith("/v1/")
    }
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "document.json", Path(folder) / "types.ts"
        source.write_text(json.dumps({**document, "paths": paths}), encoding="utf-8")
        command: list[str | Path] = [GENERATOR, source, "--immutable", "--output", made]
        subprocess.run(command, check=True, capture_output=True, timeout=GENERATOR_S)
        text = made.read_text(encoding="utf-8")
    own = f"/** Made by `python -m tests.kit.documents` from the OpenAPI document of {title}. Do not edit. */\n"
    return own + text[text.index("\n\nexport interface paths") + 1 :]


def _with_one_refusal(operation: dict[str, Any]) -> dict[str, Any]:
    answers = {status: answer for status, answer in operation["responses"].items() if int(status) < _REFUSALS}
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    refusal = {"description": "A refusal.", "content": {"application/problem+json": problem}}
    return {**operation, "responses": {**answers, "default": refusal}}


if __name__ == "__main__":
    PINNED.write_text(pinned(), encoding="utf-8")
