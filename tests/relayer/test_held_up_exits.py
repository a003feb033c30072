"""Exits of our own that cannot succeed for a while: they cost the gas of a few tries, and go out once they can."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from core.model.errors import RetryableError, RevertedError
from core.model.facts import Claimed
from core.model.types import AccountId, AssetId
from core.runtime.clock import run_virtually
from htlc.model import Leg, Phase
from relayer.provider.desk import SwapView
from relayer.pump.looks import is_looked_at
from relayer.transactions import records
from tests.relayer.house import COIN, A, House

HELD_UP_S = 25.0


def told(story: Callable[[House], Awaitable[None]]) -> None:
    async def whole() -> None:
        house = House()
        try:
            await house.start()
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


async def claimed_but_refused(house: House) -> tuple[SwapView, tuple[AssetId, AccountId]]:
    """A swap whose preimage is public, and the relayer is on the blacklist of what it is paid in."""
    view = await house.open(A)
    await house.lock(view.initiator.terms)
    view = await house.locked(view.id, Leg.PARTICIPANT)
    refused = (COIN[A], house.relayer[A].account)
    house.chains[A].tokens.refused.add(refused)
    await house.claim(view)
    await house.phase(view.id, Phase.CLAIMING)
    return view, refused


def test_a_claim_that_is_held_up_costs_a_few_tries() -> None:
    async def story(house: House) -> None:
        view, refused = await claimed_but_refused(house)
        await house.clock.sleep(HELD_UP_S)
        sent = await house.database.read(lambda c: records.of_effect_prefix(c, view.id))
        claims = [one for one in sent if "claim" in one.effect_key]
        assert 2 <= len(claims) <= 4
        assert all(one.reverted for one in claims)
        house.chains[A].tokens.refused.discard(refused)
        await house.phase(view.id, Phase.COMPLETED, deadline_s=8)
        assert len(house.made(A, Claimed, view.hashlock)) == 1

    told(story)


@pytest.mark.parametrize("error", [RetryableError("busy"), OSError("gone"), RevertedError("it errs")])
def test_no_node_keeps_an_exit_back(error: Exception) -> None:
    """One that does not answer is done without; one that errs about it is not asked for every try."""

    async def story(house: House) -> None:
        view, refused = await claimed_but_refused(house)
        transactions: Any = house.service.pump._executor._acts._hands.present(A).access.transactions

        async def simulate(*_: object) -> None:
            raise error

        transactions.simulate = simulate
        await house.clock.sleep(3)
        house.chains[A].tokens.refused.discard(refused)
        await house.phase(view.id, Phase.COMPLETED, deadline_s=20)
        assert len(house.made(A, Claimed, view.hashlock)) == 1

    told(story)


def test_tries_without_a_look_grow_rare() -> None:
    assert [tries for tries in range(1_100) if not is_looked_at(tries)] == [0, 1, 4, 16, 64, 256, 1024]
