"""Subscriptions: a push for each change, one proof for all who follow, bounds, ends, and restarts."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from core.model.errors import NotFoundError, RejectedError, RetryableError, TooManyError
from core.model.questions import AsOf, Evidence, LogQuestion, Question, RecordAnswer
from core.model.types import BlockRef, ChainId, ChainTime, Height
from core.model.uris import Asked
from core.runtime import deliveries
from core.runtime.clock import ManualClock, SystemSecrets
from core.runtime.database import Database, InlineDatabase, create_schema
from core.runtime.signals import Signal
from relayer.asking import follow_rows, pusher
from relayer.asking.follow_rows import Followed, Subscription
from relayer.asking.pusher import Feed, Pusher
from tests.relayer.asking.test_caller_queries import CALLER, ONE, TWO, Chains, uri

A, B, C = uri("a"), uri("b"), uri("c", TWO)


class Written(Chains):
    """A ledger whose records a test writes; each has a new version with each write."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: Counter[Question] = Counter()
        self.written: dict[Question, list[int]] = {}

    def write(self, asked: Asked) -> None:
        """A block with a new version of a record."""
        self.heights[asked.question.chain] += 1
        self.versions[asked.question] += 1

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        found = await super().prove(question, at, trusted=trusted)
        answer = RecordAnswer(self.versions[question], None, b"x")
        block = BlockRef(question.chain, found.as_of.block.height, bytes(32))
        return Evidence(question, answer, AsOf(block, ChainTime(question.chain, 1), "commit"), "test", b"{}")


class World:
    def __init__(self) -> None:
        self.database: Database = InlineDatabase()
        self.chains = Written()
        self.clock = ManualClock()
        self.pusher = self.restarted()

    def restarted(self) -> Pusher:
        return Pusher(self.database, self.chains, self.clock, SystemSecrets())

    async def subscribe(self, *asked: Asked, caller: str = CALLER, every_s: int = 1, **more: Any) -> Subscription:
        return await self.pusher.subscribe(asked, more.pop("trusted", None), caller, 3_600, every_s, **more)

    def feed(self, subscription: Subscription, last: int = 0) -> "Heard":
        return Heard(self, Feed(self.pusher, subscription, last, self.clock))

    async def second(self) -> None:
        """A second later, the next look."""
        await self.clock.advance(1)
        await self.pusher.look()


class Heard:
    """The changes that one stream gets."""

    def __init__(self, world: World, feed: Feed) -> None:
        self.world = world
        self.feed = feed

    async def next(self) -> list[Followed]:
        return await self.feed.next(Signal(), 0)

    async def uris(self) -> list[str]:
        return [one.uri.rpartition("/")[2] for one in await self.next()]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.database.write(lambda c: create_schema(c, (*follow_rows.TABLES, *deliveries.TABLES)))
    return made


async def test_answer_is_pushed_when_it_changes(world: World) -> None:
    """Not at each block."""
    heard = world.feed(await world.subscribe(A, B, C))
    assert await heard.next() == []
    await world.pusher.look()
    assert sorted(await heard.uris()) == ["a", "b", "c"]
    for _ in range(3):
        world.chains.heights[ONE] += 1
        await world.second()
    assert await heard.next() == []
    world.chains.write(B)
    await world.second()
    [pushed] = await heard.next()
    assert (pushed.uri, pushed.problem) == ("causeway:one/records/charity/b", None)
    assert pushed.file is not None
    assert b'"height":9' in pushed.file
    assert await heard.next() == []


async def test_one_proof_serves_all_who_follow_a_question(world: World) -> None:
    heard = [world.feed(await world.subscribe(A, caller=f"192.0.2.{n}")) for n in range(5)]
    other = world.feed(await world.subscribe(A, trusted=Height(3)))
    await world.pusher.look()
    assert sorted(world.chains.asked, key=str) == [(A.question, None, Height(3)), (A.question, None, None)]
    files = {(await one.next())[0].file for one in heard}
    assert len(files) == 1
    assert (await other.next())[0].trusted == 3


async def test_resting_chain_costs_one_proof_a_look(world: World) -> None:
    await world.subscribe(*(uri(f"{n}") for n in range(10)))
    await world.pusher.look()
    assert len(world.chains.asked) == 10
    assert {at for _, at, _ in world.chains.asked[1:]} == {5}
    world.chains.asked.clear()
    await world.second()
    assert len(world.chains.asked) == 1


