"""A lock that no block takes while its ground goes. Our own clock falls behind: blocks show the least that the time can
be, and gates are held against that. A finalized block is replaced."""

from functools import partial

import pytest

from core.model.facts import Locked
from core.model.transactions import FeeMarket
from core.model.types import SwapId
from core.runtime.clock import run_virtually
from gateway.simulation.clocks import WrongClock
from htlc import timelocks
from htlc.model import Phase
from htlc.timelocks import DEVNET_POLICY
from indexer.tables import deep_reorgs
from relayer.provider.desk import SwapView
from relayer.transactions import records
from relayer.transactions.records import SignedForm, TransactionRecord
from tests.relayer.house import TIMING, A, B, House
from tests.relayer.test_pressure import pay_and_lock

BEHIND_S = 20
RIGHT_S = 12.0
"""How long the clock is right: by then our lock has left."""


class Crowd:
    """Blocks of B, which hold nothing of ours while they are full."""

    def __init__(self, house: House) -> None:
        self.full = True
        mine = house.chains[B].mine
        house.chains[B].mine = partial(mine, accept=lambda _: not self.full)  # type: ignore[method-assign]


@pytest.mark.parametrize("behind_s", [0, BEHIND_S])
def test_a_lock_that_is_late_is_cancelled_and_not_outbid(behind_s: int) -> None:
    """No block takes our lock before its gate closes, by a clock that says so or by one that has fallen behind."""

    async def story() -> None:
        house = House(market=FeeMarket(100, 1))
        true = house.clock
        house.clock = WrongClock(true, RIGHT_S, -behind_s)
        crowd, view = Crowd(house), await signed(house)
        assert true.monotonic() < RIGHT_S, "it left by a clock that was right"
        closes_s = view.participant.terms.timelock.seconds - sum(timelocks.fund_terms(TIMING, DEVNET_POLICY).values())
        await true.sleep(closes_s - true.now() + TIMING.lead_s + TIMING.observation_s)
        assert all(form.cancels for form in await called_off(house, view)), "it was outbid as a lock"
        await is_never_made(house, crowd, view)

    run_virtually(story())


def test_a_lock_that_waits_is_cancelled_after_a_deep_reorg() -> None:
    """The other lock may be gone with that block. Nothing is bid for ours, though its gates are open."""

    async def story() -> None:
        house = House(market=FeeMarket(100, 1))
        crowd, view = Crowd(house), await signed(house)
        alarm = {"chain": A, "seq": 1, "fork_height": 1, "finalized_height": 2, "noticed_ns": house.clock.now_ns()}
        await house.database.write(lambda c: c.execute(deep_reorgs.insert(), alarm))
        since = await called_off(house, view, within_s=5)
        assert since
        assert all(form.cancels for form in since), "it was outbid as a lock"
        await is_never_made(house, crowd, view)

    run_virtually(story())


async def signed(house: House) -> SwapView:
    """A swap for which our lock has left, and waits."""
    await house.start()
    view = await house.open(A)
    await pay_and_lock(house, view)
    await house.until(partial(is_signed, house, view.id))
    return view


async def called_off(house: House, view: SwapView, within_s: float = 120) -> tuple[SignedForm, ...]:
    """Blocks become dear. Return what was signed since, once the lock is cancelled."""
    before = len((await lock_of(house, view.id)).attempts)
    house.chains[B].fees = FeeMarket(1_000, 10)
    await house.until(partial(is_cancelled, house, view.id), deadline_s=within_s)
    return (await lock_of(house, view.id)).attempts[before:]


async def is_never_made(house: House, crowd: Crowd, view: SwapView) -> None:
    """Blocks have room again, and none of them takes the lock."""
    crowd.full = False
    await house.phase(view.id, Phase.ABANDONED)
    assert not house.made(B, Locked, view.participant.terms.hashlock)
    await house.stop()


async def is_signed(house: House, swap_id: SwapId) -> bool:
    return bool(await locks_of(house, swap_id))


async def is_cancelled(house: House, swap_id: SwapId) -> bool:
    return (await lock_of(house, swap_id)).newest.cancels


async def lock_of(house: House, swap_id: SwapId) -> TransactionRecord:
    [found] = await locks_of(house, swap_id)
    return found


async def locks_of(house: House, swap_id: SwapId) -> list[TransactionRecord]:
    stored = await house.database.read(lambda c: records.of_effect_prefix(c, swap_id))
    return [one for one in stored if ":fund-" in one.effect_key]
