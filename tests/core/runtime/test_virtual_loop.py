"""The loop of virtual time does what asyncio's own loop does, and its time jumps."""

import asyncio
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runtime.clock import run_virtually
from core.runtime.virtual_loop import MIN_HEAP, VirtualLoop

DAY_S = 86_400


def test_time_jumps_to_the_next_timer_and_nowhere_else() -> None:
    async def story() -> list[float]:
        loop, seen = asyncio.get_running_loop(), list[float]()
        for delay_s in (3 * DAY_S, 0.25, 1.5):
            loop.call_later(delay_s, lambda: seen.append(loop.time()))
        await asyncio.sleep(4 * DAY_S)
        return seen

    assert run_virtually(story()) == [0.25, 1.5, 3 * DAY_S]


def test_what_is_due_runs_in_the_order_in_which_it_was_asked_for() -> None:
    async def story() -> list[int]:
        loop, seen = asyncio.get_running_loop(), list[int]()
        for number in range(5):
            loop.call_soon(seen.append, number)
        await asyncio.sleep(0)
        return seen

    assert run_virtually(story()) == [0, 1, 2, 3, 4]


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=3 * MIN_HEAP), st.randoms(use_true_random=False))
def test_timers_run_once_in_order_unless_cancelled(asked: list[tuple[float, bool]], source: random.Random) -> None:
    async def story() -> list[float]:
        loop, seen = asyncio.get_running_loop(), list[float]()
        timers = [loop.call_later(delay_s, seen.append, delay_s) for delay_s, _ in asked]
        cancelled = [timer for timer, (_, stays) in zip(timers, asked, strict=True) if not stays]
        source.shuffle(cancelled)
        for timer in cancelled:
            timer.cancel()
            assert timer.cancelled()
        await asyncio.sleep(101)
        return seen

    assert run_virtually(story()) == sorted(delay_s for delay_s, stays in asked if stays)


def test_a_program_that_waits_for_ever_ends_with_words() -> None:
    async def story() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nothing is left to do"):
        run_virtually(story())


def test_an_error_in_a_callback_stops_no_other() -> None:
    async def story() -> tuple[list[str], list[BaseException]]:
        loop, seen, errors = asyncio.get_running_loop(), list[str](), list[BaseException]()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        loop.call_soon(lambda: 1 // 0)
        loop.call_soon(seen.append, "next")
        await asyncio.sleep(1)
        return seen, errors

    seen, [error] = run_virtually(story())
    assert seen == ["next"]
    assert isinstance(error, ZeroDivisionError)


def test_timeouts_and_threads_find_their_way() -> None:
    """A thread may call back while tasks have work; time stands still for nobody else."""

    async def story() -> str:
        loop, said = asyncio.get_running_loop(), asyncio.Event()
        assert isinstance(loop, VirtualLoop)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await said.wait()
        assert loop.time() == 5
        loop.call_soon_threadsafe(said.set)
        await said.wait()
        return "said"

    assert run_virtually(story()) == "said"


def test_work_for_a_thread_takes_no_virtual_time() -> None:
    async def story() -> float:
        sleeping = asyncio.create_task(asyncio.sleep(1))
        await asyncio.to_thread(time.sleep, 0.02)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        sleeping.cancel()
        return asyncio.get_running_loop().time()

    assert run_virtually(story()) == 0
