"""Figures: by hand where they can be, and again from their bundles."""

from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import RejectedError
from regulator_api import bundles
from regulator_api.reading import figures
from regulator_api.reading.figures import Crossing, Holder, Moved, concentration, corridors, series
from tests.indexer.world import COIN, GOLD, PURSE, A, B, World
from tests.regulator_api.api import Api
from tests.regulator_api.test_api import agreement_body, claimed_swap
from tests.regulator_api.test_bad_input import is_problem

GOLD_PATH = f"/v1/assets/{quote(GOLD, safe='')}"


def test_concentration_of_one_and_of_equals() -> None:
    assert concentration([Holder("a", 7)], 3).hhi == 10_000
    equal = concentration([Holder(str(number), 5) for number in range(4)], 1)
    assert (equal.holders, equal.total, equal.hhi, equal.top_ppm) == (4, 20, 2_500, 250_000)
    assert equal.top == (Holder("0", 5),)
    assert concentration([Holder("a", 0), Holder("b", -3)], 5).holders == 0


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 2**256), min_size=1), st.integers(1, 5))
def test_concentration_is_between_equality_and_monopoly(held: dict[str, int], top: int) -> None:
    found = concentration((Holder(*one) for one in held.items()), top)
    # 10,000 / n is the least for n holders; one less for the rounding.
    assert 10_000 // len(held) - 1 <= found.hhi <= 10_000
    assert found.total == sum(held.values())
    assert 0 < found.top_ppm <= 1_000_000


def test_corridors_and_series_are_added_up() -> None:
    found = corridors([Crossing("x", "y", 3, 30, 1), Crossing("y", "x", 9, 1, 2), Crossing("x", "y", 4, 39, 3)])
    assert [tuple(one) for one in found] == [("x", "y", 2, 7, 69), ("y", "x", 1, 9, 1)]
    buckets = series([Moved(25, "transfer", 3), Moved(11, "claim", 5), Moved(10, "transfer", 4)], 10)
    assert [tuple(one) for one in buckets] == [(10, 1, 4, 0, 1, 0), (20, 1, 3, 0, 0, 0)]


async def test_supply_adds_up_while_value_is_locked(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    await world.lock(world.deal(2).participant)
    await world.index()
    found = await api.get(f"{GOLD_PATH}/supply?as_of=latest")
    amount = deal.participant.amount
    assert (found["issued"]["base_units"], found["burned"]["base_units"]) == (str(PURSE), "0")
    assert (found["locked"]["base_units"], found["in_flight"]["base_units"]) == (str(amount), "0")
    assert (found["held"]["base_units"], found["residual"]) == (str(PURSE - amount), "0")
    # The finalized blocks are the default, and there was less.
    assert (await api.get(f"{GOLD_PATH}/supply"))["moment"]["finalized"]


async def test_concentration_names_the_largest_holders(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    found = await api.get(f"{GOLD_PATH}/concentration?as_of=latest&top=1&evidence=true", "prover")
    assert (found["holders"], found["total"]["base_units"]) == (2, str(PURSE))
    assert found["top"][0]["account"] == deal.participant.sender
    verify(found["bundle"])


async def test_a_corridor_has_both_sums(world: World, api: Api) -> None:
    for number in (1, 2):
        deal = await claimed_swap(world, api, number)
    found = await api.get("/v1/corridors?as_of=latest&evidence=true", "prover")
    (corridor,) = found["items"]
    assert (corridor["from_chain"], corridor["to_chain"], corridor["swaps"]) == (A, B, 2)
    assert corridor["given"]["base_units"] == str(2 * deal.initiator.amount)
    assert corridor["taken"]["base_units"] == str(2 * deal.participant.amount)
    verify(found["bundle"])
    assert (await api.get(f"/v1/corridors?as_of={A}@1,{B}@1"))["items"] == []
    assert (await api.get("/v1/corridors?as_of=latest", "swiss"))["items"] == []


async def test_a_corridor_counts_swaps_when_they_are_claimed(world: World, api: Api) -> None:
    deal = world.deal()
    assert (await api.ask("/v1/agreements", "relayer-1", method="POST", json=agreement_body(deal))).status == 201
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.clock.advance(20)
    await world.claim(deal.participant, second, deal.preimage)
    await world.claim(deal.initiator, first, deal.preimage)
    await world.index()
    steps = (await api.get("/v1/swaps/swap-1"))["steps"]
    made_s = max(step["time_s"] for step in steps if step["what"] == "locked")
    claimed_s = max(step["time_s"] for step in steps if step["what"] == "claimed")
    assert made_s < claimed_s
    for span, count in (
        (f"since_s={claimed_s}&until_s={claimed_s}", 1),
        (f"since_s={claimed_s + 1}", 0),
        (f"until_s={made_s}", 0),
    ):
        assert len((await api.get(f"/v1/corridors?as_of=latest&{span}"))["items"]) == count, span


async def test_a_series_counts_what_moved(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    found = await api.get(f"{GOLD_PATH}/series?as_of=latest&step=hour&evidence=true", "prover")
    assert sum(one["transfers"] for one in found["items"]) == 1
    assert sum(one["locks"] + one["claims"] for one in found["items"]) == 2
    assert (found["volume"]["base_units"], found["velocity_ppm"]) == (str(PURSE), 1_000_000)
    verify(found["bundle"])
    seen = await api.get(f"{GOLD_PATH}/series?as_of=latest", "swiss")
    assert (seen["items"], seen["velocity_ppm"]) == ([], None)
    assert deal.participant.amount > 0


def verify(bundle: Any) -> None:
    """The bundle holds, and no other result does."""
    raw = msgspec.json.encode(bundle, order="sorted")
    assert bundles.verify(raw).kind == figures.KIND
    body = {name: value for name, value in bundle.items() if name not in ("digest", "version", "kind")}
    body["result"] = [*body["result"], 1] if isinstance(body["result"], list) else 1
    with pytest.raises(RejectedError, match="another"):
        bundles.verify(bundles.seal(figures.KIND, body))


async def test_figures_over_everybody_need_everybody(world: World, api: Api) -> None:
    for path in (f"{GOLD_PATH}/supply", f"{GOLD_PATH}/concentration"):
        assert is_problem(await api.ask(path, "swiss"), 403, "all-jurisdictions")
    for path, status, kind in (
        ("/v1/assets/coin/supply", 422, "malformed-identifier"),
        (f"{GOLD_PATH}/series?step=hour&since_s=0", 422, "rejected"),
        (f"{GOLD_PATH}/series?since_s=9&until_s=8", 422, "rejected"),
        ("/v1/records/memory:a/none/none", 404, "not-found"),
    ):
        assert is_problem(await api.ask(path), status, kind), path
    assert (await api.get("/v1/records"))["items"] == []
    assert COIN.startswith(A)
