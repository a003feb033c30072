"""A regulator whose server answers as it likes, for as long as the story lasts: reports wait, and no swap may."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from core.runtime.clock import Clock
from relayer.notices.reports import TIMEOUT_S, ReportTarget

TARGET: Final = ReportTarget("http://regulator.invalid", "a key of the story")
STATUSES: Final = (201, 307, 400, 401, 429, 500, 503)


@dataclass(frozen=True, slots=True)
class _Content:
    raw: bytes

    async def read(self, most: int) -> bytes:
        """The beginning of it."""
        return self.raw[:most]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: _Content


class Regulator:
    """A stand-in for an `aiohttp.ClientSession`. `works` False: it never takes anything."""

    def __init__(self, clock: Clock, seed: str, works: bool, faults: Counter[str]) -> None:
        self._clock = clock
        self._source = random.Random(seed)
        self._works = works
        self._faults = faults

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Regulator"]:
        """As `relayer.notices.reports.http_session`."""
        yield self

    def post(self, url: str, **_request: Any) -> AbstractAsyncContextManager[_Answer]:
        """As a session's."""
        return self._answered()

    @asynccontextmanager
    async def _answered(self) -> AsyncIterator[_Answer]:
        draw = self._source.random()
        if draw < 0.15:
            self._faults["report-hangs"] += 1
            await self._clock.sleep(TIMEOUT_S)
            raise TimeoutError
        if draw < 0.3:
            self._faults["report-connection-lost"] += 1
            raise aiohttp.ServerDisconnectedError
        status = self._source.choice(STATUSES[1:] if not self._works else (201, *STATUSES))
        self._faults[f"report-{status}"] += 1
        yield _Answer(status, _Content(self._source.randbytes(4096)))
