"""One consortium chain over one endpoint: its parameters and all its ports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import structlog

from adapters.consortium.blocks import ConsortiumBlockSource
from adapters.consortium.bridge import ConsortiumBridgeBuilder
from adapters.consortium.facts import shown_symbol
from adapters.consortium.heads import POLL_S, ConsortiumHeadSource
from adapters.consortium.legs import ConsortiumLegBuilder, ConsortiumTransferBuilder
from adapters.consortium.locks import ConsortiumLockReader
from adapters.consortium.orders import ConsortiumOrderReader
from adapters.consortium.probe import NodeReport, newest_height, probe
from adapters.consortium.prover import ConsortiumProver
from adapters.consortium.raw_blocks import fetch_block
from adapters.consortium.results import BlockResults
from adapters.consortium.rpc import CALL_TIMEOUT_S, CometRpc, parsed
from adapters.consortium.state import ConsortiumRecordReader, ConsortiumStateReader, read_leaf
from adapters.consortium.transactions import ConsortiumTransactionSender, PublicKeys
from adapters.ed25519_openings import Ed25519OpeningProofs
from core.model.consortium import (
    APP_VERSION,
    NAMESPACE,
    PROMISED_INCLUSION_S,
    AssetLeaf,
    address,
    asset_key,
    caip_account,
    caip_asset,
)
from core.model.errors import FatalError, NotFoundError, RejectedError, RetryableError
from core.model.ports import ChainAccess, ChainTiming
from core.model.types import AccountId, Asset, AssetId, ChainId, Height, Seconds
from core.proofs.evidence import ledger_code_hash

_log = structlog.get_logger(__name__)

FIRST: Final = Height(1)
DEFAULT_TIMING: Final = ChainTiming(
    block_time_s=Seconds(1),
    inclusion_s=Seconds(PROMISED_INCLUSION_S),
    finality_s=Seconds(0),
    observation_s=Seconds(2),
    lead_s=Seconds(10),
    lag_s=Seconds(10),
)
"""Lead and lag are the 10 s by which validators let a proposer's clock differ from their own."""


