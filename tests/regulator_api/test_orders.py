"""Orders over the supervision API: drafts for officers, who is held, and the proof, on a running ledger."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from adapters.consortium import connect
from adapters.consortium.chain import ConsortiumChain
from core.model.consortium import caip_account, decode_leaf
from core.model.consortium_orders import HeldLeaf
from core.model.questions import LeafAnswer
from core.model.types import ChainId, Height
from core.proofs.evidence import decode_evidence, verify
from core.runtime.clock import SystemClock
from core.runtime.database import open_database
from gateway import orders
from indexer.feed import FactSignal
from indexer.follower import Follower
from local_chains.consortium.node import ConsortiumNode
from regulator_api.drafts import OrderDraft, half_of
from regulator_api.ordering import OrderDesk
from regulator_api.service import SupervisedChain
from tests.local_chains.consortium.officers import LI, WANG, chain_with_officers
from tests.local_chains.consortium.support import ANN, BEN, Actor
from tests.openapi import assert_speaks_its_openapi
from tests.regulator_api.api import Api, prepare, serving
from tests.support import eventually

CHAIN = ChainId("causeway:test-1")
CASE = "ab" * 32


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    async with chain_with_officers(tmp_path / "home") as running:
        yield running


@pytest_asyncio.fixture
async def chain(node: ConsortiumNode) -> AsyncIterator[ConsortiumChain]:
    connected = await connect(node.rpc_url, CHAIN)
    yield connected
    await connected.close()


@pytest_asyncio.fixture
async def api(chain: ConsortiumChain, tmp_path: Path) -> AsyncIterator[Api]:
    database = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(database)
    access = chain.access
    assert access.orders is not None
    desk = OrderDesk(CHAIN, access.orders, access.transactions, access.heads)
    supervised = SupervisedChain(access.parameters, chain.prover, access.state, desk)
    follower = Follower(
        access.parameters, access.heads, access.blocks, database, FactSignal(), SystemClock(), Height(1)
    )
    following = asyncio.create_task(follower.run())
    async with serving(database, [supervised], SystemClock()) as made:
        yield made
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await database.close()


def account(actor: Actor) -> str:
    return caip_account(CHAIN, actor.address)


async def post(api: Api, path: str, **body: Any) -> Any:
    answer = await api.ask(path, "officer", method="POST", json=body)
    return answer.body if answer.status == 200 else (answer.status, answer.body["detail"])


async def submit(node: ConsortiumNode, actor: Actor, draft: Any) -> dict[str, Any]:
    """Sign a draft as on the officer's own machine, and send it."""
    half = half_of(msgspec.convert(draft, OrderDraft))
    return await orders.submit(node.rpc_url, orders.sign(half, bytes(actor.key)))


async def order(api: Api, chain: ConsortiumChain, **changes: Any) -> Any:
    assert chain.access.orders is not None
    now_s = (await chain.access.orders.orders(0)).time_ms // 1_000
    body = {"officer": account(LI), "account": account(ANN), "reason": "fraud", "case": CASE, "expires": now_s + 600}
    return await post(api, "/v1/orders", **{**body, **changes})


async def proven_hold(api: Api, chain: ConsortiumChain, actor: Actor) -> HeldLeaf | None:
    """The hold that the evidence proves, verified as anybody would."""
    file = await api.ask(f"/v1/holds/{account(actor)}/evidence", "prover")
    evidence = decode_evidence(file.raw)
    proven = verify(evidence, await chain.prover.anchor(), evidence.as_of.time.seconds + 5)
    assert isinstance(proven.answer, LeafAnswer)
    return None if proven.answer.value is None else decode_leaf(proven.answer.value, HeldLeaf)


