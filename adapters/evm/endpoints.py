"""Several endpoints of one chain: reads fail over, grounds to act need a majority, broadcasts go to all.

The quorum is more than half of the *configured* endpoints, so that those which do not answer count against it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

from adapters.evm.rpc import Call, RpcClient
from core.model.errors import CausewayError, DisagreementError, RetryableError

MAX_ENDPOINTS: Final = 16

T = TypeVar("T")
H = TypeVar("H", bound=Hashable)


class Endpoints:
    """The configured endpoints of one chain, in order of preference."""

    def __init__(self, urls: Sequence[str]) -> None:
        if not 0 < len(urls) <= MAX_ENDPOINTS:
            raise ValueError(f"a chain has 1 to {MAX_ENDPOINTS} endpoints")
        self.clients = tuple(RpcClient(url) for url in urls)
        self._preferred = 0

    @property
    def quorum(self) -> int:
        return len(self.clients) // 2 + 1

    async def close(self) -> None:
        for client in self.clients:
            await client.close()

    async def call(self, method: str, *params: Any, into: type[T] | Any = str) -> T:
        """As `RpcClient.call`, from the first endpoint that answers."""

        async def ask(client: RpcClient) -> T:
            return await client.call(method, *params, into=into)

        return await self._first(ask)

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """As `RpcClient.batch`, the whole batch from one endpoint."""
        return await self._first(lambda client: client.batch(calls))

    async def each(self, ask: Callable[[RpcClient], Awaitable[T]]) -> list[T | CausewayError]:
        """What every endpoint answers, or the error of those that do not."""

        async def guarded(client: RpcClient) -> T | CausewayError:
            try:
                return await ask(client)
            except CausewayError as error:
                return error

        return list(await asyncio.gather(*(guarded(client) for client in self.clients)))

    async def agreed(self, ask: Callable[[RpcClient], Awaitable[H]]) -> H:
        """The answer that a quorum gives.

        Raises `DisagreementError` when there is none; with a single endpoint, that endpoint's own error.
        """
        answers = await self.each(ask)
        if len(answers) == 1 and isinstance(answers[0], CausewayError):
            raise answers[0]
        counted = Counter(answer for answer in answers if not isinstance(answer, CausewayError))
        if counted:
            answer, votes = counted.most_common(1)[0]
            if votes >= self.quorum:
                return answer
        raise DisagreementError(
            f"{self.quorum} of {len(self.clients)} endpoints have to agree, and do not",
            answers=[type(answer).__name__ if isinstance(answer, CausewayError) else "answered" for answer in answers],
        )

    async def _first(self, ask: Callable[[RpcClient], Awaitable[T]]) -> T:
        failure: RetryableError | None = None
        for turn in range(len(self.clients)):
            index = (self._preferred + turn) % len(self.clients)
            try:
                answer = await ask(self.clients[index])
            except RetryableError as error:
                failure = error
                continue
            self._preferred = index
            return answer
        assert failure is not None
        raise failure
