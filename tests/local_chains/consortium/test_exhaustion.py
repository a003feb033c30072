"""Disk and memory at their end: a node stops with a sentence, loses nothing that it confirmed, and starts again."""

import asyncio
import base64
import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from core.model.consortium import WriteRecord, transaction_hash
from core.model.errors import FatalError, RejectedError, RetryableError
from core.runtime import files
from core.runtime.exhaustion import MIN_MEMORY_BYTES, exhausted, memory_left, require_memory
from core.runtime.sockets import free_port
from local_chains.consortium.cometbft import MIN_FREE_BYTES, CometNode
from local_chains.consortium.engine.abci.network import node_home
from local_chains.consortium.engine.embedded import open_engine
from local_chains.consortium.engine.home import init_home
from local_chains.consortium.rpc.workshop import STOPS, Workshop
from local_chains.consortium.state.snapshots import SnapshotFiles
from tests.local_chains.consortium.abci.comet import begun, broadcast, make_network, need_cometbft, reached
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, CHAIN, replayed_app_hash
from tests.support import REPOSITORY, eventually

SMALL_DISK: Final = 6 * 1024 * 1024
SMALL_MEMORY: Final = MIN_MEMORY_BYTES + 8 * 1024 * 1024
"""More than a process has when it is ready: it makes some blocks yet."""
NO_MEMORY: Final = re.compile("no memory is left for this process|no thread can be started: .* or of memory")
"""A thread wants memory, too, and may be the first that gets none."""
END_S: Final = 120.0
MAX_SENT: Final = 5_000
FIRST_CONFIRMED: Final = 3
"""Records in blocks before anything is short: what is not to be lost has to be there."""


@contextmanager
def small_disk(place: Path, size: int = SMALL_DISK) -> Iterator[Path]:
    """A disk of `size` bytes at `place`: a tmpfs, which only root may mount."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no small disk can be had here: {made.stderr.decode().strip()}")
    try:
        yield place
    finally:
        # Lazily: what a failed test left open does not hide why it failed.
        subprocess.run(["umount", "-l", place], check=True)


def enlarge(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def limit_memory(pid: int, spare: int = SMALL_MEMORY) -> None:
    """Let a process have no more memory of its own than it has now and `spare` bytes.

    RLIMIT_DATA and not RLIMIT_AS: glibc reserves address space for threads that it does not use for long.
    """
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmData:")]
    limit = int(line.split()[1]) * 1_024 + spare
    resource.prlimit(pid, resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


def record(sequence: int) -> bytes:
    return ANN.signed(sequence, WriteRecord("notes", f"number{sequence}", b'"' + b"x" * 15_000 + b'"'))


# --- the embedded engine -----------------------------------------------------------------------------------------


class Daemon:
    """`causeway chain run`, as an operator starts it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self._url = url

    async def commit(self, session: aiohttp.ClientSession, raw: bytes) -> dict[str, Any] | None:
        """The answer of broadcast_tx_commit, None if there is none."""
        params = {"tx": base64.b64encode(raw).decode()}
        request = {"jsonrpc": "2.0", "id": 1, "method": "broadcast_tx_commit", "params": params}
        try:
            async with session.post(self._url, json=request) as response:
                found: dict[str, Any] = json.loads(await response.read())
                return found
        except (aiohttp.ClientError, ValueError):
            return None

    async def ended(self) -> tuple[int, str]:
        """(exit code, standard error) once it has ended by itself."""
        async with asyncio.timeout(END_S):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def daemon(home: Path) -> AsyncIterator[Daemon]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "chain", "run", str(home), "--json",
        "--listen", f"127.0.0.1:{free_port()}", "--interval-s", "0.05",
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(END_S):
            line = await process.stdout.readline()
        assert line
        yield Daemon(process, json.loads(line)["url"])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def fill(running: Daemon, shorten: Callable[[], None] = lambda: None) -> dict[bytes, int]:
    """Write records until the node gives in, and return those that it confirmed, with their heights. `shorten` is
    called once the first are confirmed."""
    confirmed: dict[bytes, int] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for sequence in range(MAX_SENT):
            raw = record(sequence)
            answer = await running.commit(session, raw)
            if answer is None:
                return confirmed
            assert "CancelledError" not in json.dumps(answer)
            if "error" in answer:
                assert answer["error"]["data"], answer
                return confirmed
            assert answer["result"]["tx_result"]["code"] == 0
            confirmed[transaction_hash(raw)] = int(answer["result"]["height"])
            if len(confirmed) == FIRST_CONFIRMED:
                shorten()
    raise AssertionError("nothing came to its end")


