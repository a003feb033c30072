"""Signature checks in processes of their own, so that they use every core while the ledger uses one.

`python -m local_chains.consortium.engine.verification` is such a process: it reads pieces of work from its standard
input (length, 4 bytes big-endian, then a MessagePack array of transactions), answers each with one byte a transaction
(1: the signature holds), and ends with its input, so that none outlives its parent.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from core.model.errors import FatalError
from local_chains.consortium.ledger.signatures import verify_all

CHUNK: Final = 64
"""Transactions in one piece of work: about 5 ms."""
PIECES_AHEAD: Final = 3
"""Pieces that one process has in hand: it goes on while the event loop is busy with something else."""
MIN_POOLED: Final = 32
"""Fewer are checked where they are: asking another process would take longer than the work."""
LENGTH_BYTES: Final = 4
NICENESS: Final = 5
"""Where cores are few, the ledger, of which there is one, goes before the checks, of which there are many."""
REPOSITORY: Final = Path(__file__).resolve().parents[3]

_log = structlog.get_logger(__name__)


class SignaturePool:
    """Processes that start with the first large batch; a chain on which little happens never has them."""

    def __init__(self, workers: int | None = None) -> None:
        """`workers` processes, one a core by default; 0: never any."""
        self._wanted = (os.cpu_count() or 1) if workers is None else workers
        self._workers: list[_Worker] = []
        self._free: asyncio.Queue[_Worker] = asyncio.Queue()
        self._starting = asyncio.Lock()

    async def verify(self, transactions: Sequence[bytes]) -> list[bool]:
        """`ledger.signatures.verify_all`, on all cores. A process that dies costs time, never a wrong answer."""
        if len(transactions) < MIN_POOLED or not await self._started():
            return verify_all(transactions)
        chunks = [transactions[start : start + CHUNK] for start in range(0, len(transactions), CHUNK)]
        checked = await asyncio.gather(*(self._verify_chunk(chunk) for chunk in chunks))
        return [held for chunk in checked for held in chunk]

    async def close(self) -> None:
        self._wanted = 0
        for worker in self._workers:
            await worker.end()
        self._workers.clear()

    async def _verify_chunk(self, chunk: Sequence[bytes]) -> list[bool]:
        worker = await self._free.get()
        try:
            return await worker.ask(chunk)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._wanted = 0
            _log.warning("signature checks go on in this process", reason=str(error) or type(error).__name__)
            return verify_all(chunk)
        finally:
            self._free.put_nowait(worker)

    async def _started(self) -> bool:
        async with self._starting:
            while len(self._workers) < self._wanted:
                worker = _Worker(
                    await asyncio.create_subprocess_exec(
                        sys.executable,
                        "-m",
                        __spec__.name,
                        cwd=REPOSITORY,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        # A terminal's Ctrl-C is for the node, which ends them itself.
                        start_new_session=True,
                    )
                )
                self._workers.append(worker)
                for _ in range(PIECES_AHEAD):
                    self._free.put_nowait(worker)
        return self._wanted > 0


class _Worker:
    """One process, which answers pieces of work in the order in which they were written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise FatalError("a process that checks signatures has no pipes")
        self._process = process
        self._questions, self._answers = process.stdin, process.stdout
        self._reading = asyncio.Lock()

    async def ask(self, chunk: Sequence[bytes]) -> list[bool]:
        """Raises `OSError`, `IncompleteReadError` where the process has ended."""
        body = msgspec.msgpack.encode(chunk)
        self._questions.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
        try:
            # Nothing is awaited since the write, and the lock keeps its line: answers are read in the same order.
            async with self._reading:
                await self._questions.drain()
                return [held == 1 for held in await self._answers.readexactly(len(chunk))]
        except asyncio.CancelledError:
            # The answer would be taken for that to the next question.
            self._kill()
            raise

    async def end(self) -> None:
        self._kill()
        await self._process.wait()

    def _kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


def serve() -> None:
    """Answer until the input ends."""
    os.nice(NICENESS)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(LENGTH_BYTES):
        body = source.read(int.from_bytes(head, "big"))
        sink.write(bytes(verify_all(msgspec.msgpack.decode(body, type=list[bytes]))))
        sink.flush()


if __name__ == "__main__":
    try:
        serve()
    except (KeyboardInterrupt, BrokenPipeError, msgspec.MsgspecError):
        sys.exit(1)