async def test_pushes_come_no_more_often_than_wanted(world: World) -> None:
    """Each pusher at its own pace; the newest answer comes, not every one."""
    slow, quick = world.feed(await world.subscribe(A, every_s=10)), world.feed(await world.subscribe(A))
    await world.pusher.look()
    assert len(await slow.next()) == len(await quick.next()) == 1
    for n in range(1, 10):
        world.chains.write(A)
        await world.second()
        assert await slow.next() == []
        assert len(await quick.next()) == 1, n
    await world.clock.advance(1)
    [pushed] = await slow.next()
    assert b'"version":9' in (pushed.file or b"")


async def test_slow_question_is_asked_at_its_own_pace(world: World) -> None:
    await world.subscribe(A, every_s=5)
    for _ in range(11):
        await world.pusher.look()
        world.chains.write(A)
        await world.clock.advance(1)
    assert len(world.chains.asked) == 3


async def test_stream_goes_on_behind_what_it_has_seen(world: World) -> None:
    subscription = await world.subscribe(A, B)
    await world.pusher.look()
    heard = world.feed(subscription)
    last = (await heard.next())[-1].version
    world.chains.write(A)
    await world.second()
    world.pusher = world.restarted()
    assert await world.feed(subscription, last).uris() == ["a"]
    assert len(await world.feed(subscription).next()) == 2
    world.chains.write(B)
    await world.pusher.look()
    assert await world.feed(subscription, last).uris() == ["a", "b"]


async def test_question_that_fails_says_why_and_recovers(world: World) -> None:
    def pruned(question: Question, height: Height) -> None:
        if question == A.question:
            raise RejectedError("no layout says where its balances are")

    world.chains.trouble = pruned
    heard = world.feed(await world.subscribe(A, B))
    await world.pusher.look()
    pushed = {one.uri[-1]: one for one in await heard.next()}
    assert (pushed["a"].file, pushed["a"].problem) == (None, "rejected")
    assert pushed["a"].detail == "no layout says where its balances are"
    assert pushed["b"].file is not None
    world.chains.trouble = lambda question, height: None
    world.chains.heights[ONE] += 1
    await world.second()
    [again] = await heard.next()
    assert (again.uri, again.problem) == (pushed["a"].uri, None)


async def test_endpoint_that_is_away_is_reported_after_a_while(world: World) -> None:
    heard = world.feed(await world.subscribe(A))
    await world.pusher.look()
    assert len(await heard.next()) == 1

    def away(question: Question, height: Height) -> None:
        raise RetryableError("the endpoint is away")

    world.chains.trouble = away
    for _ in range(int(pusher.FAILING_S)):
        await world.second()
        assert await heard.next() == []
    await world.second()
    await world.second()
    [pushed] = await heard.next()
    assert (pushed.problem, pushed.detail) == ("unavailable", "the endpoint is away")
    world.chains.trouble = lambda question, height: None
    await world.second()
    assert [one.problem for one in await heard.next()] == [None]


async def test_subscription_ends_at_its_time(world: World) -> None:
    subscription = await world.subscribe(A)
    await world.pusher.look()
    heard = world.feed(subscription)
    await heard.next()
    await world.clock.advance(3_600)
    assert await world.pusher.look() == 1
    assert await world.pusher.look() == 0
    ended = await world.pusher.find(subscription.id)
    assert (ended.reason, ended.end_version > heard.feed.last) == ("its time is over: subscribe again", True)
    await world.clock.advance(follow_rows.KEPT_S + 1)
    other = await world.subscribe(B)
    with pytest.raises(NotFoundError):
        await world.pusher.find(subscription.id)
    assert len(await world.pusher.answers(other)) == 1
    assert await world.pusher.answers(subscription) == []


async def test_subscription_has_its_whole_time(world: World) -> None:
    """Although it begins within a second."""
    await world.clock.advance(0.9)
    subscription = await world.subscribe(A)
    await world.clock.advance(3_599.9)
    await world.pusher.look()
    assert (await world.pusher.find(subscription.id)).reason is None


async def test_waiting_stream_hears_of_changes_and_of_the_end(world: World) -> None:

    subscription, stop = await world.subscribe(A), Signal()
    feed = Feed(world.pusher, subscription, 0, world.clock)
    waiting = asyncio.create_task(feed.next(stop, 3_000))
    await world.pusher.look()
    assert len(await waiting) == 1
    waiting = asyncio.create_task(feed.next(stop, 3_000))
    await asyncio.sleep(0)
    await world.pusher.end(subscription.id, "its address is gone")
    assert await waiting == []
    assert feed.subscription.reason == "its address is gone"
    waiting = asyncio.create_task(feed.next(stop, 3_000))
    stop.notify()
    assert await waiting == []


