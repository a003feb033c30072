"""Commits whose answer is lost: what was stored is stored, and whoever waits for it hears of it all the same."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.runtime import journal
from core.runtime.clock import NS_PER_S, VirtualClock
from core.runtime.database import InlineDatabase, create_schema
from core.runtime.metrics import Metrics
from htlc.events import EffectSubmitted, SwapEvent
from htlc.model import Leg, Role
from indexer.feed import FactSignal
from relayer.metrics import RelayerMetrics
from relayer.pump import swaps
from relayer.pump.absorb import CURSOR, Absorber
from relayer.pump.outcomes import OutcomeRecorder
from relayer.pump.updates import SwapUpdates
from relayer.transactions import records
from tests.htlc.scenarios import NOW, agreement, lock_final, lock_seen, verified

T = TypeVar("T")

NOW_NS = NOW * NS_PER_S


class UnheardDatabase(InlineDatabase):
    """Loses the answer of the next commit while it is `deaf`, and of no other."""

    deaf = False

    async def write(self, work: Callable[[Connection], T]) -> T:
        done = await super().write(work)
        if self.deaf:
            self.deaf = False
            raise RetryableError("the connection was lost")
        return done


async def test_whoever_waits_hears_of_an_outcome() -> None:
    database, updates, terms = UnheardDatabase(), SwapUpdates(), agreement(Role.LIQUIDITY_PROVIDER)
    await database.write(create_schema)

    def begin(connection: Connection) -> None:
        swaps.begin(connection, terms, None, now_s=NOW, now_ns=NOW_NS)
        happened: list[SwapEvent] = [
            lock_seen(terms, Leg.INITIATOR),
            lock_final(Leg.INITIATOR),
            verified(Leg.INITIATOR),
            EffectSubmitted("fund-participant", 4, b"l" * 32),
        ]
        swaps.take(connection, terms.swap_id, happened, now_ns=NOW_NS)
        key = f"{terms.swap_id}:4:fund-participant"
        row = {"id": 1, "effect_key": key, "chain": "memory:b", "account": "memory:b:ours", "sequence": 0}
        row |= {"status": "final", "summary": "", "created_ns": 0, "reverted": True, "reason": "paused"}
        row["told"] = "broadcast"  # prose: ok, a column
        connection.execute(sa.insert(records.relayer_transactions).values(row))
        form = {"chain": "memory:b", "hash": b"l" * 32, "transaction_id": 1, "number": 1, "raw": b"", "signed_ns": 0}
        connection.execute(sa.insert(records.relayer_transaction_attempts).values(form))

    await database.write(begin)
    recorder, watching = OutcomeRecorder(database, [], updates, VirtualClock()), updates.subscribe(terms.swap_id)
    database.deaf, seen = True, updates.effects.count
    with pytest.raises(RetryableError):
        await recorder.step()
    assert await recorder.step() == 0
    assert updates.effects.count > seen
    assert await watching.next() == terms.swap_id
    seen = updates.effects.count
    assert await recorder.step() == 0
    assert updates.effects.count == seen
    await database.close()


async def test_effects_of_facts_are_looked_for() -> None:
    database, updates = UnheardDatabase(), SwapUpdates()
    await database.write(create_schema)
    absorber = Absorber(database, FactSignal(), updates, VirtualClock(), RelayerMetrics(Metrics()))
    await absorber.step()
    database.deaf, seen = True, updates.effects.count
    with pytest.raises(RetryableError):
        await absorber.step()
    await absorber.step()
    assert updates.effects.count == seen  # nothing had come
    database.deaf = True
    with pytest.raises(RetryableError):
        await absorber.step()
    await database.write(lambda c: journal.advance_cursor(c, CURSOR, 0, 5))
    await absorber.step()
    assert updates.effects.count > seen
    await database.close()


async def test_a_write_that_fails_wakes_who_watches_that_swap() -> None:
    updates, name = SwapUpdates(), agreement(Role.INITIATOR).swap_id
    watching, everything = updates.subscribe(name), updates.subscribe()
    with pytest.raises(RetryableError), updates.unsure_if_unheard():
        raise RetryableError("the connection was lost")
    assert watching.rest() == [name]
    assert everything.rest() == []
