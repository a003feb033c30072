"""A server's connections: each wait for a client ends, newcomers are served, what is not HTTP is refused in words."""

import asyncio
import gzip
import io
import random
import re
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import msgspec
import pytest
import structlog
from aiohttp import web

from core.runtime.callers import client_of
from core.runtime.clock import SystemClock
from core.runtime.logging import configure_logging
from core.runtime.metrics import Metrics
from core.runtime.web import Route, bodies, build_application, connections, read_body, respond, serve
from core.runtime.web.bodies import MAX_BODY_BYTES
from core.runtime.web.crowd import RESERVED_FILES, ConnectionLimits
from tests.support import eventually


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    a: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    note: str = ""


def application(*routes: Route) -> web.Application:
    async def place(request: web.Request) -> web.Response:
        return respond(await read_body(request, Body))

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(64 << 20))

    async def socket(request: web.Request) -> web.StreamResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            await answer.send_str(message.data)
        return answer

    every = [
        Route("POST", "/v1/x", place, "Place", body=Body, answer=Body),
        Route("GET", "/v1/large", large, "Large"),
        Route("GET", "/v1/ws", socket, "Echo", websocket=True),
        *routes,
    ]
    return build_application(every, title="Test", version="1", metrics=Metrics(), clock=SystemClock())


@asynccontextmanager
async def serving(*routes: Route) -> AsyncIterator[int]:
    async with serve(application(*routes), "127.0.0.1", 0) as address:
        yield int(address.rpartition(":")[2])


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit in tenths of seconds, in the order that the real ones have."""
    for module, name, seconds in (
        (connections, "HEADERS_S", 0.5),
        (connections, "KEEP_ALIVE_S", 1.5),
        (connections, "ANSWER_S", 0.8),
        (connections, "LINGER_S", 0.2),
        (bodies, "BODY_S", 1.0),
    ):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Yield what is logged at the level of a daemon, whatever level other tests have set."""
    before = structlog.get_config()
    configure_logging("info", stream=io.StringIO())
    with structlog.testing.capture_logs() as entries:
        yield entries
    structlog.configure(**before)


async def end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def said(port: int, *parts: bytes, pause_s: float = 0.05, wait_s: float = 5.0) -> bytes:
    """Send the parts one after another, and return what came back before the server ended the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()

    async def receive() -> None:
        with suppress(ConnectionError):
            while part := await reader.read(65_536):
                received.extend(part)

    receiving = asyncio.create_task(receive())
    try:
        for part in parts:
            if receiving.done():
                break
            with suppress(ConnectionError):
                writer.write(part)
                await writer.drain()
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(wait_s):
            await receiving
        return bytes(received)
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await end(writer)


def problem(raw: bytes) -> dict[str, Any]:
    """The problem document of a raw answer, which is the last one of its connection."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    document = msgspec.json.decode(body)
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == document["request_id"]
    assert int(lines[0].split(" ")[1]) == document["status"]
    return dict(document)


POST = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.usefixtures("short_waits")
async def test_silent_connection_is_closed() -> None:
    async with serving() as port:
        assert await said(port) == b""


