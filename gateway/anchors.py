"""Anchors: taken from nodes of a consortium chain, to be compared out of band, and moved on by the light client."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, TypeVar

from adapters.beacon import BeaconApi, BeaconNode, Follower
from adapters.beacon.stating import calls_final, stated_checkpoint, stated_network
from adapters.consortium.prover import DEFAULT_TRUSTING_PERIOD_S, ConsortiumProver
from adapters.consortium.raw_blocks import fetch_block
from adapters.consortium.rpc import CometRpc, parsed
from adapters.observed import origin
from core.model.beacon import BeaconAnchor
from core.model.consortium import caip_chain
from core.model.errors import CausewayError, DisagreementError, RejectedError, RetryableError
from core.model.identifiers import parse_chain
from core.model.questions import Anchor
from core.model.types import ChainId, Height, Seconds
from core.proofs.beacon.chain import SyncChain, verify_sync_chain
from core.proofs.beacon.containers import LightHeader
from core.proofs.cometbft.hashing import header_hash
from core.proofs.cometbft.json import object_from_json, signed_header_from_json
from core.proofs.errors import TrustExpiredError
from core.proofs.evidence import verify_trail
from core.proofs.evidence.beacon_anchors import MAX_BEACON_TRUSTING_PERIOD_S
from core.runtime.signals import side_by_side
from gateway.config import ChainConfig

FIRST: Final = Height(1)
MAX_NODES: Final = 16

CONSORTIUM: Final = "consortium"
T = TypeVar("T")


async def fetch_anchor(
    urls: Sequence[str], height: Height | None = None, trusting_period_s: Seconds = DEFAULT_TRUSTING_PERIOD_S
) -> Anchor:
    """The anchor at `height` (None: the newest that all nodes have) as all of these nodes state it.

    Raise `DisagreementError` if they contradict each other, `RejectedError` for no or too many nodes, and what
    connecting raises. Nodes that agree may still all be one liar's: compare it out of band.
    """
    if not 0 < len(urls) <= MAX_NODES:
        raise RejectedError(f"name 1 to {MAX_NODES} nodes of the chain")
    async with _clients(urls) as clients:
        stated = await asyncio.gather(*map(_stated, clients))
        chain, genesis_hash = _same([(one[0], one[1]) for one in stated], urls, "chain and first block")
        height = min(one[2] for one in stated) if height is None else height
        provers = [ConsortiumProver(client, chain, genesis_hash, height) for client in clients]
        anchors = await asyncio.gather(*(prover.anchor(trusting_period_s) for prover in provers))
    return _same(list(anchors), urls, f"block {height}")


async def update_anchor(anchor: Anchor, urls: Sequence[str], now_s: int | None = None) -> Anchor:
    """The anchor at the newest header to which the light client gets from `anchor`; nothing that nodes say is believed.

    Raise a `ProofError` if the way there does not hold, such as `TrustExpiredError`; the first node that shows a way is
    enough, since it proves itself.
    """
    failure: CausewayError = RejectedError("name a node of the chain")
    async with _clients(urls) as clients:
        for client in clients:
            prover = ConsortiumProver(client, anchor.chain, anchor.genesis_hash, anchor.trusted_height)
            try:
                trail = await prover.trail(Height(max(await prover.provable_height() + 1, anchor.trusted_height)))
                header = verify_trail(trail, anchor, int(time.time()) if now_s is None else now_s)
            except CausewayError as error:
                failure = error
                continue
            return replace(anchor, trusted_height=Height(header.height), trusted_hash=header_hash(header))
    raise failure


def consortium_of(chains: Sequence[ChainConfig], chain: ChainId | None) -> ChainConfig:
    """The configured consortium chain of this id, None for the only one. Raise `RejectedError`."""
    found = [one for one in chains if one.kind == CONSORTIUM and chain in (None, one.id)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(one.id for one in chains if one.kind == CONSORTIUM) or "none"
    if chain is not None and not chain.startswith("causeway:"):
        raise RejectedError(f"the anchor of {chain} is a beacon block: name beacon nodes with --beacon")
    raise RejectedError(f"{chain or 'the chain'} is not clear: name one with --chain (configured: {known}), or --rpc")


def require_chain(found: Anchor, chain: ChainId | None, genesis: str | None) -> None:
    """Raise `RejectedError` if an anchor is of another chain than was named, or has another first block than is
    configured (hex)."""
    if chain is not None and found.chain != chain:
        raise RejectedError(f"these nodes serve {found.chain}, not {chain}")
    if genesis is not None and found.genesis_hash.hex() != genesis.removeprefix("0x").lower():
        raise RejectedError(f"the first block of {found.chain} is not the configured one: do not trust these nodes")


async def fetch_beacon_anchor(
    urls: Sequence[str],
    root: bytes | None = None,
    trusting_period_s: Seconds = DEFAULT_TRUSTING_PERIOD_S,
    now_s: Callable[[], float] = time.time,
) -> tuple[BeaconAnchor, LightHeader]:
    """The anchor at the block with this root (None: the newest that all nodes call final) as all of these beacon nodes
    state it, and that block's header, proven by the root.

    Raise `DisagreementError` if they contradict each other, `RejectedError` for no or too many nodes, `RetryableError`
    if one does not answer or none has the light client data that evidence begins with. Nodes that agree may still all
    be one liar's: compare it out of band.
    """
    if not 0 < len(urls) <= MAX_NODES:
        raise RejectedError(f"name 1 to {MAX_NODES} beacon nodes")
    if not 0 < trusting_period_s <= MAX_BEACON_TRUSTING_PERIOD_S:
        most = MAX_BEACON_TRUSTING_PERIOD_S // 86_400
        raise RejectedError(f"a beacon block is trusted for {most} days at most, not {trusting_period_s // 86_400}")
    nodes = [BeaconNode(url) for url in urls]
    try:
        chain, network = _same(await side_by_side(map(stated_network, nodes)), urls, "the network")
        if root is None:
            # The nodes need not be at the same epoch: the others have called the oldest of these final, too.
            root = min(await side_by_side(map(stated_checkpoint, nodes)), key=lambda one: one.epoch).root
        for node, final in zip(nodes, await side_by_side(calls_final(one, root) for one in nodes), strict=True):
            if not final:
                raise DisagreementError(f"{node.name} does not call the block {root.hex()} final")
    finally:
        for node in nodes:
            await node.close()
    anchor = BeaconAnchor(chain, network, root, trusting_period_s)
    return anchor, await _beacon_header(anchor, urls, int(now_s()))


async def _beacon_header(anchor: BeaconAnchor, urls: Sequence[str], now_s: int) -> LightHeader:
    """The header of the anchor's block. The first node that shows a right one is enough."""
    failure: CausewayError = RejectedError("name a beacon node")
    for url in urls:
        api = BeaconApi(url, anchor.network)
        try:
            return verify_sync_chain(SyncChain(await api.bootstrap(anchor.trusted_root)), anchor, now_s)
        except TrustExpiredError:
            raise
        except CausewayError as error:
            failure = error
        finally:
            await api.close()
    raise RetryableError(
        f"no node has light client data of the block {anchor.trusted_root.hex()}: take a newer one, or other nodes "
        f"({failure.message})"
    )


