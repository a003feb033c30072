"""Facts that a projection cannot digest: they are stored, set aside with an alarm, and stop nothing."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.model.facts import AssetDefined, Block, Claimed, Transferred
from core.model.types import AccountId, AssetId, BaseUnits, Height, PublicPreimage
from core.runtime.database import Database
from indexer import store, tables
from indexer.projections import balances, contracts, keeping
from indexer.projections.balances import balance_at, holdings
from indexer.projections.keeping import MAX_TRIALS, count_set_aside, list_set_aside
from indexer.projections.rebuild import rebuild
from tests.indexer.scripted import CHAIN
from tests.indexer.test_locks import COIN, RECEIVER, SENDER, claimed, locked, opened
from tests.indexer.test_swaps import projected
from tests.indexer.truth import all_facts, replay

HUGE = AssetDefined(AssetId(f"{CHAIN}/asset:huge"), SENDER, "HUGE", 2**63)
"""More decimals than either database's integers hold; the fact itself is stored."""
SHORT = replace(claimed(), preimage=PublicPreimage(b"p" * 31))
"""A preimage that no lock's row takes. It fails only if its lock was made before."""


def moved(asset: AssetId, amount: int) -> Transferred:
    return Transferred(asset, SENDER, RECEIVER, BaseUnits(amount))


async def aside(database: Database) -> list[tuple[str, int, int | None]]:
    found = await database.read(lambda c: list_set_aside(c, 100))
    return [(one.projection, one.where.height, one.index) for one in found]


async def test_a_poisoned_event_blinds_nothing_else(database: Database) -> None:
    book = await opened(database)
    book.chain.extend(1, lambda _: [locked(amount=4), HUGE, SHORT, moved(COIN, 3), claimed()])
    await book.mine([moved(COIN, 2)])
    assert await aside(database) == [("assets", 1, 1), ("locks", 1, 2)]
    (lock,) = await book.locks()
    assert (lock.status, lock.settled and lock.settled.index) == ("claimed", 4)
    assert await database.read(lambda c: balance_at(c, RECEIVER, COIN, Height(2))) == 3 + 4 + 2
    assert COIN in await database.read(lambda c: c.execute(sa.select(tables.assets.c.asset)).scalars().all())
    facts = await database.read(all_facts)
    assert replay(facts)[0][CHAIN] == book.chain.blocks
    grown = await database.read(projected)
    await database.write(rebuild)
    assert await database.read(projected) == grown


async def test_what_is_set_aside_is_an_alarm(database: Database) -> None:
    book = await opened(database)
    await book.mine([HUGE])
    assert book.follower.status.set_aside == 1
    assert book.follower.status.ready
    (row,) = await database.read(store.chain_rows)
    assert (row.set_aside, row.alarms) == (1, 0)
    (one,) = await database.read(lambda c: list_set_aside(c, 10))
    assert one.reason.isprintable()
    assert 0 < len(one.reason) <= 500
    await book.mine([])
    assert book.follower.status.set_aside == 1


async def test_a_reverted_block_takes_what_was_set_aside_with_it(database: Database) -> None:
    book = await opened(database)
    await book.mine([locked()])
    before = await database.read(projected)
    await book.mine([HUGE, SHORT, moved(COIN, 5), locked(amount=2)], [moved(COIN, 1)])
    assert book.follower.status.set_aside == 2
    book.chain.shorten(2)
    book.chain.extend(1, lambda _: [])
    await book.follow()
    assert book.follower.status.set_aside == 0
    assert await database.read(projected) == before


async def test_a_former_branch_is_tried_again(database: Database) -> None:
    book = await opened(database)
    await book.mine([HUGE, moved(COIN, 5)])
    formerly, before = list(book.chain.blocks), await database.read(projected)
    book.chain.reorg(1, 2)
    await book.follow()
    assert await aside(database) == []
    book.chain.switch(formerly)
    book.chain.extend(2, lambda _: [])
    await book.follow()
    assert await aside(database) == [("assets", 1, 0)]
    assert await database.read(projected) == before


async def test_a_rebuild_tries_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a newer version does, which can digest what an older one could not."""
    book = await opened(database)
    with monkeypatch.context() as older:
        older.setattr(keeping, "_PARTS", _failing("balances", lambda block: block.header.height == 2))
        await book.mine([moved(COIN, 1)], [moved(COIN, 2)], [moved(COIN, 4)])
    assert [one[:2] for one in await aside(database)] == [("balances", 2)]
    assert await database.read(lambda c: balance_at(c, RECEIVER, COIN, Height(3))) == 5
    await database.write(rebuild)
    assert await aside(database) == []
    assert await database.read(lambda c: balance_at(c, RECEIVER, COIN, Height(3))) == 7


async def test_a_projection_that_always_fails_stops_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = await opened(database)
    monkeypatch.setattr(keeping, "_PARTS", _failing("locks", lambda _: True))
    await book.mine([locked(), moved(COIN, 2)], [claimed()])
    assert await book.locks() == []
    assert await database.read(lambda c: balance_at(c, RECEIVER, COIN, Height(2))) == 2
    assert {one[0] for one in await aside(database)} == {"locks"}
    assert replay(await database.read(all_facts))[0][CHAIN] == book.chain.blocks


async def test_a_block_of_poison_is_searched_with_bounded_work(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = await opened(database)
    tried = 0

    def apply(connection: Connection, applied: Sequence[Block]) -> None:
        nonlocal tried
        tried += 1
        if any(isinstance(logged.event, Claimed) for block in applied for logged in block.events):
            raise ValueError("a claim")
        balances.apply(connection, applied)

    parts = [one for one in keeping._PARTS if one.name != "balances"]
    monkeypatch.setattr(keeping, "_PARTS", (*parts, keeping._Part("balances", apply, balances.revert)))
    account = [AccountId(f"{CHAIN}:{number:040x}") for number in range(100, 600)]
    events = [Transferred(COIN, None, one, BaseUnits(1)) for one in account]
    await book.mine([*events[:250], claimed(), *events[250:], claimed()])
    found = await aside(database)
    assert {("balances", 1, 250), ("balances", 1, 501)} <= set(found)
    held = await database.read(lambda c: holdings(c, COIN, Height(1), 1_000))
    assert len({one.account for one in held} & set(account)) == 502 - len(found)
    assert len(found) < 60
    assert tried <= MAX_TRIALS + 5


async def test_an_outage_is_no_matter_of_facts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that a lost connection interrupts is done again, not set aside."""
    book = await opened(database)

    def lost(connection: Connection, applied: Sequence[Block]) -> None:
        busy = sqlite3.OperationalError("database is locked")
        busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise sa.exc.OperationalError("INSERT", None, busy)

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "_PARTS", (keeping._Part("contracts", lost, contracts.revert),))
        with pytest.raises(RetryableError):
            await book.mine([moved(COIN, 1)])
    await book.follower.open()
    await book.follow()
    assert await database.read(lambda c: count_set_aside(c, CHAIN)) == 0
    assert await database.read(lambda c: balance_at(c, RECEIVER, COIN, Height(1))) == 1


def _failing(name: str, poisoned: object) -> tuple[keeping._Part, ...]:
    """The projections as an older version might have had them: one fails with blocks of a kind."""

    def part(one: keeping._Part) -> keeping._Part:
        def apply(connection: Connection, applied: Sequence[Block]) -> None:
            assert callable(poisoned)
            if any(block.events and poisoned(block) for block in applied):
                raise KeyError("unexpected")
            one.apply(connection, applied)

        return replace(one, apply=apply) if one.name == name else one

    return tuple(map(part, keeping._PARTS))
