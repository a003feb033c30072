"""The supervision API as a daemon."""

from collections.abc import Collection, Mapping
from pathlib import Path

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
from gateway.config import RegulatorConfig
from gateway.daemons.life import Life, Setting, Work
from gateway.daemons.parts import check_starts, following, make_followers
from gateway.supervision import callers_of, limiter_of, signer_of
from indexer.feed import FactSignal
from regulator_api.application import create_app
from regulator_api.auditing import Auditor
from regulator_api.ordering import OrderDesk
from regulator_api.rules.engine import PAUSE_S, RulesEngine
from regulator_api.rules.versions import store_rates
from regulator_api.service import RegulatorService, SupervisedChain
from regulator_api.values import read_rates_file


async def run_regulator(config: RegulatorConfig, base: Path, as_json: bool) -> None:
    """Run the supervision API until a signal, with followers and a database of its own.

    What it needs and does not find yet is waited for; chains that answer are supervised meanwhile.
    """
    clock, metrics = SystemClock(), Metrics()
    bridge = None if config.bridge is None else ChainId(config.bridge)
    callers, limiter, signer = callers_of(config, base, clock), limiter_of(config, clock), signer_of(config, base)
    secrets = SystemSecrets()
    cursors, sessions = secrets.token_bytes(32), Sessions(clock, secrets, secure=False)
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
        engine = RulesEngine(database, clock)
        supervisor.add(Worker("rules", engine.step, pause_s=PAUSE_S, contained=True))
        app = create_app(
            service,
            auditor,
            callers=callers,
            metrics=metrics,
            clock=clock,
            version=VERSION,
            limiter=limiter,
            signer=signer,
        )

        async def opened() -> None:
            await auditor.prepare()
            if rates:
                await database.write(lambda connection: store_rates(connection, rates))

        mount_console(app, lambda: life.front.url, sessions, clock, secrets, config.name)
        return Work(app, (supervisor.run,), opened)

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


def _desk(access: ChainAccess) -> OrderDesk | None:
    """The orders of a chain that has them."""
    if access.orders is None:
        return None
    return OrderDesk(access.chain, access.orders, access.transactions, access.heads)