async def test_order_is_drafted_signed_shown_and_proven(api: Api, node: ConsortiumNode, chain: ConsortiumChain) -> None:
    free = await api.get(f"/v1/holds/{account(ANN)}")
    assert free == {"account": account(ANN), "held": False, "order": None, "until": None}
    draft = await order(api, chain)
    assert (draft["step"], draft["officer"], draft["sequence"]) == ("prepare", account(LI), 0)
    assert draft.get("transaction") is None
    await submit(node, LI, draft)
    assert (await api.get("/v1/orders/1"))["status"] == "prepared"
    await submit(node, WANG, await post(api, "/v1/orders/1/approval", officer=account(WANG)))
    found = await api.get("/v1/orders")
    [one] = found["items"]
    assert (found["chain"], found["count"], one["status"], one["account"]) == (CHAIN, 1, "in-force", account(ANN))
    assert (one["prepared"]["officer"], one["approved"]["officer"]) == (account(LI), account(WANG))
    held = await api.get(f"/v1/holds/{account(ANN)}")
    assert (held["held"], held["order"], held["until"]) == (True, 1, draft["expires"])

    async def is_proven() -> bool:
        # A state is proven by the header of the next block.
        return await proven_hold(api, chain, ANN) == HeldLeaf(1, draft["expires"])

    await eventually(is_proven)
    assert await proven_hold(api, chain, BEN) is None
    await submit(node, WANG, await post(api, "/v1/orders/1/lift", officer=account(WANG), reason="explained"))
    assert (await api.get("/v1/orders/1"))["lift_waits"] is True
    await submit(node, LI, await post(api, "/v1/orders/1/approval", officer=account(LI)))
    assert (await api.get("/v1/orders/1"))["status"] == "lifted"
    assert (await api.get(f"/v1/holds/{account(ANN)}"))["held"] is False

    async def is_indexed() -> bool:
        return len((await api.get(f"/v1/holds/{account(ANN)}/history"))["items"]) == 4

    await eventually(is_indexed)
    history = await api.get(f"/v1/holds/{account(ANN)}/history?limit=3")
    assert [(one["step"], one["officer"], one["reason"]) for one in history["items"]] == [
        ("lifted", account(LI), None),
        ("lift-prepared", account(WANG), "explained"),
        ("in-force", account(WANG), None),
    ]
    rest = await api.get(f"/v1/holds/{account(ANN)}/history?limit=3&cursor={history['next']}")
    [first] = rest["items"]
    assert (first["step"], first["reason"], first["case"], first["expires"]) == (
        "prepared",
        "fraud",
        CASE,
        draft["expires"],
    )
    assert first["placed"]["final"] is True
    before = f"{CHAIN}@{history['items'][2]['placed']['block']['height']}"
    earlier = await api.get(f"/v1/holds/{account(ANN)}/history?as_of={before}")
    assert [one["step"] for one in earlier["items"]] == ["in-force", "prepared"]
    assert (await api.get(f"/v1/holds/{account(BEN)}/history"))["items"] == []


async def test_orders_are_paged_and_filtered(api: Api, node: ConsortiumNode, chain: ConsortiumChain) -> None:
    for who in (ANN, BEN, ANN):
        await submit(node, LI, await order(api, chain, account=account(who)))
    seen, path = [], "/v1/orders?limit=2"
    while path:
        page = await api.get(path)
        seen += [one["number"] for one in page["items"]]
        path = f"/v1/orders?limit=2&cursor={page['next']}" if page.get("next") else ""
    assert seen == [3, 2, 1]
    about = await api.get(f"/v1/orders?account={account(BEN)}")
    assert [one["number"] for one in about["items"]] == [2]
    other = await api.ask(f"/v1/orders?account={account(ANN)}&cursor={(await api.get('/v1/orders?limit=2'))['next']}")
    assert other.status == 422


async def test_drafts_take_a_scope_of_their_own(api: Api, chain: ConsortiumChain) -> None:
    for who in ("inspector", "prover", "overseer", "relayer-1"):
        assert (await api.ask("/v1/orders", who, method="POST", json={})).status == 403
    assert (await api.ask(f"/v1/holds/{account(ANN)}/evidence")).status == 403


