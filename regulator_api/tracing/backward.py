"""The way back, to where value came from: one pass over the edges of a network, from the newest to the oldest.

The rules are those of the way forward, read backwards. FIFO: the units that leave are those that stand at the same
place of the queue as they came in. Haircut: what a ledger is asked for comes from each inflow by its share of what
was there just after it. Poison: whoever sent to a ledger that is reached is reached.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from regulator_api.tracing.methods import shares
from regulator_api.tracing.model import Edge, Flow, Ledger, Method, Network, Place, Sums, Trace, ordered_ends

Span = tuple[int, int, int]
"""Units of an edge, from and to (exclusive), and how much of the target they carry."""


def backward(network: Network, method: Method) -> Trace:
    """Follow the value of `network.sources` back to where it came from."""
    match method:
        case Method.FIFO:
            return _fifo(network)
        case Method.HAIRCUT:
            return _haircut(network)
        case Method.POISON:
            return _poison(network)


@dataclass(slots=True)
class _Ends:
    """The origins of the target that are known so far."""

    held: dict[Ledger, int] = field(default_factory=lambda: defaultdict(int))
    stopped: dict[Ledger, int] = field(default_factory=lambda: defaultdict(int))
    in_flight: dict[Ledger, int] = field(default_factory=lambda: defaultdict(int))
    issued: int = 0

    def trace(self, method: Method, source: int, flows: list[Flow]) -> Trace:
        sums = Sums(
            source,
            sum(self.held.values()),
            sum(self.stopped.values()),
            sum(self.in_flight.values()),
            self.issued,
        )
        held = {ledger: taint for ledger, taint in (*self.held.items(), *self.in_flight.items()) if taint}
        stopped = {ledger: taint for ledger, taint in self.stopped.items() if taint}
        return Trace(method, tuple(reversed(flows)), ordered_ends(held, stopped), sums)


def _lock_inflows(network: Network) -> dict[Ledger, Edge]:
    """The edge that filled each lock."""
    return {edge.received: edge for edge in network.edges if edge.received is not None and edge.received.lock}


@dataclass(slots=True)
class _Queue:
    """A ledger's queue over all time: where the units of each edge stand in it. What was there before is first."""

    opening: int
    starts: list[int] = field(default_factory=list)
    inflows: list[Edge] = field(default_factory=list)
    came: int = 0
    left: int = 0

    def enter(self, edge: Edge) -> None:
        if edge.amount:
            self.starts.append(self.opening + self.came)
            self.inflows.append(edge)
            self.came += edge.amount

    def leave(self, edge: Edge) -> tuple[int, int]:
        """Return where the units that leave stand, from and to; of some units of the edge nobody saw the coming."""
        there = min(edge.amount, self.opening + self.came - self.left)
        begin, self.left = self.left, self.left + there
        return begin, begin + there


def _fifo(network: Network) -> Trace:
    queues = {ledger: _Queue(amount) for ledger, amount in network.openings.items()}
    leaves: dict[Place, tuple[int, int]] = {}
    for edge in network.edges:
        if edge.sent in queues:
            leaves[edge.place] = queues[edge.sent].leave(edge)
        if edge.received in queues:
            queues[edge.received].enter(edge)
    filled, ends, flows, source = _lock_inflows(network), _Ends(), list[Flow](), 0
    asked: dict[Place, list[Span]] = defaultdict(list)
    for edge in reversed(network.edges):
        spans = asked.pop(edge.place, [])
        if edge.place in network.sources:
            source += edge.amount
            spans.append((0, edge.amount, edge.amount))
        taint = sum(span[2] for span in spans)
        if not taint:
            continue
        flows.append(Flow(edge, taint))
        if edge.sent is None:
            ends.issued += taint
        elif edge.sent.lock:
            into = filled.get(edge.sent)
            if into is None:
                ends.in_flight[edge.sent] += taint
            else:
                asked[into.place] += [_scaled(span, edge.amount, into.amount) for span in spans]
        elif edge.sent in queues:
            begin, until = leaves[edge.place]
            for span in spans:
                _place(span, begin, until - begin, queues[edge.sent], asked, ends, edge.sent)
        else:
            ends.stopped[edge.sent] += taint
    return ends.trace(Method.FIFO, source, flows)


