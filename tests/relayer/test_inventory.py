"""Promised, kept for exits, and free: the formula by itself, and a relayer that lives by it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from core.model.errors import ConflictError, NotFoundError, RejectedError, TooManyError
from core.model.facts import Locked
from core.model.transactions import FeeMarket
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, LockId, Preimage, Seconds, SwapId
from core.runtime import journal
from core.runtime.clock import SeededSecrets, run_virtually
from htlc.model import Leg, Phase
from htlc.timelocks import SwapPolicy
from relayer import inventory
from relayer.inventory import Promise
from relayer.policy import OpeningPolicy, RelayerPolicy
from relayer.provider.desk import OpenSwap, SwapView
from relayer.provider.quoting import Quote, QuoteRequest
from relayer.pump import promises, tables
from relayer.switches import PausedError
from tests.indexer.truth import all_swaps
from tests.relayer.house import COIN, COIN_A, COIN_B, OTHER, START, A, B, House

FEES = FeeMarket(1, 1)
EXIT = 6 * 100_000
"""Twice the first bid (twice the base fee, and the tip) for a memory chain's gas."""
MINUTE = Seconds(60)
PATIENT = SwapPolicy(lock_s=MINUTE, claim_s=MINUTE, initiator_outage_s=MINUTE, participant_outage_s=MINUTE)


def promise(name: str = "new", amount: int = 100, **changes: Any) -> Promise:
    made = Promise(
        swap_id=SwapId(name),
        asset=COIN_B,
        amount=BaseUnits(amount),
        timelock_s=1_000,
        counterparties=frozenset({AccountId(f"{A}:{name}")}),
        funded=False,
        chains=frozenset({A, B}),
    )
    return replace(made, **changes)


# --- the formula ---------------------------------------------------------------------------------------------------


def test_a_promise_reserves_its_amount_until_it_is_funded() -> None:
    costs = {A: {COIN_A: 7}, B: {COIN_B: 5}}
    assert inventory.reserved([promise()], costs) == {COIN_A: 7, COIN_B: 110}
    assert inventory.reserved([promise(funded=True)], costs) == {COIN_A: 7, COIN_B: 5}
    withdrawal = promise(leaves=True, chains=frozenset())
    assert inventory.reserved([withdrawal], costs) == {COIN_B: 100}, "its own fee is part of it"
    assert inventory.reserved([promise(), promise("x")], {A: {}, B: {}}) == {COIN_B: 200}


OLD, NEW = ({chain: AccountId(f"{chain}:{name}") for chain in (A, B)} for name in ("old", "new"))
PAYERS = st.tuples(*(st.sampled_from((OLD[chain], NEW[chain])) for chain in (A, B))).map(frozenset)
PROMISES = st.lists(
    st.builds(
        lambda asset, amount, funded, payers: promise(asset=asset, amount=amount, funded=funded, payers=payers),
        st.sampled_from((COIN_A, COIN_B)),
        st.integers(0, 1_000),
        st.booleans(),
        PAYERS,
    ),
    max_size=8,
)


@given(PROMISES, st.integers(0, 9), st.integers(0, 9))
def test_each_promise_is_kept_in_one_purse_of_each_chain(made: list[Promise], cost_a: int, cost_b: int) -> None:
    """All accounts together keep what the promises reserve: nothing twice, and nothing nowhere."""
    costs = {A: {COIN_A: cost_a}, B: {COIN_B: cost_b}}
    apart = Counter[AssetId]()
    for chain in (A, B):
        for account in (OLD[chain], NEW[chain]):
            here = inventory.reserved(inventory.of_purses(made, [account]), costs)
            assert not any(amount for asset, amount in here.items() if not asset.startswith(chain))
            apart.update(here)
    assert +apart == +inventory.reserved(made, costs)
    together = inventory.of_purses(made, [*OLD.values(), *NEW.values()])
    assert together == made


