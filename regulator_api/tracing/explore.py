"""The edges that a trace needs: level by level from the source, within bounds, each of which is reported.

A ledger is gone through from the earliest moment at which value can have reached it (backward: up to the latest at
which it can have left). All its edges from there on belong to the network, also those that carry nothing: they dilute.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from regulator_api.tracing.model import (
    MAX_ACCOUNT_MOVES,
    MAX_EDGES,
    MAX_HOPS,
    Edge,
    Ledger,
    Network,
    Place,
    Stop,
    Way,
)
from regulator_api.tracing.ports import Found, History, Wanted

CHUNK: Final = 64
"""Ledgers that are asked for at once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a trace goes. Values above the limits of `regulator_api.tracing.model` are cut down to them."""

    hops: int
    edges: int = MAX_EDGES
    account_moves: int = MAX_ACCOUNT_MOVES

    def __post_init__(self) -> None:
        for name, most in (("hops", MAX_HOPS), ("edges", MAX_EDGES), ("account_moves", MAX_ACCOUNT_MOVES)):
            object.__setattr__(self, name, max(1, min(getattr(self, name), most)))


def explore(
    history: History, way: Way, sources: Sequence[Edge], through: Iterable[Edge], origin: Ledger | None, bounds: Bounds
) -> Network:
    """Return the network of the value that `sources` move. `through` are the other edges of their locks; `origin` is
    the ledger whose flows the sources are, if they are one's."""
    return _Explorer(history, way, origin, bounds).run(sources, tuple(through))


class _Explorer:
    def __init__(self, history: History, way: Way, origin: Ledger | None, bounds: Bounds) -> None:
        self._history = history
        self._forward = way is Way.FORWARD
        self._way = way
        self._origin = origin
        self._bounds = bounds
        self._edges: dict[Place, Edge] = {}
        self._openings: dict[Ledger, int] = {}
        self._reached: dict[Ledger, Place] = {}
        self._stops: dict[Ledger, Stop] = {}
        self._full = False

    def run(self, sources: Sequence[Edge], through: Sequence[Edge]) -> Network:
        self._edges.update((edge.place, edge) for edge in (*sources, *through))
        front = self._behind(sources, _by_lock(through, self._forward), None)
        hop = 0
        while front:
            hop += 1
            front = self._level(front, hop)
        edges = sorted(self._edges.values(), key=lambda edge: (edge.order, edge.place))
        stops = {ledger: stop for ledger, stop in self._stops.items() if ledger not in self._openings}
        return Network(self._way, tuple(edges), self._openings, stops, frozenset(edge.place for edge in sources))

    def _level(self, front: Mapping[Ledger, Place], hop: int) -> dict[Ledger, Place]:
        going = [Wanted(ledger, place) for ledger, place in sorted(front.items()) if self._goes_on(ledger, place, hop)]
        behind: dict[Ledger, Place] = {}
        for first in range(0, len(going), CHUNK):
            part = going[first : first + CHUNK]
            left = self._bounds.edges - len(self._edges)
            if self._full or left <= 0:
                for wanted in part:
                    self._stop(wanted.ledger, Stop.EDGES)
                continue
            most = min(self._bounds.account_moves, left)
            for wanted, found in zip(part, self._history.edges_of(part, self._way, most), strict=True):
                self._take(wanted, found, behind, Stop.BUSY if most == self._bounds.account_moves else Stop.EDGES)
        return behind

    def _goes_on(self, ledger: Ledger, place: Place, hop: int) -> bool:
        self._reached[ledger] = place
        if ledger in self._openings:
            return True
        if ledger == self._origin:
            self._stop(ledger, Stop.ORIGIN)
        elif self._history.is_service(ledger.account, place.time_s):
            self._stop(ledger, Stop.SERVICE)
        elif hop > self._bounds.hops:
            self._stop(ledger, Stop.HOPS)
        else:
            return True
        return False

    def _stop(self, ledger: Ledger, reason: Stop) -> None:
        self._stops[ledger] = reason
        self._openings.pop(ledger, None)

    def _take(self, wanted: Wanted, found: Found, behind: dict[Ledger, Place], busy: Stop) -> None:
        if found.busy:
            self._full = self._full or busy is Stop.EDGES
            self._stop(wanted.ledger, busy)
            return
        if self._full or len(self._edges) + len(found.edges) + len(found.through) > self._bounds.edges:
            # The first that has no room ends the reading: what comes behind it would only be thrown away.
            self._full = True
            self._stop(wanted.ledger, Stop.EDGES)
            return
        self._stops.pop(wanted.ledger, None)
        self._openings[wanted.ledger] = found.opening
        self._edges.update((edge.place, edge) for edge in (*found.edges, *found.through))
        locks = _by_lock(found.through, self._forward)
        for ledger, place in self._behind(found.edges, locks, wanted).items():
            if ledger not in behind or self._earlier(place, behind[ledger]):
                behind[ledger] = place

    def _behind(
        self, edges: Iterable[Edge], locks: Mapping[Ledger, Edge], wanted: Wanted | None
    ) -> dict[Ledger, Place]:
        """The ledgers that these edges lead to, if they leave `wanted` when value can be there, with the moment."""
        found: dict[Ledger, Place] = {}
        for edge in edges:
            if wanted is not None:
                mine = edge.sent if self._forward else edge.received
                if mine != wanted.ledger or self._earlier(edge.order, wanted.place):
                    continue
            step: Edge | None = edge
            ledger = self._far(edge)
            if ledger is not None and ledger.lock:
                step = locks.get(ledger)
                ledger = None if step is None else self._far(step)
            if ledger is None or step is None or ledger.lock:
                continue
            place = step.order
            known = self._reached.get(ledger)
            if known is not None and not self._earlier(place, known):
                continue
            if ledger not in found or self._earlier(place, found[ledger]):
                found[ledger] = place
        return found

    def _far(self, edge: Edge) -> Ledger | None:
        return edge.received if self._forward else edge.sent

    def _earlier(self, place: Place, other: Place) -> bool:
        return place < other if self._forward else place > other


def _by_lock(edges: Iterable[Edge], forward: bool) -> dict[Ledger, Edge]:
    """The edge by which value leaves each lock (backward: came into it)."""
    found: dict[Ledger, Edge] = {}
    for edge in edges:
        lock = edge.sent if forward else edge.received
        if lock is not None and lock.lock:
            found[lock] = edge
    return found
