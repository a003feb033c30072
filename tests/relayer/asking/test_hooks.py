"""Webhooks of subscriptions: what is posted, in what order, how often, and what becomes of those that nobody takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from core.model.errors import NotFoundError
from core.runtime import deliveries
from core.runtime.clock import NS_PER_S, ManualClock
from core.runtime.database import create_schema
from core.runtime.web.hooks import signature
from relayer.asking import follow_rows, parts
from relayer.asking.hooks import SubscriptionHooks
from tests.relayer.asking.test_pusher import A, B, World

SECRET, URL = bytes(range(32)), "https://hooks.example/answers"


@dataclass
class Address:
    """Takes what is posted, or answers as a test wants."""

    statuses: list[int] = field(default_factory=list)
    taken: list[tuple[Mapping[str, str], Any]] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    """Subscriptions whose messages nobody takes."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        assert url == URL
        signed = signature(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        assert signed == headers["webhook-signature"]
        self.tried.append(headers["webhook-id"])
        if headers["webhook-id"].split("_")[1] in self.away:
            return 503
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.append((headers, msgspec.json.decode(body)))
        return status


class Posting(World):
    """A world whose subscriptions are posted to an address."""

    def __init__(self) -> None:
        super().__init__()
        self.address = Address()
        self.hooks = SubscriptionHooks(self.database, self.pusher, self.clock, self.address.post)

    async def second(self) -> None:
        await super().second()
        await self.hooks.look()
        await self.hooks.step()

    def posted(self) -> list[tuple[int, int]]:
        """Place and version of the record of what was taken."""
        return [
            (body["data"]["place"], body["data"]["evidence"]["answer"]["version"]) for _, body in self.address.taken
        ]


class SetBack(ManualClock):
    """A clock that somebody sets back."""

    back_s = 0

    def now(self) -> float:
        return super().now() - self.back_s

    def now_ns(self) -> int:
        return super().now_ns() - self.back_s * NS_PER_S


@pytest.fixture
async def world() -> Posting:
    made = Posting()
    await made.database.write(lambda c: create_schema(c, (*parts.TABLES, *deliveries.TABLES)))
    return made


async def test_each_change_is_posted_once_with_its_evidence(world: Posting) -> None:
    subscription = await world.subscribe(A, B, url=URL, secret=SECRET)
    await world.second()
    assert sorted(world.posted()) == [(0, 0), (1, 0)]
    for _ in range(3):
        world.chains.heights = {chain: height + 1 for chain, height in world.chains.heights.items()}
        await world.second()
    assert len(world.posted()) == 2
    world.chains.write(B)
    await world.second()
    headers, body = world.address.taken[-1]
    assert world.posted()[2:] == [(1, 1)]
    assert body["type"] == "answer.changed"
    assert body["data"]["subscription"] == subscription.id
    [changed] = [one for one in await world.pusher.answers(subscription) if one.uri.endswith("/b")]
    assert msgspec.json.encode(body["data"]["evidence"], order="deterministic") == changed.file
    assert headers["webhook-id"] == f"msg_{subscription.id}_1_{changed.version}"


async def test_address_that_is_away_gets_the_newest_answer_later(world: Posting) -> None:
    """The message about one version has one id in every try."""
    await world.subscribe(A, url=URL, secret=SECRET)
    world.address.statuses = [500, 500]
    await world.second()
    await world.clock.advance(5)
    await world.hooks.step()
    assert world.address.tried[0] == world.address.tried[1]
    for _ in range(3):
        world.chains.write(A)
        await world.second()
    assert world.posted() == []
    await world.clock.advance(60)
    await world.hooks.step()
    assert world.posted() == [(0, 3)]
    assert world.address.tried[2] != world.address.tried[1]
    await world.second()
    assert world.posted() == [(0, 3)]


async def test_address_that_is_away_delays_no_other(world: Posting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its messages take no room at a look."""
    monkeypatch.setattr(follow_rows, "MAX_COLLECTED", 2)
    world.address.away.add((await world.subscribe(A, B, url=URL, secret=SECRET)).id)
    await world.second()
    await world.subscribe(B, url=URL, secret=SECRET)
    await world.second()
    for _ in range(3):
        world.chains.write(B)
        await world.second()
    assert world.posted() == [(0, version) for version in range(4)]


async def test_pushes_come_no_more_often_than_wanted(world: Posting) -> None:
    await world.subscribe(A, url=URL, secret=SECRET, every_s=10)
    await world.subscribe(A)
    for _ in range(21):
        world.chains.write(A)
        await world.second()
    assert len(world.posted()) == 3


async def test_changes_under_a_clock_that_was_set_back_are_heard(world: Posting) -> None:
    """By the webhook, by a stream, and the end behind them."""
    clock = world.clock = SetBack()
    world.pusher = world.restarted()
    world.hooks = SubscriptionHooks(world.database, world.pusher, clock, world.address.post)
    subscription = await world.subscribe(A, url=URL, secret=SECRET)
    heard = world.feed(subscription)
    await world.second()
    assert len(await heard.next()) == 1
    clock.back_s = 3_600
    world.chains.write(A)
    await world.second()
    assert world.posted() == [(0, 0), (0, 1)]
    assert len(await heard.next()) == 1
    await world.pusher.end(subscription.id, "over")
    assert (await world.pusher.find(subscription.id)).end_version > heard.feed.last


async def test_subscription_that_nobody_takes_ends_with_the_reason(world: Posting) -> None:
    subscription = await world.subscribe(A, url=URL, secret=SECRET)
    world.address.statuses = [503] * 100
    await world.second()
    for _ in range(12):
        await world.clock.advance(86_400 / 20)
        await world.hooks.step()
    await world.clock.advance(5 * 86_400)
    await world.hooks.step()
    await world.hooks.look()
    ended = await world.pusher.find(subscription.id)
    assert ended.reason == "its address takes nothing: it answered 503"


async def test_address_that_is_gone_ends_its_subscription(world: Posting) -> None:
    subscription, other = await world.subscribe(A, url=URL, secret=SECRET), await world.subscribe(A)
    world.address.statuses = [410]
    await world.second()
    assert (await world.pusher.find(subscription.id)).reason == "its address answered 410"
    assert (await world.pusher.find(other.id)).reason is None
    world.chains.write(A)
    await world.second()
    assert len(world.address.tried) == 1


async def test_deleted_subscription_is_posted_no_more(world: Posting) -> None:
    subscription = await world.subscribe(A, url=URL, secret=SECRET)
    world.address.statuses = [500]
    await world.second()
    await world.pusher.remove(subscription.id)
    await world.clock.advance(60)
    assert await world.hooks.step() == 0
    assert len(world.address.tried) == 1
    assert repr(SECRET) not in repr(subscription)


async def test_reason_why_there_is_no_answer_is_posted(world: Posting) -> None:
    def pruned(*_: Any) -> None:

        raise NotFoundError("height 5 is pruned")

    world.chains.trouble = pruned
    await world.subscribe(A, url=URL, secret=SECRET)
    await world.second()
    [(_, body)] = world.address.taken
    assert (body["data"]["evidence"], body["data"]["problem"]) == (None, "not-found")
    assert body["data"]["detail"] == "height 5 is pruned"