def test_promise_without_payers_is_kept_in_every_purse() -> None:
    assert inventory.of_purses([promise()], [OLD[A]]) == [promise()]
    half = promise(payers=frozenset({OLD[A]}))  # its account on B is not known
    [seen] = inventory.of_purses([half], [NEW[B]])
    assert (seen.amount, seen.chains) == (100, frozenset({B}))
    [seen] = inventory.of_purses([replace(half, payers=frozenset({OLD[B]}))], [NEW[A], NEW[B]])
    assert (seen.amount, seen.chains) == (0, frozenset({A}))


def test_gas_of_the_other_chain_counts() -> None:
    """The inventory is there; the gas to claim on the initiator's chain is not."""
    costs = {A: {COIN_A: 7}, B: {}}
    inventory.check_free(promise(), [], costs, {COIN_A: 7, COIN_B: 100})
    with pytest.raises(ConflictError, match="gas is short: 7 of memory:a"):
        inventory.check_free(promise(), [], costs, {COIN_A: 6, COIN_B: 100})
    with pytest.raises(ConflictError, match="gas is short: 14 of memory:a"):
        inventory.check_free(promise(), [promise("x", funded=True)], costs, {COIN_A: 13, COIN_B: 100})
    with pytest.raises(ConflictError, match="inventory of memory:b/slip44:2 is short: 99 are free"):
        inventory.check_free(promise(), [], costs, {COIN_A: 7, COIN_B: 99})


def test_a_hold_ends_and_a_lock_renews_it() -> None:
    opened = promise(locked=False, hold_until_ns=10)
    assert [opened.is_firm(now_ns) for now_ns in (0, 10, 11)] == [True, True, False]
    assert replace(opened, locked=True).is_firm(11)
    assert replace(opened, funded=True).is_firm(11)


def test_standing_counts_firm_promises_by_account_and_window() -> None:
    ann, bob = AccountId("ann"), AccountId("bob")
    open_swaps = [
        promise("a", amount=1, timelock_s=150, counterparties=frozenset({ann}), funded=True),
        promise("b", amount=2, timelock_s=199, counterparties=frozenset({ann, bob}), locked=False, account=ann),
        promise("c", amount=4, timelock_s=200, counterparties=frozenset({bob})),
        promise("d", amount=8, timelock_s=0, counterparties=frozenset(), leaves=True),
    ]
    [(asset, found)] = inventory.standing(open_swaps, Seconds(100)).items()
    assert asset == open_swaps[0].asset
    assert (found.total, found.locked, found.swaps) == (7, 1, 3)
    assert found.counterparties == ((bob, 4), (ann, 3)), "a name without a lock of its own is not exposed to anything"
    assert found.windows == ((200, 4), (100, 3))


def test_exposure_is_by_asset_by_counterparty_and_by_window() -> None:
    us, them, stranger = AccountId(f"{A}:us"), AccountId(f"{A}:them"), AccountId(f"{A}:stranger")
    both = frozenset({us, them})
    new = promise(timelock_s=250, counterparties=both, account=us, caller="c")
    waiting = promise(locked=False, counterparties=frozenset({them}), account=stranger, caller="d", timelock_s=300)
    others = [
        promise("asset", 1_000, asset=COIN_A, counterparties=both, timelock_s=250),
        promise("window", 1, counterparties=frozenset({stranger}), locked=False, timelock_s=299),
        promise("locked", 2, counterparties=frozenset({them}), timelock_s=199),
        replace(waiting, amount=BaseUnits(4), account=us),
        replace(waiting, amount=BaseUnits(8), caller="c"),
        replace(waiting, amount=BaseUnits(16)),
        promise("disjoint", 32, counterparties=frozenset({stranger}), account=us, caller="c", timelock_s=200),
    ]
    assert inventory.exposure(others, new, Seconds(100)) == (63, 2 + 4 + 8, 1 + 32)


