"""`python -m gateway.simulation.mutants [--only NAME] [--seeds 200] [--jobs 2] [--json] [--keep]`.

Each is played over the seeds of a campaign that come to where it makes a difference, small towns before dense ones.
Exits 1 if a mutant survives.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.progress import track

from gateway.simulation.campaign import mixed
from gateway.simulation.mutants import MUTANTS
from gateway.simulation.mutants.run import Result, keep_seeds, known_seeds, results
from gateway.simulation.plan import SMALL_TOWNS

SEEDS: Final = 200
JOBS: Final = 2


def main() -> int:
    """Play each mutant until a seed notices; print the table of them."""
    parser = argparse.ArgumentParser(prog="python -m gateway.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds each may take")
    parser.add_argument("--first", type=int, help="as many in a row from this one on: small towns from 1000000")
    parser.add_argument("--jobs", type=int, default=JOBS, help="mutants at a time")
    parser.add_argument("--only", help="those whose name holds this")
    parser.add_argument("--new", action="store_true", help="those of which no seed is kept yet")
    parser.add_argument("--keep", action="store_true", help="keep the seeds that were found, to be tried first")
    parser.add_argument("--json", action="store_true", help="end with one JSON object, for programs")
    given = parser.parse_args()
    chosen = [one for one in MUTANTS if given.only is None or given.only in one.name]
    chosen = [one for one in chosen if not given.new or one.name not in known_seeds()]
    began, rows, kept = time.monotonic(), list[Result](), known_seeds()
    playing = results(chosen, _seeds(given), given.jobs)
    for done in track(playing, "mutants", len(chosen), console=Console(stderr=True)):
        rows.append(done)
        print(f"{done.mutant.name:<36} {_said(done)}", flush=True)
        if given.keep and done.seed is not None:
            kept[done.mutant.name] = done.seed
            keep_seeds(kept)
    found, took_s = sum(row.seed is not None for row in rows), time.monotonic() - began
    print(f"{found} of {len(rows)} found, {took_s:.0f} s, {60 * len(rows) / max(took_s, 0.001):.1f} a minute")
    if given.json:
        print(json.dumps({"mutants": len(rows), "found": found, "table": [_row(row) for row in rows]}))
    return int(found < len(rows))


def _seeds(given: argparse.Namespace) -> Sequence[int]:
    """Small towns first: they are played in less time."""
    if given.first is not None:
        return range(given.first, given.first + given.seeds)
    return sorted(mixed(given.seeds), key=lambda seed: seed < SMALL_TOWNS)


def _said(done: Result) -> str:
    if done.seed is not None:
        return f"seed {done.seed}, {done.seconds:.0f} s: {done.kind}: {done.problem[:90]}"
    return f"SURVIVED {done.played} seeds, passed by {done.passed_by} others, {done.seconds:.0f} s {done.problem}"


def _row(done: Result) -> dict[str, object]:
    return {
        "mutant": done.mutant.name,
        "seed": done.seed,
        "kind": done.kind,
        "problem": done.problem,
        "played": done.played,
        "passed_by": done.passed_by,
        "s": round(done.seconds),
    }


if __name__ == "__main__":
    sys.exit(main())
