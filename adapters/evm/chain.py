"""One EVM chain with all its capabilities behind the ports.

chain = await EvmChain.connect(EvmChainSettings(...))
chain.access            # what rooms get
chain.signed_locks      # token locks that somebody else may send
chain.proofs            # the Ethereum part of evidence
await chain.close()
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Self

from adapters.evm.batches import EvmBatchBuilder
from adapters.evm.blocks import EvmBlockSource
from adapters.evm.consents import EvmConsentBuilder
from adapters.evm.contract_events import ContractDecoder, parse_abi
from adapters.evm.contracts.artifacts import load_artifact
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.fees import EvmFeeReader
from adapters.evm.heads import EvmHeadSource, poll_every_s
from adapters.evm.legs import EvmLegBuilder
from adapters.evm.light_client_state import LightClientState
from adapters.evm.locks import EvmLockReader
from adapters.evm.names import account, chain_number, hex_address, native_asset, token_address
from adapters.evm.openings import EvmOpeningProofs
from adapters.evm.probe import EndpointReport, Identity, identity, probe, require_usable, unanswered
from adapters.evm.proofs import EvmStateProver
from adapters.evm.query_board import EvmQueryBoard
from adapters.evm.rpc import RpcClient, data_bytes
from adapters.evm.signed_locks import SignedLocks
from adapters.evm.state import EvmStateReader
from adapters.evm.token_traits import read_traits
from adapters.evm.tokens import read_token
from adapters.evm.transactions import EvmTransactionSender
from adapters.evm.transfers import EvmTransferBuilder
from adapters.observed import RpcMetrics
from adapters.traits import TokenTrait
from core.model.errors import CausewayError, FatalError, RejectedError, RetryableError
from core.model.facts import NativeTransfers
from core.model.ports import ChainAccess, ChainTiming
from core.model.types import AccountId, Asset, AssetId, ChainId, chain_of
from core.proofs.keccak import keccak256
from core.proofs.lanes import evm_address
from core.runtime.metrics import Metrics

NATIVE_DECIMALS: Final = 18
HTLC_NAME: Final = "HashedTimelock"


@dataclass(frozen=True, slots=True)
class ContractAbi:
    """A contract whose events are followed. `abi` is JSON; see `parse_abi`. `name` is what the operator calls it."""

    account: AccountId
    abi: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class EvmChainSettings:
    """The settings of a connection.

    `endpoints` stand in order of preference; a majority has to agree if money is at stake. `htlc` is the
    HashedTimelock, `tokens` the ERC-20 contracts that are followed, `contracts` others with their ABIs, `native` says
    which payments of the native coin are. `genesis_hash`, if given, is compared with the chain's.
    """

    chain: ChainId
    endpoints: tuple[Endpoint, ...]
    htlc: AccountId
    timing: ChainTiming
    tokens: tuple[AccountId, ...] = ()
    contracts: tuple[ContractAbi, ...] = ()
    native: NativeTransfers = NativeTransfers.NONE
    native_symbol: str = "ETH"
    genesis_hash: bytes | None = None
    poll_s: float | None = None


@dataclass(frozen=True, slots=True)
class EvmParameters:
    """`ChainParameters` of one chain. `base_fees`: whether it has them (EIP-1559)."""

    chain: ChainId
    genesis_hash: bytes
    timing: ChainTiming
    assets: Mapping[AssetId, Asset]
    htlc_code_hash: bytes
    htlc_holder: AccountId | None
    base_fees: bool = True
    contract_names: Mapping[AccountId, str] = field(default_factory=dict)


class EvmChain:
    """One chain's capabilities. Made by `connect`; `close` it."""

    def __init__(
        self,
        settings: EvmChainSettings,
        parameters: EvmParameters,
        endpoints: Endpoints,
        reports: Sequence[EndpointReport] = (),
    ) -> None:
        """`reports`: what the endpoints offer, in their order."""
        chain, htlc = settings.chain, evm_address(settings.htlc)
        tokens = [evm_address(token) for token in settings.tokens]
        self._settings = settings
        self.parameters = parameters
        self.endpoints = endpoints
        self.reports = tuple(reports)
        poll_s = settings.poll_s or poll_every_s(settings.timing.block_time_s)
        self.blocks = EvmBlockSource(chain, endpoints, htlc, tokens, contract_decoder(settings), settings.native)
        self.heads = EvmHeadSource(chain, endpoints, poll_s, self.blocks.expect)
        self.state = EvmStateReader(chain, endpoints)
        self.locks = EvmLockReader(chain, endpoints, htlc)
        self.legs = EvmLegBuilder(chain, endpoints, htlc)
        self.batches = EvmBatchBuilder(htlc)
        self.signed_locks = SignedLocks(chain, endpoints, htlc)
        self.consents = EvmConsentBuilder(chain, htlc, self.signed_locks)
        self.openings = EvmOpeningProofs(chain, endpoints, htlc)
        self.transactions = EvmTransactionSender(chain, endpoints, parameters.base_fees)
        self.proofs = EvmStateProver(chain, endpoints)
        self._chain = chain
        self.access = ChainAccess(
            parameters=parameters,
            heads=self.heads,
            blocks=self.blocks,
            state=self.state,
            locks=self.locks,
            legs=self.legs,
            transactions=self.transactions,
            batches=self.batches,
            consents=self.consents,
            openings=self.openings,
            transfers=EvmTransferBuilder(chain, endpoints, htlc),
            fees=EvmFeeReader(chain, endpoints),
        )

    def query_board(self, queries: AccountId, home: ChainId) -> EvmQueryBoard:
        """Questions that contracts ask about the consortium chain `home`, through the contract `queries`."""
        return EvmQueryBoard(self._chain, self.endpoints, queries, home, self.transactions.fee_market)

    def light_client(self, queries: AccountId) -> LightClientState:
        """The light client of the consortium chain behind the contract `queries`."""
        return LightClientState(self.endpoints, queries, self.transactions.fee_market)

    async def traits(self, asset: AssetId, holder: AccountId | None = None) -> frozenset[TokenTrait]:
        """Return the traits that a token shows (`adapters.evm.token_traits`); none for the native coin.

        Raise `RejectedError` for an asset without code, `RetryableError` if no endpoint answers.
        """
        if asset == native_asset(self._chain):
            return frozenset()
        return await read_traits(self.endpoints, token_address(asset), None if holder is None else evm_address(holder))

    @classmethod
    async def connect(cls, settings: EvmChainSettings, metrics: Metrics | None = None) -> Self:
        """Ask the chain who it is and what its tokens are called, and each endpoint what it offers (see `reports`).

        Raise `FatalError` when it is another chain than the settings say, or has another contract at `htlc`, and
        `RejectedError` if none of the endpoints that answer can serve, and for one that cannot show the payments of
        the native coin that are wanted.
        """
        observed = None if metrics is None else RpcMetrics(metrics, settings.chain)
        endpoints = Endpoints(settings.endpoints, observed)
        try:
            _check_settings(settings)
            genesis_hash, silent = await _genesis_of(settings, endpoints)
            endpoints.prefer(next(client for client in endpoints.clients if client not in silent))
            reports = await _reports(settings, endpoints, silent)
            parameters = await _parameters(settings, endpoints, genesis_hash, reports)
            chain = cls(settings, parameters, endpoints, reports)
            await asyncio.gather(*(_check_payments(one) for one in chain.apart()))
            return chain
        except BaseException:
            await endpoints.close()
            raise

    def apart(self) -> "list[EvmChain]":
        """The chain as each endpoint alone shows it, in their order. They are closed with this one."""
        return [EvmChain(self._settings, self.parameters, endpoints) for endpoints in self.endpoints.apart()]

    async def close(self) -> None:
        await self.endpoints.close()