async def test_deleted_subscription_is_gone_with_its_questions(world: World) -> None:
    mine, other = await world.subscribe(A, B), await world.subscribe(B)
    await world.pusher.look()
    await world.pusher.remove(mine.id)
    with pytest.raises(NotFoundError):
        await world.pusher.find(mine.id)
    assert [one.uri for one in await world.pusher.answers(mine)] == [
        one.uri for one in await world.pusher.answers(other)
    ]
    assert await world.pusher.look() == 1


async def test_answer_that_nobody_followed_meanwhile_is_proven_again(world: World) -> None:
    subscription = await world.subscribe(A)
    await world.pusher.look()
    await world.pusher.end(subscription.id, "over")
    world.chains.write(A)
    again = await world.subscribe(A)
    assert [one.version for one in await world.pusher.answers(again)] == [0]
    await world.pusher.look()
    assert b'"version":1' in ((await world.feed(again).next())[0].file or b"")


async def test_subscriptions_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_rows, "MAX_OF_A_CALLER", 2)
    monkeypatch.setattr(follow_rows, "MAX_SUBSCRIPTIONS", 3)
    monkeypatch.setattr(follow_rows, "MAX_FOLLOWED", 3)
    first = await world.subscribe(A)
    await world.subscribe(A)
    with pytest.raises(TooManyError, match="2 subscriptions of yours"):
        await world.subscribe(A)
    with pytest.raises(TooManyError, match="3 questions are followed"):
        await world.subscribe(*(uri(str(n)) for n in range(3)), caller="192.0.2.2")
    await world.subscribe(B, C, caller="192.0.2.2")
    with pytest.raises(TooManyError, match="3 subscriptions of all"):
        await world.subscribe(A, caller="192.0.2.3")
    await world.pusher.remove(first.id)
    await world.subscribe(A)


async def test_question_whose_answer_never_changes_is_refused(world: World) -> None:
    log = Asked(LogQuestion(ChainId("eip155:1"), bytes(32), 0))
    for one in (Asked(A.question, Height(3)), log):
        with pytest.raises(RejectedError, match="never changes"):
            await world.subscribe(one)


async def test_large_push_comes_in_parts_without_a_pause(world: World) -> None:
    heard = world.feed(await world.subscribe(*(uri(f"{n}") for n in range(10)), every_s=10))
    await world.pusher.look()
    pushed = [await heard.uris() for _ in range(4)]
    assert [len(one) for one in pushed] == [4, 4, 2, 0]
    assert len({name for one in pushed for name in one}) == 10


async def test_pause_comes_behind_the_last_part_of_a_push(world: World) -> None:
    heard = world.feed(await world.subscribe(*(uri(f"{n}") for n in range(pusher.PUSHED_AT_ONCE)), every_s=10))
    await world.pusher.look()
    assert len(await heard.next()) == pusher.PUSHED_AT_ONCE
    assert await heard.next() == []
    world.chains.write(uri("0"))
    await world.clock.advance(9)
    world.pusher._looked.clear()
    await world.pusher.look()
    assert await heard.next() == []
    await world.clock.advance(1)
    assert len(await heard.next()) == 1


async def test_evidence_that_is_too_long_is_not_pushed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pusher, "MAX_PUSH_BYTES", 100)
    heard = world.feed(await world.subscribe(A))
    await world.pusher.look()
    [pushed] = await heard.next()
    assert (pushed.file, pushed.problem) == (None, "rejected")
    assert "follow less at once" in (pushed.detail or "")


async def test_many_anchors_take_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A way to the header is made for each, so a look makes few."""
    monkeypatch.setattr(pusher, "MAX_PLACES_A_LOOK", 3)
    for height in range(1, 9):
        await world.subscribe(A, trusted=Height(height), caller=f"192.0.2.{height}")
    asked = []
    for _ in range(3):
        await world.second()
        asked.append({trusted for _, _, trusted in world.chains.asked})
        world.chains.asked.clear()
    assert [len(one) for one in asked] == [3, 3, 3]
    assert set().union(*asked) == set(range(1, 9))


async def test_many_questions_take_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pusher, "MAX_A_LOOK", 4)
    await world.subscribe(*(uri(f"{n}") for n in range(10)))
    for _ in range(3):
        await world.second()
    assert len({question for question, _, _ in world.chains.asked}) == 10
