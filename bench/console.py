"""The console's pages over generated traffic: how heavy each is on a first visit, and how soon one can work with it.

    python -m bench.console [--transfers 1000000] [--folder FOLDER] [--database URL] [--json]

The API and its console run in a process of their own over the traffic of `bench.supervision` (FOLDER keeps it for the
next run, URL names a database that is filled already); headless Chromium visits each page, each time with an empty
cache. Ends with 1 if a page is beyond a budget.

    pages           by page: `kb` compressed, with all that it loads; `ms` until its scripts have run and it takes input
                    (`domContentLoadedEventEnd`, the median of the visits); `whole_ms` until the parts that it asks
                    for afterwards are there; `cpu_ms` of the server for one visit
    heaviest_kb, slowest_ms
                    the largest of each
    beyond          the pages that are beyond a budget
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from playwright.async_api import Browser, async_playwright, expect

from bench._supervision_feed import fill, read_marker
from bench._supervision_server import KEY, Parameters, Served
from bench.traffic import ASSETS, CHAINS, Plan
from console.application import mount_console
from console.sessions import Sessions
from core.model.types import Asset, AssetId, ChainId, chain_of
from core.runtime.clock import SystemClock, SystemSecrets
from core.runtime.database import create_schema, open_database
from core.runtime.garbage import collect_seldom
from core.runtime.metrics import Metrics
from core.runtime.web import ApiKey, KeyRing, serve
from regulator_api.access.callers import RegulatorCallers
from regulator_api.access.roles import ROLES
from regulator_api.application import create_app
from regulator_api.auditing import Auditor
from regulator_api.service import RegulatorService, SupervisedChain

SEED: Final = 2026
BUDGET_KB: Final = 600
BUDGET_MS: Final = 1_000
VISITS: Final = 3
"""Of each page."""
PATIENCE_MS: Final = 120_000
START_S: Final = 120
PAGES: Final = (
    "",
    "alerts",
    "cases",
    "rules",
    "trace",
    "flows",
    "swaps",
    "transfers",
    "assets",
    "records",
    "contracts",
    "lists",
    "entities",
    "orders",
    "log",
    "search",
    "verify",
)
INTERACTIVE: Final = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
BYTES: Final = "performance.getEntries().reduce((sum, one) => sum + (one.encodedBodySize ?? 0), 0)"


async def _serve(url: str, pipe: Pipe) -> None:
    collect_seldom()
    clock, secrets, database, place = SystemClock(), SystemSecrets(), open_database(url), [""]
    await database.write(create_schema)
    assets = [Asset(AssetId(asset), asset.rpartition(":")[2][:8], decimals) for asset, decimals, _ in ASSETS]
    chains = [
        SupervisedChain(Parameters(ChainId(chain), {one.id: one for one in assets if chain_of(one.id) == chain}))
        for chain in CHAINS
    ]
    auditor = Auditor(database, clock)
    await auditor.prepare()
    key = ApiKey("bench", hashlib.sha256(KEY.encode()).hexdigest(), frozenset(ROLES))
    app = create_app(
        RegulatorService(database, chains, clock, secrets.token_bytes(32)),
        auditor,
        callers=RegulatorCallers(KeyRing([key]), clock),
        metrics=Metrics(),
        clock=clock,
        version="0",
    )
    mount_console(app, lambda: place[0], Sessions(clock, secrets, secure=False), clock, secrets, "bench")
    async with serve(app, "127.0.0.1", 0) as place[0]:
        pipe.send(place[0])
        while await asyncio.to_thread(pipe.recv) == "cpu":
            pipe.send(time.process_time())
    await database.close()


def _run(url: str, pipe: Pipe) -> None:
    asyncio.run(_serve(url, pipe))


@contextmanager
def serving(url: str) -> Iterator[Served]:
    """Serve in a process. Raise `RuntimeError` if it does not start."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(url, theirs))
    process.start()
    try:
        if not ours.poll(START_S):
            raise RuntimeError(f"the server did not start within {START_S} s")
        yield Served(str(ours.recv()), ours)
        ours.send("stop")
        process.join(30)
    finally:
        if process.is_alive():
            process.terminate()
            process.join(10)


