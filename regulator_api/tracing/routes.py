"""The paths of traces: `POST /v1/traces` makes one, `GET /v1/traces/{id}` makes it again."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from core.model.errors import NotFoundError, RejectedError
from core.model.types import chain_of
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.web import CALLER, Route, read_body, read_query, respond
from regulator_api.access.scope import SCOPE, Scope
from regulator_api.answers import hex_of
from regulator_api.knowledge.tags import SERVICES, Labels
from regulator_api.reading.common import Frame, Reading
from regulator_api.reading.questions import parse_hash
from regulator_api.sealing import seal
from regulator_api.tracing import bodies, bundle, store
from regulator_api.tracing.explore import Bounds, explore
from regulator_api.tracing.model import VERSION, Flow, Ledger, Method, Network, Trace, Way
from regulator_api.view import View
from regulator_api.view.edges import Candidate, candidates
from regulator_api.view.histories import Histories
from regulator_api.view.sources import of_account, of_transaction

MAX_AT_ONCE: Final = 2
"""Traces that are made at the same time; others wait their turn."""
SHOWN_ENDS: Final = 200
SHOWN_FLOWS: Final = 1_000
PROBLEMS: Final = (
    (404, "There is no such transaction, account or trace, for this caller and at this moment."),
    (422, "The question names no source, or one that has several movements."),
    (503, "The database is locked: try again."),
)


def routes(reading: Reading, database: Database, clock: Clock) -> list[Route]:
    """Both paths."""
    tracing = Tracing(reading, database, clock)
    shared: dict[str, Any] = {
        "answer": bodies.TraceAnswer,
        "scope": "trace",
        "problems": PROBLEMS,
        "tag": "supervision",
    }
    return [
        Route("POST", "/v1/traces", tracing.post, "Follow value over hops and chains", body=bodies.TraceBody, **shared),
        Route("GET", "/v1/traces/{id}", tracing.get, "The same trace again", query=bodies.TraceQuery, **shared),
    ]


@dataclass(frozen=True, slots=True)
class _Made:
    """A network with what people need to read it."""

    network: Network
    labels: Labels
    candidates: Sequence[Candidate]


class Tracing:
    """The handlers. A trace's id follows from its question and its moment, which it keeps to."""

    def __init__(self, reading: Reading, database: Database, clock: Clock) -> None:
        self._reading = reading
        self._database = database
        self._clock = clock
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)

    async def post(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.TraceBody)
        async with self._turns:
            made, frame = await self._network(request, body)
            question = msgspec.to_builtins(body)
            question |= {"as_of": frame.moment.text, "labels": frame.moment.label_version, "evidence": False}
            who, now_ns = request[CALLER].name, self._clock.now_ns()
            name = await self._database.write(lambda connection: store.keep(connection, question, who, now_ns))
            return respond(await self._answer(name, body, made, frame))

    async def get(self, request: web.Request) -> web.Response:
        query = read_query(request, bodies.TraceQuery)
        name = request.match_info["id"]
        raw = await self._database.read(lambda connection: store.question_of(connection, name))
        if raw is None:
            raise NotFoundError("there is no such trace: make it by POST /v1/traces", id=name[: store.ID_CHARS])
        body = msgspec.structs.replace(msgspec.json.decode(raw, type=bodies.TraceBody), evidence=query.evidence)
        async with self._turns:
            made, frame = await self._network(request, body)
            return respond(await self._answer(name, body, made, frame))

    async def _network(self, request: web.Request, body: bodies.TraceBody) -> tuple[_Made, Frame]:
        way, bounds = Way(body.way), Bounds(body.hops, body.edges)
        source_of = await self._source(request[SCOPE], body, way)

        def work(view: View) -> _Made:
            labels = self._reading.labels(view)
            history = Histories(view, lambda account, at_s: bool(labels.categories(account, at_s) & SERVICES))
            source = source_of(view)
            network = explore(history, way, source.edges, source.through, source.origin, bounds)
            return _Made(network, labels, candidates(view, history.unjoined.values()))

        return await self._reading.read(request, (body.as_of, body.labels), work, default="finalized")

    async def _source(self, scope: Scope, body: bodies.TraceBody, way: Way) -> Any:
        if (body.transaction is None) == (body.account is None):
            raise RejectedError("a trace has one source: give transaction or account")
        if body.transaction is not None:
            chain, tx_hash = self._reading.chain(body.transaction.chain), parse_hash(body.transaction.tx, "tx")
            index = body.transaction.index
            return lambda view: of_transaction(view, way, chain, tx_hash, index)
        asked = body.account
        if asked is None:
            raise RejectedError("a trace has one source: give transaction or account")
        _, asset, (account,) = await self._reading.filters(scope, None, asked.asset, asked.account)
        if asset is None or account is None or chain_of(asset) != chain_of(account):
            raise RejectedError("the account and the asset are of different chains")
        ledger = Ledger(account, asset)
        return lambda view: of_account(view, way, ledger, asked.since_s, asked.until_s)

    async def _answer(self, name: str, body: bodies.TraceBody, made: _Made, frame: Frame) -> bodies.TraceAnswer:
        methods = [Method(one) for one in dict.fromkeys(body.methods)]
        return await asyncio.to_thread(_answer, name, body, methods, made, frame)


