"""Nothing is funded or revealed into a claim that cannot pay: paused tokens, refused receivers, either role."""

import asyncio

import pytest

from core.model.facts import Claimed, Locked
from core.model.types import AccountId, AssetId, ChainId
from htlc.model import Phase
from relayer.client import SwapStep
from tests.relayer.client.world import World, play
from tests.relayer.house import COIN, OTHER, A, B

CASES = ["initiator leg paused", "participant leg paused", "relayer refused", "initiator refused", "refund refused"]


def block(world: World, case: str, first: str) -> None:
    """`first`: the chain of the initiator's leg."""
    one, two = (A, B) if first == A else (B, A)
    refused: dict[str, tuple[AssetId, AccountId]] = {
        "relayer refused": (COIN[one], world.relayer[one].account),
        "initiator refused": (COIN[two], world.initiator[two].account),
        "refund refused": (COIN[two], world.relayer[two].account),
    }
    if case in refused:
        chain = one if case == "relayer refused" else two
        world.chains[chain].tokens.refused.add(refused[case])
    else:
        chain = one if case.startswith("initiator") else two
        world.chains[chain].tokens.paused.add(COIN[chain])


def lift(world: World) -> None:
    for chain in world.chains.values():
        chain.tokens.paused.clear()
        chain.tokens.refused.clear()


@pytest.mark.parametrize("first", [A, B])
@pytest.mark.parametrize("case", CASES)
def test_what_could_not_be_paid_is_not_funded(case: str, first: ChainId) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        view = await world.open(first)
        place = await world.lock(view.initiator.terms)
        block(world, case, first)
        await world.phase(view.id, Phase.ABANDONED)
        assert world.made(OTHER[first], Locked, view.hashlock) == []
        lift(world)
        await world.clock.sleep(60)
        await world.refund(view.initiator.terms, place)
        assert (await world.gains())["relayer"] == (0, 0)
        await world.stop()

    play(story())


@pytest.mark.parametrize("case", CASES[:4])
def test_an_initiator_does_not_lock_into_it(case: str) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)
            block(world, case, A)
            outcome = await client.run(swap, world.told.append)
        assert outcome.phase is Phase.ABANDONED
        assert world.made(A, Locked, swap.hashlock) == []
        await world.stop()

    play(story())


@pytest.mark.parametrize("case", CASES[:4])
def test_an_initiator_does_not_reveal_into_it(case: str) -> None:
    """Both are locked; the token stops before the reveal, and everybody takes back what is theirs."""

    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client)

            async def stop(_: object) -> None:
                block(world, case, A)

            running = asyncio.create_task(client.run(swap, world.told.append, before_reveal=stop))
            await world.until(lambda: called_off(world), what="the end of the reveal")
            lift(world)
            outcome = await running
        assert outcome.phase is Phase.REFUNDED
        assert SwapStep.REVEALING not in world.steps()
        assert world.made(B, Claimed, swap.hashlock) == []
        await world.phase(swap.id, Phase.REFUNDED)
        assert await world.gains() == {"relayer": (0, 0), "initiator": (0, 0)}
        await world.stop()

    async def called_off(world: World) -> bool:
        return SwapStep.CALLED_OFF in world.steps()

    play(story())


def test_a_pause_that_is_lifted_in_time_costs_time_only() -> None:
    async def story() -> None:
        world = World()
        await world.start()
        view = await world.open(A)
        world.chains[B].tokens.refused.add((COIN[B], world.initiator[B].account))
        await world.lock(view.initiator.terms)
        await world.phase(view.id, Phase.FUNDING)
        await world.clock.sleep(1)
        assert world.made(B, Locked, view.hashlock) == []
        lift(world)
        await world.phase(view.id, Phase.BOTH_LOCKED)
        await world.stop()

    play(story())
