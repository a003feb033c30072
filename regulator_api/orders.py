"""`/v1/orders` and `/v1/holds`: who is held, by which orders, with proof; and drafts for officers to sign.

Orders are read from the ledger itself. The API holds no key and sends nothing: a draft changes nothing until two
officers have signed theirs, each on a machine of their own (docs/supervising/orders.md).
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec
from aiohttp import web

from core.model.consortium import caip_account, raw_address
from core.model.consortium_orders import OrderStatus, OrderTerms, OrderView, Step, held_key
from core.model.errors import NotFoundError, RejectedError
from core.model.facts import OrderStep
from core.model.identifiers import parse_account, parse_chain
from core.model.ports import Prover
from core.model.questions import LeafQuestion
from core.model.types import MAX_TIMELOCK_S, AccountId, ChainId, chain_of
from core.runtime.web import PageCursors, PageQuery, read_body, read_query, respond
from core.runtime.web.pages import Cursor
from indexer.projections.orders import OrderRow
from regulator_api.access.scope import SCOPE
from regulator_api.answers import hex_of
from regulator_api.bodies import BlockView, PlacedView
from regulator_api.drafts import Half, OrderDraft, to_draft
from regulator_api.knowledge.reading import seen_among
from regulator_api.ordering import OrderDesk, is_about
from regulator_api.proofs.proving import evidence_file
from regulator_api.reading.bodies import MomentView
from regulator_api.reading.common import Frame, Reading, listing_of
from regulator_api.reading.questions import PagedMomentQuery
from regulator_api.requests import Identifier
from regulator_api.view.holds import orders_about

MAX_NUMBER: Final = 2**63 - 1

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=256, description="One line; it is public.")]
Case = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", description="SHA-256 of the case's id, in hex.")]
Expires = Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMELOCK_S, description="Unix seconds, at most 90 days ahead.")]
StatusName = Annotated[str, msgspec.Meta(extra_json_schema={"enum": [status.value for status in OrderStatus]})]


class OrdersQuery(PageQuery, frozen=True, kw_only=True):
    """`chain` may be left out if one supervised chain has orders."""

    chain: Identifier | None = None
    account: Identifier | None = None


class ChainQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    chain: Identifier | None = None


class PrepareBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order that `officer` is to sign first; both are CAIP-10 accounts on one chain."""

    officer: Identifier
    account: Identifier
    reason: Reason
    case: Case
    expires: Expires


class ApprovalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    officer: Identifier


class LiftBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    officer: Identifier
    reason: Reason


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """An officer's half, and when its block was, in Unix seconds."""

    officer: str
    time: int


class OrderBody(msgspec.Struct, frozen=True, kw_only=True):
    """One order. `lift_waits`: a lift was prepared, and waits for a second officer."""

    number: int
    status: StatusName
    account: str
    reason: str
    case: str
    expires: int
    prepared: StepView
    approved: StepView | None
    lift_reason: str | None
    lift_prepared: StepView | None
    lift_approved: StepView | None
    lift_waits: bool
    renewed_by: int | None


class OrdersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Orders as of one block, newest first. With a filter a page may be short, and others follow under `next`; so it
    may for a caller that sees some jurisdictions, to which `count`, of all orders, is null."""

    chain: str
    height: int
    time: int
    count: int | None
    items: list[OrderBody]
    next: Cursor | None = None


class HoldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`order` and `until` (Unix seconds) are absent if nothing holds the account."""

    account: str
    held: bool
    order: int | None
    until: int | None


class HalfView(msgspec.Struct, frozen=True, kw_only=True):
    """An officer's half of an order about the account. `reason` is absent where the step has none of its own."""

    order: int
    step: Annotated[str, msgspec.Meta(extra_json_schema={"enum": [step.value for step in OrderStep]})]
    officer: str
    reason: str | None
    case: str | None
    expires: int | None
    renews: int | None
    placed: PlacedView
    index: int


class HoldHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that officers signed about an account, the newest first, as of a moment."""

    account: str
    items: list[HalfView]
    next: Cursor | None
    moment: MomentView


class Orders:
    """Answers about the orders of those supervised chains that have them. `provers` prove who is held."""

    def __init__(
        self,
        desks: Mapping[ChainId, OrderDesk],
        provers: Mapping[ChainId, Prover | None],
        cursors: PageCursors,
        reading: Reading,
    ) -> None:
        self._reading = reading
        self._desks = desks
        self._provers = provers
        self._cursors = cursors

    async def get_orders(self, request: web.Request) -> web.Response:
        query = read_query(request, OrdersQuery)
        account = None if query.account is None else self._account(query.account)
        desk, scope = self._desk(query.chain, account), request[SCOPE]
        listing = f"orders {desk.chain} {account} {scope.shown}"
        sealed = self._cursors.open(listing, query.cursor)
        before = None if sealed is None else int(sealed[0])
        page = await desk.reader.orders(query.limit, before)
        wanted = None if account is None else raw_address(account)
        last = page.orders[-1].number if page.orders else 1
        found = {one.number: caip_account(desk.chain, one.leaf.terms.address) for one in page.orders}
        seen = await self._seen(request, found.values())
        shown = [one for one in page.orders if is_about(one, wanted) and (seen is None or found[one.number] in seen)]
        return respond(
            OrdersAnswer(
                chain=desk.chain,
                height=page.height,
                time=page.time_ms // 1_000,
                count=page.count if scope.unrestricted else None,
                items=[order_body(desk.chain, one) for one in shown],
                next=self._cursors.seal(listing, (last,)) if last > 1 else None,
            )
        )

    async def get_order(self, request: web.Request) -> web.Response:
        desk = self._desk(read_query(request, ChainQuery).chain)
        return respond(order_body(desk.chain, await self._order(request, desk)))

    async def get_hold(self, request: web.Request) -> web.Response:
        account = await self._seen_account(request)
        held = await self._desk(None, account).reader.held(account)
        order, until = (None, None) if held is None else (held.order, held.until)
        return respond(HoldAnswer(account=account, held=held is not None, order=order, until=until))

    async def get_hold_evidence(self, request: web.Request) -> web.Response:
        account = await self._seen_account(request)
        chain = self._desk(None, account).chain
        question = LeafQuestion(chain, held_key(raw_address(account)))
        raw = await evidence_file(self._provers.get(chain), question)
        return web.Response(body=raw, content_type="application/json")

    async def get_hold_history(self, request: web.Request) -> web.Response:
        query = read_query(request, PagedMomentQuery)
        account = self._reading.account(request.match_info["account"])
        listing = listing_of("holds", query, account)
        moment, sealed = self._reading.opened(listing, query)
        before = None if sealed is None else (int(sealed[0]), int(sealed[1]))
        found, frame = await self._reading.read(
            request, moment, lambda view: orders_about(view, account, query.limit + 1, before)
        )
        items = found[: query.limit]
        after = (items[-1].block.height, items[-1].index) if len(found) > query.limit else None
        return respond(
            HoldHistory(
                account=account,
                items=[_half_view(one, frame) for one in items],
                next=self._reading.next(listing, frame, after),
                moment=frame.view,
            )
        )

    # --- drafts --------------------------------------------------------------------------------------------------

    async def post_order(self, request: web.Request) -> web.Response:
        body = await read_body(request, PrepareBody)
        officer, account = self._account(body.officer), self._account(body.account)
        desk = self._desk(None, officer)
        if chain_of(account) != desk.chain:
            raise RejectedError(f"{account} is not an account of {desk.chain}, where the officer is")
        terms = OrderTerms(raw_address(account), body.reason, bytes.fromhex(body.case), body.expires)
        return _draft(await desk.prepare(officer, terms))

    async def post_approval(self, request: web.Request) -> web.Response:
        officer = self._account((await read_body(request, ApprovalBody)).officer)
        desk = self._desk(None, officer)
        order = await self._order(request, desk)
        return _draft(await desk.approve(officer, order.number))

    async def post_lift(self, request: web.Request) -> web.Response:
        body = await read_body(request, LiftBody)
        officer = self._account(body.officer)
        desk = self._desk(None, officer)
        order = await self._order(request, desk)
        return _draft(await desk.lift(officer, order.number, body.reason))

    # --- parts ---------------------------------------------------------------------------------------------------

    async def _seen(self, request: web.Request, accounts: Iterable[AccountId]) -> frozenset[str] | None:
        """Return those of the accounts that the caller sees, None for all of them."""
        scope, wanted = request[SCOPE], tuple(accounts)
        if scope.unrestricted:
            return None
        seen, _ = await self._reading.read(
            request, (None, None), lambda view: seen_among(view.connection, scope, wanted)
        )
        return seen

    async def _seen_account(self, request: web.Request) -> AccountId:
        """The account that the path names. Raise `NotFoundError` for one that the caller does not see."""
        account = self._account(request.match_info["account"])
        seen = await self._seen(request, [account])
        if seen is not None and account not in seen:
            raise NotFoundError("nothing is known of this account", account=account)
        return account

    async def _order(self, request: web.Request, desk: OrderDesk) -> OrderView:
        """The order that the path names. Raise `NotFoundError` for one about an account that the caller does not see,
        as for a number that no order has."""
        order = await desk.reader.order(_number(request))
        account = caip_account(desk.chain, order.leaf.terms.address)
        seen = await self._seen(request, [account])
        if seen is not None and account not in seen:
            raise NotFoundError(f"{desk.chain} has no order {order.number}")
        return order

    def _account(self, text: str) -> AccountId:
        account = parse_account(text)
        self._known(chain_of(account))
        return account

    def _known(self, chain: ChainId) -> OrderDesk:
        desk = self._desks.get(chain)
        if desk is None:
            raise NotFoundError(f"{chain} is not a supervised chain with orders: {self._choices()}", chain=chain)
        return desk

    def _desk(self, chain: str | None, account: AccountId | None = None) -> OrderDesk:
        """The chain that is named, that of the account, or the only one there is."""
        named = None if chain is None else parse_chain(chain)
        own = None if account is None else chain_of(account)
        if named is not None and own is not None and named != own:
            raise RejectedError(f"the filters are of different chains: {own}, {named}")
        wanted = named or own
        if wanted is None:
            if len(self._desks) != 1:
                raise NotFoundError(f"name the chain: {self._choices()}")
            [wanted] = self._desks
        return self._known(wanted)

    def _choices(self) -> str:
        return f"orders are on {', '.join(sorted(self._desks))}" if self._desks else "no supervised chain has orders"


def order_body(chain: ChainId, order: OrderView) -> OrderBody:
    """An order as JSON, with everything that happened to it."""
    leaf, terms = order.leaf, order.leaf.terms
    return OrderBody(
        number=order.number,
        status=order.status.value,
        account=caip_account(chain, terms.address),
        reason=terms.reason,
        case=terms.case.hex(),
        expires=terms.expires,
        prepared=_step(chain, leaf.prepared),
        approved=None if leaf.approved is None else _step(chain, leaf.approved),
        lift_reason=leaf.lift_reason or None,
        lift_prepared=None if leaf.lift_prepared is None else _step(chain, leaf.lift_prepared),
        lift_approved=None if leaf.lift_approved is None else _step(chain, leaf.lift_approved),
        lift_waits=order.lift_waits,
        renewed_by=leaf.renewed_by or None,
    )


def _half_view(row: OrderRow, frame: Frame) -> HalfView:
    signed, chain = row.signed, row.block.chain
    block = BlockView(height=row.block.height, hash=hex_of(chain, row.block.hash), time_s=row.time_s)
    return HalfView(
        order=signed.order,
        step=signed.step.value,
        officer=signed.officer,
        reason=signed.reason or None,
        case=signed.case.hex() or None,
        expires=signed.expires or None,
        renews=signed.renews or None,
        placed=PlacedView(
            tx_hash=hex_of(chain, row.tx_hash), block=block, final=row.block.height <= frame.moment.final(chain)
        ),
        index=row.index,
    )


def _step(chain: ChainId, step: Step) -> StepView:
    return StepView(officer=caip_account(chain, step.officer), time=step.time_ms // 1_000)


def _draft(half: Half) -> web.Response:
    draft: OrderDraft = to_draft(half)
    return respond(draft)


def _number(request: web.Request) -> int:
    number = int(request.match_info["number"])
    if not 0 < number <= MAX_NUMBER:
        raise NotFoundError(f"there is no order {number}")
    return number