async def test_orders_of_other_jurisdictions_do_not_exist(
    api: Api, node: ConsortiumNode, chain: ConsortiumChain
) -> None:
    tag = {"account": account(BEN), "label": "a shop", "category": "user", "source": "tests", "confidence": 90}
    stated = await api.ask(
        "/v1/tags", "librarian", method="POST", json={**tag, "valid_from_s": 1, "jurisdiction": "CH"}
    )
    assert stated.status == 201
    for who in (ANN, BEN):
        await submit(node, LI, await order(api, chain, account=account(who)))
    whole, part = await api.get("/v1/orders"), await api.get("/v1/orders", "spy")
    assert (whole["count"], [one["number"] for one in whole["items"]]) == (2, [2, 1])
    assert (part["count"], [one["number"] for one in part["items"]]) == (None, [2])
    assert (await api.get("/v1/orders/2", "spy"))["account"] == account(BEN)
    assert (await api.get(f"/v1/holds/{account(BEN)}", "spy"))["held"] is False
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/v1/orders/{}", None),
        ("POST", "/v1/orders/{}/approval", {"officer": account(WANG)}),
        ("POST", "/v1/orders/{}/lift", {"officer": account(WANG), "reason": "explained"}),
    ]
    for method, path, body in asked:
        for number in (1, 9):
            refused = await api.ask(path.format(number), "spy", method=method, json=body)
            assert (refused.status, refused.body["detail"]) == (404, f"{CHAIN} has no order {number}")
    for path in ("/v1/holds/{}", "/v1/holds/{}/evidence"):
        for hidden_account in (account(ANN), f"{CHAIN}:{'ab' * 20}"):
            assert (await api.ask(path.format(hidden_account), "spy")).status == 404
    cursor = (await api.get("/v1/orders?limit=1"))["next"]
    assert (await api.ask(f"/v1/orders?limit=1&cursor={cursor}", "spy")).status == 422


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"officer": account(ANN)}, 422, "is not an officer"),
        ({"officer": f"causeway:other:{'ab' * 20}"}, 404, "is not a supervised chain with orders"),
        ({"account": f"causeway:other:{'ab' * 20}"}, 404, "is not a supervised chain with orders"),
        ({"account": "ab" * 20}, 422, ""),
        ({"reason": "two\nlines"}, 422, "cannot stand on the ledger"),
        ({"reason": ""}, 422, ""),
        ({"case": "2026-0417"}, 422, ""),
        ({"expires": 5}, 422, "at most 90 days"),
    ],
)
async def test_order_that_cannot_be_is_not_drafted(
    api: Api, chain: ConsortiumChain, changes: dict[str, Any], status: int, words: str
) -> None:
    answered = await order(api, chain, **changes)
    assert answered[0] == status
    assert words in answered[1]


async def test_orders_that_do_not_wait_are_not_approved(api: Api, node: ConsortiumNode, chain: ConsortiumChain) -> None:
    assert (await post(api, "/v1/orders/1/approval", officer=account(LI)))[0] == 404
    assert (await api.ask("/v1/orders/99")).status == 404
    await submit(node, LI, await order(api, chain))
    assert await post(api, "/v1/orders/1/approval", officer=account(LI)) == (
        409,
        "this officer signed the first half: another one has to approve it",
    )
    assert (await post(api, "/v1/orders/1/lift", officer=account(LI), reason="explained"))[0] == 409


async def test_orders_speak_their_openapi(api: Api, node: ConsortiumNode, chain: ConsortiumChain) -> None:
    await submit(node, LI, await order(api, chain))

    async def is_ready() -> bool:
        return (await api.ask("/readyz", None)).status == 200

    await eventually(is_ready)
    for who in ("prover", "officer"):
        known = {"number": "1", "account": account(ANN)}
        keyed, ours = {"X-API-Key": api.keys[who]}, ("/v1/orders", "/v1/holds/{account}/evidence")
        assert await assert_speaks_its_openapi(api.address, keyed, 8, known, ours) == 6
