"""Snapshots of the state, by which a new node starts without replaying the chain (CometBFT spec "State sync").

Format 1: all leaves in the order of their keys, in chunks of about `CHUNK_BYTES`, each a MessagePack array of
(key, leaf). A snapshot's metadata are its chunks' SHA-256 hashes one after another, and its hash is that of the
metadata, so every chunk is checked as it comes. What the leaves are worth is checked last, by the app hash that a light
client has verified.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

import msgspec

from core.model.errors import FatalError
from core.runtime.files import make_directory, replace_file, sync_directory
from local_chains.consortium.state.tree import Node, build, root_hash

FORMAT: Final = 1
CHUNK_BYTES: Final = 4 * 1024 * 1024
"""CometBFT carries at most 16 MB in one message."""
MAX_CHUNK_BYTES: Final = 2 * CHUNK_BYTES
"""An honest chunk ends with the leaf that fills it, and no leaf is nearly so large as a chunk."""
MAX_STATE_BYTES: Final = 2 * 1024 * 1024 * 1024
"""The memory that a state which is taken over may take before its app hash is known, with `LEAF_BYTES` for each
leaf."""
LEAF_BYTES: Final = 256
MAX_CHUNKS: Final = MAX_STATE_BYTES // CHUNK_BYTES
KEPT_SNAPSHOTS: Final = 2
HELD_S: Final = 600.0
"""Seconds for which an older snapshot stays after somebody asked for a chunk of it: CometBFT takes no other then."""
MAX_HELD: Final = 2
HASH_BYTES: Final = 32
MANIFEST: Final = "metadata"

_Leaves = list[tuple[bytes, bytes]]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Leaves).decode


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as peers hear of it. `metadata` holds the chunks' hashes."""

    height: int
    format: int
    chunks: int
    hash: bytes
    metadata: bytes


