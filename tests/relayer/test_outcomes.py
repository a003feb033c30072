"""Outcomes of transactions that a swap does not hear of at once."""

from functools import partial
from itertools import count

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError
from core.runtime import journal
from core.runtime.clock import NS_PER_S, VirtualClock
from core.runtime.database import InlineDatabase, create_schema
from htlc.events import EffectSubmitted, SwapEvent
from htlc.model import Leg, Role
from relayer.pump import swaps
from relayer.pump.outcomes import OutcomeRecorder
from relayer.pump.updates import SwapUpdates
from relayer.transactions import records
from tests.htlc.scenarios import NOW, agreement, lock_final, lock_seen, verified

FUND = "fund-participant"
NOW_NS = NOW * NS_PER_S


def fill(connection: Connection, stream: str, number: int) -> None:
    """One more row of the journal, of the least size."""
    row = {"stream": stream, "sequence": number, "event": b"", "recorded_ns": 0}
    connection.execute(sa.insert(journal.journal).values(row))


async def test_an_outcome_waits_for_room_on_a_full_disk() -> None:
    """The lock reverted for good, and the journal has no room for that: the note that it was reported would have."""
    database, terms = InlineDatabase(), agreement(Role.LIQUIDITY_PROVIDER)
    await database.write(create_schema)

    def begin(connection: Connection) -> None:
        swaps.begin(connection, terms, None, now_s=NOW, now_ns=NOW_NS)
        own = EffectSubmitted(FUND, 4, b"l" * 32)
        happened: list[SwapEvent] = [
            lock_seen(terms, Leg.INITIATOR),
            lock_final(Leg.INITIATOR),
            verified(Leg.INITIATOR),
            own,
        ]
        swaps.take(connection, terms.swap_id, happened, now_ns=NOW_NS)
        row = {"id": 1, "effect_key": f"{terms.swap_id}:4:{FUND}", "chain": "memory:b", "account": "memory:b:ours"}
        row |= {"sequence": 0, "status": "final", "summary": "", "created_ns": 0, "reverted": True, "reason": "paused"}
        row["told"] = "broadcast"  # prose: ok, a column
        connection.execute(sa.insert(records.relayer_transactions).values(row))
        form = {"chain": "memory:b", "hash": b"l" * 32, "transaction_id": 1, "number": 1, "raw": b"", "signed_ns": 0}
        connection.execute(sa.insert(records.relayer_transaction_attempts).values(form))

    await database.write(begin)
    pages = await database.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    await database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar())
    for stream in (f"{terms.swap_id}-", f"{terms.swap_id[:-1]}", "another"):  # wherever an index has room
        with pytest.raises(FatalError, match="full"):
            for number in count():
                await database.write(partial(fill, stream=stream, number=number))

    recorder = OutcomeRecorder(database, [], SwapUpdates(), VirtualClock())
    with pytest.raises(FatalError, match="full"):
        await recorder.step()
    await database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {2 * pages}").scalar())
    assert await recorder.step() == 1
    state = await database.read(lambda c: swaps.load(c, terms.swap_id))
    attempt = state.attempt(FUND)
    assert attempt is not None
    assert not attempt.alive
    await database.close()