async def update_beacon_anchor(
    anchor: BeaconAnchor, urls: Sequence[str], now_s: Callable[[], float] = time.time
) -> BeaconAnchor:
    """The anchor at the newest final beacon block to which sync committees lead from `anchor`; nothing that nodes say
    is believed. Raise `TrustExpiredError`, or `RetryableError` if no node shows a way that holds."""
    if len(urls) > MAX_NODES:
        raise RejectedError(f"name 1 to {MAX_NODES} beacon nodes")
    follower = Follower(anchor, [BeaconApi(url, anchor.network) for url in urls], now_s)
    try:
        final = await follower.final()
    finally:
        await follower.close()
    return replace(anchor, trusted_root=final.root)


def parse_root(text: str) -> bytes:
    """The root of a beacon block as people write it, in hex with 0x or without. Raise `RejectedError`."""
    digits = text.strip().removeprefix("0x").replace(" ", "")
    if re.fullmatch(r"[0-9a-fA-F]{64}", digits) is None:
        raise RejectedError(f"{text[:80]!r} is not a block's root: write its 64 hex digits")
    return bytes.fromhex(digits)


def in_groups(raw: bytes) -> str:
    """Hex in groups of eight, for reading out on a telephone."""
    digits = raw.hex()
    return " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))


@asynccontextmanager
async def _clients(urls: Sequence[str]) -> AsyncIterator[list[CometRpc]]:
    clients = [CometRpc(url) for url in urls]
    try:
        yield clients
    finally:
        for client in clients:
            await client.close()


async def _stated(client: CometRpc) -> tuple[ChainId, bytes, Height]:
    """(chain, hash of its first block, newest height) in the node's own words."""
    answer = await client.call("commit")
    header = parsed(lambda: signed_header_from_json(object_from_json(answer.get("signed_header")))).header
    chain = parse_chain(caip_chain(header.chain_id))
    return chain, (await fetch_block(client, chain, FIRST)).ref.hash, Height(header.height)


def _same(found: Sequence[T], urls: Sequence[str], what: str) -> T:
    if any(one != found[0] for one in found):
        said = "; ".join(f"{origin(url)}: {one}" for url, one in zip(urls, found, strict=True))
        raise DisagreementError(f"the nodes state different things about {what}: {said}")
    return found[0]
