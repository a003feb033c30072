"""The pump's first half: facts of chains become events of swaps, and the cursor moves in the same transaction.

indexer facts ──> hashlock ──> swap ──> LockSeen, ClaimSeen, RefundSeen (and Reverted)
finalized     ──> swaps that wait for it ──> LockFinal, ClaimFinal, RefundFinal
head times    ──> swaps that wait for them ──> TimeAdvanced
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RetryableError
from core.model.types import ChainId, ChainTime, Height, SwapId
from core.runtime import journal
from core.runtime.clock import Clock, true_seconds
from core.runtime.database import Database
from htlc import events
from htlc.model import Leg
from indexer import reading
from indexer.feed import Fact, FactKind, FactSignal, read_facts
from relayer.metrics import RelayerMetrics
from relayer.pump import observations, past, set_aside, swaps, tables
from relayer.pump.set_aside import Patience
from relayer.pump.tables import SwapRow
from relayer.pump.updates import SwapUpdates

CURSOR: Final = "relayer.pump.tables"
BATCH: Final = 200
LOOK_S: Final = 5.0
"""How long to wait for a signal before looking at the facts by ourselves: followers may run in another process."""


@dataclass(frozen=True, slots=True)
class ChainTimes:
    """The newest and the newest finalized block time of a chain, as of the cursor."""

    head: ChainTime | None = None
    finalized: ChainTime | None = None


@dataclass(frozen=True, slots=True)
class Absorbed:
    """The result of one transaction."""

    position: int
    facts: int
    changed: frozenset[SwapId]
    times: dict[ChainId, ChainTimes]
    standing: set_aside.Standing
    """Facts that some swap could not take in."""
    unheard: bool = False
    """True if an earlier transaction was committed, and its answer was lost."""


class Absorber:
    """A named loop over `step`; one per database (the cursor refuses a second one)."""

    def __init__(
        self, database: Database, facts: FactSignal, updates: SwapUpdates, clock: Clock, metrics: RelayerMetrics
    ) -> None:
        self._database = database
        self._facts = facts
        self._updates = updates
        self._clock = clock
        self._metrics = metrics
        self._times: dict[ChainId, ChainTimes] | None = None
        self._standing: set_aside.Standing | None = None
        self._position: int | None = None
        self._heard: int | None = None

    async def run(self) -> None:
        """Take facts in for ever, as they are committed."""
        while True:
            absorbed = await self.step()
            if absorbed.facts < BATCH:
                await self._facts.wait_beyond(absorbed.position, LOOK_S)

    async def step(self) -> Absorbed:
        """Take in the next facts, at most `BATCH`. Raise `RetryableError`; then nothing was taken in."""
        if self._times is None:
            self._times = await self._database.read(times_at_cursor)
        absorbed = await self._absorbed(self._times, self._clock.now_ns())
        self._times, self._standing, self._position = absorbed.times, absorbed.standing, absorbed.position
        self._metrics.facts_position.set(absorbed.position)
        self._metrics.facts_set_aside.set(absorbed.standing.count)
        self._heard = absorbed.position
        if absorbed.unheard:
            self._updates.unsure()
        self._updates.changed(absorbed.changed)
        return absorbed

    async def _absorbed(self, times: dict[ChainId, ChainTimes], now_ns: int) -> Absorbed:
        """Absorb, and again if another transaction was faster. One swap that never gets its turn stops no other."""
        for left in reversed(range(swaps.WRITE_RETRIES)):
            patience, known = Patience(waits_for_others=left > 0), (self._standing, self._position)
            work = partial(
                absorb,
                times=times,
                now_ns=now_ns,
                patience=patience,
                standing=known[0],
                position=known[1],
                heard=self._heard,
            )
            # Nobody else changes them; but what becomes of this transaction is not known before it ends well.
            self._standing = self._position = None
            try:
                return await self._database.write(work)
            except ConflictError:
                await asyncio.sleep(0)
        raise RetryableError("another process takes in the same facts: end one of the two")


def absorb(
    connection: Connection,
    times: dict[ChainId, ChainTimes],
    now_ns: int,
    patience: Patience | None = None,
    standing: set_aside.Standing | None = None,
    position: int | None = None,
    heard: int | None = None,
) -> Absorbed:
    """Facts behind the cursor into swaps; the cursor moves behind them.

    A fact that one swap cannot take in is kept for it (`relayer.pump.set_aside`) and stops no other swap and no other
    event. Raise `ConflictError` if another transaction was faster. `standing`, `position` (of the cursor): as the last
    one left them, if known. `heard`: the last position that a commit has answered with; if the cursor has moved since,
    `times` are older than it is.
    """
    patience = patience or Patience()
    cursor = journal.cursor(connection, CURSOR) if position is None else position
    if unheard := heard is not None and cursor != heard:
        times = times_at_cursor(connection)
    facts = read_facts(connection, cursor, BATCH)
    standing = standing or set_aside.standing(connection)
    changed, after, moved = set[SwapId](), dict(times), dict[ChainId, Height]()
    for fact in facts:
        known = after.get(fact.chain, ChainTimes())
        if fact.kind is FactKind.APPLIED:
            after[fact.chain] = ChainTimes(fact.header.time, known.finalized)
        elif fact.kind is FactKind.FINALIZED:
            after[fact.chain] = ChainTimes(known.head, fact.header.time)
        final = fact.header.height if fact.kind is FactKind.FINALIZED else Height(-1)
        moved[fact.chain] = max(final, moved.get(fact.chain, final))
    if standing.is_due(now_ns) or _concerns_a_swap(connection, facts, moved, after):
        changed |= set_aside.offer_again(connection, patience, now_ns)
        for fact in facts:
            changed |= _absorb_fact(connection, fact, patience, now_ns)
        for chain in moved:
            changed |= _advance_time(connection, chain, after[chain], patience, now_ns)
        standing = set_aside.standing(connection)
    if facts:
        journal.advance_cursor(connection, CURSOR, cursor, facts[-1].seq)
    position = facts[-1].seq if facts else cursor
    return Absorbed(position, len(facts), frozenset(changed), after, standing, unheard)


def _concerns_a_swap(
    connection: Connection, facts: Sequence[Fact], moved: Mapping[ChainId, Height], times: Mapping[ChainId, ChainTimes]
) -> bool:
    """Return false if these facts change no swap, as those of most blocks: no events, and nothing waits for the times
    and heights in them. `moved`: the height up to which each chain is final, -1 if none of them says so."""
    return any(fact.events for fact in facts) or any(
        tables.any_waits(connection, chain, -1 if (head := times[chain].head) is None else head.seconds, height)
        for chain, height in moved.items()
    )


def _absorb_fact(connection: Connection, fact: Fact, patience: Patience, now_ns: int) -> set[SwapId]:
    if fact.kind is FactKind.FINALIZED:

        def final(swap: SwapRow) -> bool:
            state = swaps.load(connection, swap.swap_id)
            happened = observations.final_events(state, fact.chain, fact.header.height)
            return swaps.take(connection, swap.swap_id, happened, now_ns=now_ns)

        waiting = tables.waiting_for_finality(connection, fact.chain, fact.header.height)
        return set_aside.contained_each(connection, waiting, patience, final)
    concerned = tables.open_under(connection, observations.hashlocks_of(fact))
    changed = {swap.swap_id for swap in concerned if set_aside.offer(connection, swap, fact, patience, now_ns)}
    return changed.union(past.take_up_again(connection, fact, patience, now_ns))


def _advance_time(
    connection: Connection, chain: ChainId, times: ChainTimes, patience: Patience, now_ns: int
) -> set[SwapId]:
    head, finalized = times.head, times.finalized
    if head is None or finalized is None:
        return set()

    def advance(swap: SwapRow) -> bool:
        leg = Leg.INITIATOR if swap.initiator_chain == chain else Leg.PARTICIPANT
        event = events.TimeAdvanced(leg, head, finalized, true_seconds(now_ns))
        return swaps.take(connection, swap.swap_id, [event], now_ns=now_ns)

    waiting = tables.waiting_for_time(connection, chain, head.seconds)
    return set_aside.contained_each(connection, waiting, patience, advance)


def heads_at_cursor(connection: Connection, chains: Collection[ChainId]) -> dict[ChainId, ChainTime]:
    """Return the newest block time of each of these chains, of the facts up to the cursor; none of one without any."""
    cursor = journal.cursor(connection, CURSOR)
    shown = (reading.last_time(connection, chain, FactKind.APPLIED, cursor) for chain in chains)
    return {head.chain: head for head in shown if head is not None}


def times_at_cursor(connection: Connection) -> dict[ChainId, ChainTimes]:
    """Return each chain's times from the facts up to the cursor."""
    cursor = journal.cursor(connection, CURSOR)
    return {
        chain: ChainTimes(
            reading.last_time(connection, chain, FactKind.APPLIED, cursor),
            reading.last_time(connection, chain, FactKind.FINALIZED, cursor),
        )
        for chain in reading.chains(connection)
    }
