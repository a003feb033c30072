"""Openings with and without a proof of funds: what they reserve, in which order, and for how long."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.transactions import Transfer, unsigned
from core.model.consortium import quantity
from core.model.errors import RejectedError, TooManyError
from core.model.facts import Locked
from core.model.types import AccountId, BaseUnits, Preimage, Seconds, SwapId
from core.runtime.clock import SeededSecrets
from htlc.model import Leg, Phase
from relayer import inventory
from relayer.inventory import Promise
from relayer.policy import OpeningPolicy
from relayer.provider.desk import OpenSwap, SwapView
from relayer.provider.quoting import QuoteRequest
from relayer.pump import promises
from tests.relayer.house import COIN_A, COIN_B, START, A, B, House
from tests.relayer.test_inventory import lock_as, open_as, promise, request_of, told

HALF = START // 2
"""The most that a pair pays out, for a quarter of `START`."""


async def opened(
    house: House, number: int, amount: int = HALF, caller: str = "somebody", proven: bool = True
) -> SwapView:
    """By the initiator of that number, for this amount of the participant's asset."""
    quote = await house.service.desk.quote(QuoteRequest(COIN_A, COIN_B, participant_amount=BaseUnits(amount)))
    return await open_as(house, number, quote, caller, proven)


async def opened_by(house: House, name: str, number: int, amount: int, purse: int = 0) -> SwapView:
    """By the account of that name, which gets `purse` beforehand, with a proof."""
    mine = {
        chain: house.chains[chain].signer(name, {COIN_A: purse} if chain == A and purse else {}) for chain in (A, B)
    }
    await house.clock.sleep(2)
    quote = await house.service.desk.quote(QuoteRequest(COIN_A, COIN_B, participant_amount=BaseUnits(amount)))
    hashlock = Preimage.generate(SeededSecrets(number).token_bytes).hashlock()
    request = OpenSwap(quote, hashlock, mine[A].account, mine[B].account)
    return await house.service.desk.open_swap(await house.proven(request, mine[A]), f"caller of {name}")


# --- the formula ---------------------------------------------------------------------------------------------------


def test_only_what_is_proven_or_verified_is_firm() -> None:
    opening = promise(locked=False, hold_until_ns=10, proven=False)
    assert not opening.is_firm(0)
    assert not replace(opening, locked=True).is_firm(0)
    assert replace(opening, locked=True, verified=True).is_firm(11)
    assert replace(opening, proven=True).is_firm(10)
    assert not replace(opening, proven=True).is_firm(11)
    assert replace(opening, proven=True, locked=True).is_firm(11)


def hold(name: str, given: int, **changes: object) -> Promise:
    made = promise(name, 1, locked=False, hold_until_ns=9, account=AccountId(f"{A}:x"), given_asset=COIN_A)
    return replace(made, given_amount=given, **changes)  # type: ignore[arg-type]


@given(balance=st.integers(0, 1_000), amounts=st.lists(st.integers(1, 400), max_size=12))
def test_each_coin_proves_once(balance: int, amounts: list[int]) -> None:
    """Whatever is opened in whatever order: what the proven ones give together is there."""
    taken: list[Promise] = []
    for number, amount in enumerate(amounts):
        new = hold(f"{number:02}", amount, reserved_ns=number)
        if inventory.uncovered(new, taken, balance) is None:
            taken.append(new)
    assert sum(one.given_amount for one in taken) <= balance
    assert inventory.overdrawn(taken, balance) == []


@given(balance=st.integers(0, 1_000), amounts=st.lists(st.integers(1, 400), max_size=12))
def test_what_is_overdrawn_ends_newest_first(balance: int, amounts: list[int]) -> None:
    holds = [hold(f"{number:02}", amount, reserved_ns=number) for number, amount in enumerate(amounts)]
    ended = inventory.overdrawn(holds, balance)
    kept = holds[: len(holds) - len(ended)]
    assert ended == holds[len(kept) :][::-1]
    assert sum(one.given_amount for one in kept) <= balance
    if ended:
        assert sum(one.given_amount for one in kept) + ended[-1].given_amount > balance


