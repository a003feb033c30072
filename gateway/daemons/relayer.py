"""The relayer as a daemon."""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from adapters.registry import ConnectedChain
from adapters.traits import TokenTrait
from console.swap_page import mount_swap_page
from core.model.boards import QueryBoard
from core.model.errors import RejectedError, require
from core.model.types import AccountId, AssetId, ChainId, chain_of
from core.runtime.clock import SystemClock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.web import Cors
from core.runtime.web.hooks import parse_secret
from gateway import tokens, wiring
from gateway.checks import named_keys, relayer_keys
from gateway.config import RelayerConfig
from gateway.config.accounts import dropped
from gateway.config.faults import Faults
from gateway.daemons.life import Life, Setting, Work
from gateway.daemons.parts import (
    RELAYER_LEASE,
    check_accounts,
    check_starts,
    check_traded,
    fact_listeners,
    following,
    health_of,
    make_followers,
)
from gateway.daemons.reloading import Reloading
from gateway.queries import prover_of
from gateway.swap_page import page_document
from indexer.feed import FactSignal
from relayer.api import create_api
from relayer.asking.parts import make_asking
from relayer.bridging.headers import HeaderSetup
from relayer.conditions import Conditions
from relayer.keys.keystore import Keystore
from relayer.metrics import RelayerMetrics
from relayer.notices.addresses import Reach, parse_network
from relayer.notices.reports import ReportTarget
from relayer.notices.webhook_rows import WebhookTarget
from relayer.notices.webhooks import WebhookSetup
from relayer.provider.pricing import Offer
from relayer.provider.quoting import Pair
from relayer.provider.screening import Screening
from relayer.pump.standing import note_payers
from relayer.service import AnswerSetup, AttestorSetup, RelayerService, RelayerSetup

HEADERS_PER_DAY_WEI: Final = 5 * 10**16
"""Some updates a day at a few dozen gwei: trust alone needs one in days."""

Look = Callable[[RelayerConfig, Path, Faults], Keystore | None]

log = get_logger("gateway.daemons.relayer")


async def run_relayer(
    config: RelayerConfig, path: Path, as_json: bool, adopt: bool = False, follow_level: bool = True
) -> None:
    """Run a relayer until a signal: followers, workers and the dApp API over one database. `path` (absolute) is
    the file that the configuration was read from, and is read from again (`gateway.daemons.reloading`).

    What it needs and does not find yet is waited for. `adopt`: a deliberate first start with accounts that were used
    before. `follow_level`: log as the file says.
    """
    daemon = _Daemon(config, path, as_json, adopt, follow_level)
    with daemon.in_force.by_signal():
        await daemon.life.run()


