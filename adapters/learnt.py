"""A limit of an endpoint that its behaviour shows: how many calls it takes in a batch, how many blocks in a range.

What was refused is halved and remembered, the space between what works and what does not is searched, and seldom
something larger is tried again, because limits are lifted, too. Sentences are not needed for any of it.
"""

from collections.abc import Callable
from typing import Final

from core.runtime.clock import loop_time

PROBE_S: Final = 60.0
"""How long a learnt limit is kept before twice as much is tried once."""
MAX_PROBE_S: Final = 3_600.0
"""The wait doubles with each try that fails, up to this."""
SEARCH_SHARE: Final = 4
"""The search ends when the gap is less than this fraction (one over it) of what works."""


class LearntLimit:
    """At least 1 and at most `most`, with which it begins."""

    def __init__(self, most: int, clock: Callable[[], float] = loop_time) -> None:
        if most < 1:
            raise ValueError("a limit is at least 1")
        self.most = most
        self._clock = clock
        self._works = most
        self._shown = True
        """Return true if an answer of this size has come since it was halved."""
        self._answered = 0
        self._fails: int | None = None
        self._doubted: int | None = None
        self._wait_s = PROBE_S
        self._probe_at_s = 0.0

    @property
    def known(self) -> int:
        """The largest size that is thought to work."""
        return self._works

    def is_sure(self, size: int) -> bool:
        """Return true if an answer of this size has come. If not, one at a time should try: a refusal helps all."""
        return size <= self._answered

    def size(self) -> int:
        """How much to ask for now. It is below everything that was refused since the last try of something larger."""
        if self._works < self.most and self._clock() >= self._probe_at_s:
            self._fails = None
            self._works = min(self.most, self._works * 2)
            self._probe_at_s = self._clock() + PROBE_S
        if self._fails is None or not self._shown:
            return self._works
        gap = self._fails - self._works
        return self._works + gap // 2 if gap > max(1, self._works // SEARCH_SHARE) else self._works

    def took(self, size: int) -> None:
        """This much was answered."""
        self._answered = max(self._answered, size)
        if self._doubted is not None:
            doubted, self._doubted = self._doubted, None
            if size < doubted:
                self.refused(doubted)
        if self._fails is not None and size >= self._fails:
            self._fails = None
        if size >= self._works:
            self._works, self._shown = min(self.most, size), True
        if size == self.most:
            self._wait_s = PROBE_S

    def refused(self, size: int) -> None:
        """This much is too much. Nothing is learnt of a refusal of 1: that has other reasons."""
        if size <= 1 or (self._fails is not None and size >= self._fails):
            return
        if self._fails is None:
            self._probe_at_s = self._clock() + self._wait_s
            self._wait_s = min(MAX_PROBE_S, self._wait_s * 2)
        self._fails = size
        self._answered = min(self._answered, size - 1)
        if size <= self._works:
            self._works, self._shown = size // 2, False

    def doubted(self, size: int) -> None:
        """This much was not answered, which may have other reasons. It counts as refused once less is answered."""
        if size > 1 and (self._doubted is None or size < self._doubted):
            self._doubted = size
