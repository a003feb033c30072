"""The verdict as a whole."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.clock import NS_PER_S
from gateway.simulation.ledger.rules import broken, lasting
from gateway.simulation.verdict import (
    bids,
    ceilings,
    ends,
    exits,
    forms,
    gates,
    indexed,
    leads,
    limits,
    machines,
    money,
    notices,
    outcomes,
    prices,
    promised,
    secrets,
    switches,
    top_ups,
    trust,
    withdrawals,
)
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from relayer.transactions.records import relayer_transaction_attempts


async def problems(record: Record) -> list[Problem]:
    """Everything that went wrong in a story, what it cost first."""
    found: list[Problem] = []
    for process in record.processes:
        record.signed_s |= await process.database.read(_signed_s)
    for judge in (money, gates, trust, limits, forms, bids, ceilings, exits, ends, switches, prices, top_ups):
        found += judge.problems(record)
    ledger = record.world.ledger
    if ledger is not None:
        breaches = (*broken(ledger), *lasting(record.world.wire.firsts(), ledger.chain))
        found += [Problem(Kind.LEDGER_RULE, text) for text in breaches]
    for database in (promised, withdrawals, notices, leads, machines, outcomes, indexed, secrets):
        found += await database.problems(record)
    return found


def _signed_s(connection: Connection) -> dict[bytes, float]:
    """When each form that a database knows was signed, Unix seconds."""
    columns = relayer_transaction_attempts.c
    return {row.raw: row.signed_ns / NS_PER_S for row in connection.execute(sa.select(columns.raw, columns.signed_ns))}
