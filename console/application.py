"""The console as a part of an API's own server: under `/console`, with its files, its door and its pages."""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from console import casework, operator, regulator, reporting, tracing
from console.api import Api, Credentials
from console.casework import CaseworkPages
from console.frame import Frame, redirect
from console.live import Live, api_sources
from console.openid import Provider
from console.operator import Operations, OperatorPages
from console.regulator import RegulatorPages
from console.rendering import environment
from console.reporting import ReportingPages
from console.sessions import Sessions, sent_by_us
from console.signin import Door
from console.tracing import TracingPages
from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import Clock, SecretSource
from core.runtime.logging import get_logger
from core.runtime.version import VERSION

STATIC: Final = Path(__file__).resolve().parent / "static"
FILES: Final = ("console.css", "built/console.js", "built/charts.js", "built/graph.js", "built/verify.js")
PART: Final = re.compile(r"built/part-[a-z]+-[0-9A-Z]{8}\.js")
"""What `console/build.mjs` names the parts of a module, which it loads itself."""
GROUPS: Final = ("Today", "Movements", "Who and what", "Decisions", "Proof")
MENU: Final = tuple(
    sorted(
        (*regulator.PAGES[:1], *casework.PAGES, *tracing.PAGES, *reporting.PAGES, *regulator.PAGES[1:]),
        key=lambda page: GROUPS.index(page.group),
    )
)
A_DAY: Final = "public, max-age=86400"

log = get_logger("console")


class Outside:
    """The console's way out of the process: one HTTP client, from the application's start to its end."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Raise `RetryableError` before the start and after the end."""
        if self._session is None:
            raise RetryableError("the console is not there yet, or not any more: try again")
        return self._session

    async def opened(self, app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as self._session:
            yield
        self._session = None


def mount_console(
    app: web.Application,
    api_url: Callable[[], str],
    sessions: Sessions,
    clock: Clock,
    secrets: SecretSource,
    name: str,
    provider: Provider | None = None,
) -> None:
    """Serve the console under `/console` of a supervision API, if its scripts were built. People can sign in at a
    `provider`, if there is one."""
    missing = missing_files()
    if missing:
        log.warning("no console: build its scripts with `make console`", missing=missing)
        return
    app.add_subapp("/console", regulator_console(api_url, sessions, clock, secrets, name=name, provider=provider))

    async def to_console(request: web.Request) -> web.Response:
        return redirect("/console/")

    app.router.add_get("/console", to_console)


def missing_files() -> list[str]:
    """The files that have to be built and are not there."""
    return [one for one in FILES if not (STATIC / one).exists()]


def regulator_console(
    api_url: Callable[[], str],
    sessions: Sessions,
    clock: Clock,
    secrets: SecretSource,
    *,
    name: str,
    provider: Provider | None = None,
) -> web.Application:
    """The application to mount at `/console` of the supervision API, which answers at `api_url()` once it is served."""
    outside = Outside()
    api = Api(api_url, outside)
    frame = Frame(api, sessions, environment(VERSION), name, MENU)
    frame.live = live = Live(sessions, api_sources(api, clock), clock, secrets, "read")
    door = Door(frame, clock, secrets, outside, provider)
    app = web.Application()
    app.cleanup_ctx.append(outside.opened)
    app.on_shutdown.append(live.close)
    rooms = (RegulatorPages(frame), CaseworkPages(frame), TracingPages(frame), ReportingPages(frame))
    app.router.add_routes([*door.routes(), *(route for room in rooms for route in room.routes())])
    app.router.add_routes(
        [web.get("/verify", frame.verify), web.get("/live", live.stream), web.get("/static/{file:.+}", static_file)]
    )
    return app


def operator_console(
    operations: Operations,
    clock: Clock,
    secrets: SecretSource,
    *,
    name: str,
    admits: Callable[[web.Request], bool],
) -> web.Application:
    """The application to mount at `/console` on an operator's own machine. `admits` says who may enter.

    Raise `RejectedError` if its scripts were not built.
    """
    if missing := missing_files():
        raise RejectedError(f"the console's scripts are not there ({', '.join(missing)}): build them by `make console`")
    sessions = Sessions(clock, secrets, secure=False)
    frame = Frame(None, sessions, environment(VERSION), name, operator.PAGES)
    sources = operator.looking(operations, clock)
    frame.live = live = Live(sessions, sources, clock, secrets, None, frozenset({operator.KIND}))

    async def enter(request: web.Request) -> web.Response:
        if not admits(request):
            return frame.page("operator_enter.html", "Operator", request, None, 403)
        response = redirect("/console/")
        sessions.begin(response, "operator", Credentials.key(""), frozenset())
        return response

    async def out(request: web.Request) -> web.Response:
        session, response = sessions.find(request), redirect("/console/signin")
        if session is not None and sent_by_us(session, dict(await request.post())):
            sessions.end(request, response)
        return response

    async def door(request: web.Request) -> web.Response:
        return frame.page("operator_enter.html", "Operator", request, None)

    app = web.Application()
    app.on_shutdown.append(live.close)
    app.router.add_routes(OperatorPages(frame, operations).routes())
    app.router.add_routes([web.get("/enter", enter), web.get("/signin", door), web.post("/signout", out)])
    app.router.add_get("/live", live.stream)
    app.router.add_get("/static/{file:.+}", static_file)
    return app


async def static_file(request: web.Request) -> web.StreamResponse:
    """A file of ours, compressed if it was when it was built; others are not there."""
    name = request.match_info["file"]
    if name not in FILES and not (PART.fullmatch(name) and (STATIC / name).is_file()):
        raise web.HTTPNotFound()
    return web.FileResponse(STATIC / name, headers={"Cache-Control": A_DAY, "X-Content-Type-Options": "nosniff"})
