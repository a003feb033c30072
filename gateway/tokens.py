"""The register of tokens: what a traded token shows of itself, held against what the configuration allows."""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.registry import ConnectedChain
from adapters.traits import TokenTrait
from core.model.errors import RejectedError
from core.model.types import AccountId, AssetId, ChainId, chain_of
from gateway.config import RelayerConfig
from gateway.config.tokens import TOKEN


@dataclass(frozen=True, slots=True)
class Shown:
    """The traits of one traded token. `refused`: why no pair with it is offered, None if one is."""

    asset: AssetId
    traits: frozenset[TokenTrait]
    refused: str | None


Looks = Mapping[AssetId, frozenset[TokenTrait] | str]
"""The traits of each token that was looked at, or a sentence about why it is not a token."""


async def look(config: RelayerConfig, chain: ConnectedChain, holder: AccountId | None = None) -> Looks:
    """Look at every token that is followed on the chain, so that a reload may trade any of them. `holder`: our account
    there.

    Raise `RetryableError` while the chain does not answer: a token that nobody has looked at is not offered.
    """
    found: dict[AssetId, frozenset[TokenTrait] | str] = {}
    followed = (asset for one in config.chains if one.id == chain.access.chain for asset in one.assets)
    for asset in map(AssetId, followed):
        if chain.traits is None or TOKEN not in asset:
            continue
        try:
            found[asset] = await chain.traits(asset, holder)
        except RejectedError as error:
            found[asset] = error.message
    return found


def judged(config: RelayerConfig, looks: Looks, chain: ChainId) -> list[Shown]:
    """Hold the traded tokens of a chain against what the configuration allows."""
    found = []
    for asset in traded_tokens(config, chain):
        seen = looks.get(asset, f"nobody has looked at {asset} yet")
        if isinstance(seen, str):
            found.append(Shown(asset, frozenset(), seen))
        else:
            found.append(Shown(asset, seen, _refusal(asset, seen - allowed(config).get(asset, frozenset()))))
    return found


async def register(config: RelayerConfig, chain: ConnectedChain, holder: AccountId | None = None) -> list[Shown]:
    """Look at the chain's tokens and judge those that are traded. Raise as `look`."""
    return judged(config, await look(config, chain, holder), chain.access.chain)


def traded_tokens(config: RelayerConfig, chain: ChainId) -> list[AssetId]:
    """The tokens of contracts on a chain that pairs name."""
    named = dict.fromkeys(AssetId(asset) for pair in config.pairs for asset in (pair.give, pair.get))
    return [asset for asset in named if chain_of(asset) == chain and TOKEN in asset]


def allowed(config: RelayerConfig) -> Mapping[AssetId, frozenset[TokenTrait]]:
    """The traits that the configuration allows, by token."""
    return {AssetId(one.asset): frozenset(map(TokenTrait, one.allow)) for one in config.tokens}


def words(traits: frozenset[TokenTrait]) -> str:
    """The traits in a sentence, in their own order."""
    return ", ".join(one for one in TokenTrait if one in traits)


def _refusal(asset: AssetId, rest: frozenset[TokenTrait]) -> str | None:
    if not rest:
        return None
    listed = ", ".join(f'"{one}"' for one in TokenTrait if one in rest)
    return (
        f"{asset} is {words(rest)}: no pair with it is offered; if you know what that means for it, allow it by name: "
        f'[[tokens]] asset = "{asset}", allow = [{listed}]'
    )
