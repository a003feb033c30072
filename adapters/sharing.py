"""Equal questions that wait for an endpoint at the same time are one request.

Nobody gets an answer that is older than the question: who asks while an equal request is on its way does not share that
one, but the next, with all others who ask until it begins.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 0.25
"""How long a request waits for the equal one before it: an endpoint that hangs on that may answer this."""


@dataclass(slots=True, eq=False)
class _Request:
    begun: bool = False
    waiting: int = 0
    task: asyncio.Task[Any] = field(init=False)


class SharedRequests:
    """The requests to one endpoint, by what they ask for. Their answers are shared: nobody may change them."""

    def __init__(self) -> None:
        self._newest: dict[Hashable, _Request] = {}

    async def ask(self, question: Hashable, send: Callable[[], Awaitable[T]]) -> T:
        """Return what `send` returns, or raise what it raises: our own or that of another who asks the same."""
        newest = self._newest.get(question)
        if newest is None or newest.begun:
            newest = self._newest[question] = self._following(newest, question, send)
        newest.waiting += 1
        try:
            answer: T = await asyncio.shield(newest.task)
            return answer
        finally:
            newest.waiting -= 1
            if not newest.waiting and not newest.task.done():  # nobody wants to know any more
                newest.task.cancel()
                self._forget(question, newest)

    def _following(self, former: _Request | None, question: Hashable, send: Callable[[], Awaitable[T]]) -> _Request:
        request = _Request()

        async def run() -> T:
            try:
                if former is not None and not former.task.done():
                    await asyncio.wait({former.task}, timeout=PATIENCE_S)
                request.begun = True
                return await send()
            finally:
                self._forget(question, request)

        request.task = asyncio.create_task(run())
        request.task.add_done_callback(_retrieved)
        return request

    def _forget(self, question: Hashable, request: _Request) -> None:
        if self._newest.get(question) is request:
            del self._newest[question]


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Who asked may have gone in the moment in which it failed."""
    if not task.cancelled():
        task.exception()
