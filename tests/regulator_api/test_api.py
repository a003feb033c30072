"""The supervision API end to end: HTTP in, facts of two chains out, every read in the log."""

import hashlib
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from core.model.errors import RejectedError
from core.model.types import LockTerms
from core.runtime.database import Database
from indexer.projections import report_agreement
from regulator_api import audit
from tests.indexer.world import COIN, GOLD, PURSE, A, B, Deal, World
from tests.regulator_api.api import Api


def terms_body(terms: LockTerms) -> dict[str, Any]:
    return {
        "chain": terms.chain,
        "asset": terms.asset,
        "amount": str(terms.amount),
        "sender": terms.sender,
        "receiver": terms.receiver,
        "timelock": terms.timelock.seconds,
    }


def agreement_body(deal: Deal, swap_id: str = "swap-1") -> dict[str, Any]:
    return {
        "swap_id": swap_id,
        "hashlock": deal.preimage.hashlock().hex(),
        "initiator": terms_body(deal.initiator),
        "participant": terms_body(deal.participant),
    }


async def claimed_swap(world: World, api: Api, number: int = 1) -> Deal:
    """Agreed, locked, locked, claimed, claimed; not final yet."""
    deal = world.deal(number)
    body = agreement_body(deal, f"swap-{number}")
    assert (await api.ask("/v1/agreements", "relayer-1", method="POST", json=body)).status == 201
    first, second = await world.lock(deal.initiator), await world.lock(deal.participant)
    await world.claim(deal.participant, second, deal.preimage)
    await world.claim(deal.initiator, first, deal.preimage)
    await world.index()
    return deal


