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


async def register(config: RelayerConfig, chain: ConnectedChain, holder: AccountId | None = None) -> list[Shown]:
    """Look at every token of the chain that a pair names. `holder`: our account there.

    Raise `RetryableError` while the chain does not answer: a token that nobody has looked at is not offered.
    """
    found = []
    for asset in traded_tokens(config, chain.access.chain):
        if chain.traits is None:
            continue
        try:
            traits = await chain.traits(asset, holder)
        except RejectedError as error:
            found.append(Shown(asset, frozenset(), error.message))
            continue
        found.append(Shown(asset, traits, _refusal(asset, traits - allowed(config).get(asset, frozenset()))))
    return found


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
