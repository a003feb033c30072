"""A finalized block of a chain was replaced: the client locks nothing there until its caller has acknowledged it."""

import asyncio

import pytest
import sqlalchemy as sa

from core.model.facts import Locked
from core.model.types import ChainId
from htlc.model import Phase
from indexer.tables import deep_reorgs
from tests.relayer.client.world import World, play
from tests.relayer.house import A, B


@pytest.mark.parametrize("chain", [A, B])
def test_a_lock_waits_for_the_callers_word_on_what_was_replaced(chain: ChainId) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            row = {"chain": chain, "seq": 1, "fork_height": 1, "finalized_height": 2, "noticed_ns": 0}
            await world.store.database.write(lambda c: c.execute(sa.insert(deep_reorgs).values(**row)))
            running = asyncio.create_task(client.run(swap))
            await world.clock.sleep(1)
            assert await client.alarms() == [chain]
            assert world.made(A, Locked, swap.hashlock) == []
            assert await client.acknowledge(chain)
            assert not await client.acknowledge(chain)
            assert (await running).phase is Phase.COMPLETED
            assert await client.alarms() == []
        await world.stop()

    play(story())
