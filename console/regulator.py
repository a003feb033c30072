"""A supervisor's pages: what happens on all chains, and what each figure is made of."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from console.api import ApiProblem, segment
from console.frame import Frame, Page, Visit, attachment, newest, redirect

SHOWN: Final = 25
FEW: Final = 10
AXIS_FROM, AXIS_TO, AXIS_APART = 4.0, 96.0, 6.0
"""Where the axis of a swap begins and ends, and how far apart two marks are at least, in percent of its width."""
LIMITS: Final = ("since_s", "until_s", "as_of", "jurisdiction")
"""By which figures say what they are made of."""

PAGES: Final[tuple[Page, ...]] = (
    Page("", "Overview", "read", "Today"),
    Page("swaps", "Swaps", "read", "Movements"),
    Page("transfers", "Transfers", "read", "Movements"),
    Page("assets", "Assets", "read", "Who and what"),
    Page("records", "Records", "read", "Who and what"),
    Page("contracts", "Contracts", "read", "Who and what"),
    Page("lists", "Watch lists", "read", "Who and what"),
    Page("entities", "Entities", "read", "Who and what"),
    Page("orders", "Orders", "read", "Decisions"),
    Page("log", "Access log", "audit", "Proof"),
    Page("verify", "Verify", None, "Proof"),
)


class RegulatorPages:
    """The pages of one supervision API."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        pages: list[tuple[str, Callable[[Visit], Awaitable[web.Response]]]] = [
            ("/", self._overview),
            ("/swaps", self._swaps),
            ("/swaps/{id}", self._swap),
            ("/swaps/{id}/evidence/{leg}", self._evidence),
            ("/transfers", self._transfers),
            ("/assets", self._assets),
            ("/assets/{asset}", self._asset),
            ("/accounts/{account}", self._account),
            ("/records", self._records),
            ("/records/{chain}/{namespace}/{key}", self._record),
            ("/records/{chain}/{namespace}/{key}/evidence", self._record_evidence),
            ("/contracts", self._contracts),
            ("/lists", self._lists),
            ("/lists/{version}", self._list),
            ("/entities", self._entities),
            ("/entities/{id}", self._entity),
            ("/orders", self._orders),
            ("/log", self._log),
            ("/search", self._search),
        ]
        return [web.get(path, self._frame.signed_in(page)) for path, page in pages]

    async def _overview(self, visit: Visit) -> web.Response:
        if not visit.may("read"):
            return redirect("/console/log" if visit.may("audit") else "/console/verify")
        if visit.late("figures"):
            summary = await visit.maybe("/v1/summary") or {}
            return visit.page("overview_figures.html", "Overview", summary=summary, live="")
        live = await visit.follows()
        chains, swaps, alerts = await asyncio.gather(
            visit.get("/v1/chains"), visit.get("/v1/swaps", limit=FEW), visit.maybe("/v1/alerts", limit=SHOWN)
        )
        waiting = [] if alerts is None else [one for one in alerts["items"] if one["case_id"] is None]
        return visit.page(
            "overview.html",
            "Overview",
            chains=chains["items"],
            swaps=swaps["items"],
            alerts=alerts,
            waiting=len(waiting),
            more_alerts=alerts is not None and alerts["next"] is not None,
            summary=None,
            live=live,
        )

    async def _swaps(self, visit: Visit) -> web.Response:
        asked = visit.asked("status", "chain", "asset", "hashlock", "account", "cursor", *LIMITS)
        live = await newest(visit, asked)
        found = await visit.get("/v1/swaps", limit=SHOWN, **asked)
        return visit.page("swaps.html", "Swaps", found=found, asked=asked, live=live)

    async def _swap(self, visit: Visit) -> web.Response:
        name = segment(visit.request.match_info["id"])
        found = await visit.get(f"/v1/swaps/{name}")
        evidence: dict[str, Any] | None = None
        if visit.may("evidence") and "evidence" in visit.request.query and found["swap"]["initiator"] is not None:
            evidence = await visit.get(f"/v1/swaps/{name}/evidence")
        axis = time_axis(found["swap"])
        return visit.page("swap.html", "Swap", **found, axis=axis, evidence=evidence)

    async def _evidence(self, visit: Visit) -> web.Response:
        """One leg's evidence file, byte for byte."""
        name, leg = segment(visit.request.match_info["id"]), visit.request.match_info["leg"]
        raw = await visit.raw(f"/v1/swaps/{name}/evidence", leg=leg)
        return attachment(raw, f"{name[:64]}-{segment(leg)[:16]}.json")

    async def _transfers(self, visit: Visit) -> web.Response:
        asked = visit.asked("chain", "asset", "account", "counterparty", "tx", "cursor", *LIMITS)
        live = await newest(visit, asked)
        found = await visit.get("/v1/transfers", limit=SHOWN, **asked)
        return visit.page("transfers.html", "Transfers", found=found, asked=asked, live=live)

    async def _assets(self, visit: Visit) -> web.Response:
        asked = visit.asked("chain", "cursor")
        found = await visit.get("/v1/assets", limit=SHOWN, **asked)
        return visit.page("assets.html", "Assets", found=found, asked=asked)

    async def _asset(self, visit: Visit) -> web.Response:
        name = visit.request.match_info["asset"]
        place = f"/v1/assets/{segment(name)}"
        if visit.late("figures"):
            conservation, supply = await asyncio.gather(
                visit.maybe(f"{place}/conservation"), visit.maybe(f"{place}/supply")
            )
            late: dict[str, Any] = {"conservation": conservation or {}, "supply": supply, "transfers": {"items": []}}
            return visit.page("asset.html", "Asset", name=name, named=None, live="", **late)
        live = await visit.follows()
        transfers = await visit.get("/v1/transfers", asset=name, limit=FEW)
        named = next((one["amount"] for one in transfers["items"]), None)
        if named is None:
            listed = await visit.maybe("/v1/assets", limit=SHOWN) or {"items": []}
            named = next((one for one in listed["items"] if one["asset"] == name), None)
        shown = {"conservation": None, "transfers": transfers, "named": named}
        return visit.page("asset.html", "Asset", name=name, live=live, **shown)

    async def _account(self, visit: Visit) -> web.Response:
        name = visit.request.match_info["account"]
        place, asked = f"/v1/accounts/{segment(name)}", visit.asked("as_of")
        profile, partners, moves, alerts, hold = await asyncio.gather(
            visit.get(place, **asked),
            visit.get(f"{place}/counterparties", limit=FEW, **asked),
            visit.get(f"{place}/moves", limit=SHOWN, **asked, **visit.asked("cursor")),
            visit.maybe("/v1/alerts", subject=name, limit=FEW),
            visit.maybe(f"/v1/holds/{segment(name)}"),
        )
        return visit.page(
            "account.html",
            "Account",
            profile=profile,
            partners=partners,
            moves=moves,
            alerts=alerts,
            hold=hold,
            asked=asked,
        )

    async def _records(self, visit: Visit) -> web.Response:
        asked = visit.asked("chain", "namespace", "cursor")
        found = await visit.get("/v1/records", limit=SHOWN, **asked)
        return visit.page("records.html", "Records", found=found, asked=asked)

    async def _record(self, visit: Visit) -> web.Response:
        path, asked = _record_path(visit), visit.asked("as_of", "cursor")
        found = await visit.get(f"/v1/{path}", limit=SHOWN, **asked)
        named = {name: visit.request.match_info[name] for name in ("chain", "namespace", "key")}
        authors = sorted({one["author"] for one in found["items"]})[:FEW]
        profiles = await asyncio.gather(*(visit.maybe(f"/v1/accounts/{segment(one)}") for one in authors))
        entities = {one: found_["entity"] for one, found_ in zip(authors, profiles, strict=True) if found_ is not None}
        shown = {"found": found, "asked": asked, "named": named, "path": path, "entities": entities}
        return visit.page("record.html", "Record", **shown)

    async def _record_evidence(self, visit: Visit) -> web.Response:
        """The proof of some versions, byte for byte."""
        asked = visit.asked("first", "last")
        raw = await visit.raw(f"/v1/{_record_path(visit)}/evidence", **asked)
        name = f"record-{segment(visit.request.match_info['key'])[:64]}-{asked.get('first', '')[:9]}.json"
        return attachment(raw, name)

    async def _contracts(self, visit: Visit) -> web.Response:
        asked = visit.asked("chain", "cursor")
        found = await visit.get("/v1/contracts", limit=SHOWN, **asked)
        return visit.page("contracts.html", "Contracts", found=found, asked=asked)

    async def _lists(self, visit: Visit) -> web.Response:
        asked = visit.asked("list", "cursor")
        found = await visit.get("/v1/lists", limit=SHOWN, **asked)
        return visit.page("lists.html", "Watch lists", found=found, asked=asked)

    async def _list(self, visit: Visit) -> web.Response:
        version = visit.request.match_info["version"]
        found = await visit.get(f"/v1/lists/{segment(version)}/changes", limit=SHOWN, **visit.asked("cursor"))
        return visit.page("list.html", f"Label version {version}", found=found, number=version)

    async def _entities(self, visit: Visit) -> web.Response:
        found = await visit.get("/v1/entities", limit=SHOWN, **visit.asked("cursor"))
        return visit.page("entities.html", "Entities", found=found)

    async def _entity(self, visit: Visit) -> web.Response:
        found = await visit.get(f"/v1/entities/{segment(visit.request.match_info['id'])}")
        return visit.page("entity.html", "Entity", found=found)

    async def _orders(self, visit: Visit) -> web.Response:
        found = await visit.maybe("/v1/orders", limit=SHOWN, **visit.asked("cursor", "account"))
        return visit.page("orders.html", "Orders", found=found)

    async def _log(self, visit: Visit) -> web.Response:
        asked = visit.asked("who", "cursor")
        found = await visit.get("/v1/audit", limit=SHOWN, **asked)
        return visit.page("log.html", "Access log", found=found, asked=asked)

    async def _search(self, visit: Visit) -> web.Response:
        text = visit.request.query.get("q", "").strip()[:512]
        found: list[dict[str, Any]] = []
        if text:
            try:
                found = (await visit.get("/v1/search", q=text))["items"]
            except ApiProblem as error:
                if error.status != 422:
                    raise
        for one in found:
            one["place"] = place_of(one)
        if len(found) == 1:
            return redirect(found[0]["place"])
        return visit.page("search.html", "Search", text=text, found=found)


