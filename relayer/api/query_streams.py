"""`/v1/queries/{id}/events`: the answers of one query as they come, as server-sent events.

    id: 2
    event: answer
    data: {"place": 0, "answer": {"uri": "…", "evidence": {…}, "problem": null, "detail": null}}

    id: 3
    event: end
    data: {"id": "…", "state": "answered"}

Each question has one event `answer`, once it is answered or has ended for another reason; `end` is the last event of a
query. A stream that breaks is opened again with `Last-Event-ID` and goes on behind that event. Behind `end` the answer
is 204, upon which a browser opens it no more.
"""

from typing import Final

import msgspec
from aiohttp import web

from core.model.errors import NotFoundError
from core.runtime.clock import Clock
from core.runtime.signals import Signal, wait_any
from core.runtime.web import CALLER, Places, streams
from core.runtime.web.streams import HEARTBEAT_S, MAX_STREAMS, MAX_STREAMS_OF_A_CLIENT, STREAM_S
from relayer.api.queries import part_body
from relayer.api.query_bodies import PlacedBody
from relayer.asking.caller_queries import CallerQueries
from relayer.asking.query import Standing
from relayer.asking.rows import Stored

DELETED: Final = "deleted"
"""The state in which the stream of a query ends that is gone."""


class QueryStreams:
    """The handler of `/v1/queries/{id}/events`, which lives as long as the application."""

    def __init__(self, queries: CallerQueries, clock: Clock) -> None:
        self._queries = queries
        self._clock = clock
        self._ending = Signal()
        self._places = Places("query streams", MAX_STREAMS, MAX_STREAMS_OF_A_CLIENT)

    async def close(self, _: web.Application) -> None:
        """For `on_shutdown`: end every stream."""
        self._ending.notify()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Raise `RejectedError` for a malformed `Last-Event-ID`, `NotFoundError` for an unknown query."""
        last, query_id = streams.last_event(request) or 0, request.match_info["id"]
        with self._places.taken(request[CALLER].id):
            # Kept for as long as the stream lasts: it is the same for everybody who follows the query.
            changes = self._queries.changes(query_id)
            seen = changes.count
            query = await self._queries.find(query_id)
            if query.standing is not Standing.WAITING and last > query.version:
                return web.Response(status=204)
            response = await streams.begin(request)
            if request.method == "HEAD":
                return response
            try:
                await streams.write(response, streams.RETRY)
                await self._stream(response, query, last, changes, seen)
            except (TimeoutError, ConnectionError):
                streams.drop(request)
            return response

    async def _stream(self, response: web.StreamResponse, query: Stored, last: int, changes: Signal, seen: int) -> None:
        ends_at = self._clock.monotonic() + STREAM_S
        while self._clock.monotonic() < ends_at and not self._ending.count:
            last = await _send(response, query, last)
            if query.standing is not Standing.WAITING:
                return
            await wait_any([(changes, seen), (self._ending, 0)], HEARTBEAT_S)
            if changes.count == seen:
                await streams.write(response, streams.STILL_HERE)
            seen = changes.count
            try:
                query = await self._queries.find(query.id)
            except NotFoundError:
                data = msgspec.json.encode({"id": query.id, "state": DELETED})
                await streams.write(response, streams.event("end", last + 1, data))
                return


async def _send(response: web.StreamResponse, query: Stored, last: int) -> int:
    """Send what came behind the event `last`, and the end of a query that has ended; return the query's version."""
    for version, place in sorted((version, place) for place, version in enumerate(query.versions)):
        if version > last:
            data = msgspec.json.encode(PlacedBody(place=place, answer=part_body(query.parts[place])))
            await streams.write(response, streams.event("answer", version, data))
    if query.standing is not Standing.WAITING:
        data = msgspec.json.encode({"id": query.id, "state": query.standing})
        await streams.write(response, streams.event("end", query.version + 1, data))
    return query.version
