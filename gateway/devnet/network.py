"""Starting and stopping the whole devnet, in an order in which nothing waits for what it does not need."""

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from adapters.consortium.chain import FIRST, ConsortiumChain
from adapters.consortium.chain import connect as connect_consortium
from adapters.consortium.signing import Ed25519Signer
from adapters.evm.chain import EvmChain, EvmChainSettings
from adapters.evm.contracts.deployer import DeployedContracts
from adapters.evm.endpoints import Endpoint
from adapters.evm.names import native_asset, token_account, token_asset
from console.openid import BACK
from core.model.consortium import caip_account, caip_asset, caip_chain, raw_address
from core.model.errors import FatalError
from core.model.ports import ChainTiming
from core.model.types import AccountId, ChainId, Seconds
from core.proofs.cometbft.types import KeyKind
from core.proofs.evidence.codec import encode_anchor
from core.proofs.lanes import evm_address
from core.runtime.clock import SystemClock
from core.runtime.retry import retrying
from core.runtime.sockets import HOST, free_port, is_free
from core.runtime.web.cors import ANYBODY
from gateway import regulator_setup
from gateway.config import (
    AccountConfig,
    AnchoringConfig,
    ApiKeyConfig,
    AttestConfig,
    ChainConfig,
    ClientConfig,
    EndpointConfig,
    OpeningConfig,
    PageChainConfig,
    PairConfig,
    RegulatorConfig,
    RelayerConfig,
    ReportConfig,
    SignInConfig,
    SigningConfig,
    SwapPageConfig,
    TimingConfig,
    TokensConfig,
    UsageConfig,
    WatchtowerConfig,
    to_toml,
)
from gateway.devnet.actors import YUAN, YUAN_DECIMALS, Actor, make_officers, new_actor
from gateway.devnet.directory import claimed
from gateway.devnet.ethereum import furnish, furnish_questions
from gateway.devnet.info import DevnetInfo, store_info
from gateway.devnet.provider import DevnetProvider, Person
from gateway.processes import Daemon
from gateway.supervision import ISSUER_KEY, issued_token, issuer_key_set
from gateway.wiring import CONNECT
from local_chains.consortium.cometbft import NodeAddress, init_network
from local_chains.consortium.node import GenesisAccount, GenesisAsset, OperatorKey, init_home, load_operator_keys
from local_chains.evm.anvil import AnvilChain, AnvilSettings
from regulator_api.access.roles import EVERYWHERE, ROLES
from relayer.keys.keystore import QUOTE_KEY, new_key, write_keystore

ETHEREUM: Final = ChainId("eip155:31337")
CONSORTIUM_REFERENCE: Final = "devnet-1"
PASSPHRASE_VARIABLE: Final = "CAUSEWAY_DEVNET_PASSPHRASE"
REPORT_KEY_VARIABLE: Final = "CAUSEWAY_DEVNET_REPORT_KEY"
DEVELOPER: Final = "developer"
"""The role of a devnet alone: it may do everything."""
ANCHOR_EVERY_S: Final = 60
TOKEN_LIFE_S: Final = 7 * 24 * 3_600
"""A devnet's tokens are good for as long as anybody leaves one running."""
PAGE_NAMES: Final = {"evm": "Ethereum (devnet)", "consortium": "Consortium (devnet)"}
RATES: Final = "rates.csv"
PREFERRED_PORTS: Final = {
    "ethereum": 8545,
    "consortium": 26657,
    "relayer-a": 8480,
    "relayer-b": 8481,
    "regulator": 8490,
    "sign-in": 8491,
}
CONSOLE_CLIENT: Final = "causeway-console"
"""The console's name at the devnet's identity provider."""

ETHEREUM_TIMING: Final = ChainTiming(
    block_time_s=Seconds(1),
    inclusion_s=Seconds(2),
    finality_s=Seconds(2),
    observation_s=Seconds(1),
    lead_s=Seconds(1),
    lag_s=Seconds(1),
)
"""anvil with a block a second: final two blocks below the head, on the clock that we read too."""
CONSORTIUM_TIMING: Final = ChainTiming(
    block_time_s=Seconds(1),
    inclusion_s=Seconds(2),
    finality_s=Seconds(0),
    observation_s=Seconds(1),
    lead_s=Seconds(1),
    lag_s=Seconds(1),
)
"""The embedded engine on this machine's own clock; a block is final when it is there."""


