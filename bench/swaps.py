"""A relayer with many swaps in flight at once: how many it completes, what they cost it, how long they take.

A devnet of its own (anvil, the embedded consortium chain and one relayer, each a process), 200 swaps in flight at any
time, half in each direction. The initiators are as lean as can be (`bench._initiators`). The policy is that of
production, since a crowd that begins at one moment needs more than the seconds that a devnet allows.

    swaps_per_s       completed swaps, by the time from the first opening to the last claim
    cpu_ms_per_swap   processor time of the relayer's process, user and system, for each swap; all of its duties,
                      following two chains among them
    p50_ratio, p99_ratio
                      time from the initiator's lock to the block with the relayer's claim, divided by the least that
                      the protocol allowed in the same blocks (see `bench.swap_latency`)
    decision_p95_ms   95th percentile of: from the fact that asks for a lock or a claim of the relayer's own, as it is
                      taken in, until the signed bytes are stored; plus the 95th percentile of the broadcast after it
    rss_mb_start      the relayer's memory when as many swaps as are in flight at once have ended
    rss_mb_end        the same when all have
    rss_mb            the same after each tenth of them

    python -m bench.swaps [--swaps 1000] [--in-flight 200] [--json]
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from sqlalchemy.engine import Connection

from bench._initiators import Initiator, Swapped
from bench.swap_latency import least_s
from core.model.effect_keys import EffectKey
from core.runtime import journal
from core.runtime.clock import NS_PER_S
from core.runtime.database import open_database
from core.runtime.logging import configure_logging
from gateway import wiring
from gateway.config import OpeningConfig
from gateway.devnet import Devnet, DevnetSettings
from htlc import codec, effects, events
from htlc.model import Leg
from relayer.client import RelayerApi
from relayer.transactions import records

ETHER: Final = 10**16
YUAN: Final = 100_00
SWAP_TIMEOUT_S: Final = 120.0
TENTHS: Final = 10
IDLE_S: Final = 5.0
"""How long the relayer is watched at rest first."""
MANY: Final = 100_000
"""Of the limits for one caller: all of our initiators are one."""
RELAYER: Final = "relayer-a"
_BUCKET: Final = re.compile(r'causeway_relayer_tx_latency_submitted_seconds_bucket\{.*le="([^"]+)".*\} (\S+)')
_FACTS: Final = {
    effects.leg_kind(effects.FundLeg, Leg.PARTICIPANT): (events.LockFinal, Leg.INITIATOR),
    effects.leg_kind(effects.ClaimLeg, Leg.INITIATOR): (events.ClaimSeen, Leg.PARTICIPANT),
}
"""The fact that asks for each transaction of the relayer's own."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time that a process has used by now, and bytes of memory that it holds."""

    cpu_s: float
    rss: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        """Read it from `/proc` (proc(5): fields 14 and 15 of `stat`, field 2 of `statm`)."""
        process = Path("/proc") / str(pid)
        times = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
        pages = int((process / "statm").read_text().split()[1])
        return cls(sum(map(int, times)) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


async def measure(swaps: int, in_flight: int) -> dict[str, Any]:
    """Run everything once; raise `SystemExit` if no swap completes."""
    opening = OpeningConfig(
        max_per_account=MANY, max_per_caller=MANY, account_share_percent=100, caller_share_percent=100
    )
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as name:
        settings = DevnetSettings(
            Path(name) / "devnet", users=("alice",), policy="production", opening=opening, supervised=False
        )
        async with Devnet(settings) as devnet, wiring.connected(devnet.info.chains) as chains:
            info, relayer = devnet.info, devnet.relayers[RELAYER]
            alice = info.user("alice")
            keys = {info.ethereum: bytes.fromhex(alice.ethereum), info.consortium: bytes.fromhex(alice.consortium)}
            async with RelayerApi(relayer.url) as api:
                initiator = Initiator(api, chains, keys)
                try:
                    pairs = ((info.ether, info.yuan, ETHER), (info.yuan, info.ether, YUAN))
                    figures = await _measured(initiator, relayer.pid or 0, pairs, swaps, in_flight)
                finally:
                    await initiator.close()
            broadcast_s = await _broadcast_p95_s(relayer.url)
            taken_s = await _decisions_s(settings.directory / RELAYER / "relayer.sqlite", figures.pop("names"))
    return {
        **figures,
        "decision_p95_ms": round((_quantile(taken_s, 0.95) + broadcast_s) * 1000),
        "broadcast_p95_ms": round(broadcast_s * 1000),
    }


async def _measured(
    initiator: Initiator,
    pid: int,
    pairs: Sequence[tuple[str, str, int]],
    swaps: int,
    in_flight: int,
) -> dict[str, Any]:
    places, done, failures = asyncio.Semaphore(in_flight), list[Swapped](), list[str]()
    warm: Usage | None = None
    held = dict[int, float]()

    async def one(number: int) -> None:
        nonlocal warm
        async with places:
            try:
                async with asyncio.timeout(SWAP_TIMEOUT_S):
                    done.append(await initiator.swap(*pairs[number % len(pairs)]))
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}")
            ended = len(done) + len(failures)
            if ended == min(in_flight, swaps):
                warm = Usage.of(pid)
            if ended % max(1, swaps // TENTHS) == 0:
                held[ended] = _megabytes(Usage.of(pid))

    at_rest = Usage.of(pid)
    await asyncio.sleep(IDLE_S)
    before, began = Usage.of(pid), time.monotonic()
    await asyncio.gather(*(one(number) for number in range(swaps)))
    after, took_s = Usage.of(pid), time.monotonic() - began
    for failure, times in Counter(failures).most_common(5):
        print(f"{times} swaps failed: {failure}", file=sys.stderr)
    if not done or warm is None:
        raise SystemExit("no swap was completed")
    ratios = [await _ratio(initiator, one) for one in done]
    return {
        "swaps": swaps,
        "completed": len(done),
        "in_flight": in_flight,
        "seconds": round(took_s, 1),
        "swaps_per_s": round(len(done) / took_s, 2),
        "cpu_ms_per_swap": round((after.cpu_s - before.cpu_s) * 1000 / len(done), 1),
        "cpu_ms_per_s_at_rest": round((before.cpu_s - at_rest.cpu_s) * 1000 / IDLE_S, 1),
        "p50_ratio": round(_quantile(ratios, 0.5), 3),
        "p99_ratio": round(_quantile(ratios, 0.99), 3),
        "rss_mb_start": _megabytes(warm),
        "rss_mb_end": _megabytes(after),
        "rss_mb": held,
        "names": [one.id for one in done],
    }


def _megabytes(usage: Usage) -> float:
    return round(usage.rss / 2**20, 1)


async def _ratio(initiator: Initiator, one: Swapped) -> float:
    async with asyncio.timeout(SWAP_TIMEOUT_S):
        least = await least_s(initiator.watches[one.first], initiator.watches[one.second], one.started)
    return (one.done - one.started) / least


async def _decisions_s(path: Path, names: Sequence[str]) -> list[float]:
    """Return the seconds from each fact that asked for a transaction until its signed bytes were stored."""
    database = open_database(f"sqlite:///{path}")
    try:
        return await database.read(lambda c: [taken for name in names for taken in _of_swap(c, name)])
    finally:
        await database.close()


def _of_swap(connection: Connection, name: str) -> list[float]:
    entries = [(one.recorded_ns, codec.decode_event(one.event)) for one in journal.replay(connection, name, 0)]
    found = []
    for record in records.of_effect_prefix(connection, f"{name}:"):
        for item in record.effects:
            key = EffectKey.parse(item.effect_key)
            if key.stream == name and key.kind in _FACTS:
                kind, leg = _FACTS[key.kind]
                facts = (at for at, event in entries if isinstance(event, kind) and event.leg is leg)
                found.append((record.created_ns - min(facts)) / NS_PER_S)
    return found


async def _broadcast_p95_s(url: str) -> float:
    """Return the 95th percentile of signed to broadcast, as Prometheus computes it from the relayer's buckets."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        text = await response.text()
    counts: dict[float, float] = {}
    for bound, count in _BUCKET.findall(text):
        counts[float(bound)] = counts.get(float(bound), 0) + float(count)
    wanted, below, lower = 0.95 * max(counts.values(), default=0), 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if count >= wanted and count > below:
            return lower if bound == float("inf") else lower + (bound - lower) * (wanted - below) / (count - below)
        below, lower = count, bound
    return lower


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return statistics.median(ordered) if share == 0.5 else ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--swaps", type=int, default=1_000)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="only the JSON object")
    arguments = parser.parse_args()
    configure_logging("error", "console", sys.stderr)
    figures = asyncio.run(measure(arguments.swaps, arguments.in_flight))
    if not arguments.json:
        for name, value in figures.items():
            print(f"{name:24} {value!s:>10}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
