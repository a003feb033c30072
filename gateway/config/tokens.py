"""Tokens whose traits are allowed: canonical, or refused with their place."""

from collections.abc import Collection
from typing import Final

import msgspec

from adapters.traits import TokenTrait
from core.model.errors import RejectedError
from core.model.identifiers import parse_asset
from gateway.config.chains import refuse_twins
from gateway.config.faults import Faults, choices, shown
from gateway.config.model import TokenConfig

TOKEN: Final = "/erc20:"


def canonical_tokens(
    tokens: tuple[TokenConfig, ...], traded: Collection[str], faults: Faults
) -> tuple[TokenConfig, ...]:
    """`traded`: the assets of all pairs; a token that is in none of them needs no leave."""
    made = tuple(_token(one, f"tokens[{number}]", traded, faults) for number, one in enumerate(tokens))
    refuse_twins((one.asset for one in made), lambda number: f"tokens[{number}].asset", "token", faults)
    return made


def _token(token: TokenConfig, place: str, traded: Collection[str], faults: Faults) -> TokenConfig:
    asset = token.asset
    with faults.at(f"{place}.asset"):
        asset = parse_asset(token.asset)
        if asset not in traded:
            known = [one for one in traded if TOKEN in one]
            raise RejectedError(f"{asset} is in no pair, so that this allows nothing: {choices(asset, known)}")
        if TOKEN not in asset:
            raise RejectedError(f"{asset} is not a token of a contract: it has no traits to allow")
    names = [str(one) for one in TokenTrait]
    if not token.allow:
        faults.add(f"{place}.allow", f"is empty, so that it allows nothing: {choices('', names)}")
    for name in token.allow:
        if name not in names:
            faults.add(f"{place}.allow", f"{shown(name)} is not a trait: {choices(name, names)}")
    refuse_twins(token.allow, lambda _: f"{place}.allow", "trait", faults)
    return msgspec.structs.replace(token, asset=asset)
