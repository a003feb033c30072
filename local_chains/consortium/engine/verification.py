"""Signature checks in processes of their own, so that they use every core while the ledger uses one."""

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final

import structlog

from local_chains.consortium.ledger.signatures import verify_all

CHUNK: Final = 64
"""Transactions in one piece of work: about 5 ms."""
MIN_POOLED: Final = 32
"""Fewer are checked where they are: asking another process would take longer than the work."""

_log = structlog.get_logger(__name__)


class SignaturePool:
    """Processes that start with the first large batch; a chain on which little happens never has them."""

    def __init__(self, workers: int | None = None) -> None:
        """`workers` processes, one a core by default; 0: never any."""
        self._workers = (os.cpu_count() or 1) if workers is None else workers
        self._pool: ProcessPoolExecutor | None = None

    async def verify(self, transactions: Sequence[bytes]) -> list[bool]:
        """`ledger.signatures.verify_all`, on all cores. A process that dies costs time, never a wrong answer."""
        if len(transactions) < MIN_POOLED or not self._workers:
            return verify_all(transactions)
        loop = asyncio.get_running_loop()
        chunks = [transactions[start : start + CHUNK] for start in range(0, len(transactions), CHUNK)]
        try:
            pool = self._started()
            checked = await asyncio.gather(*(loop.run_in_executor(pool, verify_all, chunk) for chunk in chunks))
        except (BrokenProcessPool, OSError) as error:
            _log.warning("signature checks go on in this process", reason=str(error) or type(error).__name__)
            self._workers = 0
            return verify_all(transactions)
        return [held for chunk in checked for held in chunk]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._workers = 0

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # A fork would copy threads' locks in whatever state they are.
            self._pool = ProcessPoolExecutor(self._workers, mp_context=multiprocessing.get_context("forkserver"))
        return self._pool
