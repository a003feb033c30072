"""An aiohttp application from routes: request ids, problem documents, API keys and rate limits for all of them.

It adds `/healthz` (the process is alive), `/readyz` (it can do its work), `/metrics` and `/openapi.json`.
"""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from core.model.errors import FatalError
from core.runtime.callers import KeyRing, client_of
from core.runtime.clock import Clock
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.signals import Signal
from core.runtime.web import docs_page, streams
from core.runtime.web.auth import Callers, KeyCallers, require_scope
from core.runtime.web.bodies import MAX_BODY_BYTES, respond
from core.runtime.web.connections import has_left, opens_websocket
from core.runtime.web.cors import Cors
from core.runtime.web.limits import RateLimiter
from core.runtime.web.openapi import openapi
from core.runtime.web.problems import Problem, allowed_methods, problem_of
from core.runtime.web.routes import CALLER, DEPRECATED, REQUEST_ID, Handler, Route
from core.runtime.web.runner import Runner

MAX_PATH_CHARS: Final = 2_048
SHUTDOWN_S: Final = 3.0
"""How long open requests may take to end when the service stops."""
_GIVEN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

log = get_logger("core.runtime.web")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`details` says of each part how it is: an operator's first look."""

    ok: bool
    details: dict[str, Any] = {}


def build_application(
    routes: Sequence[Route],
    *,
    title: str,
    version: str,
    metrics: Metrics,
    clock: Clock,
    keys: KeyRing | None = None,
    callers: Callers | None = None,
    refused: Callable[[web.Request, Problem], Awaitable[None]] | None = None,
    limiter: RateLimiter | None = None,
    health: Callable[[], Awaitable[Health]] | None = None,
    ready: Callable[[], Awaitable[Health]] | None = None,
    scraped: Signal | None = None,
    description: str = "",
    cors: Cors | None = None,
) -> web.Application:
    """The application that serves `routes` and the service paths.

    Every error leaves as a problem document, and every response carries `X-Request-Id` (the caller's own if it is
    8 to 64 letters, digits, `-`, `_`). Routes with a scope answer 401 to all if `keys` is None; `callers` are for other
    credentials than keys. `refused` hears of scoped requests that are refused before their handler. `limiter` counts
    by API key, or by address; the service paths are not counted. `cors` says which pages may call, None lets none.
    `ready` answers `/readyz`, which is not there without it; `scraped` counts the answers of `/metrics`.
    """
    service = _service_routes(metrics, health, ready, scraped)
    every = [*routes, *service]
    known = callers or KeyCallers(keys or KeyRing())
    document = openapi(every, title=title, version=version, description=description, bearer=known.bearer)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_answering(metrics, clock), _path_limit])
    app.on_response_prepare.append(_naming(cors or Cors()))
    counted = limiter.take if limiter is not None else None
    for route in every:
        guarded = _guarded(route, known, None if route in service else counted, refused)
        app.router.add_route(route.method, route.path, guarded)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, guarded)
    app.router.add_get("/openapi.json", _json_handler(document))
    app.router.add_get("/docs", _page_handler(document))
    return app


