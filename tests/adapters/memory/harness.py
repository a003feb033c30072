"""Memory chains for tests, and the harness through which the conformance suite drives one."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.memory import MemoryChain, MemoryRules, MemorySigner
from adapters.memory.blockchain import default_timing
from core.model.ports import ChainAccess
from core.model.transactions import FeeMarket
from core.model.types import Asset, AssetId, ChainId, ChainTime, Seconds
from core.runtime.clock import Clock, ManualClock

CHAIN = ChainId("memory:a")
COIN = AssetId("memory:a/asset:coin")
GOLD = AssetId("memory:a/asset:gold")
ASSETS = {COIN: Asset(COIN, "COIN", 18), GOLD: Asset(GOLD, "GOLD", 2)}
FEES = FeeMarket(base_fee=10, priority_fee=1)
PURSE = 10**12


def make_chain(clock: Clock | None = None, **changes: object) -> MemoryChain:
    """A chain with two assets whose blocks are final two blocks later; `changes` go to its rules."""
    rules = replace(MemoryRules(default_timing(finality_depth=2), finality_depth=2, native=COIN), **changes)  # type: ignore[arg-type]
    return MemoryChain(CHAIN, clock or ManualClock(), ASSETS, rules)


class MemoryHarness:
    def __init__(self, chain: MemoryChain, clock: ManualClock) -> None:
        self.chain = chain
        self._clock = clock
        self._access = chain.access()
        self._accounts = 0

    @property
    def access(self) -> ChainAccess:
        return self._access

    @property
    def assets(self) -> Sequence[AssetId]:
        return (COIN, GOLD)

    @property
    def timelock_s(self) -> Seconds:
        return Seconds(600)

    @property
    def knows_expiry(self) -> bool:
        return self.chain.rules.knows_expiry

    @property
    def can_reorg(self) -> bool:
        return True

    async def account(self) -> MemorySigner:
        self._accounts += 1
        signer = self.chain.signer(f"account {self._accounts}", {COIN: PURSE, GOLD: PURSE})
        await self.advance(1 + self.chain.rules.finality_depth)
        return signer

    async def advance(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            await self._clock.advance(1)
            self.chain.mine()

    async def wait_until(self, time: ChainTime) -> None:
        await self._clock.advance(max(0, time.seconds - self._clock.now()))

    async def reorg(self, depth: int) -> None:
        self.chain.reorg(depth, keep=lambda _: False)
