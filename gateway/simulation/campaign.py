"""Many seeds, shared among processes, and their verdicts in words."""

import io
import logging
import signal
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Final

import structlog

from core.runtime.garbage import collect_seldom
from core.runtime.logging import configure_logging
from gateway.simulation.drawing import draw
from gateway.simulation.logbook import drop, note
from gateway.simulation.plan import CROWDED_TOWNS, RARE_TOWNS, SMALL_TOWNS
from gateway.simulation.story import Verdict, run
from gateway.simulation.verdict.problem import Kind, Problem

DENSE_EVERY: Final = 12
"""One town of this many in a campaign is dense; the others are small. A dense one has six times as many swaps and takes
about as much longer: small ones show more stories in the same time. Two of this many are about a rare thing."""
RARE_PLACES: Final = (3, 7)
"""The places of these two among them."""
CROWDED_EVERY: Final = 48
"""One town of this many, at the place of a dense one, is crowded: more is under way at once than anywhere else."""
CROWDED_PLACE: Final = 12
MORE_EVERY: Final = 24
"""One more town of this many is about a rare thing."""
MORE_PLACE: Final = 10


def mixed(count: int) -> tuple[int, ...]:
    """Return the seeds of a campaign of `count` towns: dense ones from 0 on, crowded ones from `CROWDED_TOWNS`
    on, small ones from `SMALL_TOWNS` on, those about one rare thing from `RARE_TOWNS` on."""
    firsts = 0, CROWDED_TOWNS, SMALL_TOWNS, RARE_TOWNS
    dense, crowded, small, rare = (iter(range(first, first + count)) for first in firsts)
    at = {0: dense, **dict.fromkeys(RARE_PLACES, rare)}

    def of(number: int) -> Iterator[int]:
        if number % CROWDED_EVERY == CROWDED_PLACE:
            return crowded
        return rare if number % MORE_EVERY == MORE_PLACE else at.get(number % DENSE_EVERY, small)

    return tuple(next(of(number)) for number in range(count))


def runs(seeds: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield these seeds as runs, in order, each as its first one and how many it has."""
    left = sorted(seeds)
    while left:
        count = next((number for number, seed in enumerate(left) if seed != left[0] + number), len(left))
        yield left[0], count
        left = left[count:]


def verdicts(
    seeds: Sequence[int], jobs: int = 1, verbose: bool = False, traced: bool = False
) -> Generator[Verdict, None, None]:
    """Play seeds in this process, or shared among `jobs` others; verdicts come in the order of the seeds.

    A story that breaks off has a verdict, too. `traced`: other processes send the traces along. Whoever stops early
    waits for the stories that are being played, and for no others.
    """
    if jobs <= 1:
        settle(verbose)
        yield from map(_judged, seeds)
        return
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_begin)
    try:
        yield from pool.map(_judged if traced else _judged_without_traces, seeds)
    finally:
        pool.shutdown(cancel_futures=True)


def _judged(seed: int) -> Verdict:
    try:
        return run(seed)
    except Exception as error:
        broken = Problem(Kind.STORY_UNENDED, f"{type(error).__name__}: {error}")
        return Verdict(draw(seed), (broken,), (), 0, 0, {}, 0.0, (), {})


def _judged_without_traces(seed: int) -> Verdict:
    return replace(_judged(seed), traces=())


def _begin() -> None:
    """Begin a process of a campaign. Ctrl-C is for the one that plans it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settle()


def settle(verbose: bool = False) -> None:
    """Prepare this process for many stories. A story leaves few cycles, and makes millions of objects."""
    quiet(verbose)
    collect_seldom()


def quiet(verbose: bool = False) -> None:
    """Note what the parties log, for the verdict, and write nothing of it; `verbose` shows every party's log."""
    configure_logging("debug", "console", None if verbose else io.StringIO())
    if not verbose:
        logging.getLogger().setLevel(logging.ERROR)
    shown = structlog.get_config()["processors"] if verbose else [drop]
    structlog.configure(processors=[note, *shown])


def report(verdict: Verdict) -> str:
    """A verdict for people: the seed, its plan, what happened, and what went wrong."""
    lines = [
        f"seed {verdict.plan.seed}: {'ok' if verdict.ok else 'FAILED'}, {verdict.completed} of {verdict.swaps} swaps"
    ]
    lines += [f"  {verdict.plan}"]
    lines += [f"  {note}" for note in verdict.notes]
    lines += [f"  problem: {problem}" for problem in verdict.problems]
    return "\n".join(lines)
