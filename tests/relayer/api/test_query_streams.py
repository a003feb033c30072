"""Queries that take longer than a call: 202, the answers so far, their stream, and the same call again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from core.runtime.database import InlineDatabase
from relayer.api import query_streams
from relayer.api.queries import preferred
from relayer.asking import rows
from tests.openapi import assert_speaks_its_openapi
from tests.relayer.api.test_events import Event, Stream
from tests.relayer.api.test_queries import serving
from tests.relayer.asking.test_caller_queries import ONE, TWO, Chains
from tests.support import eventually

NOW, LATER = f"{ONE}/records/charity/a", f"{ONE}/records/charity/b?at=7"
OTHER = f"{TWO}/records/charity/c"


@dataclass
class Caller:
    """Somebody who calls a relayer over HTTP."""

    url: str
    session: aiohttp.ClientSession

    async def ask(self, *questions: str, headers: dict[str, str] | None = None, **more: Any) -> tuple[int, Any, Any]:
        """Status, JSON and headers."""
        body = {"questions": list(questions), **more}
        async with self.session.post(f"{self.url}/v1/queries", json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def look(self, place: str) -> Any:
        async with self.session.get(self.url + place) as response:
            return await response.json(content_type=None)

    @asynccontextmanager
    async def stream(self, place: str, last: str | None = None) -> AsyncIterator[Stream]:
        headers = {} if last is None else {"Last-Event-ID": last}
        async with self.session.get(f"{self.url}{place}/events", headers=headers) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            yield Stream(response)


@asynccontextmanager
async def calling(chains: Chains, database: InlineDatabase | None = None) -> AsyncIterator[Caller]:
    async with serving(chains, database) as url, aiohttp.ClientSession() as session:
        yield Caller(url, session)


async def rest(stream: Stream) -> list[Event]:
    found = []
    while (event := await stream.next()) is not None:
        found.append(event)
    return found


@pytest.fixture
def chains() -> Chains:
    return Chains()


async def test_caller_that_prefers_it_is_answered_later(chains: Chains) -> None:
    async with calling(chains) as caller:
        status, body, headers = await caller.ask(NOW, OTHER, headers={"Prefer": "respond-async"}, open_s=60)
        assert (status, headers["Preference-Applied"]) == (202, "respond-async")
        assert headers["Location"] == f"/v1/queries/{body['id']}"
        assert (body["state"], body["version"], body["deadline"] - body["created_at"]) == (
            "waiting",
            0,
            pytest.approx(60, abs=1),
        )
        assert [one["problem"] for one in body["answers"]] == ["not-yet-final"] * 2

        async def done() -> Any:
            found = await caller.look(headers["Location"])
            return found if found["state"] == "answered" else None

        found = await eventually(done)
        assert [one["uri"] for one in found["answers"]] == [NOW, OTHER]
        assert [one["evidence"]["as_of"]["height"] for one in found["answers"]] == [5, 50]


async def test_height_that_cannot_be_proven_yet_is_accepted(chains: Chains) -> None:
    async with calling(chains) as caller:
        status, body, headers = await caller.ask(LATER, OTHER)
        assert (status, body["state"], body["version"]) == (202, "waiting", 1)
        assert "Preference-Applied" not in headers
        assert body["answers"][1]["evidence"]["as_of"]["height"] == 50
        assert (await caller.ask(LATER, OTHER))[1]["id"] == body["id"]
        assert (await caller.ask(OTHER))[0] == 200


async def test_caller_with_too_many_open_queries_is_answered_at_once(
    chains: Chains, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for it hears 429; who did not ask for a query gets the answer of before."""
    monkeypatch.setattr(rows, "MAX_OPEN_OF_A_CALLER", 1)
    async with calling(chains) as caller:
        assert (await caller.ask(LATER))[0] == 202
        status, body, _ = await caller.ask(f"{LATER}1")
        assert (status, body["answers"][0]["problem"]) == (200, "not-yet-final")
        status, problem, headers = await caller.ask(NOW, headers={"Prefer": "respond-async"})
        assert (status, problem["type"]) == (429, "urn:causeway:problem:too-many")
        assert headers["Retry-After"]


async def test_stream_has_each_answer_and_ends(chains: Chains) -> None:
    async with calling(chains) as caller:
        _, body, headers = await caller.ask(OTHER, LATER)
        place = headers["Location"]
        async with caller.stream(place) as heard:
            first = await heard.next()
            assert first is not None
            assert (first.id, first.kind, first.data["place"]) == ("1", "answer", 0)
            assert first.data["answer"] == body["answers"][0]
            chains.heights[ONE] = 7
            second, end = await rest(heard)
        assert (second.id, second.kind, second.data["place"]) == ("2", "answer", 1)
        assert second.data["answer"]["evidence"]["as_of"]["height"] == 7
        assert (end.id, end.kind, end.data) == ("3", "end", {"id": body["id"], "state": "answered"})
        for last, left in (("", 3), ("0", 3), ("1", 2), ("2", 1)):
            async with caller.stream(place, last) as again:
                assert [event.id for event in await rest(again)] == ["1", "2", "3"][-left:]
        async with caller.session.get(f"{caller.url}{place}/events", headers={"Last-Event-ID": "3"}) as over:
            assert over.status == 204
        async with caller.session.get(f"{caller.url}{place}/events", headers={"Last-Event-ID": "x"}) as wrong:
            assert wrong.status == 422
        async with caller.session.head(f"{caller.url}{place}/events") as head:
            assert (head.status, await head.read()) == (200, b"")


