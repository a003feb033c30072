"""`python -m gateway.simulation.mutants [--only NAME] [--seeds 200] [--jobs 2] [--json] [--keep]`.

Exits 1 if a mutant survives.
"""

import argparse
import json
import sys
import time
from typing import Final

from rich.console import Console
from rich.progress import track

from gateway.simulation.mutants import MUTANTS
from gateway.simulation.mutants.run import keep_seeds, known_seeds, results, serve

SEEDS: Final = 200
JOBS: Final = 2


def main() -> int:
    """Play each mutant until a seed notices; print the table of them."""
    parser = argparse.ArgumentParser(prog="python -m gateway.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds each may take")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=JOBS, help="mutants at a time")
    parser.add_argument("--only", help="those whose name holds this")
    parser.add_argument("--new", action="store_true", help="those of which no seed is kept yet")
    parser.add_argument("--keep", action="store_true", help="keep the seeds that were found, to be tried first")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="end with one JSON object, for programs")
    given = parser.parse_args()
    if given.serve is not None:
        return serve(next((one for one in MUTANTS if one.name == given.serve), None))
    seeds = range(given.first, given.first + given.seeds)
    chosen = [one for one in MUTANTS if given.only is None or given.only in one.name]
    chosen = [one for one in chosen if not given.new or one.name not in known_seeds()]
    began, rows, kept = time.monotonic(), [], known_seeds()
    playing = results(chosen, seeds, given.jobs)
    for done in track(playing, "mutants", len(chosen), console=Console(stderr=True)):
        rows.append(
            {
                "mutant": done.mutant.name,
                "seed": done.seed,
                "kind": done.kind,
                "problem": done.problem,
                "s": round(done.seconds),
            }
        )
        words = f"{done.kind}: {done.problem[:90]}" if done.kind else f"SURVIVED {done.problem}"
        verdict = words if done.seed is None else f"seed {done.seed}, {done.seconds:.0f} s: {words}"
        print(f"{done.mutant.name:<36} {verdict}", flush=True)
        if given.keep and done.seed is not None:
            kept[done.mutant.name] = done.seed
            keep_seeds(kept)
    survived = [row["mutant"] for row in rows if row["seed"] is None]
    print(f"{len(rows) - len(survived)} of {len(rows)} found, {time.monotonic() - began:.0f} s")
    if given.json:
        print(json.dumps({"mutants": len(rows), "found": len(rows) - len(survived), "table": rows}))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
