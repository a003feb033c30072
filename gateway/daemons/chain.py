"""The consortium chain as a daemon, and the home that it needs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from core.model.errors import RejectedError
from core.proofs.cometbft.types import KeyKind
from gateway.announce import announce, stop_signals
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.node import ConsortiumNode, GenesisAsset, Pace, init_home


def make_chain_home(home: Path, chain_id: str, validators: int, key_type: str, assets: Sequence[str]) -> str:
    """Make a consortium chain's home; `assets` are `symbol:decimals:issuer`. Returns the genesis hash in hex."""
    try:
        kind = KeyKind(key_type)
    except ValueError:
        raise RejectedError(f"--key-type is {' or '.join(KeyKind)}, not {key_type!r}") from None
    parsed = []
    for text in assets:
        symbol, _, rest = text.partition(":")
        decimals, _, issuer = rest.partition(":")
        if not decimals.isdecimal():
            raise RejectedError(f"--asset {text!r} is not symbol:decimals:issuer-address")
        parsed.append(GenesisAsset(symbol, issuer, int(decimals)))
    return init_home(home, chain_id, validators, kind, parsed).hash.hex()


async def run_chain(home: Path, host: str, port: int, interval_s: float, as_json: bool) -> None:
    """Run the consortium chain in `home` on the embedded engine until a signal."""
    with stop_signals() as stop:
        async with ConsortiumNode(home, host, port, Pace(interval_s=interval_s)) as node:
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


async def _until_first_block(engine: EmbeddedEngine) -> None:
    """A chain that cannot show its first block is not ready: that block's hash is how others pin it."""
    listener = engine.feed.listen()
    try:
        if engine.tip.height == 0:
            await listener.next()
    finally:
        engine.feed.leave(listener)
