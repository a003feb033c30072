"""Incidents of daemons that were alive and heard nothing, or believed whoever was left."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from adapters.memory.transactions import transfer
from core.model.errors import DisagreementError, FatalError, RetryableError
from core.model.facts import Claimed, LockStatus
from core.model.types import BaseUnits, ChainId
from core.runtime.clock import run_virtually
from core.runtime.database import create_schema, open_database
from htlc.model import Leg, Phase
from relayer.transactions import accounts
from tests.adapters.endpoints.test_quorum import World, play
from tests.incidents.test_swaps import WIN, locked_both, played
from tests.relayer.house import COIN, A, B, House

CROWDED = 150
"""Transactions in one block; a subscription of the incident closed at 100."""


def test_hermes_3819_head_stream_is_dead_and_the_process_lives() -> None:
    """The WebSocket had died without a word, and packets were missed until a restart."""

    async def story(house: House) -> None:
        for endpoint in house.endpoints.values():
            endpoint.dead_heads = True
        view = await locked_both(house)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert await house.gains() == WIN

    played(story)


def test_hermes_1205_crowded_block_hides_no_lock() -> None:
    """More than a hundred transactions in one block closed the subscription."""

    async def story(house: House) -> None:
        view = await house.open(A)
        legs = house.chains[A].access().legs
        account = house.initiator[A].account
        small = [transfer(A, account, house.relayer[A].account, COIN[A], BaseUnits(1)) for _ in range(CROWDED)]
        await house.together(A, [*small, legs.lock(view.initiator.terms, await legs.lock_id(view.initiator.terms))])
        view = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert len(house.made(A, Claimed, view.hashlock)) == 1

    played(story)


def test_hermes_4418_gauges_move_again_after_an_outage() -> None:
    """The worker behind the wallet's gauge never came back after a reconnection."""

    async def story(house: House) -> None:
        await house.clock.sleep(5)
        for endpoint in house.endpoints.values():
            endpoint.down = True
        for _ in range(30):
            house.service.housekeeping.due.notify()
            await house.clock.sleep(1)
        for endpoint in house.endpoints.values():
            endpoint.down = False
        house.chains[A].fund(house.relayer[A].account, COIN[A], 77)
        expected = await house.balance(A, house.relayer[A].account) + 77

        async def shown() -> bool:
            # Its trigger counts real seconds, not those of this test.
            house.service.housekeeping.due.notify()
            return house.metrics.value("relayer_wallet_balance", asset=COIN[A]) == expected

        assert not await shown()
        await house.until(shown, deadline_s=30, what="the new balance in the gauge")
        assert house.metrics.value("relayer_wallet_balance", asset=COIN[A]) == expected

    played(story)


@pytest.mark.parametrize("how", ["hang", "down"])
def test_kelp_dao_silenced_honest_nodes_elect_no_liars(how: str) -> None:
    """Two poisoned nodes, and the honest ones under a flood of requests: the failover chose the poisoned."""

    async def story(world: World) -> None:
        terms, lock_id, _ = await world.signed_lock()
        for liar in world.endpoints[:2]:
            liar.lying = True
        for honest in world.endpoints[2:]:
            honest.down = how == "down"
            if how == "hang":
                honest.hang()
        for _ in range(20):
            with pytest.raises(DisagreementError):
                await world.access.locks.lock(lock_id, terms)
        for honest in world.endpoints[2:]:
            honest.down = False
            honest.wake()
        assert (await world.access.locks.lock(lock_id, terms)).status is LockStatus.ABSENT

    play(story, ("alpha", "beta", "gamma", "delta", "epsilon"))


@pytest.mark.parametrize("chain", [A, B])
def test_raiden_5044_wallet_with_our_key_stops_no_exit(chain: ChainId) -> None:
    """Somebody used the key in a wallet, and the client's sequences were wrong from then on."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        sender, ours = house.chains[chain].access().transactions, house.relayer[chain]
        call = transfer(chain, ours.account, house.initiator[chain].account, COIN[chain], BaseUnits(1))
        request = sender.assemble(call, (await sender.sequences(ours.account)).latest, None, None)
        await sender.submit(sender.attach(request, await ours.sign(request)))
        await house.two_blocks()
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        paid = [1 if one == chain else 0 for one in (A, B)]
        assert (await house.gains())["relayer"] == (1000 - paid[0], -2000 - paid[1])

    played(story)


def test_loop_948_lost_database_promises_nothing() -> None:
    """The volume was not mounted: an empty database was made, and swaps went on as if there had been none."""

    async def whole() -> None:
        house = House()
        await house.start()
        view = await locked_both(house)
        await house.kill()
        house.database = type(house.database)()
        await house.start()
        await house.clock.sleep(10)

        def unknown(connection: Connection) -> bool:
            return bool(accounts.unacknowledged(connection))

        assert await house.database.read(unknown)
        with pytest.raises(RetryableError, match="used, but not by this journal"):
            await house.open(A)
        await house.kill()
        assert view.participant.lock_id is not None
        await house.stop()

    run_virtually(whole())


async def test_loop_767_damaged_database_is_named(tmp_path: Path) -> None:
    """The database was damaged, and what helped was to delete it."""
    place = tmp_path / "relayer.sqlite"
    database = open_database(f"sqlite:///{place}")
    await database.write(create_schema)
    await database.close()
    with sqlite3.connect(place) as raw:
        raw.execute("pragma wal_checkpoint(truncate)")
    raw.close()
    damaged = bytearray(place.read_bytes())
    damaged[4_096 : len(damaged) // 2] = b"\xff" * (len(damaged) // 2 - 4_096)
    place.write_bytes(damaged)
    database = open_database(f"sqlite:///{place}")
    try:
        with pytest.raises(FatalError, match=r"relayer\.sqlite.*(damaged|backup)"):
            await database.write(create_schema)
    finally:
        await database.close()
