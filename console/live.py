"""Live pages: the console follows what happens, once for each person, and says to pages which kinds of things changed.

    API ──/v1/stream/…──> Follower ──kinds──> /console/live ──> page, which asks for its own part again

Pages get no data this way, only words such as `swaps`: what they then show is what the person who asks may see. A page
knows the position at which it was made, so that nothing between its making and its stream is missed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from aiohttp import web

from console.api import Api, Credentials
from console.frame import HEADERS
from console.sessions import Session, Sessions
from core.model.errors import CausewayError, RetryableError
from core.runtime.clock import Clock, SecretSource
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from core.runtime.web.limits import Places
from core.runtime.web.streams import HEARTBEAT_S, RETRY, STILL_HERE, STREAM_S, drop, write

KIND_OF: Final = {
    "transfer": "transfers",
    "lock": "swaps",
    "claim": "swaps",
    "refund": "swaps",
    "finalized": "final",
    "alert": "alerts",
}
"""By the name of an event of the API's streams: what it changes."""
KINDS: Final = frozenset(KIND_OF.values())
STREAMS: Final = ("/v1/stream/events", "/v1/stream/alerts")
CONNECT_S: Final = 2.0
"""How long a page waits for the streams to begin; without them it is made all the same."""
GAP_S: Final = 1.0
"""Between two words to a page, so that a busy chain does not have it asked for all the time."""
CALM: Final = frozenset({"final"})
CALM_S: Final = 5.0
"""Between two words about nothing but these: a chain that is final at once says so with each block."""
IDLE_S: Final = 60.0
"""Without a page that listens, from which on nothing is followed any more."""
REST_S: Final = 5.0
"""After streams that failed, before they are tried again; also how long one of them lasts at least."""
MAX_LISTENERS: Final = 500
MAX_LISTENERS_OF_A_SESSION: Final = 16
MAX_POSITION_CHARS: Final = 40
NAME_BYTES: Final = 8
NO_CONTENT: Final = 204
"""With it browsers do not open a stream again."""

log = get_logger("console")


class Source(Protocol):
    """What is followed. `begun` is called once nothing is missed from then on, `changed` with each kind that changed.

    Returns or raises `CausewayError` when it can go on no more.
    """

    def __call__(self, begun: Callable[[], None], changed: Callable[[str], None]) -> Awaitable[None]: ...


