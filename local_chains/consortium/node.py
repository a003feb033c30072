"""A running chain: engine and RPC together, for tests in the same process and for the command line."""

import asyncio
import signal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from core.model.errors import FatalError, RejectedError
from core.runtime.clock import Clock
from core.runtime.web import Cors
from local_chains.consortium.engine.embedded import EmbeddedEngine, Pace, open_engine
from local_chains.consortium.engine.home import (
    Genesis,
    OperatorKey,
    create_genesis,
    init_home,
    load_genesis,
    load_operator_key,
    load_operator_keys,
)
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset
from local_chains.consortium.rpc.server import RpcServer
from local_chains.consortium.state.tree import Progress

LOCALHOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 26657

__all__ = [
    "ConsortiumNode",
    "Genesis",
    "GenesisAccount",
    "GenesisAsset",
    "OperatorKey",
    "Pace",
    "create_genesis",
    "init_home",
    "load_genesis",
    "load_operator_key",
    "load_operator_keys",
    "run_node",
]


class ConsortiumNode:
    """The chain in `home`, running while the context lasts.

        init_home(home, "devnet-1", assets=[…])
        async with ConsortiumNode(home) as node:
            node.rpc_url        # http://127.0.0.1:<free port>

    `progress` and `keep_blocks` are `open_engine`'s. Entering raises what that raises, and `RejectedError` if the
    port is taken. Leaving raises what ended the engine before its time.
    """

    def __init__(
        self,
        home: Path,
        host: str = LOCALHOST,
        port: int = 0,
        pace: Pace | None = None,
        clock: Clock | None = None,
        progress: Progress | None = None,
        keep_blocks: int = 0,
        cors: Cors | None = None,
    ) -> None:
        self._home = home
        self._host = host
        self._port = port
        self._pace = pace or Pace()
        self._clock = clock
        self._progress = progress
        self._keep_blocks = keep_blocks
        self._cors = cors
        self._engine: EmbeddedEngine | None = None
        self._server: RpcServer | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def engine(self) -> EmbeddedEngine:
        if self._engine is None:
            raise FatalError("the node is not running")
        return self._engine

    @property
    def rpc_url(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://{self._host}:{self._port}/websocket"

    async def __aenter__(self) -> Self:
        self._engine = await open_engine(self._home, self._clock, self._progress, self._keep_blocks)
        self._server = RpcServer(self._engine, self._cors)
        try:
            self._port = await self._server.start(self._host, self._port)
        except OSError as error:
            await self._server.stop()
            await self._engine.close()
            raise RejectedError(
                f"cannot listen on {self._host}:{self._port} ({error.strerror}): choose another port"
            ) from error
        self._running = asyncio.create_task(self._engine.run(self._pace))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if error is None:
            await self.wait()

    async def wait(self) -> None:
        """Return once the node was stopped. Raise what ended its engine otherwise."""
        if self._running is not None:
            await asyncio.shield(self._running)

    async def stop(self) -> None:
        """Finish the block in hand, then let go of port and home. What the engine died of is raised by `wait`."""
        if self._engine is None or self._server is None or self._running is None:
            return
        self._engine.stop()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._server.stop()
        await self._engine.close()


async def run_node(home: Path, host: str = LOCALHOST, port: int = DEFAULT_PORT, pace: Pace | None = None) -> None:
    """Run the chain in `home` until SIGINT or SIGTERM. Raise `FatalError` if it cannot go on."""
    async with ConsortiumNode(home, host, port, pace) as node:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, node.engine.stop)
        try:
            await node.wait()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
