"""Subscriptions over HTTP: made, streamed, resumed, pushed over a WebSocket and to a webhook, ended, deleted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from core.runtime.database import InlineDatabase
from core.runtime.web import serve
from core.runtime.web.hooks import parse_secret, signature
from relayer.api import socket_feeds, subscriptions
from relayer.asking import follow_rows, pusher
from relayer.notices.addresses import Reach
from tests.openapi import assert_speaks_its_openapi
from tests.relayer.api.test_queries import serving
from tests.relayer.api.test_query_streams import Caller, rest
from tests.relayer.asking.test_caller_queries import ONE
from tests.relayer.asking.test_pusher import A, B, Written
from tests.relayer.test_webhooks import LOOPBACK, Receiver
from tests.support import eventually

FIRST, SECOND = f"{ONE}/records/charity/a", f"{ONE}/records/charity/b"
PROBLEM = "urn:causeway:problem:"


@pytest.fixture
def chains(monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.setattr(pusher, "LOOK_S", 0.02)
    return Written()


class Subscriber(Caller):
    async def subscribe(self, *questions: str, **more: Any) -> tuple[int, Any, Any]:
        body = {"questions": list(questions), **more}
        async with self.session.post(f"{self.url}/v1/subscriptions", json=body) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def delete(self, place: str) -> int:
        async with self.session.delete(self.url + place) as response:
            return response.status


@asynccontextmanager
async def calling(
    chains: Written | None, database: InlineDatabase | None = None, reach: Reach | None = None
) -> AsyncIterator[Subscriber]:
    async with serving(chains, database, reach) as url, aiohttp.ClientSession() as session:
        yield Subscriber(url, session)


def seen(event: Any) -> tuple[str, int, int]:
    """Kind, place and version of the record of an event `answer`."""
    return event.kind, event.data["place"], event.data["evidence"]["answer"]["version"]


async def test_stream_has_the_newest_answers_then_each_change(chains: Written) -> None:
    async with calling(chains) as caller:
        status, body, headers = await caller.subscribe(FIRST, SECOND)
        place = headers["Location"]
        assert (status, place, body["secret"], body["reason"]) == (201, f"/v1/subscriptions/{body['id']}", None, None)
        assert [(one["place"], one["version"], one["evidence"]) for one in body["answers"]] == [
            (0, 0, None),
            (1, 0, None),
        ]
        async with caller.stream(place) as heard:
            first, second = await heard.next(), await heard.next()
            assert sorted(map(seen, (first, second))) == [("answer", 0, 0), ("answer", 1, 0)]
            chains.write(B)
            third = await heard.next()
            assert third is not None
            assert seen(third) == ("answer", 1, 1)
            assert third.data["evidence"]["as_of"]["height"] == 6
        chains.write(A)
        async with caller.stream(place, third.id) as heard:
            fourth = await heard.next()
            assert seen(fourth) == ("answer", 0, 1)
        answers = (await caller.look(place))["answers"]
        assert [one["evidence"]["answer"]["version"] for one in answers] == [1, 1]


async def test_subscription_survives_a_restart(chains: Written, tmp_path: Any) -> None:
    file = f"sqlite:///{tmp_path / 'relayer.sqlite'}"
    async with calling(chains, InlineDatabase(file)) as caller:
        place = (await caller.subscribe(FIRST))[2]["Location"]
        async with caller.stream(place) as heard:
            first = await heard.next()
            assert first is not None
    chains.write(A)
    async with calling(chains, InlineDatabase(file)) as caller, caller.stream(place, first.id) as heard:
        assert seen(await heard.next()) == ("answer", 0, 1)


async def test_stream_ends_with_its_subscription(chains: Written) -> None:
    async with calling(chains) as caller:
        _, body, headers = await caller.subscribe(FIRST, lasts_s=1)
        place = headers["Location"]
        async with caller.stream(place) as heard:
            answer, end = await rest(heard)
        assert (answer.kind, end.kind) == ("answer", "end")
        assert end.data == {"id": body["id"], "reason": "its time is over: subscribe again"}
        assert (await caller.look(place))["reason"] == "its time is over: subscribe again"
        async with caller.session.get(f"{caller.url}{place}/events", headers={"Last-Event-ID": end.id}) as over:
            assert over.status == 204
        async with caller.stream(place, answer.id) as heard:
            assert [event.kind for event in await rest(heard)] == ["end"]


async def test_deleted_subscription_ends_its_stream_and_is_gone(chains: Written) -> None:
    async with calling(chains) as caller:
        place = (await caller.subscribe(FIRST))[2]["Location"]
        async with caller.stream(place) as heard:
            await heard.next()
            assert await caller.delete(place) == 200
            [end] = await rest(heard)
        assert (end.kind, end.data["reason"]) == ("end", "it was deleted")
        assert await caller.delete(place) == 404
        for path in (place, f"{place}/events"):
            assert (await caller.look(path))["type"] == PROBLEM + "not-found"


async def test_waiting_stream_shows_that_it_lives(chains: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(subscriptions, "STREAM_S", 0.5)
    async with calling(chains) as caller:
        place = (await caller.subscribe(FIRST))[2]["Location"]
        async with caller.stream(place) as heard:
            assert [event.kind for event in await rest(heard)] == ["answer"]
            assert heard.comments > 0


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"questions": []}, 422, "invalid-body"),
        ({"questions": [FIRST] * 17}, 422, "invalid-body"),
        ({"questions": [FIRST], "every_s": 0}, 422, "invalid-body"),
        ({"questions": [FIRST], "lasts_s": 8 * 86_400}, 422, "invalid-body"),
        ({"questions": [FIRST], "more": 1}, 422, "invalid-body"),
        ({"questions": ["frob"]}, 422, "malformed-identifier"),
        ({"questions": [f"{FIRST}?at=3"]}, 422, "rejected"),
        ({"questions": [FIRST], "url": "https://hooks.example/"}, 404, "not-found"),
    ],
)
async def test_wrong_subscription_is_refused(chains: Written, body: dict[str, Any], status: int, kind: str) -> None:
    async with calling(chains) as caller:
        more = {name: value for name, value in body.items() if name != "questions"}
        found, problem, _ = await caller.subscribe(*body["questions"], **more)
        assert (found, problem["type"]) == (status, PROBLEM + kind)


async def test_subscriptions_of_a_caller_are_bounded(chains: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_rows, "MAX_OF_A_CALLER", 1)
    async with calling(chains) as caller:
        assert (await caller.subscribe(FIRST))[0] == 201
        status, problem, headers = await caller.subscribe(FIRST)
        assert (status, problem["type"], bool(headers["Retry-After"])) == (429, PROBLEM + "too-many", True)


async def test_relayer_without_proofs_takes_no_subscription() -> None:
    async with calling(None) as caller:
        status, problem, _ = await caller.subscribe(FIRST)
        assert (status, "proves nothing" in problem["detail"]) == (404, True)


# --- WebSocket ---------------------------------------------------------------------------------------------------


async def said(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return msgspec.json.decode(await socket.receive_str(timeout=60))


async def call(socket: aiohttp.ClientWebSocketResponse, op: str, *args: str) -> Any:
    await socket.send_json({"op": op, "channel": "answer.update", "args": list(args)})
    return await said(socket)


async def test_answers_are_pushed_over_a_websocket(chains: Written) -> None:
    async with calling(chains) as caller, caller.session.ws_connect(f"{caller.url}/v1/ws") as socket:
        _, body, headers = await caller.subscribe(FIRST)
        name = body["id"]
        assert await call(socket, "subscribe", name) == {
            "event": "subscribe", "channel": "answer.update", "args": [name],
        }  # fmt: skip
        first = await said(socket)
        assert (first["event"], first["answers"][0]["subscription"]) == ("update", name)
        chains.write(A)
        [second] = (await said(socket))["answers"]
        assert (second["evidence"]["answer"]["version"], second["place"]) == (1, 0)
        assert await caller.delete(headers["Location"]) == 200
        assert await said(socket) == {
            "event": "end", "channel": "answer.update", "args": [name], "reason": "it was deleted",
        }  # fmt: skip


async def test_socket_follows_known_subscriptions_alone(chains: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_feeds, "MAX_FOLLOWED", 1)
    async with calling(chains) as caller, caller.session.ws_connect(f"{caller.url}/v1/ws") as socket:
        one, other = [(await caller.subscribe(FIRST))[1]["id"] for _ in range(2)]
        assert (await call(socket, "subscribe", "abcd"))["problem"]["type"] == PROBLEM + "not-found"
        assert (await call(socket, "subscribe"))["problem"]["type"] == PROBLEM + "rejected"
        assert (await call(socket, "subscribe", one, other))["problem"]["type"] == PROBLEM + "rejected"
        assert (await call(socket, "subscribe", one))["args"] == [one]
        assert (await said(socket))["event"] == "update"
        assert (await call(socket, "unsubscribe", one)) == {"event": "unsubscribe", "channel": "answer.update"}
        chains.write(A)
        assert (await call(socket, "subscribe", other))["args"] == [other]
        assert (await said(socket))["answers"][0]["subscription"] == other


# --- webhook -----------------------------------------------------------------------------------------------------


async def test_changed_answers_are_posted_and_signed(chains: Written) -> None:
    receiver = Receiver(204)
    async with serve(receiver.app(), "127.0.0.1", 0) as address, calling(chains, reach=LOOPBACK) as caller:
        status, body, headers = await caller.subscribe(FIRST, url=f"{address}/answers")
        assert status == 201
        secret = parse_secret(body["secret"])
        await eventually(lambda: len(receiver.seen) == 1, 30)
        chains.write(A)
        await eventually(lambda: len(receiver.seen) == 2, 30)
        for sent, raw in receiver.seen:
            stamp = int(sent["webhook-timestamp"])
            assert sent["webhook-signature"] == signature(secret, sent["webhook-id"], stamp, raw)
        data = msgspec.json.decode(receiver.seen[1][1])["data"]
        assert (data["subscription"], data["uri"], data["evidence"]["answer"]["version"]) == (body["id"], FIRST, 1)
        assert (await caller.look(headers["Location"]))["secret"] is None


async def test_closed_address_is_refused(chains: Written) -> None:
    async with calling(chains, reach=Reach()) as caller:
        for url in ("https://127.0.0.1/", "http://hooks.example/", "https://hooks.example:22/"):
            assert (await caller.subscribe(FIRST, url=url))[0] == 422


async def test_subscriptions_answer_as_their_openapi_document_says(chains: Written) -> None:
    async with calling(chains) as caller:
        body = (await caller.subscribe(FIRST))[1]
        assert await assert_speaks_its_openapi(caller.url, known={"id": body["id"]}) >= 5
