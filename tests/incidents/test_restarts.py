"""Incidents of restarts and upgrades, and of what was relied on before it was there."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from adapters.memory.transactions import Allow, Lock, decode_wire
from core.model.facts import Locked
from core.model.transactions import Outcome, OutcomeStatus
from core.model.types import BlockRef, Height, LockId, SwapId
from core.runtime import journal
from core.runtime.clock import run_virtually
from core.runtime.database import InlineDatabase, create_schema, open_database, schema_version
from htlc import codec, engine, events
from htlc.model import Leg, Phase, SwapState
from relayer.pump import swaps
from tests.core.runtime.kept_schemas import KEPT, statements
from tests.incidents.test_swaps import PATIENT, WIN, locked_both, played
from tests.relayer.house import COIN, A, B, House, replayed_swaps
from tests.relayer.test_allowances import Particular

WRITERS = 12
OLD = "0001"
"""The schema of a released version, whose open swaps a newer one has to go on with."""


def test_rly_960_lock_is_found_without_a_query_for_it() -> None:
    """The node's index of transactions did not have the pending packet, and nobody relayed it."""

    async def story(house: House) -> None:
        view = await house.open(A)
        legs = house.chains[A].access().legs
        theirs = await house.send(A, legs.lock(view.initiator.terms, await legs.lock_id(view.initiator.terms)))
        sender = house.service.pump.pipelines[A]._sender
        real = sender.outcome

        async def unindexed(tx_hash: bytes) -> Outcome:
            return Outcome(OutcomeStatus.DROPPED) if tx_hash == theirs else await real(tx_hash)

        sender.outcome = unindexed  # type: ignore[method-assign]
        there = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(there)
        await house.phase(view.id, Phase.COMPLETED)
        assert await house.gains() == WIN

    played(story)


def test_kdf_1689_lock_waits_until_a_block_has_its_allowance() -> None:
    """The approval had been sent, no block had it, and the payment that needed it failed."""

    async def story(house: House) -> None:
        chain, held_up = house.chains[B], True

        def accepts(tx_hash: bytes) -> bool:
            pooled = next(one for one in chain._mempool.all() if one.hash == tx_hash)
            return not (held_up and isinstance(pooled.body.message, Allow))

        def mine(count: int = 1) -> object:
            return type(chain).mine(chain, count, accepts)

        chain.mine = mine  # type: ignore[assignment, method-assign]
        sent: list[type] = []
        submit = house.service.pump.pipelines[B]._sender.submit

        async def noted(signed: object) -> None:
            sent.append(type(decode_wire(signed.raw).body.message))  # type: ignore[attr-defined]
            await submit(signed)  # type: ignore[arg-type]

        house.service.pump.pipelines[B]._sender.submit = noted  # type: ignore[method-assign]
        view = await house.open(A)
        await house.lock(view.initiator.terms)
        await house.clock.sleep(12)
        assert Lock not in sent
        held_up = False
        there = await house.locked(view.id, Leg.PARTICIPANT)
        await house.claim(there)
        await house.phase(view.id, Phase.COMPLETED)
        assert sent.index(Allow) < sent.index(Lock)

    played(story, Particular, PATIENT)


