"""One relayer: its workers, how they are joined, and what a gateway hands in and gets out.

Facts come from followers that the gateway runs over the same database; `FactSignal` is how they wake us. Everything
else (chains, keys, policy, clock) is injected. `run` never returns; a `FatalError` ends it with the reason.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from nacl.signing import SigningKey

from core.model.boards import QueryBoard
from core.model.errors import FatalError, RejectedError, RetryableError
from core.model.ports import AttestationSource, BridgeBuilder, ChainAccess, Prover, Signer
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, chain_of
from core.runtime import deliveries
from core.runtime.clock import Clock, SecretSource, SystemSecrets
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor, Worker
from core.runtime.web import idempotency
from indexer.feed import FactSignal
from relayer import reloads, switchboard
from relayer.api import access
from relayer.asking import parts as asking_parts
from relayer.bridging import asked, attestations_seen, ballots
from relayer.bridging.accuser import Accuser
from relayer.bridging.answerer import Answerer
from relayer.bridging.attestor import Attestor
from relayer.bridging.headers import HeaderSetup, HeaderWorker
from relayer.conditions import Conditions
from relayer.guard import Guard
from relayer.housekeeping import Housekeeping
from relayer.metrics import RelayerMetrics
from relayer.notices import webhook_rows
from relayer.notices.reports import OpenSession, Reporter, ReportTarget, http_session
from relayer.notices.webhooks import Post, Webhooks, WebhookSetup, guarded_post
from relayer.policy import RelayerPolicy
from relayer.provider import price_rows, prices
from relayer.provider.opening import SwapDesk
from relayer.provider.prices import Feed, PriceBoard
from relayer.provider.pricing import Offer
from relayer.provider.quoting import Pair
from relayer.provider.screening import Screening
from relayer.pump import set_aside, tables
from relayer.pump.checks import PreimageVault
from relayer.pump.wiring import Pump
from relayer.retirements import Retirements
from relayer.story import Story
from relayer.switchboard import Switches
from relayer.switches import Cause, Scope
from relayer.transactions import records as transaction_tables
from relayer.transactions.pipeline import Pipeline
from relayer.treasury import orders as treasury_tables
from relayer.treasury.teller import Teller, TreasuryPolicy, kept_by_swaps
from relayer.treasury.top_ups import TopUps
from relayer.watchtower import Watchtower

HOUSEKEEPING_S: Final = 2.0
CONCERNS_TIMEOUT_S: Final = 3.0
GUARD_S: Final = 2.0
ATTEST_S: Final = 2.0
ALLOWANCE_PAUSE_S: Final = 2.0
ALLOWANCE_LOOK_S: Final = 30.0
"""Seconds between looks at allowances that are for amounts: at least this after a change, at most that without one."""
PRICES_WAIT_S: Final = 5.0
"""How long allowances wait for the first look at prices, which say how much a lock may take."""
TABLES: Final = (
    *transaction_tables.TABLES,
    *tables.TABLES,
    *set_aside.TABLES,
    *deliveries.TABLES,
    *price_rows.TABLES,
    *idempotency.TABLES,
    *access.TABLES,
    *webhook_rows.TABLES,
    *asking_parts.TABLES,
    *switchboard.TABLES,
    *reloads.TABLES,
    *treasury_tables.TABLES,
    *asked.TABLES,
    *ballots.TABLES,
    *attestations_seen.TABLES,
)

log = get_logger("relayer.service")


@dataclass(frozen=True, slots=True)
class AttestorSetup:
    """A validator operator's votes on `chain` that blocks of `foreign` are final, every `every_blocks` blocks.

    `signer` is the operator's account; it may be the relayer's own on that chain. With `attestations` it reports those
    who attest twice.
    """

    chain: ChainId
    foreign: ChainId
    bridge: BridgeBuilder
    signer: Signer
    every_blocks: int = 1
    attestations: AttestationSource | None = None


@dataclass(frozen=True, slots=True)
class AnswerSetup:
    """Questions asked on `chain` are answered by this relayer's account there, with proofs by `prover`. `headers`: the
    light client that verifies them there, if a contract does."""

    chain: ChainId
    board: QueryBoard
    prover: Prover
    headers: HeaderSetup | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayerSetup:
    """The parts of one relayer. `signers` hold one account for each chain, `retiring` others of ours, which only end
    what they began, and `funders` accounts that pay for gas; `source` names it to others. `pairs` are traded at fixed
    rates, `offers` at prices, of which `feeds` are looked at.

    `adopt`: accounts that their chains show as used and the database has never seen are taken over: a deliberate first
    start. Without it nothing is quoted, funded or revealed until the operator acknowledges those uses.
    """

    chains: Mapping[ChainId, ChainAccess]
    signers: Mapping[ChainId, Signer]
    policy: RelayerPolicy
    pairs: Sequence[Pair]
    quote_key: SigningKey = field(repr=False)
    source: str = "relayer"
    vault: PreimageVault | None = None
    adopt: bool = False
    regulator: ReportTarget | None = None
    report_session: OpenSession = http_session
    webhooks: WebhookSetup = field(default_factory=WebhookSetup)
    webhook_post: Post | None = None
    attestors: Sequence[AttestorSetup] = ()
    answers: Sequence[AnswerSetup] = ()
    offers: Sequence[Offer] = ()
    feeds: Sequence[Feed] = ()
    price_session: prices.OpenSession = prices.http_session
    triggered: bool = True
    """Triggers come at real times. False in virtual time: whoever runs the service notifies what is due."""
    treasury: TreasuryPolicy | None = None
    retiring: Sequence[Signer] = ()
    funders: Sequence[Signer] = ()
    screening: Screening | None = None

    def __post_init__(self) -> None:
        for chain, signer in self.signers.items():
            if chain not in self.chains or chain_of(signer.account) != chain:
                raise RejectedError(f"the account {signer.account} is not on the configured chain {chain}")
        present = {signer.account for signer in self.signers.values()}
        if clash := {one.account for one in self.funders} & {*present, *(one.account for one in self.retiring)}:
            raise RejectedError(f"{min(clash)} pays for gas, and swaps are settled with it: name another key for one")
        for former in self.retiring:
            if chain_of(former.account) not in self.signers or former.account in present:
                raise RejectedError(f"{former.account} retires: another account on its chain has to open swaps")


class RelayerService:
    """A pump with a relayer's duties around it. The schema must exist; one service per database and account."""

    def __init__(
        self,
        database: Database,
        setup: RelayerSetup,
        facts: FactSignal,
        clock: Clock,
        metrics: Metrics,
        secrets: SecretSource | None = None,
        rng: random.Random | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self._database = database
        self._setup = setup
        self._clock = clock
        self._secrets = secrets or SystemSecrets()
        self._metrics = RelayerMetrics(metrics)
        policy = replace(setup.policy, pipeline=replace(setup.policy.pipeline, adopt=setup.adopt))
        self.switches = Switches(clock)
        self.pump = Pump(
            database,
            setup.chains,
            setup.signers,
            policy,
            facts,
            clock,
            self._metrics,
            vault=setup.vault,
            consultation=setup.screening,
            switches=self.switches,
            retiring=setup.retiring,
        )
        parameters = {chain: access.parameters for chain, access in setup.chains.items()}
        self.prices = PriceBoard(
            database,
            parameters,
            setup.pairs,
            setup.offers,
            setup.feeds,
            clock,
            self._metrics,
            setup.price_session,
        )
        self.desk = SwapDesk(
            database,
            setup.chains,
            self.pump.heads,
            self.pump.accounts,
            self.prices,
            setup.quote_key,
            setup.policy,
            self.pump.checks,
            self.pump.updates,
            clock,
            self._secrets,
            setup.source,
            reports=setup.regulator is not None,
            switches=self.switches,
            retiring=[one.account for one in setup.retiring],
            screening=setup.screening,
        )
        self.watchtower = Watchtower(
            database, parameters, setup.policy, self.pump.updates, clock, setup.source, self.switches
        )
        self.housekeeping = Housekeeping(database, self.pump, self.prices.assets, clock, self._metrics)
        timings = {chain: one.timing for chain, one in parameters.items()}
        self.retirements = Retirements(database, self.pump, clock, self._metrics)
        self.story = Story(database, self.pump.updates, clock)
        self.guard = Guard(
            database, self.switches, self.pump, timings, self.desk.gas_shortages, clock, self._metrics, conditions
        )
        self.attestors = [self._attestor(attestor) for attestor in setup.attestors]
        self.accusers = self._accusers(setup.attestors)
        self.header_workers: list[HeaderWorker] = []
        self.answerers = [self._answerer(one) for one in setup.answers]
        self.teller = None if setup.treasury is None else self._teller(setup.treasury)
        self.supervisor = Supervisor(clock, metrics, rng)
        self.supervisor.add(*self._workers())

    async def run(self) -> None:
        """Relay until cancelled. Raise `FatalError`."""
        scheduler = self._scheduler() if self._setup.triggered else None
        if scheduler is not None:
            scheduler.start()
        self.supervisor.add(Worker("story", self.story.run, contained=True))
        try:
            await self.supervisor.run()
        except FatalError:
            self._metrics.critical_error.set(1)
            raise
        finally:
            if scheduler is not None:
                scheduler.shutdown(wait=False)

    @property
    def pipelines(self) -> Mapping[ChainId, Pipeline]:
        """The ways out of the relayer's accounts, by chain."""
        return self.pump.pipelines

    @property
    def answers(self) -> bool:
        """True once it can quote: every chain has shown a head, and every price was looked at."""
        looked = sum(feed.fixed is None for feed in self._setup.feeds)
        return self.prices.looked.count >= looked and all(one.latest is not None for one in self.pump.heads.values())

    # --- joining the parts ---

    def _attestor(self, setup: AttestorSetup) -> Attestor:
        pipeline = self.pump.pipeline_of(setup.chain, setup.signer)
        heads = self._setup.chains[setup.foreign].heads
        return Attestor(self._database, setup.foreign, heads, setup.bridge, pipeline, setup.every_blocks)

    def _accusers(self, setups: Sequence[AttestorSetup]) -> list[Accuser]:
        """One for each chain that keeps attestations, by the first of our accounts that attest there."""
        found: dict[ChainId, Accuser] = {}
        for one in setups:
            if one.attestations is not None and one.chain not in found:
                heads, pipeline = self._setup.chains[one.chain].heads, self.pump.pipeline_of(one.chain, one.signer)
                found[one.chain] = Accuser(self._database, one.attestations, heads, pipeline, self._clock)
        return list(found.values())

    def _answerer(self, setup: AnswerSetup) -> Answerer:
        access, pipeline = self._setup.chains[setup.chain], self.pump.pipelines[setup.chain]
        timing, checks, clock = access.parameters.timing, self.pump.checks, self._clock

        async def keep() -> Mapping[AssetId, int]:
            costs = await checks.exit_costs([setup.chain])
            return await self._database.read(
                lambda c: kept_by_swaps(c, pipeline.account, costs, clock.now_ns(), retiring=False)
            )

        worker: HeaderWorker | None = None
        if (headers := setup.headers) is not None:
            heads = self._setup.chains[headers.home].heads
            worker = HeaderWorker(self._database, headers, heads, pipeline, keep, clock, self._metrics)
            self.header_workers.append(worker)
        return Answerer(
            self._database,
            setup.chain,
            setup.board,
            setup.prover,
            access.heads,
            timing,
            {chain: one.heads for chain, one in self._setup.chains.items()},
            pipeline,
            keep,
            clock,
            self._metrics,
            tuple(board.changed for board in self.pump.heads.values()),
            None if worker is None else worker.need,
        )

    def _teller(self, policy: TreasuryPolicy) -> Teller:
        pump, clock = self.pump, self._clock
        return Teller(
            self._database,
            self._setup.chains,
            pump.pipelines,
            pump.checks,
            policy,
            clock,
            self._metrics,
            pump.retiring,
            [pump.pipeline_of(chain_of(one.account), one, shared=True) for one in self._setup.funders],
        )

    def _workers(self) -> list[Worker]:
        """The pump's, and the duties of a relayer: each of those rests alone if it cannot go on."""
        duties = [
            *(Worker(f"allowances {chain}", self._allowed(one)) for chain, one in self.pump.pipelines.items()),
            Worker("housekeeping", self.housekeeping.run),
            Worker("guard", self.guard.run),
            *([Worker("retirements", self.retirements.run)] if self.pump.retiring else []),
            *(Worker(f"attestor {n}", attestor.run) for n, attestor in enumerate(self.attestors)),
            *(Worker(f"double attestations {n}", one.run) for n, one in enumerate(self.accusers)),
            *(Worker(f"answers {one.chain}", one.run) for one in self.answerers),
            *(Worker(f"headers {one.chain}", one.run) for one in self.header_workers),
        ]
        if any(feed.fixed is None for feed in self._setup.feeds):
            duties.append(Worker("prices", self.prices.run))
        if self.teller is not None:
            duties.append(Worker("treasury", self.teller.run))
        if (policy := self._setup.treasury) is not None and policy.top_ups:
            accounts, checks = self.pump.accounts, self.pump.checks
            self.top_ups = TopUps(
                self._database, policy.top_ups, accounts, checks, policy.seal, self._clock, self._secrets
            )
            duties.append(Worker("top-ups", self.top_ups.run))
        if self._setup.regulator is not None:
            self.reporter = Reporter(self._database, self._setup.regulator, self._clock, self._setup.report_session)
            duties += [Worker("reports", self.reporter.run), Worker("report triggers", self._wake_reporter)]
        hooks = self._setup.webhooks
        if hooks.targets or hooks.openers:
            post = self._setup.webhook_post or guarded_post(hooks.reach)
            self.webhooks = Webhooks(self._database, hooks, self.pump.updates.effects, self._clock, post)
            duties += [Worker("webhook messages", self.webhooks.watch), Worker("webhooks", self.webhooks.deliver)]
        return [*self.pump.workers(), *(replace(one, contained=True) for one in duties)]

    def _allowed(self, pipeline: Pipeline) -> Callable[[], Awaitable[None]]:
        """Allowances for the tokens that we pay out, ahead of the locks that would have to wait for them."""

        async def run() -> None:
            await pipeline.opened.wait_beyond(0)
            looked = sum(feed.fixed is None for feed in self._setup.feeds)
            if looked:
                await self.prices.looked.wait_beyond(looked - 1, PRICES_WAIT_S)
            largest = self._largest_locks(pipeline.chain)
            while largest:
                seen = self.pump.updates.effects.count
                for asset, most in list(largest.items()):
                    try:
                        if await self.pump.allowances[pipeline.chain].ahead(asset, most):
                            del largest[asset]
                    except RejectedError as error:
                        log.warning("no allowance yet", asset=asset, reason=error.message)
                await self._clock.sleep(ALLOWANCE_PAUSE_S)
                await self.pump.updates.effects.wait_beyond(seen, ALLOWANCE_LOOK_S)

        return run

    def _largest_locks(self, chain: ChainId) -> dict[AssetId, BaseUnits]:
        """The most that one lock of ours may take of each asset that we pay out on a chain."""
        return prices.largest_payout(pair for pair in self.prices.pairs() if pair.participant_chain == chain)

    async def concerns(self) -> list[str]:
        """Return what the operator has to look into, in sentences: uses of our accounts that nobody here knows, and
        chains on which the gas for exits is short. A chain that does not answer is the followers' concern."""
        short: Mapping[ChainId, str] = {}
        former: Mapping[AccountId, str] = {}
        with suppress(RetryableError, TimeoutError):
            async with asyncio.timeout(CONCERNS_TIMEOUT_S):
                short = await self.desk.gas_shortages()
                former = await self.retirements.shortages()
        uses = [
            f"{use} used by somebody unknown: acknowledge it with `causeway relayer adopt`"
            for use in await self.pump.foreign_uses()
        ]
        said = {Scope(chain) for chain in short}
        standing = [one for one in self.switches.standing() if one.cause is not Cause.LOW_GAS or one.scope not in said]
        return [
            *uses,
            *(f"{name}: {sentence}" for name, sentence in (*short.items(), *former.items())),
            *(one.sentence for one in standing),
        ]

    async def _wake_reporter(self) -> None:
        while True:
            seen = self.pump.updates.effects.count
            await self.pump.updates.effects.wait_beyond(seen)
            self.reporter.wake.notify()

    # --- triggers and what they start ---

    def _scheduler(self) -> AsyncIOScheduler:
        """Triggers only enqueue: each counts a signal up, and a worker does the rest."""
        scheduler = AsyncIOScheduler(timezone="UTC")
        options: dict[str, Any] = {"trigger": "interval", "coalesce": True, "max_instances": 1}
        scheduler.add_job(self._trigger, args=[self.housekeeping.due.notify], seconds=HOUSEKEEPING_S, **options)
        at_once = datetime.now(UTC)
        looks = [self.guard.due.notify]
        scheduler.add_job(self._trigger, args=looks, seconds=GUARD_S, next_run_time=at_once, **options)
        for attestor in self.attestors:
            scheduler.add_job(self._trigger, args=[attestor.trigger], seconds=ATTEST_S, **options)
        return scheduler

    async def _trigger(self, enqueue: Callable[[], None]) -> None:
        # A coroutine, since the scheduler runs plain functions on a thread, and signals belong to the event loop.
        enqueue()
