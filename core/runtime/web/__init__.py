"""The parts that all our HTTP APIs share: routes that describe themselves, problem documents, keys, limits, pages.

routes = [Route("GET", "/v1/chains", list_chains, "The chains", answer=list[ChainView], scope="read")]
app = build_application(routes, title="Causeway relayer", version="0.1.0", metrics=metrics, clock=clock)
async with serve(app, "127.0.0.1", 8080) as address: ...
"""

from core.runtime.callers import ApiKey, Caller, KeyRing, client_of, issue_key
from core.runtime.web.application import Health, build_application, serve
from core.runtime.web.auth import Callers
from core.runtime.web.bodies import read_body, read_bytes, read_flag, read_query, read_sent, respond
from core.runtime.web.connections import has_left, opens_websocket, sending
from core.runtime.web.cors import ANYBODY, Cors
from core.runtime.web.crowd import ConnectionLimits
from core.runtime.web.front import Absence, Front
from core.runtime.web.limits import Places, RateLimit, RateLimiter
from core.runtime.web.openapi import openapi
from core.runtime.web.pages import Page, PageCursors, PageQuery, after, after_named, key_values
from core.runtime.web.problems import Problem, problem_of
from core.runtime.web.routes import CALLER, REQUEST_ID, Deprecation, Flag, Handler, Route
from core.runtime.web.runner import Runner
from core.runtime.web.turns import Entrance, Turns

__all__ = [
    "ANYBODY",
    "CALLER",
    "REQUEST_ID",
    "Absence",
    "ApiKey",
    "Caller",
    "Callers",
    "ConnectionLimits",
    "Cors",
    "Deprecation",
    "Entrance",
    "Flag",
    "Front",
    "Handler",
    "Health",
    "KeyRing",
    "Page",
    "PageCursors",
    "PageQuery",
    "Places",
    "Problem",
    "RateLimit",
    "RateLimiter",
    "Route",
    "Runner",
    "Turns",
    "after",
    "after_named",
    "build_application",
    "client_of",
    "has_left",
    "issue_key",
    "key_values",
    "openapi",
    "opens_websocket",
    "problem_of",
    "read_body",
    "read_bytes",
    "read_flag",
    "read_query",
    "read_sent",
    "respond",
    "sending",
    "serve",
]
