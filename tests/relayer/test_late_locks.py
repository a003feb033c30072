"""A lock of ours that a block shows once its swap had come to nothing: another copy of the database has signed it."""

from dataclasses import replace

import pytest

from core.model.types import BaseUnits
from htlc.model import Leg, Phase, Role
from tests.relayer.client.world import World
from tests.relayer.house import A, told

NOTHING = {"relayer": (0, 0), "initiator": (0, 0)}


@pytest.mark.parametrize("claimed", [True, False])
def test_a_lock_of_ours_in_a_swap_that_had_ended_is_watched(claimed: bool) -> None:
    async def story(house: World) -> None:
        await house.start()
        await house.clock.sleep(1.5)
        view = await house.open(A, 1000)
        assert (await house.phase(view.id, Phase.ABANDONED)).role is Role.LIQUIDITY_PROVIDER
        await house.lock(view.initiator.terms)
        await house.lock_as_relayer(view.participant.terms)
        if claimed:
            await house.claim(await house.locked(view.id, Leg.PARTICIPANT))
        ended = await house.phase(view.id, Phase.COMPLETED if claimed else Phase.REFUNDED)
        assert ended.role is Role.WATCHTOWER
        won = {"relayer": (1000, -2000), "initiator": (-1000, 2000)} if claimed else NOTHING
        assert await house.gains() == won

    told(story, World)


def test_a_lock_of_others_in_a_swap_that_had_ended_is_not() -> None:
    """Neither the initiator's own, nor one of ours under other terms."""

    async def story(house: World) -> None:
        await house.start()
        await house.clock.sleep(1.5)
        view = await house.open(A, 1000)
        await house.phase(view.id, Phase.ABANDONED)
        await house.lock(view.initiator.terms)
        less = replace(view.participant.terms, amount=BaseUnits(view.participant.terms.amount - 1))
        await house.lock_as_relayer(less)
        await house.clock.sleep(60)
        assert (await house.phase(view.id, Phase.ABANDONED)).role is Role.LIQUIDITY_PROVIDER

    told(story, World)
