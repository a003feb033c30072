"""The one place where adapters meet ports: from configurations to objects that rooms can use."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from nacl.signing import SigningKey

from adapters.registry import ChainSpec, ConnectedChain, ContractSpec, EndpointSpec, connect
from adapters.signing_rules import SigningLimits, guarded
from core.model.beacon import BeaconAnchor
from core.model.errors import RejectedError
from core.model.facts import NativeTransfers
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.ports import ChainTiming, Signer
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Height, Seconds, chain_of
from core.proofs.evidence import decode_beacon_anchor
from core.runtime.clock import Clock, SystemClock
from core.runtime.metrics import Metrics
from core.runtime.retry import RetryPolicy, retrying
from gateway.config import AccountConfig, ChainConfig, PairConfig, PriceConfig, RelayerConfig, TimingConfig
from gateway.config.prices import named_price
from gateway.config.trading import POLICIES, opening_policy, watch_policy
from relayer.keys.keystore import Keystore, read_keystore, read_passphrase
from relayer.policy import ExposureLimit, RelayerPolicy
from relayer.provider.prices import Feed
from relayer.provider.pricing import Offer, PriceBounds, parse_decimal, parse_path
from relayer.provider.quoting import Pair, Rate
from relayer.treasury.orders import Seal
from relayer.treasury.teller import TreasuryPolicy
from relayer.treasury.top_ups import TopUp

NATIVE: Final[Mapping[bool | str, NativeTransfers]] = {
    False: NativeTransfers.NONE,
    True: NativeTransfers.DIRECT,
    "traced": NativeTransfers.TRACED,
}
OUTBID_TIMES: Final = 2
"""The most that an account signs, in highest fees of an exit: one that takes over a sequence outbids what was there."""
CONNECT: Final = RetryPolicy((0.1, 0.2, 0.5, 1.0, 2.0, 4.0))
"""Daemons of one machine start together: a chain that does not answer yet gets some seconds."""


def chain_spec(config: ChainConfig, trusted_height: int = 1, metrics: Metrics | None = None) -> ChainSpec:
    """A configured chain as the registry takes it. Raise `RejectedError` for malformed identifiers."""
    try:
        genesis = bytes.fromhex(config.genesis)
    except ValueError:
        raise RejectedError(f"chain {config.id}: genesis is the first block's hash in hex") from None
    return ChainSpec(
        kind=config.kind,
        chain=parse_chain(config.id),
        genesis_hash=genesis,
        endpoints=tuple(EndpointSpec(one.url, one.operator, one.ws, one.calls_per_s) for one in config.endpoints),
        timing=chain_timing(config.timing),
        assets=tuple(parse_asset(asset) for asset in config.assets),
        contract=None if config.contract is None else parse_account(config.contract),
        trusted_height=Height(trusted_height),
        contracts=tuple(ContractSpec(parse_account(one.account), one.abi, one.name) for one in config.contracts),
        native=NATIVE[config.native_transfers],
        metrics=metrics,
        queries=None if config.queries is None else parse_account(config.queries),
        beacon=None if config.beacon_anchor is None else read_beacon_anchor(Path(config.beacon_anchor)),
        beacons=config.beacons,
    )


def read_beacon_anchor(path: Path) -> BeaconAnchor:
    """Raise `RejectedError` for a file that is missing or not a beacon anchor."""
    try:
        return decode_beacon_anchor(path.read_bytes())
    except OSError as error:
        raise RejectedError(f"cannot read the beacon anchor {path}: {error.strerror}") from None


def chain_timing(config: TimingConfig) -> ChainTiming:
    return ChainTiming(
        block_time_s=Seconds(config.block_time_s),
        inclusion_s=Seconds(config.inclusion_s),
        finality_s=Seconds(config.finality_s),
        observation_s=Seconds(config.observation_s),
        lead_s=Seconds(config.lead_s),
        lag_s=Seconds(config.lag_s),
    )


@asynccontextmanager
async def connected(
    configs: Sequence[ChainConfig],
    trusted_height: int = 1,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[dict[ChainId, ConnectedChain]]:
    """All chains, connected side by side, while the block runs. Raise what connecting the first that fails raises."""
    clock = clock or SystemClock()

    async def patiently(spec: ChainSpec) -> ConnectedChain:
        return await retrying(lambda: connect(spec), CONNECT, clock)

    specs = [chain_spec(config, trusted_height, metrics) for config in configs]
    if len({spec.chain for spec in specs}) != len(specs):
        raise RejectedError("a chain is configured twice")
    async with AsyncExitStack() as stack:
        found = await asyncio.gather(*map(patiently, specs), return_exceptions=True)
        chains = [one for one in found if not isinstance(one, BaseException)]
        for chain in chains:
            stack.push_async_callback(chain.close)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        yield {chain.access.chain: chain for chain in chains}


def open_keystore(config: RelayerConfig, base: Path) -> Keystore:
    return read_keystore(base / config.keystore, read_passphrase(variable=config.passphrase_env))


def signers(config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain], keys: Keystore) -> dict[ChainId, Signer]:
    """One signer for each configured account on these chains. Raise `RejectedError` for an account on an unconfigured
    chain."""
    made: dict[ChainId, Signer] = {}
    for account in config.accounts:
        chain = ChainId(account.chain)
        if chain not in {one.id for one in config.chains}:
            raise RejectedError(f"there is an account on {account.chain}, which is not configured as a chain")
        if chain in chains:
            made[chain] = _guarded(config, account, chains[chain], keys)
    return made


def retiring_signers(config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain], keys: Keystore) -> list[Signer]:
    """The signers of former accounts on these chains, which may pay what they hold to the present ones."""
    there = [account for account in config.retiring if account.chain in chains]
    if not there:
        return []
    present = signers(config, chains, keys)
    return [
        _guarded(config, account, chains[ChainId(account.chain)], keys, present[ChainId(account.chain)].account)
        for account in there
    ]


def top_ups(
    config: RelayerConfig, chains: Mapping[ChainId, ConnectedChain], keys: Keystore
) -> list[tuple[TopUp, Signer]]:
    """Top-ups on these chains, each with the signer of the account that pays: our account there, and nobody else."""
    made = list[tuple[TopUp, Signer]]()
    for one in config.treasury.top_up:
        asset = parse_asset(one.asset)
        if (chain := chains.get(chain_of(asset))) is None:
            continue
        paid = signers(config, {chain_of(asset): chain}, keys)[chain_of(asset)].account
        signer = chain.signer(keys.key(one.key).expose())
        behind = _behind_rules(config, chain, signer, frozenset({paid}), {asset: 2 * one.target})
        made.append((TopUp(asset, signer.account, one.low, one.target, one.per_day), behind))
    return made


def account_signer(account: AccountConfig, chain: ConnectedChain, keys: Keystore) -> Signer:
    """Return who signs for an account: a key of the keystore, or a signer on another machine, which is not asked yet.

    Raise `NotFoundError` for a key that is not there, `RejectedError` on a chain without such signers.
    """
    if account.signer is None or account.address is None:
        return chain.signer(keys.key(account.key).expose())
    if chain.remote is None:
        raise RejectedError(f"no signer on another machine is known for {account.chain}: name a key")
    return chain.remote(account.signer, parse_account(account.address), account.dialect)


def _guarded(
    config: RelayerConfig,
    account: AccountConfig,
    chain: ConnectedChain,
    keys: Keystore,
    successor: AccountId | None = None,
) -> Signer:
    """The account's signer behind the policy of what it signs, if its kind of chain has one. `successor` may be paid,
    too."""
    signer = account_signer(account, chain, keys)
    destinations = [parse_account(one.account) for one in config.treasury.destinations]
    paid = frozenset({*destinations, *filter(None, [successor])}) if destinations else None
    return _behind_rules(config, chain, signer, paid, {parse_asset(one.asset): one.amount for one in account.max_take})


def _behind_rules(
    config: RelayerConfig,
    chain: ConnectedChain,
    signer: Signer,
    paid: frozenset[AccountId] | None,
    most: Mapping[AssetId, int],
) -> Signer:
    """The signer behind the rules of its kind of chain. `paid`: whom plain transfers may pay, None for anybody; `most`:
    what one transaction may take."""
    if chain.rules is None:
        return signer
    ceiling = relayer_policy(config).pipeline_on(chain.access.chain).fees
    limits = SigningLimits(
        account=signer.account,
        destinations=paid,
        most=most,
        max_fee=OUTBID_TIMES * ceiling.exit_factor * ceiling.ceiling,
    )
    return guarded(signer, chain.rules(limits))


def quote_key(config: RelayerConfig, keys: Keystore) -> SigningKey:
    return SigningKey(keys.key(config.quote_key).expose())


def pairs(configs: Sequence[PairConfig]) -> tuple[Pair, ...]:
    """Those at a fixed rate from which nothing comes off. Raise `RejectedError` with the pair that is wrong."""
    return tuple(_pair(config) for config in configs if not _is_priced(config))


def offers(configs: Sequence[PairConfig]) -> tuple[Offer, ...]:
    """The others. Raise `RejectedError` with the pair that is wrong."""
    return tuple(_offer(config) for config in configs if _is_priced(config))


def _is_priced(config: PairConfig) -> bool:
    return named_price(config.rate) is not None or config.spread_bps > 0 or config.volatility_bps > 0


def _offer(config: PairConfig) -> Offer:
    named = named_price(config.rate)
    name, inverse = (None, False) if named is None else named
    return Offer(
        initiator_asset=parse_asset(config.give),
        participant_asset=parse_asset(config.get),
        source=_rate(config.rate) if name is None else name,
        minimum=BaseUnits(config.min_give),
        maximum=BaseUnits(config.max_give),
        inverse=inverse,
        spread_bps=config.spread_bps,
        volatility_bps=config.volatility_bps,
        fee=BaseUnits(config.fee),
    )


def feeds(configs: Sequence[PriceConfig], base: Path) -> tuple[Feed, ...]:
    """The prices that pairs name; `base` is for their files."""
    return tuple(
        Feed(
            name=config.name,
            bounds=PriceBounds(Seconds(config.max_age_s), config.max_jump_bps),
            every_s=config.every_s,
            fixed=None if config.fixed is None else parse_decimal(config.fixed),
            file=None if config.file is None else base / config.file,
            url=config.url,
            path=None if config.path is None else parse_path(config.path),
            time_path=None if config.time_path is None else parse_path(config.time_path),
        )
        for config in configs
    )


def _rate(text: str) -> Rate:
    numerator, _, denominator = text.partition("/")
    if not (numerator.isdecimal() and denominator.isdecimal()):
        raise RejectedError(f"rate = {text!r} is not numerator/denominator, such as 71/100000")
    return Rate(int(numerator), int(denominator))


def _pair(config: PairConfig) -> Pair:
    return Pair(
        initiator_asset=parse_asset(config.give),
        participant_asset=parse_asset(config.get),
        rate=_rate(config.rate),
        minimum=BaseUnits(config.min_give),
        maximum=BaseUnits(config.max_give),
        fee=BaseUnits(config.fee),
    )


def seal(config: RelayerConfig, keys: Keystore) -> Seal:
    """Return the key that withdrawals are sealed with: whoever opens the keystore may order them."""
    return Seal(keys.key(config.quote_key).expose())


def treasury_policy(config: RelayerConfig, keys: Keystore) -> TreasuryPolicy:
    """Return the policy of withdrawals, which are sealed under the key that signs prices. A threshold of a top-up is
    one below which the operator hears of it, too."""
    destinations = [parse_account(one.account) for one in config.treasury.destinations]
    low = {parse_asset(one.asset): one.low for one in config.treasury.top_up}
    return TreasuryPolicy(
        seal=seal(config, keys),
        destinations=destinations or None,
        low={**low, **{parse_asset(one.asset): one.amount for one in config.treasury.low}},
    )


WEI_PER_GWEI: Final = 10**9


def relayer_policy(config: RelayerConfig) -> RelayerPolicy:
    """The policy that a configuration names, with its limits."""
    if config.policy not in POLICIES:
        raise RejectedError(f"policy = {config.policy!r} is not one of {', '.join(POLICIES)}")
    exposure = {
        parse_asset(limit.asset): ExposureLimit(
            BaseUnits(limit.total), BaseUnits(limit.per_counterparty), BaseUnits(limit.per_window)
        )
        for limit in config.limits
    }
    reserves = {parse_asset(reserve.asset): BaseUnits(reserve.amount) for reserve in config.gas_per_exit}
    return RelayerPolicy(
        swap=POLICIES[config.policy],
        quote_lifetime_s=Seconds(config.quote_ttl_s),
        exposure=exposure,
        gas_per_exit=reserves,
        max_open_swaps=config.max_open_swaps,
        opening=opening_policy(config.opening),
        watch=watch_policy(config.watchtower),
        fee_ceilings={
            ChainId(chain.id): chain.max_fee_gwei * WEI_PER_GWEI
            for chain in config.chains
            if chain.max_fee_gwei is not None
        },
    )