async def test_a_swap_is_seen_with_both_legs(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    document = await api.get("/v1/swaps/swap-1")
    swap = document["swap"]
    assert (swap["status"], swap["final"], swap["agreed_source"]) == ("claimed", False, "relayer-1")
    for role, terms in (("initiator", deal.initiator), ("participant", deal.participant)):
        leg = swap[role]
        assert leg["agreed"] == leg["lock"]["terms"]
        assert leg["lock"]["terms"]["amount"]["base_units"] == str(terms.amount)
        assert leg["lock"]["preimage"] == deal.preimage.expose().hex()
        chain = world.chain(terms.chain)
        settled = leg["lock"]["settled"]["block"]
        assert settled["hash"] == chain.block(settled["height"]).header.ref.hash.hex()
    assert swap["initiator"]["agreed"]["amount"]["decimals"] == 18
    assert {row["chain"]: row["block"]["height"] for row in document["as_of"]} == {A: world.a.height, B: world.b.height}
    await world.finalize()
    assert (await api.get("/v1/swaps/swap-1"))["swap"]["final"] is True


async def test_swaps_are_paged_and_filtered(world: World, api: Api) -> None:
    for number in range(1, 6):
        await world.clock.advance(1)
        await claimed_swap(world, api, number)
    loose = world.deal(9)
    await world.lock(loose.initiator)
    await world.index()
    seen: list[str] = []
    path = "/v1/swaps?limit=4"
    while True:
        page = await api.get(path)
        seen += [swap["id"] for swap in page["items"]]
        if page["next"] is None:
            break
        path = f"/v1/swaps?limit=4&cursor={page['next']}"
    assert sorted(seen) == sorted([*(f"swap-{n}" for n in range(1, 6)), f"hashlock:{loose.preimage.hashlock().hex()}"])
    for query, count in (
        ("status=claimed", 5),
        ("status=unjoined", 1),
        (f"chain={quote(B, safe='')}", 5),
        (f"asset={quote(COIN, safe='')}", 6),
        (f"hashlock=0x{world.deal(3).preimage.hashlock().hex()}", 1),
    ):
        assert len((await api.get(f"/v1/swaps?{query}"))["items"]) == count, query


async def test_chains_and_readiness(world: World, api: Api) -> None:
    world.a.mine(3)
    await world.followers[A].catch_up(world.a.head)
    document = await api.get("/v1/chains")
    a = document["items"][0]
    assert (a["chain"], a["head_height"], a["lag_blocks"], a["state"], a["ready"]) == (
        A,
        world.a.height,
        0,
        "live",
        True,
    )
    assert a["finalized"]["height"] == world.a.finalized_height
    assert (await api.ask("/readyz", None)).status == 200
    await world.clock.advance(60)
    stale = await api.ask("/readyz", None)
    assert stale.status == 503
    assert set(stale.body["chains"].values()) == {"stale"}
    assert (await api.get("/v1/chains"))["items"][0]["lag_s"] == 60
    assert (await api.ask("/healthz", None)).status == 200


async def test_transfers(world: World, api: Api) -> None:
    (issued,) = (await api.get(f"/v1/transfers?account={quote(world.initiator[A].account, safe='')}"))["items"]
    assert issued["sender"] is None
    assert issued["amount"] == {"asset": COIN, "base_units": str(PURSE), "decimals": 18, "symbol": "COIN"}
    page = await api.get("/v1/transfers?limit=1")
    rest = await api.get(f"/v1/transfers?limit=1&cursor={page['next']}")
    assert rest["items"] != page["items"]
    assert rest["next"] is None


async def test_assets_are_paged_and_filtered(world: World, api: Api) -> None:
    first = await api.get("/v1/assets?limit=1")
    second = await api.get(f"/v1/assets?limit=1&cursor={first['next']}")
    assert second["next"] is None
    gold = {
        "asset": GOLD,
        "chain": B,
        "symbol": "GOLD",
        "name": "",
        "decimals": 2,
        "source": "ledger",
        "issuer": None,
        "first_height": 1,
    }
    assert [*first["items"], *second["items"]] == [
        gold | {"asset": COIN, "chain": A, "symbol": "COIN", "decimals": 18},
        gold,
    ]
    only = await api.get(f"/v1/assets?chain={quote(B, safe='')}")
    assert only["items"] == [gold]
    assert {row["chain"] for row in only["as_of"]} == {A, B}
    # No contract holds the locks of these chains.
    assert (await api.get("/v1/contracts"))["items"] == []


async def test_conservation(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    deal = world.deal(2)
    lock_id = await world.lock(deal.initiator)
    await world.refund(deal.initiator, lock_id)
    await world.lock(world.deal(3, amount=5 * 10**17).initiator)
    await world.index()
    path = f"/v1/assets/{quote(COIN, safe='')}/conservation"
    latest = await api.get(f"{path}?finality=latest")
    sums = {
        part: (latest[part]["count"], latest[part]["base_units"]) for part in ("locked", "claimed", "refunded", "open")
    }
    one = str(10**18)
    assert sums == {
        "locked": (3, str(25 * 10**17)),
        "claimed": (1, one),
        "refunded": (1, one),
        "open": (1, str(5 * 10**17)),
    }
    assert latest["ok"]
    assert latest["notes"] == ["ledger-holds-locks"]
    earlier = await api.get(path)
    assert earlier["as_of"]["height"] == world.a.finalized_height < latest["as_of"]["height"]
    assert earlier["ok"]
    summary = await api.get("/v1/summary")
    assert summary["conservation_ok"]
    assert {answer["asset"] for answer in summary["conservation"]} == {COIN, GOLD}
    assert summary["swaps"] == {"claimed": 1, "unjoined": 2}
    assert summary["locks"] == {"claimed": 2, "locked": 1, "refunded": 1}


async def test_a_lost_lock_breaks_conservation(world: World, api: Api, database: Database) -> None:
    """Somebody tampers with the projection: the two ways through the data no longer meet."""
    await claimed_swap(world, api)
    await world.lock(world.deal(2).initiator)
    await world.index()
    await database.write(lambda c: c.execute(sa.text("DELETE FROM indexer_locks WHERE status = 'locked'")))
    answer = await api.get(f"/v1/assets/{quote(COIN, safe='')}/conservation?finality=latest")
    assert not answer["ok"]


async def test_every_read_is_logged_before_it_is_answered(world: World, api: Api, database: Database) -> None:
    first = await api.ask("/v1/swaps?limit=3", headers={"X-Purpose": "case 17"})
    absent = await api.ask("/v1/swaps/nothing")
    assert absent.status == 404
    log = await api.get("/v1/audit", "overseer")
    told = [(e["who"], e["method"], e["what"], e["purpose"], e["status"]) for e in log["items"]]
    assert told == [
        ("inspector", "GET", "/v1/swaps/nothing", "", 404),
        ("inspector", "GET", "/v1/swaps?limit=3", "case 17", 200),
    ]
    for entry, answer in zip(log["items"], (absent, first), strict=True):
        assert entry["answer_sha256"] == hashlib.sha256(answer.raw).hexdigest()
        assert entry["request_id"] == answer.headers["X-Request-Id"]
    number, digest = first.headers["Causeway-Audit"].split(":")
    assert (int(number), digest) == (1, log["items"][1]["hash"])
    kept = {1: bytes.fromhex(digest)}
    assert (await database.read(lambda c: audit.verify_audit(c, kept))).ok
    assert len((await api.get("/v1/audit?who=overseer", "overseer"))["items"]) == 1


async def test_changes_to_the_log_are_seen(api: Api, database: Database) -> None:
    for _ in range(4):
        await api.get("/v1/chains")
    check = await database.read(audit.verify_audit)
    assert (check.ok, check.entries) == (True, 4)

    async def damaged(statement: str) -> str:
        """Return what is seen of the damage, which is then undone."""

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.text(statement))
            raise RejectedError(str(audit.verify_audit(connection).wrong))

        with pytest.raises(RejectedError) as seen:
            await database.write(work)
        return seen.value.message

    assert "entry 2 was changed" in await damaged("UPDATE regulator_audit SET who = 'nobody' WHERE seq = 2")
    assert "entry 3 is missing" in await damaged("DELETE FROM regulator_audit WHERE seq = 3")
    assert "cut off" in await damaged("DELETE FROM regulator_audit WHERE seq = 4")

    def rewrite(connection: sa.Connection) -> audit.AuditCheck:
        """Write all of it again, head included: only a hash that was kept elsewhere shows it."""
        entries = list(reversed(audit.list_audit(connection, None, 10)))
        connection.execute(sa.delete(audit.audit))
        connection.execute(sa.delete(audit.audit_head))
        audit.prepare(connection)
        for entry in entries[1:]:
            audit.append(connection, entry.access)
        assert audit.verify_audit(connection).ok
        return audit.verify_audit(connection, {check.entries: check.head})

    assert not (await database.write(rewrite)).ok


async def test_agreements_join_what_was_there_before(world: World, api: Api) -> None:
    deal = world.deal()
    await world.lock(deal.initiator)
    await world.index()
    (before,) = (await api.get("/v1/swaps"))["items"]
    assert before["status"] == "unjoined"
    body = agreement_body(deal)
    assert (await api.ask("/v1/agreements", "relayer-1", method="POST", json=body)).status == 201
    again = await api.ask("/v1/agreements", "relayer-1", method="POST", json=body)
    assert (again.status, again.body) == (200, {"swap_id": "swap-1", "new": False})
    (after,) = (await api.get("/v1/swaps"))["items"]
    assert (after["id"], after["status"]) == ("swap-1", "initiator-locked")


async def test_openapi_and_metrics(api: Api) -> None:
    document = (await api.ask("/openapi.json", None)).body
    assert {"/v1/chains", "/v1/swaps/{id}/evidence", "/v1/assets/{asset}/conservation"} <= set(document["paths"])
    metrics = await api.ask("/metrics", None)
    assert b"causeway_http_requests_total" in metrics.raw


async def test_agreements_can_also_be_reported_in_process(world: World, api: Api, database: Database) -> None:
    deal = world.deal()
    await database.write(lambda c: report_agreement(c, deal.agreement("own", "this gateway"), world.clock.now_ns()))
    assert (await api.get("/v1/swaps/own"))["swap"]["agreed_source"] == "this gateway"
