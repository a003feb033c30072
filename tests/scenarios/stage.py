"""A relayer at work over anvil and a consortium node, and the hands of whoever is up to something.

Times are real. `Stage.start` and `Stage.kill` are a relayer's process; its database outlives it unless a scenario
takes another. `hand` sends by a key of one's own, past every pipeline.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from adapters.consortium import ConsortiumChain, Ed25519Signer
from adapters.evm.chain import EvmChain, EvmChainSettings
from adapters.evm.endpoints import Endpoint
from adapters.evm.names import native_asset
from adapters.evm.signing import LocalSigner
from core.model.errors import FatalError
from core.model.ports import ChainAccess, Signer
from core.model.transactions import FeeBid, Outcome, UnsignedTransaction
from core.model.types import AssetId, BaseUnits, ChainId, Height, LockId, LockTerms, Preimage, chain_of
from core.runtime.clock import SystemClock
from core.runtime.database import Database, InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from htlc.timelocks import DEVNET_POLICY
from indexer.feed import FactSignal
from indexer.follower import Follower
from local_chains.consortium.node import load_operator_key
from local_chains.evm import AnvilSettings
from relayer.policy import RelayerPolicy
from relayer.provider.desk import LegView, OpenSwap, SwapView
from relayer.provider.quoting import Pair, QuoteRequest, Rate
from relayer.service import RelayerService, RelayerSetup
from relayer.transactions import accounts
from tests.adapters.evm.endpoint import MiddleMan, middle_man
from tests.adapters.evm.harness import CHAIN, TIMING, EvmHarness, evm_harness
from tests.relayer.client.test_real_chains import LEDGER, YUAN, issue, ledger, mine
from tests.support import eventually

ETHER = native_asset(CHAIN)
PATIENCE_S = 60.0
OPERATOR_KEY = Path("validators/0/operator_key.json")
"""The relayer signs with a validator operator's account, as an operator does who runs both."""


@dataclass
class Stage:
    """One town of real chains and daemons. `evil` has keys on both chains, and the same purse as the relayer.

    The relayer's endpoint of the Ethereum chain is `node`, which can be made to lie; everybody else's is honest.
    """

    home: Path
    harness: EvmHarness
    node: MiddleMan
    consortium: ConsortiumChain
    relayer: dict[ChainId, Signer]
    evil: dict[ChainId, Signer]
    access: dict[ChainId, ChainAccess]
    relayers_access: dict[ChainId, ChainAccess]
    pairs: Sequence[Pair]
    settings: dict[str, Any] = field(default_factory=dict)
    database: Database = field(default_factory=InlineDatabase)
    service: RelayerService | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self, **settings: Any) -> RelayerService:
        """A relayer's process over the stage's database, followers included."""
        await self.database.write(create_schema)
        signal, clock, metrics = FactSignal(), SystemClock(), Metrics()
        setup = RelayerSetup(
            **{
                "chains": self.relayers_access,
                "signers": self.relayer,
                "policy": RelayerPolicy(swap=DEVNET_POLICY),
                "pairs": self.pairs,
                "quote_key": SigningKey(bytes(32)),
                **self.settings,
                **settings,
            }
        )
        self.service = RelayerService(self.database, setup, signal, clock, metrics)
        followers = [
            Follower(one.parameters, one.heads, one.blocks, self.database, signal, clock, Height(1), metrics)
            for one in self.relayers_access.values()
        ]
        self.tasks = [asyncio.create_task(follower.run()) for follower in followers]
        self.tasks.append(asyncio.create_task(self.service.run()))
        return self.service

    async def kill(self) -> None:
        """As SIGKILL would: nothing is said to anybody."""
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with suppress(asyncio.CancelledError, FatalError):
                await task
        self.tasks, self.service = [], None

    def running(self) -> RelayerService:
        """The service. Raise what ended it, if something did."""
        for task in self.tasks:
            if task.done():
                task.result()
        assert self.service is not None
        return self.service

    async def acknowledge(self) -> None:
        """The operator has looked into what somebody else did with the relayer's keys."""
        now_ns = time.time_ns()
        await self.database.write(lambda c: accounts.acknowledge(c, accounts.unacknowledged(c), now_ns))

    # --- somebody else's hands ---

    async def open(self, first: AssetId, second: AssetId, preimage: Preimage, amount: int) -> SwapView:
        """Agree on a swap as `evil`, by quote and hashlock."""
        desk = self.running().desk
        quote = await desk.quote(QuoteRequest(first, second, BaseUnits(amount)))
        sender, receiver = self.evil[chain_of(first)].account, self.evil[chain_of(second)].account
        return await desk.open_swap(OpenSwap(quote, preimage.hashlock(), sender, receiver))

    async def hand(self, signer: Signer, *calls: UnsignedTransaction) -> list[Outcome]:
        """Send with this key, and wait until each is in a block."""
        sender = self.access[chain_of(signer.account)].transactions
        sequence, market = (await sender.sequences(signer.account)).latest, await sender.fee_market()
        fee = None if market is None else FeeBid(2 * market.base_fee + market.priority_fee, market.priority_fee)
        hashes = []
        for offset, call in enumerate(calls):
            request = sender.assemble(call, sequence + offset, fee, None)
            signed = sender.attach(request, await signer.sign(request))
            await sender.submit(signed)
            hashes.append(signed.hash)

        async def outcomes() -> list[Outcome] | None:
            found = [await sender.outcome(tx_hash) for tx_hash in hashes]
            return found if all(one.block is not None for one in found) else None

        found = await eventually(outcomes, PATIENCE_S, 0.2)
        assert found is not None
        return found

    async def lock(self, *terms: LockTerms) -> list[LockId]:
        """Lock these legs of `evil`, all of one chain, in one go."""
        legs = self.access[terms[0].chain].legs
        places: list[LockId] = []
        for one in terms:
            places.append(await legs.lock_id(one, places))
        calls = [legs.lock(one, place) for one, place in zip(terms, places, strict=True)]
        await self.hand(self.evil[terms[0].chain], *calls)
        return places

    async def claim(self, leg: LegView, preimage: Preimage) -> None:
        """Claim as `evil` what the relayer has locked."""
        assert leg.lock_id is not None
        signer = self.evil[leg.chain]
        await self.hand(signer, self.access[leg.chain].legs.claim(leg.terms, leg.lock_id, preimage, signer.account))

    async def refund(self, terms: LockTerms, place: LockId) -> None:
        """Take back what `evil` has locked, if nobody claimed it, as soon as it can be taken."""
        await self.past(terms)
        signer = self.evil[terms.chain]
        await self.hand(signer, self.access[terms.chain].legs.refund(terms, place, signer.account))

    async def past(self, terms: LockTerms) -> None:
        """Return once the chain's own time is at the timelock."""

        async def reached() -> bool:
            return (await self.access[terms.chain].heads.head()).head.time >= terms.timelock

        await eventually(reached, terms.timelock.seconds - time.time() + PATIENCE_S, 0.5)

    # --- looking ---

    async def until(
        self, view: SwapView, condition: Callable[[SwapView], bool], patience_s: float = PATIENCE_S
    ) -> SwapView:
        """The swap, once this holds of it."""

        async def look() -> SwapView | None:
            now = await self.running().desk.swap(view.id)
            return now if condition(now) else None

        found = await eventually(look, patience_s, 0.2)
        assert found is not None
        return found

    async def funded(self, view: SwapView) -> SwapView:
        """The swap, once our lock is final."""
        return await self.until(view, lambda now: now.participant.lock is not None and now.participant.lock.final)

    async def ended(self, view: SwapView) -> SwapView:
        patience_s = view.initiator.terms.timelock.seconds - time.time() + PATIENCE_S
        return await self.until(view, lambda now: now.done, patience_s)

    async def held(self, who: dict[ChainId, Signer]) -> dict[AssetId, int]:
        """Return what these accounts hold."""
        return {
            asset: await self.access[chain].state.balance(who[chain].account, asset)
            for chain, asset in ((CHAIN, ETHER), (LEDGER, YUAN))
        }


