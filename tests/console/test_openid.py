"""Sign-in at an identity provider: each role gets in by the devnet's own, and every forged way in stays shut."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http.cookies import Morsel
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from console import openid
from console.application import regulator_console
from console.openid import BACK, MAX_AGE_S, RETRY_S, Discovery, Registration
from console.sessions import COOKIE, Sessions
from console.signin import STATE_COOKIE, WAITS_S
from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import Clock, ManualClock, SystemClock, SystemSecrets
from core.runtime.database import open_database
from core.runtime.sockets import HOST, free_port
from core.runtime.web import serve
from gateway.config import TokensConfig
from gateway.devnet.provider import CODE_S, DevnetProvider, Person
from gateway.regulator_setup import ROLES_OF_CLIENTS
from gateway.sign_in import provider_at
from gateway.supervision import issuer_key_set
from regulator_api.access.callers import Tokens
from regulator_api.access.keys import FixedKeys, parse_keys
from regulator_api.access.tokens import TokenRules
from tests.regulator_api.access import issuer
from tests.regulator_api.api import prepare, serving

SEED = b"\x05" * 32
CLIENT = "causeway-console"
AUDIENCE = "supervision"
PEOPLE = {name: Person(name, scopes) for name, scopes in ROLES_OF_CLIENTS.items()}


def registration(at: str, redirect: str, secret: str | None = None) -> Registration:
    return Registration(name="a test", issuer=at, client_id=CLIENT, redirect=redirect, audience=AUDIENCE, secret=secret)


@asynccontextmanager
async def console_at(port: int, api: str, at: str, clock: Clock) -> AsyncIterator[str]:
    """A console over the API `api`, whose people sign in at the provider `at`."""
    secrets = SystemSecrets()
    made = registration(at, f"http://{HOST}:{port}{BACK}")
    sessions = Sessions(clock, secrets, made.is_secure)
    app = web.Application()
    pages = regulator_console(lambda: api, sessions, clock, secrets, name="a test", provider=provider_at(made, clock))
    app.add_subapp("/console", pages)
    async with serve(app, HOST, port) as address:
        yield address


class Browser:
    """A browser that follows no redirect by itself. `why`: what the door says, None if it lets somebody in."""

    def __init__(self, session: aiohttp.ClientSession, console: str) -> None:
        self._session, self.console = session, console

    async def goes(self, url: str | URL) -> tuple[int, str]:
        async with self._session.get(url, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location", "")

    async def starts(self) -> URL:
        """Begin to sign in; return where the person is sent."""
        status, place = await self.goes(f"{self.console}/console/signin/start?then=/console/swaps")
        assert status == 303
        return URL(place)

    async def chooses(self, asked: URL, person: str) -> URL:
        """Press a button of the provider's page; return where that leads."""
        async with self._session.get(asked) as page:
            assert f'value="{person}"' in await page.text()
        form = {**asked.query, "person": person}
        async with self._session.post(asked.with_query(None), data=form, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            return URL(answer.headers["Location"], encoded=True)

    async def why(self, back: str | URL) -> str | None:
        status, place = await self.goes(back)
        assert status == 303
        assert place.startswith("/console/"), "nobody is sent elsewhere"
        return parse_qs(urlsplit(place).query).get("why", [None])[0]

    @property
    def jar(self) -> list[Morsel[str]]:
        return list(self._session.cookie_jar)

    @property
    def cookies(self) -> set[str]:
        return {one.key for one in self.jar}

    def put(self, name: str, value: str) -> None:
        self._session.cookie_jar.update_cookies({name: value}, URL(self.console + BACK))


@asynccontextmanager
async def browsing(console: str) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session, console)


