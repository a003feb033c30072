"""What happened, added up: flows between chains and assets, and reports of a period, each figure with its origin."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from console.api import segment
from console.frame import HEADERS, Frame, Page, Visit, attachment, redirect
from console.rendering import units
from console.spans import Span, asked_span, newest_day, presets
from core.model.errors import RejectedError

FLOW_DAYS: Final = 7
REPORT_DAYS: Final = 7
FEW: Final = 10
SHOWN: Final = 25
IN_FLIGHT: Final = ("initiator-locked", "participant-locked", "locked", "revealed", "refunding", "one-sided")
MAX_ORDERS: Final = 100
COLUMNS: Final = ("section", "name", "count", "base_units", "amount", "unit", "asset", "chain")
MOVED: Final = (
    ("transferred", "transfers"),
    ("locked", "locks"),
    ("claimed", "claims"),
    ("refunded", "refunds"),
)
"""Members of an asset's activity, and what they count."""

PAGES: Final[tuple[Page, ...]] = (
    Page("flows", "Flows", "read", "Movements"),
    Page("reports", "Reports", "read", "Proof"),
)


class ReportingPages:
    """Flows and reports of one supervision API."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        pages: list[tuple[str, Callable[[Visit], Awaitable[web.Response]]]] = [
            ("/flows", self._flows),
            ("/flows/bundle", self._bundle),
            ("/reports", self._reports),
            ("/reports/file", self._file),
            ("/exports/{id}", self._export),
            ("/exports/{id}/file", self._exported),
        ]
        return [
            *(web.get(path, self._frame.signed_in(page)) for path, page in pages),
            web.post("/exports", self._frame.act(self._begin)),
        ]

    async def _flows(self, visit: Visit) -> web.Response:
        asked = visit.asked("from", "to", "as_of", "jurisdiction")
        span = await _span(visit, asked, FLOW_DAYS)
        if not visit.late("figures"):
            live = None if "as_of" in asked else await visit.follows()
            return visit.page("flows.html", "Flows", span=span, asked=asked, live=live, found=None)
        narrowed = _narrowed(asked)
        found, *flying = await asyncio.gather(
            visit.get("/v1/corridors", **_times(span), **narrowed),
            *(visit.get("/v1/swaps", status=status, limit=FEW, **narrowed) for status in IN_FLIGHT),
        )
        return visit.page(
            "flows.html",
            "Flows",
            span=span,
            asked=asked,
            live=None if "as_of" in asked else "",
            found=found,
            sankey=sankey_of(found["items"]),
            matrix=matrix_of(found["items"]),
            flying=[swap for page in flying for swap in page["items"]],
            more=[status for status, page in zip(IN_FLIGHT, flying, strict=True) if page["next"] is not None],
            made_of=made_of(span, found["moment"]["as_of"], asked),
        )

    async def _bundle(self, visit: Visit) -> web.Response:
        """The rows that the corridors were added up from: anybody adds them up again, offline."""
        asked = visit.asked("from", "to", "as_of", "jurisdiction")
        span = await _span(visit, asked, FLOW_DAYS)
        found = await visit.get("/v1/corridors", **_times(span), **_narrowed(asked), evidence="true")
        return attachment(msgspec.json.encode(found["bundle"], order="sorted"), f"corridors-{_days(span)}.json")

    async def _reports(self, visit: Visit) -> web.Response:
        asked = visit.asked("from", "to", "as_of", "jurisdiction")
        today = newest_day((await visit.get("/v1/chains"))["items"], 0)
        span, wanted = asked_span(asked, today, REPORT_DAYS), bool(asked)
        shown = {"span": span, "asked": asked, "presets": presets(today), "wanted": wanted}
        if not wanted or not visit.late("figures"):
            return visit.page("reports.html", "Reports", **shown, report=None)
        report = await _report(visit, span, asked)
        made = made_of(span, report["activity"]["moment"]["as_of"], asked)
        return visit.page("reports.html", "Reports", **shown, report=report, made_of=made)

    async def _file(self, visit: Visit) -> web.Response:
        """The figures of a report, as CSV or as JSON Lines."""
        asked, form = visit.asked("from", "to", "as_of", "jurisdiction"), visit.asked("format").get("format")
        if form not in ("csv", "jsonl"):
            raise RejectedError("a report's file is csv or jsonl: choose one")
        span = await _span(visit, asked, REPORT_DAYS)
        report = await _report(visit, span, asked)
        rows = rows_of(report)
        body, kind = (csv_of(rows), "text/csv") if form == "csv" else (lines_of(rows), "application/jsonl")
        kept = {"Content-Disposition": f'attachment; filename="report-{_days(span)}.{form}"'}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers={**HEADERS, **kept})

    async def _begin(self, visit: Visit, form: dict[str, str]) -> web.Response:
        """Begin an export of the rows that a report is made of."""
        span = asked_span(form, newest_day((await visit.get("/v1/chains"))["items"], 0), REPORT_DAYS)
        body: dict[str, Any] = {"what": form.get("what", ""), "format": form.get("format", ""), **_times(span)}
        if form.get("as_of"):
            body["as_of"] = form["as_of"]
        made = await visit.post("/v1/exports", body)
        return redirect(f"/console/exports/{segment(made['id'])}")

    async def _export(self, visit: Visit) -> web.Response:
        found = await visit.get(f"/v1/exports/{segment(visit.request.match_info['id'])}")
        return visit.page("export.html", "Export", export=found)

    async def _exported(self, visit: Visit) -> web.Response:
        name = segment(visit.request.match_info["id"])
        found = await visit.get(f"/v1/exports/{name}")
        raw = await visit.file(f"/v1/exports/{name}/file")
        return attachment(raw, f"export-{name[:8]}.{found['format']}", "application/octet-stream")


async def _span(visit: Visit, asked: dict[str, str], days: int) -> Span:
    """The span that is asked for, or the last days that the chains have blocks of."""
    if "to" in asked:
        return asked_span(asked, asked_span({"to": asked["to"]}, newest_day([], 0), 1).last, days)
    return asked_span(asked, newest_day((await visit.get("/v1/chains"))["items"], 0), days)


def _times(span: Span) -> dict[str, int]:
    return {"since_s": span.since_s, "until_s": span.until_s}


def _narrowed(asked: dict[str, str]) -> dict[str, str]:
    return {name: asked[name] for name in ("as_of", "jurisdiction") if name in asked}


def _days(span: Span) -> str:
    return f"{span.first}-{span.last}"


def made_of(span: Span, as_of: str, asked: dict[str, str]) -> str:
    """Return the query by which lists show the rows of this span, as of this moment, of this jurisdiction."""
    return urlencode({**_times(span), **_narrowed(asked), "as_of": as_of})


async def _report(visit: Visit, span: Span, asked: dict[str, str]) -> dict[str, Any]:
    """Everything that a report has. What this person may not see is None."""
    activity = await visit.get("/v1/activity", **_times(span), **_narrowed(asked))
    summary = orders = None
    if "jurisdiction" not in asked:
        summary, orders = await asyncio.gather(
            visit.maybe("/v1/summary", as_of=activity["moment"]["as_of"]), visit.maybe("/v1/orders", limit=MAX_ORDERS)
        )
    within = [one for one in (orders or {"items": []})["items"] if prepared_within(one, span)]
    return {
        "who": visit.session.who,
        "span": span,
        "activity": activity,
        "conservation": None if summary is None else summary["conservation"],
        "orders": None if orders is None else within,
        "more_orders": orders is not None and orders["next"] is not None and len(within) == len(orders["items"]),
    }


def prepared_within(order: dict[str, Any], span: Span) -> bool:
    return bool(span.since_s <= order["prepared"]["time"] <= span.until_s)


def rows_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the report's figures, one a row, with the members `COLUMNS`; amounts are decimal text."""
    activity = report["activity"]
    rows = [_row("report", "from", report["span"].first), _row("report", "to", report["span"].last)]
    rows.append(_row("report", "as of", activity["moment"]["as_of"]))
    rows.append(_row("report", "jurisdiction", activity["jurisdiction"] or "all that the reader may see"))
    rows.append(_row("report", "whole", "yes" if activity["whole"] else "no: there was more than is added up"))
    for one in activity["assets"]:
        rows.extend(_amount_row("movements", name, one[member]) for member, name in MOVED)
    for one in activity["corridors"]:
        name = f"{one['given']['asset']} to {one['taken']['asset']}"
        rows.append(_amount_row("corridors given", name, {"count": one["swaps"], "amount": one["given"]}))
        rows.append(_amount_row("corridors taken", name, {"count": one["swaps"], "amount": one["taken"]}))
    for section in ("swaps", "alerts"):
        rows.extend(_row(section, name, count=count) for name, count in activity[section].items())
    if activity["cases"] is not None:
        rows.extend(_row("cases", name, count=activity["cases"][name]) for name in ("opened", "closed"))
        rows.extend(_row("cases closed", name, count=count) for name, count in activity["cases"]["outcomes"].items())
    for one in report["conservation"] or []:
        name = "adds up" if one["ok"] else "does not add up"
        view = {"asset": one["asset"], "decimals": one["decimals"], "symbol": one["symbol"]}
        for part in ("locked", "claimed", "refunded", "open"):
            counted = {"count": one[part]["count"], "amount": {**view, "base_units": one[part]["base_units"]}}
            rows.append(_amount_row(f"conservation ({name})", part, counted))
    rows.extend(_row("orders", f"{one['number']} {one['status']} {one['account']}") for one in report["orders"] or [])
    return rows


