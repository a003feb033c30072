"""A whole relayer behind its real HTTP API, on a loop whose time runs a few times faster than the wall's."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from core.runtime.web import RateLimit, serve
from relayer.api import create_api
from relayer.client import RelayerApi
from relayer.notices.addresses import Reach
from tests.relayer.client.world import World
from tests.relayer.house import A, B

SPEED = 5.0


class _FastSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / SPEED)


class _FastLoop(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return super().time() * SPEED


def run_fast(story: Coroutine[Any, Any, None]) -> None:
    """Run a story with sockets in it, `SPEED` times faster than it takes."""
    with asyncio.Runner(loop_factory=lambda: _FastLoop(_FastSelector())) as runner:
        runner.run(story)


class ApiWorld(World):
    """The relayer, its API over HTTP, and the client next to it."""

    address: str
    api: RelayerApi

    @asynccontextmanager
    async def served(self, limit: RateLimit | None = None, hooks: Reach | None = None) -> AsyncIterator[str]:
        await self.start()
        access = {chain: self.chains[chain].access(self.endpoints[chain]) for chain in (A, B)}
        app = create_api(
            self.service.desk,
            access,
            self.database,
            self.clock,
            self.metrics,
            self.service.watchtower,
            limit=limit,
            hooks=hooks,
        )
        try:
            async with serve(app, "127.0.0.1", 0) as address, RelayerApi(address) as api:
                self.address, self.api = address, api
                yield address
        finally:
            await self.stop()


def served(story: Callable[[ApiWorld], Awaitable[None]], limit: RateLimit | None = None) -> None:
    """Run a story against a world whose API is up."""

    async def run() -> None:
        world = ApiWorld()
        async with world.served(limit):
            await story(world)

    run_fast(run())