async def test_kdf_2118_writers_of_one_swap_lose_nothing(tmp_path: Path) -> None:
    """Two tasks wrote the swap's file at once, and one of them wrote over the other."""
    house = House()
    try:
        await house.start()
        view = await house.open(A)
        rows = await house.database.read(partial(_journalled, swap_id=view.id))
    finally:
        await house.stop()
    database = open_database(f"sqlite:///{tmp_path / 'relayer.sqlite'}")
    try:
        await database.write(create_schema)
        state = await database.write(lambda c: _copied(c, rows, view.id))
        assert state.phase is Phase.AGREED
        legs = {leg: rows.agreement.terms(leg) for leg in Leg}
        happened = [
            events.LockSeen(leg, LockId(f"{leg}/0"), terms, BlockRef(terms.chain, Height(7), b"x"), b"y")
            for leg, terms in legs.items()
        ]
        await asyncio.gather(
            *(
                swaps.write(database, partial(swaps.take, swap_id=view.id, happened=[one], now_ns=7))
                for one in happened * (WRITERS // 2)
            )
        )
        after = await database.read(lambda c: swaps.load(c, view.id))
        assert [after.leg(leg).lock_id for leg in Leg] == [f"{leg}/0" for leg in Leg]
        await database.read(lambda c: engine.check_replay(c, view.id))
    finally:
        await database.close()


def _journalled(connection: Connection, swap_id: SwapId) -> events.Agreed:
    first = codec.decode_event(next(iter(journal.replay(connection, swap_id))).event)
    assert isinstance(first, events.Agreed)
    return first


def _copied(connection: Connection, agreed: events.Agreed, swap_id: SwapId) -> SwapState:
    state = swaps.begin(connection, agreed.agreement, None, now_s=agreed.now_s, now_ns=1)
    assert state.swap_id == swap_id
    return state


@pytest.mark.parametrize("moment", [Phase.AGREED, Phase.BOTH_LOCKED, Phase.CLAIMING])
def test_raiden_2131_restart_replays_what_is_there(moment: Phase) -> None:
    """The journal could not be replayed after a restart, and the client ended at each start."""

    async def story(house: House) -> None:
        view = await house.open(A)
        if moment is not Phase.AGREED:
            await house.lock(view.initiator.terms)
            view = await house.locked(view.id, Leg.PARTICIPANT)
        if moment is Phase.CLAIMING:
            house.chains[A].tokens.paused.add(COIN[A])
            await house.claim(view)
        await house.phase(view.id, moment)
        for _ in range(2):
            await house.kill()
            await house.database.read(replayed_swaps)
            await house.start()
        house.chains[A].tokens.paused.discard(COIN[A])
        if moment is Phase.AGREED:
            await house.lock(view.initiator.terms)
            view = await house.locked(view.id, Leg.PARTICIPANT)
        if moment is not Phase.CLAIMING:
            await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert await house.gains() == WIN

    played(story, swap=PATIENT)


def test_loop_449_swap_that_fails_costs_no_prepayment() -> None:
    """The prepayment of 30,000 satoshi was gone when the swap came to nothing."""

    async def story(house: House) -> None:
        house.chains[B].tokens.paused.add(COIN[B])
        view = await house.open(A)
        place = await house.lock(view.initiator.terms)
        await house.clock.sleep(view.initiator.terms.timelock.seconds - house.clock.now() + 2)
        await house.refund(view.initiator.terms, place)
        await house.phase(view.id, Phase.ABANDONED, Phase.REFUNDED)
        assert house.made(B, Locked, view.hashlock) == []
        assert await house.gains() == {"relayer": (0, 0), "initiator": (0, 0)}

    played(story)


def test_loop_239_claim_is_resumed_by_the_next_process() -> None:
    """The invoice was settled, the process ended, and the next one did not take that state up."""

    async def story(house: House) -> None:
        view = await locked_both(house)
        house.endpoints[A].down = True
        await house.claim(view)
        await house.phase(view.id, Phase.CLAIMING)
        await house.kill()
        house.endpoints[A].down = False
        await house.start()
        await house.phase(view.id, Phase.COMPLETED)
        assert await house.gains() == WIN

    played(story)


def test_xmr_btc_swap_open_swap_survives_an_upgrade(tmp_path: Path) -> None:
    """Version 0.9 could not read the swaps of 0.8: whoever had one open and upgraded lost it."""
    new, old = tmp_path / "new.sqlite", tmp_path / "old.sqlite"

    async def whole() -> None:
        house = House(f"sqlite:///{new}")
        house.policy = replace(house.policy, swap=PATIENT)
        await house.start()
        view = await locked_both(house)
        await house.kill()
        await house.database.close()
        _write_as_of_old(old, new)
        house.database = InlineDatabase(f"sqlite:///{old}")
        await house.start()
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert await house.gains() == WIN
        await house.stop()
        await house.database.close()

    run_virtually(whole())


def _write_as_of_old(old: Path, new: Path) -> None:
    """The database as the oldest released version with revisions would have left it, with the rows of the new one."""
    with closing(sqlite3.connect(old)) as made, made:
        for statement in statements(KEPT / f"{OLD}.sqlite.sql"):
            made.execute(statement)
        made.execute("ATTACH DATABASE ? AS new", (str(new),))
        known = {name for (name,) in made.execute("SELECT name FROM new.sqlite_master WHERE type = 'table'")}
        for (name,) in made.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = [(row[1], row[3] and row[4] is None) for row in made.execute(f"PRAGMA main.table_info({name})")]
            there = {row[1] for row in made.execute(f"PRAGMA new.table_info({name})")}
            kept = {one: f'"{one}"' if one in there else "1" for one, needed in columns if one in there or needed}
            if name in known and name != schema_version.name:
                names, values = ", ".join(f'"{one}"' for one in kept), ", ".join(kept.values())
                made.execute(f"INSERT INTO main.{name} ({names}) SELECT {values} FROM new.{name}")  # noqa: S608
        made.execute(f"INSERT INTO {schema_version.name} VALUES (?)", (OLD,))  # noqa: S608
