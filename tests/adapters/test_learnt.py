"""A limit learnt from behaviour: found in few refusals, remembered, seldom tried again."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.learnt import MAX_PROBE_S, PROBE_S, LearntLimit
from core.runtime.clock import run_virtually


class Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def ask(limit: LearntLimit, most: int) -> bool:
    """One request to an endpoint that takes `most`."""
    size = limit.size()
    if size <= most:
        limit.took(size)
    else:
        limit.refused(size)
    return size <= most


@given(st.integers(1, 1_000), st.integers(1, 1_000))
def test_limit_is_found_in_few_refusals(start: int, most: int) -> None:
    limit = LearntLimit(start, Time())
    refusals = sum(not ask(limit, most) for _ in range(100))
    assert refusals <= 12
    assert limit.known <= most
    assert limit.known >= min(start, most) * 3 // 4
    assert all(ask(limit, most) for _ in range(100)), "what was learnt is kept"


@given(st.integers(2, 500))
def test_larger_is_tried_seldom_and_found(most: int) -> None:
    time = Time()
    limit = LearntLimit(1_000, time)
    for _ in range(50):
        ask(limit, most)
    refusals = 0
    for _ in range(int(86_400 / PROBE_S)):
        time.now_s += PROBE_S
        refusals += sum(not ask(limit, most) for _ in range(5))
    assert refusals <= 4 * (10 + 86_400 / MAX_PROBE_S), "an endpoint is asked for too much a few times an hour"
    for _ in range(200):
        time.now_s += MAX_PROBE_S
        ask(limit, 1_000)
    assert limit.known == 1_000, "a limit that was lifted is found lifted"


def test_doubt_counts_once_less_is_answered() -> None:
    limit = LearntLimit(100, Time())
    limit.doubted(100)
    assert limit.size() == 100, "a dead endpoint shows nothing about its limits"
    limit.took(10)
    assert limit.known == 50
    limit.doubted(50)
    limit.took(60)
    assert limit.known == 60, "as much was answered since"


def test_refusal_of_one_teaches_nothing() -> None:
    limit = LearntLimit(8, Time())
    for _ in range(10):
        limit.refused(1)
    assert limit.size() == 8
    with pytest.raises(ValueError, match="at least 1"):
        LearntLimit(0)


def test_limit_is_kept_for_virtual_time_where_loops_keep_it() -> None:
    async def probed() -> list[int]:
        limit = LearntLimit(100)
        limit.refused(100)
        sizes = [limit.size()]
        await asyncio.sleep(2 * PROBE_S)
        return [*sizes, limit.size()]

    first, later = run_virtually(probed())
    assert first < later
