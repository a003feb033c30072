"""Withdrawals by a whole relayer over two memory chains: what is free goes out once, what swaps keep never does."""

import inspect
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import ConflictError, RejectedError
from core.model.transactions import FeeMarket
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, SwapId
from core.runtime.clock import NS_PER_S, SeededSecrets, run_virtually
from htlc.model import Leg, Phase
from relayer import inventory
from relayer.inventory import Promise
from relayer.provider.desk import SwapView
from relayer.pump import promises
from relayer.transactions import records
from relayer.transactions.records import TransactionStatus
from relayer.treasury import orders
from relayer.treasury.orders import Seal, Withdrawal, WithdrawalStatus
from relayer.treasury.teller import LOW_LOOK_S, TreasuryPolicy, kept_by_swaps
from tests.relayer.house import COIN, START, A, B, House

SEAL = Seal(b"\x01" * 32)
COLD = {chain: AccountId(f"{chain}:{'c0' * 20}") for chain in (A, B)}
MARKETS: Mapping[str, FeeMarket | None] = {"free": None, "fees": FeeMarket(10, 1)}


NUMBERS = count()


def without_fees(story: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """As `virtually`, on chains without fees: the initiator of these stories pays none."""
    return virtually(story, {"free": None})


def virtually(
    story: Callable[..., Awaitable[None]], markets: Mapping[str, FeeMarket | None] = MARKETS
) -> Callable[..., None]:
    """Play a story with a running relayer in virtual time, on chains without fees and with them."""

    def play(market: FeeMarket | None, **given: Any) -> None:
        async def whole() -> None:
            house = House(market=market)
            house.treasury = TreasuryPolicy(SEAL)
            try:
                await house.start()
                await story(house, **given)
            finally:
                await house.stop()

        run_virtually(whole())

    signature = inspect.signature(story)
    others = [one for name, one in signature.parameters.items() if name != "house"]
    market = inspect.Parameter("market", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    play.__signature__ = signature.replace(parameters=[market, *others])  # type: ignore[attr-defined]
    play.__name__, play.__doc__ = story.__name__, story.__doc__
    for_each: Callable[[Callable[..., None]], Callable[..., None]] = pytest.mark.parametrize(
        "market", markets.values(), ids=markets
    )
    return for_each(play)


async def ask(house: House, chain: ChainId, amount: int | None, changed: Mapping[str, Any] | None = None) -> Withdrawal:
    """Write an order of the operator's, with `changed` put in after it was sealed."""
    payer, secrets = house.relayer[chain].account, SeededSecrets(next(NUMBERS))
    made = orders.new_order(secrets, payer, COLD[chain], COIN[chain], amount, house.clock.now_ns(), 60)
    seal = SEAL.of(made)
    altered = replace(made, **(changed or {}))
    await house.database.write(lambda c: orders.write(c, altered, seal))
    return made


async def stands(house: House, order: Withdrawal) -> Withdrawal:
    [found] = await house.database.read(lambda c: orders.find(c, [order.id]))
    return found


async def end(house: House, order: Withdrawal) -> Withdrawal:
    async def ended() -> bool:
        return (await stands(house, order)).status.ended

    await house.until(ended, what="the withdrawal")
    return await stands(house, order)


@virtually
async def test_what_is_free_is_paid_once(house: House) -> None:
    order = await ask(house, A, 1_000)
    assert (await end(house, order)).status is WithdrawalStatus.PAID
    assert await house.balance(A, COLD[A]) == 1_000
    await house.clock.sleep(20)
    assert await house.balance(A, COLD[A]) == 1_000


@virtually
async def test_all_that_is_free_leaves_what_is_kept(house: House) -> None:
    done = await end(house, await ask(house, B, None))
    left = await house.balance(B, house.relayer[B].account)
    costs = await house.service.pump.checks.exit_costs([B])
    one_exit = costs[B].get(COIN[B], 0)
    assert (done.status, done.taken) == (WithdrawalStatus.PAID, await house.balance(B, COLD[B]))
    assert 2 * one_exit <= left <= 4 * one_exit  # of one swap more: its lock and an exit
    assert (await end(house, await ask(house, B, START))).status is WithdrawalStatus.REFUSED


@without_fees
async def test_swap_goes_on_whatever_is_withdrawn(house: House) -> None:
    """The orders come before the relayer's lock is made: they get the rest, and the swap completes."""
    view = await house.open(A, amount=1_000)
    too_much, rest = await ask(house, B, START - 1_999), await ask(house, B, None)
    await house.lock(view.initiator.terms)
    await house.claim(await house.locked(view.id, Leg.PARTICIPANT))
    await house.phase(view.id, Phase.COMPLETED)
    assert (await end(house, rest)).status is WithdrawalStatus.PAID
    refused = await end(house, too_much)
    assert refused.status is WithdrawalStatus.REFUSED
    assert "are free" in (refused.reason or "")
    assert await house.balance(B, COLD[B]) <= START - 2_000
    assert (await house.gains())["initiator"][1] >= 2_000 - START // 1_000


@virtually
async def test_withdrawal_on_its_way_is_not_inventory(house: House) -> None:
    """From its signature to its block it reserves as a swap does, and then the balance is less by it."""
    pipeline, most = house.service.pipelines[B], START * 6 // 10
    transfers = house.chains[B].access().transfers
    assert transfers is not None
    await house.clock.sleep(1)
    payment = await transfers.transfer(pipeline.account, COLD[B], COIN[B], BaseUnits(most))
    before = await house.database.read(promises.of_open_swaps)
    await pipeline.send(f"{records.WITHDRAWAL_PREFIX}00", payment)
    [leaving] = await house.database.read(promises.of_open_swaps)
    assert before == []
    assert leaving.leaves
    assert most <= leaving.amount <= most + START // 100
    costs, now_ns = await house.service.pump.checks.exit_costs([B]), house.clock.now_ns()
    kept = await house.database.read(
        lambda c: kept_by_swaps(c, pipeline.account, costs, now_ns, retiring=False)  # the purse counts the withdrawal
    )
    assert kept.get(COIN[B], 0) == 2 * costs[B].get(COIN[B], 0)  # of one swap more
    with pytest.raises(ConflictError, match="inventory of .* is short"):
        await house.open(A, amount=START // 4)
    await pipeline.until(f"{records.WITHDRAWAL_PREFIX}00", TransactionStatus.INCLUDED)
    assert await house.database.read(promises.of_open_swaps) == []
    seen = inventory.as_seen([], [leaving])
    assert seen == [leaving], "a balance that was read before its block still has it"


@pytest.mark.parametrize("seed", range(6))
@without_fees
async def test_orders_at_any_time_cost_no_swap(house: House, seed: int) -> None:
    """Swaps one after the other, orders of any size at any time: every swap completes, and no coin is lost."""
    rng = random.Random(seed)
    placed: list[Withdrawal] = []

    async def maybe() -> None:
        for chain in (A, B):
            if rng.random() < 0.5:
                placed.append(await ask(house, chain, rng.choice([None, rng.randrange(1, START), 1])))
        await house.clock.sleep(rng.choice([0.0, 0.5]))

    for _ in range(3):
        first = rng.choice([A, B])
        try:
            view = await house.open(first, amount=rng.randrange(10, 2_000))
        except ConflictError:
            break  # the inventory is out
        await maybe()
        await house.lock(view.initiator.terms)
        await maybe()
        await house.claim(await house.locked(view.id, Leg.PARTICIPANT))
        await maybe()
        await house.phase(view.id, Phase.COMPLETED)
    for order in placed:
        done = await end(house, order)
        assert done.status in (WithdrawalStatus.PAID, WithdrawalStatus.REFUSED)
    for chain in (A, B):
        paid = [one for one in placed if one.chain == chain]
        moved = [one.taken or one.amount or 0 for one in [await stands(house, one) for one in paid] if is_paid(one)]
        parties = [house.relayer[chain].account, house.initiator[chain].account, COLD[chain]]
        held = [await house.balance(chain, party) for party in parties]
        assert sum(held) == 2 * START
        assert held[-1] == sum(moved)


def is_paid(order: Withdrawal) -> bool:
    return order.status is WithdrawalStatus.PAID


@without_fees
async def test_swap_agreed_meanwhile_keeps_its_part(house: House) -> None:
    """Between the look at what is free and the signature a swap is agreed: the order waits, and is refused."""
    teller: Any = house.service.teller
    look, agreed = teller._payment, list[SwapView]()

    async def slow(*given: Any) -> Any:
        made = await look(*given)
        if not agreed:
            agreed.append(await house.open(A, amount=1_000))
        return made

    async def opened() -> bool:
        return bool(agreed)

    teller._payment = slow
    order = await ask(house, B, START - 500)
    await house.until(opened)
    await house.lock(agreed[0].initiator.terms)
    await house.claim(await house.locked(agreed[0].id, Leg.PARTICIPANT))
    await house.phase(agreed[0].id, Phase.COMPLETED)
    assert (await end(house, order)).status is WithdrawalStatus.REFUSED
    assert await house.balance(B, COLD[B]) == 0


@virtually
async def test_low_balance_is_shown_until_it_is_paid(house: House) -> None:
    await house.kill()
    house.treasury = TreasuryPolicy(SEAL, low={COIN[A]: START - 500, COIN[B]: START - 500})
    await house.start()
    assert (await end(house, await ask(house, A, 1_000))).status is WithdrawalStatus.PAID
    await house.clock.sleep(2 * LOW_LOOK_S)
    shown = house.metrics.exposition()[0].decode()
    assert f'causeway_relayer_balance_low{{asset="{COIN[A]}"}} 1.0' in shown
    assert f'causeway_relayer_balance_low{{asset="{COIN[B]}"}} 0.0' in shown


@virtually
async def test_order_that_is_reset_pays_nothing_more(house: House) -> None:
    """Whoever writes to the database may ask again for what was paid: its transaction is there already."""
    order = await ask(house, A, 1_000)
    paid = await end(house, order)
    await house.database.write(lambda c: orders.change(c, paid, WithdrawalStatus.ASKED))
    assert (await end(house, order)).status is WithdrawalStatus.PAID
    assert await house.balance(A, COLD[A]) == 1_000


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"amount": BaseUnits(2_000)}, "its seal is not of this relayer's keystore"),
        ({"receiver": AccountId(f"{A}:{'ee' * 20}")}, "its seal is not of this relayer's keystore"),
        ({"until_ns": 2 * 10**18}, "its seal is not of this relayer's keystore"),
    ],
)
@virtually
async def test_order_that_was_altered_pays_nobody(house: House, changed: dict[str, object], said: str) -> None:
    done = await end(house, await ask(house, A, 1_000, changed))
    assert done.status is WithdrawalStatus.REFUSED
    assert said in (done.reason or "")
    assert await house.balance(A, house.relayer[A].account) == START


