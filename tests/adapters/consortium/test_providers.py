"""Providers and proxies before a node: limits, time-outs, pages of HTML, methods left out."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.conformance.harness import signed
from adapters.consortium import ConsortiumChain, connect, rpc, transfer
from adapters.consortium.inclusion import BlockScan
from adapters.consortium.rpc import CometRpc
from core.model.errors import NotFoundError, RejectedError, RetryableError, UnclearRefusalError
from core.model.transactions import OutcomeStatus
from core.model.types import BaseUnits, Height
from tests.adapters.consortium.harness import CHAIN, CNYD, ConsortiumHarness, running
from tests.adapters.consortium.proxy import Forward, error_of, proxy

HTML = "<html><body>gateway</body></html>"


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ConsortiumHarness]:
    async with running(tmp_path / "chain") as chain:
        yield chain


async def call_answered(answer: web.Response | dict[str, Any], method: str = "status") -> Any:
    """Return what one call makes of this answer, in place of the node's."""

    async def told(asked: dict[str, Any], _: Forward) -> web.StreamResponse | dict[str, Any]:
        return {**answer, "id": asked["id"]} if isinstance(answer, dict) else answer

    async with proxy("http://127.0.0.1:1", told) as url:
        client = CometRpc(url, timeout_s=2.0)
        try:
            return await client.call(method)
        finally:
            await client.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500, 502, 503, 504])
async def test_an_answer_counts_whatever_its_http_status(status: int) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":{"a":1}}'
    assert await call_answered(web.Response(status=status, body=body)) == {"a": 1}
    refusal = (
        b'{"jsonrpc":"2.0","id":-1,"error":{"code":-32603,"message":"Internal error","data":"height 9 not found"}}'
    )
    with pytest.raises(NotFoundError, match="height 9"):
        await call_answered(web.Response(status=status, body=refusal))


@pytest.mark.parametrize("status", [200, 400, 500, 502, 503, 504, 520])
async def test_a_page_of_html_is_retryable_and_named(status: int) -> None:
    with pytest.raises(RetryableError, match=f"HTTP {status}"):
        await call_answered(web.Response(status=status, text=HTML, content_type="text/html"))


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_method_that_http_refuses_is_not_offered(status: int) -> None:
    with pytest.raises(RejectedError, match="does not offer"):
        await call_answered(web.Response(status=status, text=HTML))


async def test_a_method_that_is_not_found_is_no_missing_block() -> None:
    body: dict[str, Any] = {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}}
    with pytest.raises(RejectedError, match="full node") as caught:
        await call_answered(body)
    assert not isinstance(caught.value, NotFoundError)


async def test_a_redirection_is_named_and_not_followed() -> None:
    answer = web.Response(status=308, headers={"Location": "https://rpc.example/"})
    with pytest.raises(RetryableError, match="https://rpc.example/"):
        await call_answered(answer)


@pytest.mark.parametrize("packed", [gzip.compress(b" " * 100_000_000, mtime=0), b"not gzip"])
async def test_a_packed_body_is_never_unpacked(packed: bytes) -> None:
    with pytest.raises(RetryableError):
        await call_answered(web.Response(body=packed, headers={"Content-Encoding": "gzip"}))


async def test_the_answer_to_another_request_is_none() -> None:
    body = b'{"jsonrpc":"2.0","id":99,"result":{}}'
    with pytest.raises(RetryableError, match="another request"):
        await call_answered(web.Response(body=body))


