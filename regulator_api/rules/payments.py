"""Folds over what a subject pays: structuring and velocity.

A fold's state is a function of the last `Parameters.history_s` seconds of moves, and of the one move before them; it
may be dropped at any time and made again from there. Queues are bounded, and say so where they cut.
"""

from collections import deque
from typing import Final

from regulator_api.rules.history import DAY_S, OUT, Seen
from regulator_api.rules.observation import Reference, named
from regulator_api.rules.parameters import StructuringParameters, VelocityParameters

MAX_NEAR: Final = 256
"""Payments below a threshold that are looked at, the newest ones of thirty days."""
MAX_DAY: Final = 512
"""Payments of a day that a velocity observation can name; counts and sums have all."""
SPANS_DAYS: Final = (1, 7, 30)
NORMAL: Final = 14_826
"""Ten thousand times the factor that makes a median absolute deviation a standard deviation, of a normal law."""

Finding = tuple[str, int, tuple[Reference, ...], tuple[str, ...], tuple[tuple[str, int], ...]]
"""Anchor, `since_s`, moves, others, figures of an observation at the move that was stepped over."""


class Structuring:
    """Payments in [near_pm · threshold, threshold) out of one subject, over all chains together.

    Found at a payment if within 1, 7 or 30 days at least `min_count` of these (`more` of them for each longer span) sum
    to the threshold or more, and are at least `share_pm` of all the payments of that span. A standing order counts
    once: payments of exactly one amount to one receiver, each `standing_days` or more after the one before.
    """

    __slots__ = ("_days", "_low", "_near", "_p")

    def __init__(self, parameters: StructuringParameters) -> None:
        self._p = parameters
        self._low = -(-parameters.threshold * parameters.near_pm // 1_000)
        self._near: deque[Seen] = deque(maxlen=MAX_NEAR)
        self._days: deque[list[int]] = deque()

    def step(self, m: Seen, found: list[Finding]) -> None:
        if m.direction != OUT or m.value < 0:
            return
        time_s, value = m.time_s, m.value
        day = time_s // DAY_S
        days = self._days
        if days and days[-1][0] == day:
            days[-1][1] += 1
        else:
            days.append([day, 1])
            while days[0][0] < day - 30:
                days.popleft()
        if not self._low <= value < self._p.threshold:
            return
        near = self._near
        near.append(m)
        while near[0].time_s <= time_s - 30 * DAY_S:
            near.popleft()
        if len(near) >= self._p.min_count:
            self._judge(time_s, found)

    def _judge(self, time_s: int, found: list[Finding]) -> None:
        p, single = self._p, self._without_standing_orders()
        if len(single) < p.min_count:
            return
        for longer, span in enumerate(SPANS_DAYS):
            least = p.min_count + longer * p.more
            counted = [one for one in single if one.time_s > time_s - span * DAY_S]
            if len(counted) < least:
                continue
            total = sum(one.value for one in counted)
            # Days that the span touches only in part count whole: more payments, so a smaller share.
            payments = sum(count for day, count in self._days if day >= (time_s - span * DAY_S + 1) // DAY_S)
            if total < p.threshold or len(counted) * 1_000 < p.share_pm * payments:
                continue
            figures = (
                ("count", len(counted)),
                ("min_count", least),
                ("total", total),
                ("threshold", p.threshold),
                ("chains", len({one.chain for one in counted})),
                ("payments", payments),
                ("span_days", span),
            )
            found.append(("", counted[0].time_s, named(counted), (), figures))
            return

    def _without_standing_orders(self) -> list[Seen]:
        last_s: dict[tuple[str, str, int], int] = {}
        single = []
        for one in self._near:
            order = (one.other, one.asset, one.amount)
            before_s = last_s.get(order)
            if before_s is None or one.time_s - before_s < self._p.standing_days * DAY_S:
                single.append(one)
            last_s[order] = one.time_s
        return single


class Velocity:
    """A day (UTC) whose payments by number and by sum are both far above those of the thirty days before.

    Above: more than median + z · 1.4826 · MAD of these days (a day without payments counts as zero), and more than
    `over_highest_pm` of their highest. Only with at least `min_days` days that have payments.
    """

    __slots__ = ("_count", "_day", "_limits", "_moves", "_p", "_past", "_sum")

    def __init__(self, parameters: VelocityParameters) -> None:
        self._p = parameters
        self._day = -1
        self._count = self._sum = 0
        self._moves: list[Seen] = []
        self._past: deque[tuple[int, int, int]] = deque()
        self._limits: tuple[int, int] | None = None

    def step(self, m: Seen, found: list[Finding]) -> None:
        if m.direction != OUT or m.value < 0:
            return
        day = m.time_s // DAY_S
        if day != self._day:
            self._turn(day)
        self._count += 1
        self._sum += m.value
        if self._limits is None:
            return
        if len(self._moves) < MAX_DAY:
            self._moves.append(m)
        p, (most, highest) = self._p, self._limits
        if self._count > most and self._sum > highest and self._count >= p.min_count and self._sum >= p.floor:
            figures = (
                ("count", self._count),
                ("count_limit", most),
                ("sum", self._sum),
                ("sum_limit", highest),
                ("floor", p.floor),
                ("z_tenths", p.z_tenths),
            )
            found.append((f"day {day}", day * DAY_S, named(self._moves), (), figures))

    def _turn(self, day: int) -> None:
        past, p = self._past, self._p
        if self._day >= 0:
            past.append((self._day, self._count, self._sum))
        while past and past[0][0] < day - 30:
            past.popleft()
        self._day, self._count, self._sum, self._moves, self._limits = day, 0, 0, [], None
        if len(past) < p.min_days:
            return
        span = day - past[0][0]
        self._limits = (self._limit([one[1] for one in past], span), self._limit([one[2] for one in past], span))

    def _limit(self, values: list[int], span: int) -> int:
        values = [0] * (span - len(values)) + sorted(values)
        twice_median = values[(span - 1) // 2] + values[span // 2]
        deviations = sorted(abs(2 * value - twice_median) for value in values)
        four_mad = deviations[(span - 1) // 2] + deviations[span // 2]
        robust = twice_median // 2 + self._p.z_tenths * NORMAL * four_mad // (4 * 10 * 10_000)
        return max(robust, values[-1] * self._p.over_highest_pm // 1_000)
