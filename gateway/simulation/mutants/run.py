"""Plays mutants: each in a process of its own, over the seed that found it last and then over the others."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.simulation.mutants.planting import ROOT, Mutant, Planter

FOUND: Final = Path(__file__).with_name("found.json")
"""The seed that found each mutant, by its name."""
STUCK_S: Final = 1_800.0
"""A mutant that plays for so long without a problem has survived."""


@dataclass(frozen=True, slots=True)
class Result:
    """A mutant's fate. `seed` is None if it survived; `problem` is what the verdict said first."""

    mutant: Mutant
    seed: int | None
    problem: str
    seconds: float


def known_seeds() -> dict[str, int]:
    """The seeds that are kept."""
    kept: dict[str, int] = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.exists() else {}
    return kept


def keep_seeds(seeds: Mapping[str, int]) -> None:
    """Keep these seeds in place of the ones that are kept."""
    FOUND.write_text(json.dumps(dict(sorted(seeds.items())), indent=1) + "\n", encoding="utf-8")


def play_one(mutant: Mutant, seeds: Sequence[int]) -> int:
    """In a process of its own: play until a seed fails; print it as JSON."""
    sys.meta_path.insert(0, Planter(mutant.edits))
    from gateway.simulation.campaign import quiet
    from gateway.simulation.story import run

    quiet()
    for seed in seeds:
        try:
            found = [str(problem) for problem in run(seed).problems]
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        if found:
            print(json.dumps({"seed": seed, "problem": found[0]}))
            return 0
    print(json.dumps({"seed": None}))
    return 0


def found_by(mutant: Mutant, first: int, count: int) -> Result:
    """The seed that noticed the mutant and what it said."""
    began, known = time.monotonic(), known_seeds().get(mutant.name)
    command = [sys.executable, "-m", "gateway.simulation.mutants", "--play", mutant.name]
    command += ["--first", str(first), "--seeds", str(count), *([] if known is None else ["--known", str(known)])]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=STUCK_S, check=True)
    except subprocess.TimeoutExpired:
        return Result(mutant, None, f"still playing after {STUCK_S:.0f} s", STUCK_S)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{mutant.name}: {error.stderr[-1_000:]}") from error
    said = json.loads(done.stdout.splitlines()[-1])
    return Result(mutant, said["seed"], said.get("problem", ""), time.monotonic() - began)


def results(mutants: Sequence[Mutant], first: int, count: int, jobs: int) -> Iterator[Result]:
    """Yield the result of each mutant, as soon as it is known."""
    with ThreadPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(found_by, mutant, first, count) for mutant in mutants]):
            yield done.result()
