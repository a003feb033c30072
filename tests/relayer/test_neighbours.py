"""One lock, several swaps that know it: it is settled once, and whoever settles it pays once."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from core.model.errors import RejectedError
from core.model.facts import Claimed, Refunded
from core.model.types import BaseUnits, ChainId, LockTerms
from core.runtime.clock import run_virtually
from htlc.model import Leg, Phase
from relayer.policy import WatchPolicy
from relayer.transactions import records
from relayer.watchtower import Registration
from tests.relayer.house import A, B, House
from tests.relayer.test_watchtower import SECRET, TwoParties

BATCHES = pytest.mark.parametrize("batches", [False, True])


def played(story: Callable[[TwoParties], Awaitable[None]], batches: bool) -> None:
    async def whole() -> None:
        house = TwoParties()
        for chain in house.chains.values():
            chain.rules = replace(chain.rules, batches=batches)
        house.policy = replace(house.policy, watch=WatchPolicy(enabled=True, max_per_caller=20))
        try:
            await house.start()
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


async def used(house: House, chain: ChainId) -> int:
    """How many transactions our account has in blocks."""
    return (await house.chains[chain].access().transactions.sequences(house.relayer[chain].account)).latest


def nearly(terms: LockTerms, number: int) -> LockTerms:
    return replace(terms, amount=BaseUnits(terms.amount + number))


@BATCHES
def test_watches_over_one_lock_pay_for_one_claim(batches: bool) -> None:
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        swap_id = await house.service.watchtower.register(legs)
        for number in (1, 2, 3):
            await house.service.watchtower.register(
                Registration(legs.initiator_leg, nearly(legs.participant_leg, number))
            )
        await house.both_lock(legs)
        await house.reveal(legs)
        await house.phase(swap_id, Phase.COMPLETED)
        await house.clock.sleep(30)
        assert await house.holdings() == (-700, 900, 700, -900)
        assert len(house.made(A, Claimed, SECRET.hashlock())) == 1
        assert await used(house, A) == 1

    played(story, batches)


@BATCHES
def test_watches_over_one_lock_pay_for_one_refund(batches: bool) -> None:
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        for number in (1, 2, 3):
            await house.service.watchtower.register(
                Registration(nearly(legs.initiator_leg, number), legs.participant_leg)
            )
        swap_id = await house.service.watchtower.register(legs)
        await house.both_lock(legs)
        await house.phase(swap_id, Phase.REFUNDED)
        await house.clock.sleep(30)
        assert await house.holdings() == (0, 0, 0, 0)
        assert len(house.made(B, Refunded, SECRET.hashlock())) == 1
        assert (await used(house, A), await used(house, B)) == (1, 1)

    played(story, batches)


@BATCHES
def test_a_watch_over_our_own_lock_costs_us_nothing(batches: bool) -> None:
    """Our own swap takes its lock back, and the stranger's watches, which know that lock, too, send nothing."""

    async def story(house: TwoParties) -> None:
        view = await house.open(A)
        first, second = view.initiator.terms, view.participant.terms
        for number in (1, 2, 3):
            await house.service.watchtower.register(Registration(nearly(first, number), second))
        await house.lock(first)
        await house.locked(view.id, Leg.PARTICIPANT)
        await house.phase(view.id, Phase.REFUNDED)
        await house.clock.sleep(30)
        assert len(house.made(B, Refunded, view.hashlock)) == 1
        assert await used(house, B) == 2, "a lock and its refund"

    played(story, batches)


@BATCHES
def test_a_watch_over_what_pays_us_costs_us_nothing(batches: bool) -> None:
    async def story(house: TwoParties) -> None:
        view = await house.open(A)
        first, second = view.initiator.terms, view.participant.terms
        for number in (1, 2, 3):
            await house.service.watchtower.register(Registration(first, nearly(second, number)))
        await house.lock(first)
        await house.claim(await house.locked(view.id, Leg.PARTICIPANT))
        await house.phase(view.id, Phase.COMPLETED)
        await house.clock.sleep(30)
        assert len(house.made(A, Claimed, view.hashlock)) == 1
        assert await used(house, A) == 1

    played(story, batches)


def test_a_nonsense_watch_keeps_no_claim_from_another() -> None:
    """Its legs are the wrong way round, so that it never sees its locks: it sends nothing, and nobody waits for it."""

    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        swapped = replace(legs.participant_leg, amount=BaseUnits(1), receiver=legs.participant_leg.sender)
        with pytest.raises(RejectedError, match="pays its own sender"):
            await house.service.watchtower.register(Registration(legs.initiator_leg, swapped))
        await house.service.watchtower.register(Registration(legs.participant_leg, legs.initiator_leg))
        swap_id = await house.service.watchtower.register(legs)
        await house.both_lock(legs)
        await house.reveal(legs)
        await house.phase(swap_id, Phase.COMPLETED)
        assert await house.holdings() == (-700, 900, 700, -900)
        records_of = await house.database.read(lambda c: records.of_effect_prefix(c, swap_id))
        assert [record.reverted for record in records_of] == [False]

    played(story, batches=False)
