"""The cost of a request to the database: statements, and steps of SQLite's virtual machine, which no load changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from core.runtime.database import InlineDatabase

STEPS_A_CALL = 10
"""The machine's steps between two calls of the counter."""


@dataclass(slots=True)
class Cost:
    """Statements that were run, and steps that they took (to `STEPS_A_CALL`)."""

    statements: int = 0
    steps: int = 0


class Meter:
    """Counts what one database does while a block runs. `begin` it before the first one."""

    def __init__(self) -> None:
        self._cost = Cost()

    async def begin(self, database: InlineDatabase) -> None:
        await database.read(self._watch)

    @contextmanager
    def counting(self) -> Iterator[Cost]:
        cost = self._cost = Cost()
        yield cost
        self._cost = Cost()

    def _watch(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(self._step, STEPS_A_CALL)
        driver.set_trace_callback(self._ran)  # SQLAlchemy hears nothing of what was prepared before

    def _step(self) -> int:
        self._cost.steps += STEPS_A_CALL
        return 0

    def _ran(self, sql: str) -> None:
        if sql.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            return
        self._cost.statements += 1
