"""Whole swaps over two memory chains, in virtual time."""

import pytest

from core.model.facts import Claimed, Locked, Refunded
from core.model.types import ChainId
from core.runtime.clock import run_virtually
from htlc.model import Leg, Phase
from tests.relayer.house import A, B, House


@pytest.mark.parametrize("first", [A, B])
def test_a_swap_in_either_direction(first: ChainId) -> None:
    async def story() -> None:
        house = House()
        await house.start()
        view = await house.open(first, 1000)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        gains = await house.gains()
        paid, received = (0, 1) if first == A else (1, 0)
        assert (gains["initiator"][paid], gains["initiator"][received]) == (-1000, 2000)
        assert (gains["relayer"][paid], gains["relayer"][received]) == (1000, -2000)
        for chain in (A, B):
            assert len(house.made(chain, Locked, view.hashlock)) == 1
            assert len(house.made(chain, Claimed, view.hashlock)) == 1
        await house.stop()

    run_virtually(story())


def test_an_initiator_who_vanishes_after_the_participant_locked() -> None:
    async def story() -> None:
        house = House()
        await house.start()
        view = await house.open(A)
        place = await house.lock(view.initiator.terms)
        await house.locked(view.id, Leg.PARTICIPANT)
        await house.phase(view.id, Phase.REFUNDED)
        await house.until(lambda: timelock_passed(house, view.initiator.terms.timelock.seconds))
        await house.refund(view.initiator.terms, place)
        await house.clock.sleep(3)
        assert await house.gains() == {"relayer": (0, 0), "initiator": (0, 0)}
        assert len(house.made(B, Refunded, view.hashlock)) == 1
        await house.stop()

    run_virtually(story())


async def timelock_passed(house: House, timelock_s: int) -> bool:
    return house.chains[A].head.head.time.seconds >= timelock_s


def test_an_initiator_who_never_locks() -> None:
    async def story() -> None:
        house = House()
        service = await house.start()
        view = await house.open(A)
        await house.clock.sleep(20)
        await service.pump.expire_quotes()
        view = await house.phase(view.id, Phase.ABANDONED)
        assert view.done
        assert await house.gains() == {"relayer": (0, 0), "initiator": (0, 0)}
        await house.stop()

    run_virtually(story())


def test_relayer_down_when_the_preimage_appears_claims_later() -> None:
    async def story() -> None:
        house = House()
        await house.start()
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.kill()
        await house.claim(view)
        await house.clock.sleep(4)
        await house.start()
        await house.phase(view.id, Phase.COMPLETED)
        assert (await house.gains())["relayer"] == (1000, -2000)
        await house.stop()

    run_virtually(story())


def test_relayer_down_while_a_lock_appears_calls_nothing_off() -> None:
    """The time to lock is over when it comes back, and it has read of no lock yet."""

    async def story() -> None:
        house = House()
        await house.start()
        view = await house.open(A)
        await house.kill()
        await house.lock(view.initiator.terms)
        await house.clock.sleep(20)
        service = await house.start()
        await service.pump.expire_quotes()
        assert (await house.look(view.id)).phase is Phase.AGREED
        await house.locked(view.id, Leg.INITIATOR)
        await house.stop()

    run_virtually(story())
