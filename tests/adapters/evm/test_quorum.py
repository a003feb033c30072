"""A real chain through the endpoints of three operators, some of whom lie, are silent or slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from adapters.conformance.harness import Leg, claim, lock
from adapters.evm.batches import SKIPPED_TOPIC
from adapters.evm.lanes import slot_hex
from adapters.evm.names import hex_address
from adapters.registry import ChainSpec, ConnectedChain, EndpointSpec, connect_evm
from core.model.errors import DisagreementError
from core.model.facts import Locked, LockStatus
from core.model.ports import ChainAccess
from core.model.transactions import LeftOut, OutcomeStatus
from core.model.types import Preimage
from core.proofs.lanes import evm_address, parse_lane
from tests.adapters.evm.endpoint import MiddleMan, Tamper, middle_man
from tests.adapters.evm.harness import CHAIN, TIMING, EvmHarness, evm_harness

SLOW_S = 1.0


@dataclass
class Joined:
    """`chain` asks all of `endpoints`; the harness next to it asks the node itself."""

    evm: EvmHarness
    chain: ConnectedChain
    endpoints: list[MiddleMan]

    @property
    def access(self) -> ChainAccess:
        return self.chain.access


async def connect_through(evm: EvmHarness, urls: list[str]) -> ConnectedChain:
    return await connect_evm(
        ChainSpec(
            kind="evm",
            chain=CHAIN,
            genesis_hash=evm.chain.parameters.genesis_hash,
            endpoints=tuple(EndpointSpec(url, f"operator {number}") for number, url in enumerate(urls)),
            timing=TIMING,
            assets=tuple(evm.assets),
            contract=evm.contracts.htlc,
        )
    )


@pytest_asyncio.fixture
async def joined() -> AsyncIterator[Joined]:
    async with evm_harness() as evm, AsyncExitStack() as stack:
        endpoints = [await stack.enter_async_context(middle_man(evm.anvil.rpc_url)) for _ in range(3)]
        chain = await connect_through(evm, [endpoint.url for endpoint in endpoints])
        stack.push_async_callback(chain.close)
        yield Joined(evm, chain, endpoints)


def forge(method: str, params: list[Any], result: Any) -> Any:
    """Every block is another one, and final at once."""
    if method.startswith("eth_getBlock") and result:
        return {**result, "number": hex(int(result["number"], 16) + 5), "hash": "0x" + "66" * 32}
    return result


@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_lying_endpoint_neither_moves_the_head_nor_finalizes(joined: Joined, liar: int) -> None:
    await joined.evm.advance(5)
    true = await joined.evm.access.heads.head()
    joined.endpoints[liar].tamper = forge
    assert await joined.access.heads.head() == true
    leg = await lock(joined.evm)
    await joined.evm.advance(3)
    seen = await joined.access.locks.lock(leg.lock_id, leg.terms)
    assert (seen.status, seen.terms_match) == (LockStatus.LOCKED, True)


async def forged_lock(evm: EvmHarness) -> tuple[Leg, Tamper]:
    """A lock that never was, as a node would show it: made, written down, and taken back."""
    before = await evm.rpc("evm_snapshot")
    leg = await lock(evm)
    htlc, slot = hex_address(evm_address(evm.contracts.htlc)), slot_hex(parse_lane(leg.lock_id))
    word = await evm.rpc("eth_getStorageAt", htlc, slot, "latest")
    [log] = await evm.rpc("eth_getLogs", {"address": htlc, "fromBlock": "latest", "toBlock": "latest"})
    await evm.rpc("evm_revert", before)

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getStorageAt" and params[1] == slot:
            return word
        if method == "eth_getLogs" and "blockHash" in params[0]:
            return [{**log, "blockHash": params[0]["blockHash"]}]
        return result

    return leg, tamper


@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_a_lock_that_one_endpoint_forges_is_no_ground_to_act(joined: Joined, liar: int) -> None:
    leg, tamper = await forged_lock(joined.evm)
    await joined.evm.advance(5)
    joined.endpoints[liar].tamper = tamper
    alone = await connect_through(joined.evm, [joined.endpoints[liar].url])
    assert (await alone.access.locks.lock(leg.lock_id, leg.terms)).status is LockStatus.LOCKED
    final = (await alone.access.heads.head()).finalized
    [block] = await alone.access.blocks.blocks(final.height, final.height)
    assert [type(logged.event) for logged in block.events] == [Locked]
    await alone.close()
    seen = await joined.access.locks.lock(leg.lock_id, leg.terms)
    assert (seen.status, seen.terms_match) == (LockStatus.ABSENT, False)
    joined.endpoints[(liar + 1) % 3].status = 503
    with pytest.raises(DisagreementError):
        await joined.access.locks.lock(leg.lock_id, leg.terms)


async def test_without_a_majority_nothing_is_ground_to_act(joined: Joined) -> None:
    leg = await lock(joined.evm)
    await joined.evm.advance(3)
    stream = joined.access.heads.heads()
    assert (await anext(stream)).disputed == ""
    final = (await joined.access.heads.head()).finalized
    joined.endpoints[0].status = joined.endpoints[2].status = 503
    await joined.evm.advance(3)
    with pytest.raises(DisagreementError):
        await joined.access.heads.head()
    with pytest.raises(DisagreementError):
        await joined.access.locks.lock(leg.lock_id, leg.terms)
    # Blocks go on all the same, and whoever follows them gets them.
    update = await anext(stream)
    assert update.disputed
    assert update.finalized == final
    assert update.head == (await joined.evm.access.heads.head()).head
    assert (await joined.access.blocks.blocks(update.head.height, update.head.height))[0].header == update.head
    joined.endpoints[0].status = 200
    while (update := await anext(stream)).disputed:
        await joined.evm.advance()
    assert update.finalized.height > final.height
    await stream.aclose()  # type: ignore[attr-defined]


async def test_an_endpoint_that_hangs_delays_nobody(joined: Joined) -> None:
    await joined.evm.advance(3)
    joined.endpoints[1].hanging.clear()
    async with asyncio.timeout(SLOW_S):
        head = await joined.access.heads.head()
    assert head == await joined.evm.access.heads.head()


@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_one_endpoint_cannot_hide_what_a_batch_left_out(joined: Joined, liar: int) -> None:
    """An item that is believed to be done is not claimed again."""
    leg, other, third = await lock(joined.evm), await lock(joined.evm), await joined.evm.account()
    batches = joined.access.batches
    assert batches is not None
    wrong = replace(other, preimage=Preimage.generate())
    batch = batches.batch([claim(joined.evm, leg, third), claim(joined.evm, wrong, third)])
    [tx_hash] = await joined.evm.send(third, batch)

    def hide(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getTransactionReceipt" and result:
            return {**result, "logs": [log for log in result["logs"] if log["topics"][0] != SKIPPED_TOPIC]}
        return result

    joined.endpoints[liar].tamper = hide
    outcome = await joined.access.transactions.outcome(tx_hash)
    assert outcome.left_out == (LeftOut(1, "WrongTermsOrPreimage()"),)
    joined.endpoints[(liar + 1) % 3].tamper = lambda method, params, result: (
        {**result, "logs": [{**log, "data": "0x00"} for log in result["logs"]]}
        if method == "eth_getTransactionReceipt" and result
        else result
    )
    assert (await joined.access.transactions.outcome(tx_hash)).status is OutcomeStatus.PENDING
