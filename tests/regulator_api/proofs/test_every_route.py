"""`?evidence=true` on every route that answers with data: it verifies, and nothing that it proves can be changed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from regulator_api.proofs.kinds import KINDS
from regulator_api.service import SupervisedChain
from regulator_api.travel.records import Vault
from tests.indexer.world import COIN, GOLD, A, B, World
from tests.regulator_api.api import Api, prepare, serving
from tests.regulator_api.proofs.documents import amounts, document_of, refusal, verified
from tests.regulator_api.reading.test_reading import tagged
from tests.regulator_api.test_api import claimed_swap
from tests.regulator_api.test_bad_input import is_problem
from tests.regulator_api.travel.test_travel import IDENTITIES

WITHOUT_DATA = {
    "/v1/me",  # who asks
    "/v1/keys",
    "/v1/exports/{id}",
    "/v1/cases/{id}/export",  # a file
}
ON_A_LEDGER = {"/v1/orders", "/v1/orders/{number}", "/v1/holds/{account}", "/v1/holds/{account}/history"}
ON_A_LEDGER |= {"/v1/records", "/v1/records/{chain}/{namespace}/{key}"}
"""Asked of a running ledger in `test_ledger.py`; `ALERTS` in `test_alerts.py`."""
ALERTS = {"/v1/alerts", "/v1/alerts/{id}"}
WHY = {"X-Purpose": "a test", "X-Case": "17"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(database)
    made = World(database, ManualClock())
    await made.open()
    yield made
    await database.close()


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    chains = [SupervisedChain(world.access(chain).parameters, None, world.access(chain).state) for chain in (A, B)]
    async with serving(world.database, chains, world.clock, vault=Vault(b"\x09" * 32)) as made:
        yield made


async def fill(world: World, api: Api) -> dict[str, str]:
    """Give every route something to answer. Return a path of each."""
    deal = await claimed_swap(world, api)
    await world.lock(world.deal(2).initiator)
    await world.finalize()
    me = quote(deal.initiator.sender, safe="")
    await tagged(world, deal.initiator.sender, entity="bank", label="The Bank")
    entity = {"id": "bank", "name": "The Bank", "jurisdiction": "CH"}
    assert (await api.ask("/v1/entities", "librarian", method="POST", json=entity)).status == 201
    case = await api.ask("/v1/cases", "developer", method="POST", json={"title": "a case", "alerts": []})
    travel = {
        "chain": A,
        "tx_hash": "ab" * 32,
        "originator_account": deal.initiator.sender,
        "beneficiary_account": deal.initiator.receiver,
        "identities": IDENTITIES,
    }
    assert (await api.ask("/v1/travel-rule", "developer", method="POST", json=travel)).status == 201
    trace = {"account": {"account": deal.initiator.sender, "asset": COIN}, "as_of": "latest"}
    made = await api.ask("/v1/traces", "developer", method="POST", json=trace)
    rule = (await api.get("/v1/rules"))["items"][0]["id"]
    gold, coin = (f"/v1/assets/{quote(asset, safe='')}" for asset in (GOLD, COIN))
    return {
        "/v1/chains": "/v1/chains",
        "/v1/transfers": "/v1/transfers?limit=5",
        "/v1/swaps": f"/v1/swaps?account={me}",
        "/v1/swaps/{id}": "/v1/swaps/swap-1",
        "/v1/search": "/v1/search?q=coin",
        "/v1/accounts/{account}": f"/v1/accounts/{me}",
        "/v1/accounts/{account}/moves": f"/v1/accounts/{me}/moves",
        "/v1/accounts/{account}/counterparties": f"/v1/accounts/{me}/counterparties?since_s=0",
        "/v1/entities/{id}/holdings": "/v1/entities/bank/holdings",
        "/v1/assets": "/v1/assets",
        "/v1/contracts": "/v1/contracts",
        "/v1/assets/{asset}/conservation": f"{coin}/conservation",
        "/v1/assets/{asset}/supply": f"{gold}/supply",
        "/v1/assets/{asset}/concentration": f"{gold}/concentration",
        "/v1/assets/{asset}/series": f"{gold}/series?step=hour",
        "/v1/corridors": "/v1/corridors",
        "/v1/activity": "/v1/activity?since_s=0",
        "/v1/summary": "/v1/summary",
        "/v1/traces/{id}": f"/v1/traces/{made.body['id']}",
        "/v1/audit": "/v1/audit?limit=5",
        "/v1/lists": "/v1/lists",
        "/v1/lists/{version}/changes": "/v1/lists/1/changes",
        "/v1/tags": "/v1/tags",
        "/v1/entities": "/v1/entities",
        "/v1/entities/{id}": "/v1/entities/bank",
        "/v1/rules": "/v1/rules",
        "/v1/rules/{id}": f"/v1/rules/{rule}",
        "/v1/rates": "/v1/rates",
        "/v1/cases": "/v1/cases",
        "/v1/cases/{id}": f"/v1/cases/{case.body['id']}",
        "/v1/travel-rule": "/v1/travel-rule",
        "/v1/travel-rule/{id}/identities": "/v1/travel-rule/1/identities",
    }


def with_evidence(path: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}evidence=true"


async def test_every_answer_with_evidence_verifies(world: World, api: Api) -> None:
    paths = await fill(world, api)
    document = (await api.ask("/openapi.json", None)).body
    reading = {path for path, methods in document["paths"].items() if path.startswith("/v1/") and "get" in methods}
    files = ("evidence", "bundle", "file")
    reading = {path for path in reading if "/stream/" not in path and path.rsplit("/", 1)[1] not in files}
    flagged = {path for path in reading if _flag(document["paths"][path]["get"])}
    assert reading - flagged == WITHOUT_DATA
    assert flagged == set(paths) | ON_A_LEDGER | ALERTS == set(KINDS)
    for route, path in paths.items():
        plain = await api.ask(path, "developer", headers=WHY)
        answer = await api.ask(with_evidence(path), "developer", headers=WHY)
        assert answer.status == 200, (path, answer.body)
        proof = answer.body.pop("proof")
        if route not in ("/v1/audit", "/v1/traces/{id}", "/v1/corridors") and not path.startswith("/v1/assets/"):
            assert answer.body == plain.body, path
        assert (proof["route"], proof["path"]) == (route, path)
        found = verified(answer.raw)
        assert found.kind == "answer"
        assert found.shows.startswith(f"the answer of {route}")
        # What is not proven is said.
        assert all(one["evidence"] is not None or one["reason"] for one in proof["claims"])
        assert proof["claims"] or proof["rows"] is not None or found.caution, path


def _flag(operation: Any) -> bool:
    return any(one["name"] == "evidence" for one in operation.get("parameters", ()))


async def test_no_figure_can_be_changed(world: World, api: Api) -> None:
    paths = await fill(world, api)
    changed = 0
    for route in (
        "/v1/assets/{asset}/conservation",
        "/v1/assets/{asset}/supply",
        "/v1/assets/{asset}/concentration",
        "/v1/assets/{asset}/series",
        "/v1/corridors",
        "/v1/activity",
        "/v1/accounts/{account}/counterparties",
        "/v1/entities/{id}/holdings",
        "/v1/traces/{id}",
    ):
        document = document_of((await api.ask(with_evidence(paths[route]), "developer")).raw)
        for at, amount in amounts(document):
            assert refusal(document, at, str(int(amount) + 1)), (route, at)
            changed += 1
    assert changed >= 14
    activity = document_of((await api.ask(with_evidence(paths["/v1/activity"]), "developer")).raw)
    assert len(activity["proof"]["rows"]) >= 4
    for at, value in (
        ("/assets/0/transferred/count", 77),
        ("/swaps", {"claimed": 9}),
        ("/corridors", activity["corridors"] * 2),
        ("/until_s", 1),
        ("/since_s", 1),
        ("/jurisdiction", "CH"),
        ("/proof/rows/0/2", "1"),
        ("/proof/rows", []),
    ):
        assert refusal(activity, at, value), at
    summary = document_of((await api.ask(with_evidence(paths["/v1/summary"]), "developer")).raw)
    assert refusal(summary, "/swaps/claimed", 2)
    assert refusal(summary, "/conservation_ok", False)
    assert refusal(summary, "/proof/rows/0/2", "refunded")
    log = document_of((await api.ask(with_evidence(paths["/v1/audit"]), "developer")).raw)
    assert refusal(log, "/items/1/who", "nobody")
    assert refusal(log, "/items/0/status", 404)
    swap = document_of((await api.ask(with_evidence(paths["/v1/swaps/{id}"]), "developer")).raw)
    assert refusal(swap, "/swap/initiator/lock/preimage", "00" * 32)
    assert refusal(swap, "/swap/id", "swap-2")
    for at, value in (("/proof/claims", []), ("/proof/path", "/v1/chains"), ("/proof/rows", [])):
        assert refusal(swap, at, value), at


async def test_answer_of_one_question_is_none_of_another(world: World, api: Api) -> None:
    paths = await fill(world, api)
    other = quote(world.participant[A].account, safe="")
    asset = quote(COIN, safe="")
    for route, query in (
        ("/v1/transfers", f"limit=5&account={other}"),
        ("/v1/transfers", "limit=5&until_s=1"),
        ("/v1/transfers", f"asset={asset}"),
        ("/v1/transfers", "limit=1"),
        ("/v1/transfers", "min_amount=1" + "0" * 40),
        ("/v1/swaps", "status=refunded"),
        ("/v1/swaps", "hashlock=" + "00" * 32),
        ("/v1/assets", f"chain={quote(A)}"),
        ("/v1/assets/{asset}/series", "step=week"),
        ("/v1/assets/{asset}/series", "step=hour&until_s=9"),
        ("/v1/accounts/{account}/counterparties", "until_s=1"),
    ):
        answer = await api.ask(with_evidence(paths[route]), "developer")
        path = f"{paths[route].partition('?')[0]}?{query}"
        assert refusal(document_of(answer.raw), "/proof/path", path), path


async def test_evidence_needs_its_scope_and_a_plain_value(world: World, api: Api) -> None:
    assert is_problem(await api.ask("/v1/swaps?evidence=true"), 403, "scope-missing")
    assert (await api.ask("/v1/swaps?evidence=false")).status == 200
    for wrong in ("evidence=maybe", "evidence=true&evidence=true", "evidence="):
        assert is_problem(await api.ask(f"/v1/chains?{wrong}", "prover"), 422, "invalid-query"), wrong


async def test_who_sees_some_jurisdictions_proves_no_more(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    await tagged(world, deal.participant.sender, jurisdiction="CH")
    answer = await api.ask("/v1/swaps?evidence=true", "spy")
    assert [one["id"] for one in answer.body["items"]] == ["swap-1"]
    assert verified(answer.raw).kind == "answer"
    me = quote(deal.participant.sender, safe="")
    dealt = await api.ask(f"/v1/accounts/{me}/counterparties?evidence=true", "spy")
    assert verified(dealt.raw).shows.count("rows") == 1


async def test_answer_of_too_many_claims_is_refused(world: World, api: Api) -> None:
    for number in range(1, 36):
        await world.clock.advance(1)
        await claimed_swap(world, api, number)
    refused = await api.ask("/v1/swaps?limit=200&evidence=true", "prover")
    assert refused.status == 422
    assert "ask for a page of limit=16" in refused.body["detail"]
    assert (await api.ask("/v1/swaps?limit=16&evidence=true", "prover")).status == 200