@pytest.mark.usefixtures("short_waits")
async def test_headers_without_end_are_refused() -> None:
    async with serving() as port:
        assert problem(await said(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n"))["status"] == 408
        drip = [b"GET /healthz HTTP/1.1\r\n", *(b"X-%d: y\r\n" % number for number in range(40))]
        found = problem(await said(port, *drip))
        assert found["type"] == "urn:causeway:problem:headers-too-slow"


@pytest.mark.usefixtures("short_waits")
async def test_slow_body_is_refused() -> None:
    async with serving() as port:
        drip = [POST + b"Content-Length: 1000\r\n\r\n", *([b"1"] * 40)]
        assert problem(await said(port, *drip))["type"] == "urn:causeway:problem:body-too-slow"
        chunked = [POST + b"Transfer-Encoding: chunked\r\n\r\n", *([b"1\r\n1\r\n"] * 40)]
        assert problem(await said(port, *chunked))["type"] == "urn:causeway:problem:body-too-slow"


@pytest.mark.usefixtures("short_waits")
async def test_body_that_nobody_reads_holds_no_connection() -> None:
    async with serving() as port:
        answer = await said(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", *([b"1"] * 40))
        assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("short_waits")
async def test_idle_connection_is_closed_after_its_answers() -> None:
    async with serving() as port:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        answers = await said(port, request, request, pause_s=0.4)
        assert answers.count(b"HTTP/1.1 200") == 2, "a pause between two requests is not a fault"
        late = await said(port, request, b"GET /healthz HT", pause_s=0.2)
        assert late.count(b"HTTP/1.1") == 2
        assert b"headers-too-slow" in late


@pytest.mark.usefixtures("short_waits")
async def test_answer_that_nobody_takes_is_given_up() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(1.5)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(64 << 20)
        await end(writer)


@pytest.mark.usefixtures("short_waits")
async def test_websocket_outlives_the_limits_of_requests() -> None:
    async with serving() as port, aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"http://127.0.0.1:{port}/v1/ws")
        await asyncio.sleep(2.0)
        await socket.send_str("still here")
        assert await socket.receive_str(timeout=5) == "still here"
        await socket.close()


@pytest.mark.usefixtures("short_waits")
async def test_half_a_next_request_cuts_no_answer_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", 10.0)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(b"GET /v1/large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(b"GET /healthz HT")
        await asyncio.sleep(0.8)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(64 << 20) == bytes(64 << 20)
        await end(writer)


SERVER = """
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
from tests.core.runtime.test_connections import application
from core.runtime.web import serve
async def main():
    async with serve(application(), "127.0.0.1", 0) as address:
        print(address, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def poor_server(tmp_path: Path) -> Iterator[int]:
    """The port of a server in a process of its own that may open 96 files. Its log has no error in the end."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=file, stderr=file)
    try:
        give_up = time.monotonic() + 60
        while b"\n" not in log.read_bytes():
            assert time.monotonic() < give_up, "the server does not start"
            time.sleep(0.05)
        yield int(log.read_text().partition("\n")[0].rpartition(":")[2])
    finally:
        process.kill()
        process.wait()
    assert "error" not in log.read_text()
    assert "Traceback" not in log.read_text()


CROWDS = {
    "silent": b"",
    "headers": b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
    "idle": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "body": POST + b"Content-Length: 100\r\n\r\n{",
}


@pytest.mark.parametrize("first", CROWDS.values(), ids=CROWDS)
async def test_health_is_answered_while_150_connections_stand(poor_server: int, first: bytes) -> None:
    crowd = []
    try:
        for _ in range(150):
            _, writer = await asyncio.open_connection("127.0.0.1", poor_server)
            crowd.append(writer)
            writer.write(first)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
            for _ in range(3):
                async with session.get(f"http://127.0.0.1:{poor_server}/healthz") as response:
                    assert response.status == 200
    finally:
        for writer in crowd:
            await end(writer)


async def test_busy_connections_are_kept_and_newcomers_refused(poor_server: int) -> None:
    allowed = 10
    async with aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(f"http://127.0.0.1:{poor_server}/v1/ws") for _ in range(allowed)]
        found = problem(await said(poor_server))
        assert (found["status"], found["type"]) == (503, "urn:causeway:problem:too-many-connections")
        for socket in sockets:
            await socket.send_str("kept")
            assert await socket.receive_str(timeout=5) == "kept"
        await sockets[0].close()

        async def served() -> bool:
            with suppress(aiohttp.ClientError):
                async with session.get(f"http://127.0.0.1:{poor_server}/healthz") as response:
                    return response.status == 200
            return False

        assert await eventually(served)
        for socket in sockets[1:]:
            await socket.close()


def test_limits_follow_the_files_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def limits(files: int) -> ConnectionLimits:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
        return ConnectionLimits.of_process()

    assert limits(96) == ConnectionLimits(21, 10, 8)
    assert limits(1_024) == ConnectionLimits(640, 320, 8)
    assert limits(1 << 20) == limits(resource.RLIM_INFINITY) == ConnectionLimits(1_000, 500, 8)
    for files in range(76, 3_000):
        found = limits(files)
        assert found.total + found.accepts <= files - RESERVED_FILES
        assert 0 < found.per_client <= found.total


def test_client_is_an_address_or_a_network_of_ipv6() -> None:
    assert client_of("192.0.2.1") == client_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:ffff:ffff:ffff%eth0")
    assert client_of("2001:db8::1") != client_of("2001:db8:0:1::1")
    assert client_of(None) == client_of("") == client_of("/tmp/socket") == "unknown"


async def test_head_answers_as_get_without_a_body() -> None:
    async with serving() as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for path in ("/healthz", "/metrics", "/openapi.json", "/v1/large"):
            async with session.head(path) as response:
                assert response.status == 200, path
                assert await response.read() == b""
            assert int(response.headers["Content-Length"]) > 0
        async with session.head("/v1/ws", headers=UPGRADE) as response:
            assert response.status == 426
        async with session.head("/v1/x") as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
        async with session.head("/nothing") as response:
            assert response.status == 404


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_options_names_the_methods_of_a_path() -> None:
    async with serving() as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for path, allowed in (("/v1/x", "POST, OPTIONS"), ("/healthz", "GET, HEAD, OPTIONS")):
            async with session.options(path) as response:
                assert (response.status, response.headers["Allow"]) == (204, allowed)
                assert response.headers["X-Request-Id"]
        async with session.options("/nothing") as response:
            assert response.status == 404
            assert response.content_type == "application/problem+json"
        assert b"HTTP/1.1 204" in await said(port, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def packed(body: bytes) -> bytes:
    """Gzip without the time of day, so that test names are the same in every process."""
    return gzip.compress(body, mtime=0)


DOCUMENT = b'{"a":1}'


def bare_deflate(raw: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(raw) + stream.flush()


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", packed(DOCUMENT), 200),
        ("GZip", packed(DOCUMENT), 200),
        ("x-gzip", packed(DOCUMENT[:3]) + packed(DOCUMENT[3:]), 200),
        ("deflate", zlib.compress(DOCUMENT), 200),
        ("deflate", bare_deflate(DOCUMENT), 200),
        ("identity", DOCUMENT, 200),
        ("gzip, identity", packed(DOCUMENT), 200),
        ("gzip", DOCUMENT, 400),
        ("gzip", b"", 400),
        ("gzip", packed(DOCUMENT)[:-9], 400),
        ("gzip", packed(DOCUMENT)[:-1] + b"x", 400),
        ("gzip", packed(DOCUMENT) + b"rest", 400),
        ("gzip", packed(b"") * 40 + packed(DOCUMENT), 400),
        ("deflate", DOCUMENT, 400),
        ("br", b"\x0b\x03\x80" + DOCUMENT + b"\x03", 415),
        ("zstd", DOCUMENT, 415),
        ("x-foo", DOCUMENT, 415),
        ("gzip, gzip", packed(packed(DOCUMENT)), 415),
        ("ge\u00f6", DOCUMENT, 415),
        ("gzip", packed(bytes(50 << 20)), 413),
        ("deflate", zlib.compress(bytes(50 << 20)), 413),
        ("gzip", packed(b" " * (MAX_BODY_BYTES - 7) + DOCUMENT), 200),
        ("gzip", packed(b" " * (MAX_BODY_BYTES - 6) + DOCUMENT), 413),
    ],
)
async def test_body_is_what_its_coding_says_or_refused(coding: str, body: bytes, status: int) -> None:
    async with serving() as port:
        head = POST + b"Content-Encoding: %s\r\nContent-Length: %d\r\n" % (coding.encode("latin-1"), len(body))
        raw = await said(port, head + b"Connection: close\r\n\r\n" + body)
        if status == 200:
            assert raw.startswith(b"HTTP/1.1 200")
            assert raw.endswith(DOCUMENT)
        else:
            assert problem(raw)["status"] == status


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json; charset=UTF-8", DOCUMENT, 200),
        ("application/json; charset=utf-16", DOCUMENT.decode().encode("utf-16"), 415),
        ("application/json; charset=nonsense", DOCUMENT, 415),
        ("application/xml", DOCUMENT, 415),
        ("application/json", b'{"a":1,"note":"\xff\xfe"}', 400),
        ("application/json", b"\xef\xbb\xbf" + DOCUMENT, 400),
        ("application/json", b'{"a":1,"a":2}', 400),
        ("application/json", b'{"a":NaN}', 400),
        ("application/json", b'{"a":Infinity}', 400),
        ("application/json", b'{"a":-1}', 422),
        ("application/json", b'{"a":1.5}', 422),
        ("application/json", b'{"a":%s}' % (b"9" * 60_000), 422),
        ("application/json", b'{"a":1e%s}' % (b"9" * 100), 422),
        ("application/json", b'{"a":%s' % (b"[" * 60_000), 422),
        ("application/json", b'{"a":1,"b":%s%s}' % (b"[" * 30_000, b"]" * 30_000), 422),
        ("application/json", b'{"a":1}{"a":2}', 400),
        ("application/json", b"\0", 400),
    ],
)
async def test_body_that_is_not_one_json_document_is_refused(content_type: str, body: bytes, status: int) -> None:
    async with serving() as port, aiohttp.ClientSession() as session:
        headers = {"Content-Type": content_type}
        async with session.post(f"http://127.0.0.1:{port}/v1/x", data=body, headers=headers) as response:
            document = await response.json(content_type=None)
            assert response.status == status, document
            if status != 200:
                assert response.content_type == "application/problem+json"


