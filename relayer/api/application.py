"""The HTTP application: paths onto answers. Served by `core.runtime.web.serve`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from core.model.types import ChainId
from core.runtime.clock import Clock, SecretSource, SystemSecrets
from core.runtime.database import Database
from core.runtime.metrics import Metrics
from core.runtime.version import VERSION
from core.runtime.web import (
    CALLER,
    Cors,
    Health,
    RateLimit,
    RateLimiter,
    Route,
    build_application,
    read_body,
    read_query,
    respond,
)
from core.runtime.web.idempotency import Idempotency
from relayer.api.access import Accesses
from relayer.api.answers import Answers, ServedChain, Watching
from relayer.api.bodies import (
    ChainBody,
    ChallengeBody,
    ChallengeCall,
    ExposureBody,
    PairBody,
    QuoteBody,
    QuoteCall,
    RelayerBody,
    RestoreCall,
    RestoredBody,
    SwapBody,
    SwapCall,
    SwapsQuery,
    TransactionCall,
    WalletTransactionBody,
    WatchCall,
    WebhookBody,
    WebhookCall,
    WebhookLogBody,
)
from relayer.api.events import Events, EventsQuery
from relayer.api.hooks import Hooks
from relayer.api.queries import Queries
from relayer.api.query_streams import QueryStreams
from relayer.api.question_routes import query_routes, subscription_routes
from relayer.api.socket import Sockets
from relayer.api.subscriptions import Subscriptions
from relayer.api.updates import Broadcaster
from relayer.asking.parts import Asking, make_asking
from relayer.notices.addresses import Reach
from relayer.provider.desk import Desk

REQUESTS: Final = RateLimit(per_second=50, burst=200)
SWAP_ID: Final = "[0-9a-f]+"
_CLOSED: Final = (409, "It contradicts what is known, or a safety gate is closed.")

DESCRIPTION: Final = """\
Atomic swaps between chains, with a relayer as the counterparty. Ask for a quote, agree on a swap, lock on chain, and
claim once you have seen the relayer's lock on chain yourself: nothing here needs to be believed. Amounts are decimal
strings of base units, bytes are 0x-hex, identifiers are CAIP-2, CAIP-10 and CAIP-19, times are Unix seconds. Every
refusal is an RFC 9457 problem document.
"""


def create_api(
    desk: Desk,
    chains: Mapping[ChainId, ServedChain],
    database: Database,
    clock: Clock,
    metrics: Metrics,
    watchtower: Watching | None = None,
    ready: Callable[[], Awaitable[Health]] | None = None,
    name: str = "relayer",
    limit: RateLimit | None = REQUESTS,
    cors: Cors | None = None,
    hooks: Reach | None = None,
    secrets: SecretSource | None = None,
    asking: Asking | None = None,
) -> web.Application:
    """The dApp API of one relayer. `limit` bounds each caller's requests, None does not; `cors` says which pages may
    call from browsers, None lets none. `database` keeps what is the API's own. `hooks` says to which
    addresses openers may have changes posted, None to none. `asking` answers questions, None if none can be proven; its
    workers run elsewhere."""
    answers = Answers(desk, chains, clock, watchtower, name)
    broadcaster = Broadcaster(desk, clock)
    secrets = secrets or SystemSecrets()
    asking = asking or make_asking(database, None, clock)
    sockets = Sockets(desk, answers, broadcaster, asking.pusher, clock)
    events = Events(desk, answers, broadcaster, clock)
    accesses = Accesses(database, chains, desk.quote_key, clock, secrets)
    query_streams = QueryStreams(asking.queries, clock)
    subscriptions = Subscriptions(asking, clock, secrets)
    routes = [
        *_offer_routes(answers),
        *_swap_routes(answers),
        *_settling_routes(answers),
        *_change_routes(events, sockets),
        *_account_routes(answers, accesses),
        *query_routes(Queries(asking.queries, clock), query_streams),
        *subscription_routes(subscriptions),
        *_webhook_routes(Hooks(database, desk, accesses, hooks, clock, secrets)),
    ]
    app = build_application(
        keyed(routes, Idempotency(database, clock)),
        title="Causeway relayer",
        version=VERSION,
        metrics=metrics,
        clock=clock,
        limiter=None if limit is None else RateLimiter(limit, clock),
        ready=ready,
        description=DESCRIPTION,
        cors=cors,
    )
    app.cleanup_ctx.append(broadcaster.life)
    app.on_shutdown.extend((sockets.close, events.close, query_streams.close, subscriptions.close))
    return app


def _offer_routes(answers: Answers) -> list[Route]:
    """The relayer, and what it offers."""

    async def quote(request: web.Request) -> web.Response:
        return respond(await answers.quote(await read_body(request, QuoteCall)))

    return [
        Route("GET", "/v1/relayer", _plain(answers.relayer), "Who answers here", answer=RelayerBody),
        Route("GET", "/v1/chains", _plain(answers.chains), "The chains", answer=list[ChainBody]),
        Route("GET", "/v1/pairs", _plain(answers.pairs), "What is traded", answer=list[PairBody]),
        Route(
            "GET",
            "/v1/exposure",
            _plain(answers.exposure),
            "What is promised, and what may still be",
            answer=list[ExposureBody],
        ),
        Route(
            "POST",
            "/v1/quotes",
            quote,
            "Ask for a price",
            body=QuoteCall,
            answer=QuoteBody,
            problems=((404, "No such pair."), _CLOSED),
        ),
    ]


def _swap_routes(answers: Answers) -> list[Route]:
    """Agreeing on swaps, and looking at them."""

    async def open_swap(request: web.Request) -> web.Response:
        return respond(await answers.open_swap(await read_body(request, SwapCall), request[CALLER].id))

    async def swaps(request: web.Request) -> web.Response:
        return respond(await answers.swaps(read_query(request, SwapsQuery)))

    async def swap(request: web.Request) -> web.Response:
        return respond(await answers.swap(request.match_info["id"]))

    return [
        Route(
            "POST",
            "/v1/swaps",
            open_swap,
            "Agree on a swap",
            description="Idempotent: the same call again answers the same swap. Check every term before you lock. With "
            "a `proof` by an account that holds what it gives, the relayer keeps its part for it: see `reserved`.",
            body=SwapCall,
            answer=SwapBody,
            problems=(_CLOSED,),
        ),
        Route(
            "GET",
            "/v1/swaps",
            swaps,
            "Swaps, newest first",
            query=SwapsQuery,
            answer=list[SwapBody],
            problems=((404, "No swap is called `before`."),),
        ),
        Route("GET", f"/v1/swaps/{{id:{SWAP_ID}}}", swap, "One swap", answer=SwapBody),
    ]


def _settling_routes(answers: Answers) -> list[Route]:
    """Ways to the end of a swap, and of somebody else's."""

    async def give_back(request: web.Request) -> web.Response:
        return respond(await answers.give_back(request.match_info["id"]))

    async def transaction(request: web.Request) -> web.Response:
        call = await read_body(request, TransactionCall)
        return respond(await answers.transaction(request.match_info["id"], call))

    async def watch(request: web.Request) -> web.Response:
        return respond(await answers.watch(await read_body(request, WatchCall), request[CALLER].id))

    return [
        Route(
            "POST",
            f"/v1/swaps/{{id:{SWAP_ID}}}/early-refund",
            give_back,
            "Have the initiator's lock given back before its timelock",
            description="Once the swap has come to nothing: the relayer's own lock was never signed, is finally "
            "refunded, or can never be mined. Without it anybody can send the refund from the timelock on. "
            "Idempotent.",
            answer=SwapBody,
            problems=((404, "No such swap, or it is not offered here."), _CLOSED),
        ),
        Route(
            "POST",
            f"/v1/swaps/{{id:{SWAP_ID}}}/transactions",
            transaction,
            "An unsigned transaction for any wallet",
            description="A lock, a claim, a refund, or a refund before the timelock by the lock's receiver. Nothing is "
            "sent and nothing changes. Never give the relayer a secret preimage: put it in yourself, at `preimage_at`.",
            body=TransactionCall,
            answer=WalletTransactionBody,
            problems=((404, "No such swap."), _CLOSED),
        ),
        Route(
            "POST",
            "/v1/watches",
            watch,
            "Have a swap of two other parties watched",
            description="The watchtower claims for the participant once the preimage is public, and refunds after "
            "timelocks. It needs no key and learns no secret. Idempotent.",
            body=WatchCall,
            answer=SwapBody,
            problems=((404, "This relayer watches over nobody."), _CLOSED),
        ),
    ]


