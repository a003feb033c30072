"""The consortium chain as a daemon on either engine, and the homes that it needs."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from core.model.consortium import caip_chain
from core.model.errors import FatalError, RejectedError
from core.proofs.cometbft.types import KeyKind
from core.runtime.files import locked
from core.runtime.garbage import collect_seldom
from core.runtime.web import Cors
from gateway.announce import announce, stop_signals
from gateway.config import listen_address
from local_chains.consortium.cometbft import (
    CometNetwork,
    NodeAddress,
    find_node_homes,
    init_network,
    local_addresses,
)
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.founding.application import require_place
from local_chains.consortium.node import ConsortiumNode, GenesisAsset, Pace, init_home
from local_chains.consortium.rebuilding import RebuildProgress

ENGINES: Final = ("cometbft", "embedded")
DEFAULT_LISTEN: Final = "127.0.0.1:26657"
DEFAULT_INTERVAL_S: Final = 1.0


def make_chain_home(home: Path, chain_id: str, validators: int, key_type: str, assets: Sequence[str]) -> str:
    """Make a consortium chain's home; `assets` are `symbol:decimals:issuer`. Return the genesis hash in hex."""
    return init_home(home, chain_id, validators, key_kind(key_type), _assets(assets, chain_id)).hash.hex()


def make_network(
    directory: Path,
    engine: str,
    chain_id: str,
    validators: int,
    key_type: str,
    assets: Sequence[str],
    nodes: Sequence[str],
    first_port: int,
) -> str:
    """Make what `engine` needs to run a new network; returns the genesis hash in hex.

    `nodes` are where peers reach each node, `host:port`; none: all on this machine, from `first_port` on.
    """
    if engine not in ENGINES:
        raise RejectedError(f"--engine is {' or '.join(ENGINES)}, not {engine!r}")
    if engine == "embedded":
        if nodes:
            raise RejectedError("--node is for CometBFT: the embedded engine runs all validators in one process")
        return make_chain_home(directory, chain_id, validators, key_type, assets)
    if nodes and len(nodes) != validators:
        raise RejectedError(f"name --node host:port once for each of the {validators} validators, or never")
    places = [NodeAddress(host, port) for host, port in map(require_place, nodes)]
    addresses = places or local_addresses(validators, first_port)
    kind = key_kind(key_type)
    return init_network(
        directory, chain_id, validators, kind, _assets(assets, chain_id), addresses=addresses
    ).hash.hex()


def key_kind(key_type: str) -> KeyKind:
    """Raise `RejectedError` for a kind that validators' keys cannot have."""
    try:
        return KeyKind(key_type)
    except ValueError:
        raise RejectedError(f"--key-type is {' or '.join(KeyKind)}, not {key_type!r}") from None


def _assets(texts: Sequence[str], chain_id: str) -> list[GenesisAsset]:
    """Parse `symbol:decimals:issuer-address`; the issuer may be an account of this very chain, too (CAIP-10)."""
    parsed = []
    for text in texts:
        symbol, _, rest = text.partition(":")
        decimals, _, issuer = rest.partition(":")
        issuer = issuer.removeprefix(f"{caip_chain(chain_id)}:")
        if not decimals.isdecimal():
            raise RejectedError(f"--asset {text!r} is not symbol:decimals:issuer-address")
        parsed.append(GenesisAsset(symbol, issuer, int(decimals)))
    return parsed


async def run_chain(
    home: Path,
    listen: str | None,
    interval_s: float | None,
    as_json: bool,
    keep_blocks: int | None = None,
    cors_origins: Sequence[str] = (),
) -> None:
    """Run what is in `home` until a signal: CometBFT nodes if there are such, else the embedded engine."""
    if not find_node_homes(home):
        host, port = listen_address(listen or DEFAULT_LISTEN)
        cors = Cors(cors_origins)
        await _run_embedded(home, host, port, interval_s or DEFAULT_INTERVAL_S, as_json, keep_blocks or 0, cors)
        return
    if listen is not None or interval_s is not None or keep_blocks is not None or cors_origins:
        raise RejectedError(
            f"{home} is run by CometBFT: set [rpc] laddr and cors_allowed_origins, [consensus] timeout_commit and "
            "[causeway] keep_blocks in each node's config/config.toml instead of --listen, --cors-origin, --interval-s "
            "and --keep-blocks"
        )
    await _run_comet(home, as_json)


async def _run_embedded(
    home: Path, host: str, port: int, interval_s: float, as_json: bool, keep_blocks: int, cors: Cors
) -> None:
    collect_seldom()
    with stop_signals() as stop:
        pace, progress = Pace(interval_s=interval_s), RebuildProgress()
        async with ConsortiumNode(
            home, host, port, pace, progress=progress, keep_blocks=keep_blocks, cors=cors
        ) as node:
            ended = asyncio.ensure_future(node.wait())
            asked = asyncio.ensure_future(stop.wait())
            await _until_first_block(node.engine)
            announce("consortium chain", node.rpc_url, as_json)
            await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if ended.done():
                ended.result()
            await node.stop()
            await ended


async def _run_comet(directory: Path, as_json: bool) -> None:
    """A node that ends by itself ends the run: whoever keeps it alive is to start it again."""
    with ExitStack() as stack:
        for home in find_node_homes(directory):
            stack.enter_context(locked(home / "node", "one home is for one node; stop it first"))
        await _run_nodes(directory, as_json)


async def _run_nodes(directory: Path, as_json: bool) -> None:
    with stop_signals() as stop:
        async with CometNetwork(directory) as network:
            count = len(network.nodes)
            name = "CometBFT node" if count == 1 else f"network of {count} CometBFT nodes"
            announce(name, network.nodes[0].rpc_url, as_json)
            ended, asked = asyncio.ensure_future(network.wait()), asyncio.ensure_future(stop.wait())
            await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            if not ended.done():
                ended.cancel()
                return
            node = ended.result()
            raise FatalError(
                f"the node in {node.home} ended by itself: {node.why_ended()}. Its logs are in {node.home / 'data'}"
            )


async def _until_first_block(engine: EmbeddedEngine) -> None:
    """A chain that cannot show its first block is not ready: that block's hash is how others pin it."""
    listener = engine.feed.listen()
    try:
        if engine.tip.height == 0:
            await listener.next()
    finally:
        engine.feed.leave(listener)
