"""Server-sent events (WHATWG HTML, "Server-sent events"): what every stream of ours has in common."""

import asyncio
from typing import Final

from aiohttp import web

from core.model.errors import RejectedError

HEARTBEAT_S: Final = 15.0
"""Between two signs of life at the most: a comment keeps proxies from closing a stream."""
STREAM_S: Final = 3_600.0
"""How long one stream lasts; browsers open it again."""
SEND_TIMEOUT_S: Final = 30.0
MAX_STREAMS: Final = 500
MAX_STREAMS_OF_A_CLIENT: Final = 50
RETRY: Final = "retry: 2000\n\n"
"""How long a browser waits before it opens the stream again, in milliseconds."""
HEADERS: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
STILL_HERE: Final = ": still here\n\n"
BEGUN: Final = web.RequestKey("begun", web.StreamResponse)
"""The stream that is under way."""
_MAX_ID_DIGITS: Final = 17


async def begin(request: web.Request) -> web.StreamResponse:
    """Send the head of a stream. `RETRY` comes first behind it. What the handler raises from then on ends the
    connection, since no other answer can come behind a head."""
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    request[BEGUN] = response
    return response


async def write(response: web.StreamResponse, text: str) -> None:
    """Raise `TimeoutError` if the other end does not read, `ConnectionError` if it is gone."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await response.write(text.encode())


def event(name: str, event_id: int, data: bytes) -> str:
    """One event; `data` is JSON without line breaks."""
    return f"id: {event_id}\nevent: {name}\ndata: {data.decode()}\n\n"


def last_event(request: web.Request) -> int | None:
    """Return the id behind which the stream goes on, None for a new one. Raise `RejectedError` if it is not an id."""
    given = request.headers.get("Last-Event-ID", "")
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) <= _MAX_ID_DIGITS):
        raise RejectedError("Last-Event-ID is the id of an event of this stream: a number", field="Last-Event-ID")
    return int(given)


def drop(request: web.Request) -> None:
    """End a connection whose other end is gone or does not read."""
    if request.transport is not None:
        request.transport.abort()
