"""The paths of reading: accounts, entities, transfers, swaps, search."""

from itertools import islice
from typing import Any, Final

import msgspec
from aiohttp import web

from core.model.errors import NotFoundError
from core.model.types import ChainId, Hashlock, Height, SwapId, chain_of
from core.runtime.web import Handler, Route, read_query, respond
from indexer.moves import Direction, MoveKey
from indexer.projections.swaps import SwapStatus
from regulator_api import answers, requests
from regulator_api import bodies as old
from regulator_api.access.scope import SCOPE
from regulator_api.reading import bodies, documents, questions
from regulator_api.reading.aggregates import Figures
from regulator_api.reading.common import Reading, listing_of
from regulator_api.reading.search import search
from regulator_api.rules.alerts import risk_of
from regulator_api.view import View
from regulator_api.view.accounts import Balance, balances_of, counterparties, list_moves, span
from regulator_api.view.swaps import SwapFilter, list_swaps, swap_by_id
from regulator_api.view.things import list_records, record_history
from regulator_api.view.transfers import TransferFilter, block_hashes, list_transfers

MAX_ENTITY_ACCOUNTS: Final = 200
"""Accounts of an entity that are added up."""
PROBLEMS: Final = (
    (404, "There is no such thing, for this caller and at this moment."),
    (422, "An identifier is not in its form, filters exclude each other, or a cursor is not one of this list."),
    (503, "The database is locked: try again."),
)


def routes(reading: Reading) -> list[Route]:
    """Every path of reading."""
    paths, figures = Paths(reading), Figures(reading)
    return [
        _scoped(
            "GET",
            "/v1/assets/{asset:.+}/supply",
            figures.supply,
            "An asset's supply",
            bodies.SupplyAnswer,
            questions.MomentQuery,
        ),
        _scoped(
            "GET",
            "/v1/assets/{asset:.+}/concentration",
            figures.concentration,
            "How an asset is spread",
            bodies.ConcentrationAnswer,
            questions.TopQuery,
        ),
        _scoped(
            "GET",
            "/v1/assets/{asset:.+}/series",
            figures.series,
            "An asset's movements over time",
            bodies.SeriesAnswer,
            questions.SeriesQuery,
        ),
        _scoped(
            "GET",
            "/v1/corridors",
            figures.corridors,
            "Value between chains",
            bodies.CorridorsAnswer,
            questions.SpanQuery,
        ),
        _scoped("GET", "/v1/records", paths.records, "Records, by name", bodies.RecordsPage, questions.RecordsQuery),
        _scoped(
            "GET",
            "/v1/records/{chain}/{namespace}/{key}",
            paths.versions,
            "A record's versions, newest first",
            bodies.RecordsPage,
            questions.VersionsQuery,
        ),
        _scoped(
            "GET",
            "/v1/transfers",
            paths.transfers,
            "Transfers, newest first",
            old.TransfersPage,
            questions.TransfersQuery,
        ),
        _scoped("GET", "/v1/swaps", paths.swaps, "Swaps, newest first", old.SwapsPage, questions.SwapsQuery),
        _scoped(
            "GET", "/v1/swaps/{id}", paths.swap, "One swap, step by step", bodies.SwapDocument, questions.MomentQuery
        ),
        _scoped("GET", "/v1/search", paths.search, "Anything by its name", bodies.SearchAnswer, questions.SearchQuery),
        _scoped(
            "GET", "/v1/accounts/{account}", paths.profile, "One account", bodies.ProfileAnswer, questions.MomentQuery
        ),
        _scoped(
            "GET",
            "/v1/accounts/{account}/moves",
            paths.moves,
            "An account's history, newest first",
            bodies.MovesPage,
            questions.MovesQuery,
        ),
        _scoped(
            "GET",
            "/v1/accounts/{account}/counterparties",
            paths.partners,
            "With whom an account deals",
            bodies.PartnersAnswer,
            questions.PartnersQuery,
        ),
        _scoped(
            "GET",
            "/v1/entities/{id}/holdings",
            paths.entity,
            "An entity's accounts together",
            bodies.HoldingsAnswer,
            questions.MomentQuery,
        ),
    ]


def _scoped(method: str, path: str, handler: Handler, summary: str, answer: type, query: type[msgspec.Struct]) -> Route:
    return Route(
        method,
        path,
        handler,
        summary,
        answer=answer,
        query=query,
        scope="read",
        problems=PROBLEMS,
        tag="supervision",
    )


