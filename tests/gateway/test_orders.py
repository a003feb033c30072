"""`causeway supervise hold`: an order goes through two officers' hands as files, and holds on a running chain."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from adapters.consortium import Ed25519Signer, transfer
from adapters.consortium.orders import ConsortiumOrderReader
from adapters.consortium.rpc import CometRpc
from core.model.consortium import caip_account, caip_asset
from core.model.errors import NotFoundError, RejectedError, RetryableError, RevertedError
from core.model.types import AccountId, BaseUnits, ChainId
from core.runtime.clock import ManualClock
from core.runtime.sockets import free_port
from gateway import orders
from gateway.members import chain_at
from gateway.orders import Wanted
from gateway.sending import send
from local_chains.consortium.engine.home import OperatorKey, write_account_key
from local_chains.consortium.node import ConsortiumNode
from regulator_api.drafts import Half, OrderDraft, half_of
from relayer.provider.screening import Screening
from tests.gateway.test_cli import causeway
from tests.local_chains.consortium.officers import LI, WANG, ZHAO, chain_with_officers
from tests.local_chains.consortium.support import ANN, BEN, Actor

CHAIN = ChainId("causeway:test-1")
WANTED = Wanted(ANN.address.hex(), "proceeds of fraud", "2026-0417", 30)


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    async with chain_with_officers(tmp_path / "home") as running:
        yield running


def officer(actor: Actor) -> str:
    return actor.address.hex()


def signed_by(actor: Actor, draft: OrderDraft) -> OrderDraft:
    return orders.sign(half_of(draft), bytes(actor.key))


async def hold(node: ConsortiumNode, wanted: Wanted = WANTED) -> int:
    """Both halves; the order's number."""
    first = await orders.prepare(node.rpc_url, officer(LI), wanted)
    number = int((await orders.submit(node.rpc_url, signed_by(LI, first)))["order"]["number"])
    second = await orders.approve(node.rpc_url, officer(WANG), number)
    assert (await orders.submit(node.rpc_url, signed_by(WANG, second)))["order"]["status"] == "in-force"
    return number


async def pay(node: ConsortiumNode) -> None:
    """ANN sends something. Raise what the ledger refuses."""
    async with chain_at(node.rpc_url) as chain:
        signer = Ed25519Signer(CHAIN, bytes(ANN.key))
        chain.learn(signer.public_key)
        payment = transfer(signer.account, caip_account(CHAIN, BEN.address), caip_asset(CHAIN, "cnyd"), BaseUnits(1))
        await send(chain.access.transactions, chain.access.heads, signer, payment)


async def run(node: ConsortiumNode, home: Path, *arguments: str, online: bool = True) -> Any:
    """A command's output, or its status and its error."""
    options = ["--rpc", node.rpc_url] if online else []
    ended = await asyncio.to_thread(causeway, "supervise", "hold", *arguments, *options, cwd=home)
    return ended.stdout if ended.returncode == 0 else (ended.returncode, ended.stderr)


async def test_order_goes_through_two_officers_hands(node: ConsortiumNode, tmp_path: Path) -> None:
    for name, actor in (("li", LI), ("wang", WANG)):
        write_account_key(tmp_path / f"{name}.json", OperatorKey(bytes(actor.key)))
    reason = ("--reason", "proceeds of fraud")
    await run(node, tmp_path, "prepare", officer(ANN), *reason, "--case", "2026-0417", "--officer", officer(LI))
    draft = json.loads((tmp_path / "order.json").read_text())
    assert (draft["step"], draft["account"]) == ("prepare", caip_account(CHAIN, ANN.address))
    assert "2026-0417" not in (tmp_path / "order.json").read_text(), "only the case's digest leaves the machine"
    unseen = await run(node, tmp_path, "sign", "order.json", "--key", "li.json", online=False)
    assert "no terminal to ask at" in unseen[1]
    shown = await run(node, tmp_path, "sign", "order.json", "--key", "li.json", "--yes", online=False)
    assert "proceeds of fraud" in shown
    assert officer(ANN) in shown
    other = await run(node, tmp_path, "sign", "order.json", "--key", "wang.json", "--yes", online=False)
    assert "the draft is for" in other[1]
    assert "order 1 is prepared" in await run(node, tmp_path, "submit", "order.signed.json")
    await run(node, tmp_path, "approve", "1", "--officer", officer(WANG))
    await run(node, tmp_path, "sign", "approval.json", "--key", "wang.json", "--yes", online=False)
    assert "order 1 is in-force" in await run(node, tmp_path, "submit", "approval.signed.json")
    [one] = json.loads(await run(node, tmp_path, "list", "--json"))["orders"]
    assert (one["status"], one["account"], one["reason"]) == ("in-force", draft["account"], "proceeds of fraud")
    assert "in-force" in await run(node, tmp_path, "show", "1")
    with pytest.raises((RejectedError, RevertedError), match="held"):
        await pay(node)


