"""The watchtower acts for two parties whose keys it does not have."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from core.model.errors import ConflictError, NotFoundError, RejectedError, TooManyError
from core.model.facts import Claimed, Refunded
from core.model.types import BaseUnits, ChainTime, LockId, LockTerms, Preimage, Seconds, SwapId
from core.runtime import journal
from core.runtime.clock import run_virtually
from htlc.effects import ClaimLeg, leg_kind
from htlc.model import Leg, Phase, Role
from relayer.policy import WatchPolicy
from relayer.pump.acting import UNSIMULATED_TRIES
from relayer.pump.past import MAX_LOCKS_READ
from relayer.transactions import records
from relayer.watchtower import Registration
from tests.relayer.house import COIN, START, A, B, House

SECRET = Preimage(bytes(range(32)))
WATCHING = WatchPolicy(enabled=True)
CLAIM = leg_kind(ClaimLeg, Leg.INITIATOR)


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


def watched(
    story: Callable[[TwoParties], Awaitable[None]], policy: WatchPolicy = WATCHING, reserve: BaseUnits | None = None
) -> None:
    """`reserve`: gas that each swap of our own keeps on A."""

    async def whole() -> None:
        house = TwoParties()
        house.policy = replace(house.policy, watch=policy, gas_per_exit={COIN[A]: reserve} if reserve else {})
        try:
            await house.start()
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


@pytest.mark.parametrize("late", [False, True])
def test_watchtower_claims_once_the_preimage_is_public(late: bool) -> None:
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


def test_watchtower_claims_a_swap_revealed_before_registration() -> None:
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        await house.both_lock(legs)
        await house.reveal(legs)
        await house.clock.sleep(5)
        swap_id = await house.service.watchtower.register(legs)
        await house.phase(swap_id, Phase.COMPLETED)
        assert await house.holdings() == (-700, 900, 700, -900)

    watched(story)


def test_it_refunds_both_after_their_timelocks() -> None:
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        swap_id = await house.service.watchtower.register(legs)
        await house.both_lock(legs)
        await house.phase(swap_id, Phase.REFUNDED)
        assert await house.holdings() == (0, 0, 0, 0)
        for chain, leg in ((A, Leg.INITIATOR), (B, Leg.PARTICIPANT)):
            assert len(house.made(chain, Refunded, SECRET.hashlock())) == 1, leg

    watched(story)


def test_it_takes_no_nonsense() -> None:
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        tower = house.service.watchtower
        past = replace(legs.participant_leg, timelock=ChainTime(B, 1_600_000_000))
        with pytest.raises(RejectedError, match="has passed"):
            await tower.register(Registration(legs.initiator_leg, past))

    watched(story)


def test_a_copied_hashlock_blocks_no_honest_swap() -> None:
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


def test_a_flood_of_copied_locks_hides_no_honest_one() -> None:
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


def test_it_is_off_unless_switched_on() -> None:
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        assert not house.service.watchtower.enabled
        with pytest.raises(NotFoundError, match="does not watch"):
            await house.service.watchtower.register(legs)

    watched(story, WatchPolicy())


def test_callers_have_so_many_watches() -> None:
    async def story(house: TwoParties) -> None:
        legs, tower = await house.agree(), house.service.watchtower
        for number in range(2):
            await tower.register(other(legs, number), "mallory")
        assert await tower.register(other(legs, 1), "mallory")
        with pytest.raises(TooManyError, match="this caller has 2"):
            await tower.register(other(legs, 2), "mallory")
        await tower.register(other(legs, 3), "alice")
        with pytest.raises(TooManyError, match=r"without a lock, 3 swaps"):
            await tower.register(other(legs, 4), "bob")
        await house.lock(legs.initiator_leg)
        await house.clock.sleep(2)
        await tower.register(legs, "bob")

    watched(story, WatchPolicy(enabled=True, max_watches=6, max_per_caller=2))


def other(legs: Registration, number: int) -> Registration:
    """Another swap under the same hashlock."""
    return replace(legs, participant_leg=replace(legs.participant_leg, amount=BaseUnits(1_000 + number)))


def test_a_watch_without_a_lock_ends_and_may_come_again() -> None:
    """Registered too early, by anybody: that does not keep the parties from having it watched."""

    async def story(house: TwoParties) -> None:
        legs, tower = await house.agree(), house.service.watchtower
        swap_id = await tower.register(legs, "mallory")
        await house.clock.sleep(8)
        await house.service.pump.expire_quotes()
        await house.phase(swap_id, Phase.ABANDONED)
        await house.both_lock(legs)
        assert await tower.register(legs, "alice") == swap_id
        await house.reveal(legs)
        await house.phase(swap_id, Phase.COMPLETED)
        assert await tower.register(legs, "mallory") == swap_id
        assert (await house.look(swap_id)).phase is Phase.COMPLETED

    watched(story, WatchPolicy(enabled=True, unseen_s=Seconds(3)))


@pytest.mark.parametrize("wrong", ["to itself", "too far"])
def test_it_watches_no_leg_that_makes_no_sense(wrong: str) -> None:
    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        leg = legs.initiator_leg
        bad = {
            "to itself": replace(leg, receiver=leg.sender),
            "too far": replace(leg, timelock=ChainTime(A, leg.timelock.seconds + 14 * 24 * 3600)),
        }[wrong]
        with pytest.raises(RejectedError, match=r"its own sender|at most"):
            await house.service.watchtower.register(replace(legs, initiator_leg=bad))

    watched(story)


def test_a_claim_that_cannot_pay_costs_little() -> None:
    """A payee that refuses, for ever: tried twice in blocks, then simulated, ever more seldom, up to the timelock."""

    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        legs = replace(
            legs, initiator_leg=replace(legs.initiator_leg, timelock=ChainTime(A, round(house.clock.now()) + 400))
        )
        swap_id = await house.service.watchtower.register(legs)
        await house.both_lock(legs)
        house.chains[A].tokens.refused.add((COIN[A], legs.initiator_leg.receiver))
        await house.reveal(legs)
        await house.clock.sleep(legs.initiator_leg.timelock.seconds - house.clock.now() - 1)
        sent = await house.database.read(lambda c: records.of_effect_prefix(c, swap_id))
        assert [record.reverted for record in sent] == [True] * UNSIMULATED_TRIES
        asked = await house.database.read(lambda c: journal.stream_effects(c, swap_id))
        assert len([one for one in asked if one.kind == CLAIM]) < 25
        await house.phase(swap_id, Phase.LOST, deadline_s=60)
        assert await house.holdings() == (0, 900, 0, -900), "the refund pays the initiator, whom nobody refuses"

    watched(story)


@pytest.mark.parametrize("left_s", [60, 12])
def test_a_claim_that_can_pay_again_is_made_in_time(left_s: int) -> None:
    """Refusals for most of the time cost no try: it is claimed once it can be, though little time is left."""

    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        timelock = ChainTime(A, round(house.clock.now()) + 400)
        legs = replace(legs, initiator_leg=replace(legs.initiator_leg, timelock=timelock))
        swap_id = await house.service.watchtower.register(legs)
        await house.both_lock(legs)
        refused = (COIN[A], legs.initiator_leg.receiver)
        house.chains[A].tokens.refused.add(refused)
        await house.reveal(legs)
        await house.clock.sleep(timelock.seconds - left_s - house.clock.now())
        house.chains[A].tokens.refused.discard(refused)
        await house.phase(swap_id, Phase.COMPLETED, deadline_s=left_s)
        assert await house.holdings() == (-700, 900, 700, -900)

    watched(story)


def test_a_watched_exit_leaves_what_our_own_swaps_keep() -> None:
    """All gas that is left is kept for a swap of ours: the watched claim waits, and goes out once there is more."""

    async def story(house: TwoParties) -> None:
        legs = await house.agree()
        legs = replace(
            legs, initiator_leg=replace(legs.initiator_leg, timelock=ChainTime(A, round(house.clock.now()) + 400))
        )
        swap_id = await house.service.watchtower.register(legs)
        await house.both_lock(legs)
        house.preimage = Preimage(bytes(32))
        own = await house.open(A, preimage=house.preimage)
        await house.lock(own.initiator.terms)
        await house.locked(own.id, Leg.PARTICIPANT)
        await house.reveal(legs)
        await house.phase(swap_id, Phase.CLAIMING)
        await house.clock.sleep(8)
        assert await house.database.read(lambda c: records.of_effect_prefix(c, swap_id)) == []
        house.preimage = Preimage(bytes(32))
        await house.claim(await house.look(own.id))
        await house.phase(own.id, Phase.COMPLETED)
        await house.phase(swap_id, Phase.COMPLETED)

    watched(story, reserve=BaseUnits(START // 2 + 1))
