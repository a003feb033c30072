"""A relayer whose account is another one from now on: what began with the former one ends with it, by its own purse."""

import io
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from adapters.memory import MemorySigner
from core.model.errors import ConflictError, RejectedError
from core.model.facts import Claimed, Locked, Refunded
from core.model.transactions import FeeBid, FeeMarket
from core.model.types import AccountId, BaseUnits, ChainId, LockId, Preimage, SwapId
from core.runtime.clock import SeededSecrets, run_virtually
from core.runtime.logging import configure_logging
from htlc.model import Leg, Phase
from relayer.policy import ExposureLimit
from relayer.provider.desk import OpenSwap, SwapView
from relayer.provider.quoting import Quote, QuoteRequest
from relayer.pump import promises, standing
from relayer.pump.tables import relayer_swaps
from relayer.retirements import Left, left_to_do
from relayer.transactions import records
from relayer.treasury import orders
from relayer.treasury.orders import Withdrawal, WithdrawalStatus
from relayer.treasury.teller import TreasuryPolicy
from tests.relayer.house import COIN, START, A, B, House
from tests.relayer.test_treasury import SEAL, end

IN_FLIGHT = 10


class Rotating(House):
    """A house whose relayer changes the account on chains. Each swap keeps its own preimage."""

    def __init__(self, market: FeeMarket | None = None) -> None:
        super().__init__(market=market)
        self.treasury = TreasuryPolicy(SEAL)
        self.preimages: dict[SwapId, Preimage] = {}
        self.coming: dict[ChainId, MemorySigner] = {}

    async def prepare(self, *chains: ChainId, purse: int = START) -> None:
        """Open new accounts of the relayer there, which hold `purse`."""
        for chain in chains:
            self.coming[chain] = self.chains[chain].signer(f"relayer {len(self.retiring) + 2}", {COIN[chain]: purse})
        await self.two_blocks()

    async def rotate(self, *chains: ChainId, purse: int = START) -> None:
        """End the relayer, and start it with new accounts there, which hold `purse`; the former ones retire."""
        await self.prepare(*chains, purse=purse)
        await self.restart()

    async def restart(self) -> None:
        """End the relayer, and start it with the accounts that are prepared."""
        await self.kill()
        for chain, signer in self.coming.items():
            self.retiring.append(self.relayer[chain])
            self.relayer[chain] = signer
        self.coming.clear()
        await self.start()

    def former(self, chain: ChainId) -> AccountId:
        return next(one.account for one in self.retiring if one.account.startswith(f"{chain}:"))

    async def begin(self, first: ChainId, amount: int = 1_000) -> SwapView:
        number = len(self.preimages)
        preimage = Preimage.generate(SeededSecrets(1_000 + number).token_bytes)
        view = await self.open(first, amount, preimage)
        self.preimages[view.id] = preimage
        return view

    async def reveal(self, view: SwapView) -> None:
        self.preimage = self.preimages[view.id]
        await self.claim(await self.look(view.id))

    async def lock_all(self, views: Sequence[SwapView]) -> None:
        """The initiator's locks, in one block of each chain."""
        for chain in (A, B):
            legs, taken = self.chains[chain].access().legs, set[LockId]()
            calls = []
            for terms in (view.initiator.terms for view in views if view.initiator.chain == chain):
                place = await legs.lock_id(terms, taken)
                taken.add(place)
                calls.append(legs.lock(terms, place))
            if calls:
                await self.together(chain, calls)

    async def reveal_all(self, views: Sequence[SwapView]) -> None:
        """The initiator's claims of what the relayer has locked, in one block of each chain."""
        shown = [await self.locked(view.id, Leg.PARTICIPANT) for view in views]
        for chain in (A, B):
            legs, account = self.chains[chain].access().legs, self.initiator[chain].account
            calls = [
                legs.claim(one.participant.terms, one.participant.lock_id, self.preimages[one.id], account)
                for one in shown
                if one.participant.chain == chain and one.participant.lock_id is not None
            ]
            if calls:
                await self.together(chain, calls)

    async def left(self, account: AccountId) -> Left:
        return await self.database.read(lambda c: left_to_do(c, account))

    async def nothing_left(self, account: AccountId) -> None:
        async def none() -> bool:
            return (await self.left(account)).total == 0

        await self.until(none, what=f"the end of {account}'s work")

    async def sweep(self, payer: AccountId, receiver: AccountId, chain: ChainId) -> Withdrawal:
        secrets = SeededSecrets(round(self.clock.now() * 10))
        order = orders.new_order(secrets, payer, receiver, COIN[chain], None, self.clock.now_ns(), 60)
        await self.database.write(lambda c: orders.write(c, order, SEAL.of(order)))
        return await end(self, order)

    async def senders(self, key: str) -> Counter[AccountId]:
        """Who signed transactions for effects of this kind."""
        table = records.relayer_transactions
        query = sa.select(table.c.account).where(table.c.effect_key.contains(key))
        return Counter(AccountId(one) for one in await self.database.read(lambda c: c.execute(query).scalars().all()))


