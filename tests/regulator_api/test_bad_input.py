"""Wrong requests: each gets a problem document that says what to do, and nothing is stored."""

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from core.runtime import database as database_module
from core.runtime.database import open_database
from regulator_api.service import SupervisedChain
from tests.indexer.world import A, World
from tests.regulator_api.api import Answer, Api, prepare, serving
from tests.regulator_api.test_api import agreement_body


def is_problem(answer: Answer, status: int, kind: str) -> bool:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.raw
    assert (answer.body["status"], answer.body["type"]) == (status, f"urn:causeway:problem:{kind}"), answer.body
    assert answer.body["request_id"] == answer.headers["X-Request-Id"]
    return answer.status == status


BAD_QUESTIONS = [
    ("/v1/swaps/nothing", 404, "not-found"),
    ("/v1/swaps/" + "x" * 300, 422, "rejected"),
    ("/v1/swaps/%00", 422, "rejected"),
    ("/v1/swaps/%F0%9F%98%80", 422, "rejected"),
    ("/v1/swaps?limit=0", 422, "invalid-query"),
    ("/v1/swaps?limit=201", 422, "invalid-query"),
    ("/v1/swaps?limit=many", 422, "invalid-query"),
    ("/v1/swaps?status=happy", 422, "invalid-query"),
    ("/v1/swaps?hashlock=12", 422, "invalid-query"),
    ("/v1/swaps?color=red", 422, "invalid-query"),
    ("/v1/swaps?chain=A&chain=B", 422, "invalid-query"),
    ("/v1/swaps?cursor=AAAA", 422, "rejected"),
    ("/v1/swaps?cursor=%C3%A4", 422, "rejected"),
    ("/v1/swaps?chain=nonsense", 422, "malformed-identifier"),
    ("/v1/swaps?chain=eip155:1", 404, "not-found"),
    ("/v1/swaps?asset=coin", 422, "malformed-identifier"),
    ("/v1/transfers?account=me", 422, "malformed-identifier"),
    ("/v1/transfers?account=memory:c:00", 404, "not-found"),
    ("/v1/transfers?account=eip155:1:0x6b175474e89094c44da98b954eedeac495271d0f", 404, "not-found"),
    ("/v1/transfers?account=eip155:1:0x6B175474e89094c44da98b954eedeac495271d0f", 422, "malformed-identifier"),
    ("/v1/transfers?account=memory:a:00%0A", 422, "malformed-identifier"),
    ("/v1/transfers?asset=memory:a/asset:tulip", 404, "not-found"),
    ("/v1/transfers?asset=memory:c/asset:coin", 404, "not-found"),
    ("/v1/transfers?chain=memory:a&account=memory:b:00", 422, "rejected"),
    ("/v1/transfers?asset=memory:a/asset:coin&account=memory:b:00", 422, "rejected"),
    ("/v1/swaps?asset=memory:a/asset:tulip", 404, "not-found"),
    ("/v1/swaps?asset=eip155:1/slip44:60", 404, "not-found"),
    ("/v1/swaps?chain=memory:b&asset=memory:a/asset:coin", 422, "rejected"),
    ("/v1/swaps?hashlock=" + "0" * 64 + "%0A", 422, "rejected"),
    ("/v1/assets?chain=eip155:1", 404, "not-found"),
    ("/v1/assets?chain=nonsense", 422, "malformed-identifier"),
    ("/v1/assets?asset=coin", 422, "invalid-query"),
    ("/v1/contracts?chain=eip155:1", 404, "not-found"),
    ("/v1/contracts?cursor=AAAA", 422, "rejected"),
    ("/v1/assets/coin/conservation", 422, "malformed-identifier"),
    ("/v1/assets/" + quote("memory:a/asset:tulip", safe="") + "/conservation", 404, "not-found"),
    ("/v1/assets/" + quote("eip155:1/slip44:60", safe="") + "/conservation", 404, "not-found"),
    ("/v1/nothing", 404, "no-route"),
]


async def test_bad_questions(api: Api) -> None:
    for path, status, kind in BAD_QUESTIONS:
        assert is_problem(await api.ask(path), status, kind), path


async def test_a_cursor_of_another_list_is_refused(world: World, api: Api) -> None:
    await world.lock(world.deal(1).initiator)
    await world.lock(world.deal(2).initiator)
    await world.index()
    cursor = (await api.get("/v1/swaps?limit=1"))["next"]
    assert is_problem(await api.ask(f"/v1/transfers?cursor={cursor}"), 422, "rejected")
    assert is_problem(await api.ask(f"/v1/swaps?status=claimed&cursor={cursor}"), 422, "rejected")
    assert is_problem(await api.ask(f"/v1/swaps?cursor={cursor[:-2]}aa"), 422, "rejected")


