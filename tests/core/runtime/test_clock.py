"""Clocks and seeded secrets."""

import asyncio
import random
import time

import pytest

from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import (
    Clock,
    ManualClock,
    SecretSource,
    SeededSecrets,
    SystemClock,
    SystemSecrets,
    VirtualClock,
    run_virtually,
)
from core.runtime.retry import CALL, EFFECT, MOMENT, MONEY, SURPRISE, WORKER, RetryPolicy, retrying


async def test_manual_clock_wakes_sleepers_in_order_at_their_times() -> None:
    clock = ManualClock(100)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float, times: int = 1) -> None:
        for _ in range(times):
            await clock.sleep(seconds)
            woken.append((name, clock.now()))

    tasks = [asyncio.create_task(sleeper(*job)) for job in (("b", 5), ("a", 2, 3), ("late", 10.5))]
    await clock.advance(10)
    assert woken == [("a", 102), ("a", 104), ("b", 105), ("a", 106)]
    assert (clock.now(), clock.monotonic(), clock.sleeping) == (110, 10, 1)
    await clock.advance(0.5)
    assert woken[-1] == ("late", 110.5)
    assert all(task.done() for task in tasks)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.advance(0)
    assert clock.sleeping == 1
    task.cancel()
    await clock.advance(2)
    assert task.cancelled()
    assert clock.sleeping == 0


def test_virtual_time_runs_a_day_at_once_and_the_same_each_time() -> None:
    async def day(clock: Clock) -> list[float]:
        seen: list[float] = []

        async def beat(every_s: float) -> None:
            while True:
                await clock.sleep(every_s)
                seen.append(clock.now())

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86_400):
                await asyncio.gather(beat(3_600), beat(5_000))
        return seen

    started = time.monotonic()
    first, second = run_virtually(day(VirtualClock(0))), run_virtually(day(VirtualClock(0)))
    assert first == second
    assert len(first) in (40, 41)  # 23 or 24 hours, 17 times 5,000 s
    assert first == sorted(first)
    assert time.monotonic() - started < 5


def test_virtual_time_tells_of_a_program_that_waits_for_ever() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="waits for ever"):
        run_virtually(stuck())


async def test_the_system_clock_tells_the_time() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert 0.005 < clock.monotonic() - before < 5
    assert abs(clock.now() - clock.now_ns() / 1e9) < 1
    await clock.sleep(-1)


def test_secrets_have_the_asked_length_and_seeds_repeat() -> None:
    source: SecretSource
    for source in (SystemSecrets(), SeededSecrets(1)):
        assert [len(source.token_bytes(count)) for count in (0, 1, 32, 100)] == [0, 1, 32, 100]
    assert SeededSecrets(7).token_bytes(64) == SeededSecrets(7).token_bytes(64)
    assert SeededSecrets(7).token_bytes(64) != SeededSecrets(8).token_bytes(64)
    source = SeededSecrets(7)
    assert source.token_bytes(32) != source.token_bytes(32)


@pytest.mark.parametrize("policy", [CALL, WORKER, EFFECT, MOMENT, MONEY, SURPRISE])
def test_delays_grow_and_stay_bounded(policy: RetryPolicy) -> None:
    delays = [policy.delay_s(failures) for failures in range(1, 20)]
    assert delays == sorted(delays)
    assert delays[0] < 1
    assert delays[-1] == policy.delays_s[-1] <= 60
    rng = random.Random(1)
    assert all(d <= policy.delay_s(i, rng) <= d * (1 + policy.spread) for i, d in enumerate(delays, 1))


async def test_retrying_waits_as_written_then_raises_the_last_error() -> None:
    clock = ManualClock(0)
    calls: list[float] = []

    async def call() -> None:
        calls.append(clock.now())
        raise RetryableError(f"try {len(calls)}")

    task = asyncio.create_task(retrying(call, RetryPolicy((1, 2, 4)), clock))
    await clock.advance(100)
    assert calls == [0, 1, 3, 7]
    with pytest.raises(RetryableError, match="try 4"):
        await task


async def test_retrying_returns_first_success_or_raises_at_once() -> None:
    clock = ManualClock(0)
    answers: list[object] = [RetryableError("down"), 42]

    async def call() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    task = asyncio.create_task(retrying(call, CALL, clock))
    await clock.advance(10)
    assert await task == 42
    answers = [RejectedError("never")]
    with pytest.raises(RejectedError):
        await retrying(call, CALL, clock)
