"""Hundreds of connections of one client: rounds of the event loop stay short, others are answered, blocks go on.

Times are the loop's own CPU time, and medians compared with a quiet run just before: other work on the machine does not
count.
"""

import asyncio
import socket
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import TCPConnector

from core.proofs.cometbft.json import timestamp_from_json
from core.runtime.sockets import free_port
from core.runtime.web.untaken import MAX_BYTES_OF_A_CLIENT
from local_chains.consortium.node import ConsortiumNode, Pace
from local_chains.consortium.rpc.envelopes import LARGE_BYTES
from local_chains.consortium.rpc.server import MAX_LARGE_BODIES_OF_A_CLIENT
from tests.local_chains.consortium.crowd import ASK
from tests.local_chains.consortium.test_rpc_load import HELD_S, Held, full_block, make_home
from tests.support import REPOSITORY, eventually

pytestmark = pytest.mark.usefixtures("own_garbage")
BLOCKS = 5
INTERVAL_S = 0.25


@asynccontextmanager
async def crowd(port: int, kind: str, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.local_chains.consortium.crowd", str(port), kind, str(count)),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert client.stdout is not None
        assert await client.stdout.readline() == b"there\n"
        yield client
        assert client.returncode is None, "it went on until the end"
    finally:
        if client.returncode is None:
            client.kill()
        await client.wait()


@asynccontextmanager
async def crowded(tmp_path: Path, kind: str, count: int) -> AsyncIterator[ConsortiumNode]:
    """A node in this process with such a client."""
    port = free_port()
    running = ConsortiumNode(make_home(tmp_path), port=port, pace=Pace(interval_s=INTERVAL_S))
    async with running as node, crowd(port, kind, count):
        yield node


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *(("ask", 400), ("ask_ahead", 100), ("half_send", 400), ("leave", 100)),
        *(("chunk", 50), ("ping", 50), ("say_nothing", 50), ("subscribe", 50)),
    ],
)
async def test_crowd_of_connections_holds_no_round_up(tmp_path: Path, kind: str, count: int) -> None:
    async with crowded(tmp_path, kind, count) as node:
        before = node.engine.tip.height
        await eventually(lambda: node.engine.tip.height > before, 60)
        held = Held()
        watching = asyncio.create_task(held.watch())
        await eventually(lambda: node.engine.tip.height > before + BLOCKS, 60)
        watching.cancel()
    assert held.longest_s < HELD_S


@pytest.mark.parametrize(("kind", "count"), [("ask", 400), ("leave", 100)])
async def test_daemon_under_a_crowd_keeps_the_pace_of_blocks(tmp_path: Path, kind: str, count: int) -> None:
    """A daemon and its client as processes of their own, and blocks on their beat by the times in their headers."""
    port = free_port()
    node = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "chain", "run", str(make_home(tmp_path))),
        *("--listen", f"127.0.0.1:{port}", "--interval-s", "1"),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        first = await eventually(lambda: height(url), 60)
        quiet = await intervals(url, first)
        async with crowd(port, kind, count):
            flooded = await intervals(url, await eventually(lambda: height(url), 60))
    finally:
        node.terminate()
        await node.wait()
    assert statistics.median(flooded) < 1.1 * statistics.median(quiet)


async def asked(url: str) -> Any:
    """The result, as another client than the crowd is given it; None from a node that does not answer."""
    try:
        connector = TCPConnector(local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
            return (await response.json())["result"]
    except (aiohttp.ClientError, OSError):
        return None


async def height(url: str) -> int:
    """The newest block's, 0 for a node that does not answer."""
    status = await asked(f"{url}/status")
    return int(status["sync_info"]["latest_block_height"]) if status else 0


async def intervals(url: str, first: int) -> list[float]:
    """Seconds between blocks, from the second after `first` on."""
    last = first + 2 + BLOCKS

    async def blocks() -> Any:
        return await height(url) >= last and await asked(f"{url}/blockchain?minHeight={first + 2}&maxHeight={last}")

    metas = (await eventually(blocks, 60))["block_metas"]
    times = [timestamp_from_json(meta["header"]["time"]).to_nanos() / 1e9 for meta in reversed(metas)]
    return [later - earlier for earlier, later in pairwise(times)]


async def test_one_connection_is_answered_before_most_of_a_crowd(tmp_path: Path) -> None:
    """Hundreds of connections of one client ask, and then one of another, all before the node has time to look."""
    port, answered = free_port(), list[str]()
    async with ConsortiumNode(make_home(tmp_path), port=port, pace=Pace(interval_s=None)), AsyncExitStack() as stack:
        asking = [(client, connected(stack, client, port)) for client in ["127.0.0.1"] * 200 + ["127.0.0.2"]]

        async def ask_once(client: str, one: socket.socket) -> None:
            one.send(ASK)
            async with asyncio.timeout(60):
                assert (await asyncio.get_running_loop().sock_recv(one, 8_192)).startswith(b"HTTP/1.1 200")
            answered.append(client)

        for _ in range(2):  # the second time all of them are connected
            answered.clear()
            await asyncio.gather(*(ask_once(*one) for one in asking))
    assert answered.index("127.0.0.2") < len(answered) / 2


def connected(stack: AsyncExitStack, client: str, port: int) -> socket.socket:
    """A connection from this address of the machine, with little room for answers."""
    made = socket.socket()
    stack.callback(made.close)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.bind((client, 0))
    made.connect(("127.0.0.1", port))
    made.setblocking(False)
    return made


async def test_large_bodies_are_read_a_few_of_a_client_at_a_time(tmp_path: Path) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (LARGE_BYTES + 1)

    async def begin(client: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(client, 0))
        writer.write(head)
        return reader, writer

    port = free_port()
    async with ConsortiumNode(make_home(tmp_path), port=port):
        half = [await begin("127.0.0.1") for _ in range(MAX_LARGE_BODIES_OF_A_CLIENT + 1)]
        answers = [asyncio.create_task(reader.readline()) for reader, _ in half]
        refused, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        assert [one.result() for one in refused] == [b"HTTP/1.1 503 Service Unavailable\r\n"]
        reader, writer = await begin("127.0.0.2")
        writer.write(b" " * LARGE_BYTES + b"1")
        assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 500"), "this is not a request"
        for one in (writer, *(other for _, other in half)):
            one.transport.abort()
        await asyncio.gather(*answers, return_exceptions=True)


async def test_answers_that_nobody_reads_are_bounded(tmp_path: Path) -> None:
    """Connections that ask for a full block and read its first line: beyond their client's share they get 503."""
    async with full_block(tmp_path) as (engine, url, _), AsyncExitStack() as stack:
        stored = await engine.store.block(1)
        assert stored is not None
        room = MAX_BYTES_OF_A_CLIENT // len(stored.block)

        async def ask(client: str) -> bytes:
            asking = connected(stack, client, int(url.rpartition(":")[2]))
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(asking, b"GET /block?height=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(30):
                return (await loop.sock_recv(asking, 12))[9:]

        for _ in range(room - 1):
            assert await ask("127.0.0.1") == b"200"
        assert [await ask("127.0.0.1") for _ in range(3)][1:] == [b"503", b"503"]
        assert await ask("127.0.0.2") == b"200"
