"""An endpoint that restarts, talks nonsense, floods or falls silent; what becomes of transactions that fail."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from adapters.conformance.harness import claim, lock, refund, signed
from adapters.consortium import Ed25519Signer, connect, transfer, transport, unsigned, write_record
from adapters.consortium.rpc import CometRpc
from core.model.consortium import (
    CreateAsset,
    Issue,
    SetAccess,
    Transfer,
    WriteRecord,
    caip_asset,
    quantity,
    raw_address,
)
from core.model.consortium_members import Organisation, Propose
from core.model.errors import (
    CausewayError,
    ConflictError,
    FatalError,
    NotFoundError,
    RejectedError,
    RetryableError,
    RevertedError,
)
from core.model.facts import AssetDefined, RecordWritten, Transferred
from core.model.ports import Signer
from core.model.transactions import OutcomeStatus
from core.model.types import BaseUnits, ChainId, Height
from core.runtime.sockets import free_port
from local_chains.consortium.engine.home import load_operator_keys
from local_chains.consortium.node import ConsortiumNode
from tests.adapters.consortium.harness import CHAIN, CNYD, SYMBOLS, ConsortiumHarness, make_signer, running

PATIENCE_S = 20


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ConsortiumHarness]:
    async with running(tmp_path / "chain") as chain:
        yield chain


@asynccontextmanager
async def endpoint(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[CometRpc]:
    """A server that answers every call as the test likes."""
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    client = CometRpc(f"http://127.0.0.1:{port}", timeout_s=1.0)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"[]",
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":null}',
        b'{"jsonrpc":"2.0","id":1,"result":"x"}',
        b'{"jsonrpc":"2.0","id":1,"error":7}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_nonsense_is_an_endpoint_to_be_tried_again(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with endpoint(answer) as client:
        with pytest.raises(RetryableError):
            await client.call("status")


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 100_000)

    async def answer(request: web.Request) -> web.StreamResponse:
        flood = web.StreamResponse()
        await flood.prepare(request)
        with suppress(ConnectionError):
            while True:
                await flood.write(b" " * 10_000)
        return flood

    async with endpoint(answer) as client:
        with pytest.raises(RetryableError, match="cut off"):
            await client.call("block")


async def test_silence_ends_with_the_time_limit() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(PATIENCE_S)
        return web.Response()

    async with endpoint(answer) as client:
        with pytest.raises(RetryableError):
            await client.call("status")


async def test_a_dead_endpoint_is_retryable_and_another_chain_is_fatal(harness: ConsortiumHarness) -> None:
    with pytest.raises(RetryableError):
        await connect(f"http://127.0.0.1:{free_port()}", CHAIN)
    with pytest.raises(FatalError):
        await connect(harness.node.rpc_url, CHAIN, genesis_hash=bytes(32))
    with pytest.raises(RetryableError):
        await connect(harness.node.rpc_url, ChainId("causeway:other"))
    with pytest.raises(NotFoundError):
        await connect(harness.node.rpc_url, CHAIN, ["gold"])
    with pytest.raises(RejectedError):
        await connect(harness.node.rpc_url, ChainId("eip155:1"))


async def test_heads_survive_a_restart_of_the_node(tmp_path: Path) -> None:
    home, port = tmp_path / "chain", free_port()
    async with running(home):
        """Leaves a chain to go on with."""
    async with ConsortiumNode(home, port=port) as node:
        chain = await connect(node.rpc_url, CHAIN, SYMBOLS, poll_s=0.1)
        stream = chain.access.heads.heads()
        async with asyncio.timeout(PATIENCE_S):
            before = await anext(stream)
    try:
        async with ConsortiumNode(home, port=port), asyncio.timeout(PATIENCE_S):
            after = await anext(stream)
            while after.head.height <= before.head.height:
                after = await anext(stream)
        assert after.finalized.height >= before.finalized.height
    finally:
        await stream.aclose()  # type: ignore[attr-defined]
        await chain.close()


async def test_blocks_report_transfers_and_records(harness: ConsortiumHarness) -> None:
    sender, receiver = await harness.account(), await harness.account()
    await harness.send(sender, transfer(sender.account, receiver.account, CNYD, BaseUnits(5)))
    await harness.send(sender, write_record(sender.account, "notes", "one", b"{}"))
    blocks = await harness.access.blocks.blocks(Height(1), Height(harness.node.engine.tip.height))
    events = [logged.event for block in blocks for logged in block.events]
    issues, [paid, written] = events[:-2], events[-2:]
    assert paid == Transferred(CNYD, sender.account, receiver.account, BaseUnits(5))
    assert isinstance(written, RecordWritten)
    assert (written.namespace, written.key, written.version, written.author) == ("notes", "one", 1, sender.account)
    assert written.digest == hashlib.sha256(b"{}").digest()
    assert {(type(event), getattr(event, "sender", 0)) for event in issues} == {(Transferred, None)}


async def test_assets_that_are_created_are_facts(harness: ConsortiumHarness) -> None:
    issuer = harness.issuer
    messages = (CreateAsset("silver", 3), Issue("silver", raw_address(issuer.account), quantity(7)))
    await harness.send(issuer, unsigned(CHAIN, issuer.account, messages, "create"))
    blocks = await harness.access.blocks.blocks(Height(1), Height(harness.node.engine.tip.height))
    silver = caip_asset(CHAIN, "silver")
    assert [logged.event for block in blocks for logged in block.events] == [
        AssetDefined(silver, issuer.account, "SILVER", 3),
        Transferred(silver, None, issuer.account, BaseUnits(7)),
    ]


async def test_what_is_the_ledgers_own_affair_is_no_fact(harness: ConsortiumHarness, tmp_path: Path) -> None:
    operator = Ed25519Signer(CHAIN, load_operator_keys(tmp_path / "chain")[0].seed)
    harness.chain.learn(operator.public_key)
    terms = Organisation("mint", raw_address(operator.account)[::-1], ("issuer",))
    await harness.send(operator, unsigned(CHAIN, operator.account, (Propose(terms),), "propose"))
    access = SetAccess("notes", "one", raw_address(operator.account), ())
    note = WriteRecord("notes", "one", b"{}")
    await harness.send(operator, unsigned(CHAIN, operator.account, (note, access), "note"))
    blocks = await harness.access.blocks.blocks(Height(1), Height(harness.node.engine.tip.height))
    assert [type(logged.event) for block in blocks for logged in block.events] == [RecordWritten]


async def test_who_may_write_a_record_is_simulated_by_its_access_list(harness: ConsortiumHarness) -> None:
    owner, writer, other = await harness.account(), await harness.account(), await harness.account()
    transactions = harness.access.transactions

    async def allowed(signer: Signer) -> bool:
        try:
            await transactions.simulate(write_record(signer.account, "notes", "one", b"1"))
        except RevertedError as error:
            return bool(error.fields["reason"] != "not-owner")
        return True

    await harness.send(owner, write_record(owner.account, "notes", "one", b"{}"))
    assert [await allowed(signer) for signer in (owner, writer, other)] == [True, False, False]
    access = SetAccess("notes", "one", raw_address(owner.account), (raw_address(writer.account),))
    await harness.send(owner, unsigned(CHAIN, owner.account, (access,), "let write"))
    assert [await allowed(signer) for signer in (owner, writer, other)] == [True, True, False]
    await harness.send(writer, write_record(writer.account, "notes", "one", b"2"))


async def test_several_messages_are_applied_all_or_none(harness: ConsortiumHarness) -> None:
    sender, receiver = await harness.account(), await harness.account()
    good = Transfer("cnyd", raw_address(receiver.account), quantity(5))
    bad = WriteRecord("notes", "one", b"not json")
    before = await harness.access.state.balance(receiver.account, CNYD)
    both = unsigned(CHAIN, sender.account, (good, bad), "pay and note")
    with pytest.raises(RevertedError) as caught:
        await harness.access.transactions.submit(await signed(harness, sender, both))
    assert caught.value.fields["reason"] == "bad-document"
    assert await harness.access.state.balance(receiver.account, CNYD) == before


async def test_a_gap_in_the_sequence_is_to_be_tried_again(harness: ConsortiumHarness) -> None:
    sender = await harness.account()
    pay = transfer(sender.account, sender.account, CNYD, BaseUnits(1))
    late = await signed(harness, sender, pay, sequence=1)
    with pytest.raises(RetryableError):
        await harness.access.transactions.submit(late)
    await harness.send(sender, pay)
    await harness.access.transactions.submit(late)
    other = await signed(harness, sender, transfer(sender.account, sender.account, CNYD, BaseUnits(2)), sequence=1)
    with pytest.raises(ConflictError):
        await harness.access.transactions.submit(other)


async def test_an_account_is_learnt_before_it_sends(harness: ConsortiumHarness) -> None:
    stranger = make_signer("stranger")
    pay = transfer(stranger.account, stranger.account, CNYD, BaseUnits(1))
    with pytest.raises(RejectedError, match="learn"):
        harness.access.transactions.assemble(pay, 0, None, None)
    assert harness.chain.learn(stranger.public_key) == stranger.account
    request = harness.access.transactions.assemble(pay, 0, None, None)
    assert len(await stranger.sign(request)) == 64


async def test_a_simulation_speaks_the_ledgers_words(harness: ConsortiumHarness) -> None:
    leg, transactions = await lock(harness), harness.access.transactions
    cases = {
        "too-early": refund(harness, leg, leg.sender),
        "hashlock-used": harness.access.legs.lock(leg.terms, leg.lock_id),
        "insufficient-funds": transfer(leg.sender.account, leg.receiver.account, CNYD, BaseUnits(10**30)),
    }
    for word, transaction in cases.items():
        with pytest.raises(RevertedError) as simulated:
            await transactions.simulate(transaction)
        with pytest.raises(RevertedError) as refused:
            await transactions.submit(await signed(harness, leg.sender, transaction))
        assert simulated.value.fields["reason"] == refused.value.fields["reason"] == word


async def test_a_wrong_preimage_is_refused_at_the_door(harness: ConsortiumHarness) -> None:
    leg = await lock(harness)
    sent = await signed(harness, leg.receiver, claim(harness, leg, leg.receiver))
    await harness.access.transactions.submit(sent)
    again = await signed(harness, leg.sender, claim(harness, leg, leg.sender))
    with pytest.raises(CausewayError) as caught:
        await harness.access.transactions.submit(again)
    assert caught.value.fields["reason"] == "already-settled"
    assert (await harness.access.transactions.outcome(again.hash)).status is OutcomeStatus.DROPPED


async def test_included_bytes_are_no_news_even_when_expired(
    harness: ConsortiumHarness,
) -> None:
    sender = await harness.account()
    pay = transfer(sender.account, sender.account, CNYD, BaseUnits(1))
    sent = await signed(harness, sender, pay, expiry=Height(harness.node.engine.tip.height + 3))
    await harness.access.transactions.submit(sent)
    await harness.advance(6)
    # As after a restart of the node, whose memory of hashes is gone.
    harness.node.engine.mempool._seen.clear()
    await harness.access.transactions.submit(sent)
    unsent = await signed(harness, sender, pay, expiry=Height(2))
    with pytest.raises(RevertedError) as caught:
        await harness.access.transactions.submit(unsent)
    assert caught.value.fields["reason"] == "expired"
