"""A chain whose branches a test writes down itself, down to reorgs that no honest chain would make."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from core.model.errors import NotFoundError, NotYetFinalError, ReorgedError
from core.model.facts import Block, BlockHeader, ChainEvent, HeadUpdate, LoggedEvent, Transferred
from core.model.ports import ChainTiming
from core.model.types import (
    AccountId,
    Asset,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Height,
    Seconds,
)

CHAIN = ChainId("scripted:1")


@dataclass(frozen=True, slots=True)
class Parameters:
    chain: ChainId = CHAIN
    genesis_hash: bytes = b"\1" * 32
    timing: ChainTiming = field(default_factory=lambda: ChainTiming(*(Seconds(1),) * 6))
    assets: Mapping[AssetId, Asset] = field(default_factory=dict)
    htlc_code_hash: bytes = b""
    htlc_holder: AccountId | None = None
    contract_names: Mapping[AccountId, str] = field(default_factory=dict)


class ScriptedChain:
    """`blocks` is the canonical branch, from height 0. `before_call` runs before each answer and may change it."""

    def __init__(self, chain: ChainId = CHAIN) -> None:
        self.chain = chain
        self.blocks: list[Block] = []
        self.final = 0
        self.calls = 0
        self.before_call: Callable[[int], None] = lambda _: None
        self._changed = asyncio.Event()
        self._mined = 0
        self.extend(1)

    def extend(self, count: int, events: Callable[[int], Sequence[ChainEvent]] | None = None) -> None:
        for _ in range(count):
            self._mined += 1
            height = len(self.blocks)
            parent = self.blocks[-1].header.ref.hash if self.blocks else b""
            digest = hashlib.sha256(f"{self.chain}/{height}/{self._mined}/".encode() + parent).digest()
            ref = BlockRef(self.chain, Height(height), digest)
            made = events(height) if events else self._transfers(height)
            logged = tuple(
                LoggedEvent(ref, hashlib.sha256(digest + index.to_bytes(4, "big")).digest(), index, event)
                for index, event in enumerate(made)
            )
            self.blocks.append(Block(BlockHeader(ref, parent, ChainTime(self.chain, 1_000 + height)), logged))
        self._tell()

    def _transfers(self, height: int) -> list[ChainEvent]:
        receiver = AccountId(f"{self.chain}:{self._mined:040x}")
        token = AssetId(f"{self.chain}/asset:coin")
        return [Transferred(token, None, receiver, BaseUnits(10**20 + i)) for i in range(self._mined % 3)]

    def reorg(self, depth: int, length: int) -> None:
        """Replace the newest `depth` blocks; nothing stops it at what was final."""
        del self.blocks[len(self.blocks) - depth :]
        self.extend(length)

    def shorten(self, depth: int) -> None:
        del self.blocks[len(self.blocks) - depth :]
        self._tell()

    def switch(self, blocks: list[Block]) -> None:
        """Return to a branch that was there before."""
        self.blocks = list(blocks)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def update(self) -> HeadUpdate:
        final = min(self.final, len(self.blocks) - 1)
        return HeadUpdate(self.blocks[-1].header, self.blocks[final].header)

    def _called(self) -> None:
        self.calls += 1
        self.before_call(self.calls)

    async def head(self) -> HeadUpdate:
        self._called()
        return self.update

    async def final_block(self, height: Height) -> BlockHeader:
        if height > self.update.finalized.height:
            raise NotYetFinalError("not final yet")
        return await self.header(height)

    async def heads(self) -> AsyncIterator[HeadUpdate]:
        while True:
            changed = self._changed
            yield self.update
            await changed.wait()

    async def header(self, at: Height | bytes) -> BlockHeader:
        self._called()
        if isinstance(at, bytes) or not 0 <= at < len(self.blocks):
            raise NotFoundError("no such block")
        return self.blocks[at].header

    async def blocks_between(self, first: Height, last: Height) -> Sequence[Block]:
        self._called()
        if last >= len(self.blocks):
            raise (ReorgedError if first < len(self.blocks) else NotFoundError)("beyond the head")
        return tuple(self.blocks[first : last + 1])


class ScriptedBlocks:
    """The `BlockSource` of a scripted chain."""

    def __init__(self, chain: ScriptedChain) -> None:
        self._chain = chain

    async def header(self, at: Height | bytes) -> BlockHeader:
        return await self._chain.header(at)

    async def blocks(self, first: Height, last: Height) -> Sequence[Block]:
        return await self._chain.blocks_between(first, last)
