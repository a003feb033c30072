"""Blocks are read through providers as they are: every limit is learnt from behaviour, in whatever words."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from adapters.evm.blocks import EvmBlockSource
from adapters.evm.contracts.deployer import mint_token
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.rpc import Call, RpcClient
from adapters.evm.transport import HttpTransport
from core.model.errors import RejectedError, RetryableError
from core.model.facts import Block
from core.model.types import BaseUnits, Height
from core.proofs.lanes import evm_address
from tests.adapters.evm.endpoint import middle_man
from tests.adapters.evm.harness import CHAIN, EvmHarness, evm_harness
from tests.adapters.evm.provider import Limits, Provider, provider

BLOCKS = 330

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def long_chain() -> AsyncIterator[EvmHarness]:
    """A chain with a transfer now and then."""
    async with evm_harness() as evm:
        [token] = evm.contracts.tokens
        for _ in range(10):
            await evm.send(evm.bank, mint_token(evm.bank.account, token, evm.bank.account, BaseUnits(1)))
            await evm.advance(BLOCKS // 10)
        yield evm


@asynccontextmanager
async def through(
    evm: EvmHarness, limits: Limits, timeout_s: float = 10.0
) -> AsyncIterator[tuple[EvmBlockSource, Provider]]:
    async with provider(evm.anvil.rpc_url, limits) as one:
        pool = Endpoints([Endpoint(one.url)])
        pool.clients[0]._transport = HttpTransport(one.url, timeout_s)
        source = EvmBlockSource(
            CHAIN, pool, evm_address(evm.contracts.htlc), [evm_address(token) for token in evm.contracts.tokens]
        )
        try:
            yield source, one
        finally:
            await pool.close()


async def read(source: EvmBlockSource, first: int, last: int) -> list[Block]:
    """As the follower reads: shorter at once if the source says so, later after trouble."""
    found: list[Block] = []
    size = last - first + 1
    failures = 0
    while first <= last:
        try:
            found += await source.blocks(Height(first), Height(min(last, first + size - 1)))
            first, size = first + size, size * 2
        except RejectedError as error:
            size = min(size // 2, error.fields.get("at_most", size))
        except RetryableError:
            failures += 1
            assert failures < 20
            size = max(1, size // 2)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def truth(long_chain: EvmHarness) -> list[Block]:
    return list(await long_chain.access.blocks.blocks(Height(0), Height(BLOCKS)))


WORDS = [
    (200, -32005, "query returned more than 10000 results"),
    (400, -32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range."),
    (413, -32602, "Request entity too large"),
    (200, -32614, "eth_getLogs is limited to a 5 range"),
    (200, -32000, "words that nobody has said before"),
    (500, -32603, "words that nobody has said before"),
    (422, 0, ""),
]


@pytest.mark.parametrize(("status", "code", "words"), WORDS)
@pytest.mark.parametrize("limit", [1, 10, 40])
async def test_refused_range_is_learnt_in_any_words(
    long_chain: EvmHarness, truth: list[Block], status: int, code: int, words: str, limit: int
) -> None:
    limits = Limits(blocks=limit, status=status, code=code, words=words)
    async with through(long_chain, limits) as (source, one):
        assert await read(source, 0, BLOCKS) == truth
        learnt = one.refused
        assert learnt <= 25
        assert await read(source, 0, BLOCKS) == truth
        assert one.refused <= learnt + 3, "it is learnt once, but for the end of the search"


async def test_range_that_times_out_is_halved(long_chain: EvmHarness, truth: list[Block]) -> None:
    async with through(long_chain, Limits(blocks=100, range_style="hang"), timeout_s=0.5) as (source, one):
        assert await read(source, 0, BLOCKS) == truth
        learnt = one.refused
        assert await read(source, 0, BLOCKS) == truth
        assert one.refused <= learnt + 1


STYLES = [
    ("object", 200, "batch limit 100 exceeded (can increase by --rpc.batch.limit)"),
    ("object", 200, "words that nobody has said before"),
    ("list", 200, "words that nobody has said before"),
    ("each", 200, "words that nobody has said before"),
    ("object", 413, "words that nobody has said before"),
    ("text", 413, "Payload Too Large"),
    ("text", 400, "<html>Bad Request</html>"),
    ("silent", 200, ""),
]


@pytest.mark.parametrize(("style", "status", "words"), STYLES)
@pytest.mark.parametrize("limit", [1, 10, 100])
async def test_batch_limit_is_learnt_in_any_form(
    long_chain: EvmHarness, truth: list[Block], style: str, status: int, words: str, limit: int
) -> None:
    limits = Limits(batch=limit, batch_style=style, status=status, words=words)
    async with through(long_chain, limits) as (source, one):
        assert await read(source, 0, BLOCKS) == truth
        learnt = one.refused
        assert learnt <= 14
        assert await read(source, 0, BLOCKS) == truth
        assert one.refused == learnt, "it is learnt once"


async def test_batch_that_times_out_is_halved(long_chain: EvmHarness, truth: list[Block]) -> None:
    async with through(long_chain, Limits(batch=50, batch_style="hang"), timeout_s=0.3) as (source, one):
        assert await read(source, 0, BLOCKS) == truth
        learnt = one.refused
        assert await read(source, 0, BLOCKS) == truth
        assert one.refused <= learnt + 1


async def test_batch_answered_oddly_is_read_all_the_same(long_chain: EvmHarness, truth: list[Block]) -> None:
    async with through(long_chain, Limits(shuffled=True)) as (source, _):
        assert await read(source, 0, BLOCKS) == truth


async def test_calls_left_out_of_a_batch_are_asked_again(long_chain: EvmHarness) -> None:
    async with provider(long_chain.anvil.rpc_url, Limits(short=3)) as one:
        client = RpcClient(one.url)
        calls = [Call("eth_getBlockByNumber", (hex(height), False), dict) for height in range(9)]
        assert [int(block["number"], 16) for block in await client.batch(calls)] == list(range(9))
        await client.close()


@pytest.mark.parametrize("short", [1, 3, 10])
async def test_batches_answered_in_part_are_a_limit(long_chain: EvmHarness, short: int) -> None:
    """However many parts that takes."""
    async with provider(long_chain.anvil.rpc_url, Limits(short=short)) as one:
        client = RpcClient(one.url)
        calls = [Call("eth_getBlockByNumber", (hex(height), False), dict) for height in range(BLOCKS)]
        assert [int(block["number"], 16) for block in await client.batch(calls)] == list(range(BLOCKS))
        assert client.batches.known <= short
        await client.close()


async def test_refusals_of_single_calls_are_no_batch_limit(long_chain: EvmHarness) -> None:
    limits = Limits(refused=frozenset({"eth_call"}), words="words that nobody has said before")
    async with provider(long_chain.anvil.rpc_url, limits) as one:
        client = RpcClient(one.url)
        to = long_chain.contracts.htlc.rpartition(":")[2]
        answers = await client.batch_each([Call("eth_call", ({"to": to}, "latest"))] * 8)
        assert {type(answer).__name__ for answer in answers} == {"UnclearRefusalError"}
        assert client.batches.known == client.batches.most
        assert one.requests == 2, "one of them alone has shown it"
        await client.close()


async def test_narrow_provider_is_read_at_its_pace(long_chain: EvmHarness, truth: list[Block]) -> None:
    """10 blocks a range, 10 calls a batch, 429 above 5 requests a second."""
    limits = Limits(blocks=10, batch=10, per_s=5, words="words that nobody has said before")
    async with through(long_chain, limits) as (source, one):
        begun_s = time.monotonic()
        async with asyncio.timeout(60):
            assert await read(source, 0, BLOCKS) == truth
        assert BLOCKS / (time.monotonic() - begun_s) > 2, "four times a chain of 2-second blocks"
        assert one.too_soon < one.requests / 3


@pytest.mark.parametrize("header", ["60", "Fri, 31 Dec 2100 23:59:59 GMT"])
async def test_retry_after_is_waited_for(long_chain: EvmHarness, header: str) -> None:
    async with provider(long_chain.anvil.rpc_url, Limits(per_s=0.5, retry_after=header)) as one:
        client = RpcClient(one.url)
        await client.call("eth_chainId")
        for _ in range(20):
            with pytest.raises(RetryableError, match="asked too often"):
                await client.call("eth_chainId")
        assert one.requests == 2, "once it is asked to wait, it waits"
        with pytest.raises(RetryableError):
            await client.call("eth_sendRawTransaction", "0x00")
        assert one.requests == 3, "an exit does not wait"
        await client.close()


async def test_retry_after_of_a_second_is_waited_out(long_chain: EvmHarness) -> None:
    async with provider(long_chain.anvil.rpc_url, Limits(per_s=1, retry_after="1")) as one:
        client = RpcClient(one.url)
        for _ in range(3):
            assert await client.call("eth_chainId") == "0x7a69"
        await client.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-32601, "the method eth_getBlockReceipts does not exist/is not available"),
        (-32600, "Unsupported method: eth_getBlockReceipts"),
        (-32001, "method not supported"),
        (-32004, "Method not supported"),
        (-32603, "internal error"),
        (-32000, "receipts length mismatch: 1 vs 0"),
        (-32000, "words that nobody has said before"),
    ],
)
async def test_node_without_receipts_is_believed_in_any_words(long_chain: EvmHarness, code: int, words: str) -> None:
    limits = Limits(refused=frozenset({"eth_getBlockReceipts"}), code=code, words=words)
    async with through(long_chain, limits) as (source, one):
        source._logs._filter.may_be_in = lambda bloom: True  # type: ignore[method-assign]
        head = (await long_chain.access.heads.head()).head.height
        assert len(await read(source, head - 20, head)) == 21
        assert "eth_getBlockReceipts" in one.methods


async def test_null_for_no_logs_is_none(long_chain: EvmHarness, truth: list[Block]) -> None:
    """Some nodes answer null while others answer an empty list."""

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        return None if method == "eth_getLogs" and not result else result

    async with middle_man(long_chain.anvil.rpc_url) as node:
        node.tamper = tamper
        pool = Endpoints([Endpoint(node.url)])
        tokens = [evm_address(token) for token in long_chain.contracts.tokens]
        source = EvmBlockSource(CHAIN, pool, evm_address(long_chain.contracts.htlc), tokens)
        assert await read(source, 0, BLOCKS) == truth
        for height in range(20, 40):
            assert await read(source, height, height) == truth[height : height + 1]
        await pool.close()


async def test_batch_refused_under_its_first_call_is_halved(long_chain: EvmHarness) -> None:
    """A list of one error with the id of the first call: it is that of the batch, whatever it says."""

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        if isinstance(body, list) and len(body) > 3:
            refusal = {"jsonrpc": "2.0", "id": body[0]["id"], "error": {"code": -32601, "message": "not supported"}}
            return web.json_response([refusal])
        async with aiohttp.ClientSession() as session, session.post(long_chain.anvil.rpc_url, json=body) as response:
            return web.json_response(await response.json())

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = RpcClient(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    calls = [Call("eth_getBlockByNumber", (hex(height), False), dict) for height in range(20)]
    assert [int(block["number"], 16) for block in await client.batch(calls)] == list(range(20))
    assert client.batches.known <= 3
    await client.close()
    await runner.cleanup()
