"""A whole relayer over two memory chains in virtual time: followers, service, and an obedient initiator."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from nacl.signing import SigningKey
from sqlalchemy.engine import Connection

from adapters.memory import Endpoint, MemoryChain, MemoryRules, MemorySigner
from core.model.errors import FatalError, FencedError, RetryableError
from core.model.facts import hashlock_of
from core.model.ports import ChainTiming
from core.model.transactions import FeeBid, FeeMarket, UnsignedTransaction
from core.model.types import (
    AccountId,
    Asset,
    AssetId,
    BaseUnits,
    ChainId,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    Preimage,
    Seconds,
    SwapId,
)
from core.runtime.clock import Clock, SeededSecrets, VirtualClock, run_virtually
from core.runtime.database import Database, InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor, Worker
from htlc import engine
from htlc.model import Leg, Phase
from htlc.timelocks import DEVNET_POLICY
from indexer.feed import FactSignal
from indexer.follower import Follower
from relayer.notices.webhooks import Post, WebhookSetup
from relayer.policy import RelayerPolicy, WatchPolicy
from relayer.provider.desk import OpenSwap, SwapView
from relayer.provider.holds import opening_of
from relayer.provider.quoting import Pair, QuoteRequest, Rate
from relayer.provider.screening import Screening
from relayer.provider.views import swap_view
from relayer.pump import places, promises, swaps, tables
from relayer.service import RelayerService, RelayerSetup
from relayer.treasury.teller import TreasuryPolicy

T = TypeVar("T")

A, B = ChainId("memory:a"), ChainId("memory:b")
COIN_A, COIN_B = AssetId("memory:a/slip44:1"), AssetId("memory:b/slip44:2")
TIMING = ChainTiming(Seconds(1), Seconds(2), Seconds(3), Seconds(1), Seconds(1), Seconds(1))
START = 10**9
OTHER = {A: B, B: A}
COIN = {A: COIN_A, B: COIN_B}


class Crash(FencedError):
    """The process dies here."""


class MortalDatabase:
    """Dies at the `fatal`-th write, before or after its commit; nothing gets through afterwards."""

    def __init__(self, inner: Database, fatal: int | None = None, after_commit: bool = True) -> None:
        self._inner = inner
        self.fatal = fatal
        self._after_commit = after_commit
        self.writes = 0
        self.dead = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        self._alive()
        self.writes += 1
        if self.writes == self.fatal:
            self.dead = True
            if self._after_commit:
                await self._inner.write(work)
            raise Crash("the process dies here")
        return await self._inner.write(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        self._alive()
        return await self._inner.read(work)

    async def close(self) -> None:
        await self._inner.close()

    def _alive(self) -> None:
        if self.dead:
            raise Crash("the process dies here")


class FlakyDatabase:
    """A database that others lock every now and then, or that ends with `fatal` at some write."""

    def __init__(self, inner: Database, seed: int, rate: float = 0.05, fatal: FatalError | None = None) -> None:
        self._inner = inner
        self._rng = random.Random(seed)
        self._rate = rate
        self.fatal = fatal

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self.fatal is not None:
            raise self.fatal
        self._maybe()
        return await self._inner.write(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        self._maybe()
        return await self._inner.read(work)

    async def close(self) -> None:
        await self._inner.close()

    def _maybe(self) -> None:
        if self._rng.random() < self._rate:
            raise RetryableError("the database is locked by another process")


class House:
    """`block_s` is how often both chains make a block: less than a second for stories in real time."""

    def __init__(
        self,
        url: str = "sqlite://",
        market: FeeMarket | None = None,
        finality_depth: int = 2,
        clock: Clock | None = None,
        block_s: float = 1.0,
        lock_ids_repeat: bool = False,
    ) -> None:
        self._lock_ids_repeat = lock_ids_repeat
        self.clock = clock or VirtualClock()
        self._block_s = block_s
        self.chains = {chain: self._chain(chain, market, finality_depth) for chain in (A, B)}
        self.relayer = {chain: self.chains[chain].signer("relayer", self._purse(chain)) for chain in (A, B)}
        self.initiator = {chain: self.chains[chain].signer("initiator", self._purse(chain)) for chain in (A, B)}
        self.endpoints = {chain: Endpoint(self.clock) for chain in (A, B)}
        self.database: Database = InlineDatabase(url)
        self.policy = RelayerPolicy(swap=DEVNET_POLICY, watch=WatchPolicy(enabled=True))
        self.treasury: TreasuryPolicy | None = None
        self.retiring: list[MemorySigner] = []
        self.funders: list[MemorySigner] = []
        self.metrics = Metrics()
        self.around: Callable[[Database], Database] = lambda inner: inner
        self.webhooks = WebhookSetup()
        self.webhook_post: Post | None = None
        self.screening: Screening | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._producers: list[asyncio.Task[Any]] = []

    def _chain(self, chain: ChainId, market: FeeMarket | None, finality_depth: int) -> MemoryChain:
        native = COIN[chain] if market else None
        rules = MemoryRules(TIMING, finality_depth, native=native, fees=market, lock_ids_repeat=self._lock_ids_repeat)
        return MemoryChain(chain, self.clock, {COIN[chain]: Asset(COIN[chain], chain[-1].upper(), 0)}, rules)

    def _purse(self, chain: ChainId) -> dict[AssetId, int]:
        return {COIN[chain]: START}

    # --- the relayer's life ---

    async def start(self, fatal: int | None = None, after_commit: bool = True) -> RelayerService:
        """Chains produce blocks; followers and the service run over the database."""
        if not self._producers:
            self._producers = [asyncio.create_task(chain.produce(self._block_s)) for chain in self.chains.values()]
            await self.clock.sleep(3 * self._block_s)
        await self.database.write(create_schema)
        self.mortal = MortalDatabase(self.database, fatal, after_commit)
        signal = FactSignal()
        access = {chain: self.chains[chain].access(self.endpoints[chain]) for chain in (A, B)}
        pairs = [
            Pair(COIN[chain], COIN[OTHER[chain]], Rate(2, 1), BaseUnits(10), BaseUnits(START // 4)) for chain in (A, B)
        ]
        setup = RelayerSetup(
            chains=access,
            signers=self.relayer,
            policy=self.policy,
            pairs=pairs,
            quote_key=SigningKey(bytes(32)),
            treasury=self.treasury,
            retiring=self.retiring,
            funders=self.funders,
            webhooks=self.webhooks,
            webhook_post=self.webhook_post,
            screening=self.screening,
        )
        self.service = RelayerService(
            self.around(self.mortal),
            setup,
            signal,
            self.clock,
            self.metrics,
            SeededSecrets(round(self.clock.monotonic() * 10)),
        )
        followers = [
            Follower(one.parameters, one.heads, one.blocks, self.database, signal, self.clock, Height(0))
            for one in access.values()
        ]
        # As the daemon runs them: a database that is locked for a while costs them time, not their lives.
        keeper = Supervisor(self.clock, self.metrics, random.Random(0))
        keeper.add(*(Worker(f"follower {follower.status.chain}", follower.run) for follower in followers))
        self._tasks = [asyncio.create_task(keeper.run())]
        self.running = asyncio.create_task(self.service.run())
        self._tasks.append(self.running)
        return self.service

    async def kill(self) -> None:
        """End the relayer as a power cut does; chains go on."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError, FatalError, Crash):
                await task
        self._tasks = []

    async def died(self) -> None:
        """Wait for the death that was ordered, and clean up."""
        with suppress(FatalError, Crash):
            await self.running
        await self.kill()

    async def stop(self) -> None:
        """The end, at which every swap's state must be what its journal leads to."""
        await self.kill()
        await self.database.read(replayed_swaps)
        for task in self._producers:
            task.cancel()
        await asyncio.gather(*self._producers, return_exceptions=True)

    # --- the initiator ---

    async def open(self, first: ChainId = A, amount: int = 1000, preimage: Preimage | None = None) -> SwapView:
        """Quoted and agreed; the initiator locks on `first`."""
        self.preimage = preimage or Preimage.generate(SeededSecrets(round(self.clock.now())).token_bytes)
        quote = await self.service.desk.quote(QuoteRequest(COIN[first], COIN[OTHER[first]], BaseUnits(amount)))
        request = OpenSwap(
            quote, self.preimage.hashlock(), self.initiator[first].account, self.initiator[OTHER[first]].account
        )
        return await self.service.desk.open_swap(await self.proven(request))

    async def proven(self, request: OpenSwap, signer: MemorySigner | None = None) -> OpenSwap:
        """The same with a proof by `signer`, the initiator by default."""
        chain = request.quote.initiator_chain
        openings = self.chains[chain].access().openings
        assert openings is not None
        message = openings.message(opening_of(request, request.quote.key))
        return replace(request, proof=await (signer or self.initiator[chain]).consent(message))

    async def send(self, chain: ChainId, unsigned: UnsignedTransaction) -> bytes:
        """Straight to the chain, by the initiator's own hand; returns once a block holds it."""
        sender, signer = self.chains[chain].access().transactions, self.initiator[chain]
        view, market = await sender.sequences(signer.account), await sender.fee_market()
        bid = None if market is None else FeeBid(2 * market.base_fee + market.priority_fee, market.priority_fee)
        request = sender.assemble(unsigned, view.latest, bid, None)
        signed = sender.attach(request, await signer.sign(request))
        await sender.submit(signed)

        async def included() -> bool:
            return (await sender.outcome(signed.hash)).block is not None

        await self.until(included, what=unsigned.summary)
        return signed.hash

    async def two_blocks(self) -> None:
        """Whatever was sent or issued before is in a block after it."""
        await self.clock.sleep(2 * self._block_s)

    async def together(self, chain: ChainId, calls: Sequence[UnsignedTransaction]) -> None:
        """Straight to the chain, all in one block."""
        sender, signer = self.chains[chain].access().transactions, self.initiator[chain]
        latest = (await sender.sequences(signer.account)).latest
        hashes = []
        for number, unsigned in enumerate(calls):
            request = sender.assemble(unsigned, latest + number, None, None)
            signed = sender.attach(request, await signer.sign(request))
            await sender.submit(signed)
            hashes.append(signed.hash)
        await self.clock.sleep(2 * self._block_s)
        assert len({(await sender.outcome(one)).block for one in hashes}) == 1

    async def lock(self, terms: LockTerms) -> LockId:
        legs = self.chains[terms.chain].access().legs
        place = await legs.lock_id(terms)
        await self.send(terms.chain, legs.lock(terms, place))
        return place

    async def claim(self, view: SwapView, leg: Leg = Leg.PARTICIPANT) -> None:
        one = view.participant if leg is Leg.PARTICIPANT else view.initiator
        assert one.lock_id is not None
        legs = self.chains[one.chain].access().legs
        account = self.initiator[one.chain].account
        await self.send(one.chain, legs.claim(one.terms, one.lock_id, self.preimage, account))

    async def refund(self, terms: LockTerms, place: LockId) -> None:
        legs = self.chains[terms.chain].access().legs
        await self.send(terms.chain, legs.refund(terms, place, self.initiator[terms.chain].account))

    # --- looking ---

    async def until(
        self, condition: Callable[[], Awaitable[bool]], deadline_s: float = 120.0, what: str = "it"
    ) -> None:
        """Virtual seconds cost nothing."""
        give_up = self.clock.monotonic() + deadline_s
        while not await condition():
            if self.running.done() and not self.running.cancelled() and not self.mortal.dead:
                self.running.result()
            assert self.clock.monotonic() < give_up, f"{what} did not happen in {deadline_s} s"
            await self.clock.sleep(0.25)

    async def look(self, swap_id: SwapId) -> SwapView:
        """The swap as the database has it, also while the service is dead."""

        now_ns = self.clock.now_ns()

        def read(connection: Connection) -> SwapView:
            state = swaps.load(connection, swap_id)
            row, place = tables.swap_row(connection, swap_id), places.lock_place(connection, swap_id)
            return swap_view(row, state, place, promises.of_swap(connection, swap_id), now_ns)

        return await self.database.read(read)

    async def phase(self, swap_id: SwapId, *phases: Phase, deadline_s: float = 120.0) -> SwapView:
        """The swap once it is in one of these phases."""

        async def there() -> bool:
            return (await self.look(swap_id)).phase in phases

        try:
            await self.until(there, deadline_s)
        except AssertionError:
            view = await self.look(swap_id)
            raise AssertionError(f"expected {phases}, it is {view}") from None
        return await self.look(swap_id)

    async def locked(self, swap_id: SwapId, leg: Leg) -> SwapView:
        """The swap once that leg is locked and final."""

        async def there() -> bool:
            view = await self.look(swap_id)
            one = view.initiator if leg is Leg.INITIATOR else view.participant
            return one.lock is not None and one.lock.final

        await self.until(there, what=f"the {leg} lock")
        return await self.look(swap_id)

    async def balance(self, chain: ChainId, account: AccountId) -> int:
        return await self.chains[chain].access().state.balance(account, COIN[chain])

    async def gains(self) -> dict[str, tuple[int, int]]:
        """Return what each party has won or lost on (A, B)."""
        found = {}
        for name, signers in (("relayer", self.relayer), ("initiator", self.initiator)):
            held = [await self.balance(chain, signers[chain].account) - START for chain in (A, B)]
            found[name] = (held[0], held[1])
        return found

    def made(self, chain: ChainId, kind: type[Any], hashlock: Hashlock) -> list[Any]:
        """Events of one kind under a hashlock on the canonical chain."""
        blocks = (self.chains[chain].block(Height(height)) for height in range(self.chains[chain].height + 1))
        return [
            logged.event
            for block in blocks
            for logged in block.events
            if isinstance(logged.event, kind) and hashlock_of(logged) == hashlock
        ]


def told(story: Callable[[Any], Awaitable[None]], house_type: type[House] = House, **given: Any) -> None:
    """Play a story over a fresh house in virtual time, and stop the house, however it ends."""

    async def whole() -> None:
        house = house_type(**given)
        try:
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


def replayed_swaps(connection: Connection) -> None:
    for row in tables.list_rows(connection, 1_000):
        engine.check_replay(connection, row.swap_id)
