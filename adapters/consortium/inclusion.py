"""In which block a transaction is, on a node without an index of transactions: the newest blocks are read for it."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

from adapters.consortium.raw_blocks import RawBlock, fetch_block, fetch_blocks
from adapters.consortium.rpc import CometRpc
from core.model.consortium import transaction_hash
from core.model.errors import NotFoundError
from core.model.types import ChainId, Height

MAX_SCANNED_BLOCKS: Final = 2_000
MAX_SCANNED_ENTRIES: Final = 200_000
"""How far back is read, and how many entries are remembered."""
SCAN_CHUNK: Final = 20
MAX_TAKEN: Final = 4_096

Place = tuple[Height, int]
"""A block's height, and a position in it."""


class BlockScan:
    """The places of all entries in the newest blocks. Blocks of this chain are final, so places stay."""

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain
        self._places: dict[bytes, tuple[Place, ...]] = {}
        self._blocks: deque[tuple[Height, tuple[bytes, ...]]] = deque()
        self._taken: OrderedDict[bytes, Height] = OrderedDict()
        self._reading = asyncio.Lock()

    def taken(self, tx_hash: bytes) -> None:
        """Note that the node took this transaction into its mempool now: no block that was read so far holds it."""
        self._taken.setdefault(tx_hash, self._blocks[-1][0] if self._blocks else Height(0))
        if len(self._taken) > MAX_TAKEN:
            self._taken.popitem(last=False)

    def is_conclusive(self, tx_hash: bytes) -> bool:
        """True if a transaction that `find` does not find is in no block so far."""
        if not self._blocks:
            return False
        return self._blocks[0][0] <= self._taken.get(tx_hash, 0) + 1

    async def find(self, tx_hash: bytes) -> Sequence[Place]:
        """Return each place of the transaction in the blocks that are read: after failing at the gates it may come
        again.

        Raise `RetryableError` if they cannot be read.
        """
        async with self._reading:
            head = (await fetch_block(self._rpc, self._chain)).ref.height
            await self._read_up(head)
            while tx_hash not in self._places and not self.is_conclusive(tx_hash):
                if not await self._read_down(head):
                    break
            return self._places.get(tx_hash, ())

    async def _read_up(self, head: Height) -> None:
        if self._blocks and head - self._blocks[-1][0] > MAX_SCANNED_BLOCKS:
            self._blocks.clear()
            self._places.clear()
        first = self._blocks[-1][0] + 1 if self._blocks else head
        for start in range(first, head + 1, SCAN_CHUNK):
            for block in await self._read(range(start, min(start + SCAN_CHUNK, head + 1))):
                self._blocks.append(self._noted(block))
        while len(self._blocks) > 1 and self._is_full(head):
            height, names = self._blocks.popleft()
            for name in names:
                kept = tuple(place for place in self._places.pop(name, ()) if place[0] != height)
                if kept:
                    self._places[name] = kept

    async def _read_down(self, head: Height) -> bool:
        """Read a chunk of older blocks; False if there is none to read any more."""
        last = self._blocks[0][0] - 1
        first = max(1, last - SCAN_CHUNK + 1, head - MAX_SCANNED_BLOCKS + 1)
        if first > last or len(self._places) >= MAX_SCANNED_ENTRIES:
            return False
        try:
            blocks = await self._read(range(first, last + 1))
        except NotFoundError:  # pruned
            return False
        self._blocks.extendleft(self._noted(block) for block in reversed(blocks))
        return True

    async def _read(self, heights: range) -> Sequence[RawBlock]:
        return await fetch_blocks(self._rpc, self._chain, [Height(height) for height in heights])

    def _noted(self, block: RawBlock) -> tuple[Height, tuple[bytes, ...]]:
        names = tuple(transaction_hash(entry) for entry in block.entries)
        for position, name in enumerate(names):
            self._places[name] = (*self._places.get(name, ()), (block.ref.height, position))
        return block.ref.height, names

    def _is_full(self, head: Height) -> bool:
        return head - self._blocks[0][0] >= MAX_SCANNED_BLOCKS or len(self._places) > MAX_SCANNED_ENTRIES
