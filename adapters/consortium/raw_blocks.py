"""Blocks as a node shows them, checked against their own hashes.

A header's time here is *ledger time*, the clock in the first entry of its block, by which timelocks are judged.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.consortium.rpc import CometRpc, base64_of, bytes_of, parsed
from core.model.consortium import decode_clock, transaction_hash
from core.model.errors import (
    NotFoundError,
    RejectedError,
    RetryableError,
)
from core.model.facts import BlockHeader
from core.model.types import BlockRef, ChainId, ChainTime, Height
from core.proofs import merkle
from core.proofs.cometbft.hashing import header_hash
from core.proofs.cometbft.json import header_from_json, list_from_json, object_from_json
from core.proofs.cometbft.types import Header
from core.runtime.signals import side_by_side

MAX_ENTRIES: Final = 100_000
MAX_KEPT: Final = 16
"""Blocks of this process that were read lately: each is asked for as a head, as a block and as a witness's, and of
several endpoints."""
MAX_KEPT_BYTES: Final = 16 * 1024
"""Of entries: a block with more of them is read again."""


class RawBlock:
    """A `/block` answer that was checked against its own hash."""

    __slots__ = ("chain", "entries", "header", "ref")

    def __init__(self, chain: ChainId, result: Mapping[str, Any]) -> None:
        block = object_from_json(result.get("block"))
        header = header_from_json(block.get("header"))
        claimed = bytes.fromhex(object_from_json(result.get("block_id"))["hash"])
        if header_hash(header) != claimed or f"causeway:{header.chain_id}" != chain:
            raise RejectedError("this block is of another chain, or its hash is not its header's")
        entries = list_from_json(object_from_json(block.get("data")).get("txs"), MAX_ENTRIES)
        self.chain = chain
        self.header: Header = header
        self.entries = tuple(bytes_of(entry) for entry in entries)
        if merkle.root([transaction_hash(entry) for entry in self.entries]) != header.data_hash:
            raise RejectedError("this block's entries are not those that its header names")
        self.ref = BlockRef(chain, Height(header.height), claimed)

    def block_header(self) -> BlockHeader:
        time_ms = decode_clock(self.entries[0] if self.entries else b"")
        moment = ChainTime(self.chain, time_ms // 1_000)
        return BlockHeader(self.ref, self.header.last_block_id.hash, moment)


_kept: OrderedDict[tuple[ChainId, object], tuple[Mapping[str, Any], RawBlock]] = OrderedDict()


def read_block(chain: ChainId, result: Mapping[str, Any]) -> RawBlock:
    """The block of a `/block` answer. Nobody changes the answer afterwards: the same one is not read again.

    Raise whatever reading raises.
    """
    name = chain, object_from_json(result.get("block_id"))["hash"]
    if (known := _kept.get(name)) is not None and known[0] == result:
        return known[1]
    block = RawBlock(chain, result)
    if sum(map(len, block.entries)) <= MAX_KEPT_BYTES:
        _kept[name] = result, block
        if len(_kept) > MAX_KEPT:
            _kept.popitem(last=False)
    return block


async def fetch_block(rpc: CometRpc, chain: ChainId, at: Height | bytes | None = None) -> RawBlock:
    """The newest block, or that of a height or hash. Raise `NotFoundError`."""
    if at is None:
        result = await rpc.call("block")
    elif isinstance(at, bytes):
        result = await rpc.call("block_by_hash", hash=base64_of(at))
        if result.get("block") is None:
            raise NotFoundError(f"{chain} has no block with this hash")
    elif at < 1:
        raise NotFoundError(f"{chain} begins at height 1")
    else:
        result = await rpc.call("block", height=str(at))
    block = parsed(lambda: read_block(chain, result))
    if at is not None and at not in (block.ref.height, block.ref.hash):
        raise RetryableError(f"{rpc.origin} answers with another block than it was asked for")
    return block


async def fetch_blocks(rpc: CometRpc, chain: ChainId, heights: Sequence[Height]) -> list[RawBlock]:
    """Several blocks at once. Raise as `fetch_block`; then nothing is asked any more."""
    return await side_by_side(fetch_block(rpc, chain, height) for height in heights)
