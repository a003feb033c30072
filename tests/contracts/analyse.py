"""Runs slither over the contracts' sources, compiled as they are for the artifacts.

    python tests/contracts/analyse.py

Fails on any finding. What a detector says that we do not follow is switched off in slither.json, or in place in the
source, with the reason in the contract's page under docs/internals. `make contracts-test` sets up what it needs.
"""

import json
import subprocess
import sys
from pathlib import Path

from adapters.evm.contracts import build

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SLITHER = REPOSITORY / ".tools/contracts/venv/bin/slither"
TARGET = REPOSITORY / ".tools/contracts/slither-input.json"
OWN_SOURCES = sorted(name for name in build.source_files() if "/" not in name and name != "TestToken.sol")
TIMEOUT_S = 300


def compiler_input() -> dict[str, object]:
    sources = {name: {"content": (build.CONTRACTS_DIR / name).read_text()} for name in OWN_SOURCES}
    outputs = {"*": {"*": ["abi", "evm.bytecode", "evm.deployedBytecode"], "": ["ast"]}}
    return {"language": "Solidity", "sources": sources, "settings": {**build.SETTINGS, "outputSelection": outputs}}


def main() -> int:
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(compiler_input()))
    command = [str(SLITHER), str(TARGET), "--compile-force-framework", "solc-json"]
    command += ["--solc", str(HERE / "solc"), "--config-file", str(HERE / "slither.json"), *sys.argv[1:]]
    # The sources are named relative to their folder.
    return subprocess.run(command, cwd=build.CONTRACTS_DIR, timeout=TIMEOUT_S, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
