"""How many connections a server has, and which of them gives way to a newer one when there are too many.

The number follows from the files that the process may open, since chains and the database need files as well.
"""

import resource
from dataclasses import dataclass
from typing import Final, Protocol

MAX_CONNECTIONS: Final = 1_000
MIN_CONNECTIONS: Final = 8
MAX_ACCEPTS: Final = 8
"""In one round of the event loop."""
RESERVED_FILES: Final = 64
"""Files that the rest of a process may open: databases, logs, connections to chains."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`total` connections at once, `per_client` of one address (one network of 64 bits for IPv6).

    Up to `accepts` more are accepted before the surplus is closed.
    """

    total: int
    per_client: int
    accepts: int

    @classmethod
    def of_process(cls) -> "ConnectionLimits":
        """The limits for one server in a process that may open as many files as this one."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        spare = MAX_CONNECTIONS * 2 if files == resource.RLIM_INFINITY else files - RESERVED_FILES
        total = min(MAX_CONNECTIONS, max(MIN_CONNECTIONS, spare * 2 // 3))
        return cls(total, total // 2, min(MAX_ACCEPTS, total // 2))


class Countable(Protocol):
    """A connection, as far as it is counted. `client` stays what it is while it is counted."""

    client: str

    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Client:
    """One client's connections, oldest first; `waiting` by how long they have been."""

    open: dict[Countable, None]
    waiting: dict[Countable, None]


class Connections:
    """The open connections of one server, and by age those that wait for their clients.

    Without `limits` they are the process's, which its operator may change while it runs.
    """

    def __init__(self, limits: ConnectionLimits | None) -> None:
        self._limits = limits
        self._clients: dict[str, _Client] = {}
        self._open = 0

    def __len__(self) -> int:
        return self._open

    def join(self, connection: Countable) -> bool:
        """Count a new connection; if there are too many, end the oldest that waits. Return False if all are busy."""
        limits = self._limits or ConnectionLimits.of_process()
        client = self._clients.get(connection.client)
        crowded: list[_Client] = []
        if client is not None and len(client.open) >= limits.per_client:
            crowded = [client]
        elif self._open >= limits.total:
            crowded = sorted(self._clients.values(), key=lambda one: len(one.open), reverse=True)
        if crowded:
            oldest = next((next(iter(one.waiting)) for one in crowded if one.waiting), None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.abort()
        client = self._clients.setdefault(connection.client, _Client({}, {}))
        client.open[connection] = client.waiting[connection] = None
        self._open += 1
        return True

    def leave(self, connection: Countable) -> None:
        client = self._clients.get(connection.client)
        if client is None or connection not in client.open:
            return
        del client.open[connection]
        client.waiting.pop(connection, None)
        self._open -= 1
        if not client.open:
            del self._clients[connection.client]

    def waits(self, connection: Countable, waiting: bool) -> None:
        """Note that a connection waits for its client from now on, or that it is the client who waits."""
        client = self._clients.get(connection.client)
        if client is None or connection not in client.open:
            return
        client.waiting.pop(connection, None)
        if waiting:
            client.waiting[connection] = None
