"""Accounts of a configuration, and who signs for them: canonical, or refused with their place."""

from collections.abc import Collection, Sequence

import msgspec

from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_asset
from core.model.types import chain_of
from gateway.config.chains import EVM, check_amount, check_http_url, refuse_twins
from gateway.config.faults import Faults, choices, shown
from gateway.config.model import AccountConfig, ChainConfig, ReserveConfig


def signing_account(one: AccountConfig, place: str, chains: Collection[ChainConfig], faults: Faults) -> AccountConfig:
    """An account whose chain is canonical already, with who signs for it: a key of the keystore, or a signer."""
    chain = next((chain for chain in chains if chain.id == one.chain), None)
    if one.key and (one.signer is not None or one.address is not None):
        faults.add(place, "key is of the keystore, signer and address are of another machine: write one or the other")
    if not one.key and (one.signer is None or one.address is None):
        faults.add(place, "nobody signs for it: write key, or signer and address")
    if one.signer is not None:
        check_http_url(one.signer, f"{place}.signer", faults)
        if chain is not None and chain.kind != EVM:
            faults.add(f"{place}.signer", f"another machine signs on EVM chains only, not on {chain.id}: write key")
    elif one.dialect != "web3signer":
        faults.add(f"{place}.dialect", "is of a signer on another machine: write signer and address, or leave it out")
    address = one.address
    if address is not None:
        with faults.at(f"{place}.address"):
            address = parse_account(address)
            if chain_of(address) != one.chain:
                raise RejectedError(f"{shown(address)} is not an account on {one.chain}")
    assets = () if chain is None else chain.assets
    most = tuple(_most(each, f"{place}.max_take[{number}]", assets, faults) for number, each in enumerate(one.max_take))
    refuse_twins((each.asset for each in most), lambda number: f"{place}.max_take[{number}].asset", "asset", faults)
    return msgspec.structs.replace(one, address=address, max_take=most)


def check_retiring(retiring: Sequence[AccountConfig], accounts: Sequence[AccountConfig], faults: Faults) -> None:
    """Former accounts: others than those that open swaps, each once, on chains where another one opens them."""
    present = {one.chain: one for one in accounts}
    for number, one in enumerate(retiring):
        place = f"retiring[{number}]"
        if one.chain not in present:
            faults.add(f"{place}.chain", f"no other account opens swaps on {one.chain}: add [[accounts]] for it")
        elif _held_by(one) == _held_by(present[one.chain]):
            faults.add(place, "is the account of [[accounts]] itself: name the former one, or leave it out")
    names = [f"{one.chain} {'/'.join(filter(None, _held_by(one)))}" for one in retiring]
    refuse_twins(names, lambda number: f"retiring[{number}]", "account", faults)


def dropped(before: Sequence[AccountConfig], after: Collection[AccountConfig]) -> list[AccountConfig]:
    """Return the accounts that are not among those afterwards, whatever else is said about them."""
    kept = {(one.chain, *_held_by(one)) for one in after}
    return [one for one in before if (one.chain, *_held_by(one)) not in kept]


def _held_by(one: AccountConfig) -> tuple[str, str | None]:
    return one.key, one.address


def _most(one: ReserveConfig, place: str, assets: Collection[str], faults: Faults) -> ReserveConfig:
    check_amount(one.amount, f"{place}.amount", faults)
    with faults.at(f"{place}.asset"):
        asset = parse_asset(one.asset)
        if asset not in assets:
            raise RejectedError(f"{asset} is not among the chain's assets: {choices(asset, assets)}")
        return msgspec.structs.replace(one, asset=asset)
    return one
