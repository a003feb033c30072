"""The client against a whole relayer, in virtual time."""

import pytest

from core.model.facts import Claimed, Locked
from core.runtime.clock import run_virtually
from htlc.model import Phase
from relayer.client import SwapStep
from tests.relayer.client.world import World
from tests.relayer.house import A, B


@pytest.mark.parametrize("first", [A, B])
def test_a_swap_in_either_direction(first):
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client, first)
            outcome = await client.run(swap, world.told.append)
            assert outcome.phase is Phase.COMPLETED
        await world.phase(swap.id, Phase.COMPLETED)
        gains = await world.gains()
        paid, received = (0, 1) if first == A else (1, 0)
        assert (gains["initiator"][paid], gains["initiator"][received]) == (-1000, 2000)
        assert (gains["relayer"][paid], gains["relayer"][received]) == (1000, -2000)
        for chain in (A, B):
            assert len(world.made(chain, Locked, swap.hashlock)) == 1
            assert len(world.made(chain, Claimed, swap.hashlock)) == 1
        steps = [step for step in world.steps() if step is not SwapStep.PARTICIPANT_CLAIMED]
        assert steps == [
            SwapStep.AGREED,
            SwapStep.LOCK_SENT,
            SwapStep.LOCKED,
            SwapStep.LOCK_FINAL,
            SwapStep.PARTICIPANT_LOCKED,
            SwapStep.PARTICIPANT_VERIFIED,
            SwapStep.REVEALING,
            SwapStep.CLAIMED,
            SwapStep.CLAIM_FINAL,
            SwapStep.FINISHED,
        ]
        await world.stop()

    run_virtually(story())
