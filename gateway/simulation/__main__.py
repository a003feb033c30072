"""`python -m gateway.simulation --seeds 100 [--first N]` or `--seed N --verbose`. Exits 1 where a seed fails."""

import argparse
import sys
import time

from gateway.simulation.campaign import told, verdicts


def main() -> int:
    """Play seeds; print those that fail with their plan, then a count."""
    parser = argparse.ArgumentParser(prog="python -m gateway.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="play this one only")
    parser.add_argument("--jobs", type=int, default=1, help="processes to share the seeds")
    parser.add_argument("--verbose", action="store_true", help="tell every story, with the parties' logs")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds) if given.seed is None else [given.seed]
    failed, started = 0, time.monotonic()
    for verdict in verdicts(seeds, given.jobs, given.verbose):
        failed += not verdict.ok
        if given.verbose or not verdict.ok:
            print(told(verdict), flush=True)
    print(f"{len(seeds)} seeds, {failed} failed, {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
