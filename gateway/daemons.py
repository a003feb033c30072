"""The daemons' main functions, from a configuration to a clean stop."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from adapters.registry import ConnectedChain, joined_prover
from core.model.errors import FatalError, RejectedError
from core.model.types import ChainId, Height
from core.proofs.cometbft.types import KeyKind
from core.runtime.clock import Clock, SystemClock, SystemSecrets
from core.runtime.database import Database, create_schema, open_database
from core.runtime.logging import configure_logging
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor, Worker
from core.runtime.web import ApiKey, KeyRing, serve
from gateway import wiring
from gateway.announce import announce, stop_signals
from gateway.config import ChainConfig, RegulatorConfig, RelayerConfig, listen_address, resolve_database
from indexer.feed import FactSignal
from indexer.follower import Follower
from regulator_api.application import create_app
from regulator_api.auditing import Auditor
from regulator_api.service import RegulatorService, SupervisedChain
from relayer.api import create_api
from relayer.keystore import Keystore
from relayer.reporting import ReportTarget
from relayer.service import AttestorSetup, RelayerService, RelayerSetup

DISTRIBUTION = "causeway-gateway"


def make_chain_home(home: Path, chain_id: str, validators: int, key_type: str, assets: Sequence[str]) -> str:
    """Make a consortium chain's home; `assets` are `symbol:decimals:issuer`. Returns the genesis hash in hex."""
    from local_chains.consortium.node import GenesisAsset, init_home

    try:
        kind = KeyKind(key_type)
    except ValueError:
        raise RejectedError(f"--key-type is {' or '.join(KeyKind)}, not {key_type!r}") from None
    parsed = []
    for text in assets:
        symbol, _, rest = text.partition(":")
        decimals, _, issuer = rest.partition(":")
        if not decimals.isdecimal():
            raise RejectedError(f"--asset {text!r} is not symbol:decimals:issuer-address")
        parsed.append(GenesisAsset(symbol, issuer, int(decimals)))
    return init_home(home, chain_id, validators, kind, parsed).hash.hex()


async def run_chain(home: Path, host: str, port: int, interval_s: float, as_json: bool) -> None:
    """Run the consortium chain in `home` on the embedded engine until a signal."""
    from local_chains.consortium.node import ConsortiumNode, Pace

    with stop_signals() as stop:
        async with ConsortiumNode(home, host, port, Pace(interval_s=interval_s)) as node:
            announce("consortium chain", node.rpc_url, as_json)
            ended = asyncio.ensure_future(node.wait())
            asked = asyncio.ensure_future(stop.wait())
            await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if ended.done():
                ended.result()
            await node.stop()
            await ended


async def run_relayer(config: RelayerConfig, base: Path, as_json: bool) -> None:
    """Run a relayer until a signal: followers, workers and the dApp API over one database. `base` is for its paths."""
    configure_logging(form="json" if as_json else "console")
    clock, metrics = SystemClock(), Metrics()
    host, port = listen_address(config.listen)
    keys = wiring.open_keystore(config, base)
    async with (
        wiring.connected(config.chains) as chains,
        opened_database(config.database, base) as database,
    ):
        signal = FactSignal()
        setup = _relayer_setup(config, chains, keys)
        service = RelayerService(database, setup, signal, clock, metrics)
        followers = make_followers(config.chains, chains, database, signal, clock, metrics)
        supervisor = following(followers, clock, metrics)
        app = create_api(service, followers, clock=clock, metrics=metrics, version=version(DISTRIBUTION))
        async with serve(app, host, port) as url:
            announce(config.name, url, as_json)
            await until_stopped(service.run(), supervisor.run())


def _relayer_setup(config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain], keys: Keystore) -> RelayerSetup:
    return RelayerSetup(
        chains={chain: connected.access for chain, connected in chains.items()},
        signers=wiring.signers(config, chains, keys),
        policy=wiring.relayer_policy(config),
        pairs=wiring.pairs(config.pairs),
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
        AttestorSetup(home, foreign, connected.bridge, connected.signer(keys.key(name).expose()))
        for name in config.attest.keys
    ]


async def run_regulator(config: RegulatorConfig, base: Path, as_json: bool) -> None:
    """Run the supervision API until a signal, with followers and a database of its own."""
    configure_logging(form="json" if as_json else "console")
    clock, metrics = SystemClock(), Metrics()
    host, port = listen_address(config.listen)
    bridge = None if config.bridge is None else ChainId(config.bridge)
    ring = KeyRing(ApiKey(key.name, key.sha256, frozenset(key.scopes)) for key in config.keys)
    async with (
        wiring.connected(config.chains) as chains,
        opened_database(config.database, base) as database,
    ):
        prover = joined_prover(chains, bridge)
        supervised = [SupervisedChain(one.access.parameters, prover, one.access.state) for one in chains.values()]
        service = RegulatorService(database, supervised, clock, SystemSecrets().token_bytes(32))
        auditor = Auditor(database, clock)
        await auditor.prepare()
        followers = make_followers(config.chains, chains, database, FactSignal(), clock, metrics)
        supervisor = following(followers, clock, metrics)
        app = create_app(service, auditor, keys=ring, metrics=metrics, clock=clock, version=version(DISTRIBUTION))
        async with serve(app, host, port) as url:
            announce(config.name, url, as_json)
            await until_stopped(supervisor.run())


# --- parts of both ---


@asynccontextmanager
async def opened_database(url: str, base: Path) -> AsyncIterator[Database]:
    """The database with its schema, closed in the end."""
    database = open_database(resolve_database(url, base))
    try:
        await database.write(create_schema)
        yield database
    finally:
        await database.close()


def make_followers(
    configs: Sequence[ChainConfig],
    chains: Mapping[ChainId, ConnectedChain],
    database: Database,
    signal: FactSignal,
    clock: Clock,
    metrics: Metrics,
) -> list[Follower]:
    """One follower for each configured chain, all into one database."""
    made = []
    for config in configs:
        access = chains[ChainId(config.id)].access
        made.append(
            Follower(
                access.parameters,
                access.heads,
                access.blocks,
                database,
                signal,
                clock,
                Height(config.start),
                metrics,
            )
        )
    return made


def following(followers: Sequence[Follower], clock: Clock, metrics: Metrics) -> Supervisor:
    supervisor = Supervisor(clock, metrics)
    supervisor.add(*(Worker(f"follower {follower.status.chain}", follower.run) for follower in followers))
    return supervisor


async def until_stopped(*running: Awaitable[None]) -> None:
    """Run everything until a signal; what one of them dies of ends all and is raised."""
    with stop_signals() as stop:
        tasks = [asyncio.ensure_future(one) for one in running]
        asked = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait([*tasks, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, asked):
                task.cancel()
            await asyncio.gather(*tasks, asked, return_exceptions=True)
        for task in done - {asked}:
            task.result()
            raise FatalError("a part of the daemon ended by itself")
