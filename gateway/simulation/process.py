"""One party's process and how it ends: at a write to its database, at a broadcast, at a time; and comes back.

A relayer, a watchtower (a relayer that quotes nothing) and a dApp's client are the code that ships, over a database
that outlives them.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from nacl.signing import SigningKey

from core.model.errors import FatalError, FencedError, RetryableError
from core.model.ports import ChainAccess, Signer
from core.model.types import AccountId, BaseUnits, ChainId, Seconds
from core.runtime.clock import SeededSecrets
from core.runtime.database import Database, InlineDatabase
from core.runtime.supervisor import Supervisor, Worker
from gateway.simulation.clocks import clock_of
from gateway.simulation.door import Door
from gateway.simulation.feeds import FEED, VALID_S, PriceFeed, offers
from gateway.simulation.liars import kind_of
from gateway.simulation.mortal import Crash, Fickle, Fuse, Held, MortalDatabase, MortalSender, held
from gateway.simulation.plan import CHAINS, COME_BACK_S, HOLD_S, POLICY, Death, Party, Plan, Rough
from gateway.simulation.regulator import HOOK, TARGET, Regulator
from gateway.simulation.restoring import restore_from_chain
from gateway.simulation.signing import Slow, SlowHand
from gateway.simulation.statements import give_back, memory_database, taken, with_tables
from gateway.simulation.treasury import funder_of, tops_up_by_itself, treasury_of
from gateway.simulation.unmeasured import Unmeasured
from gateway.simulation.world import COIN, FIRST, PURSE, TOKEN, World
from indexer.feed import FactSignal
from indexer.follower import Follower
from relayer.api.answers import Answers
from relayer.client import ClientPolicy, SwapClient, SwapStore
from relayer.notices.reports import http_session
from relayer.notices.webhooks import WebhookSetup
from relayer.policy import QUOTE_LIFETIME_S, ExposureLimit, OpeningPolicy, RelayerPolicy, WatchPolicy
from relayer.provider.prices import http_session as price_session
from relayer.provider.quoting import Pair, Rate
from relayer.recovery import Recovery
from relayer.service import AttestorSetup, RelayerService, RelayerSetup
from relayer.transactions.pipeline import PipelinePolicy

T = TypeVar("T")

EXPIRE_S: Final = 2.0
ATTESTED_BLOCKS: Final = 8
RESTART_S: Final = 2.0
"""How soon an init system starts a process again that ended by itself."""
FENCE_S: Final = 30.0
"""By then a process that woke has ended: it has seen some heads, or has met an endpoint that hangs and then a head."""
RATE: Final = Rate(2, 1)
MOST: Final = ExposureLimit(BaseUnits(340_000), BaseUnits(220_000), BaseUnits(290_000))
PIPELINE: Final = PipelinePolicy(expiry_blocks=15)
"""Transactions expire soon enough that some wait for longer."""
LIMITS: Final = {asset: MOST for kind in (COIN, TOKEN) for asset in kind.values()}
SHORT_PURSE: Final = (650_000, 1_500_000)
"""Enough for one or two swaps at a time, or for one alone."""
NARROW: Final = 160_000
"""As much of what pays no fees as a few locks take, and less than limits would let them."""


class Process(ABC):
    """The common part of relayers and clients: a name, accounts, a database, deaths. `lives` counts starts."""

    number = 0
    """Which of a party's processes it is."""
    can_pause = False

    def __init__(self, world: World, party: Party, purse: int = PURSE, inventory: int = PURSE) -> None:
        """`purse`: what it holds of what pays fees; `inventory`: of everything else. Base units."""
        self.world = world
        self.party = party
        self.name = party.name
        self.clock = clock_of(party.name, world.plan, world.clock)
        """The process's own; people and chains have others."""
        self.signers = {
            chain: world.signer(
                self.name,
                chain,
                {COIN[chain]: purse if chain in world.plan.fees else inventory, TOKEN[chain]: inventory},
            )
            for chain in CHAINS
        }
        moods = random.Random(f"{self.name}/{world.plan.seed}/signer")
        self.hands: dict[ChainId, Signer] = {
            chain: Fickle(one, party.fickle, moods, world.faults) if party.fickle else one
            for chain, one in self.signers.items()
        }
        """The process signs with these; people use the accounts' `signers`."""
        if (signing := world.plan.signing) is not None and signing.party == self.name:
            hand = SlowHand(world, signing)
            self.hands = {chain: Slow(one, hand, world.clock.sleep) for chain, one in self.hands.items()}
        self.accounts = {chain: signer.account for chain, signer in self.signers.items()}
        self.former: list[Signer] = []
        """Those of accounts that end what they began."""
        self._upcoming: dict[ChainId, Signer] = {}
        """Those of accounts that are to take the place of others."""
        if (rotation := world.plan.rotation) is not None and self.name == world.plan.relayers[0].name:
            held = {COIN[rotation.chain]: PURSE, TOKEN[rotation.chain]: PURSE}
            self._upcoming[rotation.chain] = world.signer(f"{self.name}-again", rotation.chain, held)
        self.database = memory_database()
        self._lent: InlineDatabase | None = None
        """The one that it began with, if others may have it afterwards."""
        self.replacement: InlineDatabase | None = None
        """The database of the next life, if it is another."""
        self.lives = 0
        self._began: list[float] = []
        self.away = [(one.at_s, one.at_s + one.lasts_s + COME_BACK_S) for one in party.outages]
        """When the process, or its database, was down: from, until, in seconds of the story."""
        self.ends: list[str] = []
        """Why the process ended if the plan did not end it."""
        self.unfenced = False
        """A life that was paused went on next to the one that had taken its place."""
        self._deaths = list(party.deaths)
        self._killed = asyncio.Event()
        self._how = ""
        self._outage_s = 0.0
        self._awake = asyncio.Event()
        """Of the present life; it is paused while this is not set."""
        self._pause_s: float | None = None
        self._paused: list[asyncio.Task[None]] = []
        self.outages = list(party.outages)
        self._access = {chain: world.access(party, chain, self.number) for chain in CHAINS}

    async def run(self) -> None:
        """Live, die as the plan has it, come back, for ever."""
        await self.prepare()
        try:
            while True:
                await self._live_once(self._deaths.pop(0) if self._deaths else None)
                if self._how:
                    self.world.faults[f"death-{kind_of(self.name)}-{self._how}"] += 1
                self._how = ""
                down = self.world.seconds
                await self.world.clock.sleep(self._outage_s)
                self.came_back(down)
        finally:
            for one in self._paused:
                one.cancel()
            await asyncio.gather(*self._paused, return_exceptions=True)

    @property
    def began(self) -> list[float]:
        """When each life began that works, seconds of the story."""
        return self._began

    def came_back(self, down_s: float) -> None:
        """The process starts again, down since then."""
        self.away.append((down_s, self.world.seconds))

    async def _live_once(self, death: Death | None) -> None:
        self._outage_s = 0.0 if death is None else death.outage_s
        self._killed.clear()
        if self.replacement is not None:
            self.database, self.replacement = self.replacement, None
        self.lives += 1
        self._began.append(self.world.seconds)
        self._awake = awake = asyncio.Event()
        awake.set()
        fuse = Fuse(death, self._die)
        life = asyncio.create_task(self._live(fuse, awake))
        timer = None
        if death is not None and death.at_s is not None:
            timer = asyncio.create_task(self._die_at(death.at_s))
        killed = asyncio.create_task(self._killed.wait())
        ending: list[asyncio.Task[Any]] = [life, killed, *([timer] if timer else [])]
        try:
            # Not awaited itself: a group that fails in the moment in which it is cancelled from outside forgets
            # the cancelling (CPython issue 116720), and the party would live on for ever.
            await asyncio.wait({life, killed}, return_when=asyncio.FIRST_COMPLETED)
            pause_s, self._pause_s = self._pause_s, None
            if pause_s is not None and life.done():  # in the moment in which it was to be paused
                pause_s = None
                self._note_end(life)
            elif not self._killed.is_set():
                self._note_end(life)
            if pause_s is None:
                self.world.faults["death"] += 1
                fuse.dead = True
            else:
                fuse.disarm()
                ending.remove(life)
                self._paused.append(asyncio.create_task(self._wake(life, awake, pause_s)))
        finally:
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def _wake(self, life: asyncio.Task[None], awake: asyncio.Event, after_s: float) -> None:
        """A paused life goes on, though another has taken its place: it has to end as soon as it signs anything."""
        try:
            await self.world.clock.sleep(after_s)
            awake.set()
            await asyncio.wait({life}, timeout=FENCE_S + max(0.0, self._without_database_s()))
            self.unfenced |= not life.done()
            if life.done() and (error := life.exception()) is not None:
                fenced = error.subgroup(FencedError) if isinstance(error, BaseExceptionGroup) else error
                if isinstance(fenced, FencedError | BaseExceptionGroup):
                    self.world.faults["fenced"] += 1
                elif not self._is_full(error):
                    self.ends.append(f"{self.name}'s former process woke and ended by itself: {error!r}")
        finally:
            awake.set()
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    def _without_database_s(self) -> float:
        """For how long its database is still away, 0 or less if it is there: nothing can be learnt from it before."""
        now_s = self.world.seconds
        return max((one.at_s + one.lasts_s - now_s for one in self.party.outages if one.at_s <= now_s), default=0.0)

    def rotate(self, chain: ChainId) -> None:
        """From its next life on another account begins swaps there."""
        self.former.append(self.hands[chain])
        self.hands[chain] = self.signers[chain] = self._upcoming.pop(chain)
        self.accounts[chain] = self.signers[chain].account

    def owns(self, account: AccountId) -> bool:
        """Return true for an account of this party, whichever of its keys is in use by now."""
        return account in self.accounts.values() or any(account == one.account for one in self.former)

    def pause(self, pause_s: float) -> None:
        """SIGSTOP now, and SIGCONT after this time; meanwhile another process is started on the same database."""
        self._awake.clear()
        self._pause_s = pause_s
        self._outage_s = RESTART_S
        self._die("")

    def _note_end(self, life: asyncio.Task[None]) -> None:
        """A process that ends by itself, whatever the reason: somebody has to start it again."""
        error = life.exception()
        if isinstance(error, Crash):
            return
        self._outage_s = RESTART_S
        if self._is_full(error):
            return
        if not isinstance(error, RetryableError):  # which a start may raise: the caller is to try again
            self.ends.append(f"{self.name}'s process ended by itself: {error!r}")

    def _is_full(self, error: BaseException | None) -> bool:
        """True if it ended since its disk is full, as it says of itself: free some space and start it again."""
        fatal, _ = error.split(FatalError) if isinstance(error, BaseExceptionGroup) else (error, None)
        return isinstance(fatal, FatalError | BaseExceptionGroup) and self.party.full_at(self.world.seconds)

    def kill(self, outage_s: float) -> None:
        """A power cut now, for this time."""
        self._outage_s = outage_s
        self._die("")

    def _die(self, how: str) -> None:
        self._how = how
        self._killed.set()

    async def prepare(self) -> None:
        """Make the database. One whose disk will be full is new: it has no room left from before."""
        if any(one.full for one in self.party.outages):
            self.database = await with_tables()
        else:
            self.database = self._lent = await taken(type(self).__name__)

    async def let_go(self) -> None:
        """The story is over, and nobody will ask its database for anything any more."""
        if self._lent is not None:
            await give_back(type(self).__name__, self._lent)

    @abstractmethod
    async def live(self, database: Database, access: Mapping[ChainId, ChainAccess]) -> None:
        """One life, until cancelled."""

    async def _live(self, fuse: Fuse, awake: asyncio.Event) -> None:
        source = random.Random(f"{self.name}/{self.world.plan.seed}/{self.lives}/locked")
        party, world = self.party, self.world
        database: Database = MortalDatabase(
            lambda: self.database, fuse, party.locked, self.outages, source, world, party.unheard
        )
        access = {
            chain: replace(one, transactions=MortalSender(one.transactions, fuse, world.chains[chain]))
            for chain, one in self._access.items()
        }
        if self.can_pause or Rough.TWO_PROCESSES in world.plan.rough:
            database, access = Held(database, awake), {chain: held(one, awake) for chain, one in access.items()}
        try:
            await self.live(database, access)
        except* Crash:
            pass

    async def _die_at(self, at_s: float) -> None:
        await self.world.clock.sleep(at_s - self.world.seconds)
        self._die("time")

    def seeded(self) -> SeededSecrets:
        return self.world.secrets(f"{self.name}/{self.lives}")