async def _reports(
    settings: EvmChainSettings, endpoints: Endpoints, silent: Mapping[RpcClient, CausewayError]
) -> list[EndpointReport]:
    """One that has just not answered is not asked again: it may hang."""
    htlc = evm_address(settings.htlc)

    async def report_of(client: RpcClient, endpoint: Endpoint) -> EndpointReport:
        error = silent.get(client)
        return await probe(settings.chain, client, endpoint, htlc) if error is None else unanswered(client, error)

    pairs = zip(endpoints.clients, settings.endpoints, strict=True)
    reports = await asyncio.gather(*(report_of(client, endpoint) for client, endpoint in pairs))
    for report in reports:
        report.log(settings.chain)
    require_usable(settings.chain, reports)
    return reports


async def _check_payments(chain: EvmChain) -> None:
    """An endpoint that is down may come later."""
    try:
        await chain.blocks.check_payments()
    except RetryableError:
        return
    except RejectedError as error:
        raise RejectedError(f"the endpoint {chain.endpoints.clients[0]}: {error.message}") from None


def contract_decoder(settings: EvmChainSettings) -> ContractDecoder:
    """Raise `RejectedError` for an invalid ABI, and for a contract that cannot be followed by one."""
    abis = {}
    for contract in settings.contracts:
        address = evm_address(contract.account)
        if chain_of(contract.account) != settings.chain:
            raise RejectedError(f"contract {contract.account} is not of {settings.chain}: name it under its own chain")
        if address == evm_address(settings.htlc):
            raise RejectedError(f"contract {contract.account} is the HashedTimelock, which is followed anyway")
        if address in abis:
            raise RejectedError(f"contract {contract.account} is named twice: join its ABIs")
        abis[address] = parse_abi(contract.abi, f"contract {contract.account}")
    return ContractDecoder(settings.chain, abis)