def pairs(most_ether: int = 10**17) -> list[Pair]:
    """Ether and yuan both ways: 10^12 wei for one unit."""
    return [
        Pair(ETHER, YUAN, Rate(1, 10**12), BaseUnits(10**12), BaseUnits(most_ether)),
        Pair(YUAN, ETHER, Rate(10**12, 1), BaseUnits(1), BaseUnits(most_ether // 10**12)),
    ]


@asynccontextmanager
async def stage(home: Path, offered: Sequence[Pair] | None = None, **settings: Any) -> AsyncIterator[Stage]:
    """Both chains with blocks of a second, funded accounts, and a relayer that is not started yet."""
    owner, evil_key = (Ed25519Signer(LEDGER, bytes([n]) * 32) for n in (1, 3))
    async with (
        evm_harness(AnvilSettings(block_time_s=None)) as harness,
        middle_man(harness.anvil.rpc_url) as node,
        ledger(home / "ledger", owner) as consortium,
    ):
        evm: EvmChain = harness.chain
        contracts = harness.contracts
        through = await EvmChain.connect(
            EvmChainSettings(CHAIN, (Endpoint(node.url),), contracts.htlc, TIMING, contracts.tokens)
        )
        relayer_evm: LocalSigner = await harness.account()
        evil_evm: LocalSigner = await harness.account()
        relayer_key = Ed25519Signer(LEDGER, load_operator_key(home / "ledger" / OPERATOR_KEY).seed)
        await issue(consortium, owner, relayer_key, evil_key)
        await eventually(lambda: consortium.access.state.balance(evil_key.account, YUAN), PATIENCE_S, 0.2)
        mining = asyncio.create_task(mine(harness))
        made = Stage(
            home / "ledger",
            harness,
            node,
            consortium,
            {CHAIN: relayer_evm, LEDGER: relayer_key},
            {CHAIN: evil_evm, LEDGER: evil_key},
            {CHAIN: evm.access, LEDGER: consortium.access},
            {CHAIN: through.access, LEDGER: consortium.access},
            pairs() if offered is None else offered,
            settings,
        )
        try:
            yield made
        finally:
            await made.kill()
            mining.cancel()
            with suppress(asyncio.CancelledError):
                await mining
            await through.close()