class Relayer(Process):
    """`service` is None while the process is down. A watchtower is a relayer without pairs."""

    def __init__(self, world: World, party: Party, quotes: bool = True) -> None:
        purse, inventory = PURSE, NARROW if quotes and world.plan.narrow else PURSE
        if quotes and Rough.SHORT_PURSE in world.plan.rough:
            drawn = random.Random(f"{party.name}/{world.plan.seed}/purse").randint(*SHORT_PURSE)
            purse = inventory = world.plan.purse or drawn
        super().__init__(world, party, purse, inventory)
        self.service: RelayerService | None = None
        self.last_service: RelayerService | None = None
        """The one that worked last, for the verdict."""
        self.restores = False
        """Its next life begins with `causeway relayer restore --from-chain`."""
        self.found_again: Recovery | None = None
        self.feed = PriceFeed(world, world.plan.pricing) if quotes and world.plan.pricing is not None else None
        """Its price, if that may change."""
        self._pairs = _pairs(world.plan) if quotes and self.feed is None else []
        self._bridge = world.bridge(party) if quotes else None
        self.secret = party.name.encode().ljust(32, b"\0")
        """The key that it signs quotes with, and its operator seals withdrawals by."""
        self._treasury = treasury_of(world, self.secret, party.name) if quotes else None
        topped = quotes and tops_up_by_itself(world, party.name)
        self._funders = [funder_of(world, chain) for chain in sorted(world.plan.fees)] if topped else []

    def answers(self) -> Answers | None:
        """Return the API at its address; None while it is down."""
        if (service := self.service) is None:
            return None
        return Answers(service.desk, self._access, self.clock, service.watchtower)

    async def ready(self) -> RelayerService:
        """The service, once it is up."""
        while self.service is None:
            await self.world.clock.sleep(0.5)
        return self.service

    async def live(self, database: Database, access: Mapping[ChainId, ChainAccess]) -> None:
        signal, clock = FactSignal(), self.clock
        setup = self._setup(access)
        if self.restores:
            followers = self._followers(access, database, FactSignal())
            arguments = access, self.accounts, setup.policy, self.name, clock, Unmeasured()
            self.found_again = await restore_from_chain(database, followers, *arguments)
            self.restores = False
        service = RelayerService(
            database,
            setup,
            signal,
            clock,
            Unmeasured(),
            self.seeded(),
            random.Random(f"{self.name}/{self.world.plan.seed}/{self.lives}/waits"),
        )
        following = Supervisor(clock, Unmeasured())
        for follower in self._followers(access, database, signal):
            following.add(Worker(f"follower {follower.status.chain}", follower.run))
        try:
            async with asyncio.TaskGroup() as group:
                for work in (following.run(), service.supervisor.run(), self._expire(service)):
                    group.create_task(work)
                self.serve(service)
        finally:
            self.stop_serving(service)

    def _followers(
        self, access: Mapping[ChainId, ChainAccess], database: Database, signal: FactSignal
    ) -> list[Follower]:
        return [
            Follower(
                one.parameters, one.heads, one.blocks, database, signal, self.clock, FIRST[one.chain], Unmeasured()
            )
            for one in access.values()
        ]

    def serve(self, service: RelayerService) -> None:
        """This is what answers at the relayer's address from now on."""
        self.service = self.last_service = service

    def stop_serving(self, service: RelayerService) -> None:
        """Nobody answers there, unless another one does by now."""
        if self.service is service:
            self.service = None

    def _setup(self, access: Mapping[ChainId, ChainAccess]) -> RelayerSetup:
        reports, hooks = self._server("report"), self._server("webhook")
        ceiling = self.world.plan.ceiling
        return RelayerSetup(
            chains=access,
            signers=self.hands,
            policy=RelayerPolicy(
                swap=POLICY,
                exposure=LIMITS,
                watch=WatchPolicy(enabled=True),
                opening=OpeningPolicy(hold_s=HOLD_S, early_refunds=self.world.plan.early_refunds),
                pipeline=PIPELINE,
                fee_ceilings=dict.fromkeys(self.world.plan.fees, ceiling) if ceiling is not None else {},
                quote_lifetime_s=Seconds(QUOTE_LIFETIME_S if self.feed is None else VALID_S),
            ),
            pairs=self._pairs,
            quote_key=SigningKey(self.secret),
            source=self.name,
            attestors=self._attestors(),
            regulator=None if reports is None else TARGET,
            report_session=http_session if reports is None else reports.session,
            webhooks=WebhookSetup([] if hooks is None else [HOOK]),
            webhook_post=None if hooks is None else hooks.hook,
            treasury=self._treasury,
            funders=self._funders,
            offers=[] if self.feed is None else offers(),
            feeds=[] if self.feed is None else [FEED],
            retiring=self.former,
            price_session=price_session if self.feed is None else self.feed.session,
            triggered=False,
        )

    def _attestors(self) -> list[AttestorSetup]:
        """One that votes for the other chain's blocks with the relayer's own account; only the first relayer's vote is
        wanted, and the others are refused for ever."""
        if self._bridge is None:
            return []
        chain, bridge = self._bridge
        foreign = next(other for other in CHAINS if other != chain)
        return [AttestorSetup(chain, foreign, bridge, self.hands[chain], ATTESTED_BLOCKS)]

    def _server(self, what: str) -> Regulator | None:
        """Return the server that takes reports, or messages of webhooks, None in towns without."""
        world, works = self.world, self.world.plan.regulator
        seed = f"{self.name}/{world.plan.seed}/{self.lives}" + ("" if what == "report" else f"/{what}")
        return (
            None if works is None else Regulator(world.clock, seed, works, world.faults, world.posted, self.name, what)
        )

    async def _expire(self, service: RelayerService) -> None:
        """Do what the service's scheduler triggers otherwise, at real times: no story hangs on its machine's load."""
        while True:
            await self.world.clock.sleep(EXPIRE_S)
            for attestor in service.attestors:
                self.world.faults["attestor-triggered"] += 1
                attestor.trigger()
            if self.world.plan.guarded:
                service.guard.due.notify()
            try:
                await service.pump.expire_quotes()
            except RetryableError:
                continue


