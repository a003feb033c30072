"""Streams over HTTP on a supervised world: what comes, in which order, for whom, and how one goes on after a break."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from regulator_api.knowledge import store
from regulator_api.knowledge.tags import parsed_statement
from regulator_api.service import SupervisedChain
from tests.indexer.world import A, B, World
from tests.regulator_api.api import Api, prepare, serving

TIMEOUT_S = 20.0


Event = tuple[str, int, Any]


async def read(
    api: Api, who: str, count: int, path: str = "/v1/stream/events", kind: str = "", **headers: str
) -> list[Event]:
    """Events of a stream until there are `count` (of one kind): name, the number behind which it goes on (0: none
    given), content."""
    found: list[Event] = []
    sent = {"X-API-Key": api.keys[who], **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with (
        asyncio.timeout(TIMEOUT_S),
        aiohttp.ClientSession() as session,
        session.get(api.address + path, headers=sent) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        name, number = "", 0
        async for raw in response.content:
            field, _, value = raw.decode().rstrip("\n").partition(": ")
            if field == "id":
                number = int(value)
            elif field == "event":
                name = value
            elif field == "data":
                found.append((name, number, json.loads(value)))
                name, number = "", 0
                if sum(one[0] == kind or not kind for one in found) == count:
                    break
    return found


@pytest.fixture
async def made(tmp_path: Path) -> Any:
    database = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(database)
    world = World(database, ManualClock())
    await world.open()
    deal = world.deal()
    await world.lock(deal.initiator)
    await world.lock(deal.participant)
    await world.finalize()
    chains = [SupervisedChain(world.access(chain).parameters) for chain in (A, B)]
    async with serving(database, chains, world.clock, jurisdictions={"prover": frozenset({"CH"})}) as api:
        yield api, world, deal, database
    await database.close()


async def test_stream_has_everything_from_a_number_on(made: Any) -> None:
    api, _, deal, _ = made
    found = await read(api, "inspector", 2, "/v1/stream/events?after=0", "lock")
    first = next(content for name, _, content in found if name == "lock")
    assert (first["sender"], first["amount"]) == (deal.initiator.sender, str(deal.initiator.amount))
    numbers = [number for _, number, _ in found if number]
    assert numbers == sorted(set(numbers))


async def test_stream_goes_on_behind_the_last_number(made: Any) -> None:
    api, *_ = made
    whole = await read(api, "inspector", 4, "/v1/stream/events?after=0")
    place = next(index for index, (_, number, _) in enumerate(whole) if number)
    rest = await read(api, "inspector", 3 - place, Last_Event_ID=str(whole[place][1]))
    assert rest == whole[place + 1 :]
    refused = await api.ask("/v1/stream/events", headers={"Last-Event-ID": "x"})
    assert refused.status == 422


async def test_stream_shows_a_caller_its_jurisdictions_alone(made: Any) -> None:
    api, _, deal, database = made
    statement = parsed_statement(
        subject=deal.participant.receiver,
        label="a",
        category="user",
        source="tests",
        confidence=50,
        valid_from_s=0,
        jurisdiction="CH",
    )
    await database.write(
        lambda connection: store.state_own(connection, statement, sha256=bytes(32), who="tests", now_ns=1)
    )
    seen = await read(api, "prover", 1, "/v1/stream/events?after=0", "lock")
    shown = [content for name, _, content in seen if name in ("lock", "transfer")]
    assert shown[-1]["hashlock"] == deal.participant.hashlock.hex()
    assert [one for one in shown if deal.participant.receiver not in (one.get("sender"), one.get("receiver"))] == []


async def test_stream_is_logged_and_needs_its_scope(made: Any) -> None:
    api, *_ = made
    assert (await api.ask("/v1/stream/events", "overseer")).status == 403
    await read(api, "inspector", 1, "/v1/stream/events?after=0")
    entries = (await api.get("/v1/audit", "overseer"))["items"]
    assert [(one["who"], one["what"], one["status"]) for one in entries] == [
        ("inspector", "/v1/stream/events?after=0", 200),
        ("overseer", "/v1/stream/events", 403),
    ]