async def test_lift_goes_the_same_way(node: ConsortiumNode) -> None:
    number = await hold(node)
    first = await orders.lift(node.rpc_url, officer(ZHAO), number, "funds explained")
    waiting = (await orders.submit(node.rpc_url, signed_by(ZHAO, first)))["order"]
    assert (waiting["status"], waiting["lift_waits"], waiting["lift_reason"]) == ("in-force", True, "funds explained")
    with pytest.raises(RejectedError, match="signed the first half"):
        await orders.approve(node.rpc_url, officer(ZHAO), number)
    second = await orders.approve(node.rpc_url, officer(LI), number)
    assert second.step == "approve-lift"
    lifted = (await orders.submit(node.rpc_url, signed_by(LI, second)))["order"]
    assert (lifted["status"], lifted["lift_approved"]["officer"]) == ("lifted", caip_account(CHAIN, LI.address))
    await pay(node)
    with pytest.raises(RejectedError, match="is lifted: nothing waits"):
        await orders.approve(node.rpc_url, officer(LI), number)
    with pytest.raises(RejectedError, match="only one in force can be lifted"):
        await orders.lift(node.rpc_url, officer(LI), number, "again")


async def test_relayers_screening_reads_orders(node: ConsortiumNode) -> None:
    async with chain_at(node.rpc_url) as chain:
        assert chain.access.orders is not None
        clock = ManualClock()
        screening = Screening([], {CHAIN: chain.access.orders}, clock)
        ann, ben = (caip_account(CHAIN, one.address) for one in (ANN, BEN))
        elsewhere = AccountId("eip155:1:0x" + ANN.address.hex())
        await screening.check_ours([ann])
        number = await hold(node)
        with pytest.raises(RejectedError, match=f"no swap with {ann}: order {number} holds it until 20"):
            await screening.check([ben, ann])
        await screening.check([ben, elsewhere])
        await screening.check_ours([ann])
        await clock.advance(6)
        with pytest.raises(RejectedError, match=f"offers nothing with its account {ann}"):
            await screening.check_ours([ann])


async def test_screening_refuses_what_nobody_knows() -> None:
    rpc = CometRpc(f"http://127.0.0.1:{free_port()}", timeout_s=1)
    screening = Screening([], {CHAIN: ConsortiumOrderReader(rpc, CHAIN)}, ManualClock())
    with pytest.raises(RetryableError):
        await screening.check([caip_account(CHAIN, BEN.address)])
    await rpc.close()


async def test_submitting_again_finds_the_same_block(node: ConsortiumNode) -> None:
    draft = signed_by(LI, await orders.prepare(node.rpc_url, officer(LI), WANTED))
    first = await orders.submit(node.rpc_url, draft)
    assert await orders.submit(node.rpc_url, draft) == first


async def test_used_sequence_asks_to_prepare_again(node: ConsortiumNode) -> None:
    early = await orders.prepare(node.rpc_url, officer(LI), WANTED)
    other = await orders.prepare(node.rpc_url, officer(LI), changed(WANTED, reason="another reason"))
    await orders.submit(node.rpc_url, signed_by(LI, other))
    with pytest.raises(RejectedError, match="something else was sent meanwhile"):
        await orders.submit(node.rpc_url, signed_by(LI, early))


def changed(wanted: Wanted, **changes: Any) -> Wanted:
    fields = {name: getattr(wanted, name) for name in ("account", "reason", "case_id", "days", "until")}
    return Wanted(**{**fields, **changes})


@pytest.mark.parametrize(
    ("who", "changes", "sentence"),
    [
        (ANN, {}, "is not an officer"),
        (LI, {"reason": ""}, "this reason cannot stand"),
        (LI, {"reason": "two\nlines"}, "this reason cannot stand"),
        (LI, {"case_id": " "}, "name the case"),
        (LI, {"days": 91}, "at most 90 days"),
        (LI, {"until": 5}, "at most 90 days"),
        (LI, {"account": "xyz"}, "40 hex digits"),
        (LI, {"account": f"causeway:other:{'ab' * 20}"}, "is not an account of"),
    ],
)
async def test_order_that_cannot_be_is_refused(
    node: ConsortiumNode, who: Actor, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RejectedError, match=sentence):
        await orders.prepare(node.rpc_url, officer(who), changed(WANTED, **changes))


async def test_unsigned_and_foreign_drafts_are_not_submitted(node: ConsortiumNode) -> None:
    draft = await orders.prepare(node.rpc_url, officer(LI), WANTED)
    with pytest.raises(RejectedError, match="is not signed yet"):
        await orders.submit(node.rpc_url, draft)
    half = half_of(draft)
    elsewhere = caip_account(ChainId("causeway:other"), LI.address)
    foreign = orders.sign(Half(elsewhere, half.sequence, half.expiry_height, half.message), bytes(LI.key))
    with pytest.raises(RejectedError, match="the order is for causeway:other"):
        await orders.submit(node.rpc_url, foreign)
    with pytest.raises(NotFoundError, match="has no order 7"):
        await orders.show(node.rpc_url, 7)


async def test_altered_drafts_are_not_submitted(node: ConsortiumNode) -> None:
    draft = signed_by(LI, await orders.prepare(node.rpc_url, officer(LI), WANTED))
    altered = msgspec.structs.replace(draft, account=caip_account(CHAIN, BEN.address))
    with pytest.raises(RejectedError, match="is not what the draft says"):
        await orders.submit(node.rpc_url, altered)
    raw = bytes.fromhex(draft.transaction or "")
    forged = msgspec.structs.replace(draft, transaction=(raw[:-1] + bytes([raw[-1] ^ 1])).hex())
    with pytest.raises(RejectedError, match="signature does not fit"):
        await orders.submit(node.rpc_url, forged)
