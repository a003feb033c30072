"""Cold runs of a regulator's rules: exported, run on an engine, compared with what its daemon has said."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.runtime.garbage import collect_seldom
from gateway.config import RegulatorConfig
from gateway.daemons.parts import existing_database
from indexer.projections.histories import complete_since
from regulator_api.knowledge.store import load_labels
from regulator_api.rules import export as exporting
from regulator_api.rules import replay
from regulator_api.rules.catalogue import RuleSet
from regulator_api.rules.engine import forget_everything
from regulator_api.rules.export import Manifest
from regulator_api.rules.observation import Alert, digest, encode_alerts
from regulator_api.rules.reading import Knowledge
from regulator_api.rules.store import standing_alerts
from regulator_api.rules.versions import load_rates, load_rules

Progress = Callable[[str, int, int | None], None]
ABSENT = "no regulator has run with this configuration"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A cold run's alerts."""

    manifest: Manifest
    alerts: list[Alert]

    @property
    def encoded(self) -> bytes:
        return encode_alerts(self.alerts)

    @property
    def digest(self) -> str:
        return digest(self.alerts)


@dataclass(frozen=True, slots=True)
class Compared:
    """How many alerts only the cold run has, and how many only the daemon."""

    only_replayed: int
    only_stored: int


async def export(config: RegulatorConfig, base: Path, folder: Path, progress: Progress) -> Manifest:
    """Export the histories of a regulator's database. It may run meanwhile."""

    # Millions of moves pass through, and none of them is part of a circle.
    collect_seldom()

    def work(connection: Connection) -> Manifest:
        knowledge = Knowledge(
            RuleSet(load_rules(connection)), load_labels(connection), load_rates(connection), complete_since(connection)
        )
        return exporting.export(
            connection, knowledge, folder, progress=lambda done: progress("subjects exported", done, None)
        )

    async with existing_database(config.database, base, ABSENT) as database:
        return await database.read(work)


def run(folder: Path, engine: str, master: str, processes: int, progress: Progress) -> Replayed:
    """Run the rules over an export. Raise `RejectedError` for an unknown engine, and what the engine raises."""
    if engine not in replay.ENGINES:
        raise RejectedError(f"unknown engine {engine[:32]!r}: use {' or '.join(replay.ENGINES)}")

    def show(done: int, of: int) -> None:
        progress("buckets", done, of)

    if engine == "spark":
        found = replay.run_spark(folder, master, show)
    else:
        found = replay.run_local(folder, processes, show)
    return Replayed(exporting.read_manifest(folder), found)


async def compare(config: RegulatorConfig, base: Path, result: Replayed) -> Compared:
    """Compare a cold run with the alerts that the daemon has raised."""

    def work(connection: Connection) -> set[Alert]:
        return set(standing_alerts(connection))

    async with existing_database(config.database, base, ABSENT) as database:
        stored = await database.read(work)
    replayed = set(result.alerts)
    return Compared(len(replayed - stored), len(stored - replayed))


async def forget(config: RegulatorConfig, base: Path) -> None:
    """Let the daemon read everything again, from the first fact on."""
    async with existing_database(config.database, base, ABSENT) as database:
        await database.write(forget_everything)