@dataclass(frozen=True, slots=True)
class ConsortiumParameters:
    """`ChainParameters`."""

    chain: ChainId
    genesis_hash: bytes
    timing: ChainTiming
    assets: Mapping[AssetId, Asset]
    htlc_code_hash: bytes
    htlc_holder: AccountId | None = None
    contract_names: Mapping[AccountId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsortiumChain:
    """The ports of one chain, and what only this kind of chain has. Make it with `connect`; `close` it."""

    access: ChainAccess
    bridge: ConsortiumBridgeBuilder
    prover: ConsortiumProver
    locks: ConsortiumLockReader
    rpc: CometRpc
    keys: PublicKeys
    report: NodeReport | None = None
    """The node as `connect` found it."""

    def learn(self, public_key: bytes) -> AccountId:
        """Let this process assemble transactions for the account of an ed25519 public key (32 bytes)."""
        return self.keys.learn(public_key)

    async def close(self) -> None:
        await self.rpc.close()


async def connect(
    url: str,
    chain: ChainId,
    symbols: Sequence[str] = (),
    timing: ChainTiming = DEFAULT_TIMING,
    genesis_hash: bytes | None = None,
    trusted_height: Height = FIRST,
    poll_s: float = POLL_S,
    timeout_s: float = CALL_TIMEOUT_S,
) -> ConsortiumChain:
    """Connect to `url` (`http://host:port`) and learn the genesis hash and the assets called `symbols`.

    Evidence will start at the header of `trusted_height`, which must be that of the verifiers' anchor. Raise what
    `read_parameters` raises, and `RejectedError` if the node's settings are in the way of reading events.
    """
    rpc = CometRpc(url, timeout_s)
    try:
        parameters = await read_parameters(rpc, chain, symbols, timing, genesis_hash)
        report = await probe(rpc, chain)
        report.log()
        report.require_usable()
    except BaseException:
        await rpc.close()
        raise
    return replace(chain_over(rpc, parameters, trusted_height, poll_s), report=report)


def chain_over(
    rpc: CometRpc, parameters: ConsortiumParameters, trusted_height: Height = FIRST, poll_s: float = POLL_S
) -> ConsortiumChain:
    """The ports over one endpoint of a chain that is known already; asks nothing, so the endpoint may be down."""
    chain = parameters.chain
    keys, locks, results = PublicKeys(chain), ConsortiumLockReader(rpc, chain), BlockResults(rpc)
    access = ChainAccess(
        parameters=parameters,
        heads=ConsortiumHeadSource(rpc, chain, poll_s),
        blocks=ConsortiumBlockSource(rpc, chain, results),
        state=ConsortiumStateReader(rpc, chain),
        locks=locks,
        legs=ConsortiumLegBuilder(rpc, chain),
        transactions=ConsortiumTransactionSender(rpc, chain, _reference(chain), keys, results),
        openings=Ed25519OpeningProofs(parameters, lambda key: caip_account(chain, address(key))),
        records=ConsortiumRecordReader(rpc, chain),
        transfers=ConsortiumTransferBuilder(chain),
        orders=ConsortiumOrderReader(rpc, chain),
    )
    prover = ConsortiumProver(rpc, chain, parameters.genesis_hash, trusted_height)
    return ConsortiumChain(access, ConsortiumBridgeBuilder(rpc), prover, locks, rpc, keys)


async def read_parameters(
    rpc: CometRpc,
    chain: ChainId,
    symbols: Sequence[str],
    timing: ChainTiming = DEFAULT_TIMING,
    genesis_hash: bytes | None = None,
) -> ConsortiumParameters:
    """Return the chain's parameters as it states them.

    Raise `FatalError` if the endpoint serves another chain than the one named, `NotFoundError` for an asset that
    the chain does not have, `RejectedError` for an id that is not a consortium chain's, `RetryableError` before the
    chain's first block. A node that has pruned its first block is believed to serve the chain of its blocks' id: it
    cannot show more.
    """
    _reference(chain)
    genesis_hash = await _checked_genesis(rpc, chain, genesis_hash)
    assets = {}
    for symbol in symbols:
        leaf = await read_leaf(rpc, asset_key(symbol), AssetLeaf)
        if leaf is None:
            raise NotFoundError(f"{chain} has no asset {symbol!r}")
        name = caip_asset(chain, symbol)
        assets[name] = parsed(partial(Asset, name, shown_symbol(symbol), leaf.decimals))
    return ConsortiumParameters(chain, genesis_hash, timing, assets, ledger_code_hash(APP_VERSION))


async def _checked_genesis(rpc: CometRpc, chain: ChainId, pinned: bytes | None) -> bytes:
    try:
        found = (await fetch_block(rpc, chain, FIRST)).ref.hash
    except NotFoundError as error:
        if await newest_height(rpc) == 0:
            raise RetryableError(
                f"{rpc.origin} has no block yet: it waits for the other nodes of its network"
            ) from None
        if pinned is None:
            raise NotFoundError(
                f"{rpc.origin} has pruned its first block, by which a chain is known: configure the genesis hash, or"
                f" connect to a node that has all blocks ({error.message})"
            ) from None
        await fetch_block(rpc, chain)
        _log.warning("its first block is pruned, so it is not compared with the genesis hash", endpoint=rpc.origin)
        return pinned
    if pinned is not None and found != pinned:
        raise FatalError(f"{rpc.origin} serves another {chain}: its first block is {found.hex()}")
    return found


def _reference(chain: ChainId) -> str:
    namespace, _, reference = chain.partition(":")
    if namespace != NAMESPACE or not reference:
        raise RejectedError(f"{chain} is not a consortium chain: its id begins with {NAMESPACE}:")
    return reference
