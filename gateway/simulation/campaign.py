"""Many seeds, shared among processes, and their verdicts in words."""

import io
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import structlog

from core.runtime.garbage import collect_seldom
from core.runtime.logging import configure_logging
from gateway.simulation.story import Verdict, run


def verdicts(seeds: Sequence[int], jobs: int = 1, verbose: bool = False) -> Iterator[Verdict]:
    """Play seeds in this process, or shared among `jobs` others; verdicts come in the order of the seeds."""
    if jobs <= 1:
        settle(verbose)
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=settle) as pool:
        yield from pool.map(run, seeds)


def settle(verbose: bool = False) -> None:
    """Prepare this process for many stories. A story leaves few cycles, and makes millions of objects."""
    quiet(verbose)
    collect_seldom()


def quiet(verbose: bool = False) -> None:
    """Keep the parties from even formatting what they log of a story's faults; `verbose` shows every party's log."""
    configure_logging("debug" if verbose else "error", "console", None if verbose else io.StringIO())
    if not verbose:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def report(verdict: Verdict) -> str:
    """A verdict for people: the seed, its plan, what happened, and what went wrong."""
    lines = [
        f"seed {verdict.plan.seed}: {'ok' if verdict.ok else 'FAILED'}, {verdict.completed} of {verdict.swaps} swaps"
    ]
    lines += [f"  {verdict.plan}"]
    lines += [f"  {note}" for note in verdict.notes]
    lines += [f"  problem: {problem}" for problem in verdict.problems]
    return "\n".join(lines)
