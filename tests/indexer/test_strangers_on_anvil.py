"""Strangers use the real contract in any order: followers go on, and projections are what the chain is.

Odd seeds bring lanes whose generations go round, the others reorgs. A failure names its seed; the environment variable
`STRANGERS_SEEDS` asks for others, `make test-long` for more.
"""

import asyncio
import os
import random

import pytest

from core.model.facts import Block, Locked
from core.model.types import AssetId, Height
from core.proofs.lanes import evm_address
from core.runtime.clock import SystemClock
from core.runtime.database import Database
from indexer.feed import FactSignal
from indexer.follower import Follower, FollowerState
from indexer.projections.conservation import conservation
from tests.adapters.evm.harness import CHAIN, EvmHarness, evm_harness
from tests.indexer.recomputed import check_projections
from tests.indexer.strangers import VERBS, EvmStrangers
from tests.support import LONG

BLOCKS = 400 if LONG else 60
SEEDS = tuple(map(int, os.environ.get("STRANGERS_SEEDS", "1,2,3,4" if LONG else "1,2").split(",")))


async def whole_chain(evm: EvmHarness) -> list[Block]:
    head = (await evm.access.heads.head()).head.height
    blocks: list[Block] = []
    for first in range(0, head + 1, 200):
        blocks += await evm.access.blocks.blocks(Height(first), Height(min(head, first + 199)))
    return blocks


def follower(evm: EvmHarness, database: Database) -> Follower:
    access = evm.access
    return Follower(
        access.parameters, access.heads, access.blocks, database, FactSignal(), SystemClock(), Height(0), max_range=50
    )


@pytest.mark.endurance
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_use_of_the_contract_stops_a_follower(database: Database, seed: int) -> None:
    rng = random.Random(seed)
    async with asyncio.timeout(60 + 4 * BLOCKS), evm_harness() as evm:
        strangers = await EvmStrangers.gather(evm, rng, wraps=bool(seed % 2))
        following = follower(evm, database)
        await following.open()
        for _ in range(BLOCKS):
            await strangers.act()
            if not strangers.wraps and rng.random() < 0.2:
                await evm.reorg(rng.randrange(1, 4))
            if rng.random() < 0.3:
                await following.catch_up(await evm.access.heads.head())
                assert following.status.state is FollowerState.LIVE
            if rng.random() < 0.1:
                following = follower(evm, database)
                await following.open()
        await evm.advance(3)
        await following.catch_up(await evm.access.heads.head())
        assert following.status.state is FollowerState.LIVE
        blocks = await whole_chain(evm)
        await check_projections(database, CHAIN, blocks)
        await held_is_open(evm, database, blocks[-1].header.height)
    names = [logged.event.lock_id for block in blocks for logged in block.events if isinstance(logged.event, Locked)]
    assert not strangers.wraps or len(names) - len(set(names)) >= 3, "some ids must have come again"
    assert all(strangers.counts[verb] for verb in VERBS)


async def held_is_open(evm: EvmHarness, database: Database, height: Height) -> None:
    """What the contract holds of an asset is what the projections call open."""
    for asset in evm.assets:
        sums = await database.read(lambda c, asset=AssetId(asset): conservation(c, asset, height))  # type: ignore[misc]
        assert await evm.access.state.balance(evm.contracts.htlc, asset) == sums.open.amount
    assert evm_address(evm.contracts.htlc)
