"""Attested foreign headers."""

from adapters.consortium.messages import attest
from adapters.consortium.rpc import CometRpc, parsed
from adapters.consortium.state import read_count, read_leaf
from core.model.consortium import HeaderLeaf, attested_header_key, attested_latest_key
from core.model.errors import RetryableError
from core.model.facts import BlockHeader
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, BlockRef, ChainId, Height


class ConsortiumBridgeBuilder:
    """`BridgeBuilder`."""

    def __init__(self, rpc: CometRpc) -> None:
        self._rpc = rpc

    def attest(self, header: BlockHeader, sender: AccountId) -> UnsignedTransaction:
        return attest(header, sender)

    async def attested(self, chain: ChainId) -> BlockRef | None:
        height = Height(await read_count(self._rpc, attested_latest_key(chain)))
        if not height:
            return None
        leaf = await read_leaf(self._rpc, attested_header_key(chain, height), HeaderLeaf)
        if leaf is None:
            raise RetryableError(f"{chain} is attested up to {height}, but that header is not there")
        block_hash = leaf.block_hash
        return parsed(lambda: BlockRef(chain, height, block_hash))
