"""The event stream: what it begins with, pushes, resumption, limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest

from htlc.model import Phase
from relayer.api import events
from tests.relayer.api.test_api import ask, opening, quoted
from tests.relayer.api.world import ApiWorld, served


@dataclass(frozen=True)
class Event:
    """One event as a browser has it."""

    id: str
    kind: str
    data: dict[str, Any]


class Stream:
    """An event stream as its lines come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments = 0

    async def next(self) -> Event | None:
        """The next event, None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(120):
            async for raw in self.response.content:
                line = raw.decode().rstrip("\n")
                if not line and "data" in fields:
                    data = msgspec.json.decode(fields["data"])
                    return Event(fields.get("id", ""), fields["event"], data)
                self.comments += line.startswith(":")
                name, _, value = line.partition(": ")
                fields[name] = value
        return None


@asynccontextmanager
async def stream(world: ApiWorld, *swaps: str, last: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Origin": "https://dapp.example"} | ({} if last is None else {"Last-Event-ID": last})
    async with (
        aiohttp.ClientSession() as session,
        session.get(world.address + "/v1/events", params=[("swap", one) for one in swaps], headers=headers) as response,
    ):
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert response.headers["X-Request-Id"]
        yield Stream(response)


def test_a_swap_is_streamed_from_its_opening_to_its_end() -> None:
    async def story(world: ApiWorld) -> None:
        async with world.client(world.api) as client:
            swap = await world.agreed(client)
            async with stream(world, swap.id) as heard:
                first = await heard.next()
                assert first is not None
                assert (first.kind, first.data["id"], first.data["phase"]) == ("swap", swap.id, Phase.AGREED)
                running = asyncio.create_task(client.run(swap))
                versions = [first.data["version"]]
                last = first
                while not last.data["done"]:
                    following = await heard.next()
                    assert following is not None
                    last = following
                    versions.append(last.data["version"])
                assert versions == sorted(set(versions))
                assert last.data["phase"] == Phase.COMPLETED
                await running

    served(story)


def test_stream_goes_on_from_the_last_event() -> None:
    async def story(world: ApiWorld) -> None:
        first = await world.api.open_swap(opening(world, await quoted(world), 1))
        async with stream(world, first.id) as heard:
            seen = await heard.next()
            assert seen is not None
        await world.clock.sleep(events.OVERLAP_US / 1e6 + 1)
        second = await world.api.open_swap(opening(world, await quoted(world), 2))
        async with stream(world, "*", last=seen.id) as heard:
            missed = [await heard.next(), await heard.next()]
            assert [one and one.data["id"] for one in missed] == [first.id, second.id]
            assert missed[1] is not None
            assert int(missed[1].id) > int(seen.id)
        async with stream(world, "*", last="1") as heard:
            reset = await heard.next()
            assert reset is not None
            assert reset.kind == "reset"

    served(story)


def test_quiet_stream_has_heartbeats_and_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.5)
    monkeypatch.setattr(events, "STREAM_S", 3.0)

    async def story(world: ApiWorld) -> None:
        async with stream(world, "*") as heard:
            assert await heard.next() is None
            assert heard.comments >= 2

    served(story)


def test_streams_are_bounded_and_strange_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS_OF_A_CLIENT", 1)

    async def story(world: ApiWorld) -> None:
        for path, status in (
            ("/v1/events", 422),
            ("/v1/events?swap=me", 422),
            ("/v1/events?" + "&".join(["swap=aa"] * 51), 422),
            ("/v1/events?swap=" + "0" * 32, 404),
        ):
            assert (await ask(world, "GET", path))[0] == status, path
        async with aiohttp.ClientSession() as session:
            strange = {"Last-Event-ID": "yesterday"}
            async with session.get(world.address + "/v1/events?swap=*", headers=strange) as response:
                assert response.status == 422
            ahead = {"Last-Event-ID": "9" * 17}
            async with session.head(world.address + "/v1/events?swap=*", headers=ahead) as response:
                assert response.status == 200
            async with session.head(world.address + "/v1/events?swap=*") as response:
                assert (response.status, response.content_type) == (200, "text/event-stream")
        async with stream(world, "*"):
            assert (await ask(world, "GET", "/v1/events?swap=*"))[0] == 503

        async def free() -> bool:
            async with (
                aiohttp.ClientSession() as session,
                session.head(world.address + "/v1/events?swap=*") as response,
            ):
                return response.status == 200

        await world.until(free)

    served(story)