async def require_kept(home: Path, confirmed: dict[bytes, int]) -> None:
    """All that was confirmed is there, and the state is that of a replay."""
    engine = await open_engine(home)
    try:
        assert confirmed
        for name, height in confirmed.items():
            place = await engine.store.transaction(name)
            assert place is not None
            assert place[0] == height
        assert await replayed_app_hash(engine) == engine.state.app_hash
    finally:
        await engine.close()


def require_sentence(code: int, errors: str, words: str) -> None:
    assert code == 3, errors
    assert words in errors
    assert "Traceback" not in errors


async def test_full_disk_ends_the_chain_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = disk / "chain"
        init_home(home, CHAIN, assets=ASSETS, accounts=ACCOUNTS)
        async with daemon(home) as running:
            confirmed = await fill(running)
            require_sentence(*await running.ended(), "its disk is full: free some space")
        # It may be started as often as somebody likes: it makes what blocks it can, and says it again.
        async with daemon(home) as running:
            require_sentence(*await running.ended(), "its disk is full: free some space")
        enlarge(disk, 10 * SMALL_DISK)
        await require_kept(home, confirmed)
        async with daemon(home) as running, aiohttp.ClientSession() as session:
            answer = await running.commit(session, record(len(confirmed)))
            assert answer is not None
            # The last one was in no block, or in one that nobody heard of any more.
            assert "result" in answer or "tx already exists" in json.dumps(answer)
            running.process.send_signal(signal.SIGTERM)
            assert (await running.ended())[0] == 0


async def test_chain_without_memory_refuses_or_ends_and_loses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "chain"
    init_home(home, CHAIN, assets=ASSETS, accounts=ACCOUNTS)
    async with daemon(home) as running:
        confirmed = await fill(running, partial(limit_memory, running.process.pid))
        if running.process.returncode is None:
            # It has refused a call. With memory again, it takes the same one, unless it was on its way to its end.
            with suppress(OSError, ValueError):  # it has ended meanwhile
                limit_memory(running.process.pid, 100 * SMALL_MEMORY)
            await takes(running, len(confirmed), confirmed)
        if running.process.returncode is None:
            running.process.send_signal(signal.SIGTERM)
        code, errors = await running.ended()
        assert code == 0 or NO_MEMORY.search(errors), errors
    await require_kept(home, confirmed)


async def takes(running: Daemon, sequence: int, confirmed: dict[bytes, int]) -> None:
    """Return once a record is in a block, or the node has ended."""
    raw = record(sequence)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:

        async def included() -> bool:
            answer = await running.commit(session, raw)
            if answer is None:
                return running.process.returncode is not None
            if "result" in answer and answer["result"]["tx_result"]["code"] == 0:
                confirmed[transaction_hash(raw)] = int(answer["result"]["height"])
            return "result" in answer or "tx already exists" in json.dumps(answer)

        await eventually(included, END_S, 0.2)


# --- CometBFT nodes ----------------------------------------------------------------------------------------------


