"""Two memory chains that produce blocks on a beat: transactions wait, blocks are replaced, clocks differ."""

import asyncio
import random
from collections.abc import Mapping
from typing import Final

from adapters.endpoints import Member, combine
from adapters.memory import Endpoint, MemoryChain, MemoryRules, MemorySigner
from adapters.memory.ports import MemoryLocks
from core.model.ports import ChainAccess
from core.model.transactions import FeeMarket
from core.model.types import Asset, AssetId, ChainId
from core.runtime.clock import VirtualClock
from gateway.simulation.plan import FINALITY_DEPTH, MAX_PENDING_S, TIMING, A, B, Plan, Reorg

PURSE: Final = 10**15
CALM_FEES: Final = FeeMarket(base_fee=1_000, priority_fee=100)
COIN: Final[Mapping[ChainId, AssetId]] = {A: AssetId("memory:a/slip44:1"), B: AssetId("memory:b/slip44:2")}


class World:
    """The chains and what is done to them. `seconds` is the story's own time."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clock = VirtualClock()
        self.random = random.Random(f"world/{plan.seed}")
        self.chains = {chain: self._chain(chain) for chain in (A, B)}
        self.signers: dict[tuple[str, ChainId], MemorySigner] = {}
        self._patience: dict[bytes, float] = {}
        self._seeds = 0

    def _chain(self, chain: ChainId) -> MemoryChain:
        fees = CALM_FEES if self.plan.fees else None
        native = COIN[chain] if self.plan.fees else None
        rules = MemoryRules(TIMING, FINALITY_DEPTH, self.plan.skew_s[chain], native, fees)
        return MemoryChain(chain, self.clock, {COIN[chain]: Asset(COIN[chain], chain[-1].upper(), 0)}, rules)

    @property
    def seconds(self) -> float:
        return self.clock.monotonic()

    def signer(self, name: str, chain: ChainId) -> MemorySigner:
        """The account of that name, with a purse, opened on first use."""
        known = self.signers.get((name, chain))
        if known is None:
            known = self.chains[chain].signer(name, {COIN[chain]: PURSE})
            self.signers[name, chain] = known
        return known

    def access(self, chain: ChainId) -> ChainAccess:
        """The chain as one more process sees it: its own endpoints, with this plan's faults."""
        members = []
        for number in range(self.plan.operators):
            self._seeds += 1
            endpoint = Endpoint(self.clock, self.plan.seed * 1000 + self._seeds, self.plan.rates)
            endpoint.lying = self.plan.liar and number == 1
            locks = MemoryLocks(self.chains[chain], endpoint)
            members.append(Member(f"operator-{number}", self.chains[chain].access(endpoint), locks))
        return combine(members)

    async def run(self) -> None:
        """Blocks and reorgs, for ever."""
        async with asyncio.TaskGroup() as group:
            for chain in (A, B):
                group.create_task(self._produce(self.chains[chain]), name=f"blocks of {chain}")
            for reorg in self.plan.reorgs:
                group.create_task(self._reorganise(reorg), name=f"reorg of {reorg.chain}")

    async def _produce(self, chain: MemoryChain) -> None:
        while True:
            await self.clock.sleep(TIMING.block_time_s)
            chain.mine(accept=self._ripe)
            if chain.fees is not None:
                chain.fees = self._next_fees(chain, chain.fees)

    def _next_fees(self, chain: MemoryChain, now: FeeMarket) -> FeeMarket:
        """EIP-1559: after a full block the base fee is an eighth higher, after an empty one an eighth lower."""
        full = any(
            spike.chain == chain.chain and spike.at_s <= self.seconds < spike.at_s + spike.blocks * TIMING.block_time_s
            for spike in self.plan.spikes
        )
        base_fee = now.base_fee * 9 // 8 if full else max(CALM_FEES.base_fee, now.base_fee * 7 // 8)
        return FeeMarket(base_fee, CALM_FEES.priority_fee)

    def _ripe(self, tx_hash: bytes) -> bool:
        """Whether the producer takes a transaction now; most at once, some late, none later than is allowed."""
        if tx_hash not in self._patience:
            late_s = self.random.uniform(0, MAX_PENDING_S) if self.random.random() < 0.3 else 0.0
            self._patience[tx_hash] = self.seconds + late_s
        return self.seconds >= self._patience[tx_hash]

    async def _reorganise(self, reorg: Reorg) -> None:
        await self.clock.sleep(reorg.at_s)
        chain = self.chains[reorg.chain]
        depth = min(reorg.depth, chain.height - chain.finalized_height)
        if depth > 0:
            returning = random.Random(f"reorg/{self.plan.seed}/{reorg.at_s}")
            chain.reorg(depth, keep=lambda _: returning.random() < reorg.returning)
