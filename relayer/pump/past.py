"""A swap that the chains have shown something of before it was ours to follow, or after it had ended for us."""

from collections.abc import Collection
from typing import Final

from sqlalchemy.engine import Connection

from core.model.facts import Locked
from core.model.types import PublicPreimage, SwapId
from core.runtime import journal
from core.runtime.logging import get_logger
from htlc import events
from htlc.model import Agreement, Leg
from indexer import feed
from indexer.feed import Fact, FactKind
from relayer.pump import observations, set_aside, swaps, tables
from relayer.pump.set_aside import Patience
from relayer.pump.tables import SwapRow

MAX_LOCKS_READ: Final = 100

log = get_logger("relayer.pump.past")


def past_events(connection: Connection, agreement: Agreement) -> list[events.ChainFact]:
    """Return the facts of this swap before it was ours to watch. Finality follows with the next final block."""
    found: list[events.ChainFact] = []
    for leg in Leg:
        shown = feed.history_of(connection, agreement.terms(leg), MAX_LOCKS_READ)
        found += [observations.seen(leg, logged) for logged in shown]
    preimage = feed.public_preimage(connection, agreement.hashlock)
    if preimage is not None:
        found.append(events.PreimageSeen(PublicPreimage(preimage), "a block of the past"))
    return found


def take_up_again(connection: Connection, fact: Fact, patience: Patience, now_ns: int) -> Collection[SwapId]:
    """Begin each swap again that had come to nothing, as far as anybody here knew, and of which a block now has a lock
    of ours: another copy of this database may have signed it. Return those swaps.

    Only we make such locks, so that nobody else brings a swap back.
    """
    if fact.kind is not FactKind.APPLIED:
        return ()
    made = {one.event.terms for one in fact.events if isinstance(one.event, Locked)}

    def begin_again(swap: SwapRow) -> bool:
        agreement = swaps.load(connection, swap.swap_id).agreement
        if agreement.participant_leg not in made:
            return False
        log.warning("a swap that had ended has a lock of ours", swap_id=swap.swap_id)
        tables.forget(connection, swap.swap_id)
        journal.forget(connection, swap.swap_id)
        # As of when it was agreed on: by now its gates have closed, which ends a swap that has no lock.
        agreed_s = agreement.lock_deadline_s - agreement.policy.lock_s
        swaps.begin(connection, agreement, swap.quote_id, now_s=agreed_s, now_ns=now_ns)
        return swaps.take(connection, swap.swap_id, past_events(connection, agreement), now_ns=now_ns)

    ended = tables.abandoned_under(connection, {terms.hashlock for terms in made})
    return set_aside.contained_each(connection, ended, patience, begin_again)
