"""The HTTP application: which path is answered by what, and with which scope."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import msgspec
from aiohttp import web

from core.runtime.clock import Clock
from core.runtime.metrics import Metrics
from core.runtime.web import Callers, Handler, RateLimiter, Route, build_application, respond
from core.runtime.web.idempotency import Idempotency
from regulator_api import bodies, orders, requests
from regulator_api.access import routes as access
from regulator_api.auditing import Auditor
from regulator_api.drafts import OrderDraft
from regulator_api.exports import routes as exports
from regulator_api.knowledge import routes as knowledge
from regulator_api.proofs import routes as proofs
from regulator_api.proofs.offering import Offering
from regulator_api.reading import activity
from regulator_api.reading import routes as reading
from regulator_api.reading.questions import PagedMomentQuery
from regulator_api.rules import routes as rules
from regulator_api.service import RegulatorService
from regulator_api.signing import Signer, public_jwk
from regulator_api.streaming import routes as streaming
from regulator_api.streaming.routes import Streams
from regulator_api.tracing import routes as tracing
from regulator_api.travel import routes as travel
from regulator_api.travel.records import Vault

TITLE: Final = "Causeway supervision API"


def create_app(
    service: RegulatorService,
    auditor: Auditor,
    *,
    callers: Callers,
    metrics: Metrics,
    clock: Clock,
    version: str,
    limiter: RateLimiter | None = None,
    signer: Signer | None = None,
    vault: Vault | None = None,
) -> web.Application:
    """The application of one service; `await auditor.prepare()` before it is served.

    `callers` puts the caller's `Scope` on each request; `regulator_api.access.roles.ROLES` are the scopes of routes.
    With a signer every whole answer is signed, problem documents and 304 too; with a vault travel-rule records are
    taken.
    """
    streams = Streams(service.database, clock, auditor.records_per_day)
    streamed = [replace(route, handler=auditor.streaming(route.handler)) for route in streaming.routes(streams)]
    app = build_application(
        [*routes(service, auditor, signer, vault), *streamed],
        title=TITLE,
        version=version,
        metrics=metrics,
        clock=clock,
        callers=callers,
        refused=auditor.refused_before,
        limiter=limiter,
        description="Reads are logged before they are answered; state why in the header X-Purpose.",
    )
    app.on_shutdown.append(streams.close)
    if signer is not None:
        app.on_response_prepare.append(_signing(signer, clock))
    return app


def _signing(signer: Signer, clock: Clock) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def sign(request: web.Request, response: web.StreamResponse) -> None:
        if isinstance(response, web.Response) and request.path.startswith("/v1/"):
            signer.sign_answer(request, response, clock)

    return sign


PROBLEMS: Final = (
    (404, "There is no such thing."),
    (409, "It contradicts what was reported, or is not final yet."),
    (422, "An identifier is not in its form, or a cursor is not one of this list."),
    (503, "The database is locked, or a chain does not answer: try again."),
)


def routes(
    service: RegulatorService, auditor: Auditor, signer: Signer | None = None, vault: Vault | None = None
) -> list[Route]:
    """Everything that the API answers to, apart from the service paths."""
    alerts = rules.Rules(service.database, service.clock, service.cursors)
    offering = Offering(service.reading, service.provers, service.keepers, alerts.bundle)
    supervision = [
        *_swap_routes(service),
        *service.whole.routes(),
        *_record_routes(service),
        *knowledge.routes(knowledge.Knowledge(service.database, service.clock, service.cursors)),
        *rules.routes(alerts),
        *_order_routes(service.orders),
        *reading.routes(service.reading),
        *activity.routes(service.reading),
        *proofs.routes(service.reading, service.provers),
        *exports.routes(service.reading, service.database, service.clock),
        *access.routes(),
        *travel.routes(travel.TravelRules(service.database, service.clock, service.cursors, vault)),
        *tracing.routes(service.reading, service.database, service.clock),
    ]
    idempotency = Idempotency(service.database, service.clock)
    return [_logged(offering.offered(route), auditor, idempotency) for route in supervision] + [
        _keys_route(signer),
        Route(
            "GET",
            "/readyz",
            service.get_ready,
            "Whether every chain is followed",
            answer=bodies.ReadyAnswer,
            problems=((503, "A chain is not followed, or has an open alarm."),),
            tag="service",
        ),
    ]


def _logged(route: Route, auditor: Auditor, idempotency: Idempotency) -> Route:
    """The route with an entry of the log for each answer; a POST that is answered again is logged again."""
    handler = idempotency.once(route.handler) if route.idempotent else route.handler
    return replace(route, handler=auditor.audited(handler))


def _keys_route(signer: Signer | None) -> Route:
    answer = bodies.KeysAnswer(keys=[] if signer is None else [bodies.KeyView(**public_jwk(signer.public_key))])

    async def get_keys(_: web.Request) -> web.Response:
        return respond(answer)

    return Route(
        "GET",
        "/v1/keys",
        get_keys,
        "The public keys that answers are signed with",
        answer=bodies.KeysAnswer,
        tag="service",
    )


def _scoped(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    answer: type,
    scope: str = "read",
    query: type[msgspec.Struct] | None = None,
    body: type[msgspec.Struct] | None = None,
    status: int = 200,
    or_answer: type | None = None,
) -> Route:
    return Route(
        method,
        path,
        handler,
        summary,
        query=query,
        body=body,
        answer=answer,
        or_answer=or_answer,
        status=status,
        scope=scope,
        problems=PROBLEMS,
        tag="supervision",
    )


def _swap_routes(service: RegulatorService) -> list[Route]:
    return [
        _scoped("GET", "/v1/chains", service.get_chains, "Chains: head, finalized, lag", bodies.ChainsAnswer),
        _scoped(
            "GET",
            "/v1/swaps/{id}/evidence",
            service.get_evidence,
            "Proofs of both legs",
            bodies.EvidenceAnswer,
            or_answer=bodies.EvidenceFile,
            scope="evidence",
            query=requests.EvidenceQuery,
        ),
    ]


def _record_routes(service: RegulatorService) -> list[Route]:
    """Reports that relayers send, and the access log."""
    return [
        _scoped(
            "POST",
            "/v1/agreements",
            service.post_agreement,
            "Report agreed terms",
            bodies.AgreementAnswer,
            scope="report",
            body=requests.AgreementBody,
            status=201,
        ),
        _scoped(
            "GET",
            "/v1/audit",
            service.get_audit,
            "Who read what",
            bodies.AuditPage,
            scope="audit",
            query=requests.AuditQuery,
        ),
    ]


def _order_routes(service: orders.Orders) -> list[Route]:
    """Who is held by which orders, and drafts of orders for officers to sign."""
    return [
        _scoped(
            "GET",
            "/v1/orders",
            service.get_orders,
            "Orders, newest first",
            orders.OrdersAnswer,
            query=orders.OrdersQuery,
        ),
        _scoped(
            "GET",
            "/v1/orders/{number:[0-9]{1,19}}",
            service.get_order,
            "One order, with who signed what",
            orders.OrderBody,
            query=orders.ChainQuery,
        ),
        _scoped("GET", "/v1/holds/{account}", service.get_hold, "Whether an account is held", orders.HoldAnswer),
        _scoped(
            "GET",
            "/v1/holds/{account}/history",
            service.get_hold_history,
            "What officers signed about an account",
            orders.HoldHistory,
            query=PagedMomentQuery,
        ),
        _scoped(
            "GET",
            "/v1/holds/{account}/evidence",
            service.get_hold_evidence,
            "Proof that an account is held, or is not",
            bodies.EvidenceFile,
            scope="evidence",
        ),
        _scoped(
            "POST",
            "/v1/orders",
            service.post_order,
            "Draft the first half of an order",
            OrderDraft,
            scope="orders",
            body=orders.PrepareBody,
        ),
        _scoped(
            "POST",
            "/v1/orders/{number:[0-9]{1,19}}/approval",
            service.post_approval,
            "Draft the second half of an order or of its lift",
            OrderDraft,
            scope="orders",
            body=orders.ApprovalBody,
        ),
        _scoped(
            "POST",
            "/v1/orders/{number:[0-9]{1,19}}/lift",
            service.post_lift,
            "Draft the first half of an order's lift",
            OrderDraft,
            scope="orders",
            body=orders.LiftBody,
        ),
    ]