def _answer(
    name: str, body: bodies.TraceBody, methods: Sequence[Method], made: _Made, frame: Frame
) -> bodies.TraceAnswer:
    network = made.network
    traces = [bundle.run(network, method) for method in methods]
    show = _Shown(made, frame)
    sealed = None
    if body.evidence:
        document = bundle.document(network, traces, frame.moment.text, frame.moment.label_version)
        sealed = msgspec.json.decode(seal(bundle.KIND, document))
    return bodies.TraceAnswer(
        id=name,
        algorithm=VERSION,
        way=body.way,
        hops=body.hops,
        edges=len(network.edges),
        ledgers=len(network.openings),
        bounds=[
            bodies.BoundView(stop=stop.value, ledgers=count)
            for stop, count in sorted(Counter(network.stops.values()).items())
        ],
        methods=[show.method(trace) for trace in traces],
        candidates=[
            bodies.CrossingView(
                lock=f"{one.lock.chain}/{one.lock.locked.height}/{one.lock.locked.index}",
                hashlock=one.lock.terms.hashlock.hex(),
                others=[f"{other.chain}/{other.locked.height}/{other.locked.index}" for other in one.others],
            )
            for one in made.candidates
        ],
        bundle=sealed,
        moment=frame.view,
    )


class _Shown:
    """Ledgers, ends and flows as documents."""

    def __init__(self, made: _Made, frame: Frame) -> None:
        self._made = made
        self._frame = frame
        self._ledgers: dict[Ledger, bodies.LedgerView] = {}

    def method(self, trace: Trace) -> bodies.MethodView:
        ends, flows, sums = trace.ends[:SHOWN_ENDS], trace.flows[:SHOWN_FLOWS], trace.sums
        return bodies.MethodView(
            method=trace.method.value,
            sums=None
            if sums is None
            else bodies.SumsView(
                source=str(sums.source),
                held=str(sums.held),
                stopped=str(sums.stopped),
                in_flight=str(sums.in_flight),
                fees=str(sums.fees),
                conserved=sums.conserved,
            ),
            ends=[self._end(ledger, taint) for ledger, taint in ends],
            more_ends=len(trace.ends) - len(ends),
            flows=[self._flow(flow) for flow in flows],
            more_flows=len(trace.flows) - len(flows),
            digest=bundle.digest(self._made.network, trace),
        )

    def _end(self, ledger: Ledger, taint: int) -> bodies.EndView:
        stop = self._made.network.stops.get(ledger)
        return bodies.EndView(ledger=self._ledger(ledger), taint=str(taint), stop=None if stop is None else stop.value)

    def _flow(self, flow: Flow) -> bodies.FlowView:
        edge = flow.edge
        place = edge.place
        return bodies.FlowView(
            time_s=place.time_s,
            chain=place.chain,
            height=place.height,
            index=place.event_index,
            tx_hash=hex_of(place.chain, edge.tx_hash),
            sent=None if edge.sent is None else self._ledger(edge.sent),
            received=None if edge.received is None else self._ledger(edge.received),
            amount=self._frame.amount(edge.asset, edge.amount),
            taint=str(flow.taint),
            swap=edge.swap or None,
        )

    def _ledger(self, ledger: Ledger) -> bodies.LedgerView:
        if ledger not in self._ledgers:
            labels, at_s = self._made.labels, self._frame.moment.time_s
            self._ledgers[ledger] = bodies.LedgerView(
                account=ledger.account,
                asset=ledger.asset,
                lock=ledger.lock or None,
                entity=labels.entity_of(ledger.account),
                categories=sorted(labels.categories(ledger.account, at_s)),
            )
        return self._ledgers[ledger]
