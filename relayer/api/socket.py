"""`/v1/ws`: swaps pushed as they change.

    → {"op":"subscribe","channel":"swap.update","args":["<swap id>", …]}       or ["*"] for every swap
    ← {"event":"subscribe","channel":"swap.update","args":[…]}                  what is subscribed now
    ← {"event":"update","channel":"swap.update","swaps":[{…}]}                 each id at once, then on every change
    → {"op":"unsubscribe","channel":"swap.update","args":[…]}   → {"op":"ping"}   ← {"event":"pong"}
    ← {"event":"error","problem":{…}}                                           the socket stays open

    → {"op":"subscribe","channel":"answer.update","args":["<subscription id>", …]}
    ← {"event":"update","channel":"answer.update","answers":[{…}]}             the newest at once, then every change
    ← {"event":"end","channel":"answer.update","args":["<id>"],"reason":"…"}   the subscription has ended

A socket that follows nothing for `IDLE_S` is closed. A socket that reads slowly gets the newest view of a swap, not
every one; a lost hint does no harm, since clients read the chains.
"""

import asyncio
from functools import partial
from typing import Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from core.model.errors import CausewayError, NotFoundError, RejectedError
from core.model.types import SwapId
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from core.runtime.web import CALLER, REQUEST_ID, Places, RateLimit, RateLimiter, problem_of
from relayer.api.answers import Answers
from relayer.api.bodies import SocketAnswer, SocketCall
from relayer.api.socket_feeds import ANSWERS, SocketFeeds
from relayer.api.updates import EVERY_SWAP, Broadcaster, Listener
from relayer.asking.pusher import Pusher
from relayer.provider.desk import Desk

CHANNEL: Final = "swap.update"
HEARTBEAT_S: Final = 15.0
MAX_SOCKETS: Final = 500
MAX_SOCKETS_OF_A_CLIENT: Final = 100
MAX_SUBSCRIPTIONS: Final = 100
"""Swaps that one socket may follow by id; `*` is one, too."""
MAX_MESSAGE_BYTES: Final = 16 * 1024
CALLS: Final = RateLimit(per_second=10, burst=50)
SEND_TIMEOUT_S: Final = 30.0
IDLE_S: Final = 60.0
"""How long a socket may stay open without following a swap."""

log = get_logger("relayer.api.socket")


class Sockets:
    """The handler of `/v1/ws`, which lives as long as the application."""

    def __init__(self, desk: Desk, answers: Answers, broadcaster: Broadcaster, pusher: Pusher, clock: Clock) -> None:
        self._desk = desk
        self._answers = answers
        self._clock = clock
        self._broadcaster = broadcaster
        self._pusher = pusher
        self._open: set[web.WebSocketResponse] = set()
        self._places = Places("WebSockets", MAX_SOCKETS, MAX_SOCKETS_OF_A_CLIENT)

    async def close(self, _: web.Application) -> None:
        """For `on_shutdown`: ask everybody to come back later."""
        closing = (socket.close(code=WSCloseCode.GOING_AWAY, message=b"restart") for socket in tuple(self._open))
        await asyncio.gather(*closing, return_exceptions=True)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        with self._places.taken(request[CALLER].id):
            return await self._serve(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        listener = Listener()
        self._broadcaster.join(listener)
        try:
            socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES)
            await socket.prepare(request)
            self._open.add(socket)
            feeds = SocketFeeds(self._pusher, self._clock, partial(_push, socket))
            beside = [
                asyncio.create_task(self._send(socket, listener)),
                asyncio.create_task(self._end_if_idle(socket, listener, feeds)),
            ]
            try:
                await self._receive(socket, listener, feeds, request[REQUEST_ID])
            except (TimeoutError, ConnectionError):
                await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
            finally:
                self._open.discard(socket)
                beside += feeds.tasks
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
        finally:
            self._broadcaster.listeners.discard(listener)
        return socket

    async def _send(self, socket: web.WebSocketResponse, listener: Listener) -> None:
        try:
            while True:
                views = await listener.next()
                if listener.overrun:
                    await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"read faster")
                    return
                bodies = tuple(self._answers.swap_body(view) for view in views)
                await _write(socket, SocketAnswer(event="update", channel=CHANNEL, swaps=bodies))
        except (TimeoutError, ConnectionError):
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)

    async def _receive(
        self, socket: web.WebSocketResponse, listener: Listener, feeds: SocketFeeds, request_id: str
    ) -> None:
        limiter = RateLimiter(CALLS, self._clock)
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                return
            try:
                limiter.take("socket")
                if message.type is not WSMsgType.TEXT:
                    raise RejectedError("send text messages with JSON")
                answer = await self._answer(_parsed(message.data), listener, feeds)
            except Exception as error:
                problem = problem_of(error)
                if not isinstance(error, CausewayError) and problem is not error:
                    log.error("socket call failed", exc_info=error)
                answer = SocketAnswer(event="error", problem=problem.document(request_id))
            await _write(socket, answer)

    async def _end_if_idle(self, socket: web.WebSocketResponse, listener: Listener, feeds: SocketFeeds) -> None:
        while True:
            await self._clock.sleep(IDLE_S)
            if not listener.swaps and not feeds.names:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"follow a swap, or poll")
                return

    async def _answer(self, call: SocketCall, listener: Listener, feeds: SocketFeeds) -> SocketAnswer:
        if call.op == "ping":
            return SocketAnswer(event="pong")
        if call.op not in ("subscribe", "unsubscribe"):
            raise RejectedError("op must be subscribe, unsubscribe or ping", op=call.op[:64])
        if call.channel == ANSWERS:
            await (feeds.follow(call.args) if call.op == "subscribe" else feeds.forget(call.args))
            return SocketAnswer(event=call.op, channel=ANSWERS, args=tuple(feeds.names))
        if call.channel != CHANNEL:
            raise NotFoundError(f"there are two channels, {CHANNEL} and {ANSWERS}")
        if call.op == "subscribe":
            await self._subscribe(call.args, listener)
        else:
            for swap_id in call.args:
                listener.forget(swap_id)
        return SocketAnswer(event=call.op, channel=CHANNEL, args=tuple(listener.swaps))

    async def _subscribe(self, args: tuple[str, ...], listener: Listener) -> None:
        """All or none: every id is looked up, then followed, then read, so that no change falls between."""
        new = [swap_id for swap_id in dict.fromkeys(args) if swap_id not in listener.swaps]
        if not args:
            raise RejectedError("name the swaps to follow in args, or * for every one")
        if len(listener.swaps) + len(new) > MAX_SUBSCRIPTIONS:
            raise RejectedError(f"one socket follows {MAX_SUBSCRIPTIONS} swaps at most: use * or a second socket")
        named = [SwapId(swap_id) for swap_id in new if swap_id != EVERY_SWAP]
        for swap_id in named:
            await self._desk.swap(swap_id)
        listener.swaps.update(dict.fromkeys(new))
        for swap_id in named:
            listener.offer(await self._desk.swap(swap_id))


def _parsed(text: str) -> SocketCall:
    try:
        return msgspec.json.decode(text, type=SocketCall)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RejectedError(f"this is not a call: {error}") from None


async def _push(socket: web.WebSocketResponse, answer: SocketAnswer) -> None:
    """Send it, or close a socket whose other end does not read."""
    try:
        await _write(socket, answer)
    except (TimeoutError, ConnectionError):
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)


async def _write(socket: web.WebSocketResponse, answer: SocketAnswer) -> None:
    """Raise `TimeoutError` if the other end does not read, `ConnectionError` if it is gone."""
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await socket.send_str(msgspec.json.encode(answer).decode())
