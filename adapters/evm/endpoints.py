"""Several endpoints of one chain: reads fail over, grounds to act need a majority, broadcasts go to all.

`adapters.quorum` says what a majority is.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

from adapters import quorum
from adapters.evm.rpc import Call, RpcClient
from adapters.observed import RpcMetrics
from core.model.errors import CausewayError, DisagreementError, NotFoundError, RetryableError

MAX_ENDPOINTS: Final = 16

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One node's JSON-RPC: HTTP, and WebSocket if it has one. `operator` says whose it is, "" nobody else's.

    `calls_per_s`: what its provider allows, None for no limit.
    """

    url: str
    operator: str = ""
    ws_url: str | None = None
    calls_per_s: float | None = None


class Endpoints:
    """The configured endpoints of one chain, in order of preference. `close()` them."""

    def __init__(self, endpoints: Sequence[Endpoint], observed: RpcMetrics | None = None) -> None:
        if not 0 < len(endpoints) <= MAX_ENDPOINTS:
            raise ValueError(f"a chain has 1 to {MAX_ENDPOINTS} endpoints")
        self._given = tuple(endpoints)
        self.clients = tuple(
            RpcClient(endpoint.url, calls_per_s=endpoint.calls_per_s, observed=observed) for endpoint in endpoints
        )
        self.ws_urls = tuple(endpoint.ws_url for endpoint in endpoints if endpoint.ws_url)
        self._operators = tuple(endpoint.operator or endpoint.url for endpoint in endpoints)
        self._endpoints_of = Counter(self._operators)
        self._preferred = 0
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def quorum(self) -> int:
        """How many operators have to say the same."""
        return quorum.size(self._endpoints_of)

    def apart(self) -> "list[Endpoints]":
        """Each endpoint by itself, over the same connections: they are closed with this object."""
        made = []
        for endpoint, client in zip(self._given, self.clients, strict=True):
            one = Endpoints([endpoint])
            one.clients = (client,)
            made.append(one)
        return made

    def prefer(self, client: RpcClient) -> None:
        """Ask this one first from now on."""
        self._preferred = self.clients.index(client)

    async def close(self) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for client in self.clients:
            await client.close()

    async def call(self, method: str, *params: Any, into: type[T] | Any = str) -> T:
        """As `RpcClient.call`, from the first endpoint that answers."""

        async def ask(client: RpcClient) -> T:
            return await client.call(method, *params, into=into)

        return await self.first(ask)

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """As `RpcClient.batch`, the whole batch from one endpoint."""
        return await self.first(lambda client: client.batch(calls))

    async def batch_each(self, calls: Sequence[Call]) -> list[Any]:
        """As `RpcClient.batch_each`, the whole batch from one endpoint."""
        return await self.first(lambda client: client.batch_each(calls))

    async def each(self, ask: Callable[[RpcClient], Awaitable[T]]) -> list[T | CausewayError]:
        """Return what every endpoint answers, or the error of those that do not."""
        return list(await asyncio.gather(*(_guarded(ask, client) for client in self.clients)))

    async def broadcast(
        self, send: Callable[[RpcClient], Awaitable[T]], success: Callable[[T | CausewayError], bool]
    ) -> list[T | CausewayError]:
        """Send to all at once, and return at the first success with what was answered until then; the rest go on.

        A node that hangs delays nobody.
        """
        tasks = [asyncio.create_task(_guarded(send, client)) for client in self.clients]
        self._running.update(tasks)
        for task in tasks:
            task.add_done_callback(self._running.discard)
        answers: list[T | CausewayError] = []
        for done in asyncio.as_completed(tasks):
            answers.append(await done)
            if success(answers[-1]):
                break
        return answers

    async def agreed(self, ask: Callable[[RpcClient], Awaitable[H]]) -> H:
        """The answer that a quorum gives.

        Raise `DisagreementError` when there is none; with a single endpoint, that endpoint's own error.
        """
        answers = await self.each(ask)
        winners: list[H] = quorum.winners(list(zip(self._operators, answers, strict=True)), self._endpoints_of)
        if not winners:
            self._refuse(answers)
        return winners[0]

    async def at_least(self, ask: Callable[[RpcClient], Awaitable[int]]) -> int:
        """The largest number that a quorum reaches. Raise as `agreed`."""
        answers = await self.each(ask)
        said = [
            (operator, answer)
            for operator, answer in zip(self._operators, answers, strict=True)
            if not isinstance(answer, CausewayError)
        ]
        if (number := quorum.reached(said, self._endpoints_of)) is None:
            self._refuse(answers)
        return number

    def _refuse(self, answers: Sequence[Any]) -> NoReturn:
        if len(answers) == 1 and isinstance(answers[0], CausewayError):
            raise answers[0]
        said = [str(answer) if isinstance(answer, CausewayError) else "answered" for answer in answers]
        raise DisagreementError(
            f"{self.quorum} of {len(set(self._operators))} operators have to say the same, and do not", answers=said
        )

    async def first(self, ask: Callable[[RpcClient], Awaitable[T]]) -> T:
        """Return the answer of the first endpoint that has one, beginning with the one that could last.

        One that has no such thing may only be behind, so the others are asked, too. Raise `NotFoundError` if one says
        so and the others do not answer, the last `RetryableError` if none answers, and every other error at once.
        """
        failure: RetryableError | None = None
        missing: NotFoundError | None = None
        for turn in range(len(self.clients)):
            index = (self._preferred + turn) % len(self.clients)
            try:
                answer = await ask(self.clients[index])
            except NotFoundError as error:
                missing = missing or error
                continue
            except RetryableError as error:
                failure = error
                continue
            self._preferred = index
            return answer
        raise missing or failure or RetryableError("no endpoint is configured")


async def _guarded(ask: Callable[[RpcClient], Awaitable[T]], client: RpcClient) -> T | CausewayError:
    try:
        return await ask(client)
    except CausewayError as error:
        return error