def _scaled(span: Span, of: int, to: int) -> Span:
    """The units of the one edge that stand for those of the other; one at least."""
    first = min(span[0] * to // max(1, of), max(0, to - 1))
    return first, max(first + 1, span[1] * to // max(1, of)), span[2]


def _place(
    span: Span,
    begin: int,
    seen: int,
    queue: _Queue,
    asked: dict[Place, list[Span]],
    ends: _Ends,
    ledger: Ledger,
) -> None:
    """Ask the inflows whose units stand where the span's do for its taint, each for its part."""
    first, last = span[0], span[1]
    pieces: list[tuple[int, Edge | None, int, int]] = []
    if last > seen:
        pieces.append((last - max(first, seen), None, 0, 0))
    low, high = begin + min(first, seen), begin + min(last, seen)
    if low < min(high, queue.opening):
        pieces.append((min(high, queue.opening) - low, None, 0, 0))
        low = queue.opening
    at = max(0, bisect_right(queue.starts, low) - 1)
    while low < high and at < len(queue.inflows):
        edge, start = queue.inflows[at], queue.starts[at]
        until = min(high, start + edge.amount)
        if until > low:
            pieces.append((until - low, edge, low - start, until - start))
            low = until
        at += 1
    for (_, into, start, until), taint in zip(pieces, shares(span[2], [piece[0] for piece in pieces]), strict=True):
        if into is None:
            ends.held[ledger] += taint
        elif taint:
            asked[into.place].append((start, until, taint))


def _haircut(network: Network) -> Trace:
    there = dict(network.openings)
    before: dict[Place, int] = {}
    after: dict[Place, int] = {}
    for edge in network.edges:
        if edge.sent is not None and edge.sent in there:
            before[edge.place] = there[edge.sent]
            there[edge.sent] = max(0, there[edge.sent] - edge.amount)
        if edge.received is not None and edge.received in there:
            there[edge.received] += edge.amount
            after[edge.place] = there[edge.received]
    filled, ends, flows, source = _lock_inflows(network), _Ends(), list[Flow](), 0
    wanted: dict[Ledger, int] = defaultdict(int)
    asked: dict[Place, int] = defaultdict(int)
    for edge in reversed(network.edges):
        taint = asked.pop(edge.place, 0)
        if edge.received is not None and edge.received in network.openings and wanted[edge.received]:
            part = wanted[edge.received] * edge.amount // max(1, after[edge.place])
            wanted[edge.received] -= part
            taint += part
        if edge.place in network.sources:
            source += edge.amount
            taint += edge.amount
        if not taint:
            continue
        flows.append(Flow(edge, taint))
        if edge.sent is None:
            ends.issued += taint
        elif edge.sent.lock:
            into = filled.get(edge.sent)
            if into is None:
                ends.in_flight[edge.sent] += taint
            else:
                asked[into.place] += taint
        elif edge.sent in network.openings:
            seen = taint if before[edge.place] >= edge.amount else taint * before[edge.place] // edge.amount
            wanted[edge.sent] += seen
            ends.held[edge.sent] += taint - seen
        else:
            ends.stopped[edge.sent] += taint
    for ledger, taint in wanted.items():
        ends.held[ledger] += taint
    return ends.trace(Method.HAIRCUT, source, flows)


def _poison(network: Network) -> Trace:
    filled = _lock_inflows(network)
    reached: dict[Ledger, int] = defaultdict(int)
    asked: set[Place] = set()
    flows: list[Flow] = []
    for edge in reversed(network.edges):
        through = edge.received in network.openings and edge.received in reached
        if not (through or edge.place in network.sources or edge.place in asked):
            continue
        flows.append(Flow(edge, edge.amount))
        if edge.sent is None:
            continue
        if edge.sent.lock and edge.sent in filled:
            asked.add(filled[edge.sent].place)
        else:
            reached[edge.sent] += edge.amount
    inner = {ledger: amount for ledger, amount in reached.items() if ledger in network.openings or ledger.lock}
    outer = {ledger: amount for ledger, amount in reached.items() if ledger not in inner}
    return Trace(Method.POISON, tuple(reversed(flows)), ordered_ends(inner, outer), None)
