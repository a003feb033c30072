"""Keeps named workers running: retryable errors back off, everything else ends the process with a reason.

A worker is a coroutine function without arguments. With `pause_s` it is a *step*, called again and again with that
pause between; without, it is a whole run that may return, which ends this worker and no other.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.model.errors import FatalError, ReorgedError, RetryableError
from core.runtime import retry
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics

HEALTHY_AFTER_S: Final = 60.0
"""A run that lasted this long before it failed counts as a first failure again."""
MAX_WORKERS: Final = 256

log = get_logger("core.runtime.supervisor")


@dataclass(frozen=True, slots=True)
class Worker:
    """One named loop. Names are unique and label a metric, so they come from a small set."""

    name: str
    run: Callable[[], Awaitable[None]]
    pause_s: float | None = None
    delays: retry.RetryPolicy = retry.WORKER


class WorkerState(StrEnum):
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    ENDED = "ended"


@dataclass(slots=True)
class WorkerStatus:
    """What the operator is shown of one worker. `failures` are those in a row."""

    state: WorkerState
    since: float
    failures: int = 0
    last_error: str | None = None


class Supervisor:
    """Runs workers side by side until all have ended, one fails for good, or `run` is cancelled."""

    def __init__(self, clock: Clock, metrics: Metrics, rng: random.Random | None = None) -> None:
        self._clock = clock
        self._rng = rng
        self._workers: list[Worker] = []
        self._status: dict[str, WorkerStatus] = {}
        self._up = metrics.gauge("worker_up", "1 while the worker runs, 0 while it backs off or ended", ["worker"])
        self._alive = metrics.gauge("worker_alive_timestamp_seconds", "Last sign of life (Unix time)", ["worker"])
        self._failed = metrics.counter("worker_failures_total", "Runs that failed, by error", ["worker", "code"])

    def add(self, *workers: Worker) -> None:
        """Name workers to be run; before `run` only. Raises ValueError for a name that is taken."""
        for worker in workers:
            if worker.name in self._status:
                raise ValueError(f"two workers are called {worker.name}")
            if len(self._workers) >= MAX_WORKERS:
                raise ValueError(f"at most {MAX_WORKERS} workers")
            self._workers.append(worker)
            self._status[worker.name] = WorkerStatus(WorkerState.RUNNING, self._clock.now())

    def status(self) -> dict[str, WorkerStatus]:
        """Every worker's present state, by name."""
        return dict(self._status)

    def healthy(self) -> bool:
        """Whether no worker is backing off."""
        return all(status.state is not WorkerState.BACKING_OFF for status in self._status.values())

    async def run(self) -> None:
        """Run all workers. Returns when all have ended by themselves.

        Raises `FatalError` when one failed with anything but a `RetryableError` or `ReorgedError`; the others are
        cancelled and waited for first. Cancelling this cancels all workers and waits for them.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self._workers:
                    group.create_task(self._keep(worker), name=worker.name)
        except BaseExceptionGroup as failures:
            raise _first(failures) from failures

    async def _keep(self, worker: Worker) -> None:
        status = self._status[worker.name]
        try:
            while True:
                started = self._clock.monotonic()
                self._enter(worker, WorkerState.RUNNING)
                try:
                    await self._run_once(worker)
                    return
                except (RetryableError, ReorgedError) as error:
                    lasted_s = self._clock.monotonic() - started
                    status.failures = 1 if lasted_s >= HEALTHY_AFTER_S else status.failures + 1
                    await self._back_off(worker, status, error)
                except FatalError as error:
                    self._tell_end(worker, error, error.code)
                    raise
                except Exception as error:
                    # Not an error that anybody planned for, so nobody knows whether going on is safe.
                    self._tell_end(worker, error, type(error).__name__)
                    raise FatalError(f"the worker {worker.name} failed: {error}", worker=worker.name) from error
        finally:
            self._enter(worker, WorkerState.ENDED)

    async def _run_once(self, worker: Worker) -> None:
        if worker.pause_s is None:
            await worker.run()
            return
        status = self._status[worker.name]
        while True:
            await worker.run()
            status.failures = 0
            self._alive.labels(worker.name).set(self._clock.now())
            await self._clock.sleep(worker.pause_s)

    async def _back_off(self, worker: Worker, status: WorkerStatus, error: RetryableError | ReorgedError) -> None:
        delay_s = worker.delays.delay_s(status.failures, self._rng)
        status.last_error = error.message
        self._failed.labels(worker.name, error.code).inc()
        self._enter(worker, WorkerState.BACKING_OFF)
        log.warning(
            "worker backs off",
            worker=worker.name,
            failures=status.failures,
            delay_s=round(delay_s, 3),
            error=error.message,
            fields=error.fields,
        )
        await self._clock.sleep(delay_s)

    def _tell_end(self, worker: Worker, error: Exception, code: str) -> None:
        self._status[worker.name].last_error = str(error)
        self._failed.labels(worker.name, code).inc()
        log.error("worker failed for good", worker=worker.name, error=str(error), exc_info=error)

    def _enter(self, worker: Worker, state: WorkerState) -> None:
        status = self._status[worker.name]
        if status.state is not state:
            status.state, status.since = state, self._clock.now()
        self._up.labels(worker.name).set(1 if state is WorkerState.RUNNING else 0)
        if state is WorkerState.RUNNING:
            self._alive.labels(worker.name).set(self._clock.now())


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    for failure in failures.exceptions:
        return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
    return failures
