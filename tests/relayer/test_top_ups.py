"""Gas money that comes by itself, over two memory chains with fees: up to a target, within a day's most, paid once."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from core.model.errors import RejectedError
from core.model.transactions import FeeBid, FeeMarket
from core.model.types import AccountId, BaseUnits
from core.runtime.clock import run_virtually
from relayer.treasury import orders, top_ups
from relayer.treasury.orders import Withdrawal, WithdrawalStatus
from relayer.treasury.teller import TreasuryPolicy
from relayer.treasury.top_ups import LOOK_S, TopUp
from tests.relayer.house import COIN, START, A, House
from tests.relayer.test_treasury import COLD, SEAL

DAY_S, RETRY_S = 15 * 30, 4 * 30
LOW, TARGET, PER_DAY = START // 4, START // 2, START * 6 // 10


class Topped(House):
    """A house with an account that pays for gas on A."""

    def __init__(self, held: int = 10 * START, per_day: int = PER_DAY) -> None:
        super().__init__(market=FeeMarket(10, 1))
        self.funder = self.chains[A].signer("funding", {COIN[A]: held} if held else {})
        self.funders = [self.funder]
        top_up = TopUp(COIN[A], self.funder.account, LOW, TARGET, per_day)
        self.treasury = TreasuryPolicy(SEAL, low={COIN[A]: LOW}, top_ups=[top_up])

    @property
    def ours(self) -> AccountId:
        return self.relayer[A].account

    async def spend(self, leave: int) -> None:
        """Somebody with the relayer's key takes all away but this: the journal does not know of it."""
        access, bid = self.chains[A].access(), FeeBid(11, 1)
        assert access.transfers is not None
        held = await self.balance(A, self.ours)
        one = await access.transfers.transfer(self.ours, COLD[A], COIN[A], BaseUnits(1))
        fee = access.transactions.cost(one, bid)[COIN[A]] - 1
        payment = await access.transfers.transfer(self.ours, COLD[A], COIN[A], BaseUnits(held - fee - leave))
        view = await access.transactions.sequences(self.ours)
        request = access.transactions.assemble(payment, view.latest, bid, None)
        await access.transactions.submit(access.transactions.attach(request, await self.relayer[A].sign(request)))
        await self.two_blocks()
        assert await self.balance(A, self.ours) == leave

    async def orders(self) -> list[Withdrawal]:
        return await self.database.read(lambda c: orders.newest(c, 50))

    async def holds(self, amount: int, deadline_s: float = 120.0) -> None:
        async def there() -> bool:
            return await self.balance(A, self.ours) == amount

        await self.until(there, deadline_s, f"a balance of {amount}")


def topped(**given: int) -> Callable[[Callable[[Topped], Awaitable[None]]], Callable[[], None]]:
    """Play a story over a house that has been started, in virtual time, in which a day is short."""

    def decorated(story: Callable[[Topped], Awaitable[None]]) -> Callable[[], None]:
        def play() -> None:
            async def whole() -> None:
                house = Topped(**given)
                try:
                    await house.start()
                    await story(house)
                finally:
                    await house.stop()

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(top_ups, "DAY_S", DAY_S)
                patch.setattr(top_ups, "RETRY_S", RETRY_S)
                run_virtually(whole())

        play.__name__, play.__doc__ = story.__name__, story.__doc__
        return play

    return decorated


