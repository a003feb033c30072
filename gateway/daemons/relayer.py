"""The relayer as a daemon."""

import os
from collections.abc import Mapping
from pathlib import Path

from adapters.registry import ConnectedChain
from core.model.errors import RejectedError, require
from core.model.types import ChainId
from core.runtime.clock import SystemClock
from core.runtime.logging import configure_logging
from core.runtime.metrics import Metrics
from core.runtime.web import Cors, serve
from gateway import wiring
from gateway.announce import announce
from gateway.checks import relayer_keys
from gateway.config import RelayerConfig, listen_address
from gateway.config.faults import Faults
from gateway.daemons.parts import (
    check_accounts,
    check_starts,
    check_traded,
    fact_listeners,
    following,
    health_of,
    make_followers,
    own_database,
    until_stopped,
)
from indexer.feed import FactSignal
from relayer.api import create_api
from relayer.keys.keystore import Keystore
from relayer.notices.reports import ReportTarget
from relayer.service import AttestorSetup, RelayerService, RelayerSetup


async def run_relayer(config: RelayerConfig, base: Path, as_json: bool, adopt: bool = False) -> None:
    """Run a relayer until a signal: followers, workers and the dApp API over one database. `base` is for its paths.

    `adopt`: a deliberate first start with accounts that were used before.
    """
    configure_logging(form="json" if as_json else "console")
    clock, metrics = SystemClock(), Metrics()
    host, port = listen_address(config.listen)
    keys = _keys(config, base)
    async with (
        own_database(config.database, base, "relayer") as own,
        wiring.connected(config.chains, metrics=metrics) as chains,
    ):
        database = own.database
        await check_starts(config.chains, chains)
        signal = FactSignal()
        setup = _relayer_setup(config, base, chains, keys, adopt)
        check_traded((*setup.pairs, *setup.offers), chains)
        await check_accounts(database, [signer.account for signer in setup.signers.values()])
        service = RelayerService(database, setup, signal, clock, metrics)
        followers = make_followers(config.chains, chains, database, signal, clock, metrics)
        for follower in followers:  # a database of another chain is a reason not to start
            await follower.open()
        # From then on one chain's follower ends no other chain's exits, whatever it meets.
        supervisor = following(followers, clock, metrics, contained=True)
        supervisor.add(*fact_listeners(config.database, database, signal))
        app = create_api(
            service.desk,
            setup.chains,
            database,
            clock,
            metrics,
            watchtower=service.watchtower,
            health=health_of(followers, service.concerns),
            name=config.name,
            cors=Cors(config.cors_origins),
        )
        async with serve(app, host, port) as url:
            await until_stopped(
                service.run(),
                supervisor.run(),
                own.hold.watch(),
                ready=lambda: announce(config.name, url, as_json),
            )


def _keys(config: RelayerConfig, base: Path) -> Keystore:
    """The keystore. Raise `RejectedError` with all that is wrong on this machine, before anything is connected."""
    faults = Faults()
    keys = relayer_keys(config, base, faults)
    faults.raise_any("the configuration")
    require(keys is not None, "a keystore without faults is open")
    assert keys is not None
    return keys


def _relayer_setup(
    config: RelayerConfig, base: Path, chains: Mapping[ChainId, ConnectedChain], keys: Keystore, adopt: bool
) -> RelayerSetup:
    return RelayerSetup(
        adopt=adopt,
        chains={chain: connected.access for chain, connected in chains.items()},
        signers=wiring.signers(config, chains, keys),
        policy=wiring.relayer_policy(config),
        pairs=wiring.pairs(config.pairs),
        offers=wiring.offers(config.pairs),
        feeds=wiring.feeds(config.prices, base),
        quote_key=wiring.quote_key(config, keys),
        source=config.name,
        regulator=_report_target(config),
        attestors=_attestors(config, chains, keys),
    )


def _report_target(config: RelayerConfig) -> ReportTarget | None:
    if config.report is None:
        return None
    key = os.environ.get(config.report.key_env, "")
    if not key:
        raise RejectedError(f"[report] names the environment variable {config.report.key_env}, which holds no API key")
    return ReportTarget(config.report.url, key)


def _attestors(config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain], keys: Keystore) -> list[AttestorSetup]:
    if config.attest is None:
        return []
    home, foreign = ChainId(config.attest.home), ChainId(config.attest.foreign)
    if home not in chains or foreign not in chains:
        raise RejectedError("[attest] names a chain that is not configured")
    connected = chains[home]
    if connected.bridge is None:
        raise RejectedError(f"[attest] {home} keeps no attestations")
    return [
        AttestorSetup(
            home, foreign, connected.bridge, connected.signer(keys.key(name).expose()), config.attest.every_blocks
        )
        for name in config.attest.keys
    ]