def describe(height: int, metadata: bytes) -> Snapshot:
    return Snapshot(height, FORMAT, len(metadata) // HASH_BYTES, hashlib.sha256(metadata).digest(), metadata)


def pack(leaves: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """The chunks of a state; the same bytes on every node."""
    chunk: _Leaves = []
    size = 0
    for key in sorted(leaves):
        chunk.append((key, leaves[key]))
        size += len(key) + len(leaves[key])
        if size >= CHUNK_BYTES:
            yield _encode(chunk)
            chunk, size = [], 0
    if chunk:
        yield _encode(chunk)


class SnapshotFiles:
    """The newest snapshots of one node, each in a directory of its own that is complete or not there."""

    def __init__(self, directory: Path) -> None:
        """Raise `FatalError` if the directory cannot be read."""
        self._directory = directory
        self._known: dict[int, Snapshot] = {}
        self._asked: dict[int, float] = {}
        try:
            for path in sorted(directory.glob("*/" + MANIFEST)) if directory.is_dir() else ():
                if path.parent.name.isdecimal():
                    height = int(path.parent.name)
                    self._known[height] = describe(height, path.read_bytes())
        except OSError as error:
            raise FatalError(f"{directory} cannot be read: {error.strerror}") from error

    @property
    def newest_first(self) -> list[Snapshot]:
        return [self._known[height] for height in sorted(self._known, reverse=True)]

    def take(self, height: int, leaves: Mapping[bytes, bytes]) -> Snapshot:
        """Write the state after block `height` down, and forget the oldest. Raise `FatalError` if it cannot be."""
        fresh = self._directory / "new"
        hashes = []
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            make_directory(fresh)
            for index, chunk in enumerate(pack(leaves)):
                replace_file(fresh / str(index), chunk)
                hashes.append(hashlib.sha256(chunk).digest())
            replace_file(fresh / MANIFEST, b"".join(hashes))
            os.replace(fresh, self._directory / str(height))
            sync_directory(self._directory)
        except OSError as error:
            # On a full disk the blocks have more use for the space.
            shutil.rmtree(fresh, ignore_errors=True)
            raise FatalError(f"the snapshot of height {height} cannot be written: {error.strerror}") from error
        self._known[height] = describe(height, b"".join(hashes))
        for old in self._to_forget():
            del self._known[old]
            self._asked.pop(old, None)
            shutil.rmtree(self._directory / str(old), ignore_errors=True)
        return self._known[height]

    def _to_forget(self) -> list[int]:
        """The heights of older snapshots, without those that newcomers are fetching."""
        older = sorted(self._known)[:-KEPT_SNAPSHOTS]
        since = time.monotonic() - HELD_S
        held = [height for height in older if self._asked.get(height, since) > since][-MAX_HELD:]
        return [height for height in older if height not in held]

    def chunk(self, height: int, kind: int, index: int) -> bytes:
        """One chunk; empty if there is none."""
        known = self._known.get(height)
        if known is None or kind != FORMAT or not 0 <= index < known.chunks:
            return b""
        self._asked[height] = time.monotonic()
        try:
            return (self._directory / str(height) / str(index)).read_bytes()
        except OSError:
            # It was forgotten while a peer still fetched it.
            return b""


class Verdict(Enum):
    """How a chunk was taken."""

    ACCEPTED = auto()
    DAMAGED = auto()
    """It is not what the snapshot says it is: another peer may have the right one."""
    WORTHLESS = auto()
    """The snapshot itself is wrong."""


class Restoration:
    """A state that comes in chunk by chunk, in order."""

    def __init__(self, snapshot: Snapshot, app_hash: bytes) -> None:
        """`app_hash` is the one after block `snapshot.height`, verified by a light client."""
        self.snapshot = snapshot
        self.app_hash = app_hash
        self.leaves: dict[bytes, bytes] = {}
        self.root: Node = None
        self._next = 0
        self._last_key = b""
        self._bytes = 0

    @property
    def complete(self) -> bool:
        """True if all of it is there and leads to the app hash."""
        return self._next == self.snapshot.chunks

    @property
    def expected(self) -> int:
        """The index of the next chunk."""
        return self._next

    def add(self, chunk: bytes) -> Verdict:
        """Take the next chunk."""
        start = self._next * HASH_BYTES
        if hashlib.sha256(chunk).digest() != self.snapshot.metadata[start : start + HASH_BYTES]:
            return Verdict.DAMAGED
        # More could fill our memory before the app hash is known.
        if len(chunk) > MAX_CHUNK_BYTES:
            return Verdict.WORTHLESS
        self._bytes += len(chunk) + LEAF_BYTES * _announced(chunk)
        if self._bytes > MAX_STATE_BYTES:
            return Verdict.WORTHLESS
        try:
            leaves = _decode(chunk)
        except msgspec.MsgspecError:
            return Verdict.WORTHLESS
        for key, leaf in leaves:
            if (self.leaves and key <= self._last_key) or not leaf:
                return Verdict.WORTHLESS
            self.leaves[key] = leaf
            self._last_key = key
        if self._next + 1 == self.snapshot.chunks:
            self.root = build(self.leaves)
            if root_hash(self.root) != self.app_hash:
                return Verdict.WORTHLESS
        self._next += 1
        return Verdict.ACCEPTED


def _announced(chunk: bytes) -> int:
    """How many leaves a chunk says that it has, before any is read (MessagePack, "array format family")."""
    head = chunk[:1]
    if head == b"\xdd":
        return int.from_bytes(chunk[1:5], "big")
    return int.from_bytes(chunk[1:3], "big") if head == b"\xdc" else (chunk[0] & 0x0F if chunk else 0)


def acceptable(snapshot: Snapshot) -> bool:
    """Return true if a peer's claims about a snapshot of our format are consistent, and within what is taken."""
    described = len(snapshot.metadata) == HASH_BYTES * snapshot.chunks
    sized = snapshot.height > 0 and 0 < snapshot.chunks <= MAX_CHUNKS
    return described and sized and hashlib.sha256(snapshot.metadata).digest() == snapshot.hash