async def _of_things(address: str) -> list[str]:
    """Return the pages of single things that the traffic has: the newest swap, an account, an asset, and so on."""
    async with aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session:

        async def first(path: str) -> Any:
            async with session.get(f"{address}/v1/{path}{'&' if '?' in path else '?'}limit=1") as answer:
                found = await answer.json()
            return next(iter(found.get("items", [])), None)

        swap, transfer, alert = await first("swaps?status=claimed"), await first("transfers"), await first("alerts")
        entity, rule = await first("entities"), await first("rules")
        asset, sender = transfer["amount"]["asset"], transfer["sender"] or transfer["receiver"]
        question = {"account": {"account": sender, "asset": asset}, "as_of": "latest", "hops": 5, "edges": 1_000}
        async with session.post(f"{address}/v1/traces", json=question) as answer:
            trace = await answer.json()
    made = [
        ("swaps", swap and swap["id"]),
        ("accounts", sender),
        ("assets", asset),
        ("alerts", alert and alert["id"]),
        ("entities", entity and entity["id"]),
        ("rules", rule and rule["id"]),
        ("traces", trace.get("id")),
    ]
    return [f"{kind}/{quote(name, safe='')}" for kind, name in made if name]


async def _visit(browser: Browser, address: str, page: str) -> tuple[float, float, float]:
    """Return milliseconds until it takes input and until it is whole, and kilobytes, of one first visit.

    Raise `RuntimeError` for a page that is refused.
    """
    context = await browser.new_context()
    try:
        # The session's cookie is the context's; no page was visited yet.
        form: dict[str, str | float | bool] = {"secret": KEY, "then": "/console/verify"}
        await context.request.post(f"{address}/console/signin", form=form)
        window = await context.new_page()
        begun = time.perf_counter()
        response = await window.goto(f"{address}/console/{page}", wait_until="domcontentloaded", timeout=PATIENCE_MS)
        if response is None or response.status != 200:
            raise RuntimeError(f"/console/{page}: status {None if response is None else response.status}")
        ready_ms = float(await window.evaluate(INTERACTIVE))
        await expect(window.locator("[aria-busy=true]")).to_have_count(0, timeout=PATIENCE_MS)
        whole_ms = (time.perf_counter() - begun) * 1_000
        return ready_ms, whole_ms, float(await window.evaluate(BYTES)) / 1_024
    finally:
        await context.close()


async def measured(served: Served, chromium: str, only: str | None, visits: int) -> dict[str, Any]:
    """All figures."""
    pages: dict[str, dict[str, float]] = {}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for page in [*PAGES, *await _of_things(served.address)]:
            if only is not None and not page.startswith(only):
                continue
            before = served.cpu_s()
            seen = [await _visit(browser, served.address, page) for _ in range(visits)]
            pages[page or "overview"] = {
                "ms": round(statistics.median(ms for ms, _, _ in seen)),
                "whole_ms": round(statistics.median(ms for _, ms, _ in seen)),
                "kb": round(max(kb for _, _, kb in seen), 1),
                "cpu_ms": round((served.cpu_s() - before) * 1_000 / visits),
            }
        await browser.close()
    beyond = [name for name, one in pages.items() if one["ms"] > BUDGET_MS or one["kb"] > BUDGET_KB]
    return {
        "pages": pages,
        "heaviest_kb": max(one["kb"] for one in pages.values()),
        "slowest_ms": max(one["ms"] for one in pages.values()),
        "beyond": beyond,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keeps the filled database for the next run")
    parser.add_argument("--database", help="one that is filled already, such as sqlite:///filled.sqlite")
    parser.add_argument("--only", help="pages that begin with this")
    parser.add_argument("--visits", type=int, default=VISITS, help="of each page")
    parser.add_argument("--json", action="store_true", help="the last line alone")
    chosen = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("There is no Chromium here: install it (Debian: apt-get install chromium).")
    with ExitStack() as stack:
        url = chosen.database
        if url is None:
            folder = chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.mkdir(parents=True, exist_ok=True)
            url = f"sqlite:///{folder}/supervision.sqlite"
            marker, plan = folder / "sqlite.json", Plan(SEED, chosen.transfers)
            if read_marker(marker, plan) is None:
                fill(url, marker, plan, "transfers, blocks")
        result = asyncio.run(measured(stack.enter_context(serving(url)), chromium, chosen.only, chosen.visits))
    if not chosen.json:
        for name, one in result["pages"].items():
            print(
                f"{name:60.60} {one['ms']:6} ms {one['whole_ms']:6} ms whole {one['kb']:7} kB {one['cpu_ms']:6} ms cpu",
                file=sys.stderr,
            )
    print(json.dumps(result))
    return 1 if result["beyond"] else 0


if __name__ == "__main__":
    sys.exit(main())
