"""How soon a transfer that was broadcast at one node is a fact at an adapter that follows another.

Four CometBFT nodes with the time-outs that `init` writes, nothing else to do. Transfers come one at a time, at moments
that have nothing to do with the blocks; each is timed from its broadcast until an adapter of another node has its event
from a committed block.
"""

import asyncio
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapters.consortium.chain import ConsortiumChain, connect
from bench._flood import SYMBOL, Account, broadcast
from core.model.consortium import ResultCode, Transfer, caip_chain, quantity, transaction_hash
from core.model.types import Height
from core.runtime.sockets import free_port
from local_chains.consortium.cometbft import CometNetwork, init_network
from local_chains.consortium.engine.abci.network import NodeAddress
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset

CHAIN: Final = "bench-1"
WARM_UP_HEIGHT: Final = 5
POLL_S: Final = 0.1
MAX_PAUSE_S: Final = 0.6
"""Between two transfers: twice the time between two blocks, so that they come at any moment of it."""
SEED: Final = 11
DEADLINE_S: Final = 30.0


@dataclass(frozen=True)
class Probe:
    """Make this many transfers, one after another."""

    transfers: int = 200
    validators: int = 4


async def measure(probe: Probe) -> dict[str, Any]:
    """Run a fresh network. Times are in seconds."""
    sender, receiver = Account("sender"), Account("receiver")
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as name:
        directory = Path(name) / "network"
        init_network(
            directory,
            CHAIN,
            probe.validators,
            assets=[GenesisAsset(SYMBOL, sender.address.hex(), 2)],
            accounts=[GenesisAccount(sender.address.hex(), {SYMBOL: "1000000"})],
            addresses=[NodeAddress(peer_port=free_port(), rpc_port=free_port()) for _ in range(probe.validators)],
        )
        async with CometNetwork(directory) as network, aiohttp.ClientSession() as session:
            while await network.nodes[0].height() < WARM_UP_HEIGHT:  # noqa: ASYNC110 - another process
                await asyncio.sleep(POLL_S)
            chain = await connect(network.nodes[0].rpc_url, caip_chain(CHAIN))
            watch = _Watch(chain)
            watching = asyncio.create_task(watch.run())
            try:
                await watch.reached(WARM_UP_HEIGHT + 1)
                return await _timed(network, session, watch, probe, sender, receiver)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                await chain.close()


async def _timed(
    network: CometNetwork,
    session: aiohttp.ClientSession,
    watch: "_Watch",
    probe: Probe,
    sender: Account,
    receiver: Account,
) -> dict[str, Any]:
    rng, times = random.Random(SEED), []
    first, began = watch.height, time.monotonic()
    for number in range(probe.transfers):
        await asyncio.sleep(rng.uniform(0, MAX_PAUSE_S))
        raw = sender.signed(Transfer(SYMBOL, receiver.address, quantity(1)))
        node = network.nodes[1 + number % (len(network.nodes) - 1)]
        sent = time.monotonic()
        if await broadcast(session, node, raw) != ResultCode.OK:
            raise SystemExit("a transfer was refused")
        sender.sequence += 1
        times.append(await watch.seen(raw) - sent)
    interval_s = (time.monotonic() - began) / (watch.height - first)
    deciles = statistics.quantiles(times, n=10)
    return {
        "engine": "cometbft",
        "transfers": len(times),
        "fact_latency_s_p50": round(statistics.median(times), 3),
        "fact_latency_s_p90": round(deciles[8], 3),
        "fact_latency_s_max": round(max(times), 3),
        "block_interval_s": round(interval_s, 3),
        "validators": probe.validators,
    }


class _Watch:
    """An adapter that reads every block, as an indexer does, and when it had each transaction's facts."""

    def __init__(self, chain: ConsortiumChain) -> None:
        self._access = chain.access
        self.height = 0
        self._seen: dict[bytes, float] = {}
        self._news = asyncio.Condition()

    async def run(self) -> None:
        async for update in self._access.heads.heads():
            head = update.finalized.height
            for height in range(self.height + 1, head + 1):
                [block] = await self._access.blocks.blocks(Height(height), Height(height))
                now = time.monotonic()
                self._seen.update((event.tx_hash, now) for event in block.events)
                self.height = height
            async with self._news:
                self._news.notify_all()

    async def reached(self, height: int) -> None:
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(lambda: self.height >= height)

    async def seen(self, raw: bytes) -> float:
        """When the facts of a transaction were here."""
        name = transaction_hash(raw)
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(lambda: name in self._seen)
        return self._seen[name]
