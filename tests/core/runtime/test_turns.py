"""Turns and gates: one piece of work in each round of the event loop, a few requests at once, clients in rotation."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from core.runtime.web import Entrance, Turns
from tests.support import eventually


async def test_each_round_has_one_turn_and_clients_rotate() -> None:
    turns, done, rounds = Turns(), [], 0
    for number in range(40):
        turns.wait("many", lambda number=number: done.append(("many", number, rounds)))  # type: ignore[misc]
    turns.wait("few", lambda: done.append(("few", 0, rounds)))
    while len(done) < 41:
        await asyncio.sleep(0)
        rounds += 1
    assert [one for one in done if one[0] == "few"] == [("few", 0, 1)]
    assert [number for who, number, _ in done if who == "many"] == list(range(40)), "a client's own in their order"
    assert [when for _, _, when in done] == list(range(41)), "one in a round"


async def test_work_that_fails_keeps_nobody_from_their_turn() -> None:
    turns, done, failures = Turns(), [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> None:
        raise ValueError("not this one")

    for client in ("a", "b"):
        turns.wait(client, fail)
        turns.wait(client, lambda client=client: done.append(client))  # type: ignore[misc]
    await turns.come("c")
    await turns.come("c")
    assert done == ["a", "b"]
    assert [str(error) for error in failures] == ["not this one"] * 2


async def test_forgotten_work_takes_no_turn() -> None:
    turns = Turns()
    done: list[object] = []
    for number in range(3):
        turns.wait("one", partial(done.append, number))
    gone = partial(done.append, "gone")
    turns.wait("other", gone)
    turns.forget("other", gone)
    turns.forget("nobody", gone)
    await eventually(lambda: len(done) == 3)
    turns.wait("other", partial(done.append, "again"))
    await turns.come("last")
    assert done == [0, 1, 2, "again"]


async def test_who_gives_up_waiting_costs_others_nothing() -> None:
    turns = Turns()
    waiting = [asyncio.create_task(turns.come(f"client {number}")) for number in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(waiting[0], waiting[2])
    assert waiting[1].cancelled()
    await turns.come("later")


async def test_entrance_lets_a_few_in_and_clients_rotate() -> None:
    entrance, begun, go = Entrance(2, 60.0), [], asyncio.Event()

    async def request(client: str) -> None:
        async with entrance.passed(client):
            begun.append(client)
            await go.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(request("many"))
        group.create_task(request("few"))
        await asyncio.sleep(0.01)
        assert begun == ["many", "many"]
        go.set()
    assert sorted(begun[2:4]) == ["few", "many"], "not behind all that was there before"
    assert len(begun) == 7


async def test_request_that_waits_long_counts_no_more() -> None:
    entrance, passed = Entrance(1, 0.02), []
    async with AsyncExitStack() as stack:
        for number in range(3):
            await asyncio.wait_for(stack.enter_async_context(entrance.passed("slow")), 10)
            passed.append(number)
        assert passed == [0, 1, 2], "all at once, through an entrance for one"
    async with entrance.passed("next"):
        passed.append(3)
    assert passed == [0, 1, 2, 3]


async def test_place_of_one_who_gives_up_goes_to_the_next() -> None:
    entrance, passed = Entrance(1, 60.0), []

    async def request(client: str) -> None:
        async with entrance.passed(client):
            passed.append(client)

    async with entrance.passed("first"):
        waiting = [asyncio.create_task(request(f"client {number}")) for number in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()  # it was given the place, and has not taken it yet
    await eventually(lambda: waiting[2].done())
    assert passed == ["client 2"]
    async with entrance.passed("last"):
        assert [one.cancelled() for one in waiting] == [True, True, False]
