"""The data of a trace comes through here: from the index, from a bundle, or from a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.model.types import AccountId
from regulator_api.tracing.model import Edge, Ledger, Place, Way


@dataclass(frozen=True, slots=True)
class Wanted:
    """A ledger whose edges are wanted: forward those from the block of `place` on, backward those up to it."""

    ledger: Ledger
    place: Place


@dataclass(frozen=True, slots=True)
class Found:
    """A ledger's edges in their order, and what it held before the first of them. `busy`: there are more than were
    asked for, and none is given. `through` are the other edges of the locks that these edges fill or empty."""

    ledger: Ledger
    edges: tuple[Edge, ...]
    through: tuple[Edge, ...]
    opening: int
    busy: bool


class History(Protocol):
    """Edges of ledgers, as of one moment and for one caller."""

    def edges_of(self, wanted: Sequence[Wanted], way: Way, most: int) -> list[Found]:
        """Return the edges of each ledger, in the order of `wanted`, unless it has more than `most`."""

    def is_service(self, account: AccountId, at_s: int) -> bool:
        """Return true if a label says that the account pools the value of many people at that time."""