def rotating(story: Callable[[Rotating], Awaitable[None]], market: FeeMarket | None = None) -> Callable[[], None]:
    """Play a story over a house that has been started, in virtual time."""

    def play() -> None:
        async def whole() -> None:
            house = Rotating(market)
            try:
                await house.start()
                await story(house)
            finally:
                await house.stop()

        run_virtually(whole())

    play.__name__, play.__doc__ = story.__name__, story.__doc__
    return play


def with_fees(story: Callable[[Rotating], Awaitable[None]]) -> Callable[[], None]:
    return rotating(story, FeeMarket(10, 1))


@rotating
async def test_ten_swaps_in_flight_end_with_the_former_account(house: Rotating) -> None:
    """Agreed, locked, funded and revealed ones, both ways: each ends with the accounts that it names."""

    async def begun(count: int) -> list[SwapView]:
        return [await house.begin((A, B)[number % 2], 1_000 + number) for number in range(count)]

    old = {chain: house.relayer[chain].account for chain in (A, B)}
    await house.prepare(A, B)
    revealed, funded = await begun(2), await begun(3)
    await house.lock_all([*revealed, *funded])
    for view in (*revealed, *funded):
        await house.locked(view.id, Leg.PARTICIPANT)
    locked = await begun(3)
    await house.lock_all(locked)
    agreed = await begun(2)
    await house.reveal_all(revealed)
    await house.restart()
    await house.lock_all(agreed)
    refunded, *claimed = funded
    await house.reveal_all(claimed)
    await house.reveal_all(locked)
    await house.reveal_all(agreed)
    views = [*revealed, *funded, *locked, *agreed]
    assert len(views) == IN_FLIGHT
    for view in views:
        await house.phase(view.id, Phase.REFUNDED if view is refunded else Phase.COMPLETED, deadline_s=600)
    for chain in (A, B):
        await house.nothing_left(old[chain])
        used = await house.senders("")
        assert used[old[chain]] > 0
        assert used[house.relayer[chain].account] == 0
        assert await house.balance(chain, house.relayer[chain].account) == START
    gained = {view.id: view.initiator.terms.amount for view in views if view is not refunded}
    for view in views:
        terms = view.participant.terms
        assert [one.terms.sender for one in house.made(terms.chain, Locked, terms.hashlock)] == [old[terms.chain]]
        ended = Refunded if view is refunded else Claimed
        assert len(house.made(terms.chain, ended, terms.hashlock)) == 1
    held = {chain: await house.balance(chain, old[chain]) for chain in (A, B)}
    for chain in (A, B):
        taken = sum(gained[one.id] for one in views if one.id in gained and one.initiator.chain == chain)
        given = sum(2 * gained[one.id] for one in views if one.id in gained and one.participant.chain == chain)
        assert held[chain] == START + taken - given
    later = await house.begin(A)
    assert later.initiator.terms.receiver == house.relayer[A].account
    assert later.participant.terms.sender == house.relayer[B].account
    await house.lock_all([later])
    await house.reveal_all([later])
    await house.phase(later.id, Phase.COMPLETED)


@rotating
async def test_former_account_is_swept_into_the_new_one(house: Rotating) -> None:
    view = await house.begin(A)
    await house.lock(view.initiator.terms)
    old = house.relayer[B].account
    await house.rotate(B, purse=0)
    swept = await house.sweep(old, house.relayer[B].account, B)
    assert (swept.status, swept.taken) == (WithdrawalStatus.PAID, START - 2_000)
    await house.locked(view.id, Leg.PARTICIPANT)
    await house.reveal(view)
    await house.phase(view.id, Phase.COMPLETED)
    await house.nothing_left(old)
    assert await house.balance(B, old) == 0
    assert await house.balance(B, house.relayer[B].account) == START - 2_000


