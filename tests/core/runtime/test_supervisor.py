"""The supervisor: backing off, ending with a reason, cancelling cleanly."""

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest

from core.model.errors import FatalError, FencedError, RejectedError, ReorgedError, RetryableError
from core.runtime import retry
from core.runtime.clock import ManualClock, VirtualClock, run_virtually
from core.runtime.metrics import Metrics
from core.runtime.retry import RetryPolicy
from core.runtime.supervisor import HEALTHY_AFTER_S, Supervisor, Worker, WorkerState

DELAYS = RetryPolicy((1, 2, 5), spread=0)


async def for_ever() -> None:
    await asyncio.Event().wait()


def test_retryable_errors_back_off_and_success_resets() -> None:
    outcomes = ["fail", "fail", "fail", "fail", "ok", "fail", "stop"]
    times: list[float] = []
    metrics = Metrics()

    async def main() -> None:
        clock = VirtualClock(0)
        supervisor = Supervisor(clock, metrics)

        async def step() -> None:
            times.append(clock.now())
            match outcomes[len(times) - 1]:
                case "fail":
                    raise RetryableError("endpoint is down")
                case "stop":
                    raise FatalError("enough")

        supervisor.add(Worker("step", step, pause_s=10, delays=DELAYS))
        with pytest.raises(FatalError, match="enough"):
            await supervisor.run()

    run_virtually(main())
    assert times == [0, 1, 3, 8, 13, 23, 24]
    assert metrics.value("worker_failures_total", worker="step", code="unavailable") == 5
    assert metrics.value("worker_failures_total", worker="step", code="fatal") == 1
    assert metrics.value("worker_alive_timestamp_seconds", worker="step") == 24


def test_a_long_run_that_fails_begins_the_list_anew() -> None:
    starts: list[float] = []

    async def main() -> None:
        clock = VirtualClock(0)
        supervisor = Supervisor(clock, Metrics())

        async def stream() -> None:
            starts.append(clock.now())
            if len(starts) == 5:
                return
            if len(starts) == 3:
                await clock.sleep(HEALTHY_AFTER_S)
            raise ReorgedError("start again")

        supervisor.add(Worker("stream", stream, delays=DELAYS))
        await supervisor.run()

    run_virtually(main())
    assert starts == [0, 1, 3, 3 + HEALTHY_AFTER_S + 1, 3 + HEALTHY_AFTER_S + 1 + 2]


@pytest.mark.parametrize("contained", [False, True])
@pytest.mark.parametrize("error", [FatalError("the journal has a gap"), FencedError("taken over")])
async def test_a_fatal_error_ends_everything_unless_contained(error: FatalError, contained: bool) -> None:
    cleaned, tries = asyncio.Event(), 0

    async def bad() -> None:
        nonlocal tries
        tries += 1
        raise error

    async def neighbour() -> None:
        try:
            await for_ever()
        finally:
            cleaned.set()

    clock, metrics = ManualClock(), Metrics()
    supervisor = Supervisor(clock, metrics)
    supervisor.add(Worker("neighbour", neighbour), Worker("bad", bad, delays=DELAYS, contained=contained))
    running = asyncio.create_task(supervisor.run())
    await clock.advance(DELAYS.delays_s[0])
    if contained and not isinstance(error, FencedError):
        assert tries == 2
        assert not cleaned.is_set()
        assert supervisor.status()["bad"].last_error == f"FatalError: {error}"
        assert metrics.value("worker_failures_total", worker="bad", code="fatal") == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return
    with pytest.raises(FatalError) as caught:
        await running
    assert caught.value is error
    assert cleaned.is_set()
    assert {status.state for status in supervisor.status().values()} == {WorkerState.ENDED}
    assert supervisor.status()["bad"].last_error == str(error)


@pytest.mark.parametrize("error", [RejectedError("odd"), KeyError("bug"), ZeroDivisionError()])
async def test_an_unplanned_error_starts_that_worker_again(error: Exception) -> None:
    tries: dict[str, int] = {"bad": 0, "neighbour": 0}

    async def bad() -> None:
        tries["bad"] += 1
        raise error

    async def neighbour() -> None:
        tries["neighbour"] += 1

    clock, metrics = ManualClock(), Metrics()
    supervisor = Supervisor(clock, metrics)
    supervisor.add(Worker("neighbour", neighbour, pause_s=0.25), Worker("bad", bad, delays=DELAYS))
    running = asyncio.create_task(supervisor.run())
    for _ in range(8):
        await clock.advance(DELAYS.delays_s[0] / 2)
    assert not running.done()
    assert tries["bad"] >= 2
    assert tries["neighbour"] > tries["bad"]
    assert not supervisor.healthy()
    assert supervisor.status()["bad"].last_error == f"{type(error).__name__}: {error}"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_cancelling_waits_for_every_worker_to_clean_up() -> None:
    cleaned: list[str] = []

    def worker(name: str) -> Worker:
        async def run() -> None:
            try:
                await for_ever()
            finally:
                await asyncio.sleep(0)
                cleaned.append(name)

        return Worker(name, run)

    metrics = Metrics()
    supervisor = Supervisor(ManualClock(), metrics)
    supervisor.add(worker("a"), worker("b"))
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0.01)
    assert metrics.value("worker_up", worker="a") == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(cleaned) == ["a", "b"]
    assert metrics.value("worker_up", worker="a") == 0


async def test_the_status_tells_of_a_worker_that_backs_off() -> None:
    clock = ManualClock()

    async def down() -> None:
        raise RetryableError("endpoint is down")

    supervisor = Supervisor(clock, Metrics())
    supervisor.add(Worker("down", down, delays=DELAYS))
    assert supervisor.healthy()
    running = asyncio.create_task(supervisor.run())
    await clock.advance(0.5)
    status = supervisor.status()["down"]
    assert (status.state, status.failures, status.last_error) == (
        WorkerState.BACKING_OFF,
        1,
        "endpoint is down",
    )
    assert not supervisor.healthy()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_two_workers_of_one_name_are_refused() -> None:
    supervisor = Supervisor(ManualClock(), Metrics())
    supervisor.add(Worker("a", for_ever))
    with pytest.raises(ValueError, match="called a"):
        supervisor.add(Worker("a", for_ever))


def test_the_money_path_is_never_away_for_long() -> None:
    """A database that is locked for a moment every few seconds must not add up to an outage."""
    began: list[float] = []

    async def fails_now_and_then() -> None:
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(5)
        raise RetryableError("the database is locked: try again")

    async def story() -> None:
        supervisor = Supervisor(VirtualClock(), Metrics())
        supervisor.add(Worker("swaps", fails_now_and_then, delays=retry.MONEY))
        with suppress(TimeoutError):
            async with asyncio.timeout(120):
                await supervisor.run()

    run_virtually(story())
    assert len(began) > 15
    assert max(then - before for before, then in pairwise(began)) <= 5 + (1 + retry.MONEY.spread) * max(
        retry.MONEY.delays_s
    )
    assert max(retry.MONEY.delays_s) <= 1
