"""`python -m gateway.simulation --seeds 100 [--first N] [--jobs 2] [--json]`, or `--seed N --verbose`.

Exits 1 if a seed fails, or if a campaign of `ENOUGH` seeds or more never saw something that it has to bear.
"""

import argparse
import json
import sys
import time
from typing import Final

from rich.console import Console
from rich.progress import track

from gateway.simulation.campaign import report, verdicts
from gateway.simulation.coverage import Coverage

ENOUGH: Final = 200


def main() -> int:
    """Play seeds; print those that fail with their plan, then what was seen."""
    parser = argparse.ArgumentParser(prog="python -m gateway.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="play this one only")
    parser.add_argument("--jobs", type=int, default=2, help="processes to share the seeds")
    parser.add_argument("--json", action="store_true", help="end with one JSON object, for programs")
    parser.add_argument("--verbose", action="store_true", help="show every story, with the parties' logs")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds) if given.seed is None else [given.seed]
    jobs = 1 if given.seed is not None else given.jobs
    began, swaps, completed, problems = time.monotonic(), 0, 0, []
    seen = Coverage()
    played = verdicts(seeds, jobs, given.verbose)
    for verdict in track(played, "seeds", len(seeds), console=Console(stderr=True), disable=len(seeds) < 2):
        swaps, completed = swaps + verdict.swaps, completed + verdict.completed
        seen.add(verdict.plan.seed, verdict.faults, verdict.journeys)
        problems += [
            {"seed": verdict.plan.seed, "kind": problem.kind, "problem": problem.text} for problem in verdict.problems
        ]
        if given.verbose or not verdict.ok:
            print(report(verdict), flush=True)
    took_s = time.monotonic() - began
    missing = seen.never_seen() if len(seeds) >= ENOUGH else []
    for kind, counts in seen.by_kind().items():
        print(f"{kind}: {', '.join(f'{name} {count}' for name, count in counts.items())}")
    print(f"rarest: {', '.join(f'{name} (seed {seed})' for name, seed in seen.rarest().items())}")
    print(
        f"{len(seeds)} seeds, {swaps} swaps ({completed} completed), {len(problems)} problems, "
        f"{took_s:.1f} s, {swaps / took_s:.2f} swaps/s"
    )
    if missing:
        print(f"never seen: {', '.join(missing)}")
    if given.json:
        figures = {
            "seeds": len(seeds),
            "swaps": swaps,
            "swaps_per_s": round(swaps / took_s, 2),
            "problems": problems,
            "never_seen": missing,
            "rarest": seen.rarest(),
            **seen.by_kind(),
        }
        print(json.dumps(figures))
    return 1 if problems or missing else 0


if __name__ == "__main__":
    sys.exit(main())
