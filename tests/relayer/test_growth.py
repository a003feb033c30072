"""Questions of a relayer to its database that come all the time take no longer, the more swaps have ended: none looks
through what grows with them.
"""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from core.model.types import AccountId, ChainId, Hashlock, Height, SwapId
from core.runtime import journal
from core.runtime.database import InlineDatabase, create_schema
from indexer import feed
from relayer.bridging import asked
from relayer.pump import places, promises, set_aside, tables
from relayer.transactions import accounts, records, sequences

CHAIN, ACCOUNT = ChainId("eip155:1"), AccountId("eip155:1:0x01")
GROWING = {
    *("relayer_swaps", "relayer_locks", "relayer_transactions", "relayer_transaction_attempts"),
    *("relayer_reservations", "relayer_batch_items", "journal", "journal_state", "outbox"),
    *("relayer_questions", "relayer_question_proofs"),
    *("indexer_facts", "indexer_events", "indexer_blocks", "indexer_locks", "indexer_swaps", "indexer_agreements"),
}
PARTIAL = "ix_relayer_transactions_unreported"
"""An index that holds only what is left to do."""

QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "unreported": lambda c: records.unreported(c, 200),
    "open transactions": lambda c: records.open_transactions(c, CHAIN, ACCOUNT),
    "transaction of an effect": lambda c: records.by_effect(c, "swap:1:fund"),
    "transactions of a sequence": lambda c: records.with_sequence(c, CHAIN, ACCOUNT, 7),
    "withdrawals": lambda c: list(records.leaving(c)),
    "free sequence": lambda c: sequences.free_sequence(c, CHAIN, ACCOUNT, 7, exits=True),
    "next sequence": lambda c: accounts.next_sequence(c, CHAIN, ACCOUNT),
    "promises": promises.of_open_swaps,
    "locked": lambda c: promises.locked_on(c, CHAIN, ACCOUNT, [SwapId("swap")]),
    "lapses": lambda c: promises.lapses(c, ACCOUNT, 1, 2),
    "places": lambda c: places.places_taken(c, CHAIN),
    "places used": lambda c: places.places_used(c, CHAIN),
    "waiting": lambda c: tables.any_waits(c, CHAIN, 7, Height(7)),
    "waiting for time": lambda c: tables.waiting_for_time(c, CHAIN, 7),
    "waiting for finality": lambda c: tables.waiting_for_finality(c, CHAIN, Height(7)),
    "never locked": lambda c: tables.never_locked(c, 7),
    "came to nothing": lambda c: tables.came_to_nothing(c, 7, 100),
    "phases": tables.counts_by_phase,
    "nearest timelock": tables.nearest_timelock_s,
    "changed": lambda c: tables.changed_behind(c, (1, "swap"), 100),
    "watches": lambda c: tables.watch_counts(c, "caller"),
    "open under": lambda c: tables.open_under(c, [Hashlock(bytes(32))]),
    "funded": lambda c: tables.hashlock_funded(c, Hashlock(bytes(32))),
    "due": lambda c: journal.pending_effects(c, 7, 500),
    "due again": lambda c: journal.pending_again(c, 7, 500, {}),
    "next due": journal.next_due_ns,
    "pending": journal.count_pending,
    "facts": lambda c: feed.read_facts(c, 7, 200),
    "hashlock seen": lambda c: feed.hashlock_seen(c, Hashlock(bytes(32))),
    "public preimage": lambda c: feed.public_preimage(c, Hashlock(bytes(32))),
    "set aside": set_aside.standing,
    "due of questions": lambda c: journal.pending_effects(c, 7, 500, queue="questions"),
    "next due of questions": lambda c: journal.next_due_ns(c, "questions"),
    "open questions": lambda c: asked.open_on(c, CHAIN)[0],
    "ended questions": lambda c: asked.prune(c, 7, 100),
    "answers on their way": lambda c: records.by_each_effect(c, ["query-1:2:deliver"]),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_nothing_that_grows_is_looked_through(question: str) -> None:
    database = InlineDatabase()
    await database.write(create_schema)
    await database.write(lambda c: accounts.open_account(c, CHAIN, ACCOUNT, 0, True, 1))

    def plans(connection: Connection) -> list[str]:
        # At the driver: what was prepared before, SQLAlchemy hears nothing of.
        driver: Any = connection.connection.driver_connection
        asked = list[str]()
        driver.set_trace_callback(asked.append)
        QUESTIONS[question](connection)
        driver.set_trace_callback(None)
        return [step[3] for sql in asked for step in driver.execute(f"EXPLAIN QUERY PLAN {sql}")]

    steps = await database.read(plans)
    assert steps
    for step in steps:
        words = step.split()
        assert words[0] != "SCAN" or words[1] not in GROWING or PARTIAL in words, step
    await database.close()