class _Daemon:
    """A relayer's life, and what its works share: each is made from the configuration in force, over those chains that
    are there."""

    def __init__(self, config: RelayerConfig, path: Path, as_json: bool, adopt: bool, follow_level: bool) -> None:
        self._clock, self._metrics, self._base, self._adopt = SystemClock(), Metrics(), path.parent, adopt
        self._keys = {config: _keys(config, self._base)}
        """The keystore as it was opened for the configuration in force, and for one that is checked before a reload."""
        self._conditions = Conditions()
        self._looks: dict[AssetId, frozenset[TokenTrait] | str] = {}
        self.in_force = Reloading(path, config, self._clock, follow_level)
        setting = Setting(
            kind="relayer",
            name=config.name,
            listen=config.listen,
            database=config.database,
            base=self._base,
            chains=config.chains,
            as_json=as_json,
            lease=RELAYER_LEASE,
        )
        shown = RelayerMetrics(self._metrics)
        self.life = Life(
            setting, self._admit, self._begin, self._clock, self._metrics, shown.critical_error, shown.leads
        )

    async def _admit(self, chain: ConnectedChain) -> None:
        known, now = {chain.access.chain: chain}, self.in_force.config
        await check_starts(now.chains, known)
        check_traded(_traded(now), known)
        ours = wiring.signers(now, known, self._keys[now]).get(chain.access.chain)
        self._looks.update(await tokens.look(now, chain, None if ours is None else ours.account))

    def _begin(self, database: Database, chains: Mapping[ChainId, ConnectedChain], away: Collection[ChainId]) -> Work:
        setup = self._setup(self.in_force.config, chains)
        return self._made(self.in_force.config, setup, database, chains, away)

    def _setup(self, config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain]) -> RelayerSetup:
        refused = _refused(config, chains, self._looks)
        return _relayer_setup(config, self._base, chains, self._keys[config], self._adopt, refused)

    def _made(
        self,
        config: RelayerConfig,
        setup: RelayerSetup,
        database: Database,
        chains: Mapping[ChainId, ConnectedChain],
        away: Collection[ChainId],
    ) -> Work:
        signal, clock, metrics = FactSignal(), self._clock, self._metrics
        service = RelayerService(database, setup, signal, clock, metrics, conditions=self._conditions)
        followers = make_followers(config.chains, chains, database, signal, clock, metrics)
        # One chain's follower ends no other chain's exits, whatever it meets.
        supervisor = following(followers, clock, metrics, contained=True)
        hooks = setup.webhooks.reach if setup.webhooks.openers else None
        asking = make_asking(database, prover_of(chains), clock, hooks, metrics=metrics)
        supervisor.add(*fact_listeners(config.database, database, signal), *asking.workers())
        app = create_api(
            service.desk,
            setup.chains,
            database,
            clock,
            metrics,
            watchtower=service.watchtower,
            ready=health_of(followers, service.concerns, self.life.waits),
            name=config.name,
            cors=Cors(config.cors_origins),
            asking=asking,
            hooks=hooks,
        )
        if config.swap_page is not None:
            mount_swap_page(app, *page_document(config, setup.chains, service.desk.quote_key), config.name)

        async def opened() -> None:
            await database.write(note_payers)
            await check_accounts(database, _ours(setup), away)
            for follower in followers:  # a database of another chain is a reason not to start
                await follower.open()

        check = partial(self._check, database, away)
        return Work(
            app,
            (service.run, supervisor.run, partial(self.in_force.run, database, self.life.world, check)),
            opened,
            service.guard.drained.wait,
            ready=lambda: service.answers and all(follower.status.ready for follower in followers),
            taken_over=service.pump.updates.effects.notify,
        )

    async def _check(
        self,
        database: Database,
        away: Collection[ChainId],
        other: RelayerConfig,
        there: Mapping[ChainId, ConnectedChain],
    ) -> None:
        """Make everything of another configuration, for nothing (`gateway.daemons.reloading.Check`)."""
        check_traded(_traded(other), there)
        now = self.in_force.config
        if gone := dropped(now.accounts, (*other.accounts, *other.retiring)):
            # Swaps may begin with it until the last moment.
            raise RejectedError(
                f"the account on {gone[0].chain} that opens swaps would be gone: name it in [[retiring]], as "
                "causeway relayer rotate does, or start the relayer again"
            )
        held = self._keys[now]
        # Opening a keystore takes its time on purpose.
        same = _names(other) == _names(now)
        read = held if same else await asyncio.to_thread(_keys, other, self._base, named_keys)
        self._keys = {now: held, other: read}
        setup = self._setup(other, there)
        self._made(other, setup, database, there, away)
        await check_accounts(database, _ours(setup), away)


def _ours(setup: RelayerSetup) -> list[AccountId]:
    """Return the accounts that open swaps, and those that retire."""
    return [signer.account for signer in (*setup.signers.values(), *setup.retiring)]


def _names(config: RelayerConfig) -> tuple[object, ...]:
    """The members that name keys of the keystore, and can be reloaded."""
    return config.accounts, config.retiring, config.treasury.top_up


def _refused(
    config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain], looks: tokens.Looks
) -> Collection[AssetId]:
    """Return the tokens of which no pair is offered. They are not a reason not to start: exits of swaps that are open
    do not wait for anybody's word on a token."""
    found = [
        shown
        for chain, connected in chains.items()
        if connected.traits is not None
        for shown in tokens.judged(config, looks, chain)
        if shown.refused is not None
    ]
    for shown in found:
        log.error("a token is refused", asset=shown.asset, reason=shown.refused)
    return {shown.asset for shown in found}


def _traded(config: RelayerConfig) -> list[Pair | Offer]:
    return [*wiring.pairs(config.pairs), *wiring.offers(config.pairs)]


def _keys(config: RelayerConfig, base: Path, look: Look = relayer_keys) -> Keystore:
    """The keystore. Raise `RejectedError` with all that is wrong on this machine, before anything is connected.

    `look`: `named_keys` while the relayer works, which leaves its database's file alone (see `check_places`).
    """
    faults = Faults()
    keys = look(config, base, faults)
    faults.raise_any("the configuration")
    require(keys is not None, "a keystore without faults is open")
    assert keys is not None
    return keys


