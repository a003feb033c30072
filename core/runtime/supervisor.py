"""Keeps named workers running, each for itself: what one of them meets ends no other.

A `RetryableError`, and an exception that nobody planned for, starts the worker again after a while. A `FatalError` ends
the process with its reason, unless the worker is `contained`: then that duty alone rests, and is tried again. A
`FencedError` ends the process always: another one does its work.

A worker is a coroutine function without arguments. With `pause_s` it is a *step*, called again and again with that
pause between; without, it is a whole run that may return, which ends this worker and no other.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from core.model.errors import FatalError, FencedError, ReorgedError, RetryableError
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
    """One named loop. Names are unique and label a metric, so they come from a small set. `contained`: even a fatal
    error is this duty's own business, since others must go on without it."""

    name: str
    run: Callable[[], Awaitable[None]]
    pause_s: float | None = None
    delays: retry.RetryPolicy = retry.WORKER
    contained: bool = False


class WorkerState(StrEnum):
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    ENDED = "ended"


@dataclass(slots=True)
class WorkerStatus:
    """One worker as the operator sees it. `failures` are those in a row."""

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
        """Name workers to be run; before `run` only. Raise ValueError for a name that is taken."""
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
        """True if no worker is backing off."""
        return all(status.state is not WorkerState.BACKING_OFF for status in self._status.values())

    async def run(self) -> None:
        """Run all workers. Return when all have ended by themselves.

        Raise `FencedError`, and the `FatalError` of a worker that is not contained; the others are cancelled and waited
        for first. Cancelling this cancels all workers and waits for them.
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
                    self._count_failure(status, started)
                    await self._back_off(worker, status, error.code, error.message, error.fields)
                except FatalError as error:
                    if not worker.contained or isinstance(error, FencedError):
                        self._tell_end(worker, error, error.code)
                        raise
                    await self._set_aside(worker, status, error, started)
                except Exception as error:
                    await self._set_aside(worker, status, error, started)
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

    def _count_failure(self, status: WorkerStatus, started: float) -> None:
        lasted_s = self._clock.monotonic() - started
        status.failures = 1 if lasted_s >= HEALTHY_AFTER_S else status.failures + 1

    async def _set_aside(self, worker: Worker, status: WorkerStatus, error: Exception, started: float) -> None:
        """An error that nobody planned for: an alarm for the operator, and the duty is tried again."""
        code = getattr(error, "code", type(error).__name__)
        log.error("worker failed", worker=worker.name, error=str(error), exc_info=error)
        self._count_failure(status, started)
        await self._back_off(worker, status, code, f"{type(error).__name__}: {error}", {})

    async def _back_off(
        self, worker: Worker, status: WorkerStatus, code: str, message: str, fields: Mapping[str, Any]
    ) -> None:
        delay_s = worker.delays.delay_s(status.failures, self._rng)
        status.last_error = message
        self._failed.labels(worker.name, code).inc()
        self._enter(worker, WorkerState.BACKING_OFF)
        log.warning(
            "worker backs off",
            worker=worker.name,
            failures=status.failures,
            delay_s=round(delay_s, 3),
            error=message,
            fields=fields,
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
