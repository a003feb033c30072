"""What every page has: who is signed in, the menu, the API behind it, and how errors look."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment

from console.api import Api, ApiProblem
from console.sessions import Session, Sessions, sent_by_us
from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.runtime.logging import get_logger

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MAX_ASKED_CHARS: Final = 2_048

log = get_logger("console")


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of the menu, under the heading `group`. `scope`: who may not has none of it; None is for everybody."""

    path: str
    title: str
    scope: str | None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a signed-in person."""

    frame: "Frame"
    request: web.Request
    session: Session

    async def get(self, path: str, **asked: Any) -> dict[str, Any]:
        """As `Api.get`, with this person's credentials."""
        return await self.frame.api.get(path, self.session.credentials, **asked)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As `Api.post`, with this person's credentials."""
        return await self.frame.api.post(path, self.session.credentials, body)

    async def raw(self, path: str, **asked: Any) -> bytes:
        """As `get`, the bytes as they came."""
        return await self.frame.api.raw(path, self.session.credentials, **asked)

    async def follows(self) -> str:
        """Return the position at which a live page begins: ask before the questions that the page is made from."""
        return "" if self.frame.live is None else await self.frame.live.position(self.session)

    async def maybe(self, path: str, **asked: Any) -> dict[str, Any] | None:
        """As `get`; None if there is no such thing here, or this person may not see it."""
        try:
            return await self.get(path, **asked)
        except ApiProblem as error:
            if error.status not in (403, 404):
                raise
            return None

    async def file(self, path: str) -> bytes:
        """As `raw`, of an answer that is not JSON."""
        return await self.frame.api.file(path, self.session.credentials)

    def late(self, part: str) -> bool:
        """Return true if the page, which is there already, asks for this part of it alone."""
        return self.request.headers.get("HX-Target") == part

    def may(self, scope: str | None) -> bool:
        return scope is None or scope in self.session.scopes

    def asked(self, *names: str) -> dict[str, str]:
        """These query parameters of the page, as far as they are given."""
        found = ((name, self.request.query.get(name, "").strip()) for name in names)
        return {name: value[:MAX_ASKED_CHARS] for name, value in found if value}

    def page(self, template: str, title: str, **shown: Any) -> web.Response:
        return self.frame.page(template, title, self.request, self.session, **shown)


async def newest(visit: Visit, asked: Mapping[str, str]) -> str | None:
    """As `Visit.follows`; None for a page of a moment that is past, or of a list's older entries."""
    return None if "cursor" in asked or "as_of" in asked else await visit.follows()


def attachment(raw: bytes, name: str, kind: str = "application/json") -> web.Response:
    """An answer of the API's, byte for byte, as a file of this name."""
    kept = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=raw, content_type=kind, headers={**HEADERS, **kept})


def redirect(place: str) -> web.Response:
    """To a page of ours, by GET."""
    return web.Response(status=303, headers={"Location": place, "Cache-Control": "no-store"})


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Positions(Protocol):
    """Says where live pages begin (`console.live.Live`)."""

    async def position(self, session: Session) -> str: ...


class Frame:
    """The surroundings of all pages. `menu` is for those who are signed in."""

    def __init__(
        self, api: Api | None, sessions: Sessions, templates: Environment, name: str, menu: Sequence[Page]
    ) -> None:
        self._api = api
        self.sessions = sessions
        self._templates = templates
        self._name = name
        self._menu = menu
        self.live: Positions | None = None
        """Set by the application before it serves."""

    @property
    def api(self) -> Api:
        """Raise `RetryableError` for pages that have no API behind them."""
        if self._api is None:
            raise RetryableError("there is no API behind these pages")
        return self._api

    def page(
        self,
        template: str,
        title: str,
        request: web.Request,
        session: Session | None,
        http_status: int = 200,
        **shown: Any,
    ) -> web.Response:
        menu = [one for one in self._menu if session is not None and (one.scope is None or one.scope in session.scopes)]
        text = self._templates.get_template(template).render(
            title=title,
            brand=self._name,
            menu=menu,
            session=session,
            place=request.path,
            here=request.path_qs,
            query=request.query,
            **shown,
        )
        response = web.Response(text=text, content_type="text/html", status=http_status, headers=HEADERS)
        response.enable_compression()
        return response

    async def verify(self, request: web.Request) -> web.StreamResponse:
        """Evidence is checked in the browser: this page is for everybody, and the file never leaves it."""
        return self.page("verify.html", "Verify", request, self.sessions.find(request))

    def signed_in(self, page: Callable[[Visit], Awaitable[web.Response]]) -> Handler:
        """The page for people who are signed in; others are sent to the door, and back here afterwards."""

        async def handler(request: web.Request) -> web.StreamResponse:
            session = self.sessions.find(request)
            if session is None:
                return redirect(f"/console/signin?{urlencode({'then': request.path_qs})}")
            try:
                response = await page(Visit(self, request, session))
                # Asked afterwards: the API has logged by then what it refused.
                missing = self._missing_scope(request.path, session) if request.method == "GET" else None
                if missing is not None:
                    return self._trouble(request, session, 403, f"This page needs the scope {missing}.")
                return response
            except ApiProblem as error:
                if error.status == 401:
                    response = redirect("/console/signin?why=over")
                    self.sessions.end(request, response)
                    return response
                return self._trouble(request, session, error.status, str(error))
            except RetryableError as error:
                return self._trouble(request, session, 503, str(error))
            except NotFoundError as error:
                return self._trouble(request, session, 404, str(error))
            except RejectedError as error:
                return self._trouble(request, session, 422, str(error))
            except Exception as error:
                log.error("page failed", path=request.path, exc_info=error)
                return self._trouble(request, session, 500, "This page cannot be shown: it is a fault of the console.")

        return handler

    def act(self, work: Callable[[Visit, dict[str, str]], Awaitable[web.Response]]) -> Handler:
        """The handler of a form: one that a page of this session sent."""

        async def act(visit: Visit) -> web.Response:
            form = {name: str(value).strip() for name, value in (await visit.request.post()).items()}
            if not sent_by_us(visit.session, form):
                return self._trouble(
                    visit.request, visit.session, 403, "This form is not of your session: begin again."
                )
            return await work(visit, form)

        return self.signed_in(act)

    def _missing_scope(self, path: str, session: Session) -> str | None:
        """The scope that a page of the menu, or one below it, needs and this person lacks; the front page sends each
        person to a page of theirs."""
        place = path.removeprefix("/console/").partition("/")[0]
        scopes = [one.scope for one in self._menu if place and one.path == place and one.scope is not None]
        return next((scope for scope in scopes if scope not in session.scopes), None)

    def _trouble(self, request: web.Request, session: Session, status: int, why: str) -> web.Response:
        titles = {403: "Not for you", 404: "Not there", 422: "That cannot be", 500: "A fault of ours", 503: "Not now"}
        return self.page("trouble.html", titles.get(status, "Refused"), request, session, status, why=why)
