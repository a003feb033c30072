"""The port through which a client asks: at once, in time, and by following; and chains of one's own behind it."""

import math
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from core.model.errors import CausewayError, RejectedError
from core.model.ports import Prover
from core.model.questions import Answer, Evidence
from core.model.types import Height
from core.model.uris import Asked
from core.runtime.clock import Clock, SystemClock
from queries.together import Answered, ask_together
from relayer.asking import query
from relayer.asking.query import MAX_EVIDENCE_BYTES, Standing
from relayer.client.api import error_of

LOOK_S: Final = 1.0
FAILING_S: Final = 30.0
"""How long endpoints may fail before whoever follows hears of it."""

Placed = tuple[int, Answered]
"""An answer, and the place of its question, counted from 0."""


class ClientProver(Protocol):
    """Answers several questions. What it answers is verified before it is believed."""

    async def together(self, asked: Sequence[Asked], trusted: Height | None) -> list[Answered]:
        """As of one height per chain, now: as `queries.together.ask_together`."""

    def in_time(self, asked: Sequence[Asked], trusted: Height | None, open_s: float) -> AsyncIterator[Placed]:
        """Each question's answer when it can be proven, or why it never was; all of them within `open_s` seconds, as
        of one height per chain."""

    def follow(
        self, asked: Sequence[Asked], trusted: Height | None, every_s: int, lasts_s: float
    ) -> AsyncIterator[Placed]:
        """The newest answer to each question, then again each time that it changes, for `lasts_s` seconds; at most
        every `every_s` seconds."""


class LocalProver:
    """`ClientProver` over a prover of one's own, such as that of the chains themselves: it is asked again and again."""

    def __init__(self, prover: Prover, clock: Clock | None = None) -> None:
        self._prover = prover
        self._clock = clock or SystemClock()

    async def together(self, asked: Sequence[Asked], trusted: Height | None) -> list[Answered]:
        return await ask_together(self._prover, asked, trusted)

    async def in_time(self, asked: Sequence[Asked], trusted: Height | None, open_s: float) -> AsyncIterator[Placed]:
        deadline_s = math.ceil(self._clock.now() + max(1, open_s))
        parts = list(query.begin(asked, b"", deadline_s, self._now_s()))
        while waiting := query.wanted(parts):
            found = await self.together([one for _, one in waiting], trusted)
            for (place, _), answer in zip(waiting, found, strict=True):
                part = parts[place] = query.answer(parts[place], answer, self._now_s(), MAX_EVIDENCE_BYTES)
                if part.standing is Standing.ANSWERED:
                    yield place, answer
                elif part.standing is not Standing.WAITING:
                    yield place, error_of(part.problem, part.detail)
            if query.wanted(parts):
                await self._clock.sleep(LOOK_S)

    async def follow(
        self, asked: Sequence[Asked], trusted: Height | None, every_s: int, lasts_s: float
    ) -> AsyncIterator[Placed]:
        until = self._clock.monotonic() + lasts_s
        said, failing = dict[int, Answer | str](), dict[int, float]()
        while self._clock.monotonic() < until:
            now = self._clock.monotonic()
            for place, found in enumerate(await self.together(asked, trusted)):
                if isinstance(found, Evidence):
                    failing.pop(place, None)
                elif not isinstance(found, RejectedError) and now - failing.setdefault(place, now) < FAILING_S:
                    continue
                news = found.code if isinstance(found, CausewayError) else found.answer
                if said.get(place) != news:
                    said[place] = news
                    yield place, found
            await self._clock.sleep(every_s)

    def _now_s(self) -> int:
        return int(self._clock.now())