def test_a_lock_and_another_purse_bind_no_coins() -> None:
    others = [
        hold("locked", 50, locked=True),
        hold("other account", 50, account=AccountId(f"{A}:y")),
        hold("other asset", 50, given_asset=COIN_B),
    ]
    assert inventory.uncovered(hold("new", 100), others, 100) is None
    told_why = inventory.uncovered(hold("new", 100), [*others, hold("open", 1)], 100)
    assert told_why is not None
    assert "holds 100 of memory:a/slip44:1, and 101 are needed" in told_why


# --- a relayer that lives by it ------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    amounts=st.lists(st.sampled_from([HALF, HALF // 2, 100]), min_size=1, max_size=6),
    place=st.integers(0, 6),
    one_caller=st.booleans(),
)
def test_a_proven_opening_is_kept_among_any_without_proof(amounts: list[int], place: int, one_caller: bool) -> None:
    """Any number of openings without a proof, before and after: the proven one is kept, and its lock is answered."""

    async def story(house: House) -> None:
        await house.start()
        honest: SwapView | None = None
        for number, amount in enumerate([*amounts[:place], None, *amounts[place:]]):
            if amount is None:
                honest = await opened(house, 99, HALF, "alice")
                assert honest.reserved
                continue
            view = await opened(house, number, amount, "alice" if one_caller else f"caller {number}", proven=False)
            assert not view.reserved
            assert "without a proof of funds" in view.reservation
        assert honest is not None
        promised = inventory.firm(await house.database.read(promises.of_open_swaps), house.clock.now_ns())
        assert [one.swap_id for one in promised] == [honest.id]
        await lock_as(house, 99, honest)
        await house.locked(honest.id, Leg.PARTICIPANT)

    told(story)


def test_an_opening_without_proof_is_answered_in_order_of_locks() -> None:
    """An opening gets what its lock finds free, from the moment at which the lock is final and verified."""

    async def story(house: House) -> None:
        await house.start()
        late, early, third = [
            await opened(house, number, HALF, f"caller {number}", proven=False) for number in range(3)
        ]
        await lock_as(house, 1, early)
        await house.locked(early.id, Leg.PARTICIPANT)
        assert (await house.look(early.id)).reserved
        await lock_as(house, 0, late)
        await house.locked(late.id, Leg.PARTICIPANT)
        await lock_as(house, 2, third)
        await house.phase(third.id, Phase.ABANDONED, deadline_s=400)
        assert house.made(B, Locked, third.hashlock) == []

    told(story)


def test_a_lock_that_is_not_final_reserves_nothing() -> None:
    async def story(house: House) -> None:
        await house.start()
        view = await opened(house, 1, HALF, proven=False)
        await lock_as(house, 1, view)
        seen = False
        for _ in range(40):
            now = await house.look(view.id)
            if now.initiator.lock is not None and not now.initiator.lock.final:
                assert not now.reserved
                seen = True
            if now.phase is Phase.BOTH_LOCKED:
                break
            await house.clock.sleep(0.25)
        assert seen
        assert (await house.look(view.id)).reserved

    told(story)


def test_coins_that_prove_one_opening_prove_no_other() -> None:
    async def story(house: House) -> None:
        await house.start()
        first = await opened_by(house, "alice", 1, 400, purse=300)
        second = await opened_by(house, "alice", 2, 400)
        assert [first.reserved, second.reserved] == [True, False]
        assert (
            "holds 300 of memory:a/slip44:1, and 400 are needed for this opening and its other ones"
            in second.reservation
        )
        small = await opened_by(house, "alice", 3, 200)
        assert small.reserved

    told(story)


