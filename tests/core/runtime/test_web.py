"""The web room over real sockets: problems, bodies, keys, limits, pages, and the API's own description."""

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Annotated, Any, Literal

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa
from aiohttp import web

from core.model.errors import (
    CausewayError,
    ConflictError,
    FatalError,
    FencedError,
    GateClosedError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    ReorgedError,
    RetryableError,
    RevertedError,
)
from core.model.types import Preimage
from core.runtime.clock import ManualClock, SeededSecrets, SystemClock
from core.runtime.database import InlineDatabase
from core.runtime.metrics import Metrics
from core.runtime.web import (
    CALLER,
    REQUEST_ID,
    ApiKey,
    Health,
    KeyRing,
    Page,
    PageCursors,
    PageQuery,
    Places,
    RateLimit,
    RateLimiter,
    Route,
    after,
    build_application,
    docs_page,
    issue_key,
    openapi,
    read_body,
    read_query,
    respond,
    serve,
    streams,
)
from core.runtime.web.bodies import MAX_BODY_BYTES
from tests.openapi import assert_speaks_its_openapi


class Leg(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    chain: Annotated[str, msgspec.Meta(pattern="^[a-z0-9]+:[a-z0-9-]+$", max_length=40)]
    amount: Annotated[str, msgspec.Meta(pattern="^(0|[1-9][0-9]{0,77})$")]
    blocks: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    legs: Annotated[list[Leg], msgspec.Meta(min_length=1, max_length=2)]
    note: Annotated[str, msgspec.Meta(max_length=20)] | None = None


class Placed(msgspec.Struct, frozen=True):
    id: str
    legs: list[Leg]


class Item(msgspec.Struct, frozen=True):
    id: int
    name: str


class ItemQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: list[str] = msgspec.field(default_factory=list)
    even: bool | None = None


ERRORS: dict[str, Exception] = {
    "not-found": NotFoundError("no swap 7"),
    "conflict": ConflictError("this hashlock is used", hashlock=b"\x01\x02"),
    "gate-closed": GateClosedError("T_B − now > 9 does not hold", left=4, right=9),
    "not-yet-final": NotYetFinalError("2 blocks are missing"),
    "reverted": RevertedError("the chain refuses", reason="AlreadyLocked"),
    "rejected": RejectedError("wrong receiver", status=200, preimage=b"\x09" * 32),
    "unavailable": RetryableError("the endpoint is down"),
    "reorged": ReorgedError("the block was replaced"),
    "fatal": FatalError("the journal has a gap"),
    "fenced": FencedError("another process has taken over"),
    "bug": KeyError("hunter2"),
}


async def place(request: web.Request) -> web.Response:
    order = await read_body(request, Order)
    return respond(Placed(request[REQUEST_ID], order.legs), status=201)


async def fail(request: web.Request) -> web.Response:
    raise ERRORS.get(request.match_info["kind"]) or NotFoundError("no such error")


async def who(request: web.Request) -> web.Response:
    return respond({"name": request[CALLER].name})


async def echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


items = sa.Table("items", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
CURSORS = PageCursors(b"a key of sixteen bytes or more")


def listing(database: InlineDatabase) -> Any:
    async def items_page(request: web.Request) -> web.Response:
        query = read_query(request, ItemQuery)
        behind = CURSORS.open("items", query.cursor)
        columns = (items.c.name, items.c.id)
        select = sa.select(items).where(after(columns, behind)).order_by(*columns).limit(query.limit + 1)
        if query.name:
            select = select.where(items.c.name.in_(query.name))
        rows = await database.read(lambda c: [Item(row.id, row.name) for row in c.execute(select)])
        return respond(CURSORS.page("items", rows, query.limit, lambda item: (item.name, item.id)))

    return items_page


@asynccontextmanager
async def api(
    limiter: RateLimiter | None = None, health: Any = None, metrics: Metrics | None = None
) -> AsyncIterator[tuple[str, aiohttp.ClientSession, str]]:
    text, key = issue_key("dApp", ["read"], SeededSecrets(1))
    _, other = issue_key("nobody", [], SeededSecrets(2))
    database = InlineDatabase()
    await database.write(lambda c: items.create(c))
    rows = [{"id": number, "name": f"name {number % 7}"} for number in range(30)]
    await database.write(lambda c: c.execute(sa.insert(items), rows))
    app = build_application(
        [
            Route("POST", "/v1/orders", place, "Place an order", body=Order, answer=Placed, status=201),
            Route("GET", "/v1/errors/{kind}", fail, "Fail", problems=((409, "c"), (422, "r"))),
            Route("GET", "/v1/who", who, "Who calls", answer=dict[str, str], scope="read"),
            Route("GET", "/v1/admin", who, "Only for others", answer=dict[str, str], scope="write"),
            Route("GET", "/v1/items", listing(database), "A list", query=ItemQuery, answer=Page[Item]),
            Route("GET", "/v1/ws", echo, "Echo", websocket=True),
        ],
        title="Test",
        version="1",
        metrics=metrics or Metrics(),
        clock=SystemClock(),
        keys=KeyRing([other, key]),
        limiter=limiter,
        health=health,
    )
    async with serve(app, "127.0.0.1", 0) as address, aiohttp.ClientSession(address) as session:
        yield address, session, text
    await database.close()


async def problem(response: aiohttp.ClientResponse) -> dict[str, Any]:
    document = await response.json(content_type="application/problem+json")
    assert document["status"] == response.status
    assert document["type"].startswith("urn:causeway:problem:")
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == response.headers["X-Request-Id"]
    return dict(document)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("not-found", 404),
        ("conflict", 409),
        ("gate-closed", 409),
        ("not-yet-final", 409),
        ("reverted", 422),
        ("rejected", 422),
        ("unavailable", 503),
        ("reorged", 503),
        ("fenced", 503),
    ],
)
async def test_each_error_of_ours_has_its_problem_document(kind: str, status: int) -> None:
    async with api() as (_, session, _), session.get(f"/v1/errors/{kind}") as response:
        document = await problem(response)
        error = ERRORS[kind]
        assert isinstance(error, CausewayError)
        assert (response.status, document["type"]) == (status, f"urn:causeway:problem:{kind}")
        assert document["detail"] == error.message
        assert ("Retry-After" in response.headers) == isinstance(error, RetryableError | ReorgedError | FencedError)