class Paths:
    """The handlers."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    async def transfers(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.TransfersQuery)
        chain, asset, (account, other) = await self._reading.filters(
            request[SCOPE], query.chain, query.asset, query.account, query.counterparty
        )
        wanted = TransferFilter(
            chain=chain,
            asset=asset,
            account=account,
            counterparty=other,
            tx_hash=None if query.tx is None else questions.parse_hash(query.tx, "tx"),
            since_s=query.since_s,
            until_s=query.until_s,
            min_amount=None if query.min_amount is None else int(query.min_amount),
            max_amount=None if query.max_amount is None else int(query.max_amount),
        )
        listing = listing_of("transfers", query, wanted)
        moment, sealed = self._reading.opened(listing, query)
        before = None if sealed is None else (int(sealed[0]), str(sealed[1]), int(sealed[2]), int(sealed[3]))
        page, frame = await self._reading.read(
            request, moment, lambda view: list_transfers(view, wanted, query.limit, before)
        )
        shown = [answers.transfer_view(row, frame.assets, frame.final) for row in page.rows]
        after = self._reading.next(listing, frame, page.next)
        return respond(old.TransfersPage(items=shown, next=after, as_of=frame.as_of))

    async def swaps(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.SwapsQuery)
        chain, asset, (account,) = await self._reading.filters(request[SCOPE], query.chain, query.asset, query.account)
        wanted = SwapFilter(
            chain=chain,
            asset=asset,
            status=None if query.status is None else SwapStatus(query.status),
            hashlock=None if query.hashlock is None else Hashlock(questions.parse_hash(query.hashlock, "a hashlock")),
            account=account,
            since_s=query.since_s,
            until_s=query.until_s,
        )
        listing = listing_of("swaps", query, wanted)
        moment, sealed = self._reading.opened(listing, query)
        before = None if sealed is None else (int(sealed[0]), SwapId(sealed[1]))
        page, frame = await self._reading.read(
            request, moment, lambda view: list_swaps(view, wanted, query.limit, before)
        )
        shown = [answers.swap_answer(row, frame.assets, frame.final) for row in page.rows]
        after = self._reading.next(listing, frame, page.next)
        return respond(old.SwapsPage(items=shown, next=after, as_of=frame.as_of))

    async def swap(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.MomentQuery)
        swap_id = requests.parse_swap_id(request.match_info["id"])
        swap, frame = await self._reading.read(
            request, (query.as_of, query.labels), lambda view: swap_by_id(view, swap_id)
        )
        if swap is None:
            raise NotFoundError("there is no such swap", id=swap_id)
        return respond(
            bodies.SwapDocument(
                swap=answers.swap_answer(swap, frame.assets, frame.final),
                steps=documents.step_views(swap, frame),
                as_of=frame.as_of,
                moment=frame.view,
            )
        )

    async def profile(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.MomentQuery)
        account = self._reading.account(request.match_info["account"])

        def work(view: View) -> Any:
            ends, labels = span(view, account), self._reading.labels(view)
            held, whole = balances_of(view, account)
            alerts = risk_of(view.connection, view.scope, labels.entity_of(account) or account)
            return ends, held, whole, labels, account in view.keepers(), view.sees([account]), alerts

        (ends, held, whole, labels, keeper, seen, alerts), frame = await self._reading.read(
            request, (query.as_of, query.labels), work
        )
        return respond(
            bodies.ProfileAnswer(
                account=account,
                chain=chain_of(account),
                entity=labels.entity_of(account) if seen else None,
                tags=documents.tag_views(labels, account, frame.moment.time_s) if seen else [],
                keeper=keeper,
                first_s=None if ends is None else ends[0].key.time_s,
                last_s=None if ends is None else ends[1].key.time_s,
                balances=[documents.balance_view(one, frame) for one in held],
                whole=whole,
                alerts=alerts,
                moment=frame.view,
            )
        )

    async def moves(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.MovesQuery)
        account = self._reading.account(request.match_info["account"])
        listing = listing_of("moves", query, account)
        moment, sealed = self._reading.opened(listing, query)
        before = None if sealed is None else _move_key(sealed)

        def work(view: View) -> Any:
            found = list_moves(view, account, query.limit + 1, before)
            return found, block_hashes(view, {(move.key.chain, move.key.height) for move in found})

        (found, hashes), frame = await self._reading.read(request, moment, work)
        items = found[: query.limit]
        after = items[-1].key if len(found) > query.limit else None
        shown = [documents.move_view(one, hashes[one.key.chain, one.key.height], frame) for one in items]
        return respond(
            bodies.MovesPage(
                account=account, items=shown, next=self._reading.next(listing, frame, after), moment=frame.view
            )
        )

    async def partners(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.PartnersQuery)
        account = self._reading.account(request.match_info["account"])

        def work(view: View) -> Any:
            return counterparties(view, account, query.since_s, query.until_s), self._reading.labels(view)

        (counted, labels), frame = await self._reading.read(request, (query.as_of, query.labels), work)
        at_s = frame.moment.time_s
        shown = counted.items[: query.limit]
        return respond(
            bodies.PartnersAnswer(
                account=account,
                items=[documents.partner_view(one, labels, at_s, frame) for one in shown],
                moves=counted.moves,
                whole=counted.whole,
                more=len(counted.items) > query.limit,
                moment=frame.view,
            )
        )

    async def entity(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.MomentQuery)
        entity_id = request.match_info["id"]

        def work(view: View) -> Any:
            labels = self._reading.labels(view)
            seen = (one for one in labels.accounts_of(entity_id) if view.sees([one]))
            mine = list(islice(seen, MAX_ENTITY_ACCOUNTS + 1))
            record = labels.entity(entity_id)
            if not mine and (record is None or view.restricted):
                raise NotFoundError("no tag names such an entity", id=entity_id)
            spans = [found for one in mine[:MAX_ENTITY_ACCOUNTS] if (found := span(view, one)) is not None]
            sums: dict[Any, int] = {}
            for one in mine[:MAX_ENTITY_ACCOUNTS]:
                for held in balances_of(view, one)[0]:
                    sums[held.asset] = sums.get(held.asset, 0) + held.amount
            return mine, record, spans, [Balance(asset, amount) for asset, amount in sorted(sums.items())]

        (mine, record, spans, held), frame = await self._reading.read(request, (query.as_of, query.labels), work)
        return respond(
            bodies.HoldingsAnswer(
                id=entity_id,
                name=None if record is None else record.name,
                jurisdiction=None if record is None else record.jurisdiction,
                accounts=mine[:MAX_ENTITY_ACCOUNTS],
                first_s=min((first.key.time_s for first, _ in spans), default=None),
                last_s=max((last.key.time_s for _, last in spans), default=None),
                balances=[documents.balance_view(one, frame) for one in held],
                more=len(mine) > MAX_ENTITY_ACCOUNTS,
                moment=frame.view,
            )
        )

    async def records(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.RecordsQuery)
        chain = None if query.chain is None else self._reading.chain(query.chain)
        listing = listing_of("records", query, (chain, query.namespace))
        moment, sealed = self._reading.opened(listing, query)
        behind = None if sealed is None else (str(sealed[0]), str(sealed[1]), str(sealed[2]), int(sealed[3]))
        found, frame = await self._reading.read(
            request, moment, lambda view: list_records(view, chain, query.namespace, query.limit + 1, behind)
        )
        items = found[: query.limit]
        last = items[-1] if len(found) > query.limit else None
        key = None if last is None else (last.chain, last.namespace, last.key, last.version)
        shown = [documents.record_view(one, frame) for one in items]
        return respond(bodies.RecordsPage(items=shown, next=self._reading.next(listing, frame, key), moment=frame.view))

    async def versions(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.VersionsQuery)
        chain = self._reading.chain(request.match_info["chain"])
        name = request.match_info["namespace"], request.match_info["key"]
        listing = listing_of("versions", query, (chain, name))
        moment, sealed = self._reading.opened(listing, query)
        below = None if sealed is None else int(sealed[0])
        found, frame = await self._reading.read(
            request, moment, lambda view: record_history(view, chain, *name, query.limit + 1, below)
        )
        if not found and below is None:
            raise NotFoundError("there is no such record", chain=chain, record="/".join(name)[:160])
        items = found[: query.limit]
        key = (items[-1].version,) if len(found) > query.limit else None
        shown = [documents.record_view(one, frame) for one in items]
        return respond(bodies.RecordsPage(items=shown, next=self._reading.next(listing, frame, key), moment=frame.view))

    async def search(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.SearchQuery)
        chains = sorted(self._reading.chains)
        hits, frame = await self._reading.read(
            request, (query.as_of, query.labels), lambda view: search(view, query.q, chains, self._reading.labels(view))
        )
        return respond(bodies.SearchAnswer(items=hits, moment=frame.view))


def _move_key(sealed: list[Any]) -> MoveKey:
    time_s, chain, height, index, direction = sealed
    return MoveKey(int(time_s), ChainId(chain), Height(int(height)), int(index), Direction(direction))
