"""Proves Proofs.t.sol and its like of batches, questions and headers with halmos: every `check_` holds, and its
control, the `refute_` of the same name, is refuted.

    python tests/contracts/prove.py

SHA-256 is a function that the prover knows nothing of. That is halmos' own model of the precompile; but it declares the
argument (release 0.3.3) with as many *bits* as it has bytes, and then fails on every call: corrected here. Runs in the
environment of requirements-contracts.lock, with `forge` and `yices-smt2` on the PATH.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

import z3
from halmos import sevm
from halmos.__main__ import _main as run_halmos

HERE = Path(__file__).parent
OPTIONS = ["--root", ".", "--forge-build-out", "../../.tools/contracts/out"]
OPTIONS += ["--match-contract", "^(Batch|Query|Power)?Proofs$"]
# A lane's key is not a hash, as Solidity's own layout would have it.
OPTIONS += ["--storage-layout", "generic", "--no-status", "--solver-timeout-assertion", "120s"]
COUNTEREXAMPLE = 1
"""How halmos marks a test for which it found one; a prover that gave up has other codes."""

_declare = sevm.Function


def declare(name: str, *sorts: Any) -> Any:
    """z3's Function, with the sort that SHA-256's argument has."""
    match = re.fullmatch(r"f_sha256_(\d+)", name)
    if match is not None:
        sorts = (z3.BitVecSort(8 * int(match[1])), sorts[-1])
    return _declare(name, *sorts)


def run(prefix: str) -> dict[str, int]:
    """Exit code by test; 0 is a proof, without a path cut short."""
    result = run_halmos([*OPTIONS, "--function", prefix])
    codes: dict[str, int] = {}
    for tests in (result.test_results or {}).values():
        for test in tests:
            codes[test.name] = test.exitcode if not test.num_bounded_loops else -1
    return codes


def _subject(name: str) -> str:
    """Return the subject of a proof and its control: their names without `check_` or `refute_`."""
    return name.partition("(")[0].partition("_")[2]


def main() -> int:
    os.chdir(HERE)  # forge finds our compiler from here
    sevm.Function = declare
    proofs = run("check_")
    print("The controls: what follows has to FAIL, every one of them.", flush=True)
    controls = run("refute_")
    failures = [name for name, code in proofs.items() if code != 0]
    failures += [name for name, code in controls.items() if code != COUNTEREXAMPLE]
    alone = {_subject(name) for name in proofs} ^ {_subject(name) for name in controls}
    failures += [f"{subject}: a proof without a control, or a control without a proof" for subject in alone]
    for name in failures:
        print(f"not as it should be: {name}", file=sys.stderr)
    if failures or not proofs or not controls:
        return 1
    print(f"{len(proofs)} proofs hold, {len(controls)} controls are refuted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