async def test_fields_become_extensions_but_never_members_nor_secrets() -> None:
    async with api() as (_, session, _):
        async with session.get("/v1/errors/gate-closed") as response:
            document = await problem(response)
            assert (document["left"], document["right"]) == (4, 9)
        async with session.get("/v1/errors/conflict") as response:
            assert (await problem(response))["hashlock"] == "0x0102"
        async with session.get("/v1/errors/rejected") as response:
            assert (await problem(response))["preimage"] == "[hidden]"
            assert Preimage(b"\x09" * 32).expose().hex() not in await response.text()


@pytest.mark.parametrize("kind", ["fatal", "bug"])
async def test_internal_errors_reveal_nothing_of_themselves(kind: str) -> None:
    async with api() as (_, session, _), session.get(f"/v1/errors/{kind}") as response:
        document = await problem(response)
        assert (response.status, document["type"]) == (500, "urn:causeway:problem:internal")
        assert "hunter2" not in await response.text()
        assert "gap" not in await response.text()


GOOD = {"legs": [{"chain": "eip155:1", "amount": "5"}]}


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (b'{"legs": [', 400, None),
        (b"\xff\xfe", 400, None),
        (b"[" * 60_000, 422, "#"),
        (b"", 400, None),
        (b"[]", 422, "#"),
        (b"{}", 422, "#"),
        (b'{"legs": [{"chain": "eip155:1", "amount": "5", "blocks": 1.5}]}', 422, "#/legs/0/blocks"),
        (b'{"legs": [{"chain": "eip155:1", "amount": "5", "blocks": 1e300}]}', 422, "#/legs/0/blocks"),
        (b'{"legs": [{"chain": "eip155:1", "amount": "5", "blocks": 1.0}], "x": NaN}', 400, None),
        (b'{"legs": [{"chain": "eip155:1", "amount": "5", "blocks": 1.0, "blocks": 2}]}', 400, None),
        (msgspec.json.encode({**GOOD, "extra": 1}), 422, "#"),
        (msgspec.json.encode({"legs": []}), 422, "#/legs"),
        (msgspec.json.encode({"legs": [GOOD["legs"][0], {"chain": "eip155:1", "amount": 5}]}), 422, "#/legs/1/amount"),
        (msgspec.json.encode({"legs": [{"chain": "eip155:1", "amount": "05"}]}), 422, "#/legs/0/amount"),
        (b" " * (MAX_BODY_BYTES + 1), 413, None),
    ],
)
async def test_wrong_body_is_refused_with_its_pointer(body: bytes, status: int, pointer: str | None) -> None:
    headers = {"Content-Type": "application/json"}
    async with api() as (_, session, _), session.post("/v1/orders", data=body, headers=headers) as response:
        document = await problem(response)
        assert response.status == status
        if pointer is not None:
            assert [error["pointer"] for error in document["errors"]] == [pointer]
            assert document["errors"][0]["detail"]


