"""The paths of what there is, and of whether it adds up: assets, contracts, conservation, summary."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from aiohttp import web

from core.model.errors import RejectedError, RetryableError
from core.model.ports import StateReader
from core.model.types import AccountId, AssetId, ChainId, chain_of
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from core.runtime.web import Handler, Route, read_query, respond
from indexer.projections.conservation import Conservation
from indexer.store import chain_rows
from regulator_api import answers, bodies
from regulator_api.access.scope import SCOPE
from regulator_api.reading import questions
from regulator_api.reading.common import Frame, Reading, listing_of, unrestricted
from regulator_api.view import View
from regulator_api.view.totals import Totals
from regulator_api.view.whole import counts, list_assets, list_contracts, locked_assets

STALE_AFTER_S: Final = 30.0
"""Seconds without news of a follower after which it is shown as stale; it reports every few seconds."""
BALANCE_TIMEOUT_S: Final = 5.0
MAX_SUMMARY_ASSETS: Final = 50
PROBLEMS: Final = (
    (404, "There is no such thing, for this caller and at this moment."),
    (422, "An identifier is not in its form, or a cursor is not one of this list."),
    (503, "The database is locked, or a chain has no such block here yet: try again."),
)

log = get_logger("regulator_api")


@dataclass(frozen=True, slots=True)
class Holder:
    """The account that holds a chain's locks, None if the ledger itself does, and who reads its balance."""

    account: AccountId | None
    state: StateReader | None


