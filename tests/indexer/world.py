"""Two memory chains, four accounts and a database that followers fill: what swaps look like to an indexer."""

from dataclasses import dataclass, field

from adapters.memory import MemoryChain, MemoryRules, MemorySigner
from adapters.memory.blockchain import default_timing
from core.model.ports import ChainAccess
from core.model.transactions import UnsignedTransaction
from core.model.types import (
    Asset,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Height,
    LockId,
    LockTerms,
    Preimage,
    SwapId,
)
from core.runtime.clock import ManualClock
from core.runtime.database import Database
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections import ReportedAgreement

A, B = ChainId("memory:a"), ChainId("memory:b")
COIN, GOLD = AssetId(f"{A}/asset:coin"), AssetId(f"{B}/asset:gold")
PURSE = 10**24
FINALITY = 2


@dataclass(frozen=True, slots=True)
class Deal:
    """One swap's secrets and terms."""

    preimage: Preimage
    initiator: LockTerms
    participant: LockTerms

    def agreement(self, swap_id: str = "swap-1", source: str = "relayer-1") -> ReportedAgreement:
        return ReportedAgreement(SwapId(swap_id), self.initiator, self.participant, source)


@dataclass
class World:
    """`a` is where initiators lock, `b` where participants do. Every verb is mined at once."""

    database: Database
    clock: ManualClock = field(default_factory=ManualClock)
    signal: FactSignal = field(default_factory=FactSignal)

    def __post_init__(self) -> None:
        self.a = self._chain(A, COIN, "COIN", 18)
        self.b = self._chain(B, GOLD, "GOLD", 2)
        self.initiator = {A: self.a.signer("initiator", {COIN: PURSE}), B: self.b.signer("initiator")}
        self.participant = {A: self.a.signer("participant"), B: self.b.signer("participant", {GOLD: PURSE})}
        self.followers = {chain.chain: self.follower(chain) for chain in (self.a, self.b)}
        self.a.mine()
        self.b.mine()

    def _chain(self, chain: ChainId, asset: AssetId, symbol: str, decimals: int) -> MemoryChain:
        rules = MemoryRules(default_timing(finality_depth=FINALITY), finality_depth=FINALITY)
        return MemoryChain(chain, self.clock, {asset: Asset(asset, symbol, decimals)}, rules)

    def chain(self, chain: ChainId) -> MemoryChain:
        return self.a if chain == A else self.b

    def access(self, chain: ChainId) -> ChainAccess:
        return self.chain(chain).access()

    def follower(self, chain: MemoryChain, database: Database | None = None) -> Follower:
        access = chain.access()
        return Follower(
            access.parameters,
            access.heads,
            access.blocks,
            database or self.database,
            self.signal,
            self.clock,
            Height(0),
            probe_s=0.2,
        )

    async def open(self) -> None:
        for follower in self.followers.values():
            await follower.open()
        await self.index()

    async def index(self) -> None:
        """Bring both followers to their chain's head."""
        for chain, follower in self.followers.items():
            await follower.catch_up(self.chain(chain).head)

    async def finalize(self) -> None:
        self.a.mine(FINALITY)
        self.b.mine(FINALITY)
        await self.index()

    def deal(self, number: int = 1, amount: int = 10**18) -> Deal:
        preimage = Preimage(bytes([number]) * 32)
        now = int(self.clock.now())
        return Deal(
            preimage,
            LockTerms(
                COIN,
                BaseUnits(amount),
                self.initiator[A].account,
                self.participant[A].account,
                preimage.hashlock(),
                ChainTime(A, now + 2_000),
            ),
            LockTerms(
                GOLD,
                BaseUnits(amount // 10**14),
                self.participant[B].account,
                self.initiator[B].account,
                preimage.hashlock(),
                ChainTime(B, now + 1_000),
            ),
        )

    async def lock(self, terms: LockTerms, signer: MemorySigner | None = None) -> LockId:
        legs = self.access(terms.chain).legs
        lock_id = await legs.lock_id(terms)
        owner = self.initiator if terms.sender == self.initiator[terms.chain].account else self.participant
        await self.send(signer or owner[terms.chain], legs.lock(terms, lock_id))
        return lock_id

    async def claim(self, terms: LockTerms, lock_id: LockId, preimage: Preimage) -> None:
        signer = self.initiator[terms.chain]
        await self.send(signer, self.access(terms.chain).legs.claim(terms, lock_id, preimage, signer.account))

    async def refund(self, terms: LockTerms, lock_id: LockId) -> None:
        signer = self.initiator[terms.chain]
        await self.clock.advance(max(0, terms.timelock.seconds - int(self.clock.now())))
        await self.send(signer, self.access(terms.chain).legs.refund(terms, lock_id, signer.account))

    async def send(self, signer: MemorySigner, transaction: UnsignedTransaction) -> None:
        sender = self.access(transaction.chain).transactions
        sequence = (await sender.sequences(signer.account)).latest
        request = sender.assemble(transaction, sequence, None, None)
        await sender.submit(sender.attach(request, await signer.sign(request)))
        self.chain(transaction.chain).mine()
