"""The verdict as a whole."""

from gateway.simulation.ledger.rules import broken
from gateway.simulation.verdict import ends, gates, limits, machines, money, secrets, trust
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record


async def problems(record: Record) -> list[Problem]:
    """Everything that went wrong in a story, what it cost first."""
    found: list[Problem] = []
    for judge in (money, gates, trust, limits, ends):
        found += judge.problems(record)
    if record.world.ledger is not None:
        found += [Problem(Kind.LEDGER_RULE, text) for text in broken(record.world.ledger)]
    return [*found, *await machines.problems(record), *await secrets.problems(record)]