@virtually
async def test_receiver_off_the_list_is_not_paid(house: House) -> None:
    await house.kill()
    house.treasury = TreasuryPolicy(SEAL, destinations=[COLD[B]])
    await house.start()
    done = await end(house, await ask(house, A, 1_000))
    assert (done.status, await house.balance(A, COLD[A])) == (WithdrawalStatus.REFUSED, 0)
    assert "not among the destinations" in (done.reason or "")


@virtually
async def test_order_lapses_while_the_relayer_is_away(house: House) -> None:
    await house.kill()
    order = await ask(house, A, 1_000)
    await house.clock.sleep(61)
    await house.start()
    assert (await end(house, order)).status is WithdrawalStatus.LAPSED
    assert await house.balance(A, COLD[A]) == 0


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("number", range(1, 12))
@virtually
async def test_death_at_any_write_pays_once(house: House, number: int, after_commit: bool) -> None:
    await house.kill()
    order = await ask(house, A, 1_000)
    await house.start(fatal=number, after_commit=after_commit)

    async def over() -> bool:
        return house.mortal.dead or (await stands(house, order)).status.ended

    await house.until(over, what="the end")
    if house.mortal.dead:
        await house.died()
        await house.start()
    assert (await end(house, order)).status is WithdrawalStatus.PAID
    await house.clock.sleep(5)
    assert await house.balance(A, COLD[A]) == 1_000
    found = await house.database.read(lambda c: records.of_effect_prefix(c, records.WITHDRAWAL_PREFIX))
    assert len(found) == 1


