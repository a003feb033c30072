"""A real CometBFT network on free ports, and what tests ask of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.model.consortium import AccountLeaf, account_key, decode_leaf, transaction_hash
from core.model.errors import RejectedError
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.types import Block, KeyKind, SignedHeader, ValidatorSet
from core.proofs.smt import SmtProof, decode_proof
from core.runtime.sockets import free_port
from local_chains.consortium.cometbft import (
    CometNetwork,
    CometNode,
    NodeAddress,
    find_cometbft,
    init_network,
)
from local_chains.consortium.engine.home import Genesis
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset
from tests.local_chains.consortium.support import ACCOUNTS, ASSETS, CHAIN, Actor
from tests.support import eventually

BLOCK_TIME_MS = 200
BLOCKS_DEADLINE_S = 60.0


def need_cometbft() -> None:
    """Skip if there is no binary; `make cometbft` builds it."""
    try:
        find_cometbft()
    except RejectedError as error:
        pytest.skip(error.message)


def make_network(
    directory: Path,
    key_type: KeyKind = KeyKind.SECP256K1_ETH,
    assets: Sequence[GenesisAsset] = ASSETS,
    accounts: Sequence[GenesisAccount] = ACCOUNTS,
    validators: int = 4,
) -> Genesis:
    """Homes of a network whose ports were free a moment ago."""
    addresses = [NodeAddress(peer_port=free_port(), rpc_port=free_port()) for _ in range(validators)]
    return init_network(directory, CHAIN, validators, key_type, assets, accounts, addresses, BLOCK_TIME_MS)


async def reached(nodes: Sequence[CometNode], height: int) -> None:
    """Return when every node has the block at `height`."""
    for node in nodes:

        async def there(node: CometNode = node) -> bool:
            return await node.height() >= height

        await eventually(there, BLOCKS_DEADLINE_S, 0.1)


async def begun(nodes: Sequence[CometNode], height: int) -> None:
    """Return when every node of a network that was just started has this block, and takes transactions: a node may look
    for blocks that others have for some seconds, and takes none meanwhile."""
    await reached(nodes, height)
    for node in nodes:
        await takes_part(node)


async def more_blocks(network: CometNetwork, count: int = 2) -> int:
    """Return when every running node is so many blocks further; the height they all have then."""
    running = [node for node in network.nodes if node.running]
    height = max([await node.height() for node in running]) + count
    await reached(running, height)
    return height


async def takes_part(node: CometNode) -> None:
    """Return when a node that was down has caught up: until then it takes no transactions."""

    async def caught_up() -> bool:
        return not (await node.call("status"))["sync_info"]["catching_up"]

    await eventually(caught_up, BLOCKS_DEADLINE_S, 0.2)


async def broadcast(node: CometNode, raw: bytes) -> dict[str, Any]:
    """The answer of broadcast_tx_sync."""
    answer: dict[str, Any] = await node.call("broadcast_tx_sync", tx=comet_json.bytes_to_base64(raw))
    return answer


@dataclass(frozen=True)
class Included:
    height: int
    index: int
    code: int
    log: str


async def included(node: CometNode, raw: bytes) -> Included:
    """Return the place of a transaction, once it is in a block that this node has indexed."""
    name = comet_json.bytes_to_base64(transaction_hash(raw))

    async def found() -> Included | None:
        try:
            answer = await node.call("tx", hash=name, prove=True)
        except RejectedError:
            return None
        result = answer["tx_result"]
        return Included(int(answer["height"]), answer["index"], result["code"], result["log"])

    answer = await eventually(found, BLOCKS_DEADLINE_S, 0.1)
    assert answer is not None
    return answer


async def signed_header(node: CometNode, height: int) -> SignedHeader:
    return comet_json.signed_header_from_json((await node.call("commit", height=str(height)))["signed_header"])


async def validators(node: CometNode, height: int) -> ValidatorSet:
    return comet_json.validator_set_from_json((await node.call("validators", height=str(height)))["validators"])


async def block(node: CometNode, height: int) -> Block:
    return comet_json.block_from_json((await node.call("block", height=str(height)))["block"])


async def state_at(node: CometNode, key: bytes, height: int = 0) -> tuple[bytes | None, SmtProof, int]:
    """(leaf, proof, height of the state) by abci_query."""
    answer = await node.call("abci_query", path="/store", data=key.hex(), height=str(height), prove=True)
    response = answer["response"]
    assert response["code"] == 0, response["log"]
    [op] = response["proofOps"]["ops"]
    value = comet_json.bytes_from_base64(response["value"]) or None
    return value, decode_proof(comet_json.bytes_from_base64(op["data"])), int(response["height"])


async def account(node: CometNode, actor: Actor) -> AccountLeaf:
    leaf, _, _ = await state_at(node, account_key(actor.address))
    return AccountLeaf(0, ()) if leaf is None else decode_leaf(leaf, AccountLeaf)