@dataclass(slots=True)
class Place:
    """The devnet's provider, the supervision API that takes its tokens, and a console."""

    provider: str
    console: str
    clock: ManualClock


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    clock, port, console = ManualClock(SystemClock().now()), free_port(), free_port()
    at = f"http://{HOST}:{port}"
    tokens = TokensConfig(at, AUDIENCE, max_life_s=600)
    provider = DevnetProvider(SEED, tokens, PEOPLE, CLIENT, f"http://{HOST}:{console}{BACK}", 600, clock)
    database = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    taken = Tokens(TokenRules(at, AUDIENCE), FixedKeys(parse_keys(issuer_key_set(SEED))), {})
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        await prepare(database)
        await stack.enter_async_context(provider.served(port))
        api = await stack.enter_async_context(serving(database, [], SystemClock(), taken))
        address = await stack.enter_async_context(console_at(console, api.address, at, clock))
        yield Place(at, address, clock)


@pytest.fixture
async def browser(place: Place) -> AsyncIterator[Browser]:
    async with browsing(place.console) as made:
        yield made


@pytest.mark.parametrize("person", PEOPLE)
async def test_each_role_signs_in_as_itself(place: Place, browser: Browser, person: str) -> None:
    asked = await browser.starts()
    assert asked.query["code_challenge_method"] == "S256"
    assert asked.query["redirect_uri"] == place.console + BACK
    status, landed = await browser.goes(await browser.chooses(asked, person))
    assert (status, landed) == (303, "/console/swaps")
    assert browser.cookies == {COOKIE}
    scopes = PEOPLE[person].scopes
    for path, scope in (("log", "audit"), ("cases", "cases"), ("cases/one", "cases"), ("trace", "trace")):
        status, _ = await browser.goes(f"{place.console}/console/{path}")
        assert (status == 403) == (scope not in scopes), path


async def test_forged_responses_admit_nobody(place: Place, browser: Browser) -> None:
    """A state that nobody gave out or that comes twice, another browser's, another issuer's, a refusal."""
    good = await browser.chooses(await browser.starts(), "analyst")
    assert await browser.why(good.update_query(state="x" * 43)) == "old"
    async with browsing(place.console) as other:
        await other.starts()
        assert await other.why(good) == "old", "a response that another browser fetched"
    again = await browser.chooses(await browser.starts(), "analyst")
    assert await browser.why(f"{again}&state={again.query['state']}") == "old"
    for change in ({"iss": "https://evil.example"}, {"iss": ""}, {"error": "access_denied"}, {"code": ""}):
        answer = await browser.chooses(await browser.starts(), "analyst")
        assert await browser.why(answer.update_query(change)) == "provider", change
    answer = await browser.chooses(await browser.starts(), "analyst")
    assert await browser.why(answer.without_query_params("iss")) == "provider", "RFC 9207: it says that it names itself"
    assert COOKIE not in browser.cookies


async def test_response_counts_once_and_in_time(place: Place, browser: Browser) -> None:
    good = await browser.chooses(await browser.starts(), "analyst")
    assert await browser.why(good) is None
    assert await browser.why(good) == "old"
    fresh = await browser.starts()
    spent = fresh.update_query(code=good.query["code"], iss=place.provider, state=fresh.query["state"])
    replayed = URL(place.console + BACK).with_query({name: spent.query[name] for name in ("code", "iss", "state")})
    assert await browser.why(replayed) == "provider", "a code that was used, in a sign-in of the same browser"
    late = await browser.chooses(await browser.starts(), "analyst")
    await place.clock.advance(WAITS_S + 1)
    assert await browser.why(late) == "old"


async def test_sign_ins_that_others_begin_take_no_place(place: Place, browser: Browser) -> None:
    mine = await browser.chooses(await browser.starts(), "analyst")
    async with browsing(place.console) as stranger:
        for _ in range(1_001):
            await stranger.starts()
    assert await browser.why(mine) is None


async def test_cookie_of_a_sign_in_says_nothing_and_cannot_be_made(place: Place, browser: Browser) -> None:
    asked = await browser.starts()
    [cookie] = browser.jar
    assert asked.query["nonce"] not in cookie.value
    good = await browser.chooses(asked, "analyst")
    for forged in ("", "x", "\u00e9", cookie.value[:-2], cookie.value.swapcase(), "A" * 4_000):
        browser.put(STATE_COOKIE, forged)
        assert await browser.why(good) == "old"
    browser.put(STATE_COOKIE, cookie.value)
    assert await browser.why(good) is None


