"""The verdict as a whole."""

from gateway.simulation.ledger.rules import broken, lasting
from gateway.simulation.verdict import (
    ends,
    exits,
    forms,
    gates,
    leads,
    limits,
    machines,
    money,
    notices,
    outcomes,
    prices,
    secrets,
    switches,
    trust,
    withdrawals,
)
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record


async def problems(record: Record) -> list[Problem]:
    """Everything that went wrong in a story, what it cost first."""
    found: list[Problem] = []
    for judge in (money, gates, trust, limits, forms, exits, ends, switches, prices):
        found += judge.problems(record)
    ledger = record.world.ledger
    if ledger is not None:
        breaches = (*broken(ledger), *lasting(record.world.wire.firsts(), ledger.chain))
        found += [Problem(Kind.LEDGER_RULE, text) for text in breaches]
    for database in (withdrawals, notices, leads, machines, outcomes, secrets):
        found += await database.problems(record)
    return found
