"""Locks whose ids come again: each stands by itself, in every view, through reorgs and a rebuild."""

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from core.model.facts import ChainEvent, Claimed, Locked, LockStatus, Refunded
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    Preimage,
    PublicPreimage,
)
from core.runtime.clock import ManualClock
from core.runtime.database import Database
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower, FollowerState
from indexer.projections.balances import balance_at, supply
from indexer.projections.conservation import conservation
from indexer.projections.locks import LockRow, locks_under
from indexer.projections.rebuild import rebuild
from tests.indexer.scripted import CHAIN, Parameters, ScriptedBlocks, ScriptedChain
from tests.indexer.test_swaps import projected
from tests.indexer.truth import all_swaps

COIN, TOKEN = AssetId(f"{CHAIN}/asset:coin"), AssetId(f"{CHAIN}/asset:token")
SENDER, RECEIVER = AccountId(f"{CHAIN}:{10:040x}"), AccountId(f"{CHAIN}:{11:040x}")
NAME = LockId("stranger/0/1")
SECRET = Preimage(b"p" * 32)
OTHER = Preimage(b"q" * 32)


def locked(preimage: Preimage = SECRET, amount: int = 1, asset: AssetId = COIN, timelock_s: int = 10_000) -> Locked:
    receiver, hashlock = RECEIVER, preimage.hashlock()
    terms = LockTerms(asset, BaseUnits(amount), SENDER, receiver, hashlock, ChainTime(CHAIN, timelock_s))
    return Locked(NAME, terms)


def claimed(preimage: Preimage = SECRET) -> Claimed:
    return Claimed(NAME, preimage.hashlock(), PublicPreimage(preimage.expose()))


def refunded(preimage: Preimage = SECRET) -> Refunded:
    return Refunded(NAME, preimage.hashlock())


def _these(events: Sequence[ChainEvent], _height: int) -> Sequence[ChainEvent]:
    return events


class Book:
    """A follower of a scripted chain, and what it makes of it."""

    def __init__(self, database: Database) -> None:
        self.chain = ScriptedChain()
        self.database = database
        self.follower = Follower(
            Parameters(), self.chain, ScriptedBlocks(self.chain), database, FactSignal(), ManualClock(), Height(0)
        )

    async def mine(self, *blocks: Sequence[ChainEvent]) -> None:
        """Append blocks with these events and follow them."""
        for events in blocks:
            self.chain.extend(1, partial(_these, events))
        await self.follow()

    async def follow(self) -> None:
        await self.follower.catch_up(self.chain.update)
        assert self.follower.status.state is FollowerState.LIVE
        assert self.follower.status.tip == self.chain.update.head

    async def locks(self, hashlock: Hashlock | None = None) -> list[LockRow]:
        return await self.database.read(lambda c: locks_under(c, hashlock or SECRET.hashlock(), 100))

    async def check(self, asset: AssetId = COIN) -> None:
        """All sums add up at every height, and a rebuild gives the same rows."""
        for height in range(len(self.chain.blocks)):
            sums = await self.database.read(partial(conservation, asset=asset, height=Height(height)))
            assert sums.adds_up, sums
        grown = await self.database.read(projected)
        await self.database.write(rebuild)
        assert await self.database.read(projected) == grown


async def opened(database: Database) -> Book:
    book = Book(database)
    await book.follower.open()
    return book


async def test_an_id_that_comes_again_is_a_lock_of_its_own(database: Database) -> None:
    """A story that stopped a follower for ever: a stranger locks, claims and locks again under one id."""
    book = await opened(database)
    await book.mine([locked()], [claimed()], [locked(amount=5)])
    first, second = await book.locks()
    assert (first.lock_id, second.lock_id) == (NAME, NAME)
    assert (first.status, first.terms.amount) == (LockStatus.CLAIMED, 1)
    assert (second.status, second.terms.amount, second.settled) == (LockStatus.LOCKED, 5, None)
    await book.mine([refunded()])
    first, second = await book.locks()
    assert (first.status, second.status) == (LockStatus.CLAIMED, LockStatus.REFUNDED)
    assert first.preimage == SECRET.expose()
    await book.check()


