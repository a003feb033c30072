"""Puts faults into the contract, one at a time, and sees that the tests find each.

    python tests/contracts/mutants.py [NAME...]      # some of them; all without a name

Each mutant of mutants.toml is compiled as the artifact is, and forge's tests run on it: first all but the walk, and the
walk if they pass. If that passes, too, the mutant survives and this fails.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.evm.contracts import build

HERE: Final = Path(__file__).parent
REPOSITORY: Final = HERE.parents[1]
WORK: Final = REPOSITORY / ".tools/contracts/mutants"
TIMEOUT_S: Final = 600
INVARIANT_RUNS: Final = "20"
WALK: Final = "Invariants"
LEAST: Final = 45
"""Fewer say little about the tests."""


@dataclass(frozen=True)
class Mutant:
    """`old`, which occurs once in `source`, becomes `new`; `harm` says what that would do to somebody."""

    name: str
    harm: str
    old: str
    new: str
    source: str = "HashedTimelock.sol"


MUTANTS: Final = HERE / "mutants.toml"


def compile_mutant(mutant: Mutant) -> Path:
    """The mutant's artifact. Raise BuildError, also if its text is not found exactly once, or changes nothing."""
    WORK.mkdir(parents=True, exist_ok=True)
    sources = {name: path for name, path in build.source_files().items() if "/" not in name and name != "TestToken.sol"}
    text = sources[mutant.source].read_text()
    if text.count(mutant.old) != 1:
        raise build.BuildError(f"{mutant.name}: its text occurs {text.count(mutant.old)} times")
    changed = WORK / mutant.source
    changed.write_text(text.replace(mutant.old, mutant.new))
    # A planted fault may leave something unused.
    output = build.compile_sources({**sources, mutant.source: changed}, warnings=True)
    code = output["contracts"]["HashedTimelock.sol"]["HashedTimelock"]["evm"]["bytecode"]["object"]
    shipped = json.loads((build.ARTIFACTS_DIR / "HashedTimelock.json").read_text())["bytecode"]
    if code == shipped:
        raise build.BuildError(f"{mutant.name}: compiles to the same code")
    artifact = WORK / "mutant.json"
    artifact.write_text(json.dumps({"bytecode": code}))
    return artifact


def found_by(artifact: Path) -> list[str]:
    """The first tests that fail on this bytecode."""
    return _failing(artifact, "--no-match-contract", WALK) or _failing(artifact, "--match-contract", WALK)


def _failing(artifact: Path, *choice: str) -> list[str]:
    environment = {
        **os.environ,
        "HTLC_ARTIFACT": os.path.relpath(artifact, HERE),
        "FOUNDRY_INVARIANT_RUNS": INVARIANT_RUNS,
        "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0",
        "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": str(WORK / "failures"),
        "FOUNDRY_FUZZ_FAILURE_PERSIST_DIR": str(WORK / "failures"),
    }
    command = ["forge", "test", "--fail-fast", *choice]
    run = subprocess.run(
        command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    failed = re.findall(r"^(?:\[FAIL.*\]| ) ?(test_\w+|invariant_\w+)\(", run.stdout, re.MULTILINE)
    if run.returncode != 0 and not failed:
        raise build.BuildError(f"forge did not get as far as the tests:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return sorted(set(failed))


def main(names: list[str]) -> int:
    mutants = [Mutant(**entry) for entry in tomllib.loads(MUTANTS.read_text())["mutant"]]
    if len(mutants) < LEAST or len({mutant.name for mutant in mutants}) != len(mutants):
        raise build.BuildError(f"there should be {LEAST} mutants or more, each with a name of its own")
    survivors = 0
    for mutant in mutants:
        if names and mutant.name not in names:
            continue
        failed = found_by(compile_mutant(mutant))
        survivors += not failed
        print(f"{mutant.name}: {', '.join(failed) or 'SURVIVES'}", flush=True)
    print(f"{survivors} mutants survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
