"""The supervision API over generated traffic on three chains: look-ups, lists, traces, a mixed load, and its memory.

    python -m bench.supervision [--transfers 1000000] [--postgres] [--folder FOLDER] [--engine local|spark] [--json]

The traffic (`bench.traffic`, with injected cases of each typology) goes through the indexer's own code into one
database, once; FOLDER keeps it for the next run. With 1,000,000 transfers it takes some minutes and 3 GB for SQLite,
and as much again for PostgreSQL, into which it is copied if SQLite has it. The API runs in a process of its own: every
request goes through HTTP and into the audit log, every answer is signed, as in production.

    lookup_p95_ms   an account's profile, a swap, or the transfers of a transaction; one at a time
    list_p95_ms     a page of 50 of an account's history (the busiest ones among them), of all transfers, of an asset's,
                    of one account's, and of swaps; any page, by a span of time or a cursor
    trace_ms        95th percentile of traces of 5 hops over up to 10,000 movements, by all three methods
    trace_edges     the median of how many movements these traces looked at
    lookup_cpu_ms, list_cpu_ms, trace_cpu_ms
                    processor time of the server for each of these, smaller traces included
    mixed_rps       answers a second under a mixed load of all of these (traces apart), 16 at a time
    mixed_p95_ms    at 200 requests a second, sent at their times whatever the answers take
    cpu_ms_per_request
                    processor time of the server, user and system, for each answer of the mixed load: whoever asks runs
                    on the same processors, so that its rate says less
    rss_mb          the server's largest size
    rules_per_s, cold_run_s, detection, ...
                    the figures of `bench.rules` for as many transfers, in a process of its own
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec

from bench._postgres import postgres
from bench._supervision_copy import copied
from bench._supervision_feed import Sample, fill, read_marker, read_sample
from bench._supervision_server import KEY, Served, serving
from bench.traffic import ASSETS, START_S, Plan

SEED: Final = 2026
PAGE: Final = 50
LOOKUPS: Final = 400
LISTS: Final = 400
TRACES: Final = 12
MIXED_S: Final = 10.0
MIXED_RPS: Final = 200
AT_ONCE: Final = 16


class Questions:
    """Requests about one traffic, drawn at random."""

    def __init__(self, sample: Sample) -> None:
        self._random = random.Random(7)
        self._sample = sample

    def is_lookup(self) -> bool:
        """Return true for six requests of ten of a mixed load."""
        return self._random.random() < 0.6

    def _account(self, busy: float = 0.0) -> str:
        if self._sample.busy and self._random.random() < busy:
            return quote(self._random.choice(self._sample.busy), safe="")
        return quote(self._random.choice(self._sample.transfers).account, safe="")

    def _swap(self) -> int:
        return self._random.randrange(max(1, self._sample.swaps))

    def _moment(self) -> int:
        return self._random.randint(START_S + 86_400, self._sample.end_s)

    def lookup(self) -> str:
        kind = self._random.random()
        if kind < 0.5:
            return f"/v1/accounts/{self._account(0.05)}"
        if kind < 0.8:
            return f"/v1/swaps/swap-{self._swap()}"
        return f"/v1/search?q=swap-{self._swap()}"

    def listing(self) -> str:
        kind = self._random.randrange(5)
        if kind == 0:
            return f"/v1/accounts/{self._account(0.5)}/moves?limit={PAGE}"
        if kind == 1:
            return f"/v1/transfers?limit={PAGE}&until_s={self._moment()}"
        if kind == 2:
            asset = quote(self._random.choice(ASSETS)[0], safe="")
            return f"/v1/transfers?limit={PAGE}&asset={asset}&until_s={self._moment()}"
        if kind == 3:
            return f"/v1/transfers?limit={PAGE}&account={self._account(0.5)}&until_s={self._moment()}"
        return f"/v1/swaps?limit={PAGE}&until_s={self._moment()}"

    def source(self) -> dict[str, Any]:
        """The outflow of somebody who is not a service, in a day."""
        one = self._random.choice(self._sample.transfers)
        return {
            "account": {"account": one.account, "asset": one.asset, "since_s": one.time_s},
            "as_of": "latest",
            "hops": 5,
            "edges": 10_000,
        }


class Client:
    """Asks, and remembers how long each answer took."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session, self._address = session, address

    async def get(self, path: str) -> tuple[float, Any]:
        begun = time.perf_counter()
        async with self._session.get(self._address + path, headers={"X-API-Key": KEY}) as response:
            body = await response.json()
            if response.status != 200:
                raise RuntimeError(f"{path}: {response.status} {body}")
        return (time.perf_counter() - begun) * 1_000, body

    async def trace(self, question: dict[str, Any]) -> tuple[float, Any]:
        begun = time.perf_counter()
        address = self._address + "/v1/traces"
        async with self._session.post(address, json=question, headers={"X-API-Key": KEY}) as response:
            body = await response.json()
            if response.status not in (200, 404, 422):
                raise RuntimeError(f"a trace: {response.status} {body}")
        return (time.perf_counter() - begun) * 1_000, body


def p95(values: Sequence[float]) -> float:
    return round(sorted(values)[int(len(values) * 0.95)], 2)


