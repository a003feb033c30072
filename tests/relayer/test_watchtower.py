"""The watchtower acts for two parties whose keys it does not have."""

from dataclasses import replace

import pytest

from core.model.errors import ConflictError, RejectedError
from core.model.facts import Claimed, Refunded
from core.model.types import BaseUnits, ChainTime, LockId, LockTerms, Preimage, SwapId
from core.runtime.clock import run_virtually
from htlc.model import Leg, Phase, Role
from relayer.watchtower import MAX_LOCKS_READ, Registration
from tests.relayer.house import COIN, START, A, B, House

SECRET = Preimage(bytes(range(32)))


class TwoParties(House):
    """The initiator and a participant of whom the relayer knows nothing but what they registered."""

    async def agree(self) -> Registration:
        self.participant = {chain: self.chains[chain].signer("participant", {COIN[chain]: START}) for chain in (A, B)}
        await self.clock.sleep(1.5)
        now_s = round(self.clock.now())
        first = LockTerms(
            COIN[A],
            BaseUnits(700),
            self.initiator[A].account,
            self.participant[A].account,
            SECRET.hashlock(),
            ChainTime(A, now_s + 40),
        )
        second = LockTerms(
            COIN[B],
            BaseUnits(900),
            self.participant[B].account,
            self.initiator[B].account,
            SECRET.hashlock(),
            ChainTime(B, now_s + 20),
        )
        return Registration(first, second)

    async def both_lock(self, legs: Registration) -> None:
        await self.lock(legs.initiator_leg)
        mine, self.initiator = self.initiator, self.participant
        self.place = await self.lock(legs.participant_leg)
        self.initiator = mine

    async def reveal(self, legs: Registration) -> None:
        builder = self.chains[B].access().legs
        claim = builder.claim(legs.participant_leg, self.place, SECRET, self.initiator[B].account)
        await self.send(B, claim)

    async def holdings(self) -> tuple[int, int, int, int]:
        accounts = [
            (A, self.initiator[A].account),
            (B, self.initiator[B].account),
            (A, self.participant[A].account),
            (B, self.participant[B].account),
        ]
        found = [await self.balance(chain, account) - START for chain, account in accounts]
        return found[0], found[1], found[2], found[3]


def watched(story):
    async def whole() -> None:
        house = TwoParties()
        try:
            await house.start()
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


@pytest.mark.parametrize("late", [False, True])
def test_it_claims_for_the_participant_once_the_preimage_is_public(late):
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        swap_id = SwapId("")
        if not late:
            swap_id = await house.service.watchtower.register(legs)
        await house.both_lock(legs)
        await house.clock.sleep(3)
        if late:
            swap_id = await house.service.watchtower.register(legs)
            assert await house.service.watchtower.register(legs) == swap_id
        await house.reveal(legs)
        view = await house.phase(swap_id, Phase.COMPLETED)
        assert view.role is Role.WATCHTOWER
        assert await house.holdings() == (-700, 900, 700, -900)
        assert len(house.made(A, Claimed, SECRET.hashlock())) == 1

    watched(story)


def test_it_claims_a_swap_that_was_revealed_before_it_was_registered():
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        await house.both_lock(legs)
        await house.reveal(legs)
        await house.clock.sleep(5)
        swap_id = await house.service.watchtower.register(legs)
        await house.phase(swap_id, Phase.COMPLETED)
        assert await house.holdings() == (-700, 900, 700, -900)

    watched(story)


def test_it_refunds_both_after_their_timelocks():
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        swap_id = await house.service.watchtower.register(legs)
        await house.both_lock(legs)
        await house.phase(swap_id, Phase.REFUNDED)
        assert await house.holdings() == (0, 0, 0, 0)
        for chain, leg in ((A, Leg.INITIATOR), (B, Leg.PARTICIPANT)):
            assert len(house.made(chain, Refunded, SECRET.hashlock())) == 1, leg

    watched(story)


def test_it_takes_no_nonsense():
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        tower = house.service.watchtower
        past = replace(legs.participant_leg, timelock=ChainTime(B, 1_600_000_000))
        with pytest.raises(RejectedError, match="has passed"):
            await tower.register(Registration(legs.initiator_leg, past))

    watched(story)


def test_a_copied_hashlock_blocks_no_honest_swap():
    """Somebody registers nonsense under it first: the two parties' swap is watched, and we may still swap ourselves."""

    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        tower = house.service.watchtower
        bogus = await tower.register(replace(legs, initiator_leg=replace(legs.initiator_leg, amount=BaseUnits(1))))
        swap_id = await tower.register(legs)
        assert swap_id != bogus
        opened = await house.open(A, preimage=SECRET)
        with pytest.raises(ConflictError, match="hashlock was used before"):
            await house.open(A, preimage=SECRET)
        await house.both_lock(legs)
        await house.clock.sleep(3)
        await house.reveal(legs)
        await house.phase(swap_id, Phase.COMPLETED)
        await house.phase(opened.id, Phase.ABANDONED)
        assert await house.holdings() == (-700, 900, 700, -900)
        assert (await house.gains())["relayer"] == (0, 0)

    watched(story)


def test_a_flood_of_copied_locks_hides_no_honest_one():
    """Anybody may lock under a public hashlock, more often than a watchtower reads locks."""

    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        copied = replace(legs.participant_leg, sender=house.initiator[B].account, amount=BaseUnits(1))
        builder, places = house.chains[B].access().legs, list[LockId]()
        for _ in range(MAX_LOCKS_READ + 1):
            places.append(await builder.lock_id(copied, places))
        await house.together(B, [builder.lock(copied, place) for place in places])
        await house.both_lock(legs)
        await house.reveal(legs)
        swap_id = await house.service.watchtower.register(legs)
        await house.phase(swap_id, Phase.COMPLETED)
        assert await house.holdings() == (-700, 900 - len(places), 700, -900)

    watched(story)
