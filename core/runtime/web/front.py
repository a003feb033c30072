"""A server that listens before its service is there, and after it has gone.

A daemon listens first, so that its operator can ask from the first moment on what it waits for. Until the service's own
application is shown, and whenever it is taken away, a stand-in answers: `/healthz` (the process is alive), `/readyz`
(503 with the reason), `/metrics`, and a 503 to everything else.

    front = Front()
    async with front.listening(name, metrics, clock, host, port):
        front.absent = Absence(STARTING, …)     # what the stand-in says
        await front.show(application)           # the service answers from now on
        await front.show(None)                  # and no more
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from core.runtime.clock import Clock
from core.runtime.metrics import Metrics
from core.runtime.signals import Signal
from core.runtime.version import VERSION
from core.runtime.web.application import Health, build_application, listening
from core.runtime.web.problems import RETRY_AFTER_S, Problem
from core.runtime.web.runner import Runner

STARTING: Final = "starting"
STANDING_BY: Final = "standing-by"
ENDED: Final = "ended"
_TITLES: Final = {STARTING: "Starting", STANDING_BY: "Standing by", ENDED: "Ended"}


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a service does not answer: one of the kinds above, a sentence, and by name what it waits for."""

    kind: str
    detail: str
    waits: Mapping[str, Any] = field(default_factory=dict)


class Front:
    """A server whose application is exchanged while it listens. `absent` is what the stand-in says; `scraped` counts
    how often the stand-in has shown the metrics."""

    def __init__(self) -> None:
        self.absent = Absence(STARTING, "it has just been started")
        self.scraped = Signal()
        self.url = ""
        self._runner: Runner | None = None

    async def show(self, app: web.Application | None) -> None:
        """Let `app` answer from now on, None the stand-in. The one before it is shut down; its sockets end."""
        if self._runner is not None:
            await self._runner.exchange(app)

    @asynccontextmanager
    async def listening(self, name: str, metrics: Metrics, clock: Clock, host: str, port: int) -> AsyncIterator[None]:
        """Listen while the block runs, with the stand-in to begin with. Raise as `serve`."""
        async with listening(self._stand_in(name, metrics, clock), host, port) as (self._runner, self.url):
            yield

    def _stand_in(self, name: str, metrics: Metrics, clock: Clock) -> web.Application:
        app = build_application(
            [],
            title=name,
            version=VERSION,
            metrics=metrics,
            clock=clock,
            health=self._alive,
            ready=self._ready,
            scraped=self.scraped,
        )
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _alive(self) -> Health:
        return Health(ok=self.absent.kind != ENDED, details={"state": self.absent.kind, "reason": self.absent.detail})

    async def _ready(self) -> Health:
        now = self.absent
        return Health(ok=False, details={"state": now.kind, "reason": now.detail, **now.waits})

    async def _answer(self, _: web.Request) -> web.StreamResponse:
        """Callers hear what it is, and not by which endpoints: those are the operator's."""
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        raise Problem(503, self.absent.kind, _TITLES[self.absent.kind], self.absent.detail, headers=headers)
