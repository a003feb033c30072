"""Every path of the API under attack: injected SQL, oversized and odd filters, and what a caller learns of what it may
not see."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from core.runtime.clock import ManualClock
from core.runtime.database import METADATA, Database, open_database
from regulator_api.service import SupervisedChain
from tests.indexer.world import A, B, Deal, World
from tests.regulator_api.api import Api, prepare, serving

INJECTIONS = (
    "' OR '1'='1",
    "'; DROP TABLE indexer_moves; --",
    "x' UNION SELECT 1,2,3--",
    "%27%3B--",
    "\x00",
    "1; SELECT pg_sleep(10)",
    "A" * 1_500,
    "../../etc/passwd",
    "{{7*7}}",
    "\U0001f4a9",
)
ALL = "spy"
"""May do everything, and sees one jurisdiction, to which nothing of the world belongs."""
EVERYTHING = "developer"
Operation = tuple[str, list[str], list[str]]


class Stage:
    def __init__(self, api: Api, world: World, deal: Deal, database: Database) -> None:
        self.api, self.world, self.deal, self.database = api, world, deal, database

    async def operations(self) -> list[Operation]:
        """Every GET that ends: its path, its path parameters, its query parameters."""
        document = (await self.api.ask("/openapi.json", None)).body
        return list(_operations(document))


def _operations(document: Any) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        if "get" not in methods or not path.startswith("/v1/") or path.startswith("/v1/stream/"):
            continue
        parameters = methods["get"].get("parameters", [])
        named = {place: [one["name"] for one in parameters if one["in"] == place] for place in ("path", "query")}
        yield path, named["path"], named["query"]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    database = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(database)
    world = World(database, ManualClock())
    await world.open()
    deal = world.deal()
    lock = await world.lock(deal.initiator)
    await world.lock(deal.participant)
    await world.finalize()
    assert lock
    chains = [SupervisedChain(world.access(chain).parameters, None, world.access(chain).state) for chain in (A, B)]
    async with serving(database, chains, world.clock) as api:
        yield Stage(api, world, deal, database)
    await database.close()


def filled(path: str, names: list[str], value: str) -> str:
    for name in names:
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path


async def test_injected_and_oversized_values_do_no_harm(stage: Stage) -> None:
    asked = 0
    for path, in_path, in_query in await stage.operations():
        good = filled(path, in_path, stage.deal.initiator.sender)
        wrong = [filled(path, in_path, value) for value in INJECTIONS] if in_path else []
        wrong += [f"{good}?{name}={quote(value, safe='')}" for name in in_query for value in INJECTIONS]
        for address in wrong:
            answer = await stage.api.ask(address, EVERYTHING)
            asked += 1
            assert answer.status < 500 or answer.status == 503, (address, answer.body)
            assert b"Traceback" not in answer.raw
            assert b"sqlite" not in answer.raw.lower()
    assert asked > 500
    names = await stage.database.read(lambda connection: set(sa.inspect(connection).get_table_names()))
    assert set(METADATA.tables) <= names


async def test_nothing_of_other_jurisdictions_is_in_any_answer(stage: Stage) -> None:
    deal = stage.deal
    hidden = [one.rpartition(":")[2] for one in (deal.initiator.sender, deal.initiator.receiver)]
    hidden.append(deal.initiator.hashlock.hex())
    values = {
        "account": deal.initiator.sender,
        "asset": deal.initiator.asset,
        "chain": A,
        "hashlock": deal.initiator.hashlock.hex(),
    }
    looked = 0
    for path, in_path, _ in await stage.operations():
        if path == "/v1/audit":
            continue  # an overseer reads what others asked
        if in_path:
            address = path
            for name in in_path:
                address = address.replace(f"{{{name}}}", quote(values.get(name, deal.initiator.sender), safe=""))
        else:
            address = path
        answer = await stage.api.ask(address, ALL)
        looked += answer.status == 200
        shown = answer.raw.decode(errors="replace")
        for secret in hidden:
            # What the caller wrote itself may come back, as in a refusal.
            assert secret not in shown or secret in address, (address, answer.body)
    assert looked > 10


async def test_hidden_account_is_answered_like_one_that_never_was(stage: Stage) -> None:
    hidden, absent = stage.deal.initiator.sender, f"{A}:nobody"
    compared = 0
    for path, in_path, in_query in await stage.operations():
        places = [filled(path, in_path, "{}")] if in_path == ["account"] else []
        places += [f"{path}?account={{}}"] if "account" in in_query and not in_path else []
        for place in places:
            place = place.replace(quote("{}", safe=""), "{}")
            answers = [await stage.api.ask(place.replace("{}", quote(one, safe="")), ALL) for one in (hidden, absent)]
            assert answers[0].status == answers[1].status, place
            assert plain(answers[0].body, hidden) == plain(answers[1].body, absent), place
            compared += 1
    assert compared > 3


def plain(body: Any, asked: str) -> Any:
    """An answer without what differs between any two: the request's id and the question itself."""
    text = json.dumps(body).replace(asked, "…")
    found = json.loads(text)
    if isinstance(found, dict):
        found.pop("request_id", None)
        found.pop("requestId", None)
    return found
