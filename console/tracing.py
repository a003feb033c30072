"""The graph explorer: where value went, or came from, over hops and chains, by three methods."""

from typing import Any, Final

from aiohttp import web

from console.api import segment
from console.frame import Frame, Page, Visit, redirect
from console.rendering import plain

PAGES: Final[tuple[Page, ...]] = (Page("trace", "Trace", "trace", "Movements"),)
ENDS_SHOWN: Final = 50
"""Ends that each table has at first: the largest ones."""


class TracingPages:
    """Traces of one supervision API. A trace's page has an address of its own, which shows the same again."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/trace", self._frame.signed_in(self._ask)),
            web.post("/trace", self._frame.act(self._make)),
            web.get("/traces/{id}", self._frame.signed_in(self._show)),
        ]

    async def _ask(self, visit: Visit) -> web.Response:
        asked = visit.asked("account", "asset", "chain", "tx", "way", "hops")
        return visit.page("trace_ask.html", "Trace", asked=asked)

    async def _make(self, visit: Visit, form: dict[str, str]) -> web.Response:
        made = await visit.post("/v1/traces", question_of(form))
        return redirect(f"/console/traces/{segment(made['id'])}")

    async def _show(self, visit: Visit) -> web.Response:
        trace = await visit.get(f"/v1/traces/{segment(visit.request.match_info['id'])}")
        unit = unit_of(trace)
        shown = None if visit.asked("ends").get("ends") == "all" else ENDS_SHOWN
        return visit.page("trace.html", "Trace", trace=trace, graph=graph_of(trace, unit), unit=unit, shown=shown)


def question_of(form: dict[str, str]) -> dict[str, Any]:
    """What the form asks, as `POST /v1/traces` has it."""
    asked: dict[str, Any] = {"way": "backward" if form.get("way") == "backward" else "forward"}
    if form.get("hops", "").isascii() and form.get("hops", "").isdigit():
        asked["hops"] = int(form["hops"][:3])
    if form.get("tx"):
        asked["transaction"] = {"chain": form.get("chain", ""), "tx": form["tx"]}
    else:
        asked["account"] = {"account": form.get("account", ""), "asset": form.get("asset", "")}
    return asked


def unit_of(trace: dict[str, Any]) -> dict[str, Any]:
    """The asset that is traced: what is traced further on, of whatever asset, is counted in it. Symbol and decimals are
    None if the trace begins with several assets, or with one that says neither."""
    forward = trace["way"] == "forward"
    side, outermost = ("sent", min) if forward else ("received", max)
    flows = [flow for one in trace["methods"] for flow in one["flows"] if flow[side] is not None]
    first_s = outermost((flow["time_s"] for flow in flows), default=0)
    first = {flow[side]["asset"] for flow in flows if flow["time_s"] == first_s}
    known = {flow["amount"]["asset"]: flow["amount"] for flow in flows}
    found = known.get(next(iter(first)), {}) if len(first) == 1 else {}
    return {"symbol": found.get("symbol"), "decimals": found.get("decimals")}


def graph_of(trace: dict[str, Any], unit: dict[str, Any]) -> dict[str, Any]:
    """The trace as its picture needs it: holdings are nodes in their chains; a movement is an edge, which each method
    has by its place among the movements, with what it traces of it."""
    nodes: dict[str, dict[str, Any]] = {}
    movements: dict[str, int] = {}
    facts: list[dict[str, Any]] = []
    methods: dict[str, Any] = {}

    def known(ledger: dict[str, Any] | None) -> int | None:
        if ledger is None:
            return None
        return int(nodes.setdefault(_node_id(ledger), {"number": len(nodes), **_node(ledger)})["number"])

    for one in trace["methods"]:
        edges = []
        for flow in one["flows"]:
            fact = {
                "from": known(flow["sent"]),
                "to": known(flow["received"]),
                "time": flow["time_s"],
                "amount": flow["amount"],
                "moved": plain(flow["amount"]["base_units"], flow["amount"]),
                "swap": flow["swap"],
                "tx": flow["tx_hash"],
                "chain": flow["chain"],
            }
            place = movements.setdefault(repr(fact), len(facts))
            if place == len(facts):
                facts.append(fact)
            edges.append([place, flow["taint"], plain(flow["taint"], unit)])
        ends = [known(end["ledger"]) for end in one["ends"]]
        methods[one["method"]] = {"edges": edges, "ends": ends}
    return {"nodes": list(nodes.values()), "movements": facts, "methods": methods}


def _node_id(ledger: dict[str, Any]) -> str:
    return f"{ledger['account']} {ledger['asset']} {ledger['lock'] or ''}"


def _node(ledger: dict[str, Any]) -> dict[str, Any]:
    return {
        "account": ledger["account"],
        "asset": ledger["asset"],
        "lock": ledger["lock"],
        "chain": ledger["account"].rsplit(":", 1)[0],
        "entity": ledger["entity"],
        "categories": ledger["categories"],
    }
