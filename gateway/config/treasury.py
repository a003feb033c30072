"""Settings of withdrawals from a relayer's accounts: canonical, or refused with their place."""

from collections.abc import Collection, Mapping

import msgspec

from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_asset
from core.model.types import chain_of
from gateway.config.chains import EVM, NATIVE_REFERENCE, NOBODY, check_amount, refuse_twins
from gateway.config.faults import Faults, choices, shown
from gateway.config.model import (
    AccountConfig,
    ChainConfig,
    DestinationConfig,
    ReserveConfig,
    TopUpConfig,
    TreasuryConfig,
)


def canonical_treasury(
    config: TreasuryConfig,
    chains: Mapping[str, ChainConfig],
    assets: Collection[str],
    accounts: Collection[AccountConfig],
    faults: Faults,
) -> TreasuryConfig:
    """The settings in canonical spelling. `chains`, `assets` and `accounts` are canonical already."""
    ours = [one.chain for one in accounts]
    at = "treasury.destinations"
    destinations = tuple(
        _destination(one, f"{at}[{number}]", chains, ours, faults) for number, one in enumerate(config.destinations)
    )
    refuse_twins((one.account for one in destinations), lambda number: f"{at}[{number}].account", "account", faults)
    refuse_twins(
        (f"{one.name} on {one.account.rpartition(':')[0]}" for one in destinations),
        lambda number: f"{at}[{number}].name",
        "destination",
        faults,
    )
    low = tuple(_low(one, f"treasury.low[{number}]", assets, ours, faults) for number, one in enumerate(config.low))
    refuse_twins((one.asset for one in low), lambda number: f"treasury.low[{number}].asset", "asset", faults)
    top_up = tuple(
        _top_up(one, f"treasury.top_up[{number}]", chains, accounts, faults) for number, one in enumerate(config.top_up)
    )
    refuse_twins((one.asset for one in top_up), lambda number: f"treasury.top_up[{number}].asset", "asset", faults)
    return TreasuryConfig(destinations, low, top_up)


def _top_up(
    one: TopUpConfig,
    place: str,
    chains: Mapping[str, ChainConfig],
    accounts: Collection[AccountConfig],
    faults: Faults,
) -> TopUpConfig:
    for name in ("low", "target", "per_day"):
        check_amount(getattr(one, name), f"{place}.{name}", faults)
    if one.target < one.low:
        faults.add(place, f"target, {one.target}, is below low, {one.low}: write what the account should hold")
    with faults.at(f"{place}.asset"):
        asset = parse_asset(one.asset)
        chain = chains.get(chain_of(asset))
        if chain is None or chain.kind != EVM or asset.partition("/")[2] != NATIVE_REFERENCE:
            coins = [f"{each.id}/{NATIVE_REFERENCE}" for each in chains.values() if each.kind == EVM]
            raise RejectedError(f"{asset} pays for no gas here: {choices(asset, coins)}")
        ours = [each for each in accounts if each.chain == chain.id]
        if not ours:
            raise RejectedError(f"there is no account of yours on {chain.id}: add [[accounts]]")
        if one.key in [each.key for each in ours]:
            faults.add(f"{place}.key", f"{shown(one.key)} is the key of the account that is paid: name another one")
        return msgspec.structs.replace(one, asset=asset)
    return one


def _destination(
    one: DestinationConfig, place: str, chains: Collection[str], ours: Collection[str], faults: Faults
) -> DestinationConfig:
    with faults.at(f"{place}.account"):
        account = parse_account(one.account)
        chain = chain_of(account)
        if chain not in chains:
            raise RejectedError(f"{chain} is not a configured chain: {choices(chain, chains)}")
        if chain not in ours:
            raise RejectedError(f"there is no account of yours on {chain}: add [[accounts]], or leave it out")
        if account.endswith(NOBODY):
            raise RejectedError(f"{account} is nobody's account: write your own")
        return msgspec.structs.replace(one, account=account)
    return one


def _low(
    one: ReserveConfig, place: str, assets: Collection[str], ours: Collection[str], faults: Faults
) -> ReserveConfig:
    check_amount(one.amount, f"{place}.amount", faults)
    with faults.at(f"{place}.asset"):
        asset = parse_asset(one.asset)
        if asset not in assets:
            raise RejectedError(f"{asset} is not among the assets of a configured chain: {choices(asset, assets)}")
        if chain_of(asset) not in ours:
            raise RejectedError(f"there is no account of yours on {chain_of(asset)}: add [[accounts]]")
        return msgspec.structs.replace(one, asset=asset)
    return one
