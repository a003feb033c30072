"""Who am I: what a token or key may, as the API itself sees it."""

import msgspec
from aiohttp import web

from core.runtime.web import CALLER, Problem, Route, respond
from regulator_api.access.scope import SCOPE


class MeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`jurisdictions` are ISO 3166 codes; null is all of them."""

    name: str
    scopes: list[str]
    jurisdictions: list[str] | None


async def get_me(request: web.Request) -> web.Response:
    caller, scope = request[CALLER], request[SCOPE]
    if not caller.by_key:
        raise Problem(401, "unauthorized", "Unauthorized", "Send an access token or an API key.")
    seen = None if scope.jurisdictions is None else sorted(scope.jurisdictions)
    return respond(MeAnswer(name=caller.name, scopes=sorted(scope.roles), jurisdictions=seen))


def routes() -> list[Route]:
    return [
        Route(
            "GET",
            "/v1/me",
            get_me,
            "Who the caller is, and what it may",
            answer=MeAnswer,
            problems=((401, "No credentials."),),
            tag="supervision",
        )
    ]
