"""State sync over ABCI: what a node offers to newcomers, and how a newcomer takes what it is offered.

Source: CometBFT spec "ABCI 2.0", snapshot methods; `statesync/syncer.go` for who checks what.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from core.model.errors import FatalError
from local_chains.consortium.engine.abci import messages
from local_chains.consortium.engine.abci.messages import ChunkVerdict, OfferVerdict
from local_chains.consortium.state.ledger_state import LedgerState
from local_chains.consortium.state.snapshots import (
    FORMAT,
    Restoration,
    SnapshotFiles,
    Verdict,
    acceptable,
)

MIN_INTERVAL: Final = 10
"""The fewest heights between snapshots: newcomers need a while to fetch one."""

_log = structlog.get_logger(__name__)

Restore = Callable[[Restoration], Awaitable[None]]
"""Makes a complete restoration the application's state."""


class StateSync:
    """One node's snapshots. `interval` heights lie between them; 0: it takes none."""

    def __init__(self, files: SnapshotFiles, interval: int, restore: Restore) -> None:
        self._files = files
        self._interval = interval
        self._restore = restore
        self._taking: asyncio.Task[None] | None = None
        self._incoming: Restoration | None = None

    @property
    def oldest(self) -> int | None:
        """The height of the oldest snapshot that is offered; blocks after it must be kept for who starts from it."""
        offered = self._files.newest_first
        return offered[-1].height if offered else None

    @property
    def heights(self) -> list[int]:
        """The heights of the snapshots that are offered, the newest first."""
        return [snapshot.height for snapshot in self._files.newest_first]

    def committed(self, state: LedgerState) -> None:
        """Begin a snapshot if one is due, in a thread of its own."""
        due = self._interval and state.height % self._interval == 0
        if due and (self._taking is None or self._taking.done()):
            self._taking = asyncio.create_task(self._take(state.height, dict(state.leaves)))

    async def close(self) -> None:
        """Wait for a snapshot in hand: a thread cannot be stopped."""
        if self._taking is not None:
            await self._taking

    async def _take(self, height: int, leaves: dict[bytes, bytes]) -> None:
        try:
            snapshot = await asyncio.to_thread(self._files.take, height, leaves)
        except (FatalError, MemoryError) as error:
            # The chain itself is not touched: a full disk ends the node where it would lose something.
            _log.error("no snapshot", reason=str(error) or type(error).__name__)
            return
        _log.info("snapshot taken", height=height, chunks=snapshot.chunks, leaves=len(leaves))

    def list(self) -> bytes:
        return messages.list_snapshots(self._files.newest_first)

    async def load(self, request: messages.LoadSnapshotChunk) -> bytes:
        return messages.load_snapshot_chunk(
            await asyncio.to_thread(self._files.chunk, request.height, request.format, request.chunk)
        )

    def offer(self, request: messages.OfferSnapshot, height: int) -> bytes:
        """`height` is the application's own: whoever has blocks takes no snapshot."""
        snapshot = messages.decode_snapshot(request.snapshot)
        if height:
            return messages.offer_snapshot(OfferVerdict.ABORT)
        if snapshot.format != FORMAT:
            return messages.offer_snapshot(OfferVerdict.REJECT_FORMAT)
        if not acceptable(snapshot):
            return messages.offer_snapshot(OfferVerdict.REJECT)
        self._incoming = Restoration(snapshot, request.app_hash)
        return messages.offer_snapshot(OfferVerdict.ACCEPT)

    async def apply(self, request: messages.ApplySnapshotChunk) -> bytes:
        incoming = self._incoming
        if incoming is None:
            raise FatalError("the node applies a snapshot that was not offered")
        if request.index != incoming.expected:
            # The node hands them over in order, or begins again.
            self._incoming = Restoration(incoming.snapshot, incoming.app_hash)
            return messages.apply_snapshot_chunk(ChunkVerdict.RETRY_SNAPSHOT)
        verdict = await asyncio.to_thread(incoming.add, request.chunk)
        if verdict is Verdict.DAMAGED:
            return messages.apply_snapshot_chunk(ChunkVerdict.RETRY, request.index, request.sender)
        if verdict is Verdict.WORTHLESS:
            self._incoming = None
            _log.warning("a snapshot is not what it says", height=incoming.snapshot.height, sender=request.sender)
            return messages.apply_snapshot_chunk(ChunkVerdict.REJECT_SNAPSHOT)
        if incoming.complete:
            await self._restore(incoming)
            self._incoming = None
            _log.info("state restored", height=incoming.snapshot.height, leaves=len(incoming.leaves))
        return messages.apply_snapshot_chunk(ChunkVerdict.ACCEPT)
