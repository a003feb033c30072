"""Connections on which a statement that is asked again is prepared: SQLite's, and what PostgreSQL's share with them.

SQLAlchemy looks at a statement, its values and its rows again whenever it is executed, which takes longer than SQLite
itself does. Here a statement that comes again, the same object with values of the same names, goes to the driver as
SQLAlchemy has compiled it, and each value and row through the processors of its SQLAlchemy type. Everything else, such
as statements that are made for one use, goes SQLAlchemy's own way.
"""

import re
import sqlite3
from abc import abstractmethod
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from operator import itemgetter
from typing import Any, ClassVar, Final, TypeVar
from weakref import ref

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RootTransaction
from sqlalchemy.sql.compiler import SQLCompiler

from core.model.errors import require

T = TypeVar("T")

MAX_LIST: Final = 512
MAX_FORMS: Final = 256
"""A statement for longer lists, or in more forms, goes SQLAlchemy's own way: each form is kept."""

Process = Callable[[Any], Any]
_WRITES: Final = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)")
_QUICK: Final = re.compile("INSERT|SELECT|WITH|SAVEPOINT|RELEASE|ROLLBACK")
"""Texts of SQL that are often executed begin so; SQLAlchemy's own questions to SQLite (PRAGMA) do not."""


class Found:
    """A result: all of its rows at once, under the names of `sqlalchemy.Result`."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: Sequence[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        return list(self._rows)

    fetchall = all

    def first(self) -> Any:
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """Raise `sqlalchemy.exc.NoResultFound` or `MultipleResultsFound`."""
        if not self._rows:
            raise sa.exc.NoResultFound("no row was found where one is needed")
        return self.one_or_none()

    def one_or_none(self) -> Any:
        """Raise `sqlalchemy.exc.MultipleResultsFound`."""
        if len(self._rows) > 1:
            raise sa.exc.MultipleResultsFound("several rows were found where one is needed")
        return self.first()

    def scalar(self) -> Any:
        return self._rows[0][0] if self._rows else None

    def scalar_one(self) -> Any:
        """Raise as `one`."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """Raise as `one_or_none`."""
        found = self.one_or_none()
        return None if found is None else found[0]

    def mappings(self) -> "Found":
        """The rows by the names of their columns."""
        return Found([row._asdict() for row in self._rows], self.rowcount)

    def scalars(self) -> "Found":
        return Found([row[0] for row in self._rows], self.rowcount)


class Prepared:
    """A statement for values of the same names and lengths, as the driver takes it."""

    def __init__(self, statement: Any, compiled: SQLCompiler, values: Mapping[str, Any]) -> None:
        dialect, state = compiled.dialect, compiled.construct_expanded_state(values)
        self.sql = state.statement
        self.table = table_written(self.sql)
        """The table that it writes."""
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        parts = {part: (name, at) for name, names in state.parameter_expansion.items() for at, part in enumerate(names)}
        self._slots: list[tuple[str | None, int | None, Any, Process | None]] = []
        for part in state.positiontup or ():
            name, at = parts.get(part, (part, None))
            bind = binds[name]
            key = next((one for one in (bind.key, name) if one in values), None)
            process = bind.type.dialect_impl(dialect).bind_processor(dialect)
            self._slots.append((key, at, None if key is not None else state.parameters[part], process))
        plain = all(key is not None and at is None and process is None for key, at, _, process in self._slots)
        self._take = _taker([key for key, _, _, _ in self._slots if key is not None]) if plain else None
        """A function that puts the values in the driver's order, if it takes all of them as they are."""
        columns = list(statement.exported_columns)
        kinds = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self.returns = bool(columns)
        self._row = row_of(tuple(statement.exported_columns.keys()))  # of as many values as there are columns
        self._processes = [(place, process) for place, process in enumerate(kinds) if process is not None]

    def bound(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """The values in the driver's order, as it takes them."""
        if self._take is not None:
            return self._take(values)
        made = []
        for key, at, value, process in self._slots:
            if key is not None:
                value = values[key] if at is None else values[key][at]
            made.append(value if process is None else process(value))
        return made

    def found(self, rows: Sequence[Any], rowcount: int) -> Found:
        """The result of rows as the driver gives them."""
        if self._processes and rows:
            rows = [self._processed(row) for row in rows]
        return Found(list(map(self._row, rows)), rowcount)

    def _processed(self, row: tuple[Any, ...]) -> list[Any]:
        values = list(row)
        for place, process in self._processes:
            values[place] = process(values[place])
        return values


def _taker(keys: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    """Return what takes the values of these names out of a mapping, in C where there is a choice."""
    return itemgetter(*keys) if len(keys) > 1 else lambda values: [values[key] for key in keys]


def table_written(sql: str) -> str | None:
    """Return the table that a statement writes, None if it writes none."""
    found = _WRITES.match(sql)
    return None if found is None else found[1]


@cache
def row_of(names: tuple[str, ...]) -> Callable[[Any], Any]:
    """Return what makes a row of these columns from its values."""
    kind: Any = namedtuple  # to mypy the names of a namedtuple are fixed
    return partial(tuple.__new__, kind("Row", names, rename=True))  # as its `_make`, without counting again


@dataclass(slots=True)
class Forms:
    """A statement for values of some names: one form for each length of the values that are lists, which are `padded`
    first. `only`: the form of a statement without lists, once it was asked."""

    compiled: SQLCompiler
    lists: tuple[str, ...]
    made: dict[tuple[int, ...], Prepared]
    only: Prepared | None = None


class Book:
    """Forms by statement and names of values, for one dialect. None of a statement's is made when it is seen for the
    first time, since most of those are never seen again. A statement that is gone leaves nothing behind."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ref[Any], dict[tuple[str, ...], Forms | None]]] = {}

    def of(self, statement: Any) -> dict[tuple[str, ...], Forms | None] | None:
        """The forms of this very statement, None if it was never added."""
        found = self._known.get(id(statement))
        return found[1] if found is not None and found[0]() is statement else None

    def add(self, statement: Any) -> None:
        known, place = self._known, id(statement)
        known[place] = ref(statement, lambda _: known.pop(place, None)), {}


_UNSEEN: Final = Forms(None, (), {})  # type: ignore[arg-type]
"""Stands for names of values that a statement was not yet asked with."""


class PreparingConnection(Connection):
    """A connection that prepares what is asked again. Each kind has a book of its own, and its own way to a driver."""

    _book: ClassVar[Book]

    def execute(self, statement: Any, parameters: Any = None, *, execution_options: Any = None) -> Any:
        many = type(parameters) is list and bool(parameters)
        values: Any = parameters[0] if many else {} if parameters is None else parameters
        transaction = self._transaction  # `in_transaction()`, which every statement would call
        if execution_options is None and type(values) is dict and transaction is not None and transaction.is_active:
            forms = self._forms_of(statement, values)
            if forms is not None and not (many and forms.lists):
                prepared = forms.only
                if prepared is None:
                    values = _filled(forms, values)
                    prepared = _form_of(forms, statement, values)
                if prepared is not None and not (many and prepared.returns):
                    return self._ask(prepared, parameters if many else values, many)
        return super().execute(statement, parameters, execution_options=execution_options)

    @abstractmethod
    def _ask(self, prepared: Prepared, values: Any, many: bool) -> Found:
        """Let the driver execute it with these values; if they are `many`, once for each of them, without rows."""

    def _forms_of(self, statement: Any, values: Mapping[str, Any]) -> Forms | None:
        """The forms of a statement for values of these names. None as `Book` says, and if SQLAlchemy makes some of its
        values itself."""
        known = self._book.of(statement)
        if known is None:
            if isinstance(statement, sa.Select | sa.CompoundSelect | sa.Insert | sa.Update | sa.Delete):
                self._book.add(statement)
            return None
        names = tuple(values)
        forms = known.get(names, _UNSEEN)
        if forms is _UNSEEN:
            forms = known[names] = _forms(statement, values, self)
        return forms


class _Begun(RootTransaction):
    """A transaction that was begun at the driver and ends there: to SQLAlchemy it is one like any other."""

    __slots__ = ()

    def _connection_begin_impl(self) -> None:
        """It has begun."""

    def ended(self) -> None:
        """The driver has ended it."""
        if self.connection._nested_transaction is not None:
            self.connection._nested_transaction._cancel()
        self.is_active = False
        self.connection._transaction = None


class PreparedConnection(PreparingConnection):
    """One to SQLite. For one thread at a time."""

    _book: ClassVar[Book] = Book()

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._driver: Any = self.connection.driver_connection
        self._begins: str = engine.dialect.begin  # type: ignore[attr-defined]  # of our own dialects

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, and commit. What it raises takes the transaction back.

        As `with connection.begin()`, which costs more than most transactions in memory do.
        """
        self._say(self._driver.execute, self._begins)
        transaction = _Begun(self)
        try:
            answer = work(self)
            self._say(self._driver.commit)
        except BaseException:
            self._driver.rollback()
            raise
        finally:
            transaction.ended()
        return answer

    def look(self, work: Callable[[Connection], T]) -> T:
        """As `run`, for work that only reads what nobody else can change meanwhile: each of its statements is one by
        itself to the driver. Raise `FatalError` if it has written."""
        transaction, before = _Begun(self), self._driver.total_changes
        try:
            return work(self)
        finally:
            transaction.ended()
            require(self._driver.total_changes == before, "what only reads has written")

    def _say(self, how: Callable[..., Any], *text: str) -> None:
        try:
            how(*text)
        except Exception as error:
            raise self._raised(text[0] if text else "COMMIT", None, error) from error

    def exec_driver_sql(self, statement: str, parameters: Any = None, execution_options: Any = None) -> Any:
        quick = _QUICK.match(statement) is not None and self.in_transaction()
        if execution_options is not None or not quick:
            return super().exec_driver_sql(statement, parameters, execution_options)
        try:
            if type(parameters) is list:
                cursor = self._driver.executemany(statement, parameters)
            else:
                cursor = self._driver.execute(statement, parameters or ())
        except Exception as error:
            raise self._raised(statement, parameters, error) from error
        if cursor.description is None:
            return Found((), cursor.rowcount)
        make = row_of(tuple(column[0] for column in cursor.description))
        return Found(list(map(make, cursor.fetchall())), cursor.rowcount)

    def _ask(self, prepared: Prepared, values: Any, many: bool) -> Found:
        try:
            if many:
                return Found((), self._driver.executemany(prepared.sql, list(map(prepared.bound, values))).rowcount)
            cursor = self._driver.execute(prepared.sql, prepared.bound(values))
            return prepared.found(cursor.fetchall() if prepared.returns else (), cursor.rowcount)
        except Exception as error:
            raise self._raised(prepared.sql, values, error) from error

    def _raised(self, statement: str, values: Any, error: Exception) -> BaseException:
        """The error that SQLAlchemy makes of one of the driver's, or of a type's."""
        return sa.exc.DBAPIError.instance(statement, values, error, sqlite3.Error, dialect=self.dialect)


def _filled(forms: Forms, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values with their lists padded."""
    return {**values, **{name: padded(values[name]) for name in forms.lists}} if forms.lists else values


def padded(values: Sequence[Any]) -> Sequence[Any]:
    """A list for IN with its last value repeated up to the next power of two: few statements do for all lengths."""
    length = len(values)
    if length < 3 or length & (length - 1) == 0:
        return values
    return [*values, *[values[-1]] * ((1 << length.bit_length()) - length)]


def _form_of(forms: Forms, statement: Any, values: Mapping[str, Any]) -> Prepared | None:
    """The form for lists as long as these, None for one that is longer than `MAX_LIST`, and beyond `MAX_FORMS`."""
    lengths = tuple([len(values[name]) for name in forms.lists])
    made = forms.made.get(lengths)
    if made is None and max(lengths, default=0) <= MAX_LIST and len(forms.made) < MAX_FORMS:
        made = forms.made[lengths] = Prepared(statement, forms.compiled, values)
        if not lengths:
            forms.only = made
    return made


def _forms(statement: Any, values: Mapping[str, Any], connection: Connection) -> Forms | None:
    compiled = statement.compile(dialect=connection.dialect, column_keys=sorted(values))
    if compiled.insert_prefetch or compiled.update_prefetch or compiled.escaped_bind_names:
        return None
    return Forms(compiled, tuple(bind.key for bind in compiled.bind_names if bind.expanding and bind.key in values), {})