async def test_one_block_may_use_an_id_many_times(database: Database) -> None:
    book = await opened(database)
    await book.mine([locked()])
    await book.mine([claimed(), locked(amount=2), refunded(), locked(amount=3), claimed(), locked(amount=4)])
    expected = [(1, "claimed", 0), (2, "refunded", 2), (3, "claimed", 4), (4, "locked", None)]
    rows = await book.locks()
    assert [(r.terms.amount, r.status, r.settled and r.settled.index) for r in rows] == expected
    sums = await database.read(lambda c: conservation(c, COIN, Height(2)))
    assert (sums.locked.amount, sums.claimed.amount, sums.refunded.amount, sums.open.amount) == (10, 4, 2, 4)
    await book.check()


async def test_settlements_find_the_lock_of_their_hashlock(database: Database) -> None:
    book = await opened(database)
    await book.mine([locked(amount=7)], [refunded()], [locked(OTHER, amount=9)], [claimed(OTHER)])
    (mine,), (other,) = await book.locks(), await book.locks(OTHER.hashlock())
    assert (mine.status, other.status) == (LockStatus.REFUNDED, LockStatus.CLAIMED)
    await book.check()


async def test_an_id_of_two_assets_is_summed_by_each(database: Database) -> None:
    book = await opened(database)
    await book.mine([locked(amount=7)], [claimed()], [locked(amount=9, asset=TOKEN)], [claimed()], [locked(amount=2)])
    coin = await database.read(lambda c: conservation(c, COIN, Height(5)))
    token = await database.read(lambda c: conservation(c, TOKEN, Height(5)))
    assert (coin.locked.amount, coin.claimed.amount, coin.open.amount) == (9, 7, 2)
    assert (token.locked.amount, token.claimed.amount, token.open.amount) == (9, 9, 0)
    await book.check()
    await book.check(TOKEN)


async def test_balances_follow_each_use_of_an_id(database: Database) -> None:
    book = await opened(database)
    await book.mine([locked(amount=5)], [claimed()], [locked(amount=3)], [refunded()], [locked(amount=2), claimed()])
    held = [
        [await database.read(partial(balance_at, account=account, asset=COIN, height=Height(h))) for h in range(1, 6)]
        for account in (SENDER, RECEIVER)
    ]
    assert held == [[-5, -5, -8, -5, -7], [0, 5, 5, 5, 7]]
    await book.mine([locked(amount=4)])
    sums = await database.read(lambda c: supply(c, COIN, Height(6)))
    assert sums.locked == 4
    assert sums.adds_up
    await book.check()


async def test_a_reorg_undoes_the_newest_use_alone(database: Database) -> None:
    book = await opened(database)
    await book.mine([locked()], [claimed()], [locked(amount=5)])
    before = await database.read(projected)
    await book.mine([claimed(), locked(amount=6)])
    book.chain.shorten(1)
    book.chain.extend(1, lambda _: [])
    await book.follow()
    assert await database.read(projected) == before
    book.chain.shorten(2)
    book.chain.extend(3, lambda _: [])
    await book.follow()
    (left,) = await book.locks()
    assert left.status is LockStatus.CLAIMED
    await book.check()


async def test_every_use_of_an_id_is_listed(database: Database) -> None:
    book = await opened(database)
    await book.mine([locked()], [claimed()], [locked()], [claimed()], [locked()])
    (swap,) = await database.read(all_swaps)
    assert [lock.status for lock in swap.others] == ["claimed", "claimed", "locked"]
    assert len({lock.place for lock in swap.others}) == 3


async def test_a_settlement_of_a_lock_before_the_index_is_unmatched(database: Database) -> None:
    """The next use of the same id must not be taken for what was settled."""
    book = await opened(database)
    await book.mine([claimed()], [locked(amount=3)])
    sums = await database.read(lambda c: conservation(c, COIN, Height(2)))
    assert (sums.unmatched, sums.claimed.count, sums.open.amount) == (1, 0, 3)
    rows = await database.read(lambda c: c.execute(sa.select(tables.locks.c.status)).scalars().all())
    assert rows == ["locked"]
