"""Queries and subscriptions over the databases that real relayers use."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.model.errors import NotFoundError
from core.model.types import Height
from core.runtime import deliveries
from core.runtime.clock import SystemSecrets
from core.runtime.database import METADATA, Database, create_schema, open_database
from relayer.asking import parts, rows
from relayer.asking.caller_queries import CallerQueries
from relayer.asking.follow_rows import KEPT_S
from relayer.asking.hooks import SubscriptionHooks
from relayer.asking.query import Standing
from tests.relayer.asking.test_caller_queries import CALLER, ONE, TWO, uri
from tests.relayer.asking.test_hooks import SECRET, URL, Posting
from tests.relayer.asking.test_pusher import A, B


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path / 'relayer.sqlite'}")
    else:
        opened = open_database(request.getfixturevalue("postgres_url"))
    await opened.write(METADATA.drop_all)
    await opened.write(lambda c: create_schema(c, (*parts.TABLES, *deliveries.TABLES)))
    yield opened
    await opened.close()


@pytest.fixture
def world(database: Database) -> Posting:
    made = Posting()
    made.database = database
    made.pusher = made.restarted()
    made.hooks = SubscriptionHooks(database, made.pusher, made.clock, made.address.post)
    return made


async def test_query_is_kept_answered_and_forgotten(world: Posting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_KEPT", 2)
    queries = CallerQueries(world.database, world.chains, world.clock, SystemSecrets())
    late = replace(uri("late"), at=Height(9))
    begun = await queries.begin([uri("a", TWO), late], Height(3), CALLER, 600)
    assert (await queries.begin([uri("a", TWO), late], Height(3), CALLER, 600)).id == begun.id
    await queries.look()
    half = await queries.find(begun.id)
    assert (half.standing, half.version, half.trusted) == (Standing.WAITING, 1, 3)
    world.chains.heights[ONE] = 9
    await queries.look()
    assert (await queries.find(begun.id)).standing is Standing.ANSWERED
    for n in range(3):
        await world.clock.advance(1)
        await queries.begin([uri(str(n))], None, CALLER, 600)
        await queries.look()
    with pytest.raises(NotFoundError):
        await queries.find(begun.id)


@pytest.mark.parametrize("every_s", [1, 600])
async def test_subscription_is_followed_posted_and_forgotten(world: Posting, every_s: int) -> None:
    subscription = await world.subscribe(A, B, A, every_s=every_s, url=URL, secret=SECRET, trusted=Height(3))
    await world.second()
    assert sorted(world.posted()) == [(0, 0), (1, 0), (2, 0)]
    world.chains.write(B)
    await world.clock.advance(every_s)
    await world.second()
    assert world.posted()[3:] == [(1, 1)]
    other = await world.subscribe(B)
    await world.clock.advance(3_600)
    await world.second()
    assert (await world.pusher.find(subscription.id)).reason == "its time is over: subscribe again"
    await world.clock.advance(KEPT_S + 1)
    await world.subscribe(A)
    with pytest.raises(NotFoundError):
        await world.pusher.find(subscription.id)
    await world.pusher.remove(other.id)
