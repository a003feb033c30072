"""Works side by side: results in order, the first error, and a cancelling that nothing forgets."""

import asyncio

import pytest

from core.model.errors import RetryableError
from core.runtime.signals import side_by_side


async def test_side_by_side_returns_results_in_order() -> None:
    async def after(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert await side_by_side(after(turns) for turns in (3, 1, 2)) == [3, 1, 2]
    assert await side_by_side(list[asyncio.Task[int]]()) == []


async def test_side_by_side_ends_the_others_before_it_raises() -> None:
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise RetryableError("try again")

    with pytest.raises(RetryableError):
        await side_by_side([waits(), fails()])
    assert ended.is_set()


@pytest.mark.parametrize("turns", range(4))
async def test_who_tries_again_ends_if_cancelled_in_the_failing_moment(turns: int) -> None:
    """On Python 3.11 a TaskGroup forgets the cancelling in some of these moments, and the task goes on for ever."""
    failing = asyncio.Event()

    async def fails() -> None:
        await failing.wait()
        raise RetryableError("try again")

    async def tries_again() -> None:
        while True:
            try:
                await side_by_side([fails(), fails()])
            except RetryableError:
                failing.clear()
                await asyncio.Event().wait()

    trying = asyncio.create_task(tries_again())
    for _ in range(2):
        await asyncio.sleep(0)
    failing.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    trying.cancel()
    await asyncio.wait({trying}, timeout=1.0)
    assert trying.cancelled()
