"""Answers that clients are still to take: each is in memory as long as its client lets it be, so bytes are counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from core.model.errors import RetryableError

LARGE_BYTES: Final = 64 * 1024
"""Shorter ones are not counted: the number of connections bounds them."""
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_BYTES_OF_A_CLIENT: Final = MAX_BYTES // 2
"""One answer alone may be longer."""


class Untaken:
    """One server's large answers on their way, by client, oldest first."""

    def __init__(self) -> None:
        self._clients: dict[str, dict[object, tuple[int, Callable[[], None]]]] = {}

    @contextmanager
    def held(self, client: str, size: int, abort: Callable[[], None]) -> Iterator[None]:
        """Count `size` bytes for `client` while the block runs.

        If all clients together have too many, the oldest answer of the one with the most is given up: its `abort` is
        called. Raise `RetryableError` if this client has too many.
        """
        if size <= LARGE_BYTES:
            yield
            return
        own = self._bytes(client)
        if own and own + size > MAX_BYTES_OF_A_CLIENT:
            raise RetryableError(f"{own} bytes of answers to you are still to be read: read them, then ask again")
        self._make_room(size)
        answer = object()
        self._clients.setdefault(client, {})[answer] = size, abort
        try:
            yield
        finally:
            self._drop(client, answer)

    def _bytes(self, client: str) -> int:
        return sum(size for size, _ in self._clients.get(client, {}).values())

    def _make_room(self, size: int) -> None:
        while self._clients and sum(map(self._bytes, self._clients)) + size > MAX_BYTES:
            crowd = max(self._clients, key=self._bytes)
            answer, (_, abort) = next(iter(self._clients[crowd].items()))
            self._drop(crowd, answer)
            abort()

    def _drop(self, client: str, answer: object) -> None:
        answers = self._clients.get(client, {})
        answers.pop(answer, None)
        if not answers:
            self._clients.pop(client, None)
