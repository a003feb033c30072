"""A trace as a document that says everything its result follows from, and its check: pure.

The edges are those of the network, each with the place of its event, so that every one can be proven by the evidence
of its transaction. That no edge is missing follows from lists over consortium data, and for other chains from an index
of one's own; a bundle shows that the result follows from these edges.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, AccountId, AssetId, ChainId, Height
from regulator_api.tracing.backward import backward
from regulator_api.tracing.forward import forward
from regulator_api.tracing.model import (
    MAX_EDGES,
    VERSION,
    Edge,
    Ledger,
    Method,
    Network,
    Place,
    Stop,
    Trace,
    Way,
)

KIND: Final = "trace"


def run(network: Network, method: Method) -> Trace:
    """Trace a network in its direction."""
    return forward(network, method) if network.way is Way.FORWARD else backward(network, method)


def digest(network: Network, trace: Trace) -> str:
    """The SHA-256 of a result: method, every edge that carries value, and where all of it is."""
    numbers = {edge.place: number for number, edge in enumerate(network.edges)}
    sums = trace.sums
    content = [
        VERSION,
        network.way.value,
        trace.method.value,
        [[numbers[flow.edge.place], str(flow.taint)] for flow in trace.flows],
        [[*ledger, str(taint)] for ledger, taint in trace.ends],
        None if sums is None else [str(one) for one in _sums(trace)],
    ]
    return hashlib.sha256(b"causeway trace\0" + msgspec.json.encode(content)).hexdigest()


def _sums(trace: Trace) -> list[int]:
    sums = trace.sums
    return [] if sums is None else [sums.source, sums.held, sums.stopped, sums.in_flight, sums.fees]


def document(network: Network, traces: Sequence[Trace], as_of: str, labels: int) -> dict[str, Any]:
    """The body of a bundle: see `parse` for its form."""
    ledgers = sorted({one for edge in network.edges for one in (edge.sent, edge.received) if one is not None})
    ledgers = sorted({*ledgers, *network.openings, *network.stops})
    numbers = {ledger: number for number, ledger in enumerate(ledgers)}
    places = {edge.place: number for number, edge in enumerate(network.edges)}
    return {
        "algorithm": VERSION,
        "as_of": as_of,
        "labels": labels,
        "way": network.way.value,
        "ledgers": [list(ledger) for ledger in ledgers],
        "edges": [
            [
                list(edge.place),
                None if edge.order == edge.place else list(edge.order),
                None if edge.sent is None else numbers[edge.sent],
                None if edge.received is None else numbers[edge.received],
                str(edge.amount),
                edge.tx_hash.hex(),
                edge.swap,
            ]
            for edge in network.edges
        ],
        "openings": [[numbers[ledger], str(held)] for ledger, held in sorted(network.openings.items())],
        "stops": [[numbers[ledger], stop.value] for ledger, stop in sorted(network.stops.items())],
        "sources": sorted(places[place] for place in network.sources),
        "results": {
            trace.method.value: {"digest": digest(network, trace), "sums": [str(one) for one in _sums(trace)]}
            for trace in traces
        },
    }


class _Result(msgspec.Struct, frozen=True):
    digest: str
    sums: list[str]


_PlaceForm = tuple[int, str, int, int]


class _Document(msgspec.Struct, frozen=True):
    """The form of a trace's bundle: ledgers, then edges that name them by number."""

    algorithm: int
    as_of: str
    labels: int
    way: Way
    ledgers: list[tuple[str, str, str]]
    edges: list[tuple[_PlaceForm, _PlaceForm | None, int | None, int | None, str, str, str]]
    openings: list[tuple[int, str]]
    stops: list[tuple[int, Stop]]
    sources: list[int]
    results: dict[Method, _Result]


def parse(body: Mapping[str, Any]) -> tuple[Network, dict[Method, _Result]]:
    """Return the network of a bundle and the results that it claims. Raise `RejectedError` for anything else."""
    try:
        found = msgspec.convert(dict(body), _Document)
        if found.algorithm != VERSION:
            raise RejectedError(f"the bundle's trace is of algorithm {found.algorithm}, this Causeway has {VERSION}")
        if len(found.edges) > MAX_EDGES:
            raise RejectedError(f"a trace has at most {MAX_EDGES} edges")
        ledgers = [Ledger(AccountId(one), AssetId(asset), lock) for one, asset, lock in found.ledgers]
        edges = tuple(_edge(ledgers, *parts) for parts in found.edges)
        openings = {ledgers[_at(number, ledgers)]: _amount(held) for number, held in found.openings}
        stops = {ledgers[_at(number, ledgers)]: stop for number, stop in found.stops}
        sources = frozenset(edges[_at(number, edges)].place for number in found.sources)
    except (msgspec.ValidationError, ValueError, IndexError) as error:
        raise RejectedError(f"the bundle is not a trace: {error}") from None
    if len({edge.place for edge in edges}) != len(edges):
        raise RejectedError("two edges of the bundle stand at one place")
    if list(edges) != sorted(edges, key=lambda edge: (edge.order, edge.place)):
        raise RejectedError("the edges of the bundle are not in their order")
    return Network(found.way, edges, openings, stops, sources), found.results


def _edge(
    ledgers: Sequence[Ledger],
    place: _PlaceForm,
    order: _PlaceForm | None,
    sent: int | None,
    received: int | None,
    amount: str,
    tx_hash: str,
    swap: str,
) -> Edge:
    at = _place(place)
    return Edge(
        at,
        at if order is None else _place(order),
        None if sent is None else ledgers[_at(sent, ledgers)],
        None if received is None else ledgers[_at(received, ledgers)],
        _amount(amount),
        bytes.fromhex(tx_hash),
        swap,
    )


def _place(form: _PlaceForm) -> Place:
    time_s, chain, height, index = form
    return Place(time_s, ChainId(chain), Height(height), index)


def _at(number: int, among: Sequence[Any]) -> int:
    if not 0 <= number < len(among):
        raise IndexError(f"{number} is not the number of one of {len(among)}")
    return number


def _amount(text: str) -> int:
    if len(text) > len(str(MAX_BASE_UNITS)) or not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text[:80]!a} is not an amount")
    return int(text)


def check(body: Mapping[str, Any]) -> str:
    """Trace the bundle's network again. Return what was found; raise `RejectedError` if it is not what it claims."""
    network, results = parse(body)
    if not results:
        raise RejectedError("the bundle claims no result")
    for method, claimed in results.items():
        trace = run(network, method)
        if digest(network, trace) != claimed.digest or [str(one) for one in _sums(trace)] != claimed.sums:
            raise RejectedError(f"the edges of the bundle give another result by {method.value} than it claims")
        if trace.sums is not None and not trace.sums.conserved:
            raise RejectedError(f"the result by {method.value} does not add up")
    methods = ", ".join(sorted(method.value for method in results))
    return f"a trace {network.way.value} over {len(network.edges)} movements by {methods}"