def _pipeline(ceiling: int | None) -> PipelinePolicy:
    """The policy of a client with this ceiling."""
    return PIPELINE if ceiling is None else replace(PIPELINE, fees=replace(PIPELINE.fees, ceiling=ceiling))


def rate_of(plan: Plan) -> Rate:
    """Return the rate of a plan whose prices do not move."""
    return RATE if plan.trading is None else Rate(*plan.trading.rate)


def _pairs(plan: Plan) -> list[Pair]:
    fee = BaseUnits(0 if plan.trading is None else plan.trading.fee)
    return [
        Pair(kind[chain], kind[other], rate_of(plan), BaseUnits(10), BaseUnits(100_000), fee)
        for chain, other in (CHAINS, CHAINS[::-1])
        for kind in (COIN, TOKEN)
    ]


class Dapp(Process):
    """A dApp's own process: a client of one relayer. `client` is None while it is down."""

    def __init__(self, world: World, party: Party, relayer: Relayer) -> None:
        super().__init__(world, party)
        self.client: SwapClient | None = None
        self.relayer = relayer

    async def ready(self) -> SwapClient:
        """The client, once it is up."""
        while self.client is None:
            await self.world.clock.sleep(0.5)
        return self.client

    async def live(self, database: Database, access: Mapping[ChainId, ChainAccess]) -> None:
        made = SwapClient(
            Door(self.relayer),
            access,
            self.hands,
            SwapStore(database),
            ClientPolicy(swap=POLICY, pipeline=_pipeline(self.world.plan.ceiling)),
            self.clock,
            self.seeded(),
            metrics=Unmeasured(),
        )
        try:
            async with made as client:
                self.client = client
                await client.ended()
        finally:
            self.client = None