@pytest.mark.parametrize("written", ["3", "3.0", "3e0", "0.3e1"])
async def test_integer_is_taken_however_json_writes_it(written: str) -> None:
    body = f'{{"legs": [{{"chain": "eip155:1", "amount": "5", "blocks": {written}}}]}}'.encode()
    headers = {"Content-Type": "application/json"}
    async with api() as (_, session, _), session.post("/v1/orders", data=body, headers=headers) as response:
        assert response.status == 201
        assert (await response.json())["legs"][0]["blocks"] == 3


async def test_a_right_body_is_taken_and_another_content_type_refused() -> None:
    async with api() as (_, session, _):
        headers = {"X-Request-Id": "my-request-1"}
        async with session.post("/v1/orders", json=GOOD, headers=headers) as response:
            assert response.status == 201
            assert await response.json() == {"id": "my-request-1", **GOOD}
            assert response.headers["X-Request-Id"] == "my-request-1"
        async with session.post("/v1/orders", data=b"a=1", headers={"Content-Type": "text/plain"}) as response:
            assert response.status == 415
            assert "application/json" in (await problem(response))["detail"]
        async with session.post("/v1/orders", json=GOOD, headers={"X-Request-Id": "bad id\t!"}) as response:
            assert len((await response.json())["id"]) == 16


async def test_unknown_paths_methods_and_long_paths() -> None:
    metrics = Metrics()
    async with api(metrics=metrics) as (_, session, _):
        async with session.get("/v1/nothing") as response:
            assert response.status == 404
            assert (await problem(response))["type"].endswith("no-route")
        async with session.delete("/v1/orders") as response:
            assert response.status == 405
            assert response.headers["Allow"] == "POST"
            assert (await problem(response))["type"].endswith("method-not-allowed")
        async with session.get("/v1/items", params={"name": "x" * 3_000}) as response:
            assert response.status == 414
            await problem(response)
    assert metrics.value("http_requests_total", route="none", method="GET", status="404") == 1
    assert metrics.value("http_requests_total", route="/v1/orders", method="DELETE", status="405") is None


async def test_keys_open_what_their_scopes_name() -> None:
    async with api() as (_, session, text):
        async with session.get("/v1/who") as response:
            assert response.status == 401
            assert "X-API-Key" in response.headers["WWW-Authenticate"]
            await problem(response)
        async with session.get("/v1/who", headers={"X-API-Key": text + "x"}) as response:
            assert response.status == 401
            assert text not in await response.text()
        async with session.get("/v1/admin", headers={"X-API-Key": text}) as response:
            assert response.status == 403
            assert (await problem(response))["scope"] == "write"
        async with session.get("/v1/who", headers={"X-API-Key": text}) as response:
            assert await response.json() == {"name": "dApp"}


