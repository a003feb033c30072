"""A regulator's server, and a webhook's, that answer as they like for as long as the story lasts: what is sent to them
waits, and no swap may."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from core.model.errors import RetryableError
from core.runtime.clock import Clock
from relayer.notices.reports import TIMEOUT_S, ReportTarget
from relayer.notices.webhook_rows import WebhookTarget

TARGET: Final = ReportTarget("http://regulator.invalid", "a key of the story")
HOOK: Final = WebhookTarget("https://hook.invalid/", b"a webhook's secret in the story.")
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


@dataclass(frozen=True, slots=True)
class Posted:
    """A message as a webhook's server got it, at a time (Unix seconds), and its answer; None if none came back."""

    party: str
    at_s: float
    headers: Mapping[str, str]
    body: bytes
    status: int | None

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Regulator:
    """A stand-in for an `aiohttp.ClientSession`. `works` False: it never takes anything. `posted` is what its webhook
    got from `party`."""

    def __init__(
        self, clock: Clock, seed: str, works: bool, faults: Counter[str], posted: list[Posted], party: str, what: str
    ) -> None:
        self._posted = posted
        self._party = party
        self._what = what
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

    async def hook(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """As `relayer.notices.webhooks.guarded_post` posts."""
        status: int | None = None
        try:
            async with self._answered() as answer:
                status = answer.status
                return status
        except (TimeoutError, aiohttp.ClientError) as error:
            raise RetryableError("the webhook does not answer") from error
        finally:
            self._posted.append(Posted(self._party, self._clock.now(), dict(headers), body, status))

    @asynccontextmanager
    async def _answered(self) -> AsyncIterator[_Answer]:
        draw = self._source.random()
        if draw < 0.15:
            self._faults[f"{self._what}-hangs"] += 1
            await self._clock.sleep(TIMEOUT_S)
            raise TimeoutError
        if draw < 0.3:
            self._faults[f"{self._what}-connection-lost"] += 1
            raise aiohttp.ServerDisconnectedError
        status = self._source.choice(STATUSES[1:] if not self._works else (201, *STATUSES))
        self._faults[f"{self._what}-{status}"] += 1
        yield _Answer(status, _Content(self._source.randbytes(4096)))
