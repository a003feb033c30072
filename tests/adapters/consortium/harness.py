"""A real node of our ledger in this process, driven by hand, and the conformance suite's view of it."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.consortium import ConsortiumChain, Ed25519Signer, connect, unsigned
from core.model.consortium import Issue, caip_asset, quantity, raw_address
from core.model.consortium_members import Admit
from core.model.errors import FatalError
from core.model.ports import ChainAccess, Signer
from core.model.transactions import OutcomeStatus, SignedTransaction, UnsignedTransaction
from core.model.types import AssetId, ChainId, ChainTime, Seconds
from core.runtime.clock import ManualClock
from local_chains.consortium.ledger.genesis import GenesisMember
from local_chains.consortium.node import ConsortiumNode, GenesisAsset, Pace, init_home

CHAIN = ChainId("causeway:test-1")
SYMBOLS = ("cnyd", "grain")
CNYD, GRAIN = (caip_asset(CHAIN, symbol) for symbol in SYMBOLS)
PURSE = 10**9


class ConsortiumHarness:
    """Time stands still until it is moved; blocks come when a transaction waits, or by `advance`."""

    def __init__(self, node: ConsortiumNode, chain: ConsortiumChain, clock: ManualClock, issuer: Ed25519Signer) -> None:
        self.node = node
        self.chain = chain
        self._clock = clock
        self.issuer = issuer
        self._accounts = 0

    @property
    def access(self) -> ChainAccess:
        return self.chain.access

    @property
    def assets(self) -> Sequence[AssetId]:
        return (CNYD, GRAIN)

    @property
    def timelock_s(self) -> Seconds:
        return Seconds(600)

    @property
    def knows_expiry(self) -> bool:
        return True

    @property
    def can_reorg(self) -> bool:
        return False

    async def account(self) -> Ed25519Signer:
        self._accounts += 1
        signer = make_signer(f"account {self._accounts}")
        self.chain.learn(signer.public_key)
        receiver = raw_address(signer.account)
        grants = tuple(Issue(symbol, receiver, quantity(PURSE)) for symbol in SYMBOLS)
        await self.send(self.issuer, unsigned(CHAIN, self.issuer.account, (*grants, Admit(receiver, True)), "issue"))
        return signer

    async def send(self, signer: Signer, transaction: UnsignedTransaction) -> SignedTransaction:
        """Sign, submit, and see it succeed."""
        transactions = self.access.transactions
        sequence = (await transactions.sequences(signer.account)).latest
        request = transactions.assemble(transaction, sequence, None, None)
        sent = transactions.attach(request, await signer.sign(request))
        await transactions.submit(sent)
        outcome = await transactions.outcome(sent.hash)
        while outcome.status is OutcomeStatus.PENDING:
            await self.advance()
            outcome = await transactions.outcome(sent.hash)
        assert outcome.status is OutcomeStatus.INCLUDED, outcome
        return sent

    async def advance(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            await self.node.engine.produce_block()

    async def wait_until(self, time: ChainTime) -> None:
        await self._clock.advance(max(0, time.seconds - self._clock.now()))

    async def reorg(self, depth: int) -> None:
        raise FatalError("blocks of this chain are final at once")


def make_signer(name: str) -> Ed25519Signer:
    return Ed25519Signer(CHAIN, hashlib.sha256(name.encode()).digest())


@asynccontextmanager
async def running(home: Path, pace: Pace | None = None) -> AsyncIterator[ConsortiumHarness]:
    """A fresh chain of four validators in `home`, with an adapter over it."""
    clock = ManualClock()
    issuer = make_signer("issuer")
    assets = [GenesisAsset(symbol, raw_address(issuer.account).hex(), 2) for symbol in SYMBOLS]
    mint = GenesisMember("treasury", raw_address(issuer.account).hex(), ("issuer",))
    init_home(home, "test-1", assets=assets, time_ns=clock.now_ns(), others=[mint])
    async with ConsortiumNode(home, pace=pace or Pace(interval_s=None, min_delay_s=0.0), clock=clock) as node:
        while not node.engine.tip.height:
            await node.engine.produce_block()
        chain = await connect(node.rpc_url, CHAIN, SYMBOLS, poll_s=0.2)
        chain.learn(issuer.public_key)
        try:
            yield ConsortiumHarness(node, chain, clock, issuer)
        finally:
            await chain.close()