@with_fees
async def test_former_account_keeps_gas_only_for_what_it_began(house: Rotating) -> None:
    view = await house.begin(A)
    await house.rotate(B)
    old, new = house.former(B), house.relayer[B].account
    cost = (await house.service.pump.checks.exit_costs([B]))[B][COIN[B]]
    swept = await house.sweep(old, new, B)
    kept = await house.balance(B, old)
    assert swept.status is WithdrawalStatus.PAID
    # The gas of its lock, and of an exit.
    assert view.participant.terms.amount + 2 * cost <= kept < view.participant.terms.amount + 3 * cost
    await house.phase(view.id, Phase.ABANDONED)
    await house.nothing_left(old)
    swept = await house.sweep(old, new, B)
    assert swept.status is WithdrawalStatus.PAID
    assert await house.balance(B, old) < cost  # what the fee of the transfer itself may have taken


@rotating
async def test_sweep_to_strangers_is_refused(house: Rotating) -> None:
    assert house.treasury is not None
    house.treasury = replace(house.treasury, destinations=frozenset({AccountId(f"{B}:{'c0' * 20}")}))
    await house.rotate(B)
    stranger = await house.sweep(house.former(B), house.initiator[B].account, B)
    assert stranger.status is WithdrawalStatus.REFUSED
    assert (await house.sweep(house.former(B), house.relayer[B].account, B)).status is WithdrawalStatus.PAID
    present = await house.sweep(house.relayer[B].account, house.former(B), B)
    assert present.status is WithdrawalStatus.REFUSED


@rotating
async def test_each_account_pays_from_its_own_purse(house: Rotating) -> None:
    """Reservations of the former account take nothing from the new one, and the other way round."""
    largest = START // 4
    old = [await house.begin(A, largest) for _ in range(2)]  # they reserve all that the former account has on B
    await house.rotate(B, purse=1_000)
    with pytest.raises(ConflictError, match="1000 are free"):
        await house.begin(A, 501)
    new = await house.begin(A, 500)
    await house.lock_all([*old, new])
    await house.reveal_all([*old, new])
    for view in (*old, new):
        await house.phase(view.id, Phase.COMPLETED)
    assert await house.balance(B, house.former(B)) == await house.balance(B, house.relayer[B].account) == 0


@rotating
async def test_exposure_counts_both_accounts(house: Rotating) -> None:
    limit = ExposureLimit(BaseUnits(5_000), BaseUnits(5_000), BaseUnits(5_000))
    house.policy = replace(house.policy, exposure={COIN[B]: limit}, max_open_swaps=3)
    await house.rotate()
    first = await house.begin(A, 1_500)
    await house.rotate(B)
    with pytest.raises(ConflictError, match="3000 are promised already"):
        await house.begin(A, 1_001)
    await house.begin(A, 500)
    await house.begin(A, 500)
    with pytest.raises(ConflictError, match="3 swaps are open already"):
        await house.begin(A, 100)
    assert (await house.left(house.former(B))).swaps == 1
    await house.phase(first.id, Phase.ABANDONED)
    await house.nothing_left(house.former(B))


@rotating
async def test_former_quote_opens_nothing(house: Rotating) -> None:
    quote: Quote = await house.service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1_000)))
    hashlock = Preimage.generate(SeededSecrets(5).token_bytes).hashlock()
    request = OpenSwap(quote, hashlock, house.initiator[A].account, house.initiator[B].account)
    await house.rotate(A)
    with pytest.raises(RejectedError, match="ask for a new quote"):
        await house.service.desk.open_swap(request)
    quote = await house.service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(1_000)))
    with pytest.raises(RejectedError, match="does not swap with itself"):
        await house.service.desk.open_swap(OpenSwap(quote, hashlock, house.former(A), house.initiator[B].account))


@with_fees
async def test_exit_of_an_empty_account_is_paid_by_the_present_one(house: Rotating) -> None:
    """A claim pays whom the lock names: an account that somebody emptied keeps none of them back."""
    view = await house.begin(A, 10**6)
    for chain in (A, B):
        house.chains[chain].fund(house.initiator[chain].account, COIN[chain], START)
    await with_fee(house, A, view)
    await house.locked(view.id, Leg.PARTICIPANT)
    await house.rotate(A)
    old = house.former(A)
    await empty(house, old)
    funded = await house.look(view.id)
    assert funded.participant.lock_id is not None
    legs = house.chains[B].access().legs
    claim = legs.claim(
        funded.participant.terms, funded.participant.lock_id, house.preimages[view.id], house.initiator[B].account
    )
    await pay(house, B, claim)
    await house.phase(view.id, Phase.COMPLETED)
    senders = await house.senders("claim-initiator")
    assert senders == {house.relayer[A].account: 1}


