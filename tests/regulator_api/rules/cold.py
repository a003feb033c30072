"""A cold run: all rules over whole histories, from the database, without anything that was said before."""

from collections.abc import Callable, Iterator
from typing import Final

from sqlalchemy.engine import Connection

from indexer.projections import histories
from regulator_api.rules.observation import Alert, Link, Observation, gather
from regulator_api.rules.reading import Knowledge, Reader
from regulator_api.rules.running import run_paths, run_subject

PAGE: Final = 500
MAX_MOVES: Final = 2_000_000
"""Moves of one page of subjects that are in memory together: an account with more is split by nobody, and named."""


def subjects(connection: Connection, knowledge: Knowledge) -> Iterator[list[str]]:
    """Return the names of all subjects with moves, a page at a time; an entity comes with its first account."""
    after, seen = 0, set[str]()
    while page := histories.all_accounts(connection, after, PAGE):
        after = page[-1][0]
        names = []
        for _, account in page:
            name = knowledge.name_of(account)
            if name != account:
                if name in seen:
                    continue
                seen.add(name)
            names.append(name)
        yield names


def cold_run(
    connection: Connection,
    knowledge: Knowledge,
    since_s: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Alert]:
    """Return all alerts with a trigger from `since_s` on. `progress` hears how many subjects are done."""
    reader = Reader()
    reader.prepare(connection)
    observations: list[Observation] = []
    links: list[Link] = []
    done = 0
    for names in subjects(connection, knowledge):
        wanted = [name for name in names if not reader.is_keeper(name)]
        for name, moves in reader.load(connection, knowledge, wanted, 0).items():
            seen, made = run_subject(knowledge.subject(name), moves, knowledge.rules)
            observations += seen
            links += made
        done += len(names)
        progress(done)
    observations += run_paths(links, knowledge.rules, knowledge.name_of, knowledge.jurisdiction_of)
    return gather(one for one in observations if one.trigger.time_s >= since_s)