def _change_routes(events: Events, sockets: Sockets) -> list[Route]:
    """Swaps as they change."""
    return [
        Route(
            "GET",
            "/v1/events",
            events.handle,
            "Swaps as they change (server-sent events)",
            description="Each event `swap` has a swap as its data. With `Last-Event-ID` what has changed since comes "
            "first, or an event `reset`.",
            query=EventsQuery,
            answer=str,
            content_type="text/event-stream",
            problems=((404, "No such swap."),),
        ),
        Route("GET", "/v1/ws", sockets.handle, "Swaps as they change (WebSocket)", websocket=True),
    ]


def _account_routes(answers: Answers, accesses: Accesses) -> list[Route]:
    """The calls of an account's holder."""

    async def challenge(request: web.Request) -> web.Response:
        call = await read_body(request, ChallengeCall)
        return respond(await answers.challenge(call, accesses, request[CALLER].id))

    async def restore(request: web.Request) -> web.Response:
        return respond(await answers.restore(await read_body(request, RestoreCall), accesses))

    no_account = (404, "The account is not on a chain of this relayer.")
    return [
        Route(
            "POST",
            "/v1/challenges",
            challenge,
            "Ask for a challenge that an account signs",
            body=ChallengeCall,
            answer=ChallengeBody,
            problems=(no_account,),
        ),
        Route(
            "POST",
            "/v1/restore",
            restore,
            "All swaps of an account, for its holder",
            description="For a client that has lost its files: what is locked can be refunded from here.",
            body=RestoreCall,
            answer=RestoredBody,
            problems=(no_account,),
        ),
    ]


