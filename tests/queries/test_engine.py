"""The machine over a database: one transaction an event, nothing repeated, and replay that leads to the same state."""

import random
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, GateClosedError, NotFoundError, RejectedError
from core.model.ports import ChainTiming
from core.model.types import AccountId, ChainTime, Height, Seconds
from core.runtime import journal
from core.runtime.database import Database, InlineDatabase, create_schema
from queries import engine, events
from queries.gates import check_delivery_now
from queries.model import MAX_URI_BYTES, End, Phase, Place, Request
from tests.queries.scenarios import (
    ANSWERING,
    ASKING,
    CALLER,
    DEADLINE,
    NOW,
    PLACE,
    PROOF,
    alphabet,
    answering,
    asking,
    block,
    request,
)

NOW_NS = NOW * 10**9
TIMING = ChainTiming(Seconds(1), Seconds(4), Seconds(9), Seconds(1), Seconds(2), Seconds(3))
STREAM = engine.STREAM_PREFIX + request().query_id


@pytest.fixture
async def database() -> AsyncIterator[Any]:
    opened = InlineDatabase()
    await opened.write(create_schema)
    yield opened
    await opened.close()


def begin(connection: Connection, asked: Request) -> str:
    block_of = None if asked.place is None else block()
    state = engine.begin(connection, asked, block_of, now_s=NOW, now_ns=NOW_NS)
    return engine.STREAM_PREFIX + state.query_id


async def test_query_is_proven_delivered_and_settled(database: Database) -> None:
    def story(connection: Connection) -> engine.Taken:
        begin(connection, request())
        happened: list[events.QueryEvent] = [
            asking(1),
            answering(15),
            events.Proven(2, PROOF),
            events.DeliverySubmitted(3),
            asking(3),
            events.SettlementSeen(End.ANSWERED, block(8)),
            events.SettlementFinal(block(8)),
        ]
        return engine.take(connection, STREAM, happened, now_ns=NOW_NS)

    taken = await database.write(story)
    assert taken.state.phase is Phase.DELIVERED
    assert taken.stored == 5, "moved clocks alone are not stored"
    stored = await database.read(lambda c: journal.stream_effects(c, STREAM))
    assert [effect.key for effect in stored] == [f"{STREAM}:2:prove", f"{STREAM}:3:deliver", f"{STREAM}:6:finished"]
    await database.read(lambda c: engine.check_replay(c, STREAM))


async def test_caller_s_query_ends_with_its_proof_kept(database: Database) -> None:
    def story(connection: Connection) -> engine.Taken:
        stream = begin(connection, CALLER)
        happened: list[events.QueryEvent] = [answering(12), events.Proven(2, PROOF), events.DeliverySubmitted(3)]
        return engine.take(connection, stream, happened, now_ns=NOW_NS)

    assert (await database.write(story)).state.phase is Phase.DELIVERED


async def test_same_request_is_one_query(database: Database) -> None:
    await database.write(lambda c: begin(c, request()))
    with pytest.raises(ConflictError, match="exists already"):
        await database.write(lambda c: begin(c, request()))
    with pytest.raises(NotFoundError):
        await database.read(lambda c: engine.load(c, engine.STREAM_PREFIX + request(deadline_s=1).query_id))


@pytest.mark.parametrize("seed", range(20))
async def test_random_lives_replay_to_the_same_state(database: Database, seed: int) -> None:
    rng = random.Random(seed)

    def story(connection: Connection) -> str:
        stream = begin(connection, rng.choice([request(), CALLER]))
        for _ in range(30):
            event = rng.choice(alphabet(engine.load(connection, stream)))
            engine.take(connection, stream, [event], now_ns=NOW_NS)
        return stream

    stream = await database.write(story)
    await database.read(lambda c: engine.check_replay(c, stream))
    stored, again = [await database.read(partial(read, stream=stream)) for read in (engine.load, engine.replayed)]
    assert stored == again


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"uri": ""}, "has 1 to 2048 bytes, not 0"),
        ({"uri": "é" * MAX_URI_BYTES}, "not 4096"),
        ({"first": Height(21)}, "no height is from 21 to 20"),
        ({"first": Height(-1)}, "no height is from -1 to 20"),
        ({"place": Place(ASKING, AccountId(f"{ANSWERING}:c1"), 7)}, "is not on eip155:31337"),
    ],
    ids=["nothing", "too long", "no height", "negative", "foreign holder"],
)
def test_request_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RejectedError, match=message):
        request(**changes)


def test_every_part_of_a_request_is_in_its_id() -> None:
    others = [
        request(uri="causeway:devnet-1/records/charity/donation-18"),
        request(answering=ASKING),
        request(first=Height(11)),
        request(last=None),
        request(deadline_s=DEADLINE + 1),
        request(place=Place(ASKING, PLACE.holder, 8)),
        request(nonce=b"1"),
        CALLER,
    ]
    ids = {one.query_id for one in (request(), *others)}
    assert len(ids) == 1 + len(others)
    assert all(len(one) == 32 for one in ids)


@pytest.mark.parametrize(("left_s", "open_"), [(10, True), (9, False), (0, False), (-1, False)])
def test_delivery_is_sent_only_if_it_can_be_in_time(left_s: int, open_: bool) -> None:
    """I + lead + lag = 4 + 2 + 3: a block that comes at the worst moment still counts less than the deadline."""
    now = ChainTime(ASKING, DEADLINE - left_s)
    if open_:
        check_delivery_now(request(), now, TIMING)
    else:
        with pytest.raises(GateClosedError, match=f"{left_s} s are left .* may take 9 s"):
            check_delivery_now(request(), now, TIMING)
    check_delivery_now(CALLER, now, TIMING)
