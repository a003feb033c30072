"""`/v1/events`: swaps pushed as they change, as server-sent events (WHATWG HTML, "Server-sent events").

    id: 1764417600123456
    event: swap
    data: {"id": "…", "phase": "initiator-locked", …}

Named swaps come at once and on every change; `*` is every swap that changes. A stream that breaks is opened again with
`Last-Event-ID`, as browsers do by themselves: what has changed since then comes first, or `event: reset` if that is too
much, or too long ago. An id is the microsecond of a change; a few views may come again, and `version` shows it. A
comment every `HEARTBEAT_S` keeps proxies from closing it; it ends after `STREAM_S`, and browsers open it again.
"""

import asyncio
from typing import Annotated, Final

import msgspec
from aiohttp import web

from core.model.types import SwapId
from core.runtime.clock import Clock
from core.runtime.web import CALLER, Places, read_query, streams
from core.runtime.web.streams import HEARTBEAT_S, MAX_STREAMS, MAX_STREAMS_OF_A_CLIENT, STREAM_S
from relayer.api.answers import Answers
from relayer.api.bodies import MAX_IDS
from relayer.api.updates import EVERY_SWAP, Broadcaster, Listener
from relayer.provider.desk import MAX_PAGE, Desk, SwapFilter, SwapView

RESUMED_S: Final = 3_600
"""How old the last event may be."""
MAX_RESUMED: Final = 800
"""Swaps that a stream begins with; fewer than may wait for one listener."""
OVERLAP_US: Final = 10_000_000
"""Changes that were committed later than their own time says are found again within these microseconds."""
_US_PER_S: Final = 1_000_000
_NS_PER_US: Final = 1_000

Followed = Annotated[str, msgspec.Meta(pattern=r"^(\*|[0-9a-f]{1,64})$", description="A swap's id, or *.")]


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which swaps: `swap` once for each id, or `*` for every one."""

    swap: Annotated[list[Followed], msgspec.Meta(min_length=1, max_length=MAX_IDS)]


class Events:
    """The handler of `/v1/events`, which lives as long as the application."""

    def __init__(self, desk: Desk, answers: Answers, broadcaster: Broadcaster, clock: Clock) -> None:
        self._desk = desk
        self._answers = answers
        self._broadcaster = broadcaster
        self._clock = clock
        self._ending = asyncio.Event()
        self._places = Places("event streams", MAX_STREAMS, MAX_STREAMS_OF_A_CLIENT)

    async def close(self, _: web.Application) -> None:
        """For `on_shutdown`: end every stream."""
        self._ending.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Raise `RejectedError` for a malformed `Last-Event-ID`, `NotFoundError` for an unknown swap."""
        query = read_query(request, EventsQuery)
        given = streams.last_event(request)
        # An id from ahead of our clock is taken for one of now.
        since_us = None if given is None else min(given, round(self._clock.now() * _US_PER_S))
        with self._places.taken(request[CALLER].id):
            listener = Listener()
            self._broadcaster.join(listener)
            try:
                listener.swaps.update(dict.fromkeys(query.swap))
                first, whole = await self._first(query.swap, since_us)
                for view in first:
                    listener.offer(view)
                return await self._stream(request, listener, whole)
            finally:
                self._broadcaster.listeners.discard(listener)

    async def _first(self, asked: list[str], since_us: int | None) -> tuple[list[SwapView], bool]:
        """The views that a stream begins with, and if nothing that was missed is missing among them."""
        named = [SwapId(one) for one in dict.fromkeys(asked) if one != EVERY_SWAP]
        views = [await self._desk.swap(swap_id) for swap_id in named]
        if since_us is not None:
            views = [view for view in views if _event_id(view) >= since_us - OVERLAP_US]
        if EVERY_SWAP not in asked or since_us is None:
            return views, True
        missed = await self._missed(since_us)
        if missed is None:
            return views, False
        newest = {view.id: view for view in (*views, *missed)}
        return sorted(newest.values(), key=_event_id), True

    async def _missed(self, since_us: int) -> list[SwapView] | None:
        """Every swap that has changed since then; None if that is too much, or too long ago."""
        if since_us < (self._clock.now() - RESUMED_S) * _US_PER_S:
            return None
        found: list[SwapView] = []
        before: SwapId | None = None
        while len(found) < MAX_RESUMED:
            which = SwapFilter(changed_since_ns=(since_us - OVERLAP_US) * _NS_PER_US, before=before, limit=MAX_PAGE)
            page = await self._desk.swaps(which)
            found += page
            if len(page) < MAX_PAGE:
                return found
            before = page[-1].id
        return None

    async def _stream(self, request: web.Request, listener: Listener, whole: bool) -> web.StreamResponse:
        ends_at = self._clock.monotonic() + STREAM_S
        response = await streams.begin(request)
        if request.method == "HEAD":
            return response
        try:
            await streams.write(response, streams.RETRY + ("" if whole else "event: reset\ndata: {}\n\n"))
            while self._clock.monotonic() < ends_at and not self._ending.is_set():
                views = await self._next(listener)
                if listener.overrun or self._ending.is_set():
                    break
                if views:
                    await self._send(response, views)
                else:
                    await streams.write(response, streams.STILL_HERE)
        except (TimeoutError, ConnectionError):
            streams.drop(request)
        return response

    async def _next(self, listener: Listener) -> list[SwapView]:
        """The next views; none after `HEARTBEAT_S`, and when the service ends."""
        next_views = asyncio.ensure_future(listener.next())
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({next_views, ending}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            return next_views.result() if next_views.done() else []
        finally:
            for waiting in (next_views, ending):
                waiting.cancel()

    async def _send(self, response: web.StreamResponse, views: list[SwapView]) -> None:
        for view in views:
            body = msgspec.json.encode(self._answers.swap_body(view))
            await streams.write(response, streams.event("swap", _event_id(view), body))


def _event_id(view: SwapView) -> int:
    return round(view.updated_at * _US_PER_S)
