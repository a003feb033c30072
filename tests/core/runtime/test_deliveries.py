"""Deliveries: in order for each topic, nobody waits for somebody else, and each has an end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from core.model.errors import FatalError, RetryableError
from core.runtime import deliveries
from core.runtime.clock import NS_PER_S, ManualClock, VirtualClock, run_virtually
from core.runtime.database import Database, InlineDatabase, create_schema, open_database
from core.runtime.deliveries import LOOK_S, SHARE, TURN_S, Answer, Deliverer, Delivery, DeliveryStatus, Queue
from core.runtime.retry import RetryPolicy

QUEUE = Queue("notes", RetryPolicy((1.0, 10.0)), max_tries=3, max_age_s=100, max_waiting=200)
TAKEN, LATER, REFUSED = (
    Answer(DeliveryStatus.TAKEN),
    Answer(DeliveryStatus.PENDING, "not now"),
    Answer(DeliveryStatus.REFUSED, "never"),
)


class Receivers:
    """Answers by body: `answers` of a body are given one by one, then `TAKEN`. `got` is every try."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.got: list[str] = []

    async def send(self, one: Delivery) -> Answer:
        text = one.body.decode()
        self.got.append(text)
        waiting = self.answers.get(text)
        answer = waiting.pop(0) if waiting else TAKEN
        if isinstance(answer, Exception):
            raise answer
        return answer


class Stage:
    """A queue over a database in memory, and time that is moved by hand."""

    def __init__(self, database: Database, queue: Queue = QUEUE) -> None:
        self.database = database
        self.clock = ManualClock()
        self.deliverer = Deliverer(database, queue, self.clock)

    async def write(self, *bodies: str, to: str = "one", topic: str = "") -> None:
        def work(connection: Connection) -> None:
            for body in bodies:
                now_ns = self.clock.now_ns()
                deliveries.enqueue(connection, QUEUE, to, body.encode(), now_ns=now_ns, topic=topic)

        await self.database.write(work)

    async def counts(self) -> dict[DeliveryStatus, int]:
        return {status: count for (_, status), count in (await self.database.read(deliveries.counts)).items()}


