"""The regulator's rules over generated traffic: at each block, and over the whole history.

    python -m bench.rules [--transfers 200000] [--seed 4711] [--engine local|spark] [--master local[2]] [--json]

    rules_per_s         transfers a second at each block, state included: SQLite with synchronous=FULL, after
                        four fifths of the traffic. Blocks of a minute, of which the rules read 96 at a time
    rules_block_p95_ms  the same of one block, in milliseconds
    catch_up_per_s      transfers a second while the engine reads that history
    cold_run_s          the whole history again: exported, and run on two processes (or on Spark), in seconds
    cold_cpu_s          the processor time of the cold run on one process, export included
    same                the cold run says what the engine said, byte for byte
    detection           precision and recall by typology
    rss_mb              the largest size of this process

Rates a second are of processor time (user and system) of this process, since machines that run benches do other things.
"""

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from bench._supervision_data import Filling
from bench.detection import detection
from bench.traffic import ASSETS, CHAINS, Plan, Traffic, generate
from core.model.facts import Block
from core.model.types import AccountId, ChainId, Height
from core.runtime.clock import SystemClock
from core.runtime.database import SqliteDatabase
from core.runtime.garbage import collect_seldom
from indexer import store
from indexer.chain_view import ChainView, advance
from indexer.projections.contracts import report_holder
from indexer.projections.histories import complete_since
from regulator_api.knowledge.store import import_list, load_labels
from regulator_api.knowledge.tags import Statement
from regulator_api.rules import export as exporting
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.engine import RulesEngine
from regulator_api.rules.observation import encode_alerts
from regulator_api.rules.reading import Knowledge
from regulator_api.rules.replay import run_local, run_spark
from regulator_api.rules.store import standing_alerts
from regulator_api.rules.versions import load_rates, load_rules, store_rates
from regulator_api.values import rate_of

LIVE = 96
"""Blocks that are stored before the rules look: a second of a busy time."""
BATCH = 400
"""Blocks of one commit while the history is stored."""


class InOrder(Filling):
    """Stores the blocks of all chains in the order of time, as three followers at their heads do."""

    def __init__(self, database: SqliteDatabase, traffic: Traffic) -> None:
        super().__init__(database, traffic)
        self._views = [ChainView(ChainId(chain), Height(0)) for chain in CHAINS]
        self.database = database

    async def begin(self) -> list[tuple[int, int, Block]]:
        """Prepare the database. Return (time, chain, block) of everything, in the order of time."""
        from bench._supervision_data import _fresh

        await self.database.write(_fresh)
        await self.database.write(self._agree)
        await self.database.write(self._label)
        await self.database.write(self._name_owners)
        await self.database.write(_rates)
        blocks = []
        for number, name in enumerate(CHAINS):
            chain = ChainId(name)
            mine = [one for one in self._traffic.transfers if one.chain == number]
            keeper = next((self._traffic.accounts[one.receiver] for one in mine if one.step.startswith("lock")), None)
            await self.database.write(partial(_register, chain=chain, keeper=keeper))
            blocks += [(one.header.time.seconds, number, one) for one in self._blocks(number, chain, mine)]
        return sorted(blocks, key=itemgetter(0, 1))

    def _name_owners(self, connection: Connection) -> None:
        """A tag for each account that belongs to an entity: only a tag joins accounts."""
        owners = [
            Statement(AccountId(account), "person", "person", "bench", 100, 0, None, None, entity)
            for account, entity in sorted(self._traffic.entities.items())
        ]
        import_list(connection, "owners", "own", owners, sha256=bytes(32), published_s=1, who="bench", now_ns=2)

    async def store(self, blocks: list[tuple[int, int, Block]]) -> None:
        """Store some blocks, in one transaction."""

        def work(connection: Connection) -> list[ChainView]:
            views = list(self._views)
            for number, before in enumerate(views):
                part = [block for _, chain, block in blocks if chain == number]
                if part:
                    tip = None if before.tip is None else before.tip.height
                    step = advance(before, tip, part, part[-1].header)
                    store.commit(connection, before, step, store.Observation("live", "", part[-1].header, 1))
                    views[number] = step.view
            return views

        self._views = await self.database.write(work)


def _register(connection: Connection, chain: ChainId, keeper: Any) -> None:
    store.register_chain(connection, chain, b"\1" * 32, Height(0))
    if chain.startswith("eip155:"):
        report_holder(connection, chain, keeper)


def _rates(connection: Connection) -> None:
    store_rates(
        connection, [rate_of(asset, 0, f"{cents / 100:.2f}", decimals, "bench") for asset, decimals, cents in ASSETS]
    )


def _export(folder: Path, connection: Connection) -> exporting.Manifest:
    knowledge = Knowledge(
        RuleSet(load_rules(connection)), load_labels(connection), load_rates(connection), complete_since(connection)
    )
    return exporting.export(connection, knowledge, folder)


async def measure(plan: Plan, engine_name: str, master: str, folder: Path) -> dict[str, Any]:
    collect_seldom()  # as daemons do
    traffic = generate(plan)
    database = SqliteDatabase(folder / "rules.sqlite")
    filling = InOrder(database, traffic)
    blocks = await filling.begin()
    history, live = blocks[: len(blocks) * 4 // 5], blocks[len(blocks) * 4 // 5 :]
    for first in range(0, len(history), BATCH):
        await filling.store(history[first : first + BATCH])
    engine = RulesEngine(database, SystemClock())
    spent = time.process_time()
    await engine.step()
    catch_up_s = time.process_time() - spent
    before = sum(len(block.events) for _, _, block in history)
    # What a follower does is not the rules': only `advance` is measured.
    durations, rules_cpu_s = [], 0.0
    for first in range(0, len(live), LIVE):
        await filling.store(live[first : first + LIVE])
        begun, spent = time.perf_counter(), time.process_time()
        await engine.step()
        rules_cpu_s += time.process_time() - spent
        durations.append((time.perf_counter() - begun) / len(live[first : first + LIVE]))
    said = await database.read(standing_alerts)
    moved = sum(len(block.events) for _, _, block in live)
    durations.sort()
    begun = time.perf_counter()
    await database.read(partial(_export, folder / "export"))
    exported_s = time.perf_counter() - begun
    place = folder / "export"
    if engine_name == "spark":
        found = await asyncio.to_thread(run_spark, place, master)
    else:
        found = await asyncio.to_thread(run_local, place, 2)
    cold_s = time.perf_counter() - begun
    await database.close()
    ordered = sorted(said, key=lambda one: (one.rule, one.subject, one.first, one.alert_id))
    return {
        "transfers": len(traffic.transfers),
        "blocks": len(blocks),
        "engine": engine_name,
        "rules_per_s": round(moved / rules_cpu_s),
        "rules_block_p95_ms": round(durations[int(len(durations) * 0.95)] * 1_000, 1),
        "catch_up_per_s": round(before / catch_up_s),
        "export_s": round(exported_s, 1),
        "cold_run_s": round(cold_s, 1),
        "same": encode_alerts(found) == encode_alerts(ordered),
        "alerts": len(found),
        "detection": detection(found, traffic),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=4711)
    parser.add_argument("--engine", choices=("local", "spark"), default="local")
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--json", action="store_true", help="the last line alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(chosen.seed, chosen.transfers)
        result = asyncio.run(measure(plan, chosen.engine, chosen.master, Path(folder)))
    if not chosen.json:
        for name, value in result.items():
            print(f"{name:20} {value}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
