"""Traces over HTTP, from the index: swaps are crossed, bounds and services reported, bundles run again."""

from functools import partial
from typing import Any

import msgspec
import pytest

from core.model.errors import RejectedError
from core.model.types import AccountId, address_of
from indexer.projections import report_agreement
from regulator_api import bundles
from tests.indexer.world import COIN, GOLD, PURSE, A, B, World
from tests.regulator_api.api import Answer, Api
from tests.regulator_api.reading.test_reading import tagged
from tests.regulator_api.test_api import claimed_swap
from tests.regulator_api.test_bad_input import is_problem


async def trace(api: Api, who: str = "inspector", **body: Any) -> Answer:
    return await api.ask("/v1/traces", who, method="POST", json={"as_of": "latest", **body})


def purse(world: World) -> dict[str, Any]:
    """All that the initiator sends of its coins."""
    return {"account": {"account": world.initiator[A].account, "asset": COIN}}


def ends(method: dict[str, Any]) -> dict[tuple[str, str, bool], int]:
    return {
        (end["ledger"]["account"], end["ledger"]["asset"], end["ledger"]["lock"] is not None): int(end["taint"])
        for end in method["ends"]
    }


async def test_a_trace_crosses_a_swap(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    answer = await trace(api, **purse(world))
    assert answer.status == 200, answer.body
    assert (answer.body["way"], answer.body["moment"]["finalized"]) == ("forward", False)
    amount = deal.initiator.amount
    for method in answer.body["methods"]:
        if method["method"] == "poison":
            assert method["sums"] is None
            continue
        # What was locked on A is carried by what the initiator received on B, in units of A.
        assert ends(method) == {(world.initiator[B].account, GOLD, False): amount}
        sums = {"source": amount, "held": amount, "stopped": 0, "in_flight": 0, "fees": 0}
        assert method["sums"] == {**{name: str(one) for name, one in sums.items()}, "conserved": True}
        assert [flow["swap"] for flow in method["flows"]] == [None, "swap-1"]
    again = await api.get(f"/v1/traces/{answer.body['id']}")
    assert again == answer.body


async def test_a_trace_leads_back_over_a_swap(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    got = {"account": world.initiator[B].account, "asset": GOLD}
    answer = await trace(api, way="backward", account=got, methods=["fifo", "haircut"])
    for method in answer.body["methods"]:
        # The coins were issued to the initiator: nobody gave them.
        assert method["sums"]["source"] == method["sums"]["fees"] == str(deal.participant.amount)


async def test_a_lock_in_flight_is_told_as_of_its_moment(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    swap = (await api.get("/v1/swaps/swap-1"))["swap"]
    heights = {role: swap[role]["lock"]["locked"]["block"]["height"] for role in ("initiator", "participant")}
    moment = f"{A}@{heights['initiator']},{B}@{heights['participant']}"
    answer = await trace(api, as_of=moment, methods=["fifo"], **purse(world))
    (method,) = answer.body["methods"]
    assert method["sums"]["in_flight"] == str(deal.initiator.amount)
    assert answer.body["moment"]["as_of"] == moment


async def test_locks_that_nothing_joins_are_candidates(world: World, api: Api) -> None:
    deal = world.deal()
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.claim(deal.participant, second, deal.preimage)
    await world.claim(deal.initiator, first, deal.preimage)
    await world.index()
    answer = await trace(api, **purse(world))
    (crossing,) = answer.body["candidates"]
    assert crossing["hashlock"] == deal.preimage.hashlock().hex()
    (method, *_) = answer.body["methods"]
    assert ends(method) == {(world.participant[A].account, COIN, False): deal.initiator.amount}
    # Reached from both of its parties, the lock is still one.
    (issued,) = (await api.get(f"/v1/transfers?chain={A}"))["items"]
    both = await trace(api, transaction={"chain": A, "tx": issued["placed"]["tx_hash"]})
    assert both.body["candidates"] == [crossing]
    # The agreement joins them: now the value is on the other chain.
    await world.database.write(partial(report_agreement, agreement=deal.agreement(), now_ns=1))
    joined = await trace(api, **purse(world))
    assert joined.body["candidates"] == []
    assert ends(joined.body["methods"][0]) == {(world.initiator[B].account, GOLD, False): deal.initiator.amount}


async def test_a_service_stops_a_trace(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    await tagged(world, world.initiator[B].account, category="exchange")
    answer = await trace(api, **purse(world))
    assert answer.body["bounds"] == [{"stop": "service", "ledgers": 1}]
    assert answer.body["methods"][0]["ends"][0]["stop"] == "service"
    assert answer.body["methods"][0]["sums"]["stopped"] == str(deal.initiator.amount)


async def test_a_bundle_gives_the_trace_again(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    answer = await trace(api, evidence=True, **purse(world))
    raw = msgspec.json.encode(answer.body["bundle"], order="sorted")
    verified = bundles.verify(raw)
    assert verified.kind == "trace"
    changed = msgspec.json.decode(raw)
    changed["edges"][0][4] = "7"
    with pytest.raises(RejectedError, match="digest"):
        bundles.verify(msgspec.json.encode(changed))
    # Sealed again by a forger, the numbers still do not follow.
    body = {name: value for name, value in changed.items() if name not in ("digest", "version", "kind")}
    with pytest.raises(RejectedError, match="another result"):
        bundles.verify(bundles.seal("trace", body))


async def test_a_transaction_is_a_source(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    (issued,) = (await api.get(f"/v1/transfers?chain={A}"))["items"]
    source = {"chain": A, "tx": "0x" + issued["placed"]["tx_hash"]}
    answer = await trace(api, transaction=source)
    assert answer.body["methods"][0]["sums"]["source"] == str(PURSE)
    assert is_problem(await trace(api, transaction={**source, "index": 77}), 404, "not-found")
    assert is_problem(await trace(api, transaction={**source, "tx": "11" * 32}), 404, "not-found")


async def test_bad_questions_make_no_trace(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    nobody = {"account": f"{A}:{'ab' * 20}", "asset": COIN}
    for body, status, kind in (
        ({}, 422, "rejected"),
        ({**purse(world), "transaction": {"chain": A, "tx": "00" * 32}}, 422, "rejected"),
        ({"account": {"account": world.initiator[A].account, "asset": GOLD}}, 422, "rejected"),
        ({"account": nobody}, 404, "not-found"),
        ({**purse(world), "hops": 51}, 422, "invalid-body"),
        ({**purse(world), "methods": ["magic"]}, 422, "invalid-body"),
    ):
        assert is_problem(await trace(api, **body), status, kind), body
    assert (await api.ask("/v1/traces/" + "0" * 32)).status == 404
    assert (await trace(api, who="prover", **purse(world))).status == 403


async def test_a_trace_shows_rows_in_scope_alone(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    assert is_problem(await trace(api, who="swiss", **purse(world)), 404, "not-found")
    await tagged(world, AccountId(f"{A}:{address_of(world.initiator[A].account)}"), jurisdiction="CH")
    answer = await trace(api, who="swiss", **purse(world))
    assert answer.status == 200
    # The lock on A is seen, the leg on B is not: no trace leads there.
    assert {end["ledger"]["asset"] for end in answer.body["methods"][0]["ends"]} == {COIN}
