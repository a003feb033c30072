"""From a chain's description to its ports, by kind. Third parties add kinds by an entry point.

In a package's metadata, under the group `causeway.adapters`: the kind, and a factory
`async (ChainSpec) -> ConnectedChain` that passes `adapters.conformance`. Built-in kinds cannot be replaced.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from adapters.endpoints import FailoverBridgeBuilder, Member, combine
from adapters.evidence import AttestedStateProver, FailoverProver, ProverByChain, StateProofs
from adapters.observed import RpcMetrics
from adapters.signing_rules import SigningLimits, SigningRules
from adapters.synced import FinalBlocks, SyncedStateProver
from adapters.traits import TokenTrait
from core.model.beacon import BeaconAnchor
from core.model.boards import QueryBoard
from core.model.consortium import asset_symbol
from core.model.errors import RejectedError, RetryableError
from core.model.facts import NativeTransfers
from core.model.identifiers import parse_account
from core.model.ports import AttestationSource, BridgeBuilder, ChainAccess, ChainTiming, Prover, Signer
from core.model.types import AccountId, AssetId, ChainId, Height, chain_of
from core.proofs.cometbft.clients import HeaderClient, SignedHeaders
from core.proofs.evidence import REVIEWED_LAYOUTS, Layouts
from core.proofs.lanes import evm_address
from core.runtime.metrics import Metrics

if TYPE_CHECKING:
    from adapters.beacon import Follower

T = TypeVar("T")

ENTRY_POINT_GROUP: Final = "causeway.adapters"
FIRST: Final = Height(1)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One RPC endpoint. Endpoints of one `operator` are one voice; `ws_url` if the kind wants one.

    `calls_per_s`: what its provider allows, None for no limit.
    """

    url: str
    operator: str
    ws_url: str | None = None
    calls_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class ContractSpec:
    """A contract whose events are followed, the JSON that describes them (on EVM chains its ABI), and its name."""

    account: AccountId
    abi: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """A chain as somebody configured it.

    `genesis_hash` pins it. `assets` are what is followed and offered. `contract` is the HTLC if a contract holds
    locks, `contracts` are others whose events are followed. `native` says which payments are, on chains whose native
    coin moves without events. `metrics` is where calls to the endpoints are counted. `trusted_height` is where evidence
    starts, on chains that prove by themselves: the anchor's height.
    """

    kind: str
    chain: ChainId
    genesis_hash: bytes
    endpoints: tuple[EndpointSpec, ...]
    timing: ChainTiming
    assets: tuple[AssetId, ...]
    contract: AccountId | None = None
    trusted_height: Height = FIRST
    contracts: tuple[ContractSpec, ...] = ()
    native: NativeTransfers = NativeTransfers.NONE
    metrics: Metrics | None = None
    queries: AccountId | None = None
    """A contract that asks about a consortium chain, on EVM chains."""
    beacon: BeaconAnchor | None = None
    """The block from which sync committees are followed, on EVM chains that have them."""
    beacons: tuple[str, ...] = ()
    """URLs of beacon nodes, for `beacon`."""


class EndpointReport(Protocol):
    """An endpoint's own words at connect: what it offers, what works less well, and what cannot work, in sentences.

    `url` may hold a provider's key in its path: show its origin only.
    """

    @property
    def url(self) -> str: ...
    @property
    def facts(self) -> tuple[str, ...]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def faults(self) -> tuple[str, ...]: ...


ReadTraits = Callable[[AssetId, AccountId | None], Awaitable[frozenset[TokenTrait]]]


@dataclass(frozen=True, slots=True)
class ConnectedChain:
    """A chain's ports, and what only some kinds have.

    `signer` makes a signer of a 32-byte private key, whose transactions `access` can then assemble; `remote` one of an
    account whose key the machine at a URL holds, by the name of the API that it speaks. `rules` judge what an account
    signs. `prover` proves by itself; `states` can be proven if `attested_by` of another chain attests its headers.
    `reports` are what endpoints said of themselves at connect.
    """

    access: ChainAccess
    signer: Callable[[bytes], Signer]
    close: Callable[[], Awaitable[None]]
    prover: Prover | None = None
    bridge: BridgeBuilder | None = None
    attestations: AttestationSource | None = None
    states: StateProofs | None = None
    blocks: FinalBlocks | None = None
    """Blocks of this chain that its sync committees call final, if they are followed."""
    questions: QueryBoard | None = None
    """Questions that accounts ask on this chain, if its kind has them."""
    questions_about: Callable[[ChainId], QueryBoard] | None = None
    """Questions that contracts of this chain ask about a consortium chain, if one of them is configured."""
    headers: SignedHeaders | None = None
    """Signed headers of this chain, if light clients in contracts can follow it."""
    header_client: HeaderClient | None = None
    """The light client behind those questions."""
    attested_by: Callable[[StateProofs, Layouts], Prover] | None = None
    reports: tuple[EndpointReport, ...] = ()
    traits: ReadTraits | None = None
    """Traits of a token of the chain; `holder`: an account whose balance is moved in a simulation. None for chains
    whose assets are all alike."""
    remote: Callable[[str, AccountId, str], Signer] | None = None
    rules: Callable[[SigningLimits], SigningRules] | None = None


