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
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from core.model.errors import FatalError
from local_chains.consortium.ledger.signatures import verify_all

CHUNK: Final = 256
"""Transactions in one piece of work: about 16 ms. Each piece costs some system calls, and wakes two processes."""
PIECES_AHEAD: Final = 3
"""Pieces that one process has in hand: it goes on while the event loop is busy with something else."""
MIN_POOLED: Final = 8
"""Fewer are checked where they are: asking another process would take longer than the work."""
LENGTH_BYTES: Final = 4
NICENESS: Final = 5
"""With few cores, the ledger, of which there is one, goes before the checks, of which there are many."""
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
        # Fewer than fill a piece are divided among all processes.
        size = min(CHUNK, max(MIN_POOLED, -(-len(transactions) // len(self._workers))))
        chunks = [transactions[start : start + size] for start in range(0, len(transactions), size)]
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
        except OSError as error:
            self._wanted = 0
            _log.warning("signature checks go on in this process", reason=str(error) or type(error).__name__)
            return verify_all(chunk)
        finally:
            self._free.put_nowait(worker)

    async def _started(self) -> bool:
        try:
            await self._start()
        except OSError as error:
            # No process, or no files for its pipes: those that run do it, or this process does.
            self._wanted = len(self._workers)
            _log.warning("signature checks have fewer processes", reason=error.strerror or str(error))
        return self._wanted > 0

    async def _start(self) -> None:
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


class _Worker:
    """One process, which answers pieces of work in the order in which they were written.

    One task reads all answers and hands each to whoever asked for it, even if they no longer wait: an answer that
    somebody gave up on would otherwise be taken for that to the next question.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise FatalError("a process that checks signatures has no pipes")
        self._process = process
        self._questions, self._answers = process.stdin, process.stdout
        self._asked: asyncio.Queue[_Question] = asyncio.Queue()
        self._ended = False
        self._reading = asyncio.create_task(self._read(), name="answers about signatures")

    async def ask(self, chunk: Sequence[bytes]) -> list[bool]:
        """Raise `OSError` if the process has ended."""
        if self._ended:
            raise BrokenPipeError(_ENDED)
        body = msgspec.msgpack.encode(chunk)
        question = _Question(len(chunk), asyncio.get_running_loop().create_future())
        # Nothing is awaited between the two: questions stand in the queue as they were written.
        self._questions.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
        self._asked.put_nowait(question)
        try:
            await self._questions.drain()
            return await question.answer
        finally:
            if not question.answer.cancel() and not question.answer.cancelled():
                # Had writing failed, nobody would look at what became of the answer.
                question.answer.exception()

    async def _read(self) -> None:
        question: _Question | None = None
        try:
            while True:
                question = await self._asked.get()
                answer = await self._answers.readexactly(question.count)
                if not question.answer.done():
                    question.answer.set_result([held == 1 for held in answer])
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._ended = True
            left = [] if question is None else [question]
            while not self._asked.empty():
                left.append(self._asked.get_nowait())
            for one in left:
                if not one.answer.done():
                    one.answer.set_exception(BrokenPipeError(_ENDED))

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._reading.cancel()
        self._questions.close()
        # What became of the pipe is asked for, or Python before 3.11.4 logs it as a failure that nobody looked at.
        await asyncio.gather(self._reading, self._questions.wait_closed(), return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Question:
    """A piece of work that was written to a process: a number of transactions."""

    count: int
    answer: "asyncio.Future[list[bool]]"


_ENDED: Final = "a process that checks signatures has ended"


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
