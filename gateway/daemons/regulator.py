"""The supervision API as a daemon."""

from pathlib import Path

from adapters.registry import joined_prover
from core.model.types import ChainId
from core.runtime.clock import SystemClock, SystemSecrets
from core.runtime.logging import configure_logging
from core.runtime.metrics import Metrics
from core.runtime.version import VERSION
from core.runtime.web import ApiKey, KeyRing, serve
from gateway import wiring
from gateway.announce import announce
from gateway.config import RegulatorConfig, listen_address
from gateway.daemons.parts import check_starts, following, make_followers, own_database, until_stopped
from indexer.feed import FactSignal
from regulator_api.application import create_app
from regulator_api.auditing import Auditor
from regulator_api.service import RegulatorService, SupervisedChain


async def run_regulator(config: RegulatorConfig, base: Path, as_json: bool) -> None:
    """Run the supervision API until a signal, with followers and a database of its own."""
    configure_logging(form="json" if as_json else "console")
    clock, metrics = SystemClock(), Metrics()
    host, port = listen_address(config.listen)
    bridge = None if config.bridge is None else ChainId(config.bridge)
    ring = KeyRing(ApiKey(key.name, key.sha256, frozenset(key.scopes)) for key in config.keys)
    async with (
        own_database(config.database, base, "regulator", shared=True) as own,
        wiring.connected(config.chains, metrics=metrics) as chains,
    ):
        database = own.database
        await check_starts(config.chains, chains)
        prover = joined_prover(chains, bridge)
        supervised = [SupervisedChain(one.access.parameters, prover, one.access.state) for one in chains.values()]
        service = RegulatorService(database, supervised, clock, SystemSecrets().token_bytes(32))
        auditor = Auditor(database, clock)
        await auditor.prepare()
        followers = make_followers(config.chains, chains, database, FactSignal(), clock, metrics)
        supervisor = following(followers, clock, metrics)
        app = create_app(service, auditor, keys=ring, metrics=metrics, clock=clock, version=VERSION)
        async with serve(app, host, port) as url:
            await until_stopped(supervisor.run(), own.hold.watch(), ready=lambda: announce(config.name, url, as_json))
