"""Subscriptions over the API: made, looked at, streamed as server-sent events, deleted.

`/v1/subscriptions/{id}/events`:

    id: 1764417600123456
    event: answer
    data: {"subscription": "…", "place": 0, "version": 1764417600123456, "uri": "…", "evidence": {…}, …}

The newest answers come first, then each change. A stream that is opened again with `Last-Event-ID` goes on behind that
event: of changes that came meanwhile the newest of each question. `event: end` is the last one and says why; behind it
the answer is 204, upon which a browser opens it no more.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from aiohttp import web

from core.model.errors import NotFoundError
from core.runtime.clock import NS_PER_S, Clock, SecretSource
from core.runtime.signals import Signal
from core.runtime.web import CALLER, Places, read_body, respond, streams
from core.runtime.web.hooks import SECRET_BYTES, secret_text
from core.runtime.web.streams import HEARTBEAT_S, MAX_STREAMS, MAX_STREAMS_OF_A_CLIENT, STREAM_S
from relayer.api.queries import read_questions
from relayer.api.query_bodies import NO_EVIDENCE
from relayer.api.subscription_bodies import EndBody, PushBody, SubscriptionBody, SubscriptionCall
from relayer.asking.follow_rows import Followed, Subscription
from relayer.asking.parts import Asking
from relayer.asking.pusher import Feed

DELETED: Final = "it was deleted"


class Subscriptions:
    """The handlers of `/v1/subscriptions`, which live as long as the application."""

    def __init__(self, asking: Asking, clock: Clock, secrets: SecretSource) -> None:
        self._asking = asking
        self._pusher = asking.pusher
        self._clock = clock
        self._secrets = secrets
        self._ending = Signal()
        self._places = Places("subscription streams", MAX_STREAMS, MAX_STREAMS_OF_A_CLIENT)

    async def close(self, _: web.Application) -> None:
        """For `on_shutdown`: end every stream."""
        self._ending.notify()

    async def make(self, request: web.Request) -> web.Response:
        """Raise `NotFoundError` if nothing is proven or posted here, `RejectedError` for a wrong question or address,
        `TooManyError`."""
        call = await read_body(request, SubscriptionCall)
        asked, trusted = read_questions(call, self._pusher.prover)
        secret = None if call.url is None else self._secret_for(call.url)
        made = await self._pusher.subscribe(
            asked, trusted, request[CALLER].id, call.lasts_s, call.every_s, call.url, secret
        )
        body = self._body(made, await self._pusher.answers(made), shown=secret)
        return respond(body, status=201, headers={"Location": f"/v1/subscriptions/{made.id}"})

    def _secret_for(self, url: str) -> bytes:
        """Return a new secret. Raise `NotFoundError` if nothing is posted, `RejectedError` for a closed address."""
        if self._asking.reach is None:
            raise NotFoundError("this relayer posts nothing for callers: follow the subscription by its events")
        self._asking.reach.check_url(url)
        return self._secrets.token_bytes(SECRET_BYTES)

    async def find(self, request: web.Request) -> web.Response:
        """Raise `NotFoundError`."""
        return respond(await self._found(request))

    async def remove(self, request: web.Request) -> web.Response:
        """Answer the subscription as it was. Raise `NotFoundError`."""
        body = await self._found(request)
        await self._pusher.remove(body.id)
        return respond(body)

    async def _found(self, request: web.Request) -> SubscriptionBody:
        found = await self._pusher.find(request.match_info["id"])
        return self._body(found, await self._pusher.answers(found))

    def _body(self, one: Subscription, answers: list[Followed], shown: bytes | None = None) -> SubscriptionBody:
        return SubscriptionBody(
            id=one.id,
            created_at=one.created_ns / NS_PER_S,
            until=one.until_s,
            every_s=one.every_s,
            url=one.url,
            secret=None if shown is None else secret_text(shown),
            reason=one.reason,
            answers=sorted(push_bodies(one, answers), key=lambda body: body.place),
        )

    # --- the stream --------------------------------------------------------------------------------------------------

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Raise `RejectedError` for a malformed `Last-Event-ID`, `NotFoundError` for an unknown subscription."""
        last = streams.last_event(request) or 0
        with self._places.taken(request[CALLER].id):
            found = await self._pusher.find(request.match_info["id"])
            if found.ended_ns is not None and last >= found.end_version:
                return web.Response(status=204)
            response = await streams.begin(request)
            if request.method == "HEAD":
                return response
            try:
                await streams.write(response, streams.RETRY)
                await self._stream(response, Feed(self._pusher, found, last, self._clock))
            except (TimeoutError, ConnectionError):
                streams.drop(request)
            return response

    async def _stream(self, response: web.StreamResponse, feed: Feed) -> None:
        ends_at = self._clock.monotonic() + STREAM_S
        while self._clock.monotonic() < ends_at and not self._ending.count:
            try:
                changes = await feed.next(self._ending, HEARTBEAT_S)
            except NotFoundError:
                await _end(response, feed, DELETED)
                return
            for body in push_bodies(feed.subscription, changes):
                await streams.write(response, streams.event("answer", body.version, msgspec.json.encode(body)))
            if changes:
                continue
            if feed.subscription.ended_ns is not None:
                await _end(response, feed, feed.subscription.reason or "")
                return
            await streams.write(response, streams.STILL_HERE)


async def _end(response: web.StreamResponse, feed: Feed, reason: str) -> None:
    end_id = max(feed.last + 1, feed.subscription.end_version)
    data = msgspec.json.encode(EndBody(id=feed.subscription.id, reason=reason))
    await streams.write(response, streams.event("end", end_id, data))


def push_bodies(subscription: Subscription, answers: Iterable[Followed]) -> list[PushBody]:
    """The answers at their places, in the order of their changes; a question that was asked twice has two places."""
    return [
        PushBody(
            subscription=subscription.id,
            place=place,
            version=one.version,
            uri=one.uri,
            evidence=NO_EVIDENCE if one.file is None else msgspec.Raw(one.file),
            problem=one.problem,
            detail=one.detail,
        )
        for one in answers
        for place, question in enumerate(subscription.questions)
        if question == one.question
    ]
