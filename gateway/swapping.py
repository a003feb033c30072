"""`causeway swap`: one atomic swap with a relayer, step by step, on a devnet or with a configuration of one's own."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.registry import ConnectedChain
from core.model.errors import RejectedError
from core.model.types import Asset, ChainId
from gateway import wiring
from gateway.amounts import base_units, named_asset, readable
from gateway.config import ChainConfig, SwapConfig
from gateway.config.trading import POLICIES
from gateway.connect import connect
from gateway.devnet.info import DevnetInfo
from htlc.timelocks import DEVNET_POLICY, SwapPolicy
from relayer.client import SwapClient, SwapProgress
from relayer.keys.keystore import read_keystore, read_passphrase


@dataclass(frozen=True, slots=True)
class Stage:
    """Whoever swaps, with whom and on what chains. `keys` are private keys by chain; `nicknames` name assets."""

    relayer: str
    relayer_key: bytes | None
    chains: Sequence[ChainConfig]
    keys: Mapping[ChainId, bytes] = field(repr=False)
    store: Path
    policy: SwapPolicy
    nicknames: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """The swap that somebody asks for, in their words."""

    amount: str
    give: str
    get: str


def of_config(config: SwapConfig, base: Path) -> Stage:
    """Raise `RejectedError` for a keystore that does not open or lacks a key, `FatalError` without its passphrase."""
    keys = read_keystore(base / config.keystore, read_passphrase(variable=config.passphrase_env))
    return Stage(
        config.relayer,
        bytes.fromhex(config.relayer_key),
        config.chains,
        {ChainId(one.chain): keys.key(one.key).expose() for one in config.accounts},
        base / config.store,
        POLICIES[config.policy],
    )


def of_devnet(info: DevnetInfo, directory: Path, user: str, relayer: str | None) -> Stage:
    """Raise `RejectedError` for a relayer or a user that is not there."""
    name = relayer or next(iter(info.relayers))
    if name not in info.relayers:
        raise RejectedError(f"there is no relayer {name!r} here: choose one of {', '.join(info.relayers)}")
    keys = info.user(user)
    return Stage(
        info.relayers[name],
        None,
        info.chains,
        {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)},
        directory / "dapps" / f"{user}.sqlite",
        DEVNET_POLICY,
        {"eth": info.ether, "usdx": info.token, "cnyd": info.yuan},
    )


async def make(stage: Stage, asked: Asked, show: Callable[[str], None], agree: Callable[[str], bool]) -> dict[str, Any]:
    """Take up what was interrupted, then make one swap, and return its id, outcome and price.

    `show` hears each step; `agree` is asked with the price before anything is agreed. Raise what the client raises.
    """
    async with _opened(stage) as (client, assets):

        def step(made: SwapProgress) -> None:
            place = "" if made.height is None else f"  {made.chain} block {made.height}"
            transaction = "" if made.tx_hash is None else f"  tx {made.tx_hash.hex()}"
            show(f"{made.step:<22}{made.message}{place}{transaction}")

        given, wanted = (named_asset(assets, stage.nicknames.get(one.lower(), one)) for one in (asked.give, asked.get))
        for open_swap in await client.unfinished():
            show(f"swap {open_swap.id} was interrupted and goes on:")
            await client.resume(open_swap.id, step)
        quote = await client.quote(given.id, wanted.id, initiator_amount=base_units(given, asked.amount))
        price = f"{readable(given, quote.initiator_amount)} for {readable(wanted, quote.participant_amount)}"
        show(f"quote                 {price}")
        if not agree(price):
            return {"id": None, "outcome": "declined"}
        outcome = await client.run(await client.open(quote), step)
    show(f"{outcome.phase}  swap {outcome.swap_id}")
    return {"id": outcome.swap_id, "outcome": str(outcome.phase), "gave": price}


@asynccontextmanager
async def _opened(stage: Stage) -> AsyncIterator[tuple[SwapClient, list[Asset]]]:
    async with (
        wiring.connected(stage.chains) as chains,
        connect(stage.relayer, chains, stage.keys, stage.store, stage.policy, stage.relayer_key) as client,
    ):
        yield client, _assets(chains)


def _assets(chains: Mapping[ChainId, ConnectedChain]) -> list[Asset]:
    return [asset for chain in chains.values() for asset in chain.access.parameters.assets.values()]
