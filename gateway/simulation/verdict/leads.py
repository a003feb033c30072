"""Two processes of one relayer: one works at a time, another takes over in time; what leaves was stored before."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.clock import NS_PER_S
from core.runtime.leadership import TAKEN_OVER_S
from gateway.simulation.leading import Lead, LedRelayer
from gateway.simulation.plan import FORGETFUL
from gateway.simulation.process import Process
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from gateway.simulation.wire import Sent
from relayer.transactions.records import relayer_transaction_attempts

LOST_S: Final = 8.0
"""How long a process that does not lead any more may go on while it reaches its database: until it renews its lease."""


async def problems(record: Record) -> list[Problem]:
    """Every second leader, every gap, and every transaction that left without being stored, or was signed too late."""
    found = [
        one for relayer in record.relayers if isinstance(relayer, LedRelayer) for one in _of_leads(record, relayer)
    ]
    if not record.plan.rough & FORGETFUL:
        for process in (one for one in record.processes if one.lives):
            found += await process.database.read(lambda c, one=process: list(_unstored(c, record, one)))  # type: ignore[misc]
    return found


def _of_leads(record: Record, relayer: LedRelayer) -> Iterator[Problem]:
    gaps = [*relayer.away, *([] if relayer.down_s is None else [(relayer.down_s, record.world.seconds)])]
    for since_s, until_s in gaps:
        if until_s - _one_is_up_s(relayer, since_s) > TAKEN_OVER_S:
            yield Problem(Kind.NOT_TAKEN_OVER, f"nobody leads {relayer.name} for {until_s - since_s:.0f} s")
    for former, later in pairwise(relayer.leads):
        if (
            former.process != later.process
            and former.until_s > later.since_s
            and not _had_fallen(relayer, former, later)
        ):
            text = f"a process of {relayer.name} takes the lead from one that is well"
            yield Problem(Kind.TAKEN_FROM_A_LEADER, text)
        on_s = former.until_s - later.since_s
        held_s = sum(
            max(0.0, min(until_s, former.until_s) - max(since_s, later.since_s))
            for number, since_s, until_s in relayer.fallen
            if number == former.process
        )
        if former.process != later.process and min(on_s, record.world.seconds - later.since_s) - held_s > LOST_S:
            text = f"a process of {relayer.name} works on next to the one that has taken over"
            yield Problem(Kind.NOT_FENCED, text)


def _one_is_up_s(relayer: LedRelayer, at_s: float) -> float:
    """Return from when on, at that time or later (seconds of the story), one of both processes can do anything."""
    up_s = [
        max(
            [
                at_s,
                *(
                    until_s
                    for number, since_s, until_s in relayer.fallen
                    if number == one and since_s <= at_s < until_s
                ),
            ]
        )
        for one in (0, 1)
    ]
    return min(up_s)


def _had_fallen(relayer: LedRelayer, former: Lead, later: Lead) -> bool:
    """Return true if the one that led could do nothing when it was followed, or had not renewed its lease since."""
    return any(
        number == former.process and since_s <= later.since_s <= until_s + LOST_S
        for number, since_s, until_s in relayer.fallen
    )


def _unstored(connection: Connection, record: Record, process: Process) -> Iterator[Problem]:
    """Whoever is stopped between signing and storing has sent nothing; whoever lost the lead signs nothing."""
    table = relayer_transaction_attempts
    signed = {bytes(row.raw): row.signed_ns for row in connection.execute(sa.select(table.c.raw, table.c.signed_ns))}
    mine = defaultdict[bytes, list[Sent]](list)
    for sent in record.world.wire.sent:
        if sent.party == process.name and record.owner(sent.body.sender) == process.name:
            mine[sent.raw].append(sent)
    for raw, those in mine.items():
        if raw not in signed:
            yield Problem(Kind.SENT_UNSTORED, f"{process.name} sends what it has not stored, on {those[0].chain}")
            continue
        if not isinstance(process, LedRelayer):
            continue
        began_s = record.world.clock.now() - record.world.seconds
        signed_s, first = signed[raw] / NS_PER_S - began_s, those[0]
        later = [lead.since_s for lead in process.leads if lead.since_s > signed_s]
        leading = [lead for lead in process.leads if lead.since_s <= signed_s]
        if leading and leading[-1].process != first.process and not any(since_s <= first.at_s for since_s in later):
            text = f"{process.name} signs in a process that does not lead, on {first.chain}"
            yield Problem(Kind.SIGNED_UNLED, text)
