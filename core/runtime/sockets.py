"""Ports of this machine for the servers of development networks and tests."""

import secrets
import socket
from typing import Final

from core.model.errors import RetryableError

HOST: Final = "127.0.0.1"
FIRST_PORT: Final = 10_000
PORTS: Final = 22_000
MAX_ATTEMPTS: Final = 1_000

assert FIRST_PORT + PORTS < 32_768, "Linux takes the ports of outgoing connections from 32,768 on"


def is_free(port: int) -> bool:
    """Return true if a server could listen on this TCP port of 127.0.0.1 now; lingering connections do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago.

    It lies below the range from which systems take the ports of outgoing connections: one of these would otherwise be
    in its place, now and then, before it is used. Raise `RetryableError` if a thousand ports are taken.
    """
    for _ in range(MAX_ATTEMPTS):
        port = FIRST_PORT + secrets.randbelow(PORTS)
        if is_free(port):
            return port
    raise RetryableError(f"no port of {HOST} is free between {FIRST_PORT} and {FIRST_PORT + PORTS}")
