"""Real CometBFT nodes as child processes: each `cometbft` with a Python process for its ledger.

    init_network(directory, "consortium-1", assets=[…])
    async with CometNetwork(directory) as network:
        network.nodes[0].rpc_url        # http://127.0.0.1:26657

Children end by process id. A ledger ends with whoever started it, and a node with its ledger, so that nothing is left
behind by a parent that is killed.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import IO, Any, Final

import aiohttp
import msgspec

from core.model.errors import FatalError, RejectedError, RetryableError
from core.runtime import children
from core.runtime.children import Running
from local_chains.consortium.engine.abci.network import (
    FIRST_PORT,
    NodeAddress,
    find_node_homes,
    init_network,
    load_node_key,
    local_addresses,
    node_home,
    node_homes,
)
from local_chains.consortium.engine.abci.settings import CONFIG_FILE

__all__ = [
    "FIRST_PORT",
    "CometNetwork",
    "CometNode",
    "NodeAddress",
    "find_cometbft",
    "find_node_homes",
    "init_network",
    "local_addresses",
    "node_home",
    "node_homes",
]

COMETBFT_VERSION: Final = "v0.40.0"
REPOSITORY: Final = Path(__file__).resolve().parents[2]
BINARY: Final = REPOSITORY / ".tools" / "bin" / "cometbft"
"""The path at which `make cometbft` puts it."""
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
CALL_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.05
CONSENSUS_FAILURE: Final = b"CONSENSUS FAILURE!!!"
"""CometBFT logs this when its consensus has stopped for good (consensus/state.go, receiveRoutine)."""
_REASON: Final = re.compile(r'err="([^"]{1,300})')
WATCH_S: Final = 0.5
MIN_FREE_BYTES: Final = 32 * 1024 * 1024
"""With less space left a node is stopped, before CometBFT meets a full disk in the middle of something."""
MAX_WATCHED_BYTES: Final = 256 * 1024
"""Of its log, at a time."""


def find_cometbft() -> Path:
    """The `cometbft` of this repository, else that of the PATH. Raise `RejectedError` if there is none."""
    if BINARY.is_file():
        return BINARY
    found = shutil.which("cometbft")
    if found is None:
        raise RejectedError(f"there is no cometbft on this machine: `make cometbft` builds {COMETBFT_VERSION} with Go")
    return Path(found)


class CometNode(Running):
    """One node: started and stopped as often as its test or operator likes. `home` is one of `init_network`'s."""

    ledger_module = "local_chains.consortium.engine.abci"
    """The module that runs as the ledger; tests put a dishonest one in its place."""

    def __init__(self, home: Path, binary: Path | None = None) -> None:
        self.home = home.resolve()
        self._binary = binary
        self._port = _rpc_port(self.home)
        self._node_id = load_node_key(self.home).public_key.address.hex()
        self._children: list[asyncio.subprocess.Process] = []
        self._logs: list[IO[bytes]] = []
        self._directory: str | None = None
        self._log_start = 0
        self._failure = ""

    @property
    def rpc_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/websocket"

    @property
    def pids(self) -> tuple[int, ...]:
        """The ledger's and the node's processes."""
        return tuple(child.pid for child in self._children)

    @property
    def running(self) -> bool:
        return bool(self._children) and all(child.returncode is None for child in self._children)

    async def start(self) -> None:
        """Return once the RPC answers.

        Raise `RejectedError` if there is no binary, `RetryableError` if its disk is full, `FatalError` if the node does
        not start.
        """
        if self._children:
            raise FatalError("the node is running already")
        if self._free_bytes() < MIN_FREE_BYTES:
            raise RetryableError(
                f"the disk of {self.home} has {self._free_bytes() >> 20} MiB left, a node does not start with less "
                f"than {MIN_FREE_BYTES >> 20}: free some space"
            )
        binary = self._binary or find_cometbft()
        try:
            # A Unix socket's path is short; a home's need not be.
            self._directory = tempfile.mkdtemp(prefix="causeway-")
            socket = Path(self._directory) / "ledger.sock"
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._start_ledger(socket)
                await self._start_node(binary, socket)
        except TimeoutError:
            await self.kill()
            raise FatalError(f"the node in {self.home} was not ready after {START_TIMEOUT_S:.0f} s") from None
        except BaseException:
            await self.kill()
            raise

    async def _start_ledger(self, socket: Path) -> None:
        ledger = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.ledger_module,
            str(self.home),
            str(socket),
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log("ledger"),
            start_new_session=True,
        )
        self._children.append(ledger)
        assert ledger.stdout is not None
        if not await ledger.stdout.readline():
            await ledger.wait()
            raise FatalError(f"the ledger in {self.home} did not start: {self._tail('ledger')}")

    async def _start_node(self, binary: Path, socket: Path) -> None:
        log = self._log("cometbft")
        self._log_start, self._failure = log.seek(0, os.SEEK_END), ""
        node = await asyncio.create_subprocess_exec(
            str(binary),
            "start",
            "--home",
            str(self.home),
            "--proxy_app",
            f"unix://{socket}",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._children.append(node)
        while not await self._answers():
            if not self.running:
                raise FatalError(f"cometbft in {self.home} did not start: {self._tail('cometbft')}")
            await asyncio.sleep(POLL_S)

    async def _answers(self) -> bool:
        try:
            status = await self.call("status")
        except (aiohttp.ClientError, TimeoutError, OSError, RejectedError):
            return False
        # Somebody else may have the port; then ours is about to end.
        return bool(status["node_info"]["id"] == self._node_id)

    async def call(self, method: str, **params: Any) -> Any:
        """The `result` of one RPC call. Raise `RejectedError` with the node's error, and what aiohttp raises."""
        timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with session.post(self.rpc_url, json=request) as response:
                envelope = msgspec.json.decode(await response.read())
        if "error" in envelope:
            raise RejectedError(f"{method}: {envelope['error'].get('data')}")
        return envelope["result"]

    async def height(self) -> int:
        """The newest block's height, 0 before the first."""
        return int((await self.call("status"))["sync_info"]["latest_block_height"])

    async def wait(self) -> None:
        """Return when one of the two processes has ended, or the node cannot go on: `why_ended` says why."""
        waiting = [asyncio.ensure_future(self._trouble())]
        waiting += [asyncio.ensure_future(_ended(child)) for child in self._children]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _trouble(self) -> None:
        """Return when the disk is all but full, or CometBFT's consensus has failed: after that it goes on to answer,
        and makes no block."""
        log, read, carried = self.home / "data" / "cometbft.log", self._log_start, b""
        while self._free_bytes() >= MIN_FREE_BYTES:
            with log.open("rb") as file:
                file.seek(read)
                found = carried + file.read(MAX_WATCHED_BYTES)
            read, carried = read + len(found) - len(carried), found[-len(CONSENSUS_FAILURE) :]
            if CONSENSUS_FAILURE in found:
                line = found[found.rindex(CONSENSUS_FAILURE) :].decode(errors="replace")
                reason = _REASON.search(line)
                self._failure = reason[1] if reason else "see its log"
                return
            await asyncio.sleep(WATCH_S)

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self.home).free

    def why_ended(self) -> str:
        """The reason why it cannot go on, for people: the disk, or the last words of the ledger or of the node."""
        if self._free_bytes() < MIN_FREE_BYTES:
            return "its disk is full: free some space and start again; nothing that was confirmed is lost"
        ledger = self._children[0] if self._children else None
        if ledger is not None and ledger.returncode not in (None, 0):
            return self._tail("ledger")  # CometBFT's consensus fails for that reason, in words of its own
        if self._failure:
            return f"CometBFT's consensus has failed ({self._failure})"
        return self._tail("cometbft")

    async def stop(self) -> None:
        """Ask the node, then its ledger to end, and end them if they do not. Safe to call twice."""
        for child in reversed(self._children):
            await children.end(child, STOP_TIMEOUT_S)
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL to both at once: what a power cut looks like to everybody else."""
        await children.kill(*self._children)
        for child in self._children:
            if child.stdin is not None:
                child.stdin.close()
        self._children.clear()
        for log in self._logs:
            log.close()
        self._logs.clear()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def _log(self, name: str) -> IO[bytes]:
        log = (self.home / "data" / f"{name}.log").open("ab")
        self._logs.append(log)
        return log

    def _tail(self, name: str) -> str:
        return children.last_line(self.home / "data" / f"{name}.log")


class CometNetwork(Running):
    """The node whose home `directory` is, or all nodes of a network that lie in it, running while the context lasts."""

    def __init__(self, directory: Path, binary: Path | None = None) -> None:
        self.nodes = [CometNode(home, binary) for home in node_homes(directory)]

    async def start(self) -> None:
        """Return once every node answers. Raise the first error of one that does not start; then none is left."""
        try:
            async with asyncio.TaskGroup() as starting:
                for node in self.nodes:
                    starting.create_task(node.start())
        except BaseExceptionGroup as errors:
            await self.stop()
            raise errors.exceptions[0] from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes))

    async def wait(self) -> CometNode:
        """The first node to end, once one has."""
        waiting = {asyncio.ensure_future(node.wait()): node for node in self.nodes}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        return waiting[done.pop()]


async def _ended(child: asyncio.subprocess.Process) -> None:
    await child.wait()


def _rpc_port(home: Path) -> int:
    path = home / CONFIG_FILE
    try:
        laddr = tomllib.loads(path.read_text())["rpc"]["laddr"]
        return int(laddr.rpartition(":")[2])
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, ValueError):
        raise RejectedError(f"{path} does not say where the node's RPC listens: make a network first") from None