@virtually
async def test_so_many_orders_may_wait_and_no_more(house: House) -> None:
    await house.kill()
    for _ in range(orders.MAX_WAITING):
        await house.clock.sleep(0.1)
        await ask(house, A, 1)
    with pytest.raises(ConflictError, match="on their way already"):
        await ask(house, A, 2)


@pytest.mark.parametrize(
    ("receiver", "amount", "within_s", "said"),
    [
        (COLD[B], 1, 60, "is not an account there"),
        (COLD[A], 0, 60, "is not an amount"),
        (COLD[A], 2**256, 60, "is not an amount"),
        (COLD[A], 1, 0, "is not a number of seconds"),
        (AccountId(f"{A}:{'0a' * 20}"), 1, 60, "the relayer's own account"),
    ],
)
def test_order_that_nobody_could_carry_out_is_refused(
    receiver: AccountId, amount: int, within_s: int, said: str
) -> None:
    payer = AccountId(f"{A}:{'0a' * 20}")
    with pytest.raises(RejectedError, match=said):
        orders.new_order(SeededSecrets(1), payer, receiver, COIN[A], amount, NS_PER_S, within_s)


# --- the formula --------------------------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 10**6)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Promise], dict[ChainId, dict[AssetId, int]], dict[AssetId, int]]:
    made = [
        Promise(
            swap_id=SwapId(str(number)),
            asset=draw(st.sampled_from(sorted(COIN.values()))),
            amount=BaseUnits(draw(st.integers(1, 10**6))),
            timelock_s=0,
            counterparties=frozenset(),
            funded=draw(st.booleans()),
            chains=frozenset(draw(st.sets(st.sampled_from([A, B])))),
            locked=draw(st.booleans()),
            proven=draw(st.booleans()),
            verified=draw(st.booleans()),
            hold_until_ns=draw(st.sampled_from([None, 0, 10])),
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    costs = {chain: {COIN[chain]: draw(AMOUNTS)} for chain in (A, B)}
    return made, costs, {asset: draw(AMOUNTS) for asset in COIN.values()}


@given(situations())
def test_free_amount_leaves_every_swap_what_it_keeps(
    situation: tuple[list[Promise], dict[ChainId, dict[AssetId, int]], dict[AssetId, int]],
) -> None:
    promised, costs, held = situation
    kept = inventory.kept(promised, [A, B], costs, 5)
    firm = inventory.firm(promised, 5)
    covered = all(held[asset] >= kept[asset] for asset in held)
    left = {asset: amount - max(0, amount - kept[asset]) for asset, amount in held.items()}
    for asset, needed in inventory.reserved(firm, costs).items():
        assert left[asset] >= min(needed, held[asset]), "nothing is taken that a firm promise reserves"
    if covered:
        assert inventory.shortages([A, B], firm, costs, left) == {}
        for one in firm:
            others = [other for other in firm if other is not one]
            if not one.funded:
                inventory.check_free(one, others, costs, left)
