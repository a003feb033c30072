"""A branch is replaced: what was read of it must not be believed any more."""

import asyncio
from itertools import pairwise

import pytest

from adapters.conformance.blocks import PATIENCE_S
from adapters.conformance.harness import ChainHarness, finalized, head, lock, settled
from core.model.facts import Locked
from core.model.transactions import OutcomeStatus
from core.model.types import Height


class ReorgConformance:
    """All ports, on chains whose newest blocks can be replaced."""

    @pytest.fixture(autouse=True)
    def _only_where_blocks_are_replaced(self, harness: ChainHarness, request: pytest.FixtureRequest) -> None:
        if "reorg" in request.node.name and not harness.can_reorg:
            pytest.skip("blocks of this chain are final at once")

    async def test_reorg_takes_the_lock_away_and_it_can_be_sent_again(self, harness: ChainHarness) -> None:
        leg = await lock(harness)
        before = (await settled(harness, leg.transaction.hash)).block
        assert before is not None
        await harness.reorg((await head(harness)).height - before.height + 1)
        outcome = await harness.access.transactions.outcome(leg.transaction.hash)
        assert not outcome.final
        assert outcome.block != before
        replaced = await harness.access.blocks.header(before.height)
        assert replaced.ref != before
        if outcome.status is OutcomeStatus.DROPPED:
            assert not await _locked(harness, before.height)
            await harness.access.transactions.submit(leg.transaction)
        outcome = await settled(harness, leg.transaction.hash)
        assert outcome.status is OutcomeStatus.INCLUDED
        assert outcome.block is not None
        await finalized(harness, outcome.block.height)
        assert (await harness.access.transactions.outcome(leg.transaction.hash)).final

    async def test_reorg_shows_in_the_stream_of_heads(self, harness: ChainHarness) -> None:
        await harness.advance(2)
        old = await head(harness)
        stream = harness.access.heads.heads()
        async with asyncio.timeout(PATIENCE_S):
            await anext(stream)
            await harness.reorg(1)
            update = await anext(stream)
            while update.head.height < old.height:
                update = await anext(stream)
        assert update.head.ref != old.ref
        assert (await harness.access.blocks.header(old.height)).ref != old.ref

    async def test_reorg_leaves_a_linked_chain(self, harness: ChainHarness) -> None:
        await harness.advance(3)
        top = (await head(harness)).height
        await harness.reorg(1)
        blocks = await harness.access.blocks.blocks(Height(top - 2), (await head(harness)).height)
        for older, newer in pairwise(blocks):
            assert newer.header.parent_hash == older.header.ref.hash


async def _locked(harness: ChainHarness, first: Height) -> bool:
    blocks = await harness.access.blocks.blocks(first, (await head(harness)).height)
    return any(isinstance(logged.event, Locked) for block in blocks for logged in block.events)