async def lists(client: Client, questions: Questions, count: int) -> list[float]:
    """Pages at random moments, and now and then the next ones by their cursors."""
    took: list[float] = []
    while len(took) < count:
        path = questions.listing()
        spent, body = await client.get(path)
        took.append(spent)
        for _ in range(2):
            if body["next"] is None:
                break
            spent, body = await client.get(f"{path}&cursor={body['next']}")
            took.append(spent)
    return took


async def traces(client: Client, questions: Questions) -> dict[str, Any]:
    took: list[float] = []
    edges: list[int] = []
    asked = 0
    while asked < TRACES * 5:
        asked += 1
        spent, body = await client.trace(questions.source())
        if body.get("edges", 0) >= 1_000:
            took.append(spent)
            edges.append(body["edges"])
        if len(took) == TRACES:
            break
    if not took:
        return {"trace_ms": None, "trace_edges": 0, "traced": asked}
    return {"trace_ms": p95(took), "trace_edges": statistics.median(edges), "traced": asked}


async def mixed(client: Client, questions: Questions, seconds: float) -> dict[str, float]:
    """A fixed rate first (its delays count, as they would for callers), then as many as there can be."""

    def path() -> str:
        return questions.lookup() if questions.is_lookup() else questions.listing()

    took: list[float] = []

    async def one(at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        await client.get(path())
        took.append((time.perf_counter() - at) * 1_000)

    begun = time.perf_counter() + 0.1
    await asyncio.gather(*(one(begun + number / MIXED_RPS) for number in range(int(seconds * MIXED_RPS))))
    done, until = 0, time.perf_counter() + seconds

    async def hurry() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await client.get(path())
            done += 1

    await asyncio.gather(*(hurry() for _ in range(AT_ONCE)))
    return {"mixed_rps": round(done / seconds, 1), "mixed_p95_ms": p95(took), "answered": len(took) + done}


class _Spent:
    """The server's processor time, for each answer since the last look."""

    def __init__(self, served: Served) -> None:
        self._served, self._before = served, served.cpu_s()

    def each_ms(self, answers: int) -> float:
        now, before = self._served.cpu_s(), self._before
        self._before = now
        return round((now - before) * 1_000 / max(1, answers), 2)


async def reading(served: Served, sample: Sample, seconds: float) -> dict[str, Any]:
    """All figures of the API."""
    questions = Questions(sample)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE * 8)) as session:
        client = Client(session, served.address)
        for _ in range(20):
            await client.get(questions.lookup())
        spent = _Spent(served)
        lookups = [(await client.get(questions.lookup()))[0] for _ in range(LOOKUPS)]
        figures: dict[str, Any] = {"lookup_p95_ms": p95(lookups), "lookup_cpu_ms": spent.each_ms(len(lookups))}
        pages = await lists(client, questions, LISTS)
        figures |= {"list_p95_ms": p95(pages), "list_cpu_ms": spent.each_ms(len(pages))}
        traced = await traces(client, questions)
        figures["trace_cpu_ms"] = spent.each_ms(traced.pop("traced"))
        figures |= traced
        load = await mixed(client, questions, seconds)
        answered = load.pop("answered")
        return figures | load | {"cpu_ms_per_request": spent.each_ms(int(answered))}


def rules(folder: Path, transfers: int, engine: str) -> dict[str, Any]:
    """The figures of `bench.rules`, which leaves the whole data set in the folder."""
    command = [sys.executable, "-m", "bench.rules", "--json", "--transfers", str(transfers), "--engine", engine]
    done = subprocess.run([*command, "--folder", str(folder)], stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"rules_rss_mb": figures.pop("rss_mb"), **figures}


def stored(url: str, marker: Path, plan: Plan) -> dict[str, Any]:
    """Fill the database unless it holds the whole plan. Return the counts of what it holds."""
    made = read_marker(marker, plan)
    if made is not None and made.whole:
        return made.counts
    lite, same = marker.with_name("supervision.sqlite"), read_marker(marker.with_name("supervision.json"), plan)
    if not url.startswith("sqlite:") and same is not None and same.whole:
        marker.unlink(missing_ok=True)
        copied(lite, url)
        marker.write_bytes(msgspec.json.encode(same))
        return same.counts
    return fill(url, marker, plan, "transfers, blocks").counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfers", type=int, default=100_000, help="1000000 is the size that is published")
    parser.add_argument("--folder", type=Path, help="keeps the data for the next run")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--seconds", type=float, default=MIXED_S, help="of each part of the mixed load")
    parser.add_argument("--no-rules", action="store_true", help="the API alone")
    parser.add_argument("--engine", choices=("local", "spark"), default="local", help="of the rules' cold run")
    parser.add_argument("--json", action="store_true", help="the last line alone")
    chosen = parser.parse_args()
    plan = Plan(SEED, chosen.transfers)
    with ExitStack() as stack:
        folder = (chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        result: dict[str, Any] = {"database": "postgres" if chosen.postgres else "sqlite"}
        if not chosen.no_rules:
            result |= rules(folder, chosen.transfers, chosen.engine)
        if chosen.postgres:
            url, marker = stack.enter_context(postgres(folder / "postgres")), folder / "postgres.json"
        else:
            url, marker = f"sqlite:///{folder}/supervision.sqlite", folder / "supervision.json"
        result |= stored(url, marker, plan)
        with serving(url, result) as served:
            result |= asyncio.run(reading(served, read_sample(folder), chosen.seconds))
    if not chosen.json:
        for key, value in result.items():
            print(f"{key}: {value}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