async def test_client_that_leaves_is_not_an_error(logged: list[Any]) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        arrived.set()
        await left.wait()
        return web.Response(body=bytes(1 << 20))

    async with serving(Route("GET", "/v1/slow", slow, "Slow")) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await arrived.wait()
        await end(writer)
        await asyncio.sleep(0.05)
        left.set()
        for abort in (True, False):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n{")
            assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
            if not abort:
                writer.close()
            await end(writer)
        assert await eventually(lambda: len([one for one in logged if one["event"] == "client left"]) == 2), logged
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as response:
            assert response.status == 200
    assert not [one for one in logged if one["log_level"] == "error"]


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


async def test_headers_that_do_not_end_are_refused(short_waits: None) -> None:
    """Each header is short, and there are fewer than a request may have; the whole is more than one may hold."""
    async with serving() as port:
        head = GET + b"".join(b"X-%d: %b\r\n" % (number, b"x" * 4_000) for number in range(16))
        answer = await said(port, head)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"All headers together" in answer


async def test_long_body_of_a_request_ahead_is_read_as_body() -> None:
    body = b'{"a":1,"note":"' + b"x" * 60_000 + b'"}'
    post = b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
    async with serving() as port:
        ahead = (post % (len(body), b"") + body) * 3 + post % (len(body), b"Connection: close\r\n") + body
        answer = await said(port, ahead, wait_s=30)
        assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200"] * 4


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /healthz HTTP/9.9\r\n\r\n", 400),
        (b"GET  HTTP/1.1\r\n\r\n", 400),
        (b"get\x00 /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (GET + b"no colon\r\n\r\n", 400),
        (GET + b" folded: x\r\n\r\n", 400),
        (GET + b"X: a\x00b\r\n\r\n", 400),
        (GET + b"Content-Length: -1\r\n\r\n", 400),
        (GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (GET + b"X: " + b"x" * 9_000 + b"\r\n\r\n", 431),
        (GET + b"X: y\r\n" * 200 + b"\r\n", 400),
        (GET + b"Expect: the-unexpected\r\n\r\n", 417),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"BREW /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PURGE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"TRACE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        (b"GET /%00%ff%c3%28 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET http://elsewhere/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    ],
)
@pytest.mark.usefixtures("short_waits")
async def test_request_that_is_not_http_gets_a_problem(raw: bytes, status: int, logged: list[Any]) -> None:
    async with serving() as port:
        assert problem(await said(port, raw))["status"] == status
    assert not [one for one in logged if one["log_level"] == "error"]


@pytest.mark.usefixtures("short_waits")
async def test_expected_body_is_asked_for() -> None:
    async with serving() as port:
        head = POST + b"Expect: 100-continue\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"
        raw = await said(port, head, DOCUMENT)
        assert raw.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


@pytest.mark.long
@pytest.mark.usefixtures("short_waits")
async def test_damaged_requests_never_stop_the_server(logged: list[Any]) -> None:
    rng = random.Random(8)
    whole = [
        GET + b"\r\n",
        POST + b"Content-Length: 7\r\n\r\n" + DOCUMENT,
        POST + b"Transfer-Encoding: chunked\r\n\r\n1",
    ]
    whole.append(b"GET /v1/ws HTTP/1.1\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in UPGRADE.items()) + b"\r\n")

    def damaged() -> bytes:
        raw = bytearray(rng.choice(whole))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(raw) + 1)
            match rng.randrange(3):
                case 0:
                    raw[place:place] = rng.randbytes(rng.randint(1, 8))
                case 1:
                    del raw[place : place + rng.randint(1, 8)]
                case _:
                    raw[place : place + 1] = bytes([rng.choice(b"\0\r\n :\xff%/0")])
        return bytes(raw)

    async with serving() as port:
        for _ in range(10):
            answers = await asyncio.gather(*(said(port, damaged(), wait_s=10) for _ in range(30)))
            for raw in answers:
                assert not raw or re.match(rb"HTTP/[01]\.[019] [1-5]\d\d ", raw), raw
                assert b"HTTP/1.1 500" not in raw
                if re.match(rb"HTTP/[01]\.[019] [45]", raw):
                    assert b"application/problem+json" in raw
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as response:
            assert response.status == 200
    assert not [one for one in logged if one["log_level"] == "error"]
