"""Settings of withdrawals from a relayer's accounts: canonical, or refused with their place."""

from collections.abc import Collection

import msgspec

from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_asset
from core.model.types import chain_of
from gateway.config.chains import NOBODY, check_amount, refuse_twins
from gateway.config.faults import Faults, choices
from gateway.config.model import AccountConfig, DestinationConfig, ReserveConfig, TreasuryConfig


def canonical_treasury(
    config: TreasuryConfig,
    chains: Collection[str],
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
    return TreasuryConfig(destinations, low)


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