def test_what_an_operator_leaves_is_firm_or_locked() -> None:
    """And gas for one swap more on each chain that is named, which may lock there: two exits' worth."""
    costs = {A: {COIN_A: 7}, B: {COIN_B: 5}}
    unproven = promise("unproven", 100, proven=False)
    held = promise("held", 10, locked=False)
    over = promise("over", 1, locked=False, hold_until_ns=4)
    assert not unproven.is_firm(5)
    assert inventory.kept([unproven, held, over], [A], costs, 5) == {COIN_A: 4 * 7, COIN_B: 100 + 10 + 4 * 5}


def test_a_withdrawal_taken_in_meanwhile_counts_once_more() -> None:
    out, swap = promise("out", leaves=True), promise("swap")
    assert inventory.as_seen([], [out, swap]) == [out]
    assert inventory.as_seen([out, swap], [out, swap]) == [out, swap]
    assert inventory.as_seen([replace(out, leaves=False)], [out]) == [out, replace(out, leaves=False)]


def test_a_withdrawal_comes_before_every_swap() -> None:
    first = promise("a", reserved_ns=1)
    assert promise("z", reserved_ns=9, leaves=True).comes_before(first)
    assert not promise("z", reserved_ns=9).comes_before(first)


def test_amount_locked_meanwhile_counts_twice_rather_than_never() -> None:
    """The balance was read before our lock was seen: it still holds what the lock took."""
    now = [promise("x", funded=True), promise("y", funded=True), promise("z", locked=True)]
    seen = inventory.as_seen(now, [promise("x"), promise("y", funded=True), promise("z", locked=False)])
    assert [one.funded for one in seen] == [False, True, False]
    assert [one.locked for one in seen] == [True, True, False]


@given(
    held=st.integers(0, 10**6),
    amounts=st.lists(st.integers(1, 10**5), min_size=1, max_size=12),
    cost=st.integers(0, 1_000),
)
def test_whatever_is_accepted_can_be_paid_together(held: int, amounts: list[int], cost: int) -> None:
    """In any order of openings: all locks, what they cost, and an exit of each fit into what is held."""
    costs = {A: {}, B: {COIN_B: cost}}
    taken: list[Promise] = []
    for number, amount in enumerate(amounts):
        new = promise(str(number), amount, reserved_ns=number)
        try:
            inventory.check_free(new, taken, costs, {COIN_B: held})
        except ConflictError:
            continue
        taken.append(new)
    assert sum(one.amount + 2 * cost for one in taken) <= max(0, held)
    for one in taken:
        before = [other for other in taken if other is not one and other.comes_before(one)]
        inventory.check_free(one, before, costs, {COIN_B: held})


@given(
    held=st.integers(100, 10**6),
    amounts=st.lists(st.integers(1, 10**5), min_size=2, max_size=20),
    percent=st.integers(1, 99),
)
def test_a_caller_leaves_others_a_share(held: int, amounts: list[int], percent: int) -> None:
    """Whatever a caller opens beyond a first swap, without a lock: together it is within the share of what was free."""
    costs: inventory.ExitCosts = {A: {}, B: {}}
    theirs: list[Promise] = []
    for number, amount in enumerate(amounts):
        new = promise(str(number), amount, locked=False, caller="x", hold_until_ns=9)
        try:
            inventory.check_share(new, theirs, theirs, costs, held, most=5, percent=percent, who="x")
        except TooManyError:
            continue
        theirs.append(new)
    assert len(theirs) <= 5
    if len(theirs) > 1:
        assert sum(one.amount for one in theirs) <= held * percent // 100


def test_an_explicit_reserve_of_nothing_is_refused() -> None:
    with pytest.raises(RejectedError, match="exits cost gas"):
        RelayerPolicy(swap=PATIENT, gas_per_exit={COIN_A: BaseUnits(0)})


# --- a relayer that lives by it ------------------------------------------------------------------------------------


