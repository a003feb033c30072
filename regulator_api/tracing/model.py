"""Words of a trace: ledgers, edges, and what a trace says.

A *ledger* is what one account holds of one asset. A lock is a ledger of its own that holds exactly one amount: value
in it is in flight. An *edge* moves value from one ledger to another. Where both legs of a swap were claimed, the two
parties exchanged what their locks held: the edge that pays a party leads out of that party's own lock, whatever chain
that is on, and the amount changes there. Taint is counted in base units of the source, so that no rate enters it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from core.model.errors import require
from core.model.types import AccountId, AssetId, ChainId, Height

VERSION: Final = 1
"""Raised whenever the same data would give another trace."""
MAX_HOPS: Final = 50
MAX_EDGES: Final = 50_000
MAX_ACCOUNT_MOVES: Final = 2_000
"""Moves of one account that are read; one that has more pools the value of many, and the trace stops there."""


class Method(StrEnum):
    """The rule by which an account's outflow carries its inflows. See docs/supervising/tracing.md."""

    FIFO = "fifo"
    HAIRCUT = "haircut"
    POISON = "poison"


class Way(StrEnum):
    """Forward: where value went. Backward: where it came from."""

    FORWARD = "forward"
    BACKWARD = "backward"


class Place(NamedTuple):
    """The place of an event among those of all chains; traces read events in this order."""

    time_s: int
    chain: ChainId
    height: Height
    event_index: int


class Ledger(NamedTuple):
    """One account's holding of one asset. `lock` is empty, or the place of the lock that holds it."""

    account: AccountId
    asset: AssetId
    lock: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """Value that moved at `place`. `sent` is None for an issue, `received` for a burn. `order` is its place, or a
    later one if a swap crosses chains whose clocks differ. `swap` names the swap whose legs an edge joins."""

    place: Place
    order: Place
    sent: Ledger | None
    received: Ledger | None
    amount: int
    tx_hash: bytes
    swap: str = ""

    @property
    def asset(self) -> AssetId:
        """The asset of `amount`: a swap changes it, and the receiver's counts."""
        ledger = self.received or self.sent
        require(ledger is not None, "an edge has a sender or a receiver")
        return AssetId("") if ledger is None else ledger.asset


class Stop(StrEnum):
    """The reason why a trace does not go on behind a ledger."""

    SERVICE = "service"
    """A label says that it pools the value of many people."""
    BUSY = "too-many-moves"
    HOPS = "hops"
    EDGES = "edges"
    ORIGIN = "origin"
    """The account that was asked about: what returns to it is counted there."""


@dataclass(frozen=True, slots=True)
class Network:
    """The ground of the methods: all edges, in order, from the first moment that matters on.

    `openings` are the ledgers that the trace goes through, each with what it held before the first of its edges here
    (of which nothing is said). `stops` are the others that value reaches, with the reason. `sources` are the edges
    whose whole amount is traced.
    """

    way: Way
    edges: tuple[Edge, ...]
    openings: Mapping[Ledger, int]
    stops: Mapping[Ledger, Stop]
    sources: frozenset[Place]


@dataclass(frozen=True, slots=True)
class Flow:
    """An edge that carries traced value, and how much of it, in base units of the source."""

    edge: Edge
    taint: int


@dataclass(frozen=True, slots=True)
class Sums:
    """All of the source, by where it is (backward: by where it came from), in base units of the source.

    `held` is on ledgers that the trace went through, `stopped` on those where it stopped, `in_flight` in locks that are
    open, `fees` went to nobody: burned, or paid as fees.
    """

    source: int
    held: int
    stopped: int
    in_flight: int
    fees: int

    @property
    def conserved(self) -> bool:
        return self.source == self.held + self.stopped + self.in_flight + self.fees


@dataclass(frozen=True, slots=True)
class Trace:
    """One method's answer. `ends` says how much of the source each ledger has in the end (backward: gave in the
    beginning), the largest first. Poison reaches or does not: its numbers are amounts of the ledger's own asset, and
        it has no `sums`."""

    method: Method
    flows: tuple[Flow, ...]
    ends: tuple[tuple[Ledger, int], ...]
    sums: Sums | None


def ordered_ends(*ends: Mapping[Ledger, int]) -> tuple[tuple[Ledger, int], ...]:
    """All ledgers with what they have, added up, the largest first."""
    sums: dict[Ledger, int] = {}
    for some in ends:
        for ledger, amount in some.items():
            sums[ledger] = sums.get(ledger, 0) + amount
    return tuple(sorted(sums.items(), key=lambda one: (-one[1], one[0])))
