"""Sums over a span of time: every figure is what the lists of the same span and moment add up to."""

from collections import Counter
from typing import Any

from indexer.projections.swaps import SwapStatus
from tests.indexer.world import COIN, GOLD, PURSE, A, B, World
from tests.regulator_api.api import Api
from tests.regulator_api.reading.test_reading import tagged
from tests.regulator_api.test_api import agreement_body, claimed_swap
from tests.regulator_api.test_bad_input import is_problem


async def activity(api: Api, query: str = "as_of=latest", who: str = "inspector") -> Any:
    return await api.get(f"/v1/activity?{query}", who)


def sums(found: Any, asset: str) -> dict[str, tuple[int, int]]:
    (of,) = [one for one in found["assets"] if one["asset"] == asset]
    names = ("transferred", "locked", "claimed", "refunded")
    return {name: (of[name]["count"], int(of[name]["amount"]["base_units"])) for name in names}


async def test_activity_adds_up_what_moved_of_each_asset(world: World, api: Api) -> None:
    first, second = await claimed_swap(world, api), await claimed_swap(world, api, 2)
    found = await activity(api)
    given = first.initiator.amount + second.initiator.amount
    taken = first.participant.amount + second.participant.amount
    assert sums(found, COIN) == {
        "transferred": (1, PURSE),
        "locked": (2, given),
        "claimed": (2, given),
        "refunded": (0, 0),
    }
    assert sums(found, GOLD)["claimed"] == (2, taken)
    (corridor,) = found["corridors"]
    assert (corridor["swaps"], corridor["given"]["base_units"]) == (2, str(given))
    assert (found["swaps"], found["whole"], found["jurisdiction"]) == ({"claimed": 2}, True, None)


async def test_activity_is_of_its_span_and_its_moment(world: World, api: Api) -> None:
    deal = world.deal()
    assert (await api.ask("/v1/agreements", "relayer-1", method="POST", json=agreement_body(deal))).status == 201
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.lock(world.deal(2).initiator)
    await world.clock.advance(20)
    await world.claim(deal.participant, second, deal.preimage)
    await world.claim(deal.initiator, first, deal.preimage)
    await world.index()
    steps = (await api.get("/v1/swaps/swap-1"))["steps"]
    claimed_s = max(step["time_s"] for step in steps if step["what"] == "claimed")
    locked = [step["placed"]["block"]["height"] for step in steps if step["what"] == "locked"]

    late = await activity(api, f"as_of=latest&since_s={claimed_s}&until_s={claimed_s}")
    assert sums(late, GOLD)["locked"][0] == 0
    assert {name: count for name, count in late["swaps"].items() if count} == {}
    moments = ["latest", "finalized", f"{A}@{locked[0]},{B}@{locked[1]}", f"{A}@{locked[0]},{B}@{locked[1] - 1}"]
    seen = []
    for moment in moments:
        found = await activity(api, f"as_of={moment}")
        listed = Counter(one["status"] for one in (await api.get(f"/v1/swaps?as_of={moment}"))["items"])
        assert found["swaps"] == dict(listed), moment
        seen.append(found["swaps"])
    assert seen[0] == {SwapStatus.CLAIMED.value: 1, SwapStatus.UNJOINED.value: 1}
    assert seen[2][SwapStatus.LOCKED.value] == 1
    assert seen[3][SwapStatus.INITIATOR_LOCKED.value] == 1
    again = await activity(api, f"as_of={moments[3]}")
    assert sums(again, COIN)["claimed"] == (0, 0), "nobody had claimed by then"


async def test_a_jurisdiction_is_what_its_own_callers_see(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    await claimed_swap(world, api, 2)
    assert sums(await activity(api, "as_of=latest"), COIN)["locked"][0] == 2
    await tagged(world, deal.initiator.sender, jurisdiction="CH")
    for path in (
        "/v1/activity?as_of=latest",
        "/v1/corridors?as_of=latest",
        "/v1/swaps?as_of=latest",
        "/v1/transfers?as_of=latest",
        "/v1/alerts?withdrawn=false",
    ):
        own, narrowed = await api.get(path, "swiss"), await api.get(f"{path}&jurisdiction=CH")
        for answer in (own, narrowed):
            answer.pop("jurisdiction", None)
        assert own == narrowed, path
        assert not _anything(await api.get(f"{path}&jurisdiction=LI")), path
    own, narrowed = await activity(api, "as_of=latest", "swiss"), await activity(api, "as_of=latest&jurisdiction=CH")
    assert narrowed["jurisdiction"] == "CH"
    assert own["assets"] == narrowed["assets"]
    assert is_problem(await api.ask("/v1/activity?jurisdiction=LI", "swiss"), 422, "rejected")
    assert is_problem(await api.ask("/v1/swaps?jurisdiction=LI", "swiss"), 422, "rejected")


def _anything(answer: Any) -> bool:
    return bool(answer.get("items") or answer.get("assets") or answer.get("swaps"))


async def test_a_cursor_of_one_jurisdiction_fits_no_other(world: World, api: Api) -> None:
    for number in (1, 2, 3):
        deal = await claimed_swap(world, api, number)
    await tagged(world, deal.initiator.sender, jurisdiction="CH")
    cursor = (await api.get("/v1/swaps?limit=1&jurisdiction=CH"))["next"]
    assert (await api.ask(f"/v1/swaps?limit=1&jurisdiction=CH&cursor={cursor}")).status == 200
    assert (await api.ask(f"/v1/swaps?limit=1&cursor={cursor}")).status == 422


async def test_cases_are_counted_for_those_who_may_see_them(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    body = {"title": "A case", "jurisdiction": "CH"}
    made = await api.ask("/v1/cases", "analyst", method="POST", json=body)
    for who in ("analyst", "chief"):
        closing = {"outcome": "referred", "reason": "elsewhere"}
        await api.ask(f"/v1/cases/{made.body['id']}/close", who, method="POST", json=closing)
    now_s = int(world.clock.now())
    span = f"as_of=latest&since_s=0&until_s={now_s}"
    assert (await activity(api, span))["cases"] is None
    counted = {"opened": 1, "closed": 1, "outcomes": {"referred": 1}}
    assert (await activity(api, span, "analyst"))["cases"] == counted
    assert (await activity(api, f"{span}&jurisdiction=LI", "analyst"))["cases"]["opened"] == 0
    assert (await activity(api, f"as_of=latest&since_s={now_s + 1}&until_s={now_s + 1}", "analyst"))["cases"][
        "opened"
    ] == 0


async def test_a_span_that_ends_before_it_begins_is_refused(world: World, api: Api) -> None:
    await world.index()
    assert is_problem(await api.ask("/v1/activity?since_s=2&until_s=1"), 422, "rejected")