@pytest.fixture(params=["sqlite", "postgresql"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    if request.param == "sqlite":
        database = open_database(f"sqlite:///{tmp_path}/deliveries.sqlite")
    else:
        database = open_database(request.getfixturevalue("postgres_url"))
    await database.write(lambda c: create_schema(c, deliveries.TABLES))
    await database.write(lambda c: c.execute(deliveries.deliveries.delete()).rowcount)
    yield Stage(database)
    await database.close()


async def test_what_is_taken_is_sent_once_in_order(stage: Stage) -> None:
    receivers = Receivers()
    await stage.write("a", "b", "c")
    assert [await stage.deliverer.step(receivers.send) for _ in range(4)] == [1, 1, 1, 0]
    assert receivers.got == ["a", "b", "c"]
    assert await stage.counts() == {DeliveryStatus.TAKEN: 3}


async def test_one_topic_waits_for_its_first_and_others_do_not(stage: Stage) -> None:
    receivers = Receivers(a1=[LATER])
    await stage.write("a1", "a2", topic="a")
    await stage.write("b1", topic="b")
    await stage.deliverer.step(receivers.send)
    await stage.deliverer.step(receivers.send)
    assert receivers.got == ["a1", "b1"]
    await stage.clock.advance(1)
    await stage.deliverer.step(receivers.send)
    await stage.deliverer.step(receivers.send)
    assert receivers.got == ["a1", "b1", "a1", "a2"]


@pytest.mark.parametrize("silent", [RetryableError("no route"), TimeoutError()])
async def test_a_silent_destination_costs_one_try_and_nobody_else(stage: Stage, silent: Exception) -> None:
    receivers = Receivers(**{f"a{n}": [silent] for n in range(5)})
    for n in range(5):
        await stage.write(f"a{n}", to="away", topic=f"a{n}")
        await stage.write(f"b{n}", to="here", topic=f"b{n}")
    assert await stage.deliverer.step(receivers.send) == 5
    assert sorted(receivers.got) == ["a0", "b0", "b1", "b2", "b3", "b4"]
    assert await stage.counts() == {DeliveryStatus.TAKEN: 5, DeliveryStatus.PENDING: 5}


async def test_what_never_had_a_try_comes_before_what_failed(stage: Stage) -> None:
    """Many that fail keep none that would be taken from its turn."""
    receivers = Receivers(**{f"a{n}": [RetryableError("x"), RetryableError("x")] for n in range(3)})
    for body in ("a0", "a1", "a2", "b"):
        await stage.write(body, topic=body)
        await stage.clock.advance(0.01)
    for _ in range(4):
        await stage.deliverer.step(receivers.send)
        await stage.clock.advance(1)
    assert receivers.got[:4] == ["a0", "a1", "a2", "b"]


async def test_a_refusal_is_kept_and_makes_way(stage: Stage) -> None:
    receivers = Receivers(a=[REFUSED])
    await stage.write("a", "b")
    await stage.deliverer.step(receivers.send)
    await stage.clock.advance(1000)
    await stage.deliverer.step(receivers.send)
    assert receivers.got == ["a", "b"]
    assert await stage.counts() == {DeliveryStatus.REFUSED: 1, DeliveryStatus.TAKEN: 1}


async def test_a_delivery_is_given_up_after_its_tries(stage: Stage) -> None:
    receivers = Receivers(a=[LATER] * 9)
    await stage.write("a", "b")
    for _ in range(5):
        await stage.deliverer.step(receivers.send)
        await stage.clock.advance(10)
    assert receivers.got == ["a", "a", "a", "b"]
    row = (await stage.database.read(lambda c: c.execute(deliveries.deliveries.select()).all()))[0]
    assert (row.status, row.attempts, row.reason) == (DeliveryStatus.GIVEN_UP, 3, "not now")


async def test_a_delivery_is_given_up_some_time_after_its_first_try(stage: Stage) -> None:
    receivers = Receivers(a=[LATER] * 9)
    await stage.write("a")
    await stage.clock.advance(2 * QUEUE.max_age_s)
    await stage.deliverer.step(receivers.send)
    assert await stage.counts() == {DeliveryStatus.PENDING: 1}
    await stage.clock.advance(QUEUE.max_age_s)
    await stage.deliverer.step(receivers.send)
    assert await stage.counts() == {DeliveryStatus.GIVEN_UP: 1}


async def test_an_error_of_the_sender_s_own_stops_nothing_else(stage: Stage) -> None:
    receivers = Receivers(a=[KeyError("a bug")])
    await stage.write("a", topic="a")
    await stage.write("b", topic="b")
    assert await stage.deliverer.step(receivers.send) == 1
    with pytest.raises(FatalError):
        await stage.write("c", topic="c")
        await stage.deliverer.step(Receivers(c=[FatalError("no further")]).send)


async def test_a_full_queue_takes_no_more(stage: Stage) -> None:
    await stage.write(*map(str, range(QUEUE.max_waiting)))
    with pytest.raises(RetryableError, match="200 notes wait already"):
        await stage.write("one more")
    await stage.deliverer.step(Receivers().send)
    await stage.write("one more")


async def test_a_long_backlog_leaves_others_their_turn(stage: Stage) -> None:
    for n in range(SHARE + 20):
        await stage.write(f"a{n}", to="busy", topic=str(n))
    await stage.write("b", to="other")
    receivers = Receivers()
    assert await stage.deliverer.step(receivers.send) == SHARE + 1
    assert "b" in receivers.got


async def test_a_slow_destination_is_left_after_its_turn(stage: Stage) -> None:
    async def slow(_: Delivery) -> Answer:
        await stage.clock.advance(TURN_S / 2)
        return TAKEN

    for n in range(5):
        await stage.write(f"a{n}", topic=str(n))
    assert await stage.deliverer.step(slow) == 2


async def test_what_came_to_nothing_is_forgotten(stage: Stage) -> None:
    await stage.write("a", topic="a")
    await stage.write("b", topic="b")
    await stage.database.write(lambda c: deliveries.forget(c, QUEUE, "a"))
    receivers = Receivers()
    await stage.deliverer.step(receivers.send)
    assert receivers.got == ["b"]


async def test_only_what_was_taken_long_ago_is_pruned(stage: Stage) -> None:
    receivers = Receivers(refused=[REFUSED])
    await stage.write("taken", topic="1")
    await stage.write("refused", topic="2")
    await stage.deliverer.step(receivers.send)
    settled_ns = stage.clock.now_ns()
    await stage.write("new", topic="3")
    assert await stage.database.write(lambda c: deliveries.prune(c, settled_ns, 9)) == 0
    assert await stage.database.write(lambda c: deliveries.prune(c, settled_ns + 1, 9)) == 1
    assert await stage.counts() == {DeliveryStatus.REFUSED: 1, DeliveryStatus.PENDING: 1}


@given(st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("ab"), st.lists(st.sampled_from("sl"), max_size=2))))
def test_each_arrives_once_in_order_of_its_topic(written: Any) -> None:
    """Whatever fails meanwhile, short of the bounds: s, the destination is silent; l, it says later."""
    answers = {"s": RetryableError("silent"), "l": LATER}

    async def story() -> None:
        database = InlineDatabase()
        await database.write(lambda c: create_schema(c, deliveries.TABLES))
        stage, taken = Stage(database, replace(QUEUE, max_age_s=float("inf"))), list[str]()
        receivers = Receivers(**{str(n): [answers[x] for x in fails] for n, (_, _, fails) in enumerate(written)})

        async def send(one: Delivery) -> Answer:
            answer = await receivers.send(one)
            if answer is TAKEN:
                taken.append(one.body.decode())
            return answer

        for n, (to, topic, _) in enumerate(written):
            await stage.write(str(n), to=to, topic=topic)
        for _ in range(3 * len(written)):
            await stage.deliverer.step(send)
            stage.clock._now_ns += 10 * NS_PER_S
        for place in {(to, topic) for to, topic, _ in written}:
            expected = [str(n) for n, (to, topic, _) in enumerate(written) if (to, topic) == place]
            assert [one for one in taken if one in expected] == expected
        assert len(taken) == len(written)
        await database.close()

    asyncio.run(story())


def test_the_loop_sends_what_comes_and_what_is_due_again() -> None:
    async def story() -> None:
        database = InlineDatabase()
        await database.write(lambda c: create_schema(c, deliveries.TABLES))
        clock = VirtualClock()
        deliverer, receivers = Deliverer(database, QUEUE, clock), Receivers(a=[LATER])
        running = asyncio.create_task(deliverer.run(receivers.send))
        await clock.sleep(0.1)
        await database.write(lambda c: deliveries.enqueue(c, QUEUE, "one", b"a", now_ns=clock.now_ns()))
        deliverer.wake.notify()
        await clock.sleep(0.1)
        assert receivers.got == ["a"]
        await clock.sleep(LOOK_S)
        assert receivers.got == ["a", "a"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(story())