def _record_path(visit: Visit) -> str:
    return "/".join(("records", *(segment(visit.request.match_info[name]) for name in ("chain", "namespace", "key"))))


_PLACES: Final = {
    "account": "accounts",
    "contract": "accounts",
    "swap": "swaps",
    "asset": "assets",
    "entity": "entities",
}


def place_of(hit: dict[str, Any]) -> str:
    """The page of something that the search found."""
    if hit["kind"] in _PLACES:
        return f"/console/{_PLACES[hit['kind']]}/{segment(hit['id'])}"
    if hit["kind"] == "record":
        # Its id does not say on which chain it is; the API's path does, and ours has the same parts.
        return "/console" + str(hit["path"]).removeprefix("/v1")
    if hit["kind"] == "transaction":
        return f"/console/transfers?tx={segment(hit['id'].rsplit('/', 1)[-1])}"
    return f"/console/search?q={segment(hit['id'])}"


def time_axis(swap: dict[str, Any]) -> list[dict[str, Any]]:
    """What happened and what is due on both legs, with its place on the axis of time, in percent: as far apart as in
    time, but never so near to the one before on its leg that one hides the other."""
    marks: list[tuple[int, str, str, dict[str, Any] | None]] = []
    for role in ("initiator", "participant"):
        leg = swap[role]
        if leg is None:
            continue
        marks.append((leg["agreed"]["timelock_s"], role, "timelock", None))
        if leg["lock"] is not None:
            marks.append((leg["lock"]["locked"]["block"]["time_s"], role, "locked", leg["lock"]["locked"]))
            if leg["lock"]["settled"] is not None:
                settled = leg["lock"]["settled"]
                marks.append((settled["block"]["time_s"], role, leg["lock"]["status"], settled))
    if not marks:
        return []
    marks.sort(key=lambda mark: mark[0])
    first, last = marks[0][0], marks[-1][0]
    places: dict[str, float] = {}
    axis = []
    for time_s, role, what, placed in marks:
        exact = AXIS_FROM + (AXIS_TO - AXIS_FROM) * (time_s - first) / (last - first or 1)
        places[role] = max(exact, places.get(role, 0.0) + AXIS_APART)
        axis.append({"time_s": time_s, "role": role, "what": what, "placed": placed, "at": min(places[role], AXIS_TO)})
    return axis
