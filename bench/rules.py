"""The regulator's rules over generated traffic: at each block, and over the whole history.

    python -m bench.rules [--transfers 200000] [--folder FOLDER] [--live-blocks N] [--engine local|spark] [--json]

The traffic is stored by a process of its own, so that this one holds the rules alone, and the cold run is one of its
own, too. FOLDER keeps the history (four fifths of the traffic, which the rules have read) in `history.sqlite`, and what
the last run made of it in `supervision.sqlite`. A history that was stored by other tables, or a kept one that another
text of the rules has read, is made or read again: their alerts are not those of a cold run today.

    rules_per_s         transfers a second of processor time at each block, state included: SQLite with
                        synchronous=FULL, after the history. Blocks of a minute, of which the rules read 96 at a time.
                        Without the first tenth, in which the engine, which has just started, reads again what it then
                        keeps in memory
    restart_per_s       the same of that first tenth
    rules_block_p95_ms  the same of one block, in milliseconds
    catch_up_per_s      transfers a second of processor time while the engine reads the history
    live_transfers      how many these figures are of
    export_s            histories out of the database into Parquet files, in seconds
    cold_run_s          the whole history again, export included: run on two processes (or on Spark), in seconds
    cold_cpu_s          the processor time of the cold run, of all its processes
    same                the cold run says what the engine said, byte for byte
    rss_mb              the largest size of the process that runs rules at each block; another one reads the history
    cold_rss_mb         the largest size of the cold run's processes, none of which has done anything else
    detection           precision and recall by typology
"""

import argparse
import asyncio
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bench._memory import peak_mb, peak_of_children_mb
from bench._progress import progress
from bench._supervision_feed import JUDGED_BY, Feed, Marker, feeding, fill, read_marker, text_digest
from bench.detection import detection
from bench.traffic import Plan
from core.runtime.clock import SystemClock
from core.runtime.database import Database, open_database
from core.runtime.garbage import collect_seldom
from indexer.feed import last_seq
from indexer.projections.histories import complete_since
from regulator_api.knowledge.store import load_labels
from regulator_api.rules import export as exporting
from regulator_api.rules import tables
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.engine import RulesEngine
from regulator_api.rules.observation import Alert, encode_alerts
from regulator_api.rules.reading import Knowledge
from regulator_api.rules.replay import run_local, run_spark
from regulator_api.rules.store import standing_alerts
from regulator_api.rules.versions import load_rates, load_rules

P = ParamSpec("P")
T = TypeVar("T")

SEED = 2026
LIVE = 96
"""Blocks that are stored before the rules look: a second of a busy time."""
STARTING = 10
"""The first of this many parts of the live blocks comes while the engine has just started."""
HISTORY = 4, 5
"""The share of all blocks that are history."""


def _export(folder: Path, connection: Connection) -> exporting.Manifest:
    knowledge = Knowledge(
        RuleSet(load_rules(connection)), load_labels(connection), load_rates(connection), complete_since(connection)
    )
    return exporting.export(connection, knowledge, folder)


