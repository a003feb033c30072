"""Ranges of blocks as a follower reads them: as many at once as the source gives in time, and some of them ahead.

The size doubles while ranges come, shrinks where one is refused for its length or does not come, and aims at a bounded
number of events, since a range is one transaction. Whether a range links to what is stored is for whoever uses it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.facts import Block
from core.model.ports import BlockSource
from core.model.types import ChainId, Height

T = TypeVar("T")

FIRST_RANGE: Final = 32
MAX_RANGE: Final = 512
"""Blocks asked for at once; adapters may allow fewer, and refusals shrink the range."""
IN_TIME_RANGES: Final = 16
"""How many ranges stay within what a source said that it gives in time; then more is tried, as it may have sped up."""
RANGE_EVENTS: Final = 10_000
"""Events that a range aims at; a range is one transaction."""
READ_AHEAD: Final = 2
"""Ranges that are read, and held in memory, while the one before them is committed."""
CALL_TIMEOUT_S: Final = 30.0
"""An endpoint that takes longer to answer one call counts as one that does not answer."""


def next_range(asked: int, most: int, events: int) -> int:
    """How many blocks to ask for after `asked` of them had `events`: twice as many, unless these may be too full."""
    return max(1, min(most, asked * 2, asked * RANGE_EVENTS // max(1, events)))


async def in_time(chain: ChainId, call: Awaitable[T]) -> T:
    """Await one call to an endpoint of this chain. Raise `RetryableError` after `CALL_TIMEOUT_S`."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            return await call
    except TimeoutError:
        raise RetryableError(f"an endpoint of {chain} did not answer within {CALL_TIMEOUT_S:.0f} s") from None


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A range that is being read before it is needed."""

    first: Height
    last: Height
    reading: asyncio.Task[Sequence[Block]]


class RangeReader:
    """Reads one chain's blocks. `size` is how many the next range asks for, `longest` the most that may be asked for:
    half of what was refused."""

    def __init__(self, chain: ChainId, blocks: BlockSource, max_range: int) -> None:
        self._chain = chain
        self._blocks = blocks
        self.size, self.longest = min(FIRST_RANGE, max_range), max_range
        self._in_time, self._in_time_for = max_range, 0
        self._ahead: deque[_Ahead] = deque()

    async def read(self, first: Height, last: Height) -> Sequence[Block]:
        """Return blocks from `first` on, up to `last` or fewer. The range grows when it succeeds; what is refused for
        its length is remembered as too long. Raise what the source raises, `RetryableError` for no blocks at all."""
        if last < first:
            raise RetryableError(f"{self._chain} ends at {last}, before {first}: an endpoint is behind")
        while True:
            last = Height(min(last, first + self.size - 1))
            try:
                branch = await in_time(self._chain, self._blocks.blocks(first, last))
                break
            except NotFoundError:
                raise
            except RejectedError as error:
                if first == last:
                    raise
                at_most = error.fields.get("at_most")
                if isinstance(at_most, int) and at_most <= last - first:
                    # For now: the source has learnt how much its endpoint gives in time.
                    self.size = self._in_time = max(1, at_most)
                    self._in_time_for = IN_TIME_RANGES
                else:
                    self.size = self.longest = (last - first + 1) // 2
            except RetryableError:
                self.size = max(1, self.size // 2)
                raise
        if last - first + 1 >= self.size:
            self._in_time_for -= 1
            most = self.longest if self._in_time_for < 0 else min(self.longest, self._in_time)
            self.size = next_range(self.size, most, sum(len(block.events) for block in branch))
        if [block.header.height for block in branch] != list(range(first, last + 1)):
            raise RetryableError(f"an endpoint of {self._chain} left out blocks of the range {first} to {last}")
        return branch

    def read_ahead(self, behind: Height, head: Height) -> None:
        """Begin to read what comes after `behind`, while that is committed. Whether it links is looked at when it is
        used, as with every range."""
        while len(self._ahead) < READ_AHEAD:
            first = Height((self._ahead[-1].last if self._ahead else behind) + 1)
            if first > head:
                return
            last = Height(min(head, first + self.size - 1))
            reading = asyncio.create_task(self.read(first, last), name=f"range ahead of {self._chain}")
            self._ahead.append(_Ahead(first, last, reading))

    async def taken(self, first: Height, last: Height) -> Sequence[Block]:
        """Return the blocks from `first` on: those that were read ahead, or read now. Raise as `read`."""
        if not self._ahead or self._ahead[0].first != first:
            await self.forget()
            return await self.read(first, last)
        reading = self._ahead.popleft().reading
        try:
            return await reading
        finally:
            # If the wait itself was cancelled, so is the reading.
            reading.cancel()

    async def forget(self) -> None:
        """End what is being read ahead."""
        if not self._ahead:
            return
        gone = [one.reading for one in self._ahead]
        self._ahead.clear()
        for reading in gone:
            reading.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