Factory = Callable[[ChainSpec], Awaitable[ConnectedChain]]


async def connect(spec: ChainSpec) -> ConnectedChain:
    """Connect by kind. Raise `RejectedError` for an unknown kind or a description that is wrong for it."""
    factories = installed_factories()
    factory = factories.get(spec.kind)
    if factory is None:
        raise RejectedError(f"unknown kind of chain {spec.kind[:64]!r}: use one of {', '.join(sorted(factories))}")
    if not spec.endpoints:
        raise RejectedError(f"{spec.chain} has no endpoints: name at least one")
    return await factory(spec)


def installed_factories() -> dict[str, Factory]:
    """Built-in kinds and those of installed packages."""
    found: dict[str, Factory] = {point.name: point.load() for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**found, **BUILT_IN}


def joined_prover(
    chains: Mapping[ChainId, ConnectedChain],
    bridge: ChainId | None,
    layouts: Layouts = REVIEWED_LAYOUTS,
    *,
    synced: bool = True,
) -> Prover:
    """One prover for all chains: each that can proves itself, the others through attestations on `bridge`, and by
    their sync committees where these are followed.

    `layouts`: of the tokens whose balances can be asked for. Without `synced` sync committees are left out, for
    a reader that believes attested headers only, such as a ledger.
    """
    home = None if bridge is None else chains.get(bridge)
    provers: dict[ChainId, Prover] = {}
    for chain, connected in chains.items():
        if connected.prover is not None:
            provers[chain] = connected.prover
        elif connected.states is not None:
            by = None if home is None else home.attested_by
            attested = None if by is None else by(connected.states, layouts)
            if connected.blocks is not None and synced:
                provers[chain] = SyncedStateProver(connected.states, connected.blocks, attested, layouts)
            elif attested is not None:
                provers[chain] = attested
    return ProverByChain(provers)


async def connect_consortium(spec: ChainSpec) -> ConnectedChain:
    """Kind `consortium`. One endpoint has to answer; the others may be down and come later."""
    from adapters.consortium.attestations import ConsortiumAttestations, FailoverAttestations
    from adapters.consortium.chain import ConsortiumParameters, chain_over, read_parameters
    from adapters.consortium.headers import FailoverHeaders
    from adapters.consortium.probe import probe_all
    from adapters.consortium.queries import ConsortiumQueryBoard, FailoverQueryBoard
    from adapters.consortium.rpc import CometRpc
    from adapters.consortium.signing import Ed25519Signer
    from adapters.consortium.signing_rules import ConsortiumSigningRules

    if spec.contracts:
        raise RejectedError(f"{spec.chain} has no contracts: leave out its [[chains.contracts]]")
    if spec.beacon is not None or spec.beacons:
        raise RejectedError(f"{spec.chain} has no beacon chain: leave out its beacon_anchor and beacons")
    if spec.native is not NativeTransfers.NONE:
        raise RejectedError(f"{spec.chain} reports every transfer as an event: leave out its native_transfers")
    observed = None if spec.metrics is None else RpcMetrics(spec.metrics, spec.chain)
    clients = [
        CometRpc(endpoint.url, calls_per_s=endpoint.calls_per_s, observed=observed) for endpoint in spec.endpoints
    ]

    async def close() -> None:
        for client in clients:
            await client.close()

    async def read(client: CometRpc) -> ConsortiumParameters:
        return await read_parameters(client, spec.chain, symbols, spec.timing, spec.genesis_hash)

    symbols = [asset_symbol(asset) for asset in spec.assets]
    try:
        parameters = await _first([partial(read, client) for client in clients])
        reports = await probe_all(clients, spec.chain, spec.genesis_hash)
    except BaseException:
        await close()
        raise
    chains = [chain_over(client, parameters, spec.trusted_height) for client in clients]

    def signer(secret: bytes) -> Signer:
        made = Ed25519Signer(spec.chain, secret)
        for chain in chains:
            chain.learn(made.public_key)
        return made

    return ConnectedChain(
        access=combine(
            [
                Member(endpoint.operator, chain.access, chain.locks)
                for endpoint, chain in zip(spec.endpoints, chains, strict=True)
            ]
        ),
        signer=signer,
        close=close,
        prover=FailoverProver([chain.prover for chain in chains]),
        bridge=FailoverBridgeBuilder([chain.bridge for chain in chains]),
        attestations=FailoverAttestations([ConsortiumAttestations(client, spec.chain) for client in clients]),
        questions=FailoverQueryBoard([ConsortiumQueryBoard(client, spec.chain) for client in clients]),
        headers=FailoverHeaders([chain.prover for chain in chains]),
        attested_by=lambda states, layouts: FailoverProver(
            [AttestedStateProver(states, chain.prover, layouts) for chain in chains]
        ),
        reports=tuple(reports),
        rules=partial(ConsortiumSigningRules, spec.chain),
    )


