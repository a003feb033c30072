"""One relayer: its workers, how they are joined, and what a gateway hands in and gets out.

Facts come from followers that the gateway runs over the same database; `FactSignal` is how they wake us. Everything
else (chains, keys, policy, clock) is injected. `run` never returns; a `FatalError` ends it with the reason.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from nacl.signing import SigningKey
from sqlalchemy.engine import Connection

from core.model.errors import FatalError, RejectedError, RetryableError
from core.model.ports import BridgeBuilder, ChainAccess, Signer
from core.model.types import AssetId, BaseUnits, ChainId, chain_of
from core.runtime import deliveries, journal
from core.runtime.clock import NS_PER_S, Clock, SecretSource, SystemSecrets
from core.runtime.database import Database
from core.runtime.deliveries import DeliveryStatus
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.signals import Signal
from core.runtime.supervisor import Supervisor, Worker
from htlc import engine
from htlc.facts import ever_locked
from htlc.model import Phase
from indexer.feed import FactSignal
from indexer.projections import withdraw_agreement
from relayer import inventory
from relayer.bridging.attestor import Attestor
from relayer.inventory import Promise
from relayer.metrics import RelayerMetrics
from relayer.notices import reports
from relayer.notices.reports import REPORTS, OpenSession, Reporter, ReportTarget, http_session
from relayer.policy import MAX_LAPSE_S, RelayerPolicy
from relayer.provider.opening import SwapDesk
from relayer.provider.quoting import Pair
from relayer.pump import promises, set_aside, tables
from relayer.pump.checks import PreimageVault
from relayer.pump.wiring import Pump
from relayer.transactions import accounts
from relayer.transactions import records as transaction_tables
from relayer.transactions.pipeline import Pipeline
from relayer.watchtower import Watchtower

HOUSEKEEPING_S: Final = 2.0
CONCERNS_TIMEOUT_S: Final = 3.0
ATTEST_S: Final = 2.0
ALLOWANCE_PAUSE_S: Final = 2.0
ALLOWANCE_LOOK_S: Final = 30.0
"""Seconds between looks at allowances that are for amounts: at least this after a change, at most that without one."""
KEEP_S: Final = MAX_LAPSE_S
"""How long settled votes and allowances are kept, and swaps that came to nothing: some are held against an account."""
PRUNED_AT_ONCE: Final = 500

TABLES: Final = (*transaction_tables.TABLES, *tables.TABLES, *set_aside.TABLES, *deliveries.TABLES)

log = get_logger("relayer.service")


@dataclass(frozen=True, slots=True)
class AttestorSetup:
    """A validator operator's votes on `chain` that blocks of `foreign` are final, every `every_blocks` blocks.

    `signer` is the operator's account; it may be the relayer's own on that chain.
    """

    chain: ChainId
    foreign: ChainId
    bridge: BridgeBuilder
    signer: Signer
    every_blocks: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayerSetup:
    """The parts of one relayer. `signers` hold one account for each chain; `source` names it to others.

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
    attestors: Sequence[AttestorSetup] = ()

    def __post_init__(self) -> None:
        for chain, signer in self.signers.items():
            if chain not in self.chains or chain_of(signer.account) != chain:
                raise RejectedError(f"the account {signer.account} is not on the configured chain {chain}")


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
    ) -> None:
        self._database = database
        self._setup = setup
        self._clock = clock
        self._metrics = RelayerMetrics(metrics)
        self._housekeeping = Signal()
        self._low_reserves: Set[AssetId] = frozenset()
        policy = replace(setup.policy, pipeline=replace(setup.policy.pipeline, adopt=setup.adopt))
        self.pump = Pump(database, setup.chains, setup.signers, policy, facts, clock, self._metrics, vault=setup.vault)
        self.desk = SwapDesk(
            database,
            setup.chains,
            self.pump.heads,
            self.pump.accounts,
            setup.pairs,
            setup.quote_key,
            setup.policy,
            self.pump.checks,
            self.pump.updates,
            clock,
            secrets or SystemSecrets(),
            setup.source,
            reports=setup.regulator is not None,
        )
        parameters = {chain: access.parameters for chain, access in setup.chains.items()}
        self.watchtower = Watchtower(database, parameters, setup.policy, self.pump.updates, clock, setup.source)
        self.attestors = [self._attestor(attestor) for attestor in setup.attestors]
        self.supervisor = Supervisor(clock, metrics, rng)
        self.supervisor.add(*self._workers())

    async def run(self) -> None:
        """Relay until cancelled. Raise `FatalError`."""
        scheduler = self._scheduler()
        scheduler.start()
        try:
            await self.supervisor.run()
        except FatalError:
            self._metrics.critical_error.set(1)
            raise
        finally:
            scheduler.shutdown(wait=False)

    @property
    def pipelines(self) -> Mapping[ChainId, Pipeline]:
        """The ways out of the relayer's accounts, by chain."""
        return self.pump.pipelines

    # --- joining the parts ---

    def _attestor(self, setup: AttestorSetup) -> Attestor:
        pipeline = self.pump.pipeline_of(setup.chain, setup.signer)
        heads = self._setup.chains[setup.foreign].heads
        return Attestor(setup.foreign, heads, setup.bridge, pipeline, setup.every_blocks)

    def _workers(self) -> list[Worker]:
        """The pump's, and the duties of a relayer: each of those rests alone if it cannot go on."""
        duties = [
            *(Worker(f"allowances {chain}", self._allowed(one)) for chain, one in self.pump.pipelines.items()),
            Worker("housekeeping", self._keep_house),
            *(Worker(f"attestor {n}", attestor.run) for n, attestor in enumerate(self.attestors)),
        ]
        if self._setup.regulator is not None:
            self.reporter = Reporter(self._database, self._setup.regulator, self._clock, self._setup.report_session)
            duties += [Worker("reports", self.reporter.run), Worker("report triggers", self._wake_reporter)]
        return [*self.pump.workers(), *(replace(one, contained=True) for one in duties)]

    def _allowed(self, pipeline: Pipeline) -> Callable[[], Awaitable[None]]:
        """Allowances for the tokens that we pay out, ahead of the locks that would have to wait for them."""

        async def run() -> None:
            await pipeline.opened.wait_beyond(0)
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
        found: dict[AssetId, BaseUnits] = {}
        for pair in self._setup.pairs:
            if pair.participant_chain == chain:
                most = max(1, pair.maximum * pair.rate.numerator // pair.rate.denominator)
                found[pair.participant_asset] = BaseUnits(max(most, found.get(pair.participant_asset, 0)))
        return found

    async def concerns(self) -> list[str]:
        """Return what the operator has to look into, in sentences: uses of our accounts that nobody here knows, and
        chains on which the gas for exits is short. A chain that does not answer is the followers' concern."""
        short: Mapping[ChainId, str] = {}
        with suppress(RetryableError, TimeoutError):
            async with asyncio.timeout(CONCERNS_TIMEOUT_S):
                short = await self.desk.gas_shortages()
        return [*await self._foreign_uses(), *(f"{chain}: {sentence}" for chain, sentence in short.items())]

    async def _foreign_uses(self) -> list[str]:
        ours = [(one.chain, one.account) for one in (*self.pump.pipelines.values(), *self.pump.other_pipelines)]
        waiting = await self._database.read(lambda c: accounts.unacknowledged(c, ours))
        return [f"{use} used by somebody unknown: acknowledge it with `causeway relayer adopt`" for use in waiting]

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
        scheduler.add_job(self._trigger, args=[self._housekeeping.notify], seconds=HOUSEKEEPING_S, **options)
        for attestor in self.attestors:
            scheduler.add_job(self._trigger, args=[attestor.trigger], seconds=ATTEST_S, **options)
        return scheduler

    async def _trigger(self, enqueue: Callable[[], None]) -> None:
        # A coroutine, since the scheduler runs plain functions on a thread, and signals belong to the event loop.
        enqueue()

    async def _keep_house(self) -> None:
        """Quotes that nobody locked on are let go, and gauges are brought up to date."""
        seen = self._housekeeping.count
        while True:
            await self._housekeeping.wait_beyond(seen)
            seen = self._housekeeping.count
            await self.pump.expire_quotes()
            await self._measure()
            before_ns = self._clock.now_ns() - KEEP_S * NS_PER_S
            await self._database.write(partial(_prune, before_ns=before_ns, limit=PRUNED_AT_ONCE))
            await self.forget_nothing(before_ns)

    async def forget_nothing(self, before_ns: int) -> None:
        """Swaps that ended before then without any lock go: anybody can have them agreed."""
        if await self._database.read(lambda c: tables.came_to_nothing(c, before_ns, 1)):
            await self._database.write(partial(_forget_nothing, before_ns=before_ns, limit=PRUNED_AT_ONCE))

    async def _measure_reserved(self, promised: Sequence[Promise]) -> None:
        firm = inventory.firm(promised, self._clock.now_ns())
        try:
            costs = await self.pump.checks.exit_costs(sorted(self.pump.pipelines))
            low = await self.pump.checks.understated()
        except RetryableError as error:
            log.info("the cost of exits is not known", reason=error.message)
            return
        for asset in sorted(low.keys() - self._low_reserves):
            log.warning("gas_per_exit is less than an exit may cost now: raise it", asset=asset, cost=low[asset])
        self._low_reserves = low.keys()
        reserved = inventory.reserved(firm, costs)
        for asset in {*reserved, *(asset for cost in costs.values() for asset in cost)}:
            self._metrics.reserved_funds.labels(asset).set(reserved[asset])

    async def _measure(self) -> None:
        def read(
            connection: Connection,
        ) -> tuple[dict[Phase, int], list[Promise], int | None, dict[tuple[str, DeliveryStatus], int]]:
            return (
                tables.counts_by_phase(connection),
                promises.of_open_swaps(connection),
                tables.nearest_timelock_s(connection),
                deliveries.counts(connection),
            )

        counts, promised, nearest_s, sent = await self._database.read(read)
        for status in DeliveryStatus:
            self._metrics.deliveries.labels(REPORTS.name, status).set(sent.get((REPORTS.name, status), 0))
        self._metrics.unacknowledged.set(len(await self._foreign_uses()))
        await self._measure_reserved(promised)
        for phase in Phase:
            self._metrics.pending.labels(phase).set(counts.get(phase, 0))
        self._metrics.nearest_timelock_s.set(float("inf") if nearest_s is None else nearest_s - self._clock.now())
        pairs = self._setup.pairs
        for asset in sorted({asset for pair in pairs for asset in (pair.initiator_asset, pair.participant_asset)}):
            locked = sum(promise.amount for promise in promised if promise.asset == asset and promise.funded)
            self._metrics.locked_funds.labels(asset).set(locked)
            try:
                self._metrics.wallet_balance.labels(asset).set(await self.pump.checks.balance(asset))
            except RetryableError as error:
                log.info("balance not known", asset=asset, reason=error.message)


def _prune(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget settled votes, allowances and reports of before then; return how many."""
    return transaction_tables.prune(connection, before_ns, limit) + deliveries.prune(connection, before_ns, limit)


def _forget_nothing(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget swaps that ended before then without any lock, at most `limit`; return how many.

    Anybody can have a swap agreed or watched, so what comes of it must not fill the disk. Their hashlocks were never
    funded; whoever locks under one later is answered as under any other that is not known here.
    """
    forgotten = 0
    for row in tables.came_to_nothing(connection, before_ns, limit):
        state = engine.load(connection, row.swap_id)
        if ever_locked(state) or state.attempts:
            continue
        tables.forget(connection, row.swap_id)
        journal.forget(connection, row.swap_id)
        reports.forget(connection, row.swap_id)
        withdraw_agreement(connection, row.swap_id, row.hashlock)
        forgotten += 1
    return forgotten