@topped()
async def test_low_balance_is_topped_up_once(house: Topped) -> None:
    await house.clock.sleep(3 * LOOK_S)
    assert await house.orders() == []
    await house.spend(LOW)
    await house.clock.sleep(3 * LOOK_S)
    assert await house.orders() == []  # at its threshold, not below it
    await house.spend(LOW // 2)
    await house.holds(TARGET)
    await house.clock.sleep(5 * LOOK_S)
    [order] = await house.orders()
    assert (order.status, order.account, order.receiver) == (WithdrawalStatus.PAID, house.funder.account, house.ours)
    assert (order.asset, order.amount) == (COIN[A], TARGET - LOW // 2)


@topped()
async def test_days_most_is_kept_across_restarts(house: Topped) -> None:
    await house.spend(1_000)
    await house.holds(TARGET)
    await house.kill()
    await house.start()
    await house.spend(1_000)
    rest = PER_DAY - (TARGET - 1_000)
    await house.holds(1_000 + rest)
    await house.clock.sleep(6 * LOOK_S)
    assert len(await house.orders()) == 2
    assert await house.balance(A, house.ours) == 1_000 + rest
    await house.clock.sleep(DAY_S)
    await house.holds(TARGET, deadline_s=3 * LOOK_S)


@topped(held=0)
async def test_empty_funder_orders_nothing(house: Topped) -> None:
    await house.spend(1_000)
    await house.clock.sleep(5 * LOOK_S)
    assert await house.orders() == []
    gauge = house.metrics.registry.get_sample_value("causeway_relayer_balance_low", {"asset": COIN[A]})
    assert gauge == 1.0
    house.chains[A].fund(house.funder.account, COIN[A], START // 100)

    async def paid() -> bool:
        return await house.balance(A, house.ours) > START // 200

    await house.until(paid, what="what the funder has")
    assert await house.balance(A, house.funder.account) >= 0


@topped()
async def test_top_up_that_comes_to_nothing_is_not_repeated_at_once(house: Topped) -> None:
    await house.kill()
    assert house.treasury is not None
    house.treasury = replace(house.treasury, seal=orders.Seal(b"\x02" * 32))
    await house.start()
    refusing = house.service.teller
    assert refusing is not None
    refusing._policy = TreasuryPolicy(SEAL)  # it takes no order under the other seal
    await house.spend(1_000)
    await house.clock.sleep(RETRY_S - 10)
    [order] = await house.orders()
    assert order.status is WithdrawalStatus.REFUSED
    await house.clock.sleep(10 + 2 * LOOK_S)
    assert len(await house.orders()) == 2


@topped()
async def test_funder_pays_nobody_else(house: Topped) -> None:
    for receiver in (COLD[A], house.initiator[A].account):
        order = Withdrawal(
            receiver[-8:], house.funder.account, receiver, COIN[A], BaseUnits(5), 1, house.clock.now_ns() + 10**12
        )
        await house.database.write(lambda c, o=order: orders.write(c, o, SEAL.of(o)))  # type: ignore[misc]
        await house.clock.sleep(10)
        [found] = await house.database.read(lambda c, o=order: orders.find(c, [o.id]))  # type: ignore[misc]
        assert found.status is WithdrawalStatus.REFUSED
        assert "pays for gas, and nobody but" in (found.reason or "")
        assert await house.balance(A, receiver) in (0, START)


@topped()
async def test_funder_is_used_elsewhere_too(house: Topped) -> None:
    """Its owner may pay with it by other programs: nothing stops for that."""
    access, bid = house.chains[A].access(), FeeBid(11, 1)
    assert access.transfers is not None
    payment = await access.transfers.transfer(house.funder.account, COLD[A], COIN[A], BaseUnits(5))
    request = access.transactions.assemble(payment, 0, bid, None)
    await access.transactions.submit(access.transactions.attach(request, await house.funder.sign(request)))
    await house.clock.sleep(20)
    assert await house.service.concerns() == []
    await house.open(A)


@pytest.mark.parametrize(("low", "target", "per_day"), [(0, 5, 5), (6, 5, 5), (1, 5, 0), (-1, 5, 5)])
def test_top_up_of_nothing_is_refused(low: int, target: int, per_day: int) -> None:
    with pytest.raises(RejectedError, match="a top-up of"):
        TopUp(COIN[A], COLD[A], low, target, per_day)


@topped()
async def test_account_of_swaps_cannot_pay_for_gas(house: Topped) -> None:
    await house.kill()
    house.funders = [house.relayer[A]]
    with pytest.raises(RejectedError, match="pays for gas, and swaps are settled with it"):
        await house.start()
    house.funders = []