class Follower:
    """Sources that run, which kinds changed, and at which number. `name` tells its positions from another one's."""

    def __init__(self, sources: tuple[Source, ...], kinds: frozenset[str], clock: Clock, name: str) -> None:
        self._clock = clock
        self._name = name
        self._kinds = kinds
        self._changed: dict[str, int] = {}
        self._signal = Signal()
        self._missing = len(sources)
        self._begun = asyncio.Event()
        self.over = False
        self.listeners = 0
        self.left_s = clock.monotonic()
        """When the last listener left, or the failure was."""
        self._task = asyncio.get_running_loop().create_task(self._run(sources))

    @property
    def position(self) -> str:
        return f"{self._name}-{self._signal.count}"

    async def begun(self) -> bool:
        """Return true once everything is followed, false if it is not after `CONNECT_S`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await self._begun.wait()
        return self._begun.is_set() and not self.over

    def since(self, position: str) -> list[str]:
        """The kinds that changed behind a position; all of them if it is not one of this follower."""
        name, _, number = position.partition("-")
        known = name == self._name and number.isascii() and number.isdecimal()
        if not known or len(position) > MAX_POSITION_CHARS:
            return sorted(self._kinds)
        return sorted(kind for kind, at in self._changed.items() if at > int(number))

    async def change(self, timeout_s: float) -> bool:
        """Return true at the next change and at the end, false after `timeout_s` without."""
        return await self._signal.wait_beyond(self._signal.count, timeout_s)

    async def end(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self, sources: tuple[Source, ...]) -> None:
        tasks = [asyncio.ensure_future(source(self._one_begun, self._note)) for source in sources]
        tasks.append(asyncio.ensure_future(self._left_alone()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) is not None:
                    expected = isinstance(error, CausewayError)
                    log.warning("live pages stop", error=str(error), exc_info=None if expected else error)
        finally:
            self.over, self.left_s = True, self._clock.monotonic()
            for task in tasks:
                task.cancel()
            self._begun.set()
            self._signal.notify()

    def _one_begun(self) -> None:
        self._missing -= 1
        if self._missing == 0:
            self._begun.set()

    def _note(self, kind: str) -> None:
        self._changed[kind] = self._signal.count + 1
        self._signal.notify()

    async def _left_alone(self) -> None:
        while self.listeners or self._clock.monotonic() - self.left_s < IDLE_S:
            await self._clock.sleep(IDLE_S / 4)


class Live:
    """The followers of one console. `sources` are what is followed with somebody's credentials."""

    def __init__(
        self,
        sessions: Sessions,
        sources: Callable[[Credentials], tuple[Source, ...]],
        clock: Clock,
        secrets: SecretSource,
        scope: str | None,
        kinds: frozenset[str] = KINDS,
    ) -> None:
        self._kinds = kinds
        self._sessions = sessions
        self._sources = sources
        self._clock = clock
        self._secrets = secrets
        self._scope = scope
        self._followers: dict[Credentials, Follower] = {}
        self._places = Places("live pages", MAX_LISTENERS, MAX_LISTENERS_OF_A_SESSION)
        self._ending = False

    async def close(self, _: web.Application) -> None:
        """For `on_shutdown`: end everything that is followed, and with it every stream to a page."""
        self._ending = True
        for one in list(self._followers.values()):
            await one.end()

    async def position(self, session: Session) -> str:
        """Return where a page that is made from now on begins; "" if nothing is followed for this person."""
        if self._ending or not self._may(session):
            return ""
        follower = self._of(session.credentials)
        return follower.position if await follower.begun() else ""

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """`GET /live`: server-sent events, each with the kinds that changed since the one before."""
        session = self._sessions.find(request)
        if session is None or not self._may(session):
            return web.Response(status=NO_CONTENT, headers=HEADERS)
        follower = self._of(session.credentials)
        if not await follower.begun():
            return web.Response(status=503, headers=HEADERS)
        try:
            with self._places.taken(session.token):
                return await self._listen(request, follower)
        except RetryableError:
            return web.Response(status=503, headers=HEADERS)

    async def _listen(self, request: web.Request, follower: Follower) -> web.StreamResponse:
        position = request.headers.get("Last-Event-ID") or request.query.get("after", "")
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        ends_at, calm_until = self._clock.monotonic() + STREAM_S, 0.0
        follower.listeners += 1
        try:
            await write(response, RETRY)
            while not follower.over and self._clock.monotonic() < ends_at and self._sessions.find(request) is not None:
                kinds, now, now_s = follower.since(position), follower.position, self._clock.monotonic()
                if CALM.issuperset(kinds) and now_s < calm_until:
                    await follower.change(min(calm_until - now_s, HEARTBEAT_S))
                elif kinds:
                    position, calm_until = now, now_s + CALM_S
                    await write(response, f"id: {now}\nevent: change\ndata: {' '.join(kinds)}\n\n")
                    await self._clock.sleep(GAP_S)
                elif not await follower.change(HEARTBEAT_S):
                    await write(response, STILL_HERE)
        except (TimeoutError, ConnectionError):
            drop(request)
        finally:
            follower.listeners -= 1
            follower.left_s = self._clock.monotonic()
        return response

    def _may(self, session: Session) -> bool:
        return self._scope is None or self._scope in session.scopes

    def _of(self, credentials: Credentials) -> Follower:
        now_s = self._clock.monotonic()
        for key, one in list(self._followers.items()):
            if one.over and now_s - one.left_s >= REST_S:
                del self._followers[key]
        if credentials not in self._followers:
            name = self._secrets.token_bytes(NAME_BYTES).hex()
            self._followers[credentials] = Follower(self._sources(credentials), self._kinds, self._clock, name)
        return self._followers[credentials]


def api_sources(api: Api, clock: Clock) -> Callable[[Credentials], tuple[Source, ...]]:
    """The streams of a supervision API, each read with the person's own credentials."""

    def sources(credentials: Credentials) -> tuple[Source, ...]:
        return tuple(_Stream(api, path, credentials, clock) for path in STREAMS)

    return sources


class _Stream:
    """One stream of the API, opened again where it ended. Implements `Source`."""

    def __init__(self, api: Api, path: str, credentials: Credentials, clock: Clock) -> None:
        self._api = api
        self._path = path
        self._credentials = credentials
        self._clock = clock

    async def __call__(self, begun: Callable[[], None], changed: Callable[[str], None]) -> None:
        last, first = "", True
        while True:
            since_s = self._clock.monotonic()
            async with self._api.events(self._path, self._credentials, last) as events:
                if first:
                    begun()
                elif not last:
                    # Nothing says where the one before ended.
                    for kind in KINDS:
                        changed(kind)
                first = False
                last = await _heard(events, changed, last)
            if self._clock.monotonic() - since_s < REST_S:
                raise RetryableError(f"the API ends {self._path} at once")


async def _heard(events: AsyncIterator[tuple[str, str]], changed: Callable[[str], None], last: str) -> str:
    """Report each event, to the end of the stream. Return the last id."""
    async for event_id, name in events:
        last = event_id or last
        if name in KIND_OF:
            changed(KIND_OF[name])
    return last