async def overload(node: CometNode, shorten: Callable[[], None] = lambda: None) -> dict[bytes, int]:
    """Write records to a node until one of its processes ends; those that it showed in a block, with their heights.
    `shorten` is called once the first are shown."""
    confirmed: dict[bytes, int] = {}
    ended = asyncio.ensure_future(node.wait())
    sequence, waiting = 0, deque[bytes]()
    try:
        async with asyncio.timeout(END_S):
            while not ended.done():
                try:
                    raw = record(sequence)
                    if (await broadcast(node, raw))["code"]:
                        # No room before the next block.
                        await asyncio.sleep(0.02)
                    else:
                        sequence += 1
                        waiting.append(transaction_hash(raw))
                    if waiting:
                        found = await node.call("tx", hash=base64.b64encode(waiting[0]).decode())
                        confirmed[waiting.popleft()] = int(found["height"])
                        if len(confirmed) == FIRST_CONFIRMED:
                            shorten()
                except RejectedError:
                    await asyncio.sleep(0.02)
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                    await asyncio.wait([ended], timeout=1.0)
        return confirmed
    finally:
        ended.cancel()


async def require_going_on(node: CometNode, confirmed: dict[bytes, int]) -> None:
    assert confirmed
    await node.start()
    try:
        await reached([node], max(confirmed.values()) + 2)
        for name, height in confirmed.items():
            answer = await node.call("tx", hash=base64.b64encode(name).decode())
            assert int(answer["height"]) == height
    finally:
        await node.stop()


@pytest.mark.long
async def test_full_disk_ends_a_node_and_loses_nothing(tmp_path: Path) -> None:
    need_cometbft()
    with small_disk(tmp_path / "disk", 10 * SMALL_DISK) as disk:
        make_network(disk / "network", validators=1)
        node = CometNode(node_home(disk / "network", 0))
        async with node:
            confirmed = await overload(node)
            assert "its disk is full" in node.why_ended()
        (disk / "other").write_bytes(bytes(max(0, shutil.disk_usage(disk).free - MIN_FREE_BYTES + 4_096)))
        with pytest.raises(RetryableError, match="does not start with less than 32"):
            await node.start()
        enlarge(disk, 100 * SMALL_DISK)
        await require_going_on(node, confirmed)


@pytest.mark.long
async def test_memory_at_its_end_ends_a_node_and_loses_nothing(tmp_path: Path) -> None:
    need_cometbft()
    make_network(tmp_path / "network", validators=1)
    node = CometNode(node_home(tmp_path / "network", 0))
    async with node:
        await begun([node], 2)
        confirmed = await overload(node, partial(limit_memory, node.pids[0]))
        assert await eventually(lambda: NO_MEMORY.search(node.why_ended()), END_S, 0.1)
    await require_going_on(node, confirmed)


@pytest.mark.long
async def test_node_whose_consensus_has_failed_counts_as_ended(tmp_path: Path) -> None:
    """CometBFT logs that and stays; the log is all that shows it."""
    need_cometbft()
    make_network(tmp_path / "network", validators=1)
    async with CometNode(node_home(tmp_path / "network", 0)) as node:
        await begun([node], 1)
        waiting = asyncio.ensure_future(node.wait())
        done, _ = await asyncio.wait([waiting], timeout=2.0)
        assert not done
        with (node.home / "data" / "cometbft.log").open("ab") as log:
            log.write(b'E[2026-11-29] CONSENSUS FAILURE!!! module=consensus err="the reason"\n')
        async with asyncio.timeout(10.0):
            await waiting
        assert node.why_ended() == "CometBFT's consensus has failed (the reason)"
    # What was logged before a start is of the past.
    async with CometNode(node_home(tmp_path / "network", 0)) as node:
        waiting = asyncio.ensure_future(node.wait())
        done, _ = await asyncio.wait([waiting], timeout=2.0)
        assert not done
        waiting.cancel()


# --- what they are made of ---------------------------------------------------------------------------------------