def alone(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Call a function in a fresh process, whose size and garbage are its own."""
    with ProcessPoolExecutor(1, get_context("spawn"), collect_seldom) as pool:
        return pool.submit(work, *given, **named).result()


def cpu_s() -> float:
    """The processor time of this process and of those that it has waited for."""
    return sum(sum(resource.getrusage(whose)[:2]) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


@dataclass(slots=True)
class Spent:
    """Processor time, in seconds, and for how many transfers."""

    seconds: float = 0.0
    transfers: int = 0

    @property
    def rate(self) -> int | None:
        """Transfers a second; None if there were none."""
        return round(self.transfers / self.seconds) if self.transfers else None


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one plan."""

    folder: Path
    plan: Plan

    def url(self, name: str) -> str:
        return f"sqlite:///{self.folder}/{name}.sqlite"

    def marker(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def write(self, name: str, marker: Marker) -> None:
        self.marker(name).write_bytes(msgspec.json.encode(marker))


def _forget(connection: Connection) -> None:
    """Leave nothing of what other rules have said."""
    for table in (tables.state, tables.observations, tables.links, tables.alerts):
        connection.execute(sa.delete(table))


def history(place: Place) -> Marker:
    """Store the history, and let the rules read it, unless both are there as they would be now."""
    made, by = read_marker(place.marker("history"), place.plan), text_digest(JUDGED_BY)
    if made is None:
        made = fill(place.url("history"), place.marker("history"), place.plan, "history", HISTORY)
    if made.rules == by and "catch_up_per_s" in made.figures:
        return made
    return alone(_caught_up, place, made, by)


def _caught_up(place: Place, made: Marker, by: str) -> Marker:
    return asyncio.run(catch_up(place, made, by))


async def catch_up(place: Place, made: Marker, by: str) -> Marker:
    """Let the rules read the history."""
    database = open_database(place.url("history"))
    if made.rules != by:
        await database.write(_forget)
        made = msgspec.structs.replace(made, rules=by, figures={})
        place.write("history", made)
    engine = RulesEngine(database, SystemClock())
    facts = await database.read(last_seq)
    spent, begun = time.process_time(), time.perf_counter()
    with progress("rules, facts", facts) as advance:
        first = seq = (now := await engine.advance()).seq  # not 0 if a run was broken off
        while now.more:
            advance(now.seq - seq)
            seq, now = now.seq, await engine.advance()
    spent = time.process_time() - spent
    moved = made.counts["transfers"] * HISTORY[0] // HISTORY[1] * (facts - first) // facts
    figures = {
        "catch_up_per_s": round(moved / spent),
        "catch_up_s": round(time.perf_counter() - begun, 1),
        "catch_up_rss_mb": peak_mb(),
    }
    await database.close()
    made = msgspec.structs.replace(made, figures=figures)
    place.write("history", made)
    return made


async def live(database: Database, feed: Feed, blocks: int) -> dict[str, Any]:
    """Store blocks as they come, and run the rules at each of them."""
    engine = RulesEngine(database, SystemClock())
    await engine.step()
    durations: list[float] = []
    starting, running = Spent(), Spent()
    with progress("rules, blocks", blocks) as advance:
        for first in range(0, blocks, LIVE):
            count, spent = min(LIVE, blocks - first), starting if first * STARTING < blocks else running
            moved = feed.store(count)
            begun, began = time.perf_counter(), time.process_time()
            await engine.step()
            spent.seconds += time.process_time() - began
            spent.transfers += moved
            durations.append((time.perf_counter() - begun) / count)
            advance(count)
    durations.sort()
    return {
        "rules_per_s": running.rate,
        "restart_per_s": starting.rate,
        "rules_block_p95_ms": round(durations[int(len(durations) * 0.95)] * 1_000, 1),
        "live_transfers": starting.transfers + running.transfers,
        "rss_mb": peak_mb(),
    }


def cold(url: str, folder: Path, engine: str, master: str) -> tuple[dict[str, Any], list[Alert]]:
    """Export the whole history and run the rules over it. Sizes are of this process, and of those that it starts."""
    begun, spent = time.perf_counter(), cpu_s()
    asyncio.run(_exported(url, folder))
    exported_s = time.perf_counter() - begun
    found = run_spark(folder, master) if engine == "spark" else run_local(folder, 2)
    figures = {
        "export_s": round(exported_s, 1),
        "cold_run_s": round(time.perf_counter() - begun, 1),
        "cold_cpu_s": round(cpu_s() - spent, 1),
        "cold_rss_mb": max(peak_mb(), peak_of_children_mb()),
    }
    return figures, found


async def _exported(url: str, folder: Path) -> None:
    database = open_database(url)
    await database.read(partial(_export, folder))
    await database.close()


async def measure(place: Place, engine_name: str, master: str, live_blocks: int | None) -> dict[str, Any]:
    collect_seldom()  # as daemons do
    made = history(place)
    place.marker("supervision").unlink(missing_ok=True)
    for left in ("-wal", "-shm"):
        (place.folder / f"supervision.sqlite{left}").unlink(missing_ok=True)
    shutil.copyfile(place.folder / "history.sqlite", place.folder / "supervision.sqlite")
    database = open_database(place.url("supervision"))
    with feeding(place.url("supervision"), place.plan) as feed:
        feed.skip(made.blocks)
        rest = feed.blocks - made.blocks
        blocks = rest if live_blocks is None else min(rest, live_blocks)
        figures = made.figures | await live(database, feed, blocks)
        whole = blocks == rest
        truth = feed.truth() if whole else None
    exported = place.folder / "export"
    shutil.rmtree(exported, ignore_errors=True)
    said = await database.read(standing_alerts)
    await database.close()
    more, found = alone(cold, place.url("supervision"), exported, engine_name, master)
    place.write("supervision", Marker(made.plan, made.counts, made.blocks + blocks, whole, made.figures, made.rules))
    ordered = sorted(said, key=lambda one: (one.rule, one.subject, one.first, one.alert_id))
    return {
        **made.counts,
        "blocks": made.blocks + blocks,
        "engine": engine_name,
        **figures,
        **more,
        "same": encode_alerts(found) == encode_alerts(ordered),
        "alerts": len(found),
        "detection": None if truth is None else detection(found, truth),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--folder", type=Path, help="keeps the data for the next run")
    parser.add_argument("--live-blocks", type=int, help="the most blocks behind the history, for a quick look")
    parser.add_argument("--engine", choices=("local", "spark"), default="local")
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--json", action="store_true", help="the last line alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = chosen.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        place = Place(folder.resolve(), Plan(chosen.seed, chosen.transfers))
        result = asyncio.run(measure(place, chosen.engine, chosen.master, chosen.live_blocks))
    if not chosen.json:
        for name, value in result.items():
            print(f"{name:20} {value}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