async def test_code_of_another_sign_in_is_refused(place: Place, browser: Browser) -> None:
    """A code that somebody else's verifier, or nonce, belongs to (code injection)."""
    async with browsing(place.console) as thief:
        stolen = await thief.chooses(await thief.starts(), "officer")
        mine = await browser.starts()
        injected = stolen.update_query(state=mine.query["state"])
        assert await browser.why(injected) == "provider"
    asked = await browser.starts()
    other_nonce = await browser.chooses(asked.update_query(nonce="n" * 43), "officer")
    assert await browser.why(other_nonce) == "provider"
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://evil.example/console/signin/back"},
        {"redirect_uri": "http://127.0.0.1:1/console/signin/back"},
        {"client_id": "another"},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"nonce": ""},
        {"state": "s" * 600},
        {"scope": "profile"},
    ],
)
async def test_devnet_provider_takes_exact_requests_alone(
    place: Place, browser: Browser, change: dict[str, str]
) -> None:
    asked = (await browser.starts()).update_query(change)
    assert await browser.goes(asked) == (400, "")
    async with aiohttp.ClientSession() as session:
        form = {**asked.query, "person": "analyst"}
        async with session.post(asked.with_query(None), data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers.get("Location")) == (400, None)


@pytest.mark.parametrize(
    "change", [{"code_verifier": "v" * 43}, {"redirect_uri": "https://evil.example/"}, {"client_id": "another"}, {}]
)
async def test_devnet_provider_gives_a_code_out_once(place: Place, browser: Browser, change: dict[str, str]) -> None:
    """Whoever takes a code without its verifier, or for another redirect, gets nothing, and uses the code up."""
    asked = await browser.starts()
    verifier = "w" * 43
    challenge = openid.authorization_url(registration(place.provider, "x"), METADATA, "s", "n", verifier)
    asked = asked.update_query(code_challenge=URL(challenge).query["code_challenge"])
    code = (await browser.chooses(asked, "analyst")).query["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": CLIENT,
        "redirect_uri": place.console + BACK,
        "code_verifier": verifier,
    }
    if not change:
        await place.clock.advance(CODE_S + 1)
    async with aiohttp.ClientSession() as session:
        for sent in (form | change, form):
            async with session.post(f"{place.provider}/token", data=sent) as answer:
                assert answer.status == 400
                assert await answer.json() == {"error": "invalid_grant"}


# --- a provider that lies ---------------------------------------------------------------------------------------------

AT = issuer.ISSUER
METADATA = openid.Metadata(
    issuer=AT, authorization_endpoint=f"{AT}/authorize", token_endpoint=f"{AT}/token", jwks_uri=f"{AT}/keys"
)
NOW_S = issuer.NOW_S
NONCE = "the-nonce"
GOOD: dict[str, Any] = {
    "aud": CLIENT,
    "nonce": NONCE,
    "client_id": None,
    "scope": None,
    "jurisdictions": None,
    "sub": "a person",
}


def id_token(key: Any = issuer.KEY, algorithm: str = "EdDSA", kid: str = "ed", typ: str = "JWT", **changes: Any) -> str:
    return issuer.token(key, algorithm, kid, {"typ": typ}, **(GOOD | changes))


async def checked(token: str) -> str:
    """As the door does it: by the key that the token names."""
    key = await FixedKeys(parse_keys(issuer.key_set())).find(openid.key_id_of(token))
    if key is None:
        raise RejectedError("unknown key")
    registered = registration(AT, "https://console.example" + BACK)
    return openid.check_id_token(token, key, registered, nonce=NONCE, access_token="at", now_s=NOW_S)


