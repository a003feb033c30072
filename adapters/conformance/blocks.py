"""Heads, blocks, events, unproven state."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from adapters.conformance.harness import (
    AMOUNT,
    FUNDS,
    ChainHarness,
    Leg,
    balance,
    claim,
    finalized,
    head,
    lock,
    refund,
    send,
    settled,
)
from core.model.errors import NotFoundError, NotYetFinalError, RejectedError
from core.model.facts import Block, Claimed, HeadUpdate, Locked, LoggedEvent, Refunded
from core.model.types import AccountId, Height, LockId, PublicPreimage

PATIENCE_S = 30
BEYOND = 100_000
CANCELLATIONS = 60
CANCELLATION_STEP_S = 0.0003


async def _blocks_since(harness: ChainHarness, first: Height) -> Sequence[Block]:
    return await harness.access.blocks.blocks(first, (await head(harness)).height)


def _of(blocks: Sequence[Block], lock_id: LockId) -> list[LoggedEvent]:
    events = [logged for block in blocks for logged in block.events]
    return [logged for logged in events if getattr(logged.event, "lock_id", None) == lock_id]


class HeadConformance:
    """`ChainParameters` and `HeadSource`."""

    async def test_the_genesis_block_is_the_one_that_pins_the_chain(self, harness: ChainHarness) -> None:
        parameters = harness.access.parameters
        genesis = await harness.access.blocks.header(parameters.genesis_hash)
        assert genesis.ref.hash == parameters.genesis_hash
        assert genesis.parent_hash == b""
        assert genesis.chain == parameters.chain
        assert genesis == await harness.access.blocks.header(genesis.height)

    async def test_every_asset_is_described(self, harness: ChainHarness) -> None:
        assert set(harness.assets) <= set(harness.access.parameters.assets)

    async def test_the_finalized_block_is_an_ancestor_of_the_head(self, harness: ChainHarness) -> None:
        update = await harness.access.heads.head()
        assert update.finalized.height <= update.head.height
        assert await harness.access.blocks.header(update.finalized.height) == update.finalized

    async def test_finality_catches_up_with_every_block(self, harness: ChainHarness) -> None:
        height = (await head(harness)).height
        await finalized(harness, height)

    async def test_the_stream_starts_at_once_and_follows(self, harness: ChainHarness) -> None:
        stream = harness.access.heads.heads()
        async with asyncio.timeout(PATIENCE_S):
            first = await anext(stream)
            await harness.advance(3)
            updates: list[HeadUpdate] = [first]
            while updates[-1].head.height < first.head.height + 3:
                updates.append(await anext(stream))
        assert all(update.finalized.height <= update.head.height for update in updates)
        heights = [update.finalized.height for update in updates]
        assert heights == sorted(heights), "what is final stays final"

    async def test_the_stream_ends_whenever_it_is_cancelled(self, harness: ChainHarness) -> None:
        async def listen() -> None:
            async for _ in harness.access.heads.heads():
                pass

        for attempt in range(CANCELLATIONS):
            listening = asyncio.create_task(listen())
            await asyncio.sleep(attempt * CANCELLATION_STEP_S)
            listening.cancel()
            done, _ = await asyncio.wait([listening], timeout=PATIENCE_S)
            assert done, f"a cancellation after {attempt * CANCELLATION_STEP_S * 1e3:.1f} ms is swallowed"


class BlockConformance:
    """`BlockSource`."""

    async def test_blocks_are_linked(self, harness: ChainHarness) -> None:
        first = (await head(harness)).height
        await harness.advance(4)
        blocks = await harness.access.blocks.blocks(first, Height(first + 4))
        assert [block.header.height for block in blocks] == list(range(first, first + 5))
        for older, newer in pairwise(blocks):
            assert newer.header.parent_hash == older.header.ref.hash
            assert newer.header.time >= older.header.time

    async def test_a_header_is_the_same_by_height_and_by_hash(self, harness: ChainHarness) -> None:
        newest = (await harness.access.heads.head()).finalized
        by_height = await harness.access.blocks.header(newest.height)
        assert by_height == newest == await harness.access.blocks.header(newest.ref.hash)

    async def test_final_block_stays_the_same_and_later_is_not_final(self, harness: ChainHarness) -> None:
        newest = (await harness.access.heads.head()).finalized
        assert await harness.access.heads.final_block(newest.height) == newest
        beyond = Height((await head(harness)).height + BEYOND)
        with pytest.raises(NotYetFinalError):
            await harness.access.heads.final_block(beyond)

    async def test_what_does_not_exist_is_not_found(self, harness: ChainHarness) -> None:
        height = Height((await head(harness)).height + BEYOND)
        with pytest.raises(NotFoundError):
            await harness.access.blocks.header(height)
        with pytest.raises(NotFoundError):
            await harness.access.blocks.header(bytes(32))
        with pytest.raises(NotFoundError):
            await harness.access.blocks.blocks(height, height)

    async def test_a_range_that_is_none_is_rejected(self, harness: ChainHarness) -> None:
        with pytest.raises(RejectedError):
            await harness.access.blocks.blocks(Height(2), Height(1))
        with pytest.raises(RejectedError):
            await harness.access.blocks.blocks(Height(1), Height(1_000_000))

    async def test_a_lock_and_its_claim_leave_exactly_their_events(self, harness: ChainHarness) -> None:
        first = (await head(harness)).height
        for asset in harness.assets:
            leg = await lock(harness, asset)
            sent = await send(harness, leg.receiver, claim(harness, leg, leg.receiver))
            locked, claimed = _of(await _blocks_since(harness, first), leg.lock_id)
            assert locked.event == Locked(leg.lock_id, leg.terms)
            assert locked.tx_hash == leg.transaction.hash
            preimage = PublicPreimage(leg.preimage.expose())
            assert claimed.event == Claimed(leg.lock_id, leg.terms.hashlock, preimage)
            assert claimed.tx_hash == sent.hash
            assert (await settled(harness, sent.hash)).block == claimed.block

    async def test_a_refund_leaves_exactly_its_event(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        await harness.wait_until(leg.terms.timelock)
        first = (await head(harness)).height
        sent = await send(harness, leg.sender, refund(harness, leg, leg.sender))
        [refunded] = _of(await _blocks_since(harness, Height(first + 1)), leg.lock_id)
        assert refunded.event == Refunded(leg.lock_id, leg.terms.hashlock)
        assert refunded.tx_hash == sent.hash

    async def test_events_stand_in_order_in_their_own_blocks(self, harness: ChainHarness) -> None:
        first = (await head(harness)).height
        await lock(harness)
        await lock(harness)
        for block in await _blocks_since(harness, first):
            indexes = [logged.index for logged in block.events]
            assert indexes == sorted(set(indexes))
            assert all(logged.block == block.header.ref for logged in block.events)


class StateConformance:
    """`StateReader`."""

    async def test_balances_follow_a_lock_and_its_claim(self, harness: ChainHarness) -> None:
        for asset in harness.assets:
            before = (await head(harness)).height
            leg: Leg = await lock(harness, asset)
            assert await balance(harness, leg.sender, asset) <= await _funded(harness, leg) - AMOUNT
            third = await harness.account()
            held = await balance(harness, leg.receiver, asset)
            await send(harness, third, claim(harness, leg, third))
            assert await balance(harness, leg.receiver, asset) == held + AMOUNT
            assert await harness.access.state.balance(leg.receiver.account, asset, before) <= held

    async def test_an_account_is_empty_before_it_was_funded(self, harness: ChainHarness) -> None:
        before = (await head(harness)).height
        await harness.advance()
        account = (await harness.account()).account
        for asset in harness.assets:
            assert await harness.access.state.balance(account, asset) >= FUNDS
            assert await harness.access.state.balance(account, asset, before) == 0

    async def test_a_record_that_was_never_written_is_none(self, harness: ChainHarness) -> None:
        """On chains that keep records."""
        if (records := harness.access.records) is not None:
            assert await records.record("conformance", "absent") is None

    async def test_nobody_is_held_without_an_order(self, harness: ChainHarness) -> None:
        """On chains that have orders."""
        if (orders := harness.access.orders) is None:
            return
        account = (await harness.account()).account
        assert await orders.held(account) is None
        assert await orders.officer(account) is None
        page = await orders.orders(10)
        assert (page.count, page.orders) == (0, ())
        assert page.time_ms > 0
        for number in (-1, 0, 1, 2**63):
            with pytest.raises(NotFoundError):
                await orders.order(number)
        with pytest.raises(RejectedError):
            await orders.held(AccountId(f"eip155:1:0x{'ab' * 20}"))


async def _funded(harness: ChainHarness, leg: Leg) -> int:
    """Return the sender's balance in the block before its lock."""
    outcome = await settled(harness, leg.transaction.hash)
    assert outcome.block is not None
    before = Height(outcome.block.height - 1)
    return await harness.access.state.balance(leg.sender.account, leg.terms.asset, before)
