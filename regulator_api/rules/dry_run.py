"""A rule tried on the past before it is in force: what it would have raised, next to what is in force now."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.engine import Connection

from core.runtime.database import Database
from indexer.projections import histories
from regulator_api.rules.catalogue import FOREVER_S, Rule, RuleSet
from regulator_api.rules.observation import Alert, Link, Observation, gather
from regulator_api.rules.reading import Knowledge, Reader
from regulator_api.rules.running import run_paths, run_subject

PAGE: Final = 100
"""Accounts of one read: other readers of the database, and other callers, have their turns between."""
MAX_MOVES_OF_SUBJECT: Final = 50_000
"""A subject with more is not read, and the dry run says that it is not complete."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """Alerts of the tried rule and of those in force, over the same subjects. `complete`: all moves were read."""

    complete: bool
    subjects: int
    moves: int
    tried: list[Alert]
    in_force: list[Alert]


async def dry_run(
    database: Database, knowledge: Knowledge, rule: Rule, since_s: int, until_s: int, max_moves: int
) -> DryRun:
    """Run a rule over what happened in a span of time, as if it had been in force, without storing anything."""
    tried = RuleSet([replace(rule, rule_id="tried", from_s=0, to_s=FOREVER_S)])
    now = RuleSet([one for one in knowledge.rules.rules if one.typology is rule.typology])
    reader, totals = Reader(), _Totals()
    after, complete = 0, True
    while totals.moves < max_moves:

        def read(connection: Connection, after: int = after) -> tuple[int, bool]:
            page = histories.all_accounts(connection, after, PAGE)
            reader.prepare(connection)
            names = {knowledge.name_of(account) for _, account in page if not reader.is_keeper(account)}
            whole = totals.run(connection, reader, knowledge, sorted(names - totals.names), until_s, (tried, now))
            totals.names |= names
            return (page[-1][0] if page else -1), whole

        after, whole = await database.read(read)
        complete = complete and whole
        if after < 0:
            break
    else:
        complete = False
    # Seconds of work, like the reads before it: other callers are answered meanwhile.
    results = await asyncio.to_thread(totals.alerts, knowledge, (tried, now), since_s)
    return DryRun(complete, totals.subjects, totals.moves, results[0], results[1])


class _Totals:
    """The words of both sets of rules up to now."""

    def __init__(self) -> None:
        self.subjects = self.moves = 0
        self.names: set[str] = set()
        self.observations: tuple[list[Observation], list[Observation]] = ([], [])
        self.links: tuple[list[Link], list[Link]] = ([], [])

    def run(
        self,
        connection: Connection,
        reader: Reader,
        knowledge: Knowledge,
        names: list[str],
        until_s: int,
        rules: tuple[RuleSet, RuleSet],
    ) -> bool:
        counts = reader.count(connection, knowledge, names, 0, until_s - 1)
        wanted = [name for name in names if counts[name] <= MAX_MOVES_OF_SUBJECT]
        for name, history in reader.load(connection, knowledge, wanted, 0, until_s=until_s - 1).items():
            self.subjects += 1
            self.moves += len(history)
            for place, one in enumerate(rules):
                observations, links = run_subject(knowledge.subject(name), history, one)
                self.observations[place].extend(observations)
                self.links[place].extend(links)
        return len(wanted) == len(names)

    def alerts(self, knowledge: Knowledge, rules: tuple[RuleSet, RuleSet], since_s: int) -> list[list[Alert]]:
        """Return what both sets of rules say, with a trigger from a time on."""
        results = []
        for seen, links, one in zip(self.observations, self.links, rules, strict=True):
            found = seen + run_paths(links, one, knowledge.name_of, knowledge.jurisdiction_of)
            results.append(gather(said for said in found if said.trigger.time_s >= since_s))
        return results