def test_a_key_is_kept_as_its_hash_only() -> None:
    text, key = issue_key("a", ["read"], SeededSecrets(3))
    assert text not in repr(key)
    assert len(text) > 40
    assert KeyRing([key]).find(text) == key
    assert KeyRing([key]).find("") is None
    for wrong in ([key, key], [ApiKey("b", "00", frozenset())], [ApiKey("b", "G" * 64, frozenset())]):
        with pytest.raises(RejectedError):
            KeyRing(wrong)


async def test_callers_are_limited_one_by_one_and_recover() -> None:
    clock = ManualClock()
    limiter = RateLimiter(RateLimit(per_second=0.5, burst=2), clock)
    async with api(limiter) as (_, session, text):
        statuses = []
        for _ in range(3):
            async with session.get("/v1/who") as response:
                statuses.append(response.status)
        assert statuses == [401, 401, 429]
        assert response.headers["Retry-After"] == "2"
        async with session.get("/v1/who", headers={"X-API-Key": text}) as response:
            assert response.status == 200
        async with session.get("/healthz") as response:
            assert response.status == 200
        await clock.advance(2)
        async with session.get("/v1/who") as response:
            assert response.status == 401
        async with session.get("/v1/who") as response:
            assert response.status == 429
            assert (await problem(response))["retry_after_s"] == 2


async def test_a_list_pages_through_every_row_once() -> None:
    async with api() as (_, session, _):
        seen: list[tuple[str, int]] = []
        params: dict[str, str] = {"limit": "4"}
        for _ in range(8):
            async with session.get("/v1/items", params=params) as response:
                page = await response.json()
            seen += [(item["name"], item["id"]) for item in page["items"]]
            if page["next"] is None:
                break
            params["cursor"] = page["next"]
        assert len(seen) == 30
        assert seen == sorted(set(seen))
        async with session.get("/v1/items", params=[("name", "name 1"), ("name", "name 2")]) as response:
            assert {item["name"] for item in (await response.json())["items"]} == {"name 1", "name 2"}


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "x"},
        {"colour": "red"},
        {"cursor": "AAAA"},
        {"cursor": "ä"},
        {"even": "null"},
        {"even": "NULL"},
        {"limit": "1_0"},
        {"limit": "٥"},
        {"limit": "5\n"},
        {"limit": " 5"},
    ],
)
async def test_a_wrong_query_is_refused(params: dict[str, str]) -> None:
    async with api() as (_, session, _), session.get("/v1/items", params=params) as response:
        assert response.status == 422
        await problem(response)


async def test_a_scalar_given_twice_is_refused() -> None:
    async with api() as (_, session, _), session.get("/v1/items?limit=1&limit=2") as response:
        assert response.status == 422
        assert "limit is given more than once" in (await problem(response))["detail"]


def test_cursors_are_sealed_for_their_list() -> None:
    sealed = CURSORS.seal("items", ("a", 7, b"\x01"))
    assert CURSORS.open("items", sealed) == ["a", 7, b"\x01"]
    for listing_name, cursor in (("others", sealed), ("items", sealed[:-2]), ("items", "A" * 60), ("items", "")):
        with pytest.raises(RejectedError, match="begin again"):
            CURSORS.open(listing_name, cursor)
    with pytest.raises(RejectedError):
        PageCursors(b"another key, also long").open("items", sealed)


async def test_descending_pages_go_on_below() -> None:
    database = InlineDatabase()
    await database.write(lambda c: items.create(c))
    await database.write(lambda c: c.execute(sa.insert(items), [{"id": n, "name": "x"} for n in range(5)]))
    query = sa.select(items.c.id).where(after((items.c.name, items.c.id), ["x", 3], descending=True))
    found = await database.read(lambda c: list(c.execute(query.order_by(items.c.id.desc())).scalars()))
    assert found == [2, 1, 0]
    await database.close()


