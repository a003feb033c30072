"""Webhooks of a supervision: posted in order until taken, from one place on; and what their receiver refuses."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import ManualClock
from core.runtime.database import Database, open_database
from core.runtime.web.hooks import WINDOW_S, signature, verify_webhook
from indexer.projections import report_agreement
from regulator_api.access.scope import EVERYTHING, Scope
from regulator_api.streaming.hooks import SupervisionHook, SupervisionHooks, hook_places
from regulator_api.streaming.swaps import keep_report
from tests.indexer.world import Deal, World
from tests.regulator_api.api import prepare

SECRET = b"s" * 32
URL = "https://supervisor.example/hook"


class Receiver:
    """Takes messages as a supervisor would: each once, and only those that verify."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.away = False
        self.taken: dict[str, Any] = {}

    async def post(self, url: str, secret: bytes, name: str, now_s: int, body: bytes) -> int:
        if self.away:
            raise RetryableError("it does not answer")
        headers = headers_of(name, now_s, body, secret)
        self.taken.setdefault(verify_webhook(SECRET, headers, body, self.clock.now()), msgspec.json.decode(body))
        return 204


def headers_of(name: str, now_s: int, body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return {
        "webhook-id": name,
        "webhook-timestamp": str(now_s),
        "webhook-signature": signature(secret, name, now_s, body),
    }


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(opened)
    yield opened
    await opened.close()


async def supervise(database: Database, scope: Scope) -> tuple[World, SupervisionHooks, Receiver]:
    clock = ManualClock()
    world = World(database, clock)
    await world.open()
    receiver = Receiver(clock)
    hooks = SupervisionHooks(database, [SupervisionHook(URL, SECRET, scope, True, True)], clock, receiver.post)
    await hooks.look()  # from here on
    return world, hooks, receiver


async def test_every_event_is_posted_once_and_in_order(database: Database) -> None:
    world, hooks, receiver = await supervise(database, EVERYTHING)
    deal = world.deal()
    await world.lock(deal.initiator)
    await world.index()
    receiver.away = True
    await hooks.look()
    assert await hooks.step() == 0
    receiver.away = False
    await world.lock(deal.participant)
    await world.finalize()
    await hooks.look()
    await receiver.clock.advance(60.0)
    while await hooks.step():
        pass
    again = SupervisionHooks(
        database, [SupervisionHook(URL, SECRET, EVERYTHING, True, True)], world.clock, receiver.post
    )
    await again.look()
    assert await again.step() == 0
    messages = list(receiver.taken.values())
    assert [one["seq"] for one in messages] == list(range(1, len(messages) + 1))
    events = [event for one in messages for event in one["data"]]
    assert [event["sender"] for event in events if event["kind"] == "lock"] == [
        deal.initiator.sender,
        deal.participant.sender,
    ]
    assert {one["type"] for one in messages} == {"supervision.events"}


async def test_address_hears_of_swaps_if_it_wants_to(database: Database) -> None:
    """From its first look on; also if the row of its place is of a version without that stream."""
    clock = ManualClock()
    world = World(database, clock)
    await world.open()
    receiver = Receiver(clock)

    def hearing(swaps: bool) -> SupervisionHooks:
        hook = SupervisionHook(URL, SECRET, EVERYTHING, events=False, alerts=False, swaps=swaps)
        return SupervisionHooks(database, [hook], clock, receiver.post)

    await hearing(False).look()
    await database.write(lambda connection: connection.execute(sa.update(hook_places).values(swaps_seq=None)))
    await report(database, world.deal(1), "unheard")
    hooks = hearing(True)
    await hooks.look()
    await report(database, deal := world.deal(2), "swap-2")
    await world.lock(deal.initiator)
    await world.index()
    await hooks.look()
    await hooks.look()
    while await hooks.step():
        pass
    messages = list(receiver.taken.values())
    assert {one["type"] for one in messages} == {"supervision.swaps"}
    events = [event for one in messages for event in one["data"] if "swap_id" in event]
    assert [(one["kind"], one["swap_id"]) for one in events] == [("proposed", "swap-2"), ("locked", "swap-2")]


async def report(database: Database, deal: Deal, swap: str) -> None:
    agreement = deal.agreement(swap)

    def write(connection: Connection) -> None:
        assert report_agreement(connection, agreement, 1)
        keep_report(connection, agreement, 1)

    await database.write(write)


async def test_address_hears_of_its_jurisdictions_alone(database: Database) -> None:
    world, hooks, receiver = await supervise(database, Scope(frozenset({"CH"}), frozenset({"read"})))
    await world.lock(world.deal().initiator)
    await world.finalize()
    await hooks.look()
    await hooks.step()
    assert {event["kind"] for one in receiver.taken.values() for event in one["data"]} == {"finalized"}


BODY = b'{"type":"supervision.alerts","seq":1,"data":[]}'
GOOD = headers_of("msg_1", 1_000_000, BODY)


def test_message_of_the_holder_is_taken() -> None:
    assert verify_webhook(SECRET, GOOD, BODY, 1_000_000 + WINDOW_S) == "msg_1"
    rotated = GOOD | {"webhook-signature": "v1,bm90 " + GOOD["webhook-signature"]}
    assert verify_webhook(SECRET, rotated, BODY, 1_000_000) == "msg_1"


@pytest.mark.parametrize(
    ("headers", "body", "now_s"),
    [
        (GOOD, BODY, 1_000_000 + WINDOW_S + 1),  # posted again later
        (GOOD, BODY, 1_000_000 - WINDOW_S - 1),
        (GOOD | {"webhook-timestamp": "1000400"}, BODY, 1_000_400),  # with a fresh time
        (GOOD | {"webhook-id": "msg_2"}, BODY, 1_000_000),
        (GOOD, BODY.replace(b"1", b"2"), 1_000_000),
        (headers_of("msg_1", 1_000_000, BODY, b"t" * 32), BODY, 1_000_000),
        (GOOD | {"webhook-signature": ""}, BODY, 1_000_000),
        (GOOD | {"webhook-signature": "v1,é"}, BODY, 1_000_000),
        (GOOD | {"webhook-timestamp": "soon"}, BODY, 1_000_000),
        ({}, BODY, 1_000_000),
    ],
)
def test_replayed_and_forged_messages_are_refused(headers: dict[str, str], body: bytes, now_s: int) -> None:
    with pytest.raises(RejectedError):
        verify_webhook(SECRET, headers, body, now_s)
