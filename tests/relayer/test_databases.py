"""A swap and a refund in real time over the databases that real relayers use: threads, sockets and all."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError
from core.model.facts import Claimed, Locked
from core.runtime.clock import SystemClock
from core.runtime.database import METADATA, Database, create_schema, open_database
from core.runtime.web import idempotency
from htlc.model import Leg, Phase
from relayer.provider.desk import SwapView
from relayer.pump import promises
from relayer.transactions import accounts
from relayer.treasury.orders import WithdrawalStatus
from relayer.treasury.teller import TreasuryPolicy
from tests.relayer.house import COIN, START, A, B, House
from tests.relayer.test_inventory import PATIENT, open_many
from tests.relayer.test_together import Hall
from tests.relayer.test_treasury import COLD, SEAL, ask, end


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path / 'relayer.sqlite'}")
    else:
        opened = open_database(request.getfixturevalue("postgres_url"))
    await opened.write(METADATA.drop_all)
    yield opened
    await opened.close()


async def test_a_swap_and_a_restart_on_a_real_database(database: Database) -> None:
    house = House(clock=SystemClock(), block_s=0.2)
    house.database = database
    await house.start()
    await asyncio.sleep(0.5)
    view = await house.open(A, 1000)
    await house.lock(view.initiator.terms)
    view = await house.locked(view.id, Leg.PARTICIPANT)
    await house.kill()
    await house.claim(view)
    await house.start()
    view = await house.phase(view.id, Phase.COMPLETED, deadline_s=20)
    assert await house.gains() == {"relayer": (1000, -2000), "initiator": (-1000, 2000)}
    for chain in (A, B):
        assert len(house.made(chain, Locked, view.hashlock)) == 1
        assert len(house.made(chain, Claimed, view.hashlock)) == 1
    assert house.metrics.value("relayer_swaps_settled_total", outcome="completed") == 1
    await house.stop()


async def test_first_answer_under_an_idempotency_key_stands(database: Database) -> None:
    """Two processes kept an answer at once: the second learns that it was not the first."""
    await database.write(create_schema)
    first, second = idempotency.Kept(bytes(32), 200, b"1"), idempotency.Kept(bytes(32), 200, b"2")
    assert await database.write(lambda c: idempotency.store(c, "us", "key", first, 1_000, 0))
    assert not await database.write(lambda c: idempotency.store(c, "us", "key", second, 1_000, 0))
    stored = await database.read(
        lambda c: c.execute(sa.select(idempotency.idempotent_answers.c.answer)).scalars().all()
    )
    assert stored == [b"1"]
    # A day later another one takes its place.
    assert await database.write(lambda c: idempotency.store(c, "us", "key", second, 3_000, 2_000))


async def test_claims_share_a_transaction_after_restart_on_a_database(database: Database) -> None:
    """The relayer is away while all preimages become public: what is due at once goes out together."""
    house = Hall(clock=SystemClock(), block_s=0.2)
    house.database = database
    await house.start()
    await asyncio.sleep(0.5)
    views = await house.both_locked(2)
    await house.kill()
    await next_block(house)
    await house.claim_all(views)
    await next_block(house)
    await house.start()
    for view in views:
        await house.phase(view.id, Phase.COMPLETED, deadline_s=20)
    [record] = await house.exits(views, "claim")
    assert [item.left_out for item in record.items] == [None, None]
    assert record.tx_hash == record.newest.hash
    await house.stop()


async def next_block(house: Hall) -> None:
    """Right after it: what is sent now is in one block."""
    height = house.chains[B].height
    while house.chains[B].height == height:
        await house.clock.sleep(0.005)


async def test_openings_at_once_promise_nothing_twice(database: Database) -> None:
    """Each fits by itself. PostgreSQL runs their transactions side by side."""
    house = House(clock=SystemClock(), block_s=0.2)
    house.database = database
    house.policy = replace(house.policy, swap=PATIENT)
    await house.start()
    await asyncio.sleep(0.5)
    opened = await open_many(house, [START * 4 // 10] * 6, [f"caller {number}" for number in range(6)])
    assert sum(isinstance(one, SwapView) for one in opened) == 2
    assert {type(one) for one in opened if not isinstance(one, SwapView)} == {ConflictError}
    promised = await database.read(promises.of_open_swaps)
    assert sum(one.amount for one in promised) <= START
    await house.stop()


async def test_withdrawal_and_openings_at_once_take_nothing_twice(database: Database) -> None:
    """An order and swaps for more than there is, at the same time: together they take no more than that."""
    house = House(clock=SystemClock(), block_s=0.2)
    house.database = database
    house.policy = replace(house.policy, swap=PATIENT)
    house.treasury = TreasuryPolicy(SEAL)
    await house.start()
    await asyncio.sleep(0.5)
    order = await ask(house, B, START * 4 // 10)
    await open_many(house, [START * 4 // 10] * 4, [f"caller {number}" for number in range(4)])
    done = await end(house, order)
    promised = await database.read(promises.of_open_swaps)
    reserved = sum(one.amount for one in promised if one.asset == COIN[B])
    assert (done.status, await house.balance(B, COLD[B])) in (
        (WithdrawalStatus.PAID, START * 4 // 10),
        (WithdrawalStatus.REFUSED, 0),
    )
    assert reserved > 0
    assert reserved <= await house.balance(B, house.relayer[B].account)
    await house.stop()


async def test_whoever_calls_off_sees_what_was_being_signed(database: Database) -> None:
    """A signature is stored in one transaction, while another begins that looks for it."""
    account = House().relayer[A].account
    await database.write(create_schema)
    epoch = await database.write(lambda c: accounts.open_account(c, A, account, 0, False, 0))
    begun = threading.Event()

    def sign(connection: Connection) -> None:
        accounts.fence(connection, A, account, epoch)
        begun.set()
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_sleep(0.5)))
        accounts.advance(connection, A, account, 1)

    def look(connection: Connection) -> int:
        accounts.hold_all(connection)
        return accounts.next_sequence(connection, A, account)

    signing = asyncio.create_task(database.write(sign))
    await asyncio.to_thread(begun.wait, 10)
    assert await database.write(look) == 1
    await signing