def _relayer_setup(
    config: RelayerConfig,
    base: Path,
    chains: Mapping[ChainId, ConnectedChain],
    keys: Keystore,
    adopt: bool,
    refused: Collection[AssetId],
) -> RelayerSetup:
    """The parts of the relayer on these chains: all that are configured, or those that answer so far."""
    paying = wiring.top_ups(config, chains, keys)
    return RelayerSetup(
        adopt=adopt,
        chains={chain: connected.access for chain, connected in chains.items()},
        signers=wiring.signers(config, chains, keys),
        policy=wiring.relayer_policy(config),
        pairs=[one for one in wiring.pairs(config.pairs) if _is_traded(one, chains, refused)],
        offers=[one for one in wiring.offers(config.pairs) if _is_traded(one, chains, refused)],
        feeds=wiring.feeds(config.prices, base),
        quote_key=wiring.quote_key(config, keys),
        source=config.name,
        regulator=_report_target(config),
        webhooks=webhook_setup(config),
        attestors=_attestors(config, chains, keys),
        answers=_answers(config, chains),
        treasury=replace(wiring.treasury_policy(config, keys), top_ups=[one for one, _ in paying]),
        funders=[signer for _, signer in paying],
        retiring=wiring.retiring_signers(config, chains, keys),
        screening=_screening(config, base, chains),
    )


def _screening(config: RelayerConfig, base: Path, chains: Mapping[ChainId, ConnectedChain]) -> Screening:
    """Raise `RejectedError` for a list that cannot be read."""
    readers = {chain: connected.access.orders for chain, connected in chains.items()} if config.screening.holds else {}
    ledgers = {chain: reader for chain, reader in readers.items() if reader is not None}
    return Screening([base / name for name in config.screening.lists], ledgers, SystemClock())


def _is_traded(offered: Pair | Offer, chains: Mapping[ChainId, ConnectedChain], refused: Collection[AssetId]) -> bool:
    """Return true if both chains are there and neither asset is refused."""
    assets = offered.initiator_asset, offered.participant_asset
    return all(chain_of(asset) in chains and asset not in refused for asset in assets)


def _report_target(config: RelayerConfig) -> ReportTarget | None:
    if config.report is None:
        return None
    key = os.environ.get(config.report.key_env, "")
    if not key:
        raise RejectedError(f"[report] names the environment variable {config.report.key_env}, which holds no API key")
    return ReportTarget(config.report.url, key)


def webhook_setup(config: RelayerConfig) -> WebhookSetup:
    """Raise `RejectedError` for a target whose secret is not there."""
    targets = [
        WebhookTarget(one.url, parse_secret(os.environ.get(one.secret_env, ""))) for one in config.webhooks.targets
    ]
    reach = Reach(tuple(parse_network(text) for text in config.webhooks.allow))
    return WebhookSetup(targets, config.webhooks.openers, reach)


def _answers(config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain]) -> list[AnswerSetup]:
    """Questions are answered on chains on which we have an account: those that the consortium chain keeps, if exactly
    one is connected, and those that contracts ask about it."""
    homes = {chain: own for chain, connected in chains.items() if (own := connected.questions) is not None}
    # A ledger believes the headers that it attests itself, and no others.
    prover = prover_of(chains, synced=False)
    if len(homes) != 1 or prover is None:
        return []
    [home] = homes
    ours = [ChainId(one.chain) for one in config.accounts]
    per_day = {ChainId(one.id): one.headers_per_day_wei for one in config.chains}
    about = {chain: connected.questions_about(home) for chain, connected in chains.items() if connected.questions_about}
    boards = about | homes
    return [
        AnswerSetup(chain, board, prover, _headers(chains, home, chain, board, per_day[chain]))
        for chain, board in boards.items()
        if chain in ours
    ]


def _headers(
    chains: Mapping[ChainId, ConnectedChain], home: ChainId, chain: ChainId, board: QueryBoard, per_day: int | None
) -> HeaderSetup | None:
    """Return what it takes to keep the light client behind the chain's questions; None if the ledger verifies."""
    headers, client, pays_in = chains[home].headers, chains[chain].header_client, board.pays_in
    if headers is None or client is None or pays_in is None:
        return None
    most = HEADERS_PER_DAY_WEI if per_day is None else per_day
    return HeaderSetup(home=home, headers=headers, client=client, per_day=most, pays_in=pays_in)


def _attestors(config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain], keys: Keystore) -> list[AttestorSetup]:
    if config.attest is None:
        return []
    home, foreign = ChainId(config.attest.home), ChainId(config.attest.foreign)
    if not {home, foreign} <= {one.id for one in config.chains}:
        raise RejectedError("[attest] names a chain that is not configured")
    if home not in chains or foreign not in chains:
        return []  # not before both answer
    connected = chains[home]
    if connected.bridge is None:
        raise RejectedError(f"[attest] {home} keeps no attestations")
    return [
        AttestorSetup(
            home,
            foreign,
            connected.bridge,
            connected.signer(keys.key(name).expose()),
            config.attest.every_blocks,
            connected.attestations,
        )
        for name in config.attest.keys
    ]
