"""Reading over HTTP: accounts, transfers and swaps as they stood, for those who may see them."""

from functools import partial
from typing import Any
from urllib.parse import quote

import pytest

from core.model.types import AccountId, address_of
from indexer.projections.moves import ledger_keeper
from regulator_api.knowledge.store import state_own
from regulator_api.knowledge.tags import Statement
from tests.indexer.world import COIN, GOLD, PURSE, A, B, World
from tests.regulator_api.api import Api
from tests.regulator_api.test_api import agreement_body, claimed_swap
from tests.regulator_api.test_bad_input import is_problem


def path_of(account: AccountId, rest: str = "") -> str:
    return f"/v1/accounts/{quote(account, safe='')}{rest}"


async def tagged(world: World, account: AccountId, **members: Any) -> int:
    """Say something of an account. Return the label version."""
    given = {"label": "somebody", "category": "exchange", "source": "a test", "confidence": 90, "valid_from_s": 0}
    statement = Statement(subject=account, **{**given, **members})
    now = world.clock.now_ns()
    made = await world.database.write(partial(state_own, statement=statement, sha256=bytes(32), who="t", now_ns=now))
    return made.version


async def test_a_profile_says_what_an_account_holds(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    await tagged(world, deal.initiator.sender, entity="bank", label="The Bank")
    profile = await api.get(path_of(deal.initiator.sender))
    assert (profile["entity"], profile["keeper"], profile["whole"]) == ("bank", False, True)
    assert [tag["label"] for tag in profile["tags"]] == ["The Bank"]
    assert profile["alerts"] == {}
    (held,) = profile["balances"]
    assert held["amount"]["base_units"] == str(PURSE - deal.initiator.amount)
    assert held["exact"]
    before = await api.get(path_of(deal.initiator.sender, f"?as_of={A}@1"))
    assert before["balances"][0]["amount"]["base_units"] == str(PURSE)
    assert before["moment"]["as_of"].startswith(f"{A}@1")
    keeper = await api.get(path_of(ledger_keeper(A)))
    assert keeper["keeper"]


async def test_moves_are_paged_within_one_moment(world: World, api: Api) -> None:
    for number in range(1, 5):
        await world.clock.advance(1)
        await claimed_swap(world, api, number)
    mine = world.initiator[A].account
    first = await api.get(path_of(mine, "/moves?limit=2"))
    assert [item["kind"] for item in first["items"]] == ["lock", "lock"]
    # What comes in meanwhile changes no page.
    await claimed_swap(world, api, 5)
    seen, cursor = list(first["items"]), first["next"]
    while cursor is not None:
        page = await api.get(path_of(mine, f"/moves?limit=2&cursor={cursor}"))
        assert page["moment"]["as_of"] == first["moment"]["as_of"]
        seen, cursor = seen + page["items"], page["next"]
    assert [item["direction"] for item in seen] == ["out"] * 4 + ["in"]
    assert seen[0]["other"] == ledger_keeper(A)
    assert seen[-1]["other"] is None
    other = await api.ask(path_of(world.participant[A].account, f"/moves?cursor={first['next']}"))
    assert is_problem(other, 422, "rejected")


async def test_counterparties_are_added_up(world: World, api: Api) -> None:
    for number in (1, 2):
        await claimed_swap(world, api, number)
    answer = await api.get(path_of(world.participant[B].account, "/counterparties"))
    sums = {item["account"]: item for item in answer["items"]}
    assert sums[ledger_keeper(B)]["sent"] == 2
    assert sums[ledger_keeper(B)]["amount_sent"]["base_units"] == str(2 * 10**4)
    assert sums[None]["amount_received"]["base_units"] == str(PURSE)
    assert (answer["moves"], answer["whole"], answer["more"]) == (3, True, False)


async def test_a_swap_is_shown_step_by_step_as_it_stood(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    whole = await api.get("/v1/swaps/swap-1")
    assert sorted((step["leg"], step["what"]) for step in whole["steps"]) == [
        ("initiator", "claimed"),
        ("initiator", "locked"),
        ("participant", "claimed"),
        ("participant", "locked"),
    ]
    locked = whole["swap"]["participant"]["lock"]["locked"]["block"]["height"]
    then = f"as_of={A}@{world.a.height},{B}@{locked}"
    earlier = await api.get(f"/v1/swaps/swap-1?{then}")
    assert earlier["swap"]["participant"]["lock"]["status"] == "locked"
    assert earlier["swap"]["participant"]["lock"]["preimage"] is None
    assert ("participant", "refundable") in [(step["leg"], step["what"]) for step in earlier["steps"]]
    assert earlier["swap"]["status"] == "revealed"
    for status, count in (("revealed", 1), ("claimed", 0)):
        assert len((await api.get(f"/v1/swaps?status={status}&{then}"))["items"]) == count


async def test_transfers_are_filtered(world: World, api: Api) -> None:
    first = (await api.get("/v1/transfers"))["items"]
    assert len(first) == 2
    mine = world.initiator[A].account
    for query, count in (
        (f"account={quote(mine)}", 1),
        (f"account={quote(mine)}&counterparty={quote(ledger_keeper(A))}", 0),
        # The two memory chains issue alike: their first transactions have one hash.
        (f"tx={first[0]['placed']['tx_hash']}", 2),
        (f"tx=0x{first[0]['placed']['tx_hash'].upper()}&chain={quote(B)}", 1),
        (f"asset={quote(GOLD)}&min_amount={PURSE}", 1),
        (f"asset={quote(GOLD)}&min_amount={PURSE + 1}", 0),
        (f"asset={quote(GOLD)}&max_amount={PURSE - 1}", 0),
        (f"account={quote(mine)}&max_amount=7", 0),
        (f"chain={quote(A)}", 1),
        ("until_s=1", 0),
        (f"since_s={first[0]['placed']['block']['time_s']}", 2),
        (f"as_of={A}@1,{B}@0", 1),
    ):
        found = (await api.get(f"/v1/transfers?{query}"))["items"]
        assert len(found) == count, query


@pytest.mark.parametrize("written", ["initiator", "lock", "coin", "swap-1"])
async def test_search_finds_anything(world: World, api: Api, written: str) -> None:
    deal = await claimed_swap(world, api)
    words = {
        "initiator": (address_of(deal.initiator.sender), "account"),
        "lock": (deal.preimage.hashlock().hex().upper(), "swap"),
        "coin": ("coin", "asset"),
        "swap-1": ("swap-1", "swap"),
    }
    asked, kind = words[written]
    hits = (await api.get(f"/v1/search?q={quote(asked)}"))["items"]
    assert kind in [hit["kind"] for hit in hits], hits
    for hit in hits:
        if hit["kind"] in ("account", "swap", "transaction"):
            assert (await api.ask(hit["path"])).status == 200, hit
    assert (await api.get("/v1/search?q=nothing-is-called-so"))["items"] == []


async def test_a_hit_leads_to_a_swap_of_any_name(world: World, api: Api) -> None:
    name = "desk/7?x=1#2"
    body = agreement_body(world.deal(), name)
    assert (await api.ask("/v1/agreements", "relayer-1", method="POST", json=body)).status == 201
    (hit,) = (await api.get(f"/v1/search?q={quote(name, safe='')}"))["items"]
    assert (await api.get(hit["path"]))["swap"]["id"] == name


async def test_who_sees_one_jurisdiction_sees_its_rows_alone(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    for path in ("/v1/transfers", "/v1/swaps", path_of(deal.initiator.sender, "/moves")):
        assert (await api.get(path, "swiss"))["items"] == [], path
    assert (await api.ask("/v1/swaps/swap-1", "swiss")).status == 404
    assert (await api.get("/v1/search?q=swap-1", "swiss"))["items"] == []
    assert (await api.ask("/v1/summary", "swiss")).status == 403
    version = await tagged(world, deal.participant.sender, jurisdiction="CH")
    (swap,) = (await api.get("/v1/swaps", "swiss"))["items"]
    assert swap["id"] == "swap-1"
    (issued,) = (await api.get("/v1/transfers", "swiss"))["items"]
    assert issued["receiver"] == deal.participant.sender
    # The initiator's account on B is seen in its dealings with that one only: the keeper hides who is behind.
    profile = await api.get(path_of(deal.initiator.sender), "swiss")
    assert (profile["balances"], profile["first_s"], profile["entity"]) == ([], None, None)
    # As of the labels before, nobody was of that jurisdiction.
    assert (await api.get(f"/v1/swaps?labels={version - 1}", "swiss"))["items"] == []
    assert (await api.ask(f"/v1/swaps?labels={version + 1}", "swiss")).status == 404


BAD = [
    ("/v1/accounts/me", 422, "malformed-identifier"),
    ("/v1/accounts/memory:c:00", 404, "not-found"),
    ("/v1/transfers?tx=12", 422, "invalid-query"),
    ("/v1/transfers?min_amount=-1", 422, "invalid-query"),
    ("/v1/transfers?counterparty=memory:b:00&chain=memory:a", 422, "rejected"),
    ("/v1/transfers?as_of=yesterday", 422, "invalid-query"),
    ("/v1/transfers?as_of=memory:a@999", 422, "rejected"),
    ("/v1/transfers?as_of=memory:c@1", 404, "not-found"),
    ("/v1/transfers?as_of=memory:a@1,memory:a@1", 422, "rejected"),
    ("/v1/swaps?labels=99", 404, "not-found"),
    ("/v1/entities/nobody/holdings", 404, "not-found"),
    ("/v1/search?q=", 422, "invalid-query"),
]


async def test_refusals_name_the_data_they_rest_on(world: World, api: Api) -> None:
    """Asked for the same moment, the answer is the same, whatever came in meanwhile."""
    await claimed_swap(world, api)
    version = await tagged(world, world.initiator[A].account)
    for path in (
        "/v1/swaps/none",
        "/v1/entities/nobody/holdings",
        "/v1/swaps/none/evidence",
        "/v1/assets/memory:a%2Fslip44:1/conservation",
        "/v1/alerts/none",
    ):
        who = "prover" if path.endswith("evidence") else "inspector"
        answer = await api.ask(path, who)
        assert answer.status == 404, path
        assert answer.body["labels"] == version, path
        as_of = (await api.get("/v1/swaps?limit=1"))["as_of"]
        heights = [f"{one['chain']}@{one['block']['height']}" for one in as_of]
        assert answer.body["as_of"] == ",".join(heights), path
    before = (await api.ask("/v1/swaps/later")).body["as_of"]
    await claimed_swap(world, api, 2)
    assert (await api.ask("/v1/swaps/later")).body["as_of"] != before
    again = await api.ask(f"/v1/swaps/later?as_of={before}")
    assert (again.status, again.body["as_of"]) == (404, before)
    malformed = await api.ask("/v1/accounts/me")
    assert "as_of" not in malformed.body, "this rests on no data"
    assert (await api.ask("/v1/entities/nobody")).body["labels"] == version


async def test_bad_questions_are_refused(world: World, api: Api) -> None:
    for path, status, kind in BAD:
        assert is_problem(await api.ask(path), status, kind), path
    assert COIN in str((await api.get("/v1/transfers"))["items"])