def _row(section: str, name: object, value: object = "", *, count: int | None = None) -> dict[str, Any]:
    return {
        **dict.fromkeys(COLUMNS, ""),
        "section": section,
        "name": str(name),
        "count": "" if count is None else count,
        "amount": str(value),
    }


def _amount_row(section: str, name: str, counted: dict[str, Any]) -> dict[str, Any]:
    view = counted["amount"]
    known = view["decimals"] is not None
    return {
        "section": section,
        "name": name,
        "count": counted["count"],
        "base_units": view["base_units"],
        "amount": units(view["base_units"], view["decimals"]).replace("\u202f", "") if known else "",
        "unit": (view["symbol"] or "") if known else "",
        "asset": view["asset"],
        "chain": view["asset"].partition("/")[0],
    }


def csv_of(rows: list[dict[str, Any]]) -> bytes:
    """CSV (RFC 4180). Text that a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return out.getvalue().encode()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def lines_of(rows: list[dict[str, Any]]) -> bytes:
    """JSON Lines: an object a row."""
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def sankey_of(corridors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Swaps from what was given to what was taken, as the picture of flows needs them."""

    def named(side: str, amount: dict[str, Any], chain: str) -> str:
        return f"{side} {amount['symbol'] or amount['asset']} on {chain}"

    return [
        {
            "source": named("gave", one["given"], one["from_chain"]),
            "target": named("got", one["taken"], one["to_chain"]),
            "value": one["swaps"],
        }
        for one in corridors
    ]


def matrix_of(corridors: list[dict[str, Any]]) -> dict[str, Any]:
    """Swaps by the two chains: `from` and `to` name rows and columns, `swaps` has each row's counts."""
    sources = sorted({one["from_chain"] for one in corridors})
    targets = sorted({one["to_chain"] for one in corridors})
    counts = dict.fromkeys(((source, target) for source in sources for target in targets), 0)
    for one in corridors:
        counts[one["from_chain"], one["to_chain"]] += one["swaps"]
    return {"from": sources, "to": targets, "swaps": [[counts[a, b] for b in targets] for a in sources]}