@dataclass(frozen=True, slots=True)
class DevnetSettings:
    """The folder and the size. `fixed_ports` takes the usual ports if they are free, so that bookmarks keep working.

    `policy` and `opening`: the relayers' allowances of time, and their limits for callers. `supervised`: a regulator
    runs, and the first relayer reports to it and attests; without it there are the two chains and the relayers, and
    `DevnetInfo.regulator` is empty. `comet_nodes`: the consortium chain runs on that many CometBFT nodes, 0 for the
    embedded engine.
    """

    directory: Path
    relayers: Sequence[str] = ("relayer-a",)
    users: Sequence[str] = ("alice", "bob", "carol", "dave")
    fixed_ports: bool = False
    policy: str = "devnet"
    opening: OpeningConfig = field(default_factory=OpeningConfig)
    supervised: bool = True
    comet_nodes: int = 0


@dataclass(slots=True)
class Devnet:
    """Everything that runs. Use as a context; `info` is complete once entered."""

    settings: DevnetSettings
    progress: Callable[[str], None] = lambda _: None
    relayers: dict[str, Daemon] = field(default_factory=dict)
    _daemons: list[Daemon] = field(default_factory=list)
    _info: DevnetInfo | None = None
    _officers: dict[str, AccountId] = field(default_factory=dict)
    _regulator_seed: bytes = field(default_factory=new_key, repr=False)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def info(self) -> DevnetInfo:
        if self._info is None:
            raise RuntimeError("the devnet has not been started")
        return self._info

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def until(self, stop: asyncio.Event) -> None:
        """Return when `stop` is set. Raise `FatalError` if a daemon ends before that."""
        ended = {asyncio.ensure_future(daemon.ended()): daemon for daemon in self._daemons}
        asked = asyncio.ensure_future(stop.wait())
        try:
            done, _ = await asyncio.wait([*ended, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (*ended, asked):
                waiting.cancel()
        for one in done - {asked}:
            daemon = ended[one]
            raise FatalError(f"{daemon.name} has ended with code {one.result()}; its log is {daemon.log}")

    # --- in order ------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        directory = self.settings.directory
        self._stack.enter_context(claimed(directory))
        consortium = caip_chain(CONSORTIUM_REFERENCE)
        actors = {name: new_actor(name, ETHEREUM, consortium) for name in self._names()}
        self.progress("starting anvil and the consortium chain")
        async with asyncio.TaskGroup() as group:
            ethereum_task = group.create_task(self._start_ethereum(list(actors.values())))
            consortium_task = group.create_task(self._start_consortium(list(actors.values())))
        (rpc_url, ws_url, contracts), (ledger_url, operators) = ethereum_task.result(), consortium_task.result()
        self.progress("contracts are deployed, accounts are funded")
        chains, anchor, asker = await self._describe(rpc_url, ws_url, contracts, ledger_url)
        (directory / "anchor.json").write_bytes(anchor)
        await self._start_services(chains, actors, operators, asker)

    def _names(self) -> list[str]:
        return [*self.settings.relayers, *self.settings.users]

    async def _start_ethereum(self, actors: Sequence[Actor]) -> tuple[str, str, DeployedContracts]:
        anvil = AnvilChain(AnvilSettings(port=self._port("ethereum")))
        await self._stack.enter_async_context(anvil)
        return anvil.rpc_url, anvil.ws_url, await furnish(ETHEREUM, anvil.rpc_url, actors)

    async def _start_consortium(self, actors: Sequence[Actor]) -> tuple[str, list[OperatorKey]]:
        home = self.settings.directory / "consortium"
        assets = [GenesisAsset(YUAN, raw_address(actors[0].consortium.account).hex(), YUAN_DECIMALS)]
        accounts = [actor.genesis_account() for actor in actors]
        officers = await asyncio.to_thread(make_officers, self.settings.directory / "officers")
        chain = caip_chain(CONSORTIUM_REFERENCE)
        self._officers = {one.name: caip_account(chain, bytes.fromhex(one.address)) for one in officers}
        if self.settings.supervised:
            regulator = Ed25519Signer(chain, self._regulator_seed)
            accounts.append(GenesisAccount(raw_address(regulator.account).hex(), {}))
        run = ["chain", "run", str(home)]
        if self.settings.comet_nodes:
            rpc_ports = [self._port("consortium"), *(0 for _ in range(self.settings.comet_nodes - 1))]
            places = [NodeAddress(peer_port=free_port(), rpc_port=port or free_port()) for port in rpc_ports]
            kind, count = KeyKind.SECP256K1_ETH, len(places)
            await asyncio.to_thread(
                init_network,
                home,
                CONSORTIUM_REFERENCE,
                count,
                kind,
                assets,
                accounts,
                places,
                others=officers,
                cors_origins=(ANYBODY,),
            )
        else:
            await asyncio.to_thread(
                init_home, home, CONSORTIUM_REFERENCE, assets=assets, accounts=accounts, others=officers
            )
            run += ["--listen", f"{HOST}:{self._port('consortium')}", "--cors-origin", ANYBODY]
        daemon = self._daemon("consortium", run)
        await self._run(daemon)
        return daemon.url, load_operator_keys(home)

    async def _describe(
        self, rpc_url: str, ws_url: str, contracts: DeployedContracts, ledger_url: str
    ) -> tuple[tuple[ChainConfig, ChainConfig], bytes, AccountId]:
        """Both chains as configurations, the anchor that this devnet's verifiers trust, and a contract that asks."""
        consortium = caip_chain(CONSORTIUM_REFERENCE)
        ledger: ConsortiumChain = await retrying(
            lambda: connect_consortium(ledger_url, consortium, (YUAN,), CONSORTIUM_TIMING), CONNECT, SystemClock()
        )
        token = token_asset(ETHEREUM, evm_address(contracts.tokens[0]))
        evm = await EvmChain.connect(
            EvmChainSettings(ETHEREUM, (Endpoint(rpc_url),), contracts.htlc, ETHEREUM_TIMING, (token_account(token),))
        )
        try:
            anchor = encode_anchor(await ledger.prover.anchor())
            queries, asker = await furnish_questions(ETHEREUM, rpc_url, await ledger.prover.light_block(FIRST))
            chains = (
                ChainConfig(
                    kind="evm",
                    id=ETHEREUM,
                    genesis=evm.parameters.genesis_hash.hex(),
                    endpoints=(EndpointConfig(rpc_url, "devnet", ws_url),),
                    timing=_timing(ETHEREUM_TIMING),
                    assets=(native_asset(ETHEREUM), token),
                    contract=contracts.htlc,
                    queries=queries,
                ),
                ChainConfig(
                    kind="consortium",
                    id=consortium,
                    genesis=ledger.access.parameters.genesis_hash.hex(),
                    endpoints=(EndpointConfig(ledger_url, "devnet"),),
                    timing=_timing(CONSORTIUM_TIMING),
                    assets=(caip_asset(consortium, YUAN),),
                ),
            )
        finally:
            await ledger.close()
            await evm.close()
        return chains, anchor, asker

    async def _start_services(
        self,
        chains: tuple[ChainConfig, ChainConfig],
        actors: dict[str, Actor],
        operators: Sequence[OperatorKey],
        asker: AccountId,
    ) -> None:
        directory = self.settings.directory
        read_key, report_key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        passphrase = secrets.token_urlsafe(24)
        names = (*self.settings.relayers, "regulator", "sign-in")
        ports = {name: self._port(name) or free_port() for name in names}
        secrets_for_children = {PASSPHRASE_VARIABLE: passphrase, REPORT_KEY_VARIABLE: report_key}
        daemons, regulator, sign_in = [], None, ""
        tokens: dict[str, str] = {}
        if self.settings.supervised:
            sign_in = f"http://{HOST}:{ports['sign-in']}"
            file, tokens, provider = self._write_regulator(
                chains, ports["regulator"], sign_in, passphrase, read_key, report_key
            )
            await self._stack.enter_async_context(provider.served(ports["sign-in"]))
            regulator = self._daemon("regulator", ["regulator", "run", "--config", str(file)], secrets_for_children)
            daemons.append(regulator)
        for index, name in enumerate(self.settings.relayers):
            # One process stands in for the four operators' attestors: there is one machine to run them on.
            attests = index == 0 and self.settings.supervised
            seeds = {f"operator-{number}": key.seed for number, key in enumerate(operators)} if attests else {}
            file = self._write_relayer(chains, actors[name], ports, passphrase, seeds)
            daemon = self._daemon(name, ["relayer", "run", "--config", str(file)], secrets_for_children)
            self.relayers[name] = daemon
            daemons.append(daemon)
        self.progress("starting " + ", ".join(daemon.name for daemon in daemons))
        async with asyncio.TaskGroup() as group:
            for daemon in daemons:
                group.create_task(self._run(daemon))
        ethereum, consortium = chains
        self._info = DevnetInfo(
            chains=chains,
            relayers={name: daemon.url for name, daemon in self.relayers.items()},
            regulator="" if regulator is None else regulator.url,
            regulator_key=read_key,
            regulator_tokens=tokens,
            sign_in=sign_in,
            anchor=str(directory / "anchor.json"),
            users=tuple(actors[name].keys for name in self.settings.users),
            ether=ethereum.assets[0],
            token=ethereum.assets[1],
            yuan=consortium.assets[0],
            asker=asker,
            officers=dict(self._officers),
        )
        store_info(directory, self._info)
        self._stack.callback((directory / "devnet.json").unlink, missing_ok=True)

    # --- files ---------------------------------------------------------------------------------------------------

    def _write_relayer(
        self,
        chains: tuple[ChainConfig, ChainConfig],
        actor: Actor,
        ports: dict[str, int],
        passphrase: str,
        operators: dict[str, bytes],
    ) -> Path:
        directory = self.settings.directory / actor.name
        keys = {
            "ethereum": bytes.fromhex(actor.keys.ethereum),
            "consortium": bytes.fromhex(actor.keys.consortium),
            QUOTE_KEY: new_key(),
            **operators,
        }
        write_keystore(directory / "keystore.json", passphrase, keys)
        ethereum, consortium = chains
        configuration = RelayerConfig(
            name=actor.name,
            listen=f"{HOST}:{ports[actor.name]}",
            database="sqlite:///relayer.sqlite",
            keystore="keystore.json",
            passphrase_env=PASSPHRASE_VARIABLE,
            policy=self.settings.policy,
            watchtower=WatchtowerConfig(enabled=True),
            cors_origins=(ANYBODY,),
            chains=chains,
            accounts=(
                AccountConfig(ethereum.id, "ethereum"),
                AccountConfig(consortium.id, "consortium"),
            ),
            quote_key=QUOTE_KEY,
            pairs=_pairs(ethereum.assets[0], ethereum.assets[1], consortium.assets[0]),
            opening=self.settings.opening,
            report=ReportConfig(f"http://{HOST}:{ports['regulator']}", REPORT_KEY_VARIABLE)
            if self.settings.supervised
            else None,
            attest=AttestConfig(ethereum.id, consortium.id, tuple(operators)) if operators else None,
            swap_page=SwapPageConfig(
                tuple(PageChainConfig(one.id, (one.endpoints[0].url,), PAGE_NAMES[one.kind]) for one in chains)
            ),
        )
        file = directory / "relayer.toml"
        file.write_text(to_toml(configuration))
        return file

    def _write_regulator(
        self,
        chains: tuple[ChainConfig, ChainConfig],
        port: int,
        sign_in: str,
        passphrase: str,
        read_key: str,
        report_key: str,
    ) -> tuple[Path, dict[str, str], DevnetProvider]:
        """Write the regulator's configuration and keys; return the former's path, a token for each role, and the
        identity provider that is to answer at `sign_in`."""
        directory = self.settings.directory / "regulator"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        issuer = new_key()
        keys = {regulator_setup.SIGNING_KEY: self._regulator_seed, ISSUER_KEY: issuer}
        write_keystore(directory / regulator_setup.KEYSTORE, passphrase, keys)
        (directory / regulator_setup.KEY_SET).write_bytes(issuer_key_set(issuer))
        tokens = TokensConfig(
            sign_in,
            "devnet",
            keys_file=regulator_setup.KEY_SET,
            max_life_s=TOKEN_LIFE_S,
            allow_keys=True,
        )
        redirect = f"http://{HOST}:{port}{BACK}"
        roles = {**regulator_setup.ROLES_OF_CLIENTS, DEVELOPER: tuple(ROLES)}
        configuration = RegulatorConfig(
            name="regulator",
            listen=f"{HOST}:{port}",
            database="sqlite:///regulator.sqlite",
            chains=chains,
            keys=(
                ApiKeyConfig("officer", _digest(read_key), ("read", "evidence", "audit")),
                ApiKeyConfig("relayers", _digest(report_key), ("report",)),
            ),
            bridge=chains[1].id,
            rates=RATES,
            tokens=tokens,
            sign_in=SignInConfig(sign_in, CONSOLE_CLIENT, redirect, "the devnet"),
            clients=tuple(ClientConfig(name, (EVERYWHERE,), scopes) for name, scopes in roles.items()),
            signing=SigningConfig(regulator_setup.KEYSTORE, PASSPHRASE_VARIABLE, regulator_setup.SIGNING_KEY),
            usage=UsageConfig(per_second=1_000, burst=10_000, records_per_day=10**9),
            anchoring=AnchoringConfig(chains[1].id, "supervision", every_s=ANCHOR_EVERY_S),
        )
        (directory / RATES).write_text(_rates(chains))
        file = directory / "regulator.toml"
        file.write_text(to_toml(configuration))
        people = {name: Person(name, scopes) for name, scopes in roles.items()}
        # What two people have to decide needs another one of the same role.
        people["officer-2"] = Person("officer", roles["officer"], "second")
        issued = {
            name: issued_token(issuer, tokens, one.client, one.scopes, (EVERYWHERE,), TOKEN_LIFE_S, one.name)
            for name, one in people.items()
        }
        provider = DevnetProvider(issuer, tokens, people, CONSOLE_CLIENT, redirect, TOKEN_LIFE_S, SystemClock())
        return file, issued, provider

    # --- processes -----------------------------------------------------------------------------------------------

    def _daemon(self, name: str, arguments: Sequence[str], environment: dict[str, str] | None = None) -> Daemon:
        log = self.settings.directory / "logs" / f"{name}.log"
        return Daemon(name, [*arguments, "--json"], log, environment or {})

    async def _run(self, daemon: Daemon) -> None:
        self._stack.push_async_callback(daemon.stop)
        self._daemons.append(daemon)
        await daemon.start()
        self.progress(f"{daemon.name} is ready at {daemon.url}")

    def _port(self, name: str) -> int:
        """The usual port if that is wanted and free, else 0: any."""
        preferred = PREFERRED_PORTS.get(name, 0) if self.settings.fixed_ports else 0
        return preferred if preferred and is_free(preferred) else 0


def _rates(chains: tuple[ChainConfig, ChainConfig]) -> str:
    """The worth of assets in euros, at the rates of the pairs: 1 CNYD is 0.125."""
    lines = ["asset,from_s,price,decimals,source"]
    for asset in (asset for chain in chains for asset in chain.assets):
        price, decimals = ("0.125", 2) if asset.endswith(":cnyd") else ("0.8875", 6)
        if "/slip44:" in asset:
            price, decimals = "2500", 18
        lines.append(f"{asset},0,{price},{decimals},devnet")
    return "\n".join(lines) + "\n"


def _pairs(ether: str, token: str, yuan: str) -> tuple[PairConfig, ...]:
    """1 ETH = 20,000 CNYD, 1 USDX = 7.10 CNYD, both ways; rates are in base units (wei, micro-dollars, fen)."""
    return (
        PairConfig(ether, yuan, "1/500000000000", 10**15, 100 * 10**18),
        PairConfig(yuan, ether, "500000000000/1", 100, 200_000_000),
        PairConfig(token, yuan, "71/100000", 10**6, 10**11),
        PairConfig(yuan, token, "100000/71", 100, 71_000_000),
    )


def _timing(timing: ChainTiming) -> TimingConfig:
    return TimingConfig(
        timing.block_time_s,
        timing.inclusion_s,
        timing.finality_s,
        timing.observation_s,
        timing.lead_s,
        timing.lag_s,
    )


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
