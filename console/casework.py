"""A supervisor's work: alerts with their reasons, rules that are tried first, cases that two people close."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from console.api import segment
from console.frame import Frame, Page, Visit, attachment, newest, redirect

SHOWN: Final = 25

PAGES: Final[tuple[Page, ...]] = (
    Page("alerts", "Alerts", "read", "Today"),
    Page("cases", "Cases", "cases", "Today"),
    Page("rules", "Rules", "read", "Decisions"),
)


class CaseworkPages:
    """Alerts, cases and rules of one supervision API."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        pages: list[tuple[str, Callable[[Visit], Awaitable[web.Response]]]] = [
            ("/alerts", self._alerts),
            ("/alerts/{id}", self._alert),
            ("/alerts/{id}/bundle", self._bundle),
            ("/cases", self._cases),
            ("/cases/{id}", self._case),
            ("/cases/{id}/export", self._export),
            ("/rules", self._rules),
            ("/rules/{id}", self._rule),
        ]
        acts: list[tuple[str, Callable[[Visit, dict[str, str]], Awaitable[web.Response]]]] = [
            ("/cases", self._open_case),
            ("/cases/{id}/{act:notes|assign|close|reopen}", self._act_on_case),
            ("/rules/{id}/{act:dry-run|activate|reject}", self._act_on_rule),
        ]
        return [
            *(web.get(path, self._frame.signed_in(page)) for path, page in pages),
            *(web.post(path, self._frame.act(act)) for path, act in acts),
        ]

    async def _alerts(self, visit: Visit) -> web.Response:
        asked = visit.asked("typology", "subject", "rule", "cursor", "withdrawn", "since_s", "until_s", "jurisdiction")
        live = await newest(visit, asked)
        found = await visit.get("/v1/alerts", limit=SHOWN, **asked)
        typologies = sorted({one["typology"] for one in (await visit.get("/v1/rules"))["items"]})
        return visit.page("alerts.html", "Alerts", found=found, asked=asked, typologies=typologies, live=live)

    async def _alert(self, visit: Visit) -> web.Response:
        found = await visit.get(f"/v1/alerts/{_id(visit)}")
        return visit.page("alert.html", "Alert", **found)

    async def _bundle(self, visit: Visit) -> web.Response:
        """The bundle by which anybody runs the rule again, byte for byte."""
        return attachment(await visit.raw(f"/v1/alerts/{_id(visit)}/bundle"), f"alert-{_id(visit)[:32]}.json")

    async def _cases(self, visit: Visit) -> web.Response:
        asked = visit.asked("status", "assignee", "cursor")
        found = await visit.get("/v1/cases", limit=SHOWN, **asked)
        return visit.page("cases.html", "Cases", found=found, asked=asked)

    async def _case(self, visit: Visit) -> web.Response:
        return visit.page("case.html", "Case", **await visit.get(f"/v1/cases/{_id(visit)}"))

    async def _export(self, visit: Visit) -> web.Response:
        return attachment(await visit.raw(f"/v1/cases/{_id(visit)}/export"), f"case-{_id(visit)[:64]}.json")

    async def _rules(self, visit: Visit) -> web.Response:
        return visit.page("rules.html", "Rules", found=await visit.get("/v1/rules"))

    async def _rule(self, visit: Visit) -> web.Response:
        return visit.page("rule.html", "Rule", rule=await visit.get(f"/v1/rules/{_id(visit)}"), tried=None)

    # --- acts ---

    async def _open_case(self, visit: Visit, form: dict[str, str]) -> web.Response:
        alerts = [form["alert"]] if form.get("alert") else []
        body: dict[str, Any] = {"title": form.get("title", ""), "alerts": alerts}
        made = await visit.post("/v1/cases", body)
        return redirect(f"/console/cases/{segment(made['id'])}")

    async def _act_on_case(self, visit: Visit, form: dict[str, str]) -> web.Response:
        act = visit.request.match_info["act"]
        names = {"notes": ("text",), "assign": ("assignee",), "close": ("outcome", "reason"), "reopen": ("reason",)}
        await visit.post(f"/v1/cases/{_id(visit)}/{act}", {name: form.get(name, "") for name in names[act]})
        return redirect(f"/console/cases/{_id(visit)}")

    async def _act_on_rule(self, visit: Visit, form: dict[str, str]) -> web.Response:
        act = visit.request.match_info["act"]
        if act != "dry-run":
            await visit.post(f"/v1/rules/{_id(visit)}/{act}", {})
            return redirect(f"/console/rules/{_id(visit)}")
        rule, tried = await asyncio.gather(
            visit.get(f"/v1/rules/{_id(visit)}"), visit.post(f"/v1/rules/{_id(visit)}/dry-run", {})
        )
        return visit.page("rule.html", "Rule", rule=rule, tried=tried)


def _id(visit: Visit) -> str:
    return segment(visit.request.match_info["id"])
