"""How well the time of an answer gives away what a caller may not see: `python -m bench.hidden [--json]`.

Asks the supervision API, over HTTP, for what is hidden and for what never was, in turns, and reports for each path both
medians and how often the hidden one took longer (0.5: time says nothing; 1.0: it says everything).
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from core.runtime.database import open_database
from tests.regulator_api.api import Api
from tests.regulator_api.hidden import CALLER, Pair, hiding

ROUNDS: Final = 200
MEMBERS: Final = 2_000
"""Accounts that belong to each jurisdiction."""


async def measured(api: Api, pair: Pair, rounds: int) -> dict[str, Any]:
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            await api.ask(pair[which], CALLER)
            taken[which].append((time.perf_counter() - began) * 1e3)
    longer = sum((hidden > absent) + (hidden == absent) / 2 for hidden in taken[0] for absent in taken[1])
    hidden_ms, absent_ms = map(statistics.median, taken)
    return {
        "path": pair[0],
        "hidden_ms": round(hidden_ms, 3),
        "absent_ms": round(absent_ms, 3),
        "longer": round(longer / rounds**2, 3),
    }


async def run(rounds: int, members: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'supervision.sqlite'}")
        try:
            async with hiding(database, members) as (api, pairs):
                return [await measured(api, pair, rounds) for pair in pairs]
        finally:
            await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(run(given.rounds, given.members))
    if given.json:
        print(json.dumps(found))
        return
    print(f"{'hidden ms':>10} {'absent ms':>10} {'longer':>7}  path")
    for one in found:
        print(f"{one['hidden_ms']:>10} {one['absent_ms']:>10} {one['longer']:>7}  {one['path'][:80]}")


if __name__ == "__main__":
    main()
