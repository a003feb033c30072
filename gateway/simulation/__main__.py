"""`python -m gateway.simulation --seeds 100 [--first N]` or `--seed N --verbose`. Exits 1 where a seed fails."""

import argparse
import io
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from core.runtime.logging import configure_logging
from gateway.simulation.story import run
from gateway.simulation.verdict import Verdict


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


def verdicts(seeds: Sequence[int], jobs: int = 1, verbose: bool = False) -> Iterator[Verdict]:
    """Play seeds in this process, or shared among `jobs` others; verdicts come in the order of the seeds."""
    if jobs <= 1:
        quiet(verbose)
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=quiet) as pool:
        yield from pool.map(run, seeds)


def quiet(verbose: bool = False) -> None:
    """Deaths that a plan orders are no news; `verbose` shows every party's log all the same."""
    configure_logging("debug" if verbose else "error", "console", None if verbose else io.StringIO())


def told(verdict: Verdict) -> str:
    """A verdict for people: the seed, its plan, what happened, and what went wrong."""
    lines = [f"seed {verdict.plan.seed}: {'ok' if verdict.ok else 'FAILED'}", f"  {verdict.plan}"]
    lines += [f"  {note}" for note in verdict.notes]
    lines += [f"  {name}: {phase}, {verdict.lives[name]} lives" for name, phase in verdict.phases.items()]
    lines += [f"  {lock.terms.chain} {lock.lock_id} {lock.terms.amount}: {lock.status}" for lock in verdict.locks]
    lines += [f"  problem: {problem}" for problem in verdict.problems]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