def test_snapshot_without_room_leaves_no_pieces_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        snapshots = SnapshotFiles(disk / "snapshots")
        snapshots.take(10, {b"key": b"leaf"})
        large = {b"key%d" % number: bytes(4_000) for number in range(2_000)}
        with pytest.raises(FatalError, match="No space left on device"):
            snapshots.take(20, large)
        assert [one.height for one in snapshots.newest_first] == [10]
        assert sorted(path.name for path in (disk / "snapshots").iterdir()) == ["10"]
        enlarge(disk, 10 * SMALL_DISK)
        assert snapshots.take(30, large).chunks > 1
        assert [one.height for one in SnapshotFiles(disk / "snapshots").newest_first] == [30, 10]


def test_file_without_room_is_the_old_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        files.replace_file(disk / "file", b"old")
        with pytest.raises(OSError, match="No space left"):
            files.replace_file(disk / "file", bytes(2 * SMALL_DISK))
        assert [path.name for path in disk.iterdir()] == ["file"]
        assert (disk / "file").read_bytes() == b"old"


def test_new_directories_and_their_names_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.replace_file(tmp_path / "a" / "b" / "file", b"content")
    directories = {path for path in synced if path.is_dir()}
    assert directories == {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}
    synced.clear()
    init_home(tmp_path / "chain", CHAIN, validators=1)
    home = tmp_path / "chain"
    directories = {path for path in synced if path.is_dir()}
    assert directories == {tmp_path, home, home / "validators", home / "validators" / "0"}


async def test_whoever_waits_for_a_node_that_stops_is_not_cancelled() -> None:
    workshop, go = Workshop(), threading.Event()
    waiting = [asyncio.create_task(workshop.run(go.wait)) for _ in range(2)]
    waiting.append(asyncio.create_task(workshop.made("one", 1, go.wait)))
    await asyncio.sleep(0.05)
    asyncio.get_running_loop().call_later(0.1, go.set)
    closing = asyncio.to_thread(workshop.close)
    await asyncio.gather(closing, return_exceptions=True)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    # The one in hand is finished; the others are refused.
    assert answers[0] is True
    assert [str(answer) for answer in answers[1:]] == [STOPS, STOPS]
    assert all(isinstance(answer, RetryableError) for answer in answers[1:])
    with pytest.raises(RetryableError, match="the node stops"):
        await workshop.run(go.wait)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "no memory is left"),
        (OSError(errno.ENOMEM, "x"), "no memory is left"),
        (OSError(errno.ENOSPC, "x", "/data/f"), r"its disk is full: .*\(/data/f\)"),
        (OSError(errno.EDQUOT, "x"), "its disk is full"),
        (OSError(errno.EMFILE, "x"), "no file descriptor is left"),
        (RuntimeError("can't start new thread"), "no thread can be started"),
    ],
)
def test_resource_at_its_end_has_a_sentence(error: BaseException, words: str) -> None:
    said = exhausted(error, "the node")
    assert said is not None
    with pytest.raises(FatalError, match=words):
        raise said
    assert exhausted(ValueError("x"), "the node") is None
    assert exhausted(OSError(errno.ECONNRESET, "x"), "the node") is None
    assert exhausted(RuntimeError("x"), "the node") is None


MEMORY_PROGRAM: Final = """
import resource
from core.runtime.exhaustion import MIN_MEMORY_BYTES, memory_left, require_memory
assert memory_left() is None
resource.setrlimit(resource.{limit}, (1 << 31, resource.RLIM_INFINITY))
before = memory_left()
held = bytearray(64 << 20)
assert abs(before - memory_left() - len(held)) < 1 << 20, (before, memory_left())
require_memory("work")
more = bytearray(memory_left() - MIN_MEMORY_BYTES + (1 << 20))
require_memory("work")
"""


@pytest.mark.parametrize("limit", ["RLIMIT_DATA", "RLIMIT_AS"])
def test_work_stops_before_the_last_of_its_memory(limit: str) -> None:
    program = MEMORY_PROGRAM.format(limit=limit)
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert "FatalError: work cannot go on, no memory is left for this process" in ended.stderr
    assert ended.stderr.count("line 11") == 1
    assert ended.returncode == 1


def test_process_without_a_limit_is_never_short_of_memory() -> None:
    assert memory_left() is None
    require_memory("work")
