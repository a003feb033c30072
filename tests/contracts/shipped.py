"""Writes the committed bytecode as a Solidity constant, for the prover, which reads no files.

python tests/contracts/shipped.py [ARTIFACT]     # of another artifact: a mutant's
"""

import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ARTIFACT = REPOSITORY / "adapters/evm/contracts/artifacts/HashedTimelock.json"
TARGET = REPOSITORY / ".tools/contracts/generated/Shipped.sol"


def main() -> None:
    artifact = Path(sys.argv[1]) if len(sys.argv) > 1 else ARTIFACT
    code = json.loads(artifact.read_text())["bytecode"]
    text = f'// SPDX-License-Identifier: Apache-2.0\npragma solidity 0.8.33;\n\nbytes constant SHIPPED = hex"{code}";\n'
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    # Left alone if nothing has changed, so that nothing is compiled again.
    if not TARGET.exists() or TARGET.read_text() != text:
        TARGET.write_text(text)


if __name__ == "__main__":
    main()
