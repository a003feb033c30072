"""How well the time of an answer gives away what a caller may not see.

    python -m bench.hidden [--seconds 180] [--json]

Asks the supervision API, over HTTP, for what is hidden and for what never was, in turns, and reports for each path both
medians and how often the hidden one took longer (0.5: time says nothing; 1.0: it says everything). `longer` is of the
time that a caller sees; `longer_cpu` and the medians are of processor time of server and caller together, which other
work on the machine changes less. Every path is asked once in every round, and the rounds end with the time or with
their number, whichever comes first; so a slow machine measures less often, and not for hours.
"""

import argparse
import asyncio
import json
import math
import statistics
import tempfile
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench._progress import progress
from core.runtime.database import open_database
from tests.regulator_api.api import Api
from tests.regulator_api.hidden import CALLER, Pair, hiding

SECONDS: Final = 180.0
ROUNDS: Final = 200
LEAST_ROUNDS: Final = 5
"""Rounds that are asked even if the time is over: fewer say nothing."""
MEMBERS: Final = 2_000
"""Accounts that belong to each jurisdiction."""

Times = tuple[list[float], list[float]]
"""Milliseconds of the hidden one and of the absent one, a figure for each round."""


@dataclass(slots=True)
class _Measured:
    pair: Pair
    wall_ms: Times = field(default_factory=lambda: ([], []))
    cpu_ms: Times = field(default_factory=lambda: ([], []))

    async def ask(self, api: Api, which: int) -> None:
        began, began_cpu = time.perf_counter(), time.process_time()
        await api.ask(self.pair[which], CALLER)
        self.cpu_ms[which].append((time.process_time() - began_cpu) * 1e3)
        self.wall_ms[which].append((time.perf_counter() - began) * 1e3)

    def shown(self) -> dict[str, Any]:
        hidden_ms, absent_ms = map(statistics.median, self.cpu_ms)
        return {
            "path": self.pair[0],
            "rounds": len(self.wall_ms[0]),
            "hidden_ms": round(hidden_ms, 3),
            "absent_ms": round(absent_ms, 3),
            "longer": longer(*self.wall_ms),
            "longer_cpu": longer(*self.cpu_ms),
        }


def longer(hidden: list[float], absent: list[float]) -> float:
    """Return how often one of `hidden` is longer than one of `absent`, of all pairs; equal ones count half."""
    absent = sorted(absent)
    found = sum(bisect_left(absent, one) + bisect_right(absent, one) for one in hidden)
    return round(found / (2 * len(hidden) * len(absent)), 3)


def noise_of(rounds: int) -> float:
    """Return three standard deviations of `longer` if time says nothing (Mann and Whitney 1947, equal numbers)."""
    return 3 * math.sqrt((2 * rounds + 1) / (12 * rounds**2))


async def run(seconds: float, rounds: int, members: int) -> list[dict[str, Any]]:
    """Return the figures of every path, after at most `rounds` rounds and about `seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'supervision.sqlite'}")
        try:
            async with hiding(database, members) as (api, pairs):
                measured = [_Measured(pair) for pair in pairs]
                for one in measured:  # what is made at the first request is not a path's
                    await api.ask(one.pair[0], CALLER)
                ends = time.monotonic() + seconds
                with progress("questions", rounds * len(pairs) * 2) as advance:
                    for number in range(rounds):
                        if number >= LEAST_ROUNDS and time.monotonic() > ends:
                            break
                        for one in measured:
                            for which in (0, 1) if number % 2 else (1, 0):
                                await one.ask(api, which)
                            advance(2)
                return [one.shown() for one in measured]
        finally:
            await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.rounds < 1 or given.members < 1:
        parser.error("--rounds and --members are 1 at least")
    found = asyncio.run(run(given.seconds, given.rounds, given.members))
    if given.json:
        print(json.dumps(found))
        return
    print(f"{'hidden ms':>10} {'absent ms':>10} {'longer':>7} {'cpu':>7}  path")
    for one in found:
        figures = f"{one['hidden_ms']:>10} {one['absent_ms']:>10} {one['longer']:>7} {one['longer_cpu']:>7}"
        print(f"{figures}  {one['path'][:80]}")
    rounds = found[0]["rounds"]
    print(f"{rounds} rounds: up to {noise_of(rounds):.2f} from 0.5 is chance")


if __name__ == "__main__":
    main()
