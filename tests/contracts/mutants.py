"""Puts faults into the contracts, one at a time, and sees that the tests find each.

    python tests/contracts/mutants.py [NAME...]      # some of them, or all of a contract; all without a name

Each mutant is compiled as the artifact is, and forge's tests of its contract run on it: first those that take little
time, and the others if they pass. If those pass, too, the mutant survives and this fails.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.evm.contracts import build

HERE: Final = Path(__file__).parent
REPOSITORY: Final = HERE.parents[1]
WORK: Final = REPOSITORY / ".tools/contracts/mutants"
TIMEOUT_S: Final = 600
INVARIANT_RUNS: Final = "20"


@dataclass(frozen=True)
class Subject:
    """A contract: the list of its mutants, the variable that gives tests another artifact, its tests in the order in
    which they run, and the least number of mutants that says something about them."""

    mutants: Path
    variable: str
    tests: tuple[str, ...]
    least: int


OF_QUERIES: Final = HERE / "mutants_queries.toml"
SUBJECTS: Final = {
    "HashedTimelock": Subject(
        HERE / "mutants.toml",
        "HTLC_ARTIFACT",
        ("^(Locks|Properties|Pulls|Signatures|Strangers)$", "^Invariants$"),
        45,
    ),
    "ConsortiumLightClient": Subject(OF_QUERIES, "LIGHT_CLIENT_ARTIFACT", ("^LightClient$", "^States$"), 45),
    "CrossChainQuery": Subject(OF_QUERIES, "QUERIES_ARTIFACT", ("^Queries$", "^Callbacks$", "^QueryWalk$"), 43),
}


@dataclass(frozen=True)
class Mutant:
    """`old`, which occurs once in `source` (the contract's own, if none is named), becomes `new`; `harm` says what that
    would do to somebody."""

    name: str
    harm: str
    old: str
    new: str
    source: str = ""
    contract: str = "HashedTimelock"

    @property
    def file(self) -> str:
        return self.source or f"{self.contract}.sol"


def sources_of(contract: str) -> dict[str, Path]:
    """The sources that a contract imports, and its own."""
    every, wanted, found = build.source_files(), [f"{contract}.sol"], dict[str, Path]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = every[name]
            wanted += re.findall(r'from "\./(\w+\.sol)"', every[name].read_text())
    return found


def compile_mutant(mutant: Mutant) -> Path:
    """The mutant's artifact. Raise BuildError, also if its text is not found exactly once, or changes nothing."""
    folder = WORK / mutant.contract
    folder.mkdir(parents=True, exist_ok=True)
    sources = sources_of(mutant.contract)
    text = sources[mutant.file].read_text()
    if text.count(mutant.old) != 1:
        raise build.BuildError(f"{mutant.name}: its text occurs {text.count(mutant.old)} times")
    changed = folder / mutant.file
    changed.write_text(text.replace(mutant.old, mutant.new))
    # A planted fault may leave something unused.
    output = build.compile_sources({**sources, mutant.file: changed}, warnings=True)
    code = output["contracts"][f"{mutant.contract}.sol"][mutant.contract]["evm"]["bytecode"]["object"]
    shipped = json.loads((build.ARTIFACTS_DIR / f"{mutant.contract}.json").read_text())["bytecode"]
    if code == shipped:
        raise build.BuildError(f"{mutant.name}: compiles to the same code")
    artifact = folder / "mutant.json"
    artifact.write_text(json.dumps({"bytecode": code}))
    return artifact


def found_by(subject: Subject, artifact: Path) -> list[str]:
    """The first tests that fail on this bytecode."""
    for tests in subject.tests:
        if failed := _failing(subject, artifact, tests):
            return failed
    return []


def _failing(subject: Subject, artifact: Path, tests: str) -> list[str]:
    environment = {
        **os.environ,
        subject.variable: os.path.relpath(artifact, HERE),
        "FOUNDRY_INVARIANT_RUNS": INVARIANT_RUNS,
        "FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT": "0",
        "FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR": str(WORK / "failures"),
        "FOUNDRY_FUZZ_FAILURE_PERSIST_DIR": str(WORK / "failures"),
    }
    command = ["forge", "test", "--fail-fast", "--match-contract", tests]
    run = subprocess.run(
        command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    # A contract that cannot be created any more fails in `setUp`.
    failed = re.findall(r"^(?:\[FAIL.*\]| ) ?(test_\w+|invariant_\w+|setUp)\(", run.stdout, re.MULTILINE)
    if run.returncode != 0 and not failed:
        raise build.BuildError(f"forge did not get as far as the tests:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return sorted(set(failed))


def every_mutant() -> list[Mutant]:
    """Raise BuildError if one has no name of its own, or a contract has too few."""
    lists = sorted({subject.mutants for subject in SUBJECTS.values()})
    mutants = [Mutant(**entry) for path in lists for entry in tomllib.loads(path.read_text())["mutant"]]
    numbers = Counter(mutant.contract for mutant in mutants)
    if any(numbers[contract] < subject.least for contract, subject in SUBJECTS.items()):
        raise build.BuildError(f"too few mutants of a contract: {dict(numbers)}")
    if len({mutant.name for mutant in mutants}) != len(mutants):
        raise build.BuildError("each mutant needs a name of its own")
    return mutants


def main(names: list[str]) -> int:
    survivors = 0
    for mutant in every_mutant():
        if names and mutant.name not in names and mutant.contract not in names:
            continue
        failed = found_by(SUBJECTS[mutant.contract], compile_mutant(mutant))
        survivors += not failed
        print(f"{mutant.name}: {', '.join(failed) or 'SURVIVES'}", flush=True)
    print(f"{survivors} mutants survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