def unsigned(algorithm: str) -> str:
    payload = {name: value for name, value in issuer.claims(**GOOD).items() if value is not None}
    return issuer.forged({"alg": algorithm, "kid": "ed", "typ": "JWT"}, payload)


@pytest.mark.parametrize(
    "token",
    [
        id_token(),
        id_token(issuer.RSA_KEY, "RS256", "rsa"),
        id_token(issuer.EC_KEY, "ES256", "ec"),
        id_token(aud=[CLIENT, "other"], azp=CLIENT),
        id_token(at_hash=openid._half_hash("EdDSA", "at")),
        id_token(exp=NOW_S - openid.LEEWAY_S + 1, iat=NOW_S - 60),
        id_token(iat=NOW_S + openid.LEEWAY_S),
    ],
)
async def test_id_token_of_this_sign_in_is_taken(token: str) -> None:
    assert await checked(token) == "a person"


@pytest.mark.parametrize(
    "token",
    [
        unsigned("none"),
        unsigned("EdDSA"),
        unsigned("HS256"),
        id_token("k" * 64, "HS256"),
        id_token(issuer.OTHER),
        id_token(kid="unknown"),
        id_token(issuer.EC_KEY, "ES256", "ed"),
        id_token(typ="at+jwt"),
        id_token(nonce="another"),
        id_token(nonce=None),
        id_token(aud="another"),
        id_token(aud=[CLIENT, "other"]),
        id_token(aud=[CLIENT, "other"], azp="other"),
        id_token(azp="other"),
        id_token(iss="https://evil.example"),
        id_token(iss=AT + "/"),
        id_token(exp=NOW_S - openid.LEEWAY_S),
        id_token(iat=NOW_S + openid.LEEWAY_S + 1),
        id_token(nbf=NOW_S + openid.LEEWAY_S + 1),
        id_token(iat=NOW_S - MAX_AGE_S - openid.LEEWAY_S - 1),
        id_token(at_hash=openid._half_hash("EdDSA", "another")),
        id_token(sub=""),
        id_token(exp="soon"),
        id_token(extra="x" * openid.MAX_TOKEN_CHARS),
        issuer.token(headers={"crit": ["exp"], "typ": "JWT"}, **GOOD),
        "a.b",
        "é.b.c",
        "",
    ],
)
async def test_other_id_tokens_are_refused(token: str) -> None:
    with pytest.raises(RejectedError):
        await checked(token)


class Crooked:
    """A provider whose token endpoint answers as it is set, and the API behind the console, which takes any token."""

    def __init__(self) -> None:
        self.status = 200
        self.raw = b"{}"
        self.discovered: dict[str, Any] = {}
        self.asked: list[str] = []
        """The credentials that came to the API."""

    def app(self) -> web.Application:
        app = web.Application()
        routes = [
            web.get(openid.WELL_KNOWN, self._discovery),
            web.get("/keys", self._keys),
            web.post("/token", self._token),
            web.get("/v1/me", self._me),
        ]
        app.router.add_routes(routes)
        return app

    def gives(self, token: str, **changes: Any) -> None:
        self.raw = json.dumps({"access_token": "at", "token_type": "Bearer", "id_token": token} | changes).encode()

    async def _discovery(self, request: web.Request) -> web.Response:
        at = f"http://{request.host}"
        endpoints = {"authorization_endpoint": f"{at}/authorize?tenant=1", "token_endpoint": f"{at}/token"}
        return web.json_response({"issuer": at, **endpoints, "jwks_uri": f"{at}/keys", **self.discovered})

    async def _keys(self, _: web.Request) -> web.Response:
        return web.Response(body=issuer.key_set())

    async def _token(self, _: web.Request) -> web.Response:
        return web.Response(body=self.raw, status=self.status, headers={"Location": "/elsewhere"})

    async def _me(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers["Authorization"])
        return web.json_response({"name": "somebody", "scopes": ["read"]})


