"""`/v1/activity`: sums over a span of time, as a report needs them."""

from typing import Any, Final

from aiohttp import web

from core.model.errors import RejectedError
from core.model.types import AssetId, chain_of
from core.runtime.web import Route, read_query, respond
from regulator_api.access.scope import scope_of
from regulator_api.reading import bodies, figures, questions
from regulator_api.reading.common import Frame, Reading
from regulator_api.rules import alerts, cases
from regulator_api.rules.alerts import AlertFilter
from regulator_api.view import View
from regulator_api.view.activity import Activity, Sum, activity, swaps_by_status
from regulator_api.view.figures import crossings

DEFAULT_SPAN_S: Final = 7 * 86_400
NS_PER_S: Final = 10**9
PROBLEMS: Final = (
    (404, "There is no such chain or label version."),
    (422, "An identifier is not in its form, or the span ends before it begins."),
    (503, "The database is locked: try again."),
)


class ActivityPath:
    """The handler."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def get(self, request: web.Request) -> web.Response:
        query, scope = read_query(request, questions.ActivityQuery), scope_of(request)

        def work(view: View) -> dict[str, Any]:
            until_s = view.as_of.time_s if query.until_s is None else query.until_s
            since_s = max(0, until_s - DEFAULT_SPAN_S) if query.since_s is None else query.since_s
            if since_s > until_s:
                raise RejectedError("since_s is behind until_s: nothing could be found")
            assets, whole = activity(view, since_s, until_s)
            swaps, all_swaps = swaps_by_status(view, since_s, until_s)
            crossed, all_crossed = crossings(view, since_s, until_s)
            wanted = AlertFilter(since_s=since_s, until_s=until_s + 1)
            of_cases = None
            if "cases" in scope.roles:
                span = since_s * NS_PER_S, (until_s + 1) * NS_PER_S
                of_cases = bodies.CaseCounts(**cases.count_cases(view.connection, scope, *span)._asdict())
            return {
                "since_s": since_s,
                "until_s": until_s,
                "assets": assets,
                "swaps": {status.value: count for status, count in swaps.items()},
                "corridors": figures.corridors(crossed),
                "alerts": alerts.count_alerts(view.connection, scope, wanted),
                "cases": of_cases,
                "whole": whole and all_swaps and all_crossed,
            }

        found, frame = await self._reading.read(request, (query.as_of, query.labels), work, default="finalized")
        assets = [_asset_view(frame, asset, of) for asset, of in found.pop("assets").items()]
        corridors = [corridor_view(frame, one) for one in found.pop("corridors")]
        return respond(
            bodies.ActivityAnswer(
                **found, jurisdiction=query.jurisdiction, assets=assets, corridors=corridors, moment=frame.view
            )
        )


def routes(reading: Reading) -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/activity",
            ActivityPath(reading).get,
            "What happened in a span of time",
            answer=bodies.ActivityAnswer,
            query=questions.ActivityQuery,
            scope="read",
            problems=PROBLEMS,
            tag="supervision",
        )
    ]


def corridor_view(frame: Frame, one: figures.Corridor) -> bodies.CorridorView:
    return bodies.CorridorView(
        from_chain=chain_of(AssetId(one.from_asset)),
        to_chain=chain_of(AssetId(one.to_asset)),
        swaps=one.swaps,
        given=frame.amount(AssetId(one.from_asset), one.given),
        taken=frame.amount(AssetId(one.to_asset), one.taken),
    )


def _asset_view(frame: Frame, asset: AssetId, of: Activity) -> bodies.AssetActivity:
    def counted(one: Sum) -> bodies.CountedAmount:
        return bodies.CountedAmount(count=one.count, amount=frame.amount(asset, one.base_units))

    return bodies.AssetActivity(
        asset=asset,
        chain=chain_of(asset),
        transferred=counted(of.transferred),
        locked=counted(of.locked),
        claimed=counted(of.claimed),
        refunded=counted(of.refunded),
    )
