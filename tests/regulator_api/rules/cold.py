"""A cold run: all rules over whole histories, from the database, without anything that was said before."""

from sqlalchemy.engine import Connection

from regulator_api.rules.export import subjects
from regulator_api.rules.observation import Alert, Link, Observation, gather
from regulator_api.rules.reading import Knowledge, Reader
from regulator_api.rules.running import run_paths, run_subject


def cold_run(connection: Connection, knowledge: Knowledge) -> list[Alert]:
    """Return all alerts."""
    reader = Reader()
    reader.prepare(connection)
    observations: list[Observation] = []
    links: list[Link] = []
    for names in subjects(connection, knowledge):
        wanted = [name for name in names if not reader.is_keeper(name)]
        for name, moves in reader.load(connection, knowledge, wanted, 0).items():
            seen, made = run_subject(knowledge.subject(name), moves, knowledge.rules)
            observations += seen
            links += made
    observations += run_paths(links, knowledge.rules, knowledge.name_of, knowledge.jurisdiction_of)
    return gather(observations)
