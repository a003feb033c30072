"""The paths of figures: supply, concentration, corridors, series."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from core.model.errors import RejectedError
from core.model.types import AccountId, chain_of
from core.runtime.web import read_query, respond
from regulator_api.access.scope import SCOPE
from regulator_api.reading import bodies, figures, questions
from regulator_api.reading.activity import corridor_view
from regulator_api.reading.common import Frame, Reading, unrestricted
from regulator_api.sealing import seal
from regulator_api.view import View
from regulator_api.view.figures import crossings, holders, movements, supply_of

NATIVE = "/slip44:"


class Figures:
    """The handlers."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def supply(self, request: web.Request) -> web.Response:
        unrestricted(request)
        query = read_query(request, questions.MomentQuery)
        asset = await self._reading.asset(request[SCOPE], request.match_info["asset"])
        found, frame = await self._reading.read(
            request, (query.as_of, query.labels), lambda view: supply_of(view, asset), default="finalized"
        )
        return respond(
            bodies.SupplyAnswer(
                asset=asset,
                chain=chain_of(asset),
                issued=frame.amount(asset, found.issued),
                burned=frame.amount(asset, found.burned),
                held=frame.amount(asset, found.held),
                locked=frame.amount(asset, found.locked),
                in_flight=frame.amount(asset, found.in_swaps),
                residual=None if NATIVE in asset else str(found.residual),
                moment=frame.view,
            )
        )

    async def concentration(self, request: web.Request) -> web.Response:
        unrestricted(request)
        query = read_query(request, questions.TopQuery)
        asset = await self._reading.asset(request[SCOPE], request.match_info["asset"])

        def work(view: View) -> Any:
            return holders(view, asset), self._reading.labels(view)

        (held, labels), frame = await self._reading.read(
            request, (query.as_of, query.labels), work, default="finalized"
        )
        found = figures.concentration(held, query.top)
        at_s = frame.moment.time_s
        rows = [tuple(one) for one in sorted(held) if one.amount > 0]
        return respond(
            bodies.ConcentrationAnswer(
                asset=asset,
                holders=found.holders,
                total=frame.amount(asset, found.total),
                hhi=found.hhi,
                top=[
                    bodies.HolderView(
                        account=one.account,
                        entity=labels.entity_of(AccountId(one.account)),
                        categories=sorted(labels.categories(AccountId(one.account), at_s)),
                        amount=frame.amount(asset, one.amount),
                    )
                    for one in found.top
                ],
                top_ppm=found.top_ppm,
                bundle=_bundle(query.evidence, figures.CONCENTRATION, {"top": query.top}, rows, frame),
                moment=frame.view,
            )
        )

    async def corridors(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.SpanQuery)
        (found, whole), frame = await self._reading.read(
            request,
            (query.as_of, query.labels),
            lambda view: crossings(view, query.since_s, query.until_s),
            default="finalized",
        )
        return respond(
            bodies.CorridorsAnswer(
                items=[corridor_view(frame, one) for one in figures.corridors(found)],
                whole=whole,
                bundle=_bundle(query.evidence, figures.CORRIDORS, {}, [tuple(one) for one in found], frame),
                moment=frame.view,
            )
        )

    async def series(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.SeriesQuery)
        asset = await self._reading.asset(request[SCOPE], request.match_info["asset"])
        step_s = questions.STEP_S[query.step]

        def work(view: View) -> Any:
            until_s = view.as_of.time_s if query.until_s is None else query.until_s
            since_s = max(0, until_s - questions.DEFAULT_SPAN_S) if query.since_s is None else query.since_s
            if not 0 <= until_s - since_s <= step_s * questions.MAX_BUCKETS:
                raise RejectedError(f"a series has 1 to {questions.MAX_BUCKETS} steps: choose a span that has")
            held = 0
            if not view.restricted and NATIVE not in asset:
                held = sum(one.amount for one in holders(view, asset))
            return movements(view, asset, since_s, until_s), since_s, until_s, held

        ((moved, whole), since_s, until_s, held), frame = await self._reading.read(
            request, (query.as_of, query.labels), work, default="finalized"
        )
        items = figures.series(moved, step_s)
        volume = sum(one.volume for one in items)
        return respond(
            bodies.SeriesAnswer(
                asset=asset,
                step_s=step_s,
                since_s=since_s,
                until_s=until_s,
                items=[
                    bodies.BucketView(
                        from_s=one.from_s,
                        transfers=one.transfers,
                        volume=str(one.volume),
                        locks=one.locks,
                        claims=one.claims,
                        refunds=one.refunds,
                    )
                    for one in items
                ],
                volume=frame.amount(asset, volume),
                velocity_ppm=volume * figures.MILLION // held if held > 0 else None,
                whole=whole,
                bundle=_bundle(
                    query.evidence, figures.SERIES, {"step_s": step_s}, [tuple(one) for one in moved], frame
                ),
                moment=frame.view,
            )
        )


def _bundle(
    wanted: bool, name: str, parameters: Mapping[str, int], rows: Sequence[tuple[Any, ...]], frame: Frame
) -> dict[str, Any] | None:
    """Raise `RejectedError` if a bundle of these rows would be too large."""
    if not wanted:
        return None
    if len(rows) > figures.MAX_ROWS:
        raise RejectedError(f"a bundle has at most {figures.MAX_ROWS} rows: ask for a shorter span")
    document = figures.document(name, parameters, rows, frame.moment.text, frame.moment.label_version)
    sealed: dict[str, Any] = msgspec.json.decode(seal(figures.KIND, document))
    return sealed