def _webhook_routes(hooks: Hooks) -> list[Route]:
    """Webhooks of openers."""

    async def register(request: web.Request) -> web.Response:
        call = await read_body(request, WebhookCall)
        return respond(await hooks.register(request.match_info["id"], call, request[CALLER].id))

    async def log(request: web.Request) -> web.Response:
        return respond(await hooks.log(request))

    async def remove(request: web.Request) -> web.Response:
        return respond(await hooks.remove(request))

    no_secret = (401, "The webhook's secret is missing or wrong.")
    return [
        Route(
            "POST",
            f"/v1/swaps/{{id:{SWAP_ID}}}/webhooks",
            register,
            "Have changes of a swap posted to an address",
            description="By the account that locks on the initiator's leg, if the operator lets openers do so.",
            body=WebhookCall,
            answer=WebhookBody,
            problems=((404, "No such swap, or it is not offered here."),),
        ),
        Route(
            "GET",
            f"/v1/webhooks/{{id:{SWAP_ID}}}",
            log,
            "What was posted to a webhook",
            description="With `Authorization: Bearer` and the webhook's secret.",
            answer=WebhookLogBody,
            problems=(no_secret,),
        ),
        Route(
            "DELETE",
            f"/v1/webhooks/{{id:{SWAP_ID}}}",
            remove,
            "Remove a webhook",
            description="With `Authorization: Bearer` and the webhook's secret. What waits is not posted any more.",
            answer=WebhookLogBody,
            problems=(no_secret,),
        ),
    ]


def keyed(routes: list[Route], keys: Idempotency) -> list[Route]:
    """Every POST takes an idempotency key."""
    return [
        replace(route, handler=keys.once(route.handler), idempotent=True) if route.method == "POST" else route
        for route in routes
    ]


def _plain(answer: Callable[[], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(_: web.Request) -> web.StreamResponse:
        return respond(await answer())

    return handler
