"""`/v1/stream/events`, `/v1/stream/swaps`, `/v1/stream/alerts`: server-sent events with numbers to go on behind.

A client that was away sends the last number that it has (`Last-Event-ID`, as browsers do, or `?after=`), and misses
nothing: everything is read from the database, whatever process answered before.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Final

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.web import CALLER, Places, Route, read_query, streams
from core.runtime.web.streams import HEARTBEAT_S, STREAM_S
from indexer.feed import last_seq
from indexer.store import chain_rows
from regulator_api.access import usage
from regulator_api.access.scope import SCOPE, UNTIL, Scope
from regulator_api.rules.alerts import changed_alerts, rules_state
from regulator_api.rules.routes import alert_view
from regulator_api.streaming.happenings import read_happenings
from regulator_api.streaming.proposals import newest_number
from regulator_api.streaming.swaps import read_swap_happenings

LOOK_S: Final = 1.0
"""Between two looks of a stream that has caught up."""
MAX_STREAMS: Final = 100
MAX_STREAMS_OF_A_CALLER: Final = 8
MAX_ALERTS_AT_ONCE: Final = 100

After = Annotated[int, msgspec.Meta(ge=0, le=2**53, description="The number that the stream goes on behind.")]
Batch = tuple[list[tuple[int, list[tuple[str, bytes]]]], int]
"""(number, its events as name and JSON) in order, and the last number that was looked at."""
Read = Callable[[Connection, Scope, int], Batch]


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `after` and `Last-Event-ID` a stream begins with what happens next."""

    after: After | None = None


class Streams:
    """Serves all streams, at most `MAX_STREAMS` at once. Records count for the caller as those of lists do."""

    def __init__(self, database: Database, clock: Clock, records_per_day: int) -> None:
        self._database = database
        self._clock = clock
        self._records_per_day = records_per_day
        self._places = Places("streams", MAX_STREAMS, MAX_STREAMS_OF_A_CALLER)
        self._ending = asyncio.Event()

    async def close(self, _: web.Application) -> None:
        """For `on_shutdown`: end every stream."""
        self._ending.set()

    async def events(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, read_event_batch, last_seq)

    async def swaps(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, read_swap_batch, newest_number)

    async def alerts(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, read_alert_batch, lambda connection: rules_state(connection).changed)

    async def _stream(
        self, request: web.Request, read: Read, newest: Callable[[Connection], int]
    ) -> web.StreamResponse:
        query, given = read_query(request, StreamQuery), streams.last_event(request)
        after = given if given is not None else query.after
        position = await self._database.read(newest) if after is None else after
        with self._places.taken(request[CALLER].id):
            response = await streams.begin(request)
            if request.method == "HEAD":
                return response
            try:
                await streams.write(response, streams.RETRY)
                await self._send_all(request, response, read, position)
            except (TimeoutError, ConnectionError):
                streams.drop(request)
        return response

    async def _send_all(self, request: web.Request, response: web.StreamResponse, read: Read, position: int) -> None:
        scope, caller = request[SCOPE], request[CALLER].id
        ends_at, silent_since = self._clock.monotonic() + STREAM_S, self._clock.monotonic()
        # Nobody reads on with credentials that are over: whoever comes again shows fresh ones.
        until_s = request.get(UNTIL, math.inf)
        while self._clock.monotonic() < ends_at and self._clock.now() < until_s and not self._ending.is_set():
            before = position
            batch, position = await self._database.read(partial(_in_order, read, scope, before))
            for number, events in batch:
                # The last of a number's events carries it: who was cut off before gets all of them again.
                for name, body in events[:-1]:
                    await streams.write(response, f"event: {name}\ndata: {body.decode()}\n\n")
                await streams.write(response, streams.event(events[-1][0], number, events[-1][1]))
            if batch:
                silent_since = self._clock.monotonic()
                if await self._count(caller, sum(len(events) for _, events in batch)) >= self._records_per_day:
                    return
            elif self._clock.monotonic() - silent_since >= HEARTBEAT_S:
                silent_since = self._clock.monotonic()
                await streams.write(response, streams.STILL_HERE)
            if position == before:
                await _first_of(self._clock.sleep(LOOK_S), self._ending.wait())

    async def _count(self, caller: str, records: int) -> int:
        now_ns = self._clock.now_ns()

        def write(connection: Connection) -> int:
            usage.take(connection, caller, records, now_ns)
            return usage.taken(connection, caller, now_ns)

        return await self._database.write(write)


def routes(made: Streams) -> list[Route]:
    """Streams that last, and go on behind a number."""
    return [
        Route(
            "GET",
            "/v1/stream/events",
            made.events,
            "Transfers, locks and what becomes of them, as they happen",
            query=StreamQuery,
            answer=str,
            content_type="text/event-stream",
            scope="read",
            problems=PROBLEMS,
            tag="streams",
        ),
        Route(
            "GET",
            "/v1/stream/swaps",
            made.swaps,
            "Swaps as they are proposed, locked, claimed and refunded",
            query=StreamQuery,
            answer=str,
            content_type="text/event-stream",
            scope="read",
            problems=PROBLEMS,
            tag="streams",
        ),
        Route(
            "GET",
            "/v1/stream/alerts",
            made.alerts,
            "Alerts, as they change",
            query=StreamQuery,
            answer=str,
            content_type="text/event-stream",
            scope="read",
            problems=PROBLEMS,
            tag="streams",
        ),
    ]


PROBLEMS: Final = ((503, "Too many streams are open, or the database is locked: try again."),)


def _in_order(read: Read, scope: Scope, after: int, connection: Connection) -> Batch:
    return read(connection, scope, after)


def read_event_batch(connection: Connection, scope: Scope, after: int) -> Batch:
    """Return the next events behind a number, as the scope sees them."""
    found, position = read_happenings(connection, scope, after)
    return [
        (one.seq, [(happening.kind, msgspec.json.encode(happening)) for happening in one.happenings]) for one in found
    ], position


def read_swap_batch(connection: Connection, scope: Scope, after: int) -> Batch:
    """Return what happened next to swaps behind a number, as the scope sees it."""
    found, position = read_swap_happenings(connection, scope, after)
    return [
        (one.number, [(happening.kind, msgspec.json.encode(happening)) for happening in one.happenings])
        for one in found
    ], position


def read_alert_batch(connection: Connection, scope: Scope, after: int) -> Batch:
    """Return the next changes of alerts behind a number, as the scope sees them."""
    found = changed_alerts(connection, scope, after, MAX_ALERTS_AT_ONCE)
    chains = chain_rows(connection) if found else []
    batch = [(row.changed, [("alert", msgspec.json.encode(alert_view(row, chains)))]) for row in found]
    return batch, batch[-1][0] if batch else after


async def _first_of(*awaited: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(one) for one in awaited]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
