"""Facts that other processes commit to the same PostgreSQL wake consumers here, by LISTEN and NOTIFY.

A notification is part of the transaction that stores the facts: it is delivered once that has committed, and never for
one that was rolled back (PostgreSQL manual, NOTIFY). Like every signal it carries no data but the newest number.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import FatalError, RetryableError
from core.runtime.database import Database
from core.runtime.database_errors import translating
from core.runtime.database_postgres import connect
from core.runtime.database_urls import PostgresAddress, parse_database_url
from indexer.feed import FactSignal, last_seq

CHANNEL: Final = "causeway_indexer_facts"
CONNECT_TIMEOUT_S: Final = 10.0
HEARTBEAT_S: Final = 10.0
"""How often the connection is tried: one that is dead without having been closed would never notify again."""


def notify(connection: Connection, seq: int) -> None:
    """Notify listeners of other processes that facts up to `seq` are there, once this transaction commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, str(seq))))


class FactListener:
    """Passes on to `signal` what any process commits to the PostgreSQL at `url`.

    Behind a pooler that keeps no session notifications do not arrive: the heartbeat looks at the newest number as well.
    """

    def __init__(self, url: str, database: Database, signal: FactSignal, heartbeat_s: float = HEARTBEAT_S) -> None:
        address = parse_database_url(url)
        if not isinstance(address, PostgresAddress):
            raise FatalError("only a PostgreSQL announces facts between processes")
        self._address = address
        self._database, self._signal = database, signal
        self._heartbeat_s = heartbeat_s

    async def run(self) -> None:
        """Listen until cancelled. Raise `RetryableError` when the connection is lost: run it again."""
        lost = asyncio.Event()
        with translating(self._address.place, started=True):
            connection = await connect(self._address)
        try:
            connection.add_termination_listener(lambda _: lost.set())
            with _translating():
                await connection.add_listener(CHANNEL, self._heard)
            # Nobody was notified of what was committed before we listened.
            self._signal.announce(await self._database.read(last_seq))
            while not lost.is_set():
                await self._beat(connection, lost)
        finally:
            connection.terminate()
        raise RetryableError("the connection that announces facts was lost")

    async def _beat(self, connection: Any, lost: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat_s):
                await lost.wait()
                return
        with _translating():
            await connection.execute("SELECT 1", timeout=CONNECT_TIMEOUT_S)
        newest = await self._database.read(last_seq)
        if newest > self._signal.seq:
            self._signal.announce(newest)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        if payload.isdecimal():
            self._signal.announce(int(payload))


@contextmanager
def _translating() -> Iterator[None]:
    """Translate the driver's own errors; whatever they are, the next attempt, or the database's own, says more."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, OSError) as error:
        raise RetryableError(f"cannot listen for facts of other processes: {type(error).__name__}") from error
