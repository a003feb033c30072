"""Writes the committed bytecode as Solidity constants, for the prover, which reads no files.

python tests/contracts/shipped.py [ARTIFACT]     # of another HashedTimelock: a mutant's
"""

import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ARTIFACTS = REPOSITORY / "adapters/evm/contracts/artifacts"
CONSTANTS = {
    "SHIPPED": "HashedTimelock",
    "SHIPPED_LIGHT_CLIENT": "ConsortiumLightClient",
    "SHIPPED_QUERIES": "CrossChainQuery",
}
TARGET = REPOSITORY / ".tools/contracts/generated/Shipped.sol"


def main() -> None:
    paths = {constant: ARTIFACTS / f"{name}.json" for constant, name in CONSTANTS.items()}
    if len(sys.argv) > 1:
        paths["SHIPPED"] = Path(sys.argv[1])
    text = "// SPDX-License-Identifier: Apache-2.0\npragma solidity 0.8.33;\n"
    for constant, path in paths.items():
        text += f'\nbytes constant {constant} = hex"{json.loads(path.read_text())["bytecode"]}";\n'
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    # Left alone if nothing has changed, so that nothing is compiled again.
    if not TARGET.exists() or TARGET.read_text() != text:
        TARGET.write_text(text)


if __name__ == "__main__":
    main()