async def test_websockets_answer_and_plain_requests_are_refused() -> None:
    async with api() as (_, session, _):
        async with session.ws_connect("/v1/ws") as websocket:
            await websocket.send_str("hello")
            assert await websocket.receive_str(timeout=5) == "hello"
        async with session.get("/v1/ws") as response:
            assert response.status == 426
            await problem(response)


HANDSHAKE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
HANDSHAKE_KEY = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        *(("/v1/ws", name, 426) for name in (*HANDSHAKE, *HANDSHAKE_KEY)),
        ("/v1/ws", "Sec-WebSocket-Protocol", 101),
        *((path, "Expect", 417) for path in ("/v1/ws", "/v1/items", "/nowhere")),
        *(("/v1/items", name, 200) for name in ("Upgrade", "Connection", "Origin", "Cookie", "X-Request-Id")),
        ("/v1/who", "Authorization", 401),
        ("/v1/items", "Host", 400),
    ],
)
@pytest.mark.parametrize("value", [b"\x80", b"a\xc3\xa9", b"a\xff\xfe"])
async def test_header_beyond_ascii_is_never_a_server_fault(path: str, name: str, status: int, value: bytes) -> None:
    headers = {"Host": "x", **(HANDSHAKE | HANDSHAKE_KEY if path == "/v1/ws" else {}), name: ""}
    async with api() as (address, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
        lines = [f"{one}: {given}".encode() + (value if one == name else b"") for one, given in headers.items()]
        writer.write(b"\r\n".join([f"GET {path} HTTP/1.1".encode(), *lines, b"", b""]))
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n")
        writer.transport.abort()
    assert head.split()[1] == str(status).encode()


async def test_health_and_metrics() -> None:
    healthy = asyncio.Event()

    async def health() -> Health:
        return Health(ok=healthy.is_set(), details={"relayer": "backing-off"})

    async with api(health=health) as (_, session, _):
        async with session.get("/healthz") as response:
            assert response.status == 503
            assert (await problem(response))["relayer"] == "backing-off"
        healthy.set()
        async with session.get("/healthz") as response:
            assert await response.json() == {"ok": True, "details": {"relayer": "backing-off"}}
        async with session.get("/metrics") as response:
            assert (
                'causeway_http_requests_total{method="GET",route="/healthz",status="503"} 1.0' in await response.text()
            )


async def test_a_port_that_is_taken_is_fatal_and_names_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(FatalError, match=f"cannot listen on 127.0.0.1:{port}.*choose another port"):
            async with serve(web.Application(), "127.0.0.1", port):
                pass


def test_every_member_of_an_answer_is_required_in_its_schema() -> None:
    class Part(msgspec.Struct, frozen=True):
        name: str = ""

    class Answered(msgspec.Struct, frozen=True):
        parts: list[Part] = []
        next: str | None = None

    class Asked(msgspec.Struct, frozen=True):
        parts: list[str] = []
        note: str | None = None

    class Query(msgspec.Struct, frozen=True):
        name: str
        kind: Literal["one", "two"] | None = None

    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    routes = [
        Route("POST", "/v1/a/{id:[0-9a-f]{4}}", handler, "A", body=Asked, answer=Answered),
        Route("GET", "/v1/b", handler, "B", query=Query, answer=Answered, or_answer=Part),
    ]
    document = openapi(routes, title="", version="")
    schemas = document["components"]["schemas"]
    assert (schemas["Answered"]["required"], schemas["Part"]["required"]) == (["parts", "next"], ["name"])
    assert schemas["Asked"]["required"] == []
    assert "default" not in schemas["Asked"]["properties"]["note"]
    assert document["paths"]["/v1/a/{id}"]["post"]["parameters"][0]["schema"]["pattern"] == "^[0-9a-f]{4}$"
    asked = document["paths"]["/v1/b"]["get"]
    assert asked["parameters"][1] == {
        "name": "kind",
        "in": "query",
        "required": False,
        "schema": {"enum": ["one", "two"]},
    }
    answered = asked["responses"]["200"]["content"]["application/json"]["schema"]
    assert [one["$ref"].rsplit("/", 1)[1] for one in answered["anyOf"]] == ["Answered", "Part"]


async def test_the_description_is_openapi_and_true() -> None:
    async with api() as (address, session, text):
        async with session.get("/openapi.json") as response:
            document = await response.json()
        assert document["openapi"] == "3.1.0"
        assert set(document["paths"]) >= {"/v1/orders", "/v1/errors/{kind}", "/v1/items", "/healthz"}
        assert [p["name"] for p in document["paths"]["/v1/items"]["get"]["parameters"]] == [
            "limit",
            "cursor",
            "name",
            "even",
        ]
        assert document["paths"]["/v1/who"]["get"]["security"] == [{"apiKey": []}]
        del document["paths"]["/v1/errors/{kind}"]
        assert await assert_speaks_its_openapi(address, {"X-API-Key": text}) >= 6


class Marked(HTMLParser):
    """The ids, links and tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids, self.links, self.tags = set[str](), set[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert name in {"href", "id", "class", "lang", "charset", "name", "content"}
            if name == "id":
                self.ids.add(str(value))
            if name == "href":
                self.links.add(str(value))


async def test_page_shows_every_call_and_type_and_fetches_nothing() -> None:
    async with api() as (_, session, _):
        async with session.get("/openapi.json") as response:
            document = await response.json()
        async with session.get("/docs") as response:
            assert (response.status, response.content_type) == (200, "text/html")
            policy = response.headers["Content-Security-Policy"]
            text = await response.text()
        async with session.head("/docs") as response:
            assert response.status == 200
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    digest = base64.b64encode(hashlib.sha256(text.partition("<style>")[2].partition("</style>")[0].encode()).digest())
    assert digest.decode() in policy
    found = Marked()
    found.feed(text)
    operations = {one["operationId"] for methods in document["paths"].values() for one in methods.values()}
    types = {f"type-{name}" for name in document["components"]["schemas"]}
    assert found.ids == operations | types
    assert found.links == {"openapi.json"} | {"#" + one for one in operations} | (
        found.links & {"#" + t for t in types}
    )
    assert not found.tags & {"script", "link", "img", "iframe", "form"}


def test_page_escapes_what_the_document_says() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    route = Route("GET", "/v1/a", handler, "<script>alert(1)</script>", description="a & b")
    text = docs_page.page(openapi([route], title="<b>", version="1", description="<i>"))
    assert "<script>" not in text
    assert "<b>" not in text
    assert "a &amp; b" in text


def test_places_are_bounded_for_each_client_and_in_all() -> None:
    places = Places("sockets", 3, 2)
    with places.taken("a"), places.taken("a"):
        with pytest.raises(RetryableError, match="2 sockets of one client"), places.taken("a"):
            pass
        with places.taken("b"), pytest.raises(RetryableError, match="3 sockets in all"), places.taken("c"):
            pass
        with places.taken("c"):
            pass
    with places.taken("a"), places.taken("a"):
        pass


@pytest.mark.parametrize(
    "fault", [RetryableError("the database is locked"), NotFoundError("gone"), ValueError("a bug")]
)
async def test_stream_that_fails_ends_its_connection(fault: Exception) -> None:
    """Its head is sent: a problem behind it would be a second answer, and a client would wait for ever."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await streams.begin(request)
        await streams.write(response, streams.event("first", 1, b"{}"))
        raise fault

    route = Route("GET", "/v1/stream", handler, "A stream", answer=str)
    app = build_application([route], title="t", version="1", metrics=Metrics(), clock=SystemClock())
    async with serve(app, "127.0.0.1", 0) as address, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
        writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: a\r\n\r\n")
        got = b""
        try:
            while part := await reader.read(4_096):
                got += part
        except ConnectionResetError:
            pass
        writer.close()
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"event: first" in got
    assert got.count(b"HTTP/1.1") == 1
    assert not got.endswith(b"0\r\n\r\n")  # which would say that the stream is whole
