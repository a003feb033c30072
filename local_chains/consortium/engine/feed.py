"""Committed blocks, handed to whoever listens, in bounded queues."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.model.errors import RetryableError
from core.proofs.cometbft.types import Block, BlockId, Commit
from local_chains.consortium.ledger.execution import Result
from local_chains.consortium.ledger.members import ValidatorUpdate
from local_chains.consortium.state.store import StoredBlock

MAX_PENDING_BLOCKS: Final = 200
MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
"""Of the blocks that one listener has not taken yet. All listeners share the same blocks."""
MAX_LISTENERS: Final = 200


@dataclass(frozen=True, slots=True)
class CommittedBlock:
    """A block that is durable, with everything it did; `results` has one entry per entry of the block."""

    block: Block
    block_id: BlockId
    commit: Commit
    results: Sequence[Result]
    validator_updates: Sequence[ValidatorUpdate]
    stored: StoredBlock

    @property
    def height(self) -> int:
        return self.block.header.height

    @property
    def size_bytes(self) -> int:
        """Of what is stored of it, the larger part of what it takes in memory."""
        return len(self.stored.block) + len(self.stored.results)


class Listener:
    """One listener's queue. It is cut off when it falls `MAX_PENDING_BLOCKS` or `MAX_PENDING_BYTES` behind, or when the
    feed ends."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[CommittedBlock | None] = asyncio.Queue()
        self._bytes = 0

    async def next(self) -> CommittedBlock:
        """The next block. Raise `RetryableError` when cut off."""
        committed = await self._queue.get()
        if committed is None:
            self._queue.put_nowait(None)
            raise RetryableError("no more blocks will come to this listener: subscribe again")
        self._bytes -= committed.size_bytes
        return committed

    def push(self, committed: CommittedBlock) -> bool:
        """False when the listener is too slow."""
        behind = self._queue.qsize()
        if behind >= MAX_PENDING_BLOCKS or (behind and self._bytes + committed.size_bytes > MAX_PENDING_BYTES):
            return False
        self._bytes += committed.size_bytes
        self._queue.put_nowait(committed)
        return True

    def end(self) -> None:
        self._queue.put_nowait(None)


class Feed:
    """All listeners of one engine."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._ended = False

    def listen(self) -> Listener:
        """Hear of every block from now on. Raise `RetryableError` when too many listen."""
        if len(self._listeners) >= MAX_LISTENERS:
            # In CometBFT's words, as its clients know them.
            raise RetryableError(f"max_subscription_clients {MAX_LISTENERS} reached")
        listener = Listener()
        if self._ended:
            listener.end()
        else:
            self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    def publish(self, committed: CommittedBlock) -> None:
        for listener in list(self._listeners):
            if not listener.push(committed):
                listener.end()
                self._listeners.discard(listener)

    def end(self) -> None:
        """Nothing will be published any more."""
        self._ended = True
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()
