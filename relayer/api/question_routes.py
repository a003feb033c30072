"""The paths of questions: queries, and subscriptions."""

from typing import Final

from core.runtime.web import Route
from relayer.api.queries import Queries
from relayer.api.query_bodies import QueriesBody, QueriesCall, QueryBody
from relayer.api.query_streams import QueryStreams
from relayer.api.subscription_bodies import SubscriptionBody, SubscriptionCall
from relayer.api.subscriptions import Subscriptions

ID: Final = "[0-9a-f]+"


def query_routes(queries: Queries, query_streams: QueryStreams) -> list[Route]:
    """Questions to chains."""
    return [
        Route(
            "POST",
            "/v1/queries",
            queries.ask,
            "Ask chains, and get answers that prove themselves",
            description="Answered as of one height per chain. Verify each evidence with an anchor of your own "
            "(`causeway verify`): the relayer need not be believed. With `Prefer: respond-async`, or if a height "
            "cannot be proven yet, the answer is 202 and the query stays open for `open_s`.",
            body=QueriesCall,
            answer=QueriesBody,
            accepted=QueryBody,
            problems=((404, "This relayer proves nothing."),),
        ),
        Route("GET", f"/v1/queries/{{id:{ID}}}", queries.find, "A query and its answers so far", answer=QueryBody),
        Route(
            "DELETE",
            f"/v1/queries/{{id:{ID}}}",
            queries.remove,
            "Want no answer any more",
            description="The query goes with its answers, for everybody who asked the same as the same caller.",
            answer=QueryBody,
        ),
        Route(
            "GET",
            f"/v1/queries/{{id:{ID}}}/events",
            query_streams.handle,
            "The answers of a query as they come (server-sent events)",
            description="An event `answer` for each question, `end` at last. With `Last-Event-ID` it goes on there.",
            answer=str,
            content_type="text/event-stream",
            problems=((422, "The Last-Event-ID is not an event's."),),
        ),
    ]


def subscription_routes(subscriptions: Subscriptions) -> list[Route]:
    """Questions that callers follow."""
    return [
        Route(
            "POST",
            "/v1/subscriptions",
            subscriptions.make,
            "Follow questions: evidence whenever an answer changes",
            description="By the subscription's events, the WebSocket, and a webhook if the operator lets callers have "
            "one. Verify each evidence with an anchor of your own.",
            body=SubscriptionCall,
            answer=SubscriptionBody,
            status=201,
            problems=((404, "This relayer proves nothing, or posts nothing."),),
        ),
        Route(
            "GET",
            f"/v1/subscriptions/{{id:{ID}}}",
            subscriptions.find,
            "A subscription and the newest answers",
            answer=SubscriptionBody,
        ),
        Route(
            "DELETE",
            f"/v1/subscriptions/{{id:{ID}}}",
            subscriptions.remove,
            "Follow no longer",
            answer=SubscriptionBody,
        ),
        Route(
            "GET",
            f"/v1/subscriptions/{{id:{ID}}}/events",
            subscriptions.stream,
            "Answers as they change (server-sent events)",
            description="An event `answer` for each change, `end` at last. With `Last-Event-ID` it goes on there.",
            answer=str,
            content_type="text/event-stream",
            problems=((422, "The Last-Event-ID is not an event's."),),
        ),
    ]
