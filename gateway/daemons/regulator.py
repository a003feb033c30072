"""The supervision API as a daemon."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from adapters.registry import ConnectedChain, joined_prover
from console.application import mount_console
from console.sessions import Sessions
from core.model.ports import ChainAccess
from core.model.types import ChainId
from core.runtime.clock import SystemClock, SystemSecrets
from core.runtime.database import Database
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Worker
from core.runtime.version import VERSION
from gateway.audits import record_writer
from gateway.config import RegulatorConfig
from gateway.daemons.life import Life, Setting, Work
from gateway.daemons.parts import check_starts, following, make_followers
from gateway.sign_in import provider_of
from gateway.supervision import callers_of, hooks_of, limiter_of, signing_seed
from indexer.feed import FactSignal
from regulator_api.anchoring import Anchorer
from regulator_api.application import create_app
from regulator_api.auditing import Auditor
from regulator_api.ordering import OrderDesk
from regulator_api.rules.engine import PAUSE_S, RulesEngine
from regulator_api.rules.versions import store_rates
from regulator_api.service import RegulatorService, SupervisedChain
from regulator_api.signing import Signer
from regulator_api.streaming.hooks import LOOK_S as HOOK_LOOK_S
from regulator_api.travel.records import Vault
from regulator_api.values import read_rates_file


async def run_regulator(config: RegulatorConfig, base: Path, as_json: bool) -> None:
    """Run the supervision API until a signal, with followers and a database of its own.

    What it needs and does not find yet is waited for; chains that answer are supervised meanwhile.
    """
    clock, metrics = SystemClock(), Metrics()
    bridge = None if config.bridge is None else ChainId(config.bridge)
    callers, limiter = callers_of(config, base, clock), limiter_of(config, clock)
    seed = None if config.signing is None else signing_seed(config, base)
    signer = None if seed is None else Signer(seed)
    secrets = SystemSecrets()
    provider = provider_of(config, clock)
    secure = provider is not None and provider.registration.is_secure
    cursors, sessions = secrets.token_bytes(32), Sessions(clock, secrets, secure)
    rates = [] if config.rates is None else read_rates_file(base / config.rates)

    async def admit(chain: ConnectedChain) -> None:
        await check_starts(config.chains, {chain.access.chain: chain})

    def begin(database: Database, chains: Mapping[ChainId, ConnectedChain], away: Collection[ChainId]) -> Work:
        prover = joined_prover(chains, bridge)
        supervised = [
            SupervisedChain(one.access.parameters, prover, one.access.state, _desk(one.access))
            for one in chains.values()
        ]
        service = RegulatorService(database, supervised, clock, cursors, away=life.waits.reasons)
        auditor = Auditor(database, clock, signer, config.usage.records_per_day)
        followers = make_followers(config.chains, chains, database, FactSignal(), clock, metrics)
        supervisor = following(followers, clock, metrics)
        engine = RulesEngine(database, clock, metrics=metrics)
        supervisor.add(Worker("rules", engine.step, pause_s=PAUSE_S, contained=True))
        parts: list[Callable[[], Awaitable[None]]] = [supervisor.run]
        hooks = hooks_of(config, database, clock)
        if hooks is not None:
            looking = Worker("webhook-watch", hooks.look, pause_s=HOOK_LOOK_S, contained=True)
            supervisor.add(looking, Worker("webhooks", hooks.deliver, contained=True))
        anchoring, anchorer = config.anchoring, _anchorer(config, database, chains, seed)
        if anchoring is not None and anchorer is not None:
            supervisor.add(Worker("anchoring", anchorer.run, contained=True))
            parts.append(partial(trigger_every, anchoring.every_s, anchorer.trigger))
        app = create_app(
            service,
            auditor,
            callers=callers,
            metrics=metrics,
            clock=clock,
            version=VERSION,
            limiter=limiter,
            signer=signer,
            vault=None if seed is None else Vault(seed),
        )

        async def opened() -> None:
            await auditor.prepare()
            if rates:
                await database.write(lambda connection: store_rates(connection, rates))

        mount_console(app, lambda: life.front.url, sessions, clock, secrets, config.name, provider)
        return Work(app, tuple(parts), opened)

    setting = Setting(
        kind="regulator",
        name=config.name,
        listen=config.listen,
        database=config.database,
        base=base,
        chains=config.chains,
        as_json=as_json,
    )
    life = Life(setting, admit, begin, clock, metrics)
    await life.run()


def _anchorer(
    config: RegulatorConfig, database: Database, chains: Mapping[ChainId, ConnectedChain], seed: bytes | None
) -> Anchorer | None:
    """Who writes the end of the audit log into a record, if that is configured and the chain is there."""
    anchoring = config.anchoring
    if anchoring is None or seed is None or ChainId(anchoring.chain) not in chains:
        return None
    write = record_writer(chains[ChainId(anchoring.chain)], anchoring, seed)
    return Anchorer(database, config.name, Signer(seed).public_key, write)


async def trigger_every(every_s: int, enqueue: Callable[[], None]) -> None:
    """Enqueue at once and every so often, until it is cancelled."""

    async def trigger() -> None:  # a coroutine, since the scheduler runs plain functions on a thread
        enqueue()

    scheduler = AsyncIOScheduler(timezone="UTC")
    options: dict[str, Any] = {"trigger": "interval", "coalesce": True, "max_instances": 1}
    scheduler.add_job(trigger, seconds=every_s, next_run_time=datetime.now(UTC), **options)
    scheduler.start()
    try:
        await asyncio.Event().wait()
    finally:
        scheduler.shutdown(wait=False)


def _desk(access: ChainAccess) -> OrderDesk | None:
    """The orders of a chain that has them."""
    if access.orders is None:
        return None
    return OrderDesk(access.chain, access.orders, access.transactions, access.heads)
