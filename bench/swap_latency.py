"""How long a swap takes, against the least that the protocol allowed on these chains.

Twenty swaps one after another on a devnet of its own, alternating directions. For each: the time from the moment our
lock is about to be signed until the participant's claim, the last act, is in a block; divided by the least possible.
That is computed from the blocks that were actually produced, by when they could first be read:

    our lock                in the first block of A that came after that
    it is final             with the first later block of A whose arrival made that height final
    the participant's lock  in the first block of B after that
    it is final             likewise on B
    our claim               in the first block of B after that
    the participant's claim in the first block of A after that

so no relayer, however fast, could have been faster in the same blocks.

    python -m bench.swap_latency [--swaps 20] [--json]
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.model.identifiers import parse_asset
from core.model.ports import HeadSource
from core.model.types import ChainId
from core.runtime.logging import configure_logging
from gateway import wiring
from gateway.connect import connect
from gateway.devnet import Devnet, DevnetSettings
from htlc.model import SwapState
from htlc.timelocks import DEVNET_POLICY
from relayer.client import RelayerApi, SwapClient

WAIT_S: Final = 60.0
ETHER: Final = 10**16
YUAN: Final = 100_00


@dataclass(slots=True)
class Blocks:
    """When each block of one chain could first be read, and when each height was final (monotonic seconds)."""

    arrived: list[tuple[float, int]] = field(default_factory=list)
    final: list[tuple[float, int]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, heads: HeadSource) -> None:
        async for update in heads.heads():
            now = time.monotonic()
            if not self.arrived or update.head.height > self.arrived[-1][1]:
                self.arrived.append((now, update.head.height))
            if not self.final or update.finalized.height > self.final[-1][1]:
                self.final.append((now, update.finalized.height))
            self._news.set()

    async def until(self, height: int) -> float:
        """When this height (or a later one) arrived; waits for it."""
        return (await self._first(self.arrived, lambda _, seen: seen >= height))[0]

    async def next_after(self, moment: float) -> tuple[float, int]:
        """(arrival, height) of the first block that came after `moment`; waits for it."""
        return await self._first(self.arrived, lambda at, _: at > moment)

    async def final_at(self, height: int) -> float:
        """When this height was first known to be final; waits for that."""
        return (await self._first(self.final, lambda _, final: final >= height))[0]

    async def _first(self, entries: list[tuple[float, int]], fits: Callable[[float, int], bool]) -> tuple[float, int]:
        while (found := next((entry for entry in entries if fits(*entry)), None)) is None:
            self._news.clear()
            await self._news.wait()
        return found


async def least_s(a: Blocks, b: Blocks, broadcast: float) -> float:
    """The earliest moment at which the last claim can have been in a block, less `broadcast`."""
    _, lock_height = await a.next_after(broadcast)
    _, counter_height = await b.next_after(await a.final_at(lock_height))
    revealed_at, _ = await b.next_after(await b.final_at(counter_height))
    return (await a.next_after(revealed_at))[0] - broadcast


async def measure(swaps: int) -> list[dict[str, Any]]:
    """One result for each swap, in order."""
    configure_logging(level="error")
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as directory:
        settings = DevnetSettings(Path(directory) / "devnet", users=("alice",))
        async with Devnet(settings) as devnet, wiring.connected(devnet.info.chains) as chains:
            info = devnet.info
            keys = info.user("alice")
            secrets = {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)}
            watched = {chain: Blocks() for chain in chains}
            tasks = [asyncio.create_task(watched[chain].watch(one.access.heads)) for chain, one in chains.items()]
            store = Path(directory) / "alice.sqlite"
            try:
                async with (
                    connect(info.relayers["relayer-a"], chains, secrets, store, DEVNET_POLICY) as client,
                    RelayerApi(info.relayers["relayer-a"]) as api,
                ):
                    results = []
                    for number in range(swaps):
                        forth = number % 2 == 0
                        pair = (info.ether, info.yuan, ETHER) if forth else (info.yuan, info.ether, YUAN)
                        results.append(await one_swap(client, api, watched, *pair))
                    return results
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def one_swap(
    client: SwapClient, api: RelayerApi, watched: dict[ChainId, Blocks], give: str, get: str, amount: int
) -> dict[str, Any]:
    """Swap once, and compare with the least once the blocks that it is computed from have all come."""
    quote = await client.quote(parse_asset(give), parse_asset(get), initiator_amount=amount)
    swap = await client.open(quote)
    started = time.monotonic()
    broadcast = started

    async def about_to_lock(_: SwapState) -> None:
        nonlocal broadcast
        broadcast = time.monotonic()

    running = asyncio.create_task(client.run(swap, before_lock=about_to_lock))
    a = watched[swap.agreement.initiator_leg.chain]
    b = watched[swap.agreement.participant_leg.chain]
    claim_height = None
    async with asyncio.timeout(WAIT_S):
        async for update in api.updates([swap.id]):
            if update.initiator.status == "claimed" and update.initiator.settle is not None:
                claim_height = update.initiator.settle.height
                break
        assert claim_height is not None
        done = await a.until(claim_height)
    outcome = await running
    async with asyncio.timeout(WAIT_S):
        least = await least_s(a, b, broadcast)
    return {
        "direction": f"{quote.initiator_chain} → {quote.participant_chain}",
        "outcome": str(outcome.phase),
        "seconds": round(done - broadcast, 3),
        "least_s": round(least, 3),
        "ratio": round((done - broadcast) / least, 3),
        "from_asking_s": round(done - started, 3),
    }


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ratios = sorted(result["ratio"] for result in results)
    return {
        "swaps": len(results),
        "completed": sum(result["outcome"] == "completed" for result in results),
        "ratio_median": statistics.median(ratios),
        "ratio_max": ratios[-1],
        "seconds_median": statistics.median(result["seconds"] for result in results),
        "least_s_median": statistics.median(result["least_s"] for result in results),
        "results": list(results),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Swap latency against the least that the blocks allowed.")
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    arguments = parser.parse_args()
    results = asyncio.run(measure(arguments.swaps))
    for result in results:
        print(
            f"{result['direction']:<40} {result['outcome']:<10} {result['seconds']:6.2f} s, "
            f"least {result['least_s']:6.2f} s, ratio {result['ratio']:.2f}"
        )
    summary = summarise(results)
    if arguments.json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        print(f"median ratio {summary['ratio_median']:.2f}, largest {summary['ratio_max']:.2f}")


if __name__ == "__main__":
    main()
