"""A full node of a chain that finalizes far behind: it has no state of its finalized block, and serves all the same."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from adapters.conformance.harness import Leg, claim, lock, lock_between, refund, send
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.locks import EvmLockReader
from adapters.evm.transactions import EvmTransactionSender
from core.model.errors import NotYetFinalError, RetryableError
from core.model.facts import LockObservation, LockStatus
from core.model.types import BaseUnits, Height, LockId, Preimage
from core.proofs.lanes import evm_address, lane_lock_id, parse_lane
from tests.adapters.evm.endpoint import MiddleMan, RpcRefusal
from tests.adapters.evm.harness import CHAIN, EvmHarness

BEHIND = 30
"""How far the finalized block is behind."""
KEPT = 8
"""Blocks whose state the node keeps."""

REFUSALS = [
    RpcRefusal(-32000, "missing trie node 8f6a6a2b0a1e5c0e (path ) state 0x8f6a is not available"),
    RpcRefusal(4444, "state at block #7 is pruned"),
    RpcRefusal(-32002, "No state available for block 7"),
    RpcRefusal(-32602, "words that nobody has said before"),
]


class FullNode:
    """Tampers as such a node answers."""

    def __init__(self, evm: EvmHarness, liar: MiddleMan) -> None:
        self.evm, self.liar = evm, liar
        self.refusal = REFUSALS[0]
        self.head = 0
        self.finalized: object = None

    async def refresh(self) -> int:
        """As the chain stands now. Return the finalized height."""
        self.head = int(await self.evm.rpc("eth_blockNumber"), 16)
        height = max(0, self.head - BEHIND)
        self.finalized = await self.evm.rpc("eth_getBlockByNumber", hex(height), False)
        self.liar.tamper = self.tamper
        return height

    def tamper(self, method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            return self.finalized
        if method in ("eth_getTransactionCount", "eth_getStorageAt", "eth_getCode", "eth_call", "eth_getProof"):
            at = params[-1]
            height = self.head - BEHIND if at == "finalized" else self.head if at == "latest" else int(at, 16)
            if height < self.head - KEPT:
                raise self.refusal
        return result


@pytest_asyncio.fixture
async def node(evm: EvmHarness, liar: MiddleMan) -> FullNode:
    await evm.advance(BEHIND)
    made = FullNode(evm, liar)
    await made.refresh()
    return made


@pytest_asyncio.fixture
async def locks(evm: EvmHarness, node: FullNode) -> AsyncIterator[EvmLockReader]:
    pool = Endpoints([Endpoint(node.liar.url)])
    yield EvmLockReader(CHAIN, pool, evm_address(evm.contracts.htlc))
    await pool.close()


async def archived(evm: EvmHarness, leg: Leg, height: int) -> LockObservation:
    """The same by the state itself."""
    return await evm.chain.locks.lock_at(leg.lock_id, leg.terms, Height(height))


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_final_open_lock_is_shown_by_its_event(
    evm: EvmHarness, node: FullNode, locks: EvmLockReader, refusal: RpcRefusal
) -> None:
    leg = await lock(evm)
    await evm.advance(BEHIND + 5)
    height = await node.refresh()
    node.refusal = refusal
    seen = await locks.lock(leg.lock_id, leg.terms)
    assert (seen.status, seen.terms_match) == (LockStatus.LOCKED, True)
    assert seen == await archived(evm, leg, height)
    await evm.advance(3)
    height = await node.refresh()
    assert await locks.lock(leg.lock_id, leg.terms) == await archived(evm, leg, height), "and again, from memory"


async def test_lock_that_is_not_final_yet_is_absent(evm: EvmHarness, node: FullNode, locks: EvmLockReader) -> None:
    leg = await lock(evm)
    await evm.advance(BEHIND - 5)
    height = await node.refresh()
    seen = await locks.lock(leg.lock_id, leg.terms)
    assert seen.status is LockStatus.ABSENT
    assert seen == await archived(evm, leg, height)


async def test_other_terms_do_not_match(evm: EvmHarness, node: FullNode, locks: EvmLockReader) -> None:
    leg = await lock(evm)
    await evm.advance(BEHIND + 5)
    await node.refresh()
    more = replace(leg.terms, amount=BaseUnits(leg.terms.amount + 1))
    seen = await locks.lock(leg.lock_id, more)
    assert (seen.status, seen.terms_match) == (LockStatus.LOCKED, False)


@pytest.mark.parametrize("blocks_since", [3, BEHIND - 5, BEHIND + 5])
async def test_settled_lock_is_settled_once_that_is_final(
    evm: EvmHarness, node: FullNode, locks: EvmLockReader, blocks_since: int
) -> None:
    leg = await lock(evm)
    await evm.advance(BEHIND + 5)
    await node.refresh()
    assert (await locks.lock(leg.lock_id, leg.terms)).status is LockStatus.LOCKED
    await send(evm, leg.receiver, claim(evm, leg, leg.receiver))
    await evm.advance(blocks_since)
    height = await node.refresh()
    if blocks_since < BEHIND:
        with pytest.raises(NotYetFinalError, match="not final yet"):
            await locks.lock(leg.lock_id, leg.terms)
    else:
        seen = await locks.lock(leg.lock_id, leg.terms)
        assert seen.status is LockStatus.CLAIMED
        assert seen == await archived(evm, leg, height)


async def test_lane_used_again_never_shows_the_older_lock(
    evm: EvmHarness, node: FullNode, locks: EvmLockReader
) -> None:
    leg = await lock(evm)
    await evm.advance(BEHIND + 5)
    await send(evm, leg.receiver, claim(evm, leg, leg.receiver))
    again = await lock_between(evm, leg.sender, leg.receiver, Preimage.generate())
    lane, later = parse_lane(leg.lock_id), parse_lane(again.lock_id)
    assert (lane.number, lane.generation + 1) == (later.number, later.generation)
    await node.refresh()
    with pytest.raises(NotYetFinalError):
        await locks.lock(leg.lock_id, leg.terms)
    assert (await locks.lock(again.lock_id, again.terms)).status is LockStatus.ABSENT
    unborn = lane_lock_id(replace(later, generation=later.generation + 1))
    assert (await locks.lock(LockId(unborn), again.terms)).status is LockStatus.ABSENT


async def test_refunded_lock_is_refunded(evm: EvmHarness, node: FullNode, locks: EvmLockReader) -> None:
    leg = await lock(evm)
    await evm.wait_until(leg.terms.timelock)
    await evm.advance(1)
    await send(evm, leg.sender, refund(evm, leg, leg.sender))
    await evm.advance(BEHIND + 5)
    height = await node.refresh()
    assert await locks.lock(leg.lock_id, leg.terms) == await archived(evm, leg, height)


@pytest.mark.parametrize("said", [[], None])
async def test_node_that_hides_the_event_is_no_ground(
    evm: EvmHarness, node: FullNode, locks: EvmLockReader, said: list[object] | None
) -> None:
    leg = await lock(evm)
    await evm.advance(BEHIND + 5)
    await node.refresh()
    honest = node.tamper
    node.liar.tamper = lambda m, p, r: said if m == "eth_getLogs" else honest(m, p, r)
    with pytest.raises(RetryableError):
        await locks.lock(leg.lock_id, leg.terms)


async def test_event_of_a_branch_that_is_gone_is_no_ground(
    evm: EvmHarness, node: FullNode, locks: EvmLockReader
) -> None:
    leg = await lock(evm)
    await evm.advance(BEHIND + 5)
    await node.refresh()
    honest = node.tamper

    def elsewhere(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs":
            return [{**one, "blockHash": "0x" + "66" * 32} for one in result]
        return honest(method, params, result)

    node.liar.tamper = elsewhere
    with pytest.raises(RetryableError):
        await locks.lock(leg.lock_id, leg.terms)


async def test_full_nodes_and_an_archive_agree(evm: EvmHarness, node: FullNode) -> None:
    leg = await lock(evm)
    await evm.advance(BEHIND + 5)
    height = await node.refresh()
    pool = Endpoints([Endpoint(node.liar.url, "full"), Endpoint(evm.anvil.rpc_url, "archive")])
    reader = EvmLockReader(CHAIN, pool, evm_address(evm.contracts.htlc))
    assert (await reader.lock_at(leg.lock_id, leg.terms, Height(height))).status is LockStatus.LOCKED
    await pool.close()


async def test_final_sequence_is_known_once_a_seen_block_is_final(evm: EvmHarness, node: FullNode) -> None:
    pool = Endpoints([Endpoint(node.liar.url)])
    sender = EvmTransactionSender(CHAIN, pool)
    account = evm.bank.account
    first = await sender.sequences(account)
    assert first.finalized is None
    known = []
    for _ in range(BEHIND // 5 + 4):
        await evm.account()
        await evm.advance(3)
        height = await node.refresh()
        view = await sender.sequences(account)
        truth = int(await evm.rpc("eth_getTransactionCount", "0x" + evm_address(account).hex(), hex(height)), 16)
        assert view.finalized is None or view.finalized <= truth, "never more than the state says"
        known.append(view.finalized)
    assert known[-1] is not None
    assert known[-1] > first.latest
    assert known == sorted(known, key=lambda one: one or 0)
    await pool.close()


async def test_sequence_of_a_replaced_block_is_not_final(evm: EvmHarness, node: FullNode) -> None:
    pool = Endpoints([Endpoint(node.liar.url)])
    sender = EvmTransactionSender(CHAIN, pool)
    before = (await sender.sequences(evm.bank.account)).latest
    await evm.account()
    await node.refresh()
    assert (await sender.sequences(evm.bank.account)).latest > before
    await evm.reorg(6)
    await evm.advance(BEHIND + 8)
    await node.refresh()
    view = await sender.sequences(evm.bank.account)
    assert view.finalized is None or view.finalized <= before
    await pool.close()


async def test_event_too_far_back_is_no_ground(
    evm: EvmHarness, node: FullNode, locks: EvmLockReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that were searched before do not stand in for blocks that were not."""
    leg = await lock(evm)
    await evm.advance(BEHIND + 5)
    await node.refresh()
    assert (await locks.lock(leg.lock_id, leg.terms)).status is LockStatus.LOCKED
    monkeypatch.setattr("adapters.evm.lane_events.MAX_LOOKBACK", 10)
    await evm.advance(5)
    await node.refresh()
    assert (await locks.lock(leg.lock_id, leg.terms)).status is LockStatus.LOCKED
    await evm.advance(20)
    await node.refresh()
    with pytest.raises(RetryableError, match="archive node"):
        await locks.lock(leg.lock_id, leg.terms)