async def test_keys_and_scopes(api: Api) -> None:
    missing = await api.ask("/v1/chains", None)
    assert is_problem(missing, 401, "unauthorized")
    assert "WWW-Authenticate" in missing.headers
    assert is_problem(await api.ask("/v1/chains", None, headers={"X-API-Key": "guess"}), 401, "unauthorized")
    for path, who in (
        ("/v1/chains", "relayer-1"),
        ("/v1/audit", "inspector"),
        ("/v1/swaps/x/evidence", "inspector"),
        ("/v1/summary", "overseer"),
    ):
        refused = await api.ask(path, who)
        assert is_problem(refused, 403, "scope-missing")
    assert is_problem(await api.ask("/v1/agreements", "inspector", method="POST", json={}), 403, "scope-missing")


async def test_a_purpose_of_any_bytes_is_logged(api: Api) -> None:
    await api.get(
        "/v1/chains", headers={"X-Purpose": "grüße \udcff".encode("utf-8", "surrogateescape").decode("latin-1")}
    )
    (entry,) = (await api.get("/v1/audit", "overseer"))["items"]
    assert entry["purpose"]


def wrong(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = {key: dict(part) if isinstance(part, dict) else part for key, part in body.items()}
    place, _, name = path.rpartition("/")
    (changed[place] if place else changed)[name] = value
    return changed


async def test_bad_agreements(world: World, api: Api) -> None:
    body = agreement_body(world.deal())
    for path, value, status, kind in (
        ("hashlock", "00", 422, "invalid-body"),
        ("swap_id", "", 422, "invalid-body"),
        ("swap_id", "with space", 422, "invalid-body"),
        ("swap_id", "hashlock:00", 422, "rejected"),
        ("initiator/amount", "0", 422, "invalid-body"),
        ("initiator/amount", "-1", 422, "invalid-body"),
        ("initiator/amount", str(2**256), 422, "rejected"),
        ("initiator/amount", "5\n", 422, "rejected"),
        ("initiator/amount", 5, 422, "invalid-body"),
        ("initiator/chain", "memory:b", 422, "rejected"),
        ("initiator/sender", "nobody", 422, "malformed-identifier"),
        ("initiator/sender", "eip155:1:0x00", 422, "malformed-identifier"),
        ("initiator/timelock", 2**40, 422, "invalid-body"),
        ("initiator", body["participant"], 422, "rejected"),
        ("extra", 1, 422, "invalid-body"),
    ):
        answer = await api.ask("/v1/agreements", "relayer-1", method="POST", json=wrong(body, path, value))
        assert is_problem(answer, status, kind), path
    malformed = await api.ask(
        "/v1/agreements", "relayer-1", method="POST", data=b"{", headers={"Content-Type": "application/json"}
    )
    assert is_problem(malformed, 400, "malformed-json")
    assert (await api.get("/v1/swaps"))["items"] == []
    assert (await api.ask("/v1/agreements", "relayer-1", method="POST", json=body)).status == 201
    other = agreement_body(world.deal(2))
    assert is_problem(await api.ask("/v1/agreements", "relayer-1", method="POST", json=other), 409, "conflict")


async def test_evidence_without_agreed_terms_or_prover(world: World, api: Api) -> None:
    deal = world.deal()
    await world.lock(deal.initiator)
    await world.index()
    (loose,) = (await api.get("/v1/swaps"))["items"]
    assert is_problem(await api.ask(f"/v1/swaps/{loose['id']}/evidence", "prover"), 409, "conflict")
    await api.ask("/v1/agreements", "relayer-1", method="POST", json=agreement_body(deal))
    document = await api.get("/v1/swaps/swap-1/evidence", "prover")
    assert document["complete"] is False
    assert [(leg["role"], leg["problem"]) for leg in document["legs"]] == [("initiator", "rejected")]
    assert is_problem(await api.ask("/v1/swaps/swap-1/evidence?leg=participant", "prover"), 404, "not-found")
    assert is_problem(await api.ask("/v1/swaps/swap-1/evidence?leg=initiator", "prover"), 422, "rejected")


async def test_a_locked_database_withholds_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_MS", 50)
    file = tmp_path / "supervision.sqlite"
    database = open_database(f"sqlite:///{file}")
    await prepare(database)
    world = World(database)
    await world.open()
    async with serving(database, [SupervisedChain(world.access(A).parameters)], world.clock) as api:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = await api.ask("/v1/chains")
        assert is_problem(refused, 503, "unavailable")
        assert "locked" in refused.body["detail"]
        assert "Retry-After" in refused.headers
        other.execute("ROLLBACK")
        other.close()
        assert (await api.ask("/v1/chains")).status == 200
    await database.close()
