"""The way forward, to where value went: one pass over the edges of a network, in order."""

from regulator_api.tracing.methods import Holdings, Part, holdings_of
from regulator_api.tracing.model import Edge, Flow, Ledger, Method, Network, Sums, Trace, ordered_ends


def forward(network: Network, method: Method) -> Trace:
    """Follow the value of `network.sources` through the edges."""
    held, stopped = holdings_of(method), dict[Ledger, int]()
    for ledger, amount in network.openings.items():
        held.receive(ledger, [(amount, 0)])
    source = fees = 0
    flows: list[Flow] = []
    for edge in network.edges:
        parts = _taken(held, network, edge)
        if edge.place in network.sources:
            source += edge.amount - sum(part[1] for part in parts)
            parts = [(edge.amount, edge.amount)]
        taint = sum(part[1] for part in parts)
        if taint:
            flows.append(Flow(edge, taint))
        if edge.received is None:
            fees += taint
        elif edge.received in network.openings or edge.received.lock:
            held.receive(edge.received, parts)
        elif taint:
            stopped[edge.received] = stopped.get(edge.received, 0) + taint
    taints = held.taints()
    if method is Method.POISON:
        return Trace(method, tuple(flows), ordered_ends(taints, stopped), None)
    in_flight = sum(taint for ledger, taint in taints.items() if ledger.lock)
    sums = Sums(source, sum(taints.values()) - in_flight, sum(stopped.values()), in_flight, fees)
    return Trace(method, tuple(flows), ordered_ends(taints, stopped), sums)


def _taken(held: Holdings, network: Network, edge: Edge) -> list[Part]:
    """Take out of a ledger what an edge leads away."""
    if edge.sent is None:
        return [(edge.amount, 0)]
    if edge.sent.lock:
        return held.exchange(edge.sent, edge.amount)
    if edge.sent in network.openings:
        return held.spend(edge.sent, edge.amount)
    return [(edge.amount, 0)]
