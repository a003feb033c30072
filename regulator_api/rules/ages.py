"""Folds over an account's age: dormant accounts that wake, and new ones that only pass money on."""

from collections import deque
from typing import Final

from regulator_api.rules.history import DAY_S, OUT, Place, Seen
from regulator_api.rules.observation import named
from regulator_api.rules.parameters import DormantParameters, NewAccountParameters
from regulator_api.rules.payments import Finding

MAX_EARLY: Final = 256


class Dormant:
    """No move for `silent_days`, and then payments out that sum to `floor` within `within_days` of the first move."""

    __slots__ = ("_last_s", "_moves", "_p", "_silent_days", "_sum", "_woke")

    def __init__(self, parameters: DormantParameters, before_s: int | None) -> None:
        self._p = parameters
        self._last_s = before_s
        self._woke: Place | None = None
        self._silent_days = self._sum = 0
        self._moves: list[Seen] = []

    def step(self, m: Seen, found: list[Finding]) -> None:
        p, last_s = self._p, self._last_s
        self._last_s = m.time_s
        if last_s is not None and m.time_s - last_s >= p.silent_days * DAY_S:
            self._woke, self._sum, self._moves = Place(*m[:5]), 0, []
            self._silent_days = (m.time_s - last_s) // DAY_S
        woke = self._woke
        if woke is None:
            return
        if m.time_s > woke.time_s + p.within_days * DAY_S:
            self._woke = None
            return
        if m.direction != OUT or m.value < 0:
            return
        self._sum += m.value
        if len(self._moves) < MAX_EARLY:
            self._moves.append(m)
        if self._sum >= p.floor:
            figures = (
                ("silent_days", self._silent_days),
                ("min_silent_days", p.silent_days),
                ("sum", self._sum),
                ("floor", p.floor),
            )
            found.append(("/".join(map(str, woke)), woke.time_s, named(self._moves), (), figures))


class NewAccount:
    """Within `within_days` of the first move of an account, at least `floor` comes in and `out_pm` of it leaves again.

    An index that does not begin with the chains takes no account for new before it has `settled_days`.
    """

    __slots__ = ("_came", "_first", "_known_s", "_left", "_moves", "_old", "_p")

    def __init__(self, parameters: NewAccountParameters, complete_since_s: int, before_s: int | None) -> None:
        self._p = parameters
        self._old = before_s is not None
        self._known_s = complete_since_s + parameters.settled_days * DAY_S if complete_since_s else 0
        self._first: Place | None = None
        self._came = self._left = 0
        self._moves: deque[Seen] = deque(maxlen=MAX_EARLY)

    def step(self, m: Seen, found: list[Finding]) -> None:
        p = self._p
        if self._old:
            return
        if self._first is None:
            self._first = Place(*m[:5])
        first = self._first
        if m.time_s > first.time_s + p.within_days * DAY_S or first.time_s < self._known_s:
            self._old = True
            return
        if m.value < 0:
            return
        self._moves.append(m)
        if m.direction != OUT:
            self._came += m.value
            return
        self._left += m.value
        if self._came >= p.floor and p.out_pm * self._came <= self._left * 1_000 <= 1_100 * self._came:
            figures = (
                ("came", self._came),
                ("left", self._left),
                ("floor", p.floor),
                ("age_s", m.time_s - first.time_s),
            )
            found.append(("/".join(map(str, first)), first.time_s, named(self._moves), (), figures))
