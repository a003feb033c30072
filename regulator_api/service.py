"""The supervision API: chains, swaps with both legs, transfers, conservation, evidence, and the log of who read what.

Everything it says comes from facts in its own database, which followers of its own fill, or, for evidence, from
provers. `regulator_api.application` turns it into an HTTP application.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import CausewayError, ConflictError, NotFoundError
from core.model.identifiers import parse_chain
from core.model.ports import ChainParameters, Prover, StateReader
from core.model.questions import LockQuestion
from core.model.types import Asset, AssetId, ChainId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.web import (
    CALLER,
    PageCursors,
    Problem,
    read_body,
    read_query,
    respond,
)
from indexer.projections import report_agreement
from indexer.projections.locks import LockRow
from indexer.projections.swaps import JoinedSwap
from indexer.store import chain_rows
from regulator_api import answers, audit, bodies, requests
from regulator_api.ordering import OrderDesk
from regulator_api.orders import Orders
from regulator_api.proofs.proving import evidence_file
from regulator_api.reading.common import Reading
from regulator_api.reading.whole import STALE_AFTER_S, Holder, Whole
from regulator_api.streaming.swaps import keep_report
from regulator_api.view.swaps import swap_by_id


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
        holders = {one: Holder(entry.parameters.htlc_holder, entry.state) for one, entry in self._chains.items()}
        self.whole = Whole(self.reading, holders, clock)
        self.keepers = {one: holder.account for one, holder in holders.items() if holder.account is not None}
        self.provers = {chain: entry.prover for chain, entry in self._chains.items()}
        desks = {chain: entry.orders for chain, entry in self._chains.items() if entry.orders is not None}
        provers = {chain: self._chains[chain].prover for chain in desks}
        self.orders = Orders(desks, provers, self._cursors, self.reading)
        self.database, self.clock, self.cursors = database, clock, self._cursors  # for the other rooms' routes

    # --- answers -------------------------------------------------------------------------------------------------

    async def get_chains(self, request: web.Request) -> web.Response:
        return respond(bodies.ChainsAnswer(now_s=int(self._clock.now()), items=await self._chain_views()))

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
