"""An application that listens behind a `Server`, in whose place another one may answer for a time."""

import asyncio
import socket
from typing import Any, Final

from aiohttp import web

from core.runtime.web.connections import Server
from core.runtime.web.crowd import ConnectionLimits

MAX_WAITING: Final = 1_024
"""Connections that the system keeps until they are accepted, if its own limit (`somaxconn`) allows it."""
ROUNDS_OF_A_BEGINNING: Final = 3
"""Of the event loop, from a connection's acceptance to `connection_made`."""


class Runner(web.AppRunner):
    """Run `app` behind a `Server`. `shutdown_s`: how long open requests may take to end when it stops."""

    def __init__(self, app: web.Application, shutdown_s: float, limits: ConnectionLimits | None = None) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=shutdown_s)
        self._limits = limits
        self._shutdown_s = shutdown_s
        self._own: web.Server | None = None
        self._guest: web.AppRunner | None = None
        self._listening: list[socket.socket] = []

    async def _make_server(self) -> web.Server:
        self._own = await super()._make_server()
        return Server(self._own, self._limits)

    async def exchange(self, app: web.Application | None) -> None:
        """Let `app` answer in place of our own, None our own again. The one before is shut down: its sockets end, and
        what it was asked before is answered."""
        guest = None if app is None else web.AppRunner(app, access_log=None, shutdown_timeout=self._shutdown_s)
        if guest is not None:
            await guest.setup()
        former, self._guest = self._guest, guest
        inner = self._own if guest is None else guest.server
        if isinstance(self.server, Server) and inner is not None:
            self.server.turn_to(inner)
        if former is not None:
            asked = former.server
            await former.cleanup()
            if isinstance(self.server, Server) and asked is not None:
                await self.server.answered_by(asked, self._shutdown_s)

    async def cleanup(self) -> None:
        """Stop listening, then the application in our own's place first: its sockets end, and keep nobody waiting."""
        while self._listening:
            asyncio.get_running_loop().remove_reader(self._listening.pop())
        # asyncio loses a connection that it accepted in the round before its server is closed.
        for _ in range(ROUNDS_OF_A_BEGINNING):
            await asyncio.sleep(0)
        await self.exchange(None)
        await super().cleanup()

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen, and return the (host, port) that was bound; port 0 takes a free one. Raise `OSError`."""
        await self.setup()
        accepts = (self._limits or ConnectionLimits.of_process()).accepts
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, _, _, _, address in dict.fromkeys(found):
            listening = _bound(family, (address[0], port, *address[2:]))
            # asyncio accepts as many connections at once as the backlog it is given, before any can be closed again:
            # few. The system lets more wait.
            await web.SockSite(self, listening, backlog=accepts).start()
            listening.listen(MAX_WAITING)
            self._listening.append(listening)
            port = listening.getsockname()[1]
        bound_host, bound_port = self.addresses[0][:2]
        return bound_host, bound_port


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening
