"""Bundles that an answer rests on, and what each must say for the answer to follow from it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from core.model.errors import RejectedError
from regulator_api.proofs.claims import differs
from regulator_api.reading import bodies as reading
from regulator_api.reading import figures
from regulator_api.rules import bodies as rules
from regulator_api.rules import bundles as alert_bundles
from regulator_api.rules.observation import observation_of
from regulator_api.rules.words import sentence
from regulator_api.tracing import bodies as tracing
from regulator_api.tracing import bundle as tracing_bundle
from regulator_api.tracing.model import Flow, Method

WITHDRAWN: Final = "the alert was withdrawn: what it was computed from is not what the chains say now"


@dataclass(frozen=True, slots=True)
class Nested:
    """A bundle of one kind. `raw` is that which stands in the answer, None if it comes with the proof, under `at`.
    `fault` says what of the answer does not follow from it. With `reason` there is none; `name` is the id of what it is
    about."""

    at: str
    kind: str
    fault: Callable[[Mapping[str, Any]], str]
    raw: bytes | None = None
    reason: str = ""
    name: str = ""


def _embedded(bundle: Mapping[str, Any] | None) -> bytes:
    if bundle is None:
        raise RejectedError("the answer lacks its bundle")
    return msgspec.json.encode(bundle, order="sorted")


def _of_moment(moment: reading.MomentView, document: Mapping[str, Any]) -> str:
    said = "" if moment.as_of == "latest" else moment.as_of, moment.labels
    return differs("the bundle's moment", (document.get("as_of"), document.get("labels")), said)


def _figure(answer: Any, name: str, result: Any) -> list[Nested]:
    def fault(document: Mapping[str, Any]) -> str:
        return (
            differs("the figure", document.get("figure"), name)
            or _of_moment(answer.moment, document)
            or differs(f"the {name}", document.get("result"), result)
        )

    return [Nested("/bundle", figures.KIND, fault, _embedded(answer.bundle))]


def concentration(answer: reading.ConcentrationAnswer) -> list[Nested]:
    top = [[one.account, one.amount.base_units] for one in answer.top]
    return _figure(
        answer,
        figures.CONCENTRATION,
        [answer.holders, answer.total.base_units, answer.hhi, top, answer.top_ppm],
    )


def corridors(answer: reading.CorridorsAnswer) -> list[Nested]:
    rows = [
        [one.given.asset, one.taken.asset, one.swaps, one.given.base_units, one.taken.base_units]
        for one in answer.items
    ]
    return _figure(answer, figures.CORRIDORS, rows)


def series(answer: reading.SeriesAnswer) -> list[Nested]:
    rows = [[one.from_s, one.transfers, one.volume, one.locks, one.claims, one.refunds] for one in answer.items]
    found = _figure(answer, figures.SERIES, rows)
    volume = str(sum(int(one.volume) for one in answer.items))
    if fault := differs("the volume", volume, answer.volume.base_units):
        raise RejectedError(fault)
    return found


def trace(answer: tracing.TraceAnswer) -> list[Nested]:
    claimed = {one.method: _result(one) for one in answer.methods}

    def fault(document: Mapping[str, Any]) -> str:
        network, results = tracing_bundle.parse(document)
        found = {method.value: (one.digest, list(one.sums)) for method, one in results.items()}
        shape = network.way.value, len(network.edges), len(network.openings)
        if fault := _of_moment(answer.moment, document) or differs("the results", found, claimed):
            return fault
        if fault := differs("the network", shape, (answer.way, answer.edges, answer.ledgers)):
            return fault
        return _shown_fault(answer, document)

    return [Nested("/bundle", tracing_bundle.KIND, fault, _embedded(answer.bundle))]


def _result(method: tracing.MethodView) -> tuple[str, list[str]]:
    sums = method.sums
    said = [] if sums is None else [sums.source, sums.held, sums.stopped, sums.in_flight, sums.fees]
    return method.digest, said


def _shown_fault(answer: tracing.TraceAnswer, document: Mapping[str, Any]) -> str:
    """The ends and flows that are shown, against those that the network gives."""
    network, _ = tracing_bundle.parse(document)
    for one in answer.methods:
        made = tracing_bundle.run(network, Method(one.method))
        ends = [(end.account, end.asset, end.lock or None, str(taint)) for end, taint in made.ends[: len(one.ends)]]
        said = [(end.ledger.account, end.ledger.asset, end.ledger.lock, end.taint) for end in one.ends]
        flows = [_flow(flow) for flow in made.flows[: len(one.flows)]]
        shown = [
            (flow.time_s, flow.chain, flow.height, flow.index, flow.taint, flow.tx_hash.removeprefix("0x"),
             _ledger(flow.sent), _ledger(flow.received), flow.amount.base_units, flow.swap or "")
            for flow in one.flows
        ]  # fmt: skip
        left = len(made.ends) - len(ends), len(made.flows) - len(flows)
        fault = (
            differs(f"the ends by {one.method}", ends, said)
            or differs(f"the flows by {one.method}", flows, shown)
            or differs("what is not shown", left, (one.more_ends, one.more_flows))
        )
        if fault:
            return fault
    return ""


def _flow(flow: Flow) -> tuple[Any, ...]:
    edge = flow.edge
    sent, received = (None if one is None else (one.account, one.asset, one.lock) for one in (edge.sent, edge.received))
    return (*edge.place, str(flow.taint), edge.tx_hash.hex(), sent, received, str(edge.amount), edge.swap)


def _ledger(view: tracing.LedgerView | None) -> tuple[str, str, str] | None:
    return None if view is None else (view.account, view.asset, view.lock or "")


def _alert(at: str, said: rules.AlertView) -> Nested:
    def fault(document: Mapping[str, Any]) -> str:
        rule, alert = document["rule"], document["alert"]
        last = observation_of(alert["last"])
        figures_of = dict(last.figures)
        found = (
            alert["id"],
            rule["id"],
            rule["typology"],
            alert["observations"],
            last.subject,
            {name: str(value) for name, value in figures_of.items()},
            sentence(rule["typology"], figures_of),
            list(last.others),
            [[*one.place, one.account] for one in last.moves],
            list(alert["first"]),
            list(last.trigger),
        )
        stated = (
            said.id,
            said.rule,
            said.typology,
            said.observations,
            said.subject,
            said.figures,
            said.explanation,
            said.others,
            [[*_place(one), one.account] for one in said.moves],
            _place(said.first),
            _place(said.last),
        )
        return differs("the alert", found, stated)

    return Nested(at, alert_bundles.KIND, fault, reason=WITHDRAWN if said.withdrawn else "", name=said.id)


def _place(move: rules.MoveView) -> list[Any]:
    return [move.time_s, move.chain, move.height, move.index, 1 if move.direction == "in" else 0]


def alert(answer: rules.AlertAnswer) -> list[Nested]:
    return [_alert("/alert", answer.alert)]


def alerts(answer: rules.AlertsPage) -> list[Nested]:
    return [_alert(f"/items/{place}", one) for place, one in enumerate(answer.items)]