@asynccontextmanager
async def serve(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve `app` while the block runs; gives its address, such as `http://127.0.0.1:8080`. Port 0 takes a free one.

    Raise `FatalError` if the port is taken or may not be used.
    """
    async with listening(app, host, port) as (_, url):
        yield url


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[tuple[Runner, str]]:
    """As `serve`, with the runner, whose application may be exchanged."""
    runner = Runner(app, SHUTDOWN_S)
    try:
        try:
            actual_host, actual_port = await runner.listen(host, port)
        except OSError as error:
            raise FatalError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; choose another port, or stop the process "
                "that uses it"
            ) from error
        yield runner, f"http://{f'[{actual_host}]' if ':' in actual_host else actual_host}:{actual_port}"
    finally:
        await runner.cleanup()


def _service_routes(
    metrics: Metrics,
    health: Callable[[], Awaitable[Health]] | None,
    ready: Callable[[], Awaitable[Health]] | None,
    scraped: Signal | None,
) -> list[Route]:
    async def healthz(_: web.Request) -> web.Response:
        found = await health() if health is not None else Health(ok=True)
        if not found.ok:
            raise Problem(503, "unhealthy", "Not healthy", "A part of the service does not work.", **found.details)
        return respond(found)

    async def exposition(_: web.Request) -> web.Response:
        body, content_type = metrics.exposition()
        if scraped is not None:
            scraped.notify()
        return web.Response(body=body, headers={"Content-Type": content_type})

    routes = [
        Route("GET", "/healthz", healthz, "Whether the process is alive", answer=Health, tag="service"),
        Route(
            "GET",
            "/metrics",
            exposition,
            "Metrics as Prometheus reads them",
            answer=str,
            content_type="text/plain",
            tag="service",
        ),
    ]
    return routes if ready is None else [*routes, _readiness(ready)]


def _readiness(ready: Callable[[], Awaitable[Health]]) -> Route:
    async def readyz(_: web.Request) -> web.Response:
        found = await ready()
        if not found.ok:
            raise Problem(503, "not-ready", "Not ready", "Something is missing: the members say what.", **found.details)
        return respond(found)

    problems = ((503, "Something is missing: the members say what."),)
    return Route(
        "GET", "/readyz", readyz, "Whether it can do its work", answer=Health, problems=problems, tag="service"
    )


def _json_handler(document: Mapping[str, Any]) -> Handler:
    body = msgspec.json.encode(document)

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return handler


def _page_handler(document: Mapping[str, Any]) -> Handler:
    body = docs_page.page(document).encode()

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=docs_page.HEADERS)

    return handler


def _guarded(
    route: Route,
    callers: Callers,
    count: Callable[[str], None] | None,
    refused: Callable[[web.Request, Problem], Awaitable[None]] | None,
) -> Handler:
    """The route's handler behind the rate limit and the scope, in this order for strangers: guessing keys counts."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if route.deprecated is not None:
            request[DEPRECATED] = route.deprecated
        try:
            caller = request[CALLER] = await callers.caller_of(request)
        except Problem:
            if count is not None:
                count(client_of(request.remote))
            raise
        try:
            if count is not None:
                count(caller.id)
            if route.scope is not None:
                require_scope(caller, route.scope, request, callers)
        except Problem as problem:
            if refused is not None and route.scope is not None:
                await refused(request, problem)
            raise
        if route.websocket and (request.method == "HEAD" or not opens_websocket(request)):
            raise Problem(
                426,
                "not-a-websocket",
                "This path speaks WebSocket",
                "Open it with a WebSocket client.",
                headers={"Upgrade": "websocket", "Connection": "Upgrade"},
            )
        return await route.handler(request)

    return handler


def _answering(metrics: Metrics, clock: Clock) -> Any:
    counted = metrics.counter("http_requests_total", "HTTP requests", ["route", "method", "status"])
    took = metrics.histogram("http_request_seconds", "How long HTTP requests took", ["route"])

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = _request_id(request)
        request[REQUEST_ID] = request_id
        started = clock.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = await _answer(request, handler, request_id)
        resource = request.match_info.route.resource
        # Only routes of ours label a metric, never a path that somebody made up.
        place = resource.canonical if resource is not None else "none"
        method = request.method if request.method in _METHODS else "other"
        counted.labels(place, method, str(response.status)).inc()
        took.labels(place).observe(clock.monotonic() - started)
        return response

    return middleware


def _naming(cors: Cors) -> Any:
    """The headers of every response, also of those that are sent piece by piece: for `on_response_prepare`."""

    async def name(request: web.Request, response: web.StreamResponse) -> None:
        if REQUEST_ID in request:  # not if it was refused before it came to the application
            response.headers["X-Request-Id"] = request[REQUEST_ID]
        if DEPRECATED in request:
            response.headers.update(request[DEPRECATED].headers)
        origin = request.headers.get("Origin")
        response.headers.update(cors.headers(origin))
        if request.method == "OPTIONS" and "Allow" in response.headers:
            response.headers.update(cors.preflight(origin, response.headers["Allow"]))

    return name


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


async def _answer(request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except (web.HTTPMethodNotAllowed, web.HTTPNotFound) as error:
        if request.method == "OPTIONS":
            if isinstance(error, web.HTTPMethodNotAllowed):
                return web.Response(status=204, headers={"Allow": f"{allowed_methods(error)}, OPTIONS"})
            if request.path == "*":  # the server as a whole (RFC 9110 section 9.3.7)
                return web.Response(status=204, headers={"Allow": "GET, HEAD, POST, OPTIONS"})
        return problem_of(error).response(request_id)
    except Exception as error:
        if isinstance(error, ConnectionError) and has_left(request):
            log.info("client left", method=request.method, path=request.path)
            return _CLIENT_LEFT.response(request_id)
        problem = problem_of(error)
        if problem.kind in ("internal", FatalError.code):
            log.error("request failed", method=request.method, path=request.path, exc_info=error)
        elif problem is not error:
            log.info("request refused", method=request.method, path=request.path, kind=problem.kind, detail=str(error))
        if streams.BEGUN in request:
            streams.drop(request)
            return request[streams.BEGUN]
        return problem.response(request_id)


_CLIENT_LEFT: Final = Problem(400, "client-left", "The client left", "The connection ended before the request did.")
"""Nobody reads it; the metrics count it."""


@web.middleware
async def _path_limit(request: web.Request, handler: Handler) -> web.StreamResponse:
    if len(request.path_qs) > MAX_PATH_CHARS:
        raise Problem(414, "path-too-long", "Path too long", f"At most {MAX_PATH_CHARS} characters.")
    return await handler(request)


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    # Names a log line and nothing else, so it needs no injected source.
    return given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
