"""Connections to PostgreSQL on which a statement that is asked again is prepared (`core.runtime.statements`).

SQLAlchemy stands between us and the driver only for what it has not seen before. The transaction is begun and ended
here, in one word each.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from core.model.errors import require
from core.runtime.statements import Book, Found, Prepared, PreparingConnection, row_of

T = TypeVar("T")

KEPT: Final = 500
"""Prepared statements of one connection: the server keeps a plan of some kB for each."""
_QUICK: Final = re.compile("INSERT|SELECT|WITH")
_POINT: Final = re.compile(r"(?:SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT) \w+")
_CHANGED: Final = re.compile(r"(?:SELECT|UPDATE|DELETE|INSERT \d+) (\d+)")
"""How many rows, in what the server says to a statement (PostgreSQL manual, 55.7, CommandComplete)."""


class _Asked(NamedTuple):
    """A statement on the server, and what makes a row of its columns."""

    statement: Any
    row: Callable[[Any], Any]


class PostgresConnection(PreparingConnection):
    """One to PostgreSQL. `begins` is the statement that begins its transaction; `named` is false if the server that a
    statement is prepared on may be another one in the next transaction."""

    _book: ClassVar[Book] = Book()

    def __init__(self, engine: Engine, begins: str, named: bool = True) -> None:
        super().__init__(engine)
        self._begins, self._named = begins, named
        self._waits = False
        self._adapted: Any = self.connection.dbapi_connection
        kept = self.connection.info.setdefault("statements", OrderedDict[str, _Asked]())
        self._kept: OrderedDict[str, _Asked] = kept

    # --- the transaction -----------------------------------------------------------------------------------------

    @property
    def lost(self) -> bool:
        """True if the connection has ended."""
        return bool(self._adapted.driver_connection.is_closed())

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the transaction that has begun, and commit."""
        with self.begin():
            result = work(self)
            # A server answers the COMMIT of a transaction in which a statement has failed by taking all of it back.
            require(self._say("COMMIT") == "COMMIT", "work went on in a transaction that had failed")
        return result

    def start(self) -> None:
        """Begin the transaction."""
        self._say(self._begins)

    def abandon(self) -> None:
        """Take back what was not committed. A connection that cannot do this, or whose last statement was given up by
        who waited for it, is not used again: nobody else may come into this transaction."""
        driver = self._adapted.driver_connection
        try:
            if self._waits:
                driver.terminate()
            elif not driver.is_closed() and driver.is_in_transaction():
                self._say("ROLLBACK")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, sa.exc.SQLAlchemyError, OSError):
            driver.terminate()
        except BaseException:
            driver.terminate()
            raise
        finally:
            if driver.is_closed():
                self.invalidate()

    def _say(self, text: str) -> str:
        """Send a statement as it is. Return the server's word for what it did."""
        return str(self._wait(text, lambda driver: driver.execute(text)))

    # --- statements ----------------------------------------------------------------------------------------------

    def exec_driver_sql(self, statement: str, parameters: Any = None, execution_options: Any = None) -> Any:
        if execution_options is None and self.in_transaction():
            if not parameters and _POINT.fullmatch(statement):
                self._say(statement)
                return Found((), -1)
            if type(parameters) is not list and _QUICK.match(statement):
                asked, rows, count = self._fetched(statement, parameters or ())
                return Found(list(map(asked.row, rows)), count)
        return super().exec_driver_sql(statement, parameters, execution_options)

    def _ask(self, prepared: Prepared, values: Any, many: bool) -> Found:
        if many:
            return self._many(prepared, values)
        _, rows, count = self._fetched(prepared.sql, self._bound(prepared, values))
        return prepared.found(rows if prepared.returns else (), count)

    def _many(self, prepared: Prepared, parameters: list[Any]) -> Found:
        given = [self._bound(prepared, values) for values in parameters]

        async def work(driver: Any) -> None:
            await (await self._statement(driver, prepared.sql)).statement.executemany(given)

        self._wait(prepared.sql, work)
        return Found((), -1)

    def _bound(self, prepared: Prepared, values: Mapping[str, Any]) -> Sequence[Any]:
        try:
            return prepared.bound(values)
        except Exception as error:
            raise sa.exc.StatementError(str(error), prepared.sql, None, error) from error

    def _fetched(self, sql: str, values: Sequence[Any]) -> tuple[_Asked, Sequence[Any], int]:
        async def work(driver: Any) -> tuple[_Asked, Sequence[Any], int]:
            asked = await self._statement(driver, sql)
            rows = await asked.statement.fetch(*values)
            said = _CHANGED.match(asked.statement.get_statusmsg() or "")
            return asked, rows, -1 if said is None else int(said[1])

        return self._wait(sql, work)

    async def _statement(self, driver: Any, sql: str) -> _Asked:
        kept = self._kept.get(sql)
        if kept is not None:
            self._kept.move_to_end(sql)
            return kept
        statement = await driver.prepare(sql, name=None if self._named else "")
        names = tuple(attribute.name for attribute in statement.get_attributes())
        kept = _Asked(statement, row_of(names))
        if not self._named:
            return kept
        self._kept[sql] = kept
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)  # the driver lets the server forget it
        return kept

    def _wait(self, text: str, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Let the driver work. Its errors become SQLAlchemy's, as those of any other statement."""
        self._waits = True  # stays true if whoever waits is cancelled: the server may still be at it
        try:
            result: T = self._adapted.run_async(work)
        except asyncpg.IntegrityConstraintViolationError as error:
            self._waits = False
            raise sa.exc.IntegrityError(text, None, error) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            self._waits = False
            raise sa.exc.DBAPIError(text, None, error, connection_invalidated=self.lost) from error
        self._waits = False
        return result