def test_coins_that_are_moved_away_prove_nothing_any_more() -> None:
    """Somebody proves with coins, moves them to a second account, and proves again: the first hold ends."""

    async def story(house: House) -> None:
        await house.start()
        first = await opened_by(house, "mallory", 1, HALF, purse=START // 4)
        assert first.reserved
        second = house.chains[A].signer("mallory's other", {})
        mine, house.initiator = house.initiator, {A: house.chains[A].signer("mallory", {}), B: house.initiator[B]}
        message = Transfer(COIN_A, second.account, quantity(START // 4))
        await house.send(A, unsigned(A, house.initiator[A].account, message, "move"))
        house.initiator = mine
        again = await opened_by(house, "mallory's other", 2, HALF)
        assert again.reserved
        honest = await opened(house, 3, HALF, "alice")
        assert honest.reserved
        assert not (await house.look(first.id)).reserved
        assert (await house.look(again.id)).reserved

    told(story)


def test_holds_that_lapse_cost_an_account_its_proofs() -> None:
    """Three that were not locked on within an hour; when the first is an hour old, a proof reserves again."""

    async def story(house: House) -> None:
        house.policy = replace(house.policy, opening=OpeningPolicy(hold_s=Seconds(10), lapse_s=Seconds(300)))
        await house.start()
        for number in range(3):
            view = await opened_by(house, "mallory", number, 400, purse=START if number == 0 else 0)
            assert view.reserved
            await house.clock.sleep(11)
            assert not (await house.look(view.id)).reserved
        refused = await opened_by(house, "mallory", 4, 400)
        assert not refused.reserved
        assert "3 openings" in refused.reservation
        assert "reserve nothing until some of that time is over" in refused.reservation
        assert (await opened_by(house, "alice", 5, 400, purse=START)).reserved
        await house.clock.sleep(300)
        assert (await opened_by(house, "mallory", 6, 400)).reserved

    told(story)


def test_an_opening_that_is_locked_on_is_no_lapse() -> None:
    async def story(house: House) -> None:
        house.policy = replace(house.policy, opening=OpeningPolicy(hold_s=Seconds(10), max_lapses=1))
        await house.start()
        view = await opened(house, 1, 400)
        await lock_as(house, 1, view)
        await house.clock.sleep(30)
        assert (await opened(house, 1 + 100, 400)).reserved
        account = view.initiator.terms.sender
        assert await house.database.read(lambda c: promises.lapses(c, account, 0, house.clock.now_ns())) == 0

    told(story)


def test_openings_without_proof_are_bounded_in_all() -> None:
    async def story(house: House) -> None:
        house.policy = replace(house.policy, max_open_swaps=3)
        await house.start()
        for number in range(3):
            await opened(house, number, 100, f"caller {number}", proven=False)
        with pytest.raises(TooManyError, match="everybody has 3 swaps open without a proof"):
            await opened(house, 4, 100, "caller 4", proven=False)
        assert (await opened(house, 5, 100, "caller 4")).reserved

    told(story)


def test_a_proof_is_for_one_quote_and_hashlock() -> None:
    async def story(house: House) -> None:
        await house.start()
        desk = house.service.desk
        quotes = [await desk.quote(QuoteRequest(COIN_A, COIN_B, BaseUnits(100))) for _ in range(2)]
        one, two = [await request_of(house, quote, number) for number, quote in enumerate(quotes)]
        await house.clock.sleep(2)
        for wrong in (
            replace(one, proof=two.proof),
            replace(one, hashlock=two.hashlock),
            replace(one, initiator_receiver=two.initiator_receiver),
            replace(one, initiator_sender=two.initiator_sender),
            replace(one, proof=b""),
        ):
            with pytest.raises(RejectedError, match="proof"):
                await desk.open_swap(wrong, "mallory")
        assert (await desk.open_swap(one, "alice")).reserved
        assert (await desk.open_swap(replace(one, proof=None), "alice")).id == SwapId((await desk.open_swap(one)).id)

    told(story)
