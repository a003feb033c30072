"""Allowances for amounts, of tokens that know no others: locks side by side take nothing from one another."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.memory import MemoryChain, MemorySigner
from adapters.memory.ledger import Allowances, allowance_key
from core.model.facts import Locked
from core.model.transactions import FeeMarket
from core.model.types import BaseUnits, ChainId, ChainTime, Hashlock, LockId, LockTerms, Preimage
from core.runtime.clock import run_virtually
from htlc.model import Leg
from relayer.provider.desk import OpenSwap, SwapView
from relayer.provider.quoting import QuoteRequest
from relayer.transactions.records import TransactionStatus
from tests.relayer.house import COIN, START, A, B, House

LARGEST = 2 * (START // 4)
"""The largest lock that the house offers."""


class Particular(House):
    """The asset on B wants an allowance, which has to be zero before it is raised, and is used up."""

    def _chain(self, chain: ChainId, market: FeeMarket | None, finality_depth: int) -> MemoryChain:
        made = super()._chain(chain, market, finality_depth)
        if chain != B:
            return made
        particular = frozenset({COIN[B]})
        return MemoryChain(
            chain, self.clock, made.assets, replace(made.rules, allowances=Allowances(particular, particular))
        )

    @property
    def allowed(self) -> int:
        chain = self.chains[B]
        return chain.state.get(allowance_key(self.relayer[B].account, COIN[B]), 0, chain.height)

    def person(self, number: int) -> dict[ChainId, MemorySigner]:
        return {chain: self.chains[chain].signer(f"person-{number}", {COIN[chain]: START}) for chain in (A, B)}

    async def begun_by(self, number: int, amount: int) -> SwapView:
        """A swap of a person of its own, who locks at once."""
        person = self.person(number)
        quote = await self.service.desk.quote(QuoteRequest(COIN[A], COIN[B], BaseUnits(amount)))
        hashlock = Preimage(bytes([number]) * 32).hashlock()
        request = await self.proven(OpenSwap(quote, hashlock, person[A].account, person[B].account), person[A])
        view = await self.service.desk.open_swap(request)
        access, terms = self.chains[A].access(), view.initiator.terms
        lock = access.transactions.assemble(access.legs.lock(terms, await access.legs.lock_id(terms)), 0, None, None)
        await access.transactions.submit(access.transactions.attach(lock, await person[A].sign(lock)))
        return view


def told(story: Callable[[Particular], Awaitable[None]], ahead: bool = True) -> None:
    async def whole() -> None:
        house = Particular()
        try:
            service: Any = await house.start()
            if not ahead:
                service._largest_locks = lambda chain: {}
            await story(house)
        finally:
            await house.stop()

    run_virtually(whole())


async def side_by_side(house: Particular, count: int, amount: int) -> None:
    """Open this many swaps at once, each of whose locks has to come."""
    for number in range(count):
        house.person(number)
    await house.clock.sleep(2)
    views = await asyncio.gather(*(house.begun_by(number, amount) for number in range(count)))
    for view in views:
        await house.locked(view.id, Leg.PARTICIPANT)
        assert len(house.made(B, Locked, view.hashlock)) == 1


def test_locks_side_by_side_get_their_allowances() -> None:
    """Together they take more than was allowed ahead: the allowance is used up, reset and raised on the way."""

    async def story(house: Particular) -> None:
        await house.clock.sleep(6)
        assert house.allowed >= LARGEST
        await side_by_side(house, 4, START // 8 - 1)

    told(story)


def test_locks_provide_what_was_not_allowed_ahead() -> None:
    """Each needs its own next to those that are on their way."""

    async def story(house: Particular) -> None:
        await side_by_side(house, 3, 1_000)
        assert house.allowed < LARGEST

    told(story, ahead=False)


def test_a_lock_is_checked_again_after_its_allowance() -> None:
    """It takes some blocks. Meanwhile what the lock is to be paid with cannot be moved any more."""

    async def story(house: Particular) -> None:
        allowances: Any = house.service.pump.allowances[B]
        provide = allowances.provide

        async def provided(*given: Any) -> None:
            await provide(*given)
            house.chains[A].tokens.paused.add(COIN[A])

        allowances.provide = provided
        house.person(0)
        await house.clock.sleep(2)
        view = await house.begun_by(0, 1_000)
        await house.clock.sleep(20)
        assert COIN[A] in house.chains[A].tokens.paused
        assert not house.made(B, Locked, view.hashlock)
        assert await house.service.pump.pipelines[B].transaction(f"{view.id}:4:fund-participant") is None

    told(story, ahead=False)


@pytest.mark.parametrize("amounts", [(100, 200, 300), (300, 200, 100), (100, 100, 100)])
def test_a_lock_counts_those_that_are_signed(amounts: tuple[int, ...]) -> None:
    """Of which no swap says anything: only the allowance and the transactions on their way are there to go by."""

    async def story(house: Particular) -> None:
        pump, chain = house.service.pump, house.chains[B]
        access, pipeline = chain.access(), pump.pipelines[B]
        person = house.person(0)[B].account
        later = ChainTime(B, round(house.clock.now()) + 60)
        await pipeline.opened.wait_beyond(0)

        async def lock(number: int, amount: int) -> bytes:
            hashlock = Preimage(bytes([number]) * 32).hashlock()
            terms = LockTerms(COIN[B], BaseUnits(amount), pipeline.account, person, hashlock, later)
            place = LockId(f"{pipeline.account.rpartition(':')[2]}/{number}")
            async with pump.allowances[B].turn(terms) as short:
                if short:
                    await pump.allowances[B].provide(terms, f"needed-{number}/")
                await pipeline.send(f"lock-{number}", access.legs.lock(terms, place))
            await pipeline.until(f"lock-{number}", TransactionStatus.FINAL)
            return hashlock

        hashlocks = await asyncio.gather(*(lock(number, amount) for number, amount in enumerate(amounts)))
        assert [len(house.made(B, Locked, Hashlock(one))) for one in hashlocks] == [1, 1, 1]

    told(story, ahead=False)


def test_an_allowance_is_raised_as_swaps_are_agreed() -> None:
    async def story(house: Particular) -> None:
        await house.clock.sleep(6)
        first = house.allowed
        await side_by_side(house, 1, START // 4)
        await house.clock.sleep(10)
        assert house.allowed >= LARGEST, f"{first} were allowed, and one lock took its part"

    told(story)
