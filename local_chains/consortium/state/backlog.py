"""Writes of the newest blocks on their way into the tables.

The rows of a block lie at random places of large tables, and most leaves are written again soon. So a block is stored
with one record of all that it wrote, its *redo record*, and the tables follow some blocks later: in the order of their
keys, each leaf once, a piece with each block that comes. Only when all of it is there are the redo records forgotten.
Until then opening the file goes through them again, which makes whole whatever part of this a crash left behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeVar

R = TypeVar("R")

CHECKPOINT_BLOCKS: Final = 256
"""The tables follow after this many blocks at the latest,"""
CHECKPOINT_WRITES: Final = 65_536
"""after this many leaves and transactions,"""
CHECKPOINT_BYTES: Final = 32 * 1024 * 1024
"""or after redo records of this many bytes. Opening a file reads those, and those of `PIECES` blocks."""
PIECES: Final = 4
"""Blocks over which the work is spread, so that none of them takes long."""

Place = tuple[int, int]
"""(height, position) of a transaction."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that go into the tables together. `settled` is the height up to which the tables are complete with them,
    None while more is to come."""

    leaves: Sequence[tuple[bytes, bytes | None]] = ()
    places: Sequence[tuple[bytes, int, int]] = ()
    settled: int | None = None


NOTHING: Final = Piece()
_KEY: Final = itemgetter(0)


class Backlog:
    """Writes that are stored but not in the tables; `settled` is the height up to which nothing is missing there."""

    def __init__(self, settled: int = 0) -> None:
        self.settled = settled
        self._newest = settled
        self._leaves: dict[bytes, bytes | None] = {}
        self._places: dict[bytes, Place] = {}
        self._bytes = 0
        self._leaving: _Leaving | None = None

    def place(self, name: bytes) -> Place | None:
        """Return the place of the transaction of this hash, if a block has it that the tables may lack."""
        found = self._places.get(name)
        return self._leaving.places.get(name) if found is None and self._leaving is not None else found

    def add(self, height: int, writes: Mapping[bytes, bytes | None], names: Sequence[bytes], size: int) -> None:
        """A block that is stored: its writes, its transactions' hashes in order, and the bytes of its redo record."""
        self._newest = height
        self._leaves.update(writes)
        self._places.update((name, (height, position)) for position, name in enumerate(names))
        self._bytes += size
        if self._leaving is None and (
            height - self.settled >= CHECKPOINT_BLOCKS
            or len(self._leaves) + len(self._places) >= CHECKPOINT_WRITES
            or self._bytes >= CHECKPOINT_BYTES
        ):
            self._leaving = _Leaving(self._newest, self._leaves, self._places)
            self._leaves, self._places, self._bytes = {}, {}, 0

    def forget(self, names: Sequence[bytes], end: int) -> None:
        """Transactions of these hashes in blocks below height `end` are not looked for any more."""
        for places in (self._places, {} if self._leaving is None else self._leaving.places):
            for name in names:
                if name in places and places[name][0] < end:
                    del places[name]

    def piece(self) -> Piece:
        """Return the rows that go into the tables with the next block; the same until `stored`."""
        return NOTHING if self._leaving is None else self._leaving.piece()

    def stored(self, piece: Piece) -> None:
        """`piece` is in the tables, durably."""
        if self._leaving is None or piece is NOTHING:
            return
        if piece.settled is None:
            self._leaving.done += 1
        else:
            self.settled = piece.settled
            self._leaving = None


class _Leaving:
    """All that blocks up to `height` wrote since the tables were complete, in the order of the tables."""

    def __init__(self, height: int, leaves: dict[bytes, bytes | None], places: dict[bytes, Place]) -> None:
        self.height = height
        self.places = places
        self.done = 0
        self._leaves = sorted(leaves.items(), key=_KEY)
        self._rows = sorted([(name, *place) for name, place in places.items()])

    def piece(self) -> Piece:
        settled = self.height if self.done + 1 == PIECES else None
        rows = [row for row in _part(self._rows, self.done) if row[0] in self.places]
        return Piece(_part(self._leaves, self.done), rows, settled)


def _part(rows: Sequence[R], number: int) -> Sequence[R]:
    first, end = (len(rows) * place // PIECES for place in (number, number + 1))
    return rows[first:end]
