"""The stream of swaps: what it shows of each, in which order, for whom, and that it is the same whenever it is read."""

from dataclasses import replace

import pytest

from core.model.types import BaseUnits, Height
from core.runtime.database import Database
from regulator_api.access.scope import EVERYTHING, Scope
from regulator_api.streaming import swaps
from regulator_api.streaming.proposals import PLACES, newest_number
from regulator_api.streaming.swaps import SwapHappening, read_swap_happenings
from tests.indexer.world import A, Deal, World
from tests.regulator_api.api import Api
from tests.regulator_api.reading.test_reading import tagged
from tests.regulator_api.streaming.test_streams import read
from tests.regulator_api.test_api import agreement_body

Numbered = tuple[int, SwapHappening]
LIFE = [
    ("proposed", ""),
    ("locked", "initiator"),
    ("locked", "participant"),
    ("claimed", "participant"),
    ("claimed", "initiator"),
]


async def streamed(database: Database, behind: int = 0, scope: Scope = EVERYTHING) -> list[Numbered]:
    """Everything behind a number, read to the end."""
    found: list[Numbered] = []
    while True:
        at = behind
        batch, behind = await database.read(lambda connection, at=at: read_swap_happenings(connection, scope, at))  # type: ignore[misc]
        found += [(one.number, happening) for one in batch for happening in one.happenings]
        if behind == at:
            return found


def steps(found: list[Numbered], swap: str = "swap-1") -> list[tuple[str, str]]:
    return [(one.kind, one.leg) for _, one in found if one.swap_id == swap]


async def lives(world: World, api: Api, number: int = 1) -> Deal:
    """Agreed, locked, locked, claimed, claimed, and indexed after each step."""
    deal = world.deal(number)
    assert await report(api, deal, f"swap-{number}") == 201
    first = await world.lock(deal.initiator)
    await world.index()
    second = await world.lock(deal.participant)
    await world.index()
    await world.claim(deal.participant, second, deal.preimage)
    await world.index()
    await world.claim(deal.initiator, first, deal.preimage)
    await world.index()
    return deal


async def report(api: Api, deal: Deal, swap: str = "swap-1") -> int:
    return (await api.ask("/v1/agreements", "relayer-1", method="POST", json=agreement_body(deal, swap))).status


async def test_swap_is_streamed_step_by_step(world: World, api: Api) -> None:
    deal = await lives(world, api)
    found = await streamed(world.database)
    assert steps(found) == LIFE
    numbers = [number for number, _ in found]
    assert numbers == sorted(numbers)
    proposed, locked = [one for _, one in found if one.swap_id][:2]
    assert proposed.initiator is not None
    assert (proposed.initiator.sender, proposed.initiator.amount) == (deal.initiator.sender, str(deal.initiator.amount))
    assert (locked.chain, locked.late, locked.undone) == (A, False, False)
    assert world.a.block(Height(locked.height)).header.ref.hash.hex() == locked.block_hash
    await world.finalize()
    assert {one.kind for _, one in await streamed(world.database, numbers[-1])} == {"finalized"}
    assert await report(api, deal) == 200
    assert steps(await streamed(world.database)) == LIFE, "a report that was there already is none"


async def test_stream_goes_on_behind_any_number(world: World, api: Api) -> None:
    for number in (1, 2, 3):
        await lives(world, api, number)
    whole = await streamed(world.database)
    assert [steps(whole, f"swap-{number}") for number in (1, 2, 3)] == [LIFE] * 3
    for place in {number for number, _ in whole}:
        rest = [one for one in whole if one[0] > place]
        assert await streamed(world.database, place) == rest
    assert await world.database.read(newest_number) >= whole[-1][0]
    assert await streamed(world.database, await world.database.read(newest_number)) == []


async def test_reading_in_small_parts_loses_nothing(world: World, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 5):
        assert await report(api, world.deal(number), f"early-{number}") == 201
        await lives(world, api, number + 10)
    whole = await streamed(world.database)
    for facts, reports in ((1, 1), (1, 3), (3, 1), (2, 2)):
        monkeypatch.setattr(swaps, "MAX_FACTS_AT_ONCE", facts)
        monkeypatch.setattr(swaps, "MAX_PROPOSALS_AT_ONCE", reports)
        assert await streamed(world.database) == whole, (facts, reports)


async def test_late_report_brings_its_legs_along(world: World, api: Api) -> None:
    deal = world.deal()
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.claim(deal.participant, second, deal.preimage)
    await world.index()
    assert steps(await streamed(world.database)) == []
    assert await report(api, deal) == 201
    before = await streamed(world.database)
    late = [one for _, one in before if one.swap_id]
    assert [(one.kind, one.leg, one.late) for one in late] == [
        ("proposed", "", False),
        ("locked", "initiator", True),
        ("locked", "participant", True),
        ("claimed", "participant", True),
    ]
    assert len({number for number, one in before if one.swap_id}) == 1, "all under the report's number"
    await world.claim(deal.initiator, first, deal.preimage)
    await world.finalize()
    after = await streamed(world.database)
    assert after[: len(before)] == before, "what was streamed once is streamed again"
    assert steps(after)[-1] == ("claimed", "initiator")


async def test_refunds_and_undone_blocks_are_streamed(world: World, api: Api) -> None:
    deal = world.deal()
    await report(api, deal)
    first = await world.lock(deal.initiator)
    await world.index()
    await world.refund(deal.initiator, first)
    await world.index()
    before = await streamed(world.database)
    assert steps(before) == [("proposed", ""), ("locked", "initiator"), ("refunded", "initiator")]
    world.a.reorg(1, 2, keep=lambda _: False)
    await world.index()
    after = await streamed(world.database)
    assert after[: len(before)] == before
    undone = [(one.kind, one.undone) for _, one in after[len(before) :] if one.swap_id]
    assert undone == [("refunded", True)]


async def test_other_locks_under_the_hashlock_are_not_streamed(world: World, api: Api) -> None:
    deal = world.deal()
    await report(api, deal)
    other = replace(deal.initiator, amount=BaseUnits(5))
    await world.lock(other)
    await world.index()
    assert steps(await streamed(world.database)) == [("proposed", "")]


async def test_caller_sees_the_swaps_of_its_jurisdictions(world: World, api: Api) -> None:
    """Claims and refunds, too: they are of swaps whose parties are known."""
    await lives(world, api)
    swiss = Scope(frozenset({"CH"}), frozenset({"read"}))
    assert steps(await streamed(world.database, scope=swiss)) == []
    await tagged(world, world.initiator[A].account, jurisdiction="CH")
    assert steps(await streamed(world.database, scope=swiss)) == LIFE
    french = Scope(frozenset({"FR"}), frozenset({"read"}))
    assert steps(await streamed(world.database, scope=french)) == []


async def test_stream_is_served_with_its_numbers(world: World, api: Api) -> None:
    await lives(world, api)
    path = "/v1/stream/swaps"
    found = await read(api, "inspector", 5, f"{path}?after=0")
    named = [(name, content.get("leg", "")) for name, _, content in found if content.get("swap_id")]
    assert named == LIFE[: len(named)]
    number = next(number for name, number, _ in found if name == "proposed")
    assert number % PLACES == 1, "the first report behind a fact"
    rest = await read(api, "inspector", 3, path, Last_Event_ID=str(number))
    assert next((name, content["leg"]) for name, _, content in rest if content.get("swap_id")) == LIFE[1]
    assert (await api.ask(path, "overseer")).status == 403