async def _first(attempts: Sequence[Callable[[], Awaitable[T]]]) -> T:
    """Return the first answer that an attempt gets. Raise the last `RetryableError`, every other at once."""
    failure = RetryableError("there is no endpoint to ask")
    for attempt in attempts:
        try:
            return await attempt()
        except RetryableError as error:
            failure = error
    raise failure


async def connect_evm(spec: ChainSpec) -> ConnectedChain:
    """Kind `evm`: an Ethereum JSON-RPC chain with our HashedTimelock at `contract`."""
    from adapters.evm.chain import ContractAbi, EvmChain, EvmChainSettings
    from adapters.evm.endpoints import Endpoint
    from adapters.evm.rpc_signer import remote_signer
    from adapters.evm.signed_locks import PERMIT2
    from adapters.evm.signing import LocalSigner
    from adapters.evm.signing_rules import EvmSigningRules

    if spec.contract is None:
        raise RejectedError(f"{spec.chain} needs the address of its HashedTimelock: contract = …")
    htlc = spec.contract
    tokens = tuple(_token(asset) for asset in spec.assets if "/erc20:" in asset)
    settings = EvmChainSettings(
        chain=spec.chain,
        endpoints=tuple(Endpoint(one.url, one.operator, one.ws_url, one.calls_per_s) for one in spec.endpoints),
        htlc=spec.contract,
        timing=spec.timing,
        tokens=tokens,
        contracts=tuple(ContractAbi(one.account, one.abi, one.name) for one in spec.contracts),
        native=spec.native,
        genesis_hash=spec.genesis_hash,
    )
    blocks = _beacon(spec)
    chain = await EvmChain.connect(settings, spec.metrics)

    async def close() -> None:
        await chain.close()
        if blocks is not None:
            await blocks.close()

    members = [
        Member(endpoint.operator or endpoint.url, one.access, one.locks)
        for endpoint, one in zip(spec.endpoints, chain.apart(), strict=True)
    ]
    return ConnectedChain(
        access=combine(members),
        signer=lambda secret: LocalSigner(spec.chain, secret),
        close=close,
        states=chain.proofs,
        blocks=blocks,
        questions_about=None if spec.queries is None else partial(chain.query_board, spec.queries),
        header_client=None if spec.queries is None else chain.light_client(spec.queries),
        reports=chain.reports,
        traits=chain.traits,
        remote=partial(remote_signer, spec.chain),
        rules=lambda limits: EvmSigningRules(
            spec.chain,
            evm_address(htlc),
            [evm_address(token) for token in tokens],
            limits,
            [PERMIT2],
            None if spec.queries is None else evm_address(spec.queries),
        ),
    )


def _beacon(spec: ChainSpec) -> "Follower | None":
    from adapters.beacon import BeaconApi, Follower

    if spec.beacon is None:
        if spec.beacons:
            raise RejectedError(f"{spec.chain} has beacon nodes and no anchor to follow them from: add beacon_anchor")
        return None
    if spec.beacon.chain != spec.chain:
        raise RejectedError(f"the beacon anchor is of {spec.beacon.chain}, not of {spec.chain}: name another")
    observed = None if spec.metrics is None else RpcMetrics(spec.metrics, spec.chain)
    return Follower(spec.beacon, [BeaconApi(url, spec.beacon.network, observed) for url in spec.beacons])


def _token(asset: AssetId) -> AccountId:
    return parse_account(f"{chain_of(asset)}:{asset.rpartition(':')[2]}")


BUILT_IN: Final[Mapping[str, Factory]] = {"consortium": connect_consortium, "evm": connect_evm}
