"""`python -m gateway.simulation --seeds 100 [--first N] [--jobs 2] [--json]`, or `--seed N --verbose`.

Without `--first`, one town in twelve is dense (seeds from 0 on; one of four of these is crowded, from 500,000 on), and
the others are small (from 1,000,000 on), ten in forty-eight of all about a rare thing (from 2,000,000 on). Ctrl-C ends
a campaign early, behind the stories that are being played: it says what it has seen so far, and with which seeds to go
on. Exit 1 if a seed fails, or if a campaign of `ENOUGH` seeds or more never saw something that it has to bear; 130 if
it was stopped.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gateway.simulation.campaign import mixed, report, runs, verdicts
from gateway.simulation.coverage import Coverage
from gateway.simulation.story import Verdict

ENOUGH: Final = 200
STOPPED: Final = 130
TOLD_EVERY_S: Final = 60.0
"""How often a campaign says how far it is where there is no terminal for a bar, as in a log of CI."""


@dataclass
class Tally:
    """A campaign so far."""

    began: float = field(default_factory=time.monotonic)
    seeds: int = 0
    swaps: int = 0
    completed: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    seen: Coverage = field(default_factory=Coverage)

    def add(self, verdict: Verdict) -> None:
        self.seeds += 1
        self.swaps += verdict.swaps
        self.completed += verdict.completed
        self.seen.add(verdict.plan.seed, verdict.faults, verdict.journeys)
        self.problems += [
            {"seed": verdict.plan.seed, "kind": problem.kind, "problem": problem.text} for problem in verdict.problems
        ]

    @property
    def took_s(self) -> float:
        return time.monotonic() - self.began

    @property
    def swaps_per_s(self) -> float:
        return self.swaps / max(self.took_s, 0.001)

    def never_seen(self) -> list[str]:
        """Return what was never seen, nothing if too few seeds were played to say so."""
        return self.seen.never_seen() if self.seeds >= ENOUGH else []

    def lines(self) -> Iterator[str]:
        for kind, counts in self.seen.by_kind().items():
            yield f"{kind}: {', '.join(f'{name} {count}' for name, count in counts.items())}"
        yield f"rarest: {', '.join(f'{name} (seed {seed})' for name, seed in self.seen.rarest().items())}"
        yield (
            f"{self.seeds} seeds, {self.swaps} swaps ({self.completed} completed), {len(self.problems)} problems, "
            f"{self.took_s:.1f} s, {self.swaps_per_s:.2f} swaps/s"
        )
        if missing := self.never_seen():
            yield f"never seen: {', '.join(missing)}"

    def figures(self) -> dict[str, Any]:
        return {
            "seeds": self.seeds,
            "swaps": self.swaps,
            "swaps_per_s": round(self.swaps_per_s, 2),
            "problems": self.problems,
            "never_seen": self.never_seen(),
            "rarest": self.seen.rarest(),
            **self.seen.by_kind(),
        }


def main() -> int:
    """Play seeds; print those that fail with their plan, then what was seen."""
    parser = argparse.ArgumentParser(prog="python -m gateway.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to play: dense and small towns")
    parser.add_argument("--first", type=int, help="play as many in a row from this one on: small towns from 1000000")
    parser.add_argument("--seed", type=int, help="play this one only")
    parser.add_argument("--jobs", type=int, default=2, help="processes to share the seeds")
    parser.add_argument("--json", action="store_true", help="end with one JSON object, for programs")
    parser.add_argument("--verbose", action="store_true", help="show every story, with the parties' logs")
    given = parser.parse_args()
    seeds = _seeds(given)
    tally, playing = Tally(), verdicts(seeds, min(given.jobs, len(seeds)), given.verbose)
    with _stoppable() as stopped, _shown(seeds, tally) as show:
        for verdict in playing:
            tally.add(verdict)
            if given.verbose or not verdict.ok:
                print(report(verdict), flush=True)
            show()
            if stopped.is_set():
                break
    playing.close()
    for line in tally.lines():
        print(line)
    if stopped.is_set():
        left = (f"--first {first} --seeds {count}" for first, count in runs(seeds[tally.seeds :]))
        print(f"stopped: go on with {' and with '.join(left)}")
    if given.json:
        print(json.dumps(tally.figures()))
    return STOPPED if stopped.is_set() else 1 if tally.problems or tally.never_seen() else 0


def _seeds(given: argparse.Namespace) -> Sequence[int]:
    if given.seed is not None:
        return (given.seed,)
    return mixed(given.seeds) if given.first is None else range(given.first, given.first + given.seeds)


@contextmanager
def _stoppable() -> Iterator[Event]:
    """Give what the first Ctrl-C sets, at which nothing is broken off: an exception out of nowhere may be lost in the
    middle of a story. The next one ends this process at once."""
    stopped = Event()

    def stop(_number: int, _frame: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _shown(seeds: Sequence[int], tally: Tally) -> Iterator[Any]:
    """A progress bar on standard error, or a line now and then if it is not a terminal; call what this gives after each
    seed."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Teller(tally, len(seeds)).tell
        return
    columns = (
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[swaps_per_s]:.1f} swaps/s, {task.fields[problems]} problems"),
    )
    with Progress(*columns, console=console, disable=len(seeds) < 2) as bar:
        task = bar.add_task("seeds", total=len(seeds), swaps_per_s=0.0, problems=0)
        yield lambda: bar.update(
            task, completed=tally.seeds, swaps_per_s=tally.swaps_per_s, problems=len(tally.problems)
        )


class _Teller:
    """Says on standard error how far a campaign is."""

    def __init__(self, tally: Tally, total: int) -> None:
        self._tally = tally
        self._total = total
        self._said_s = 0.0

    def tell(self) -> None:
        """Print a line if the last one is long ago."""
        took_s = self._tally.took_s
        if took_s - self._said_s < TOLD_EVERY_S:
            return
        self._said_s = took_s
        played, left_s = self._tally.seeds, took_s / self._tally.seeds * (self._total - self._tally.seeds)
        print(
            f"{played} of {self._total} seeds, {took_s / 60:.0f} min, about {left_s / 60:.0f} min left, "
            f"{self._tally.swaps_per_s:.1f} swaps/s, {len(self._tally.problems)} problems",
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
