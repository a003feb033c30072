"""A relayer that has lost its database gets its money back with its keys and the chains alone."""

from dataclasses import replace

import pytest

from core.model.types import BaseUnits, Height, LockId
from core.runtime.database import InlineDatabase, create_schema
from htlc.model import Leg, Phase, Role
from indexer.feed import FactSignal
from indexer.follower import Follower
from relayer.provider.desk import SwapView
from relayer.recovery import MAX_LOCKS, Recovery, recover
from tests.relayer.house import A, B, House, told


class Loss(House):
    """The disk is lost while the relayer is down, and so is every copy of it."""

    async def agreed(self, amount: int = 1000) -> SwapView:
        """The relayer runs, and has agreed to a swap from A to B."""
        await self.start()
        await self.clock.sleep(1.5)
        return await self.open(A, amount)

    async def both_locked(self, view: SwapView) -> SwapView:
        await self.lock(view.initiator.terms)
        return await self.locked(view.id, Leg.PARTICIPANT)

    async def restore(self) -> Recovery:
        self.database = InlineDatabase()
        await self.database.write(create_schema)
        for chain in (A, B):
            access = self.chains[chain].access()
            follower = Follower(
                access.parameters, access.heads, access.blocks, self.database, FactSignal(), self.clock, Height(0)
            )
            await follower.open()
            await follower.catch_up(self.chains[chain].head)
        return await self.recovered()

    async def recovered(self) -> Recovery:
        """From the blocks that the database has."""
        accounts = [signer.account for signer in self.relayer.values()]
        parameters = {chain: self.chains[chain].access().parameters for chain in (A, B)}
        now_ns = self.clock.now_ns()
        return await self.database.write(lambda c: recover(c, accounts, parameters, self.policy, "relayer", now_ns))


@pytest.mark.parametrize("when", ["after", "before", "never"])
def test_a_lost_swap_is_claimed_or_refunded(when: str) -> None:
    """The initiator claims after the restore, before it, or not at all."""

    async def story(house: Loss) -> None:
        view = await house.both_locked(await house.agreed())
        await house.kill()
        if when == "before":
            await house.claim(view)
        found = await house.restore()
        assert [(one.swap_id, one.ours.terms) for one in found.recovered] == [(view.id, view.participant.terms)]
        assert found.alone == []
        await house.start()
        if when == "after":
            await house.claim(view)
        ended = await house.phase(view.id, Phase.REFUNDED if when == "never" else Phase.COMPLETED)
        assert ended.role is Role.WATCHTOWER
        won = {"relayer": (0, 0), "initiator": (0, 0)}
        if when != "never":
            won = {"relayer": (1000, -2000), "initiator": (-1000, 2000)}
        assert await house.gains() == won
        uses = await house.service.pump.foreign_uses()
        assert {use.account for use in uses} == {house.relayer[B].account}

    told(story, Loss)


def test_a_restore_again_finds_nothing_new() -> None:
    async def story(house: Loss) -> None:
        done = await house.both_locked(await house.agreed())
        await house.claim(done)
        await house.phase(done.id, Phase.COMPLETED)
        view = await house.open(A, 500)
        await house.kill()
        await house.lock(view.initiator.terms)
        found = await house.restore()
        assert found.recovered == []
        assert [row.terms for row in found.alone] == [view.initiator.terms]
        assert await house.recovered() == found
        await house.start()

    told(story, Loss)


def test_small_locks_under_our_hashlock_hide_none_of_ours() -> None:
    """Anybody can copy a public hashlock, and make more locks under it than are looked at."""

    async def story(house: Loss) -> None:
        view = await house.agreed()
        legs, terms = house.chains[A].access().legs, view.initiator.terms
        small = [replace(terms, amount=BaseUnits(1)) for _ in range(MAX_LOCKS + 5)]
        known: list[LockId] = []
        for one in small:
            known.append(await legs.lock_id(one, known))
        await house.together(A, [legs.lock(one, place) for one, place in zip(small, known, strict=True)])
        view = await house.both_locked(view)
        await house.kill()
        found = await house.restore()
        assert view.id in {one.swap_id for one in found.recovered}
        assert len(found.recovered) <= MAX_LOCKS

    told(story, Loss)