def htlc_code_hash() -> bytes:
    """The code hash (EIP-1052) of the HashedTimelock that we ship; it has no immutables, so all have this one."""
    return keccak256(load_artifact("HashedTimelock").deployed_bytecode)


def _check_settings(settings: EvmChainSettings) -> None:
    contract_decoder(settings)
    if any(chain_of(named) != settings.chain for named in (settings.htlc, *settings.tokens)):
        raise FatalError(f"the contracts are not all of {settings.chain}")


async def _parameters(
    settings: EvmChainSettings, endpoints: Endpoints, genesis_hash: bytes, reports: Sequence[EndpointReport]
) -> EvmParameters:
    contracts = contract_decoder(settings).addresses
    htlc = evm_address(settings.htlc)
    code = data_bytes(await endpoints.call("eth_getCode", hex_address(htlc), "latest"))
    if not code and await endpoints.call("eth_syncing", into=object):
        # A node that reads its chain from the beginning shows an old state as the newest (execution-apis, eth_syncing).
        raise RetryableError(f"{settings.chain}: the endpoint still reads old blocks, in which no contract is yet")
    if keccak256(code) != htlc_code_hash():
        raise FatalError(f"there is no HashedTimelock of this version at {settings.htlc}")
    for address in contracts:
        if not data_bytes(await endpoints.call("eth_getCode", address, "latest")):
            raise FatalError(f"there is no contract at {settings.chain}:{address}: is the address of another chain?")
    native = Asset(native_asset(settings.chain), settings.native_symbol, NATIVE_DECIMALS)
    assets = [native, *[await read_token(endpoints, settings.chain, evm_address(token)) for token in settings.tokens]]
    return EvmParameters(
        chain=settings.chain,
        genesis_hash=genesis_hash,
        timing=settings.timing,
        assets=MappingProxyType({asset.id: asset for asset in assets}),
        htlc_code_hash=htlc_code_hash(),
        htlc_holder=account(settings.chain, htlc),
        # One endpoint alone does not decide it: a lie would make us pay whole prices.
        base_fees=any(report.base_fees for report in reports if report.answers) or not any(r.answers for r in reports),
        contract_names=MappingProxyType(
            {
                account(settings.chain, htlc): HTLC_NAME,
                **{one.account: one.name for one in settings.contracts if one.name},
            }
        ),
    )


async def _genesis_of(
    settings: EvmChainSettings, endpoints: Endpoints
) -> tuple[bytes, Mapping[RpcClient, CausewayError]]:
    """The first block's hash, on which all endpoints that answer must agree, and what the others fail with: one that
    is down may come later.

    Raise `FatalError` with the endpoint that is of another chain, and what none of them answers.
    """

    async def ask(client: RpcClient) -> Identity:
        return await identity(settings.chain, client)

    wanted = settings.genesis_hash
    silent: dict[RpcClient, CausewayError] = {}
    answered = False
    for client, answer in zip(endpoints.clients, await endpoints.each(ask), strict=True):
        if isinstance(answer, CausewayError):
            silent[client] = answer
            continue
        if answer.number != chain_number(settings.chain):
            raise FatalError(
                f"the endpoint {client} is of eip155:{answer.number}, not of {settings.chain}: correct its url"
            )
        genesis_hash = answer.genesis_hash
        if wanted not in (None, genesis_hash):
            raise FatalError(
                f"at the endpoint {client} {settings.chain} began with another block, {genesis_hash.hex()} instead of "
                f"{wanted.hex() if wanted else ''}: it is another chain of the same number; correct url or genesis"
            )
        wanted, answered = genesis_hash, True
    if wanted is None or not answered:
        raise next(iter(silent.values()), RetryableError(f"{settings.chain} has no endpoint that answers"))
    return wanted, silent
