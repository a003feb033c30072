"""The pump adds no waiting of its own: each step stands in the first block that could hold it."""

from core.model.facts import Claimed, Locked, hashlock_of
from core.model.types import ChainId, Hashlock, Height
from core.runtime.clock import run_virtually
from htlc.model import Leg, Phase
from tests.relayer.house import A, B, House


def time_of(house: House, chain: ChainId, kind: type, hashlock: Hashlock) -> int:
    for height in range(house.chains[chain].height + 1):
        block = house.chains[chain].block(Height(height))
        for logged in block.events:
            if isinstance(logged.event, kind) and hashlock_of(logged) == hashlock:
                return block.header.time.seconds
    raise AssertionError("it never happened")


def test_each_step_stands_in_the_first_block_that_could_hold_it() -> None:
    async def story() -> None:
        house = House()
        await house.start()
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(view)
        view = await house.phase(view.id, Phase.COMPLETED)
        locked_a, locked_b = (time_of(house, chain, Locked, view.hashlock) for chain in (A, B))
        claimed_b, claimed_a = (time_of(house, chain, Claimed, view.hashlock) for chain in (B, A))
        assert locked_b - locked_a == 3  # two blocks to finality, and the next one
        assert claimed_a - claimed_b == 1
        await house.stop()

    run_virtually(story())
