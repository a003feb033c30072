"""Token allowances for our locks, so that no lock of ours takes what another one of ours relies on.

    ahead      before the locks that would have to wait for one, as swaps are agreed
    turn       how a lock waits for its own: if a token knows unlimited allowances, nobody waits for anybody
    provide    the transactions that are needed first: an allowance that is short, for some tokens reset before

If an allowance is for an amount, what our signed locks will still take of it counts as taken, and a lock is signed
before the next one looks. Whatever is signed for an account comes to pass in the order of sequences, so that a reset
never meets a lock that was signed before it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol

from core.model.errors import RejectedError, RetryableError, RevertedError
from core.model.ports import HeadSource, LegBuilder
from core.model.transactions import UnsignedTransaction
from core.model.types import MAX_BASE_UNITS, AssetId, BaseUnits, ChainTime, Hashlock, LockTerms
from core.runtime.database import Database
from relayer import inventory
from relayer.pump import promises
from relayer.transactions import orders
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.records import TransactionRecord, TransactionStatus

MAX_PREPARATIONS: Final = 6
"""Transactions that one lock may need before it: a reset and an allowance, both again if they failed."""
AMPLE: Final = 2**90
"""An allowance that no locks side by side use up: more than any token's supply, less than what tokens that keep 96 bits
may have left."""
AMPLE_TIMES: Final = 1_000
"""And this many times the lock at hand."""
LOCKS_AHEAD: Final = 4
"""The largest locks that an allowance for amounts covers beyond what is promised."""


class LockingChain(Protocol):
    """The part of a chain that shows what our locks on it need first. A `ChainAccess` has it."""

    @property
    def heads(self) -> HeadSource: ...
    @property
    def legs(self) -> LegBuilder: ...


class Allowances:
    """The allowances of one account for the locks on its chain."""

    def __init__(self, database: Database, access: LockingChain, pipeline: Pipeline) -> None:
        self._database = database
        self._access = access
        self._pipeline = pipeline
        self._turns: dict[AssetId, asyncio.Lock] = {}
        """One for each token that we lock and whose allowances are for amounts."""

    @asynccontextmanager
    async def turn(self, terms: LockTerms) -> AsyncIterator[bool]:
        """Yield true if these terms need an allowance that is not there. Sign their lock before this ends.

        Raise `RejectedError` for a token that lets nobody take it; `RetryableError` if the chain does not answer.
        """
        if await self._is_ample(terms):
            yield False
            return
        async with self._turns.setdefault(terms.asset, asyncio.Lock()):
            yield await self._next(terms) is not None

    async def provide(self, terms: LockTerms, key: str, deadline_s: float | None = None) -> TransactionRecord | None:
        """Send what these terms need first, in their turn, one transaction after the other, under keys that begin with
        `key`; return the last one, None if nothing was needed, once a block holds it.

        Raise `RejectedError` if they fail in blocks, `RetryableError` if they would fail now.
        """
        sent: TransactionRecord | None = None
        for number in range(1, MAX_PREPARATIONS + 1):
            if await self._next(terms) is None:
                return sent
            needed = await self._access.legs.prepare(replace(terms, amount=await self._wanted(terms)))
            if needed is None:
                return sent
            sent = await self._sent(f"{key}{number}", needed, deadline_s)
        if sent is not None and (sent.reverted or not sent.included):
            raise RejectedError(f"the allowance for our lock failed: {sent.reason or sent.status}")
        if await self._next(terms) is not None:
            raise RetryableError(
                f"{terms.asset} wants more than {MAX_PREPARATIONS} transactions before it can be locked"
            )
        return sent

    async def ahead(self, asset: AssetId, largest: BaseUnits) -> bool:
        """Provide what the locks of all open swaps will need, or one of `largest`, if that is more: a lock that has to
        wait for it loses blocks, and may miss its deadline. Return true if it will never be short again.

        Raise as `provide`.
        """
        head = (await self._access.heads.head()).head
        account, later = self._pipeline.account, ChainTime(self._pipeline.chain, head.time.seconds + 1)
        amount = max(largest, await self._promised(asset))
        terms = LockTerms(asset, BaseUnits(amount), account, account, Hashlock(bytes(32)), later)
        if await self._is_ample(terms):
            return True
        async with self.turn(terms) as short:
            if short:
                # Not just enough: the next swap would have to wait for the next one.
                more = replace(terms, amount=BaseUnits(min(MAX_BASE_UNITS, amount + LOCKS_AHEAD * largest)))
                await self.provide(more, f"allowance/{asset}/{head.height}/")
        return False

    async def _sent(self, key: str, needed: UnsignedTransaction, deadline_s: float | None) -> TransactionRecord:
        try:
            await self._pipeline.send(key, needed, deadline_s)
        except RevertedError as error:
            raise RetryableError(f"the allowance for our lock would fail now: {error.message}") from error
        return await self._pipeline.until(key, TransactionStatus.INCLUDED, TransactionStatus.FINAL)

    async def _is_ample(self, terms: LockTerms) -> bool:
        """Return true for an allowance that may be shared without counting, and for an asset that needs none."""
        ample = min(MAX_BASE_UNITS, max(AMPLE, AMPLE_TIMES * terms.amount))
        try:
            return await self._access.legs.prepare(replace(terms, amount=BaseUnits(ample))) is None
        except RejectedError:
            return False  # of less, too, or of that much only

    async def _next(self, terms: LockTerms) -> UnsignedTransaction | None:
        """The next transaction that the lock needs; None if it needs none."""
        return await self._access.legs.prepare(replace(terms, amount=await self._needed(terms)))

    async def _needed(self, terms: LockTerms) -> BaseUnits:
        """The least that has to be allowed: this lock, and those of ours that are signed and in no block.

        To be read before the allowance: a lock that is mined in between counts twice rather than never.
        """
        head = (await self._access.heads.head()).head
        chain, account = self._pipeline.chain, self._pipeline.account
        taken = await self._database.read(lambda c: orders.reserved(c, chain, account, head.height))
        return BaseUnits(min(MAX_BASE_UNITS, terms.amount + taken.get(terms.asset, 0)))

    async def _wanted(self, terms: LockTerms) -> BaseUnits:
        """The amount to allow where one has to be: what all open swaps will lock, so that the next need not ask."""
        return BaseUnits(min(MAX_BASE_UNITS, max(await self._needed(terms), await self._promised(terms.asset))))

    async def _promised(self, asset: AssetId) -> int:
        """How much of it open swaps will lock."""
        every = await self._database.read(promises.of_open_swaps)
        promised = inventory.of_purses(every, [self._pipeline.account])
        return sum(one.amount for one in promised if one.asset == asset and not one.funded)