async def test_an_endpoint_asked_too_often_is_left_alone(harness: ConsortiumHarness) -> None:
    asked_s: list[tuple[str, float]] = []

    async def limited(asked: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        asked_s.append((asked["method"], time.monotonic()))
        if len(asked_s) == 1:
            return web.Response(status=429, headers={"Retry-After": "1"}, text="slow down")
        return await forward()

    async with proxy(harness.node.rpc_url, limited) as url:
        client = CometRpc(url)
        with pytest.raises(RetryableError, match="calls_per_s"):
            await client.call("status")
        # A transaction waits for no pause.
        with pytest.raises(RejectedError):
            await client.call("broadcast_tx_sync", tx="?")
        await client.call("status")
        await client.close()
    (_, first_s), (_, broadcast_s), (_, again_s) = asked_s
    assert broadcast_s - first_s < 0.5
    assert again_s - first_s >= 0.9


async def test_an_endpoint_that_wants_a_long_pause_fails_at_once() -> None:
    answers = 0

    async def limited(_: dict[str, Any], __: Forward) -> web.StreamResponse:
        nonlocal answers
        answers += 1
        return web.Response(status=503, headers={"Retry-After": "86400"})

    async with proxy("http://127.0.0.1:1", limited) as url:
        client = CometRpc(url)
        for _ in range(3):
            with pytest.raises(RetryableError):
                await client.call("status")
        await client.close()
    assert answers == 1


async def test_hanging_reads_keep_no_transaction_waiting(
    harness: ConsortiumHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "MAX_PARALLEL_CALLS", 1)

    async def answer(asked: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        if asked["method"] == "status":
            await asyncio.sleep(30)
        return await forward()

    async with proxy(harness.node.rpc_url, answer) as url:
        client = CometRpc(url)
        hanging = asyncio.create_task(client.call("status"))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            with pytest.raises(RejectedError):
                await client.call("broadcast_tx_sync", tx="?")
        hanging.cancel()
        await client.close()


async def test_a_proxy_that_lists_no_waiting_transactions_will_do(harness: ConsortiumHarness) -> None:
    async def without(asked: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        if asked["method"] == "unconfirmed_txs":
            return error_of(asked, -32601, "", "Method not found")
        return await forward()

    async with proxy(harness.node.rpc_url, without) as url:
        chain, sender = await connected(harness, url)
        assert chain.report is not None
        assert any("waiting" in warning for warning in chain.report.warnings)
        pay = transfer(sender.account, sender.account, CNYD, BaseUnits(1))
        sent = await signed(harness, sender, pay)
        await chain.access.transactions.submit(sent)
        await harness.advance()
        assert (await chain.access.transactions.outcome(sent.hash)).status is OutcomeStatus.INCLUDED
        await chain.close()


@pytest.mark.parametrize("words", ["Tx too large. Max size is 1, but got 2", "postquam exercitus"])
async def test_a_refusal_in_unknown_words_is_unclear(harness: ConsortiumHarness, words: str) -> None:
    async def refusing(asked: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        return error_of(asked, -32603, words) if asked["method"] == "broadcast_tx_sync" else await forward()

    async with proxy(harness.node.rpc_url, refusing) as url:
        chain, sender = await connected(harness, url)
        sent = await signed(harness, sender, transfer(sender.account, sender.account, CNYD, BaseUnits(1)))
        with pytest.raises(UnclearRefusalError):
            await chain.access.transactions.submit(sent)
        # The node has it all the same: then no words matter.
        await harness.access.transactions.submit(sent)
        await chain.access.transactions.submit(sent)
        await harness.advance()
        await chain.access.transactions.submit(sent)
        await chain.close()


async def test_a_pruned_first_block_needs_a_pinned_genesis(harness: ConsortiumHarness) -> None:
    async def pruned(asked: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        if asked["params"].get("height") == "1":
            return error_of(asked, -32603, "height 1 is not available, lowest height is 2")
        return await forward()

    await harness.advance(3)
    genesis = harness.access.parameters.genesis_hash
    async with proxy(harness.node.rpc_url, pruned) as url:
        with pytest.raises(NotFoundError, match="genesis hash"):
            await connect(url, CHAIN)
        chain = await connect(url, CHAIN, genesis_hash=genesis)
        assert chain.access.parameters.genesis_hash == genesis
        await chain.close()


async def test_another_block_than_asked_for_is_no_answer(harness: ConsortiumHarness) -> None:
    await harness.advance(3)

    async def lying(asked: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        if asked["method"] == "block_by_hash" or asked["params"].get("height") == "2":
            asked |= {"method": "block", "params": {"height": "3"}}
        return await forward()

    async with proxy(harness.node.rpc_url, lying) as url:
        chain = await connect(url, CHAIN)
        for at in (Height(2), harness.access.parameters.genesis_hash):
            with pytest.raises(RetryableError, match="another block"):
                await chain.access.blocks.header(at)
        await chain.close()


async def test_block_whose_entries_are_not_its_headers_is_refused(harness: ConsortiumHarness) -> None:
    async def robbed(asked: dict[str, Any], forward: Forward) -> web.StreamResponse | dict[str, Any]:
        answer = await forward()
        if asked["params"].get("height") == "2":
            answer["result"]["block"]["data"]["txs"] *= 2
        return answer

    await harness.advance(2)
    async with proxy(harness.node.rpc_url, robbed) as url:
        chain = await connect(url, CHAIN)
        with pytest.raises(RetryableError, match="entries"):
            await chain.access.blocks.header(Height(2))
        await chain.close()


async def test_a_scan_is_conclusive_from_where_the_node_took_it(
    harness: ConsortiumHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.consortium.inclusion.MAX_SCANNED_BLOCKS", 5)
    sender = await harness.account()
    old = await harness.send(sender, transfer(sender.account, sender.account, CNYD, BaseUnits(1)))
    await harness.advance(10)
    scan = BlockScan(harness.chain.rpc, CHAIN)
    assert not await scan.find(old.hash)
    assert not scan.is_conclusive(old.hash), "it may be in an older block, and is"
    new = await signed(harness, sender, transfer(sender.account, sender.account, CNYD, BaseUnits(2)))
    scan.taken(new.hash)
    assert not await scan.find(new.hash)
    assert scan.is_conclusive(new.hash)
    await harness.access.transactions.submit(new)
    await harness.advance()
    [(height, position)] = await scan.find(new.hash)
    block = (await harness.access.transactions.outcome(new.hash)).block
    assert block is not None
    assert (height, position) == (block.height, 1)


async def connected(harness: ConsortiumHarness, url: str) -> tuple[ConsortiumChain, Any]:
    sender = await harness.account()
    chain = await connect(url, CHAIN)
    chain.learn(sender.public_key)
    return chain, sender