class Purses(House):
    """Everybody holds on each chain what `held` says, or a full purse."""

    def __init__(self, held: Mapping[ChainId, int] | None = None, market: FeeMarket | None = None) -> None:
        self._held = held or {}
        super().__init__(market=market)

    def _purse(self, chain: ChainId) -> dict[AssetId, int]:
        return {COIN[chain]: self._held.get(chain, START)}


def told(
    story: Callable[[Purses], Awaitable[None]],
    held: Mapping[ChainId, int] | None = None,
    market: FeeMarket | None = None,
) -> None:
    async def whole() -> None:
        house = Purses(held, market)
        house.policy = replace(house.policy, swap=PATIENT)
        try:
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


@pytest.mark.parametrize("poor", [A, B])
def test_a_relayer_without_gas_quotes_nothing_and_says_so(poor: ChainId) -> None:
    """Nothing is configured: what an exit may cost is computed. Gas is needed on both chains, in either direction."""

    async def story(house: House) -> None:
        service = await house.start()
        for first in (A, B):
            with pytest.raises(ConflictError, match=r"gas is short|inventory of .* is short"):
                await service.desk.quote(QuoteRequest(COIN[first], COIN[OTHER[first]], BaseUnits(100)))
        await service.guard.look()
        shortages = await service.desk.gas_shortages()
        assert list(shortages) == [poor]
        assert f"{EXIT} of {COIN[poor]} are kept" in shortages[poor]
        assert await service.concerns() == [f"{poor}: {shortages[poor]}"]
        house.chains[poor].fund(house.relayer[poor].account, COIN[poor], 1)
        await house.clock.sleep(6)
        assert await service.desk.gas_shortages() == {}
        ask = QuoteRequest(COIN[poor], COIN[OTHER[poor]], BaseUnits(100))
        with pytest.raises(PausedError, match=f"{poor} is paused"):  # it would be short again at once
            await service.desk.quote(ask)
        house.chains[poor].fund(house.relayer[poor].account, COIN[poor], EXIT)
        await house.clock.sleep(6)
        await service.guard.look()
        await service.desk.quote(ask)

    told(story, {poor: EXIT - 1}, FEES)