@pytest.fixture
async def crooked() -> AsyncIterator[tuple[Crooked, Browser, str]]:
    made, clock, port = Crooked(), ManualClock(NOW_S), free_port()
    async with (
        serve(made.app(), HOST, 0) as at,
        console_at(port, at, at, clock) as console,
        browsing(console) as browser,
    ):
        yield made, browser, at


async def answered(browser: Browser, crooked: Crooked, at: str, answer: dict[str, Any], **changes: Any) -> str | None:
    """Sign in at a provider that gives an id token of these claims, and an answer with these changes."""
    asked = await browser.starts()
    assert asked.query["tenant"] == "1", "the endpoint's own parameters stay"
    crooked.gives(id_token(**({"iss": at, "nonce": asked.query["nonce"]} | answer)), **changes)
    return await browser.why(f"{browser.console}{BACK}?code=c&state={asked.query['state']}")


async def test_lying_provider_gets_nobody_to_the_api(crooked: tuple[Crooked, Browser, str]) -> None:
    made, browser, at = crooked
    for answer in (
        {"nonce": "another"},
        {"aud": "another"},
        {"iss": AT},
        {"exp": NOW_S - 60, "iat": NOW_S - 120},
        {"key": issuer.OTHER},
        {"kid": "unknown"},
    ):
        assert await answered(browser, made, at, answer) == "provider", answer
    for changes in (
        {"id_token": unsigned("none")},
        {"id_token": None},
        {"access_token": ""},
        {"access_token": "a\r\nX-Purpose: b"},
        {"token_type": "mac"},
        {"padding": "x" * 300_000},
    ):
        assert await answered(browser, made, at, {}, **changes) == "provider", changes
    for status in (302, 400, 500):
        made.status = status
        assert await answered(browser, made, at, {}) == "provider"
    assert made.asked == []
    assert COOKIE not in browser.cookies
    made.status = 200
    assert await answered(browser, made, at, {}) is None
    assert made.asked == ["Bearer at"]


@pytest.mark.parametrize(
    "found",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"token_endpoint": "https://me@evil.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://evil.example/#"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"code_challenge_methods_supported": ["plain"]},
        {"padding": "x" * 300_000},
    ],
)
async def test_bad_discovery_document_sends_nobody_away(
    crooked: tuple[Crooked, Browser, str], found: dict[str, Any]
) -> None:
    made, browser, _ = crooked
    made.discovered = found
    assert await browser.why(f"{browser.console}/console/signin/start") == "absent"
    assert STATE_COOKIE not in browser.cookies


async def test_discovery_is_asked_seldom_and_kept() -> None:
    clock, asked, good = ManualClock(), [0], [False]

    async def fetch(url: str) -> bytes:
        asked[0] += 1
        assert url == AT + openid.WELL_KNOWN
        if not good[0]:
            raise RetryableError("away")
        return json.dumps({"issuer": AT, "authorization_endpoint": AT, "token_endpoint": AT, "jwks_uri": AT}).encode()

    discovery = Discovery(AT, fetch, clock)
    for _ in range(3):
        with pytest.raises(RetryableError):
            await discovery.metadata()
    assert asked[0] == 1
    await clock.advance(RETRY_S)
    good[0] = True
    for _ in range(3):
        assert (await discovery.metadata()).issuer == AT
    assert asked[0] == 2


def test_secret_goes_as_the_provider_takes_it() -> None:
    registered = registration(AT, "https://console.example" + BACK, secret="a b:c")
    assert "a b" not in repr(registered)
    form, headers = openid.token_request(registered, METADATA, "code", "verifier")
    assert "client_secret" not in form
    assert headers["Authorization"] == "Basic Y2F1c2V3YXktY29uc29sZTphK2IlM0Fj"
    posting = openid.parsed_metadata(
        json.dumps(
            {
                "issuer": AT,
                "authorization_endpoint": AT,
                "token_endpoint": AT,
                "jwks_uri": AT,
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
        ).encode(),
        AT,
    )
    form, headers = openid.token_request(registered, posting, "code", "verifier")
    assert (form["client_secret"], "Authorization" in headers) == ("a b:c", False)
