"""The token bucket: never more than the rate allows, whatever is asked when."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rates import MAX_PAUSE_S, Pace, RateLimit, retry_after_s
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


NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("60", 60.0),
        ("0", 0.0),
        (" 1.5 ", 1.5),
        ("999999999999", MAX_PAUSE_S),
        (formatdate(NOW_S + 30, usegmt=True), 30.0),
        (formatdate(NOW_S - 30, usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_PAUSE_S),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("1" * 65, None),
        ("Fri, 99 Foo 2026 25:61:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW_S) == seconds


@given(st.text(max_size=80), st.floats(0, 4e9))
def test_no_retry_after_is_too_strange(header: str, now_s: float) -> None:
    seconds = retry_after_s(header, now_s)
    assert seconds is None or 0 <= seconds <= MAX_PAUSE_S


def test_pace_settles_below_what_is_allowed() -> None:
    """Against an endpoint that takes 5 requests in any second: few refusals, and most of what it allows."""
    now_s = 0.0
    pace = Pace(lambda: now_s)
    taken: list[float] = []
    refusals = served = 0
    while now_s < 600:
        now_s += pace.turn_s() + 0.01
        taken = [when for when in taken if when > now_s - 1]
        if len(taken) >= 5:
            refusals += 1
            pace.refused(None)
        else:
            taken.append(now_s)
            pace.answered()
            served += 1
    assert served / 600 > 3
    assert refusals < 60


def test_pause_is_as_long_as_asked_and_grows_by_itself() -> None:
    now_s = 0.0
    pace = Pace(lambda: now_s)
    assert pace.turn_s() == 0
    assert pace.refused(60) == 60
    assert pace.refused(5) == 60, "answers that were on their way shorten nothing"
    assert pace.turn_s() == 60
    now_s = 61.0
    pauses = []
    for _ in range(12):
        pauses.append(pace.refused(None))
        now_s += pauses[-1] + 1
    assert pauses == sorted(pauses)
    assert pauses[0] < 3
    assert pauses[-1] == MAX_PAUSE_S
    pace.answered()
    assert pace.refused(None) == 0.5, "forgotten with the first answer"
