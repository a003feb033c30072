"""The supervision API: chains, swaps with both legs, transfers, conservation, evidence, and the log of who read what.

Everything it says comes from facts in its own database, which followers of its own fill, or, for evidence, from
provers. `regulator_api.application` turns it into an HTTP application.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import CausewayError, ConflictError, NotFoundError, RejectedError, RetryableError
from core.model.facts import BlockHeader
from core.model.identifiers import parse_chain
from core.model.ports import ChainParameters, Prover, StateReader
from core.model.questions import LockQuestion
from core.model.types import AccountId, Asset, AssetId, ChainId, chain_of
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.web import (
    CALLER,
    PageCursors,
    Problem,
    read_body,
    read_query,
    respond,
)
from indexer import reading
from indexer.projections import report_agreement
from indexer.projections.assets import list_assets
from indexer.projections.conservation import Conservation, conservation, locked_assets
from indexer.projections.contracts import list_contracts
from indexer.projections.locks import LockRow
from indexer.projections.swaps import JoinedSwap
from indexer.store import chain_rows
from regulator_api import answers, audit, bodies, requests
from regulator_api.ordering import OrderDesk
from regulator_api.orders import Orders
from regulator_api.proofs.proving import evidence_file
from regulator_api.reading.common import Reading, unrestricted
from regulator_api.streaming.swaps import keep_report
from regulator_api.view.swaps import swap_by_id

STALE_AFTER_S: Final = 30.0
"""Seconds without news of a follower after which it is shown as stale; it reports every few seconds."""
BALANCE_TIMEOUT_S: Final = 5.0
MAX_SUMMARY_ASSETS: Final = 50

log = get_logger("regulator_api")


@dataclass(frozen=True, slots=True)
class SupervisedChain:
    """One chain as the API sees it: what is known of it, and, if gateway has them, who proves and reads balances."""

    parameters: ChainParameters
    prover: Prover | None = None
    state: StateReader | None = None
    orders: OrderDesk | None = None


class RegulatorService:
    """Answers over one database. `cursor_key` (at least 16 secret bytes) seals the cursors of pages. `away`: what the
    daemon still waits for, by name, with the reason; it may change."""

    def __init__(
        self,
        database: Database,
        chains: Iterable[SupervisedChain],
        clock: Clock,
        cursor_key: bytes,
        away: Mapping[str, str] | None = None,
    ) -> None:
        self._database = database
        self._away: Mapping[str, str] = {} if away is None else away
        self._chains: Mapping[ChainId, SupervisedChain] = {entry.parameters.chain: entry for entry in chains}
        self._assets: dict[AssetId, Asset] = {}
        for entry in self._chains.values():
            self._assets.update(entry.parameters.assets)
        self._clock = clock
        self._cursors = PageCursors(cursor_key)
        self.reading = Reading(database, self._cursors, self._chains, self._assets)
        self.provers = {chain: entry.prover for chain, entry in self._chains.items()}
        desks = {chain: entry.orders for chain, entry in self._chains.items() if entry.orders is not None}
        provers = {chain: self._chains[chain].prover for chain in desks}
        self.orders = Orders(desks, provers, self._cursors, self.reading)
        self.database, self.clock, self.cursors = database, clock, self._cursors  # for the other rooms' routes

    # --- answers -------------------------------------------------------------------------------------------------

    async def get_chains(self, request: web.Request) -> web.Response:
        return respond(bodies.ChainsAnswer(now_s=int(self._clock.now()), items=await self._chain_views()))

    async def get_assets(self, request: web.Request) -> web.Response:
        query = read_query(request, requests.AssetsQuery)
        chain = None if query.chain is None else self._known_chain(query.chain)
        listing = f"assets {chain}"
        sealed = self._cursors.open(listing, query.cursor)
        after = None if sealed is None else AssetId(sealed[0])
        found, as_of = await self._database.read(
            lambda connection: (list_assets(connection, chain, query.limit + 1, after), _as_of(connection))
        )
        page = self._cursors.page(listing, found, query.limit, lambda row: (row.asset,))
        shown = [answers.asset_view(row) for row in page.items]
        return respond(bodies.AssetsPage(items=shown, next=page.next, as_of=as_of))

    async def get_contracts(self, request: web.Request) -> web.Response:
        unrestricted(request)
        query = read_query(request, requests.ContractsQuery)
        chain = None if query.chain is None else self._known_chain(query.chain)
        listing = f"contracts {chain}"
        sealed = self._cursors.open(listing, query.cursor)
        after = None if sealed is None else AccountId(sealed[0])
        found, as_of = await self._database.read(
            lambda connection: (list_contracts(connection, chain, query.limit + 1, after), _as_of(connection))
        )
        page = self._cursors.page(listing, found, query.limit, lambda row: (row.contract,))
        shown = [answers.contract_view(row) for row in page.items]
        return respond(bodies.ContractsPage(items=shown, next=page.next, as_of=as_of))

    async def get_conservation(self, request: web.Request) -> web.Response:
        unrestricted(request)
        query = read_query(request, requests.ConservationQuery)
        asset = await self.reading.asset(request.match_info["asset"])
        return respond(await self._conservation(asset, query.finality))

    async def get_summary(self, request: web.Request) -> web.Response:
        unrestricted(request)
        chains = await self._chain_views()
        swaps, locks, transfers, assets = await self._database.read(_counts)
        followed = {view.chain for view in chains if view.finalized is not None}
        checked = [
            await self._conservation(asset, "finalized")
            for asset in assets[:MAX_SUMMARY_ASSETS]
            if chain_of(asset) in self._chains and chain_of(asset) in followed
        ]
        return respond(
            bodies.SummaryAnswer(
                now_s=int(self._clock.now()),
                chains=chains,
                swaps=swaps,
                locks=locks,
                transfers=transfers,
                conservation_ok=all(answer.ok for answer in checked),
                conservation=checked,
            )
        )

    async def get_evidence(self, request: web.Request) -> web.Response:
        query = read_query(request, requests.EvidenceQuery)
        swap = await self._swap(request)
        if swap.agreed is None:
            raise ConflictError(
                "no agreed terms are known for this hashlock, so nobody can say which locks are its legs: report them",
                id=swap.swap_id,
            )
        legs = {"initiator": swap.initiator, "participant": swap.participant}
        if query.leg is not None:
            lock = legs[query.leg]
            if lock is None:
                raise NotFoundError(f"the {query.leg}'s leg is not locked", id=swap.swap_id)
            return web.Response(body=await self._prove(lock), content_type="application/json")
        found = [await self._leg_evidence(role, lock) for role, lock in legs.items() if lock is not None]
        return respond(
            bodies.EvidenceAnswer(id=swap.swap_id, complete=all(leg.problem is None for leg in found), legs=found)
        )

    async def post_agreement(self, request: web.Request) -> web.Response:
        body = await read_body(request, requests.AgreementBody)
        agreement = requests.parse_agreement(body, request[CALLER].name)
        for terms in (agreement.initiator, agreement.participant):
            self._known_chain(terms.chain)
        now_ns = self._clock.now_ns()

        def report(connection: Connection) -> bool:
            new = report_agreement(connection, agreement, now_ns)
            if new:
                keep_report(connection, agreement, now_ns)
            return new

        new = await self._database.write(report)
        return respond(bodies.AgreementAnswer(swap_id=agreement.swap_id, new=new), status=201 if new else 200)

    async def get_audit(self, request: web.Request) -> web.Response:
        query = read_query(request, requests.AuditQuery)
        listing = f"audit {query.who}"
        sealed = self._cursors.open(listing, query.cursor)
        before = None if sealed is None else int(sealed[0])
        found = await self._database.read(lambda c: audit.list_audit(c, query.who, query.limit + 1, before))
        page = self._cursors.page(listing, found, query.limit, lambda entry: (entry.seq,))
        return respond(bodies.AuditPage(items=[answers.audit_view(entry) for entry in page.items], next=page.next))

    async def get_ready(self, request: web.Request) -> web.Response:
        views = {view.chain: view for view in await self._chain_views()}
        states = {str(chain): views[chain].state if chain in views else "unknown" for chain in self._chains}
        states |= self._away
        if self._away or not all(chain in views and views[chain].ready for chain in self._chains):
            raise Problem(
                503, "not-ready", "Not ready", "A chain is not followed, or has an open alarm.", chains=states
            )
        return respond(bodies.ReadyAnswer(ready=True, chains=states))

    # --- parts ---------------------------------------------------------------------------------------------------

    def _known_chain(self, text: str) -> ChainId:
        chain = parse_chain(text)
        if chain not in self._chains:
            raise NotFoundError(f"{chain} is not supervised here: /v1/chains lists the chains that are", chain=chain)
        return chain

    async def _chain_views(self) -> list[bodies.ChainView]:
        rows = await self._database.read(chain_rows)
        return [answers.chain_view(row, self._clock.now(), STALE_AFTER_S) for row in rows]

    async def _swap(self, request: web.Request) -> JoinedSwap:
        swap_id = requests.parse_swap_id(request.match_info["id"])
        swap, _ = await self.reading.read(request, (None, None), lambda view: swap_by_id(view, swap_id))
        if swap is None:
            raise NotFoundError("there is no such swap", id=swap_id)
        return swap

    async def _conservation(
        self, asset: AssetId, finality: Literal["finalized", "latest"]
    ) -> bodies.ConservationAnswer:
        chain = chain_of(asset)

        def read(connection: Connection) -> tuple[Conservation, BlockHeader]:
            row = next((row for row in chain_rows(connection) if row.chain == chain), None)
            as_of = None if row is None else (row.finalized if finality == "finalized" else row.tip)
            if as_of is None:
                raise RetryableError(f"{chain} has no {finality} block here yet")
            return conservation(connection, asset, as_of.height), as_of

        sums, as_of = await self._database.read(read)
        sums, notes = await self._with_holder(sums, self._chains[chain])
        holder = self._chains[chain].parameters.htlc_holder
        return answers.conservation_answer(sums, self._assets.get(asset), holder, finality, as_of, notes)

    async def _with_holder(self, sums: Conservation, chain: SupervisedChain) -> tuple[Conservation, list[str]]:
        """Return what the HTLC's account held at that block, and sums without it if the chain cannot say."""
        holder = chain.parameters.htlc_holder
        if holder is None:
            return sums, ["ledger-holds-locks"]
        if chain.state is None:
            return sums, ["holder-not-asked"]
        try:
            async with asyncio.timeout(BALANCE_TIMEOUT_S):
                balance = await chain.state.balance(holder, sums.asset, sums.height)
        except (RetryableError, RejectedError, TimeoutError) as error:
            log.warning("the balance of an HTLC cannot be read", asset=sums.asset, error=str(error))
            return sums, ["holder-not-asked"]
        return replace(sums, holder_balance=balance), []

    async def _leg_evidence(self, role: str, lock: LockRow) -> bodies.LegEvidence:
        proven, problem, detail = None, None, None
        try:
            proven = msgspec.Raw(await self._prove(lock))
        except CausewayError as error:
            problem, detail = error.code, error.message
        return bodies.LegEvidence(
            role=role, chain=lock.chain, lock_id=lock.lock_id, evidence=proven, problem=problem, detail=detail
        )

    async def _prove(self, lock: LockRow) -> bytes:
        """The evidence file of one leg: proof or an error, nothing in between."""
        chain = self._chains.get(lock.chain)
        holder = None if chain is None else chain.parameters.htlc_holder
        question = LockQuestion(lock.chain, lock.lock_id, lock.terms, holder)
        return await evidence_file(None if chain is None else chain.prover, question)


def _as_of(connection: Connection) -> list[bodies.AsOfView]:
    return [answers.as_of_view(row) for row in chain_rows(connection)]


def _counts(connection: Connection) -> tuple[dict[str, int], dict[str, int], int, list[AssetId]]:
    """Return swaps by status, locks by status, the number of transfers, and every asset that was ever locked."""
    return (*reading.counts(connection), locked_assets(connection))
