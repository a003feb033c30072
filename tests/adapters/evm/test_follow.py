"""Heads that survive dead connections; blocks and events that belong together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.conformance.harness import lock
from adapters.evm.blocks import MAX_BLOCK_RANGE, EvmBlockSource
from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.chain import EvmChain
from adapters.evm.contract_events import ContractDecoder
from adapters.evm.contracts.deployer import mint_token
from adapters.evm.decode import TRANSFER_TOPIC, RawLog, Sources, logged_events
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.heads import POLL_FLOOR_S, POLL_S, EvmHeadSource, poll_every_s
from adapters.evm.logs import MAX_BY_HASH
from adapters.evm.names import account, evm_chain
from adapters.omitted import SAMPLES, SETTLED_DEPTH
from core.model.errors import FatalError, RejectedError, ReorgedError, RetryableError
from core.model.facts import Locked, Transferred
from core.model.types import BaseUnits, BlockRef, Height
from core.proofs.lanes import evm_address
from core.runtime.sockets import free_port
from local_chains.evm import AnvilChain, AnvilSettings
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal, relay
from tests.adapters.evm.harness import CHAIN, EvmHarness, evm_harness, rpc, settings_for

PATIENCE_S = 20


async def test_heads_are_pushed(evm: EvmHarness) -> None:
    """With a poll of an hour, only the subscription can have brought the news."""
    pool = Endpoints([Endpoint(evm.anvil.rpc_url, ws_url=evm.anvil.ws_url)])
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(EvmHeadSource(CHAIN, pool, 3600).heads()) as stream:
        first = await anext(stream)
        # The subscription may not stand yet: mine until it pushes.
        following = asyncio.ensure_future(anext(stream))
        while not following.done():
            await evm.advance()
            await asyncio.wait([following], timeout=0.05)
        assert following.result().head.height > first.head.height
    await pool.close()


async def test_heads_are_polled_where_nothing_pushes(evm: EvmHarness) -> None:
    pool = Endpoints([Endpoint(evm.anvil.rpc_url)])
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(EvmHeadSource(CHAIN, pool, 0.02).heads()) as stream:
        first = await anext(stream)
        await evm.advance(2)
        assert (await anext(stream)).head.height > first.head.height
    await pool.close()


BLOCK_S = 1


def port_of(anvil: AnvilChain) -> int:
    return int(anvil.rpc_url.rpartition(":")[2].strip("/"))


async def test_websocket_that_dies_silently_reopens_in_two_blocks() -> None:
    loop = asyncio.get_running_loop()
    async with AnvilChain(AnvilSettings(block_time_s=BLOCK_S)) as anvil, relay(port_of(anvil)) as between:
        pool = Endpoints([Endpoint(anvil.rpc_url, ws_url=f"ws://127.0.0.1:{between.port}")])
        heads = EvmHeadSource(CHAIN, pool, poll_every_s(BLOCK_S)).heads()
        async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(heads) as stream:
            for _ in range(2):
                await anext(stream)
            await between.opened.wait()
            assert between.connections == 1
            between.silence()
            silent_s = loop.time()
            following = asyncio.create_task(_follow(stream, 2))
            await between.opened.wait()
            assert loop.time() - silent_s < 2 * BLOCK_S
            heights = await following
            assert heights == sorted(heights)
            assert between.connections == 2
        await pool.close()


async def _follow(stream: AsyncIterator[Any], count: int) -> list[int]:
    return [(await anext(stream)).head.height for _ in range(count)]


async def test_a_websocket_of_a_quiet_chain_is_left_alone(evm: EvmHarness) -> None:
    """The node makes no block; late news differ from no news."""
    async with relay(port_of(evm.anvil)) as between:
        pool = Endpoints([Endpoint(evm.anvil.rpc_url, ws_url=f"ws://127.0.0.1:{between.port}")])
        polls_s = 0.02
        async with (
            asyncio.timeout(PATIENCE_S),
            contextlib.aclosing(EvmHeadSource(CHAIN, pool, polls_s).heads()) as stream,
        ):
            await anext(stream)
            await between.opened.wait()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(50 * polls_s):
                    await anext(stream)
            assert between.connections == 1
        await pool.close()


def test_polls_follow_the_block_time() -> None:
    assert poll_every_s(1) == 0.5
    assert poll_every_s(12) == POLL_S
    assert poll_every_s(0.1) == POLL_FLOOR_S


async def test_a_stream_survives_the_end_of_its_node() -> None:
    settings = AnvilSettings(port=free_port(), block_time_s=None)
    pool = Endpoints([Endpoint(f"http://127.0.0.1:{settings.port}", ws_url=f"ws://127.0.0.1:{settings.port}")])
    source = EvmHeadSource(CHAIN, pool, 0.05)
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(source.heads()) as stream:
        async with AnvilChain(settings) as anvil:
            assert (await anext(stream)).head.height == 0
            await rpc(anvil.rpc_url, "anvil_mine", "0x1")
            assert (await anext(stream)).head.height == 1
        waiting = asyncio.ensure_future(anext(stream))
        with pytest.raises(RetryableError):
            await source.head()
        # It comes up again without its blocks: reported all the same.
        async with AnvilChain(settings):
            assert (await waiting).head.height == 0
    await pool.close()


async def test_a_stream_starts_before_its_node() -> None:
    settings = AnvilSettings(port=free_port(), block_time_s=None)
    pool = Endpoints([Endpoint(f"http://127.0.0.1:{settings.port}")])
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(EvmHeadSource(CHAIN, pool, 0.05).heads()) as stream:
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        async with AnvilChain(settings):
            assert (await first).head.height == 0
    await pool.close()


async def test_finalized_follows_the_head_on_a_chain_with_a_beat() -> None:
    async with asyncio.timeout(60), evm_harness(AnvilSettings(block_time_s=1)) as running:
        async with contextlib.aclosing(running.chain.heads.heads()) as stream:
            async for update in stream:
                if update.finalized.height >= 3:
                    break
        assert update.head.height - update.finalized.height in (2, 3)


def source(liar: MiddleMan, evm: EvmHarness) -> tuple[EvmBlockSource, Endpoints]:
    pool = Endpoints([Endpoint(liar.url)])
    tokens = [evm_address(token) for token in evm.contracts.tokens]
    return EvmBlockSource(CHAIN, pool, evm_address(evm.contracts.htlc), tokens), pool


async def head_height(evm: EvmHarness) -> Height:
    return (await evm.access.heads.head()).head.height


async def test_long_ranges_show_the_same_as_short_ones(evm: EvmHarness) -> None:
    for asset in evm.assets:
        await lock(evm, asset)
    await evm.advance(2 * MAX_BY_HASH)
    last = await head_height(evm)
    long = await evm.access.blocks.blocks(Height(0), last)
    assert len(long) > MAX_BY_HASH
    short = [
        block for height in range(last + 1) for block in await evm.access.blocks.blocks(Height(height), Height(height))
    ]
    assert list(long) == short
    assert sum(isinstance(logged.event, Locked) for block in long for logged in block.events) == 2


async def test_ranges_have_a_limit(evm: EvmHarness) -> None:
    with pytest.raises(RejectedError):
        await evm.access.blocks.blocks(Height(0), Height(MAX_BLOCK_RANGE))
    with pytest.raises(RejectedError):
        await evm.access.blocks.blocks(Height(-1), Height(0))


async def test_transfers_of_tokens_are_reported(evm: EvmHarness) -> None:
    one, two = await evm.account(), await evm.account()
    [token] = evm.contracts.tokens
    [minted, _] = await evm.send(
        evm.bank,
        mint_token(evm.bank.account, token, one.account, BaseUnits(77)),
        mint_token(evm.bank.account, token, one.account, BaseUnits(78)),
    )
    first = await head_height(evm)
    data = encode_call("TestToken", "transfer", evm_address(two.account), 5)
    [moved] = await evm.send(one, unsigned_call(one.account, evm_address(token), data, gas=100_000, summary="pay"))
    blocks = await evm.access.blocks.blocks(first, Height(first + 1))
    told = {logged.tx_hash: logged.event for block in blocks for logged in block.events}
    assert told[minted] == Transferred(evm.assets[1], None, one.account, BaseUnits(77))
    assert told[moved] == Transferred(evm.assets[1], one.account, two.account, BaseUnits(5))


@pytest.mark.parametrize("blocks", [3, MAX_BY_HASH + 3])
async def test_headers_that_do_not_link_are_a_reorg(evm: EvmHarness, liar: MiddleMan, blocks: int) -> None:
    await evm.advance(blocks)

    def other_parent(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and result["number"] == "0x5":
            return {**result, "parentHash": "0x" + "11" * 32}
        return result

    liar.tamper = other_parent
    adapter, pool = source(liar, evm)
    last = await head_height(evm)
    with pytest.raises(ReorgedError):
        await adapter.blocks(Height(last - blocks + 1 if last - blocks < 4 else 4), last)
    await pool.close()


async def test_the_block_of_a_new_head_is_one_request(evm: EvmHarness, liar: MiddleMan) -> None:
    await lock(evm)
    head = (await evm.access.heads.head()).head
    adapter, pool = source(liar, evm)
    adapter.expect(head)
    expected = await adapter.blocks(head.height, head.height)
    assert liar.requests == 1
    assert expected == await adapter.blocks(head.height, head.height)
    assert liar.requests == 3
    assert [type(logged.event) for logged in expected[0].events] == [Locked]
    await pool.close()


async def test_expected_block_that_a_reorg_replaced_is_not_reported(evm: EvmHarness, liar: MiddleMan) -> None:
    await evm.advance(3)
    gone = (await evm.access.heads.head()).head
    await evm.reorg(2)
    adapter, pool = source(liar, evm)
    adapter.expect(gone)
    [block] = await adapter.blocks(gone.height, gone.height)
    assert block.header == await evm.access.blocks.header(gone.height)
    assert block.header != gone
    await pool.close()


@pytest.mark.parametrize("blocks", [3, MAX_BY_HASH + 3])
async def test_an_empty_answer_is_not_believed_against_the_header(
    evm: EvmHarness, liar: MiddleMan, blocks: int
) -> None:
    """Nodes answer eth_getLogs with nothing while they still index a block."""
    await lock(evm)
    last = await head_height(evm)
    await evm.advance(blocks)
    whole = await evm.access.blocks.blocks(last, Height(last + blocks - 1))
    assert whole[0].events
    liar.tamper = lambda method, params, result: [] if method == "eth_getLogs" else result
    adapter, pool = source(liar, evm)
    assert await adapter.blocks(last, Height(last + blocks - 1)) == list(whole)
    # Only the blocks whose filter allows it were asked for.
    assert 1 <= liar.methods.count("eth_getBlockReceipts") < blocks
    await pool.close()


async def test_a_node_that_lost_old_logs_is_not_believed(evm: EvmHarness, liar: MiddleMan) -> None:
    """More of them than are asked about at once: those that have events betray the others."""
    first = await head_height(evm)
    for _ in range(SAMPLES + 2):
        await lock(evm)
    last = await head_height(evm)
    await evm.advance(SETTLED_DEPTH)
    whole = await evm.access.blocks.blocks(first, last)
    assert sum(bool(block.events) for block in whole) > SAMPLES
    liar.tamper = lambda method, params, result: [] if method == "eth_getLogs" else result
    adapter, pool = source(liar, evm)
    assert await adapter.blocks(first, last) == list(whole)
    await pool.close()


async def test_few_old_blocks_that_seem_to_have_events_are_asked_about(evm: EvmHarness, liar: MiddleMan) -> None:
    """A backfill would ask for the receipts of nearly every full block."""
    first = await head_height(evm)
    await evm.advance(SETTLED_DEPTH + 3 * MAX_BY_HASH)

    def full(method: str, params: list[Any], result: Any) -> Any:
        return {**result, "logsBloom": "0x" + "ff" * 256} if method == "eth_getBlockByNumber" else result

    liar.tamper = full
    adapter, pool = source(liar, evm)
    await adapter.blocks(Height(first + 1), Height(first + 3 * MAX_BY_HASH))
    assert liar.methods.count("eth_getBlockReceipts") == SAMPLES
    await pool.close()


async def test_receipts_that_a_node_does_not_offer_stop_nobody(evm: EvmHarness, liar: MiddleMan) -> None:
    await lock(evm)
    last = await head_height(evm)

    def poor(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockReceipts":
            raise RpcRefusal(-32601, "the method does not exist")
        return [] if method == "eth_getLogs" else result

    liar.tamper = poor
    adapter, pool = source(liar, evm)
    [block] = await adapter.blocks(last, last)
    assert block.events == ()
    await pool.close()


@pytest.mark.parametrize("blocks", [3, MAX_BY_HASH + 3])
async def test_logs_of_another_branch_are_a_reorg(evm: EvmHarness, liar: MiddleMan, blocks: int) -> None:
    await lock(evm)
    last = await head_height(evm)
    await evm.advance(blocks)

    def other_block(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs":
            return [{**log, "blockHash": "0x" + "11" * 32} for log in result]
        return result

    liar.tamper = other_block
    adapter, pool = source(liar, evm)
    with pytest.raises(ReorgedError):
        await adapter.blocks(last, Height(last + blocks - 1))
    await pool.close()


async def test_block_that_goes_while_its_logs_are_read_is_a_reorg(evm: EvmHarness, liar: MiddleMan) -> None:
    """A real reorg, between the two requests."""
    await evm.advance(3)
    last = await head_height(evm)
    adapter, pool = source(liar, evm)
    [client] = pool.clients
    raw, _ = await adapter._raw_headers(client, Height(last - 1), last)
    headers = adapter._linked(raw)
    await evm.reorg(2)
    with pytest.raises(ReorgedError):
        await adapter._logs._by_hash(client, [f"0x{header.ref.hash.hex()}" for header in headers])
    with pytest.raises(ReorgedError):
        await adapter._logs._by_range(client, headers)
    await pool.close()


async def test_malformed_logs_and_headers_are_the_endpoints_fault(evm: EvmHarness, liar: MiddleMan) -> None:
    leg = await lock(evm)
    last = await head_height(evm)
    adapter, pool = source(liar, evm)
    for broken in ("0x", "0xzz", "0x" + "00" * 96):
        liar.tamper = lambda method, params, result, broken=broken: (
            [{**log, "data": broken} for log in result] if method == "eth_getLogs" else result
        )
        with pytest.raises(RetryableError):
            await adapter.blocks(last, last)
    liar.tamper = lambda method, params, result: (
        {**result, "timestamp": "soon"} if method.startswith("eth_getBlock") else result
    )
    with pytest.raises(RetryableError):
        await adapter.header(last)
    assert leg.lock_id
    await pool.close()


def test_logs_of_others_are_not_ours() -> None:
    block = BlockRef(CHAIN, Height(1), bytes(32))
    nft = RawLog(
        "0x" + "22" * 20,
        (TRANSFER_TOPIC, *["0x" + "00" * 32] * 3),
        "0x",
        "0x" + "00" * 32,
        "0x" + "00" * 32,
        "0x0",
    )
    unknown = RawLog("0x" + "11" * 20, ("0x" + "33" * 32,), "0x", "0x" + "00" * 32, "0x" + "00" * 32, "0x0")
    sources = Sources(CHAIN, "0x" + "11" * 20, [nft.address], ContractDecoder(CHAIN, {}))
    assert logged_events(block, sources, [nft, unknown]) == ()


def test_log_that_comes_twice_is_refused() -> None:
    block, token = BlockRef(CHAIN, Height(1), bytes(32)), "0x" + "22" * 20
    sources = Sources(CHAIN, "0x" + "11" * 20, [token], ContractDecoder(CHAIN, {}))
    zero = "0x" + "00" * 32
    moved = [RawLog(token, (TRANSFER_TOPIC, zero, zero), zero, zero, zero, index) for index in ("0x1", "0x0")]
    events = logged_events(block, sources, moved)
    assert [event.index for event in events] == [0, 1]
    assert events[0].event == Transferred(sources.tokens[token], None, None, BaseUnits(0))
    with pytest.raises(RetryableError, match="twice"):
        logged_events(block, sources, [*moved, moved[0]])


async def test_a_chain_of_another_number_is_refused(evm: EvmHarness) -> None:
    settings = settings_for(evm.anvil, evm.contracts)
    with pytest.raises(FatalError, match="eip155:31337"):
        other = evm_chain(1)
        moved = account(other, evm_address(settings.htlc))
        await EvmChain.connect(replace(settings, chain=other, htlc=moved, tokens=()))
    with pytest.raises(FatalError, match="another block"):
        await EvmChain.connect(replace(settings, genesis_hash=bytes(32)))
    with pytest.raises(FatalError, match="no HashedTimelock"):
        await EvmChain.connect(replace(settings, htlc=settings.tokens[0]))
    with pytest.raises(RejectedError, match="not an ERC-20"):
        await EvmChain.connect(replace(settings, tokens=(settings.htlc,)))


async def test_a_node_that_still_reads_its_chain_is_waited_for(evm: EvmHarness, liar: MiddleMan) -> None:
    """It shows the state of an old block, in which the contract is not there yet."""
    settings = replace(settings_for(evm.anvil, evm.contracts), endpoints=(Endpoint(liar.url),))
    missing: dict[str, Any] = {"eth_getCode": "0x", "eth_syncing": {"currentBlock": "0x1", "highestBlock": "0x9"}}
    liar.tamper = lambda method, params, result: missing.get(method, result)
    with pytest.raises(RetryableError, match="still reads old blocks"):
        await EvmChain.connect(settings)
    missing["eth_syncing"] = False
    with pytest.raises(FatalError, match="no HashedTimelock"):
        await EvmChain.connect(settings)


async def test_assets_are_described_by_their_contracts(evm: EvmHarness) -> None:
    native, token = evm.access.parameters.assets.values()
    assert (native.symbol, native.decimals, native.id) == ("ETH", 18, "eip155:31337/slip44:60")
    assert (token.symbol, token.decimals) == ("TUSD", 6)


async def test_an_endpoint_of_another_chain_is_refused_by_name(evm: EvmHarness, liar: MiddleMan) -> None:
    """Also if it is not the first of several; one that is down may come later."""
    honest = settings_for(evm.anvil, evm.contracts)
    both = replace(honest, endpoints=(*honest.endpoints, Endpoint(liar.url, "other")))
    liar.tamper = lambda method, params, result: "0x5" if method == "eth_chainId" else result
    with pytest.raises(FatalError, match=rf"{liar.url[:-1]} is of eip155:5"):
        await EvmChain.connect(both)
    liar.tamper = lambda method, params, result: (
        {**result, "hash": "0x" + "77" * 32} if method == "eth_getBlockByNumber" and params[0] == "0x0" else result
    )
    with pytest.raises(FatalError, match="another chain of the same number"):
        await EvmChain.connect(both)
    liar.status = 503
    chain = await EvmChain.connect(both)
    assert chain.parameters.genesis_hash == evm.chain.parameters.genesis_hash
    await chain.close()