async def pay(house: Rotating, chain: ChainId, unsigned: Any) -> None:
    sender, signer = house.chains[chain].access().transactions, house.initiator[chain]
    view = await sender.sequences(signer.account)
    request = sender.assemble(unsigned, view.latest, FeeBid(100, 1), None)
    await sender.submit(sender.attach(request, await signer.sign(request)))
    await house.two_blocks()


async def with_fee(house: Rotating, chain: ChainId, view: SwapView) -> None:
    legs = house.chains[chain].access().legs
    await pay(house, chain, legs.lock(view.initiator.terms, await legs.lock_id(view.initiator.terms)))


async def empty(house: Rotating, account: AccountId) -> None:
    """Whoever has the key takes all of it away, behind the relayer's back."""
    access = house.chains[A].access()
    assert access.transfers is not None
    signer = next(one for one in house.retiring if one.account == account)
    make = partial(access.transfers.transfer, account, house.initiator[A].account, COIN[A])
    bid = FeeBid(11, 1)  # exactly what it costs: nothing stays behind
    held = await house.balance(A, account)
    fee = access.transactions.cost(await make(BaseUnits(1)), bid)[COIN[A]] - 1
    request = access.transactions.assemble(
        await make(BaseUnits(held - fee)), (await access.transactions.sequences(account)).latest, bid, None
    )
    await access.transactions.submit(access.transactions.attach(request, await signer.sign(request)))
    await house.two_blocks()


@rotating
async def test_claims_share_a_transaction_with_their_own_account(house: Rotating) -> None:
    old = [await house.begin(A, 1_000 + number) for number in range(2)]
    await house.rotate(A)
    new = [await house.begin(A, 1_100 + number) for number in range(2)]
    every = [*old, *new]
    for view in every:
        await house.lock(view.initiator.terms)
    funded = [await house.locked(view.id, Leg.PARTICIPANT) for view in every]
    legs = house.chains[B].access().legs
    claims = [
        legs.claim(
            view.participant.terms, view.participant.lock_id, house.preimages[view.id], house.initiator[B].account
        )
        for view in funded
        if view.participant.lock_id is not None
    ]
    await house.together(B, claims)
    for view in every:
        await house.phase(view.id, Phase.COMPLETED)
    assert await house.senders("claim-initiator") == {house.former(A): 1, house.relayer[A].account: 1}


@rotating
async def test_swaps_of_an_older_version_learn_their_accounts(house: Rotating) -> None:
    view = await house.begin(A)
    ours = frozenset(house.relayer[chain].account for chain in (A, B))
    table = relayer_swaps
    forget = sa.update(table).values(initiator_payer=None, participant_payer=None)
    await house.database.write(lambda c: c.execute(forget).rowcount)
    [promise] = await house.database.read(promises.of_open_swaps)
    assert promise.payers == frozenset()
    assert await house.database.write(standing.note_payers) == 1
    assert await house.database.write(standing.note_payers) == 0
    [promise] = await house.database.read(promises.of_open_swaps)
    assert (promise.swap_id, promise.payers) == (view.id, ours)


@with_fees
async def test_former_account_without_gas_is_a_concern(house: Rotating) -> None:
    view = await house.begin(A)
    await house.rotate(A)
    await empty(house, house.former(A))
    concerns = await house.service.concerns()
    assert any(house.former(A) in one and "are kept for its open exits" in one for one in concerns)
    assert (await house.look(view.id)).phase is Phase.AGREED


@rotating
async def test_end_of_a_former_account_is_said_once(house: Rotating) -> None:
    configure_logging("info", stream=io.StringIO())
    view = await house.begin(A)
    with capture_logs() as said:
        await house.rotate(B)
        await house.phase(view.id, Phase.ABANDONED)
        await house.nothing_left(house.former(B))
        await house.clock.sleep(30)
        await house.sweep(house.former(B), house.relayer[B].account, B)
        await house.clock.sleep(30)
    ended = [one for one in said if one["event"].startswith("an account has ended what it began")]
    assert [one["account"] for one in ended] == [house.former(B)]
    gauge = house.metrics.registry.get_sample_value("causeway_relayer_retiring_open", {"account": house.former(B)})
    assert gauge == 0.0
