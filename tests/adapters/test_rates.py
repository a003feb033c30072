"""The token bucket: never more than the rate allows, whatever is asked when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rates import RateLimit
from core.model.errors import RejectedError

asked = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 40)), min_size=1, max_size=30)


@given(asked, st.floats(0.5, 50))
def test_no_window_sees_more_than_its_share(asked: list[tuple[float, int]], rate: float) -> None:
    limit, now = RateLimit(rate), 100.0
    made: list[tuple[float, int]] = []
    for pause_s, cost in asked:
        now += pause_s
        made.append((now + limit.spend(cost, now), cost))
    room = max(1.0, rate)
    for first in range(len(made)):
        calls = 0
        for when, cost in made[first:]:
            calls += cost
            # The first one of a window may be the last part of a debt.
            assert calls - made[first][1] <= room + (when - made[first][0]) * rate + 1e-3


def test_whoever_has_waited_enough_waits_no_more() -> None:
    limit = RateLimit(10)
    assert limit.spend(10, 0.0) == 0
    assert limit.spend(5, 0.0) == pytest.approx(0.5)
    assert limit.spend(10, 1.5) == 0


def test_no_limit_and_wrong_limits() -> None:
    assert RateLimit(None).spend(10**9, 0.0) == 0
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(RejectedError):
            RateLimit(wrong)