@pytest.mark.parametrize(("quarters", "agreed"), [(4, False), (6, False), (7, False), (8, True), (12, True)])
def test_swap_whose_own_lock_has_no_gas_is_not_agreed(quarters: int, agreed: bool) -> None:
    """Next to the amount there are so many quarters of an exit's reserve: the exit takes four of them, and our lock as
    many. With less the swap would be agreed on and never funded; with that much both legs are claimed."""

    async def story(house: Purses) -> None:
        await house.start()
        if not agreed:
            with pytest.raises(ConflictError, match=r"gas is short|inventory of .* is short"):
                await house.open(A)
            return
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        await house.claim(await house.locked(view.id, Leg.PARTICIPANT))
        await house.phase(view.id, Phase.COMPLETED)

    told(story, {B: 2_000 + quarters * EXIT // 4}, FEES)


def test_a_configured_reserve_counts_and_a_low_one_is_noticed() -> None:
    async def story(house: House) -> None:
        house.policy = replace(house.policy, gas_per_exit={COIN_A: BaseUnits(EXIT - 1), COIN_B: BaseUnits(EXIT)})
        service = await house.start()
        assert await service.pump.checks.exit_costs([A, B]) == {A: {COIN_A: EXIT - 1}, B: {COIN_B: EXIT}}
        assert await service.pump.checks.understated() == {COIN_A: EXIT}

    told(story, market=FEES)


async def request_of(house: House, quote: Quote, number: int, proven: bool = True) -> OpenSwap:
    """An opening on A by the initiator of that number, who has funds."""
    preimage = Preimage.generate(SeededSecrets(number).token_bytes)
    mine = {chain: house.chains[chain].signer(f"initiator {number}", {COIN[chain]: START}) for chain in (A, B)}
    request = OpenSwap(quote, preimage.hashlock(), mine[A].account, mine[B].account)
    return await house.proven(request, mine[A]) if proven else request


async def open_as(house: House, number: int, quote: Quote, caller: str, proven: bool = True) -> SwapView:
    """By the initiator of that number, once a block holds their funds."""
    request = await request_of(house, quote, number, proven)
    await house.two_blocks()
    return await house.service.desk.open_swap(request, caller)


async def open_many(
    house: House, amounts: list[int], callers: list[str | None], proven: bool = True
) -> list[SwapView | BaseException]:
    """All quoted first, then opened at once, each for an account of its own."""
    desk = house.service.desk
    quotes = [
        await desk.quote(QuoteRequest(COIN_A, COIN_B, participant_amount=BaseUnits(amount))) for amount in amounts
    ]
    requests = [await request_of(house, quote, number, proven) for number, quote in enumerate(quotes)]
    await house.two_blocks()
    opened = [desk.open_swap(request, caller) for request, caller in zip(requests, callers, strict=True)]
    return list(await asyncio.gather(*opened, return_exceptions=True))


def test_openings_at_once_promise_nothing_twice() -> None:
    """Each fits by itself: every balance is read before any is stored."""

    async def story(house: House) -> None:
        await house.start()
        opened = await open_many(house, [START * 4 // 10] * 4, [f"caller {number}" for number in range(4)])
        assert sum(isinstance(one, SwapView) for one in opened) == 2
        assert {type(one) for one in opened if not isinstance(one, SwapView)} == {ConflictError}
        promised = await house.database.read(promises.of_open_swaps)
        assert sum(one.amount for one in promised) <= START

    told(story)


def test_one_caller_opens_no_more_than_a_share() -> None:
    async def story(house: House) -> None:
        await house.start()
        desk = house.service.desk
        opened = await open_many(house, [START // 4] * 4, ["mallory"] * 4)
        kept = [one for one in opened if isinstance(one, SwapView)]
        assert len(kept) == 3
        refused = next(one for one in opened if isinstance(one, TooManyError))
        assert 0 < refused.fields["retry_after_s"] <= 180
        quote = await desk.quote(QuoteRequest(COIN_A, COIN_B, participant_amount=BaseUnits(START // 4)))
        honest = await open_as(house, 99, quote, "alice")
        assert honest.phase is Phase.AGREED
        assert honest.reserved

    told(story)


def test_one_caller_opens_no_more_than_so_many() -> None:
    async def story(house: House) -> None:
        house.policy = replace(house.policy, opening=OpeningPolicy(max_per_account=2, max_per_caller=5))
        await house.start()
        opened = await open_many(house, [100] * 7, ["mallory"] * 7)
        assert sum(isinstance(one, SwapView) for one in opened) == 5
        assert sum(isinstance(one, TooManyError) for one in opened) == 2

    told(story)


def test_a_hold_without_a_lock_ends_and_a_late_lock_waits() -> None:
    """An opening that nobody locked on is free for others once its hold is over, and theirs from then on."""

    async def story(house: House) -> None:
        house.policy = replace(house.policy, opening=OpeningPolicy(hold_s=Seconds(10)))
        await house.start()
        desk = house.service.desk
        first = await house.open(A, START // 4)
        big = QuoteRequest(COIN_A, COIN_B, participant_amount=BaseUnits(START // 2 + 1000))
        small = QuoteRequest(COIN_A, COIN_B, participant_amount=BaseUnits(START // 2))
        assert first.participant.terms.amount == START // 2
        with pytest.raises(RejectedError, match="pair takes"):
            await desk.quote(big)
        second = await open_as(house, 1, await desk.quote(small), "alice")
        with pytest.raises(ConflictError, match="inventory"):
            await desk.quote(small)
        await house.clock.sleep(11)
        third = await open_as(house, 2, await desk.quote(small), "bob")
        await lock_as(house, 1, second)
        await lock_as(house, 2, third)
        for view in (second, third):
            await house.locked(view.id, Leg.PARTICIPANT)
        await house.lock(first.initiator.terms)
        await house.phase(first.id, Phase.FUNDING)
        await house.phase(first.id, Phase.ABANDONED, deadline_s=400)
        assert len(house.made(B, Locked, first.hashlock)) == 0

    told(story)


async def lock_as(house: House, number: int, view: SwapView) -> None:
    """By the initiator of that number."""
    mine, house.initiator = (
        house.initiator,
        {chain: house.chains[chain].signer(f"initiator {number}", {}) for chain in (A, B)},
    )
    try:
        await house.lock(view.initiator.terms)
    finally:
        house.initiator = mine


def test_others_who_name_an_account_do_not_use_up_its_limit() -> None:
    """The limit to one counterparty counts locks, which only the account itself can make."""
    from relayer.policy import ExposureLimit

    async def story(house: House) -> None:
        limit = ExposureLimit(BaseUnits(START), BaseUnits(1_000), BaseUnits(START))
        house.policy = replace(house.policy, exposure={COIN_B: limit})
        await house.start()
        desk, victim = house.service.desk, house.initiator
        for number in range(3):
            quote = await desk.quote(QuoteRequest(COIN_A, COIN_B, BaseUnits(500)))
            hashlock = Preimage.generate(SeededSecrets(number).token_bytes).hashlock()
            await desk.open_swap(OpenSwap(quote, hashlock, victim[A].account, victim[B].account), f"mallory {number}")
        view = await house.open(A, 500)
        await house.lock(view.initiator.terms)
        await house.locked(view.id, Leg.PARTICIPANT)
        with pytest.raises(ConflictError, match="to one counterparty"):
            await house.open(A, 500)

    told(story)


def test_a_place_used_long_ago_is_taken_again() -> None:
    """After 65,536 uses a lane comes to a lock id that this relayer used before."""

    async def story(house: House) -> None:
        await house.start()
        await house.database.write(
            lambda c: c.execute(
                sa.insert(tables.relayer_locks).values(
                    swap_id="done long ago", chain=B, lock_id=f"{house.relayer[B].account.rsplit(':', 1)[1]}/0"
                )
            )
        )
        view = await house.open(A)
        await house.clock.sleep(1)
        other = await house.open(A)
        places = [await house.service.pump.checks.place(one.id, one.participant.terms) for one in (view, other)]
        assert places == [LockId(f"{house.relayer[B].account.rsplit(':', 1)[1]}/{number}") for number in range(2)]
        assert await house.service.pump.checks.place(view.id, view.participant.terms) == places[0]

    told(story)


def test_swaps_that_came_to_nothing_are_forgotten() -> None:
    """Anybody has swaps agreed; they must not fill the disk. Those with a lock stay, however they ended."""

    async def story(house: House) -> None:
        service = await house.start()
        nothing = await house.open(A)
        await house.clock.sleep(1)
        locked = await house.open(A)
        await house.lock(locked.initiator.terms)
        await house.locked(locked.id, Leg.PARTICIPANT)
        await house.clock.sleep(70)
        await service.pump.expire_quotes()
        await house.phase(nothing.id, Phase.ABANDONED)
        await house.phase(locked.id, Phase.REFUNDED, deadline_s=600)
        now_ns = house.clock.now_ns()
        await service.housekeeping.forget_nothing(now_ns - 3_600 * 10**9)
        assert await house.look(nothing.id)
        await service.housekeeping.forget_nothing(now_ns)
        with pytest.raises(NotFoundError):
            await house.look(nothing.id)
        assert (await house.look(locked.id)).phase is Phase.REFUNDED
        assert await house.database.read(lambda c: list(journal.replay(c, nothing.id))) == []
        assert {one.swap_id for one in await house.database.read(all_swaps)} == {locked.id}

    told(story)