class Whole:
    """The handlers. `holders` are those of all supervised chains."""

    def __init__(self, reading: Reading, holders: Mapping[ChainId, Holder], clock: Clock) -> None:
        self._reading = reading
        self._holders = holders
        self._clock = clock
        self._totals = Totals()

    def routes(self) -> list[Route]:
        """Every path."""
        return [
            _route("GET", "/v1/assets", self.assets, "Assets, by id", bodies.AssetsPage, questions.AssetsQuery),
            _route(
                "GET",
                "/v1/contracts",
                self.contracts,
                "Contracts that events came from, by account",
                bodies.ContractsPage,
                questions.ContractsQuery,
            ),
            _route(
                "GET",
                "/v1/assets/{asset:.+}/conservation",
                self.conservation,
                "Whether what was locked adds up",
                bodies.ConservationAnswer,
                questions.ConservationQuery,
            ),
            _route(
                "GET",
                "/v1/summary",
                self.summary,
                "Everything at a glance",
                bodies.SummaryAnswer,
                questions.MomentQuery,
            ),
        ]

    async def assets(self, request: web.Request) -> web.Response:
        query = read_query(request, questions.AssetsQuery)
        chain = None if query.chain is None else self._reading.chain(query.chain)
        listing = listing_of("assets", query, (chain, request[SCOPE].shown))
        moment, sealed = self._reading.opened(listing, query)
        after = None if sealed is None else AssetId(sealed[0])
        found, frame = await self._reading.read(
            request, moment, lambda view: list_assets(view, chain, query.limit + 1, after)
        )
        items = found[: query.limit]
        key = (items[-1].asset,) if len(found) > query.limit else None
        shown = [answers.asset_view(row) for row in items]
        return respond(bodies.AssetsPage(items=shown, next=self._reading.next(listing, frame, key), as_of=frame.as_of))

    async def contracts(self, request: web.Request) -> web.Response:
        unrestricted(request)
        query = read_query(request, questions.ContractsQuery)
        chain = None if query.chain is None else self._reading.chain(query.chain)
        listing = listing_of("contracts", query, chain)
        moment, sealed = self._reading.opened(listing, query)
        after = None if sealed is None else AccountId(sealed[0])
        found, frame = await self._reading.read(
            request, moment, lambda view: list_contracts(view, chain, query.limit + 1, after)
        )
        items = found[: query.limit]
        key = (items[-1].contract,) if len(found) > query.limit else None
        shown = [answers.contract_view(row) for row in items]
        return respond(
            bodies.ContractsPage(items=shown, next=self._reading.next(listing, frame, key), as_of=frame.as_of)
        )

    async def conservation(self, request: web.Request) -> web.Response:
        unrestricted(request)
        query = read_query(request, questions.ConservationQuery)
        asset = await self._reading.asset(request[SCOPE], request.match_info["asset"])
        if query.as_of is not None and query.finality is not None:
            raise RejectedError("as_of and finality both name a moment: give one of them")
        sums, frame = await self._reading.read(
            request,
            (query.as_of or query.finality, query.labels),
            lambda view: self._totals.conservation(view, asset),
            default="finalized",
        )
        return respond(await self._answer(sums, frame))

    async def summary(self, request: web.Request) -> web.Response:
        unrestricted(request)
        query = read_query(request, questions.MomentQuery)
        now_s, assets = self._clock.now(), list[AssetId]()

        def newest(view: View) -> tuple[list[bodies.ChainView], tuple[dict[str, int], dict[str, int]], int]:
            rows = chain_rows(view.connection)
            assets.extend(locked_assets(view)[:MAX_SUMMARY_ASSETS])
            return (
                [answers.chain_view(row, now_s, STALE_AFTER_S) for row in rows],
                counts(view),
                self._totals.transfers(view),
            )

        def checked(view: View) -> list[Conservation]:
            there = (one for one in assets if chain_of(one) in view.as_of.blocks)
            return [self._totals.conservation(view, one) for one in there if chain_of(one) in self._holders]

        moment = query.as_of, query.labels
        (chains, (swaps, locks), transfers), frame = await self._reading.read(request, moment, newest)
        # What may be replaced yet may look as if it did not add up.
        sums, final = await self._reading.read(request, moment, checked, default="finalized")
        conservation = [await self._answer(one, final) for one in sums]
        return respond(
            bodies.SummaryAnswer(
                now_s=int(now_s),
                chains=chains,
                swaps=swaps,
                locks=locks,
                transfers=transfers,
                conservation_ok=all(answer.ok for answer in conservation),
                conservation=conservation,
                as_of=frame.as_of,
            )
        )

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _answer(self, sums: Conservation, frame: Frame) -> bodies.ConservationAnswer:
        """Raise `RetryableError` for a chain without a block at the moment of the answer."""
        chain = chain_of(sums.asset)
        block = frame.moment.blocks.get(chain)
        if block is None:
            raise RetryableError(f"{chain} has no finalized block here yet: try again, or ask as of latest")
        holder = self._holders[chain]
        sums, notes = await self._with_balance(sums, holder)
        final = block.height <= frame.moment.final(chain)
        asset = frame.assets.get(sums.asset)
        return answers.conservation_answer(
            sums, asset, holder.account, "finalized" if final else "latest", block, notes
        )

    async def _with_balance(self, sums: Conservation, holder: Holder) -> tuple[Conservation, list[str]]:
        """Return what the holder's account held at that block, and sums without it if the chain cannot say."""
        if holder.account is None:
            return sums, ["ledger-holds-locks"]
        if holder.state is None:
            return sums, ["holder-not-asked"]
        try:
            async with asyncio.timeout(BALANCE_TIMEOUT_S):
                balance = await holder.state.balance(holder.account, sums.asset, sums.height)
        except (RetryableError, RejectedError, TimeoutError) as error:
            log.warning("the balance of an HTLC cannot be read", asset=sums.asset, error=str(error))
            return sums, ["holder-not-asked"]
        return replace(sums, holder_balance=balance), []


def _route(method: str, path: str, handler: Handler, summary: str, answer: type, query: type[msgspec.Struct]) -> Route:
    return Route(
        method, path, handler, summary, answer=answer, query=query, scope="read", problems=PROBLEMS, tag="supervision"
    )