async def test_stream_that_waits_shows_that_it_lives(chains: Chains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_streams, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(query_streams, "STREAM_S", 0.4)
    async with calling(chains) as caller:
        _, _, headers = await caller.ask(LATER)
        async with caller.stream(headers["Location"]) as heard:
            assert await rest(heard) == []
            assert heard.comments > 0


async def test_streams_of_a_client_are_bounded(chains: Chains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_streams, "MAX_STREAMS_OF_A_CLIENT", 1)
    async with calling(chains) as caller:
        place = (await caller.ask(LATER))[2]["Location"]
        async with caller.stream(place), caller.session.get(f"{caller.url}{place}/events") as second:
            assert second.status == 503


async def test_refused_and_expired_questions_end_the_stream(chains: Chains) -> None:
    async with calling(chains) as caller:
        _, _, headers = await caller.ask(LATER, open_s=1)
        async with caller.stream(headers["Location"]) as heard:
            answer, end = await rest(heard)
        assert end.data["state"] == "expired"
        assert (answer.data["answer"]["evidence"], answer.data["answer"]["problem"]) == (None, "not-yet-final")


async def test_query_survives_a_restart_of_the_relayer(chains: Chains, tmp_path: Any) -> None:
    file = f"sqlite:///{tmp_path / 'relayer.sqlite'}"
    async with calling(chains, InlineDatabase(file)) as caller:
        _, body, headers = await caller.ask(OTHER, LATER)
    chains.heights[ONE] = 7
    async with calling(chains, InlineDatabase(file)) as caller, caller.stream(headers["Location"], "1") as heard:
        answer, end = await rest(heard)
    assert (answer.data["place"], end.data) == (1, {"id": body["id"], "state": "answered"})


async def test_deleted_query_ends_its_streams_and_is_gone(chains: Chains) -> None:
    async with calling(chains) as caller:
        _, body, headers = await caller.ask(OTHER, LATER)
        place = headers["Location"]
        async with caller.stream(place) as heard:
            first = await heard.next()
            assert first is not None
            assert first.kind == "answer"
            async with caller.session.delete(caller.url + place) as answer:
                deleted = await answer.json()
            assert (answer.status, deleted["id"], deleted["state"]) == (200, body["id"], "waiting")
            assert deleted["answers"][0]["evidence"]["as_of"]["height"] == 50
            [end] = await rest(heard)
        assert (end.id, end.kind, end.data) == ("2", "end", {"id": body["id"], "state": "deleted"})
        for method in ("GET", "DELETE"):
            async with caller.session.request(method, caller.url + place) as gone:
                assert gone.status == 404
        async with caller.session.get(f"{caller.url}{place}/events", headers={"Last-Event-ID": "2"}) as gone:
            assert gone.status == 404
        assert (await caller.ask(OTHER, LATER))[1]["id"] != body["id"]


async def test_unknown_query_is_not_found(chains: Chains) -> None:
    async with calling(chains) as caller:
        for path in ("/v1/queries/abcd", "/v1/queries/abcd/events"):
            assert (await caller.look(path))["type"] == "urn:causeway:problem:not-found"


async def test_idempotent_call_is_answered_with_its_place_again(chains: Chains) -> None:
    async with calling(chains) as caller:
        headers = {"Idempotency-Key": "one", "Prefer": "respond-async"}
        status, body, first = await caller.ask(NOW, headers=headers)
        await eventually(lambda: ended(caller, first["Location"]))
        again = await caller.ask(NOW, headers=headers)
        assert (again[0], again[1]) == (status, body)
        assert (again[2]["Location"], again[2]["Idempotency-Replayed"]) == (first["Location"], "true")


async def ended(caller: Caller, place: str) -> bool:
    return bool((await caller.look(place))["state"] != "waiting")


async def test_preferred_wait_comes_before_202(chains: Chains) -> None:
    async with calling(chains) as caller:
        asking = asyncio.create_task(caller.ask(LATER, headers={"Prefer": "respond-async, wait=15"}))
        await eventually(lambda: len(chains.asked) > 1)
        chains.heights[ONE] = 7
        status, body, _ = await asking
        assert (status, body["answers"][0]["evidence"]["as_of"]["height"]) == (200, 7)


async def test_preference_not_to_wait_is_heeded(chains: Chains) -> None:
    """Although the body would wait."""
    async with calling(chains) as caller:
        headers = {"Prefer": "respond-async, wait=0"}
        asking = asyncio.create_task(caller.ask(LATER, headers=headers, wait_s=15))
        await eventually(lambda: len(chains.asked) > 1)
        chains.heights[ONE] = 7
        status, body, _ = await asking
        assert (status, body["state"]) == (202, "waiting")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", (False, None)),
        ("respond-async", (True, None)),
        ("Respond-Async , wait = 5", (True, 5)),
        ('wait="7", handling=lenient', (False, 7)),
        ("respond-async=1; x, wait=soon, wait=-1", (False, None)),
        ("respond-async," + "x" * 10_000, (True, None)),
    ],
)
def test_preference_is_read_as_the_rfc_says(header: str, found: tuple[bool, int | None]) -> None:
    assert preferred(header) == found


async def test_queries_answer_as_their_openapi_document_says(chains: Chains) -> None:

    chains.heights = dict.fromkeys(chains.heights, 1)
    async with calling(chains) as caller:
        place = (await caller.ask(OTHER, LATER))[2]["Location"]
        assert await assert_speaks_its_openapi(caller.url, known={"id": place.rpartition("/")[2]}) >= 2
