"""A lock of ours that a block shows once its swap had come to nothing: another copy of the database has signed it."""

from dataclasses import replace

import pytest

from core.model.types import BaseUnits
from htlc.model import Leg, Phase
from relayer.provider.desk import SwapView
from tests.relayer.client.world import World
from tests.relayer.house import A, told

BACK = {"relayer": (0, 0), "initiator": (-1000, 0)}
"""A provider takes back what is its own."""


async def locked_too_late(house: World) -> SwapView:
    """Return a swap that has come to nothing, as nobody locked in time; the initiator does after that."""
    await house.start()
    await house.clock.sleep(1.5)
    view = await house.open(A, 1000)
    await house.phase(view.id, Phase.ABANDONED)
    await house.lock(view.initiator.terms)
    return view


@pytest.mark.parametrize("claimed", [True, False])
def test_a_lock_of_ours_brings_a_swap_that_had_ended_back(claimed: bool) -> None:
    async def story(house: World) -> None:
        view = await locked_too_late(house)
        await house.lock_as_relayer(view.participant.terms)
        if claimed:
            await house.claim(await house.locked(view.id, Leg.PARTICIPANT))
        await house.phase(view.id, Phase.COMPLETED if claimed else Phase.REFUNDED)
        won = {"relayer": (1000, -2000), "initiator": (-1000, 2000)} if claimed else BACK
        assert await house.gains() == won

    told(story, World)


def test_a_lock_of_others_in_a_swap_that_had_ended_is_not() -> None:
    """Neither the initiator's own, nor one of ours under other terms."""

    async def story(house: World) -> None:
        view = await locked_too_late(house)
        less = replace(view.participant.terms, amount=BaseUnits(view.participant.terms.amount - 1))
        await house.lock_as_relayer(less)
        await house.clock.sleep(60)
        assert (await house.look(view.id)).phase is Phase.ABANDONED

    told(story, World)
