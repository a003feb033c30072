"""Assets, contracts, conservation and counts, as of a moment and for callers who see some jurisdictions."""

from typing import Any
from urllib.parse import quote

from tests.indexer.world import COIN, GOLD, A, B, World
from tests.regulator_api.api import Api
from tests.regulator_api.reading.test_reading import tagged
from tests.regulator_api.test_api import claimed_swap

NOT_OF_BLOCKS = {
    "/v1/me",
    "/v1/chains",  # as they are followed now
    "/v1/keys",
    "/v1/audit",
    "/v1/exports/{id}",
    "/v1/exports/{id}/file",
    "/v1/traces/{id}",  # keeps to the moment that it was made at
    "/v1/orders",  # read off the ledger itself, and say the height
    "/v1/orders/{number}",
    "/v1/holds/{account}",
    # Statements of this supervision, with versions and dates of their own.
    "/v1/lists",
    "/v1/lists/{version}/changes",
    "/v1/tags",
    "/v1/entities",
    "/v1/entities/{id}",
    "/v1/travel-rule",
    "/v1/travel-rule/{id}/identities",
    "/v1/alerts",
    "/v1/alerts/{id}",
    "/v1/alerts/{id}/bundle",
    "/v1/rules",
    "/v1/rules/{id}",
    "/v1/rates",
    "/v1/cases",
    "/v1/cases/{id}",
    "/v1/cases/{id}/export",
}


async def test_every_reading_route_takes_a_moment(api: Api) -> None:
    document = (await api.ask("/openapi.json", None)).body
    without = set()
    for path, methods in document["paths"].items():
        reads = path.startswith("/v1/") and "get" in methods and "evidence" not in path and "stream" not in path
        named = {one["name"] for one in methods.get("get", {}).get("parameters", ())}
        if reads and not {"as_of", "labels"} <= named:
            without.add(path)
    assert without == NOT_OF_BLOCKS


async def test_sums_and_counts_are_as_of_a_moment(world: World, api: Api) -> None:
    deal = world.deal()
    lock_id = await world.lock(deal.initiator)
    await world.lock(world.deal(2).initiator)
    await world.index()
    then = f"as_of={A}@{world.a.height},{B}@{world.b.height}"
    path = f"/v1/assets/{quote(COIN, safe='')}/conservation"
    before = [await api.get(f"{path}?{then}"), await api.get(f"/v1/summary?{then}")]
    await world.clock.advance(5)
    await claimed_swap(world, api, 3)
    await world.claim(deal.initiator, lock_id, deal.preimage)
    await world.finalize()
    after = [await api.get(f"{path}?{then}"), await api.get(f"/v1/summary?{then}")]
    for earlier, later in zip(before, after, strict=True):
        assert _facts(earlier) == _facts(later)
    assert (before[0]["locked"]["count"], before[0]["open"]["count"], before[0]["finality"]) == (2, 2, "latest")
    assert (before[1]["swaps"], before[1]["locks"]) == ({"unjoined": 2}, {"locked": 2})
    now = await api.get("/v1/summary")
    assert (now["swaps"], now["locks"]) == ({"claimed": 1, "unjoined": 2}, {"claimed": 3, "locked": 1})
    # The other way to count, over all blocks but one that is empty, comes to the same.
    world.a.mine()
    await world.index()
    stood = await api.get(f"/v1/summary?as_of={A}@{world.a.height - 1},{B}@{world.b.height}")
    assert [stood[name] for name in ("swaps", "locks", "transfers")] == [
        now[name] for name in ("swaps", "locks", "transfers")
    ]
    both = await api.ask(f"{path}?{then}&finality=latest")
    assert (both.status, both.body["detail"]) == (422, "as_of and finality both name a moment: give one of them")


def _facts(answer: Any) -> Any:
    """The answer without the state of its chains, and without what is final by now."""
    if isinstance(answer, list):
        return [_facts(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    moving = ("chains", "now_s", "finality", "finalized")
    return {name: _facts(value) for name, value in answer.items() if name not in moving}


async def test_assets_of_others_do_not_exist(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    await world.finalize()
    assert (await api.get("/v1/assets", "swiss"))["items"] == []
    assert (await api.get("/v1/search?q=GOLD", "swiss"))["items"] == []
    await tagged(world, deal.participant.receiver, jurisdiction="CH")
    (gold,) = (await api.get("/v1/assets", "swiss"))["items"]
    every = {one["asset"]: one["first_height"] for one in (await api.get("/v1/assets"))["items"]}
    # The first block of its scope, and not the first of all.
    assert (gold["asset"], gold["symbol"]) == (GOLD, "GOLD")
    assert gold["first_height"] > every[GOLD]
    assert (await api.get(f"/v1/assets?as_of={B}@1", "swiss"))["items"] == []
    assert [hit["id"] for hit in (await api.get("/v1/search?q=GOLD", "swiss"))["items"]] == [GOLD]
    assert (await api.get("/v1/search?q=COIN", "swiss"))["items"] == []
    assert (await api.get(f"/v1/search?q={quote(COIN, safe='')}", "swiss"))["items"] == []
    page = await api.get("/v1/assets?limit=1")
    assert (await api.ask(f"/v1/assets?limit=1&cursor={page['next']}", "swiss")).status == 422
