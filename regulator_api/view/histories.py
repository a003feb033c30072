"""The edges of many ledgers at once, out of the index: what `regulator_api.tracing.explore` asks for at each level."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from core.model.types import AccountId, Height, chain_of
from core.runtime.lists import array_of, takes_arrays
from indexer import tables
from indexer.moves import MoveKind
from indexer.projections.balances import balances_before
from indexer.projections.locks import LockRow
from indexer.projections.moves import key_columns
from indexer.projections.numbers import known_numbers, names_of
from regulator_api.tracing.model import Edge, Ledger, Way
from regulator_api.tracing.ports import Found, Wanted
from regulator_api.view.base import View
from regulator_api.view.edges import LockPlace, Locks, edge_of_move, read_locks

FEW: Final = 4
MANY: Final = 64
"""Ledgers in one statement: few, or as many as this."""
_LOCKING: Final = (MoveKind.LOCK, MoveKind.CLAIM, MoveKind.REFUND)


class _Row(NamedTuple):
    """One move, as the statement gives it."""

    which: int
    time_s: int
    chain: str
    height: int
    event_index: int
    direction: int
    kind: int
    other_id: int | None
    amount: int
    tx_hash: bytes


class Histories:
    """Implements `regulator_api.tracing.ports.History`. `is_service` says if a label makes an account one."""

    def __init__(self, view: View, is_service: Callable[[AccountId, int], bool]) -> None:
        self._view = view
        self._is_service = is_service
        self.unjoined: dict[LockPlace, LockRow] = {}
        """Locks that were reached and that no agreement joins; both parties of one may be reached."""

    def is_service(self, account: AccountId, at_s: int) -> bool:
        return account in self._view.keepers() or self._is_service(account, at_s)

    def edges_of(self, wanted: Sequence[Wanted], way: Way, most: int) -> list[Found]:
        connection = self._view.connection
        ids = known_numbers(connection, tables.accounts, {one.ledger.account for one in wanted})
        assets = known_numbers(connection, tables.asset_numbers, {one.ledger.asset for one in wanted})
        rows: list[list[_Row]] = [[] for _ in wanted]
        known = [place for place, one in enumerate(wanted) if one.ledger.account in ids and one.ledger.asset in assets]
        for first in range(0, len(known), MANY):
            part = known[first : first + MANY]
            asked = [self._asked(wanted[place], way, most, ids, assets) for place in part]
            for row in self._moves(asked, way):
                rows[part[row.which]].append(row)
        busy = [len(found) > most for found in rows]
        taken = [[] if over else found for over, found in zip(busy, rows, strict=True)]
        locks, names = self._context(taken)
        openings = self._openings(wanted, taken, way)
        return [
            self._found(one.ledger, found, over, opening, locks, names, way)
            for one, found, over, opening in zip(wanted, taken, busy, openings, strict=True)
        ]

    def _asked(self, one: Wanted, way: Way, most: int, ids: dict[str, int], assets: dict[str, int]) -> tuple[int, ...]:
        chain = chain_of(one.ledger.account)
        block = self._view.as_of.blocks.get(chain)
        newest = -1 if block is None else int(block.height)
        account, asset = ids[one.ledger.account], assets[one.ledger.asset]
        if way is Way.FORWARD:
            return account, asset, one.place.time_s, one.place.height, newest, most + 1
        return account, asset, one.place.time_s, min(newest, one.place.height), most + 1

    def _moves(self, asked: Sequence[tuple[int, ...]], way: Way) -> Iterable[_Row]:
        if self._view.restricted:
            for which, one in enumerate(asked):
                query = self._view.moves().with_only_columns(*_columns(sa.literal_column(str(which))))
                query = _bounded(query, way, one[:-1], one[-1])
                for row in self._view.connection.execute(query):
                    yield _Row(*row)
            return
        sql, values = _moves_asked(self._view.connection.dialect, asked, way)
        for row in self._view.connection.exec_driver_sql(sql, values):
            which, time_s, chain, height, index, direction, kind, other, amount, tx_hash = row
            yield _Row(
                which, time_s, bytes(chain).decode(), height, index, direction, kind, other,
                int.from_bytes(amount, "big"), bytes(tx_hash),
            )  # fmt: skip

    def _context(self, rows: Sequence[Sequence[_Row]]) -> tuple[Locks, dict[int, str]]:
        every = [row for found in rows for row in found]
        made = {(row.chain, row.height, row.event_index) for row in every if row.kind == MoveKind.LOCK}
        ended = {
            (row.chain, row.height, row.event_index) for row in every if row.kind in (MoveKind.CLAIM, MoveKind.REFUND)
        }
        others = {row.other_id for row in every if row.other_id is not None and row.kind == MoveKind.TRANSFER}
        locks = read_locks(self._view, made, ended) if made or ended else Locks()
        loose = (lock for lock in locks.by_place.values() if lock.terms.hashlock in locks.unjoined)
        self.unjoined.update((lock.place, lock) for lock in loose)
        return locks, names_of(self._view.connection, tables.accounts, others)

    def _openings(self, wanted: Sequence[Wanted], rows: Sequence[Sequence[_Row]], way: Way) -> list[int]:
        """Return what each ledger held before the first of its rows: of native coins as far as anybody knows."""
        asked = [
            (
                one.ledger.asset,
                one.ledger.account,
                one.place.height
                if way is Way.FORWARD
                else min((Height(row.height) for row in found), default=one.place.height),
            )
            for one, found in zip(wanted, rows, strict=True)
        ]
        seen = not self._view.restricted
        return [max(0, held) if seen else 0 for held in balances_before(self._view.connection, asked)]

    def _found(
        self,
        ledger: Ledger,
        rows: Sequence[_Row],
        busy: bool,
        opening: int,
        locks: Locks,
        names: dict[int, str],
        way: Way,
    ) -> Found:
        edges: list[Edge] = []
        through: list[Edge] = []
        for row in rows:
            other = None if row.other_id is None else AccountId(names.get(row.other_id, ""))
            edge = edge_of_move(row, locks, ledger, other or None)
            if edge is None:
                continue
            edges.append(edge)
            if row.kind in _LOCKING:
                beyond = beyond_lock(edge, locks, way)
                if beyond is not None:
                    through.append(beyond)
        return Found(ledger, tuple(edges), tuple(through), opening, busy)


def beyond_lock(edge: Edge, locks: Locks, way: Way) -> Edge | None:
    """Forward: the edge that empties the lock that this one fills. Backward: the edge that fills the lock that this
    one empties."""
    ledger = edge.received if way is Way.FORWARD else edge.sent
    if ledger is None or not ledger.lock:
        return None
    chain, height, index = ledger.lock.rsplit("/", 2)
    lock = locks.by_place.get((chain, int(height), int(index)))
    if lock is None:
        return None
    return locks.outflow(lock) if way is Way.FORWARD else locks.inflow(lock)


def _columns(which: sa.ColumnElement[Any]) -> tuple[Any, ...]:
    move = tables.moves.c
    return (which.label("which"), move.time_s, move.chain, move.height, move.event_index, move.direction, move.kind,
            move.other_id, move.amount, move.tx_hash)  # fmt: skip


def _bounded(query: sa.Select[Any], way: Way, values: Sequence[Any], most: Any) -> sa.Select[Any]:
    """Behind or before a place, in order, so that the limit cuts off what is farthest."""
    move = tables.moves.c
    query = query.where(move.kind != sa.literal_column(str(MoveKind.COVERED.value)))
    account, asset, time_s = values[:3]
    query = query.where(move.account_id == account, move.asset_id == asset)
    if way is Way.FORWARD:
        query = query.where(move.time_s >= time_s, move.height >= values[3], move.height <= values[4])
        return query.order_by(*key_columns()).limit(most)
    query = query.where(move.time_s <= time_s, move.height <= values[3])
    return query.order_by(*(column.desc() for column in key_columns())).limit(most)


def _moves_asked(dialect: sa.Dialect, asked: Sequence[tuple[int, ...]], way: Way) -> tuple[str, tuple[Any, ...]]:
    """The statement for the moves of these ledgers, for the driver, and its values."""
    if takes_arrays(dialect):
        *columns, most = zip(*asked, strict=True)
        return _lateral_sql(dialect, way), (*map(list, columns), most[0])
    many = FEW if len(asked) <= FEW else MANY
    # The number of no account fills up what is left.
    padded = [*asked, *[(-1, *asked[-1][1:])] * (many - len(asked))]
    return _union_sql(dialect, many, way), tuple(itertools.chain.from_iterable(padded))


def _names(way: Way) -> list[str]:
    return ["account", "asset", "time", "from", "to"] if way is Way.FORWARD else ["account", "asset", "time", "to"]


@lru_cache(maxsize=4)
def _lateral_sql(dialect: sa.Dialect, way: Way) -> str:
    """One plan for any number of ledgers, each of which ends at the limit."""
    kinds = [sa.Integer(), sa.Integer(), *[sa.BigInteger()] * (len(_names(way)) - 2)]
    named = list(zip(_names(way), kinds, strict=True))
    arrays = [sa.bindparam(f"all_{name}", type_=array_of(kind)) for name, kind in named]
    columns = [sa.column(name, kind) for name, kind in named]
    each = sa.func.unnest(*arrays).table_valued(*columns, with_ordinality="place").render_derived(name="asked")
    which = each.c.place - sa.literal_column("1")
    found = sa.select(*_columns(which)).select_from(tables.moves)
    bounds = [each.c[name] for name, _ in named]
    mine = _bounded(found, way, bounds, sa.bindparam("most", type_=sa.BigInteger)).correlate(each).lateral("mine")
    return str(sa.select(mine).select_from(each.join(mine, sa.true())).compile(dialect=dialect))


@lru_cache(maxsize=16)
def _union_sql(dialect: sa.Dialect, many: int, way: Way) -> str:
    """Compiled once for a number of ledgers, each with a limit of its own."""
    parts = []
    for place in range(many):
        values = [sa.bindparam(f"{name}_{place}", type_=sa.BigInteger) for name in _names(way)]
        query = sa.select(*_columns(sa.literal_column(str(place)))).select_from(tables.moves)
        bounded = _bounded(query, way, values, sa.bindparam(f"most_{place}", type_=sa.BigInteger))
        # SQLAlchemy writes the offset for SQLite always: as a value it would be one more to give.
        parts.append(bounded.offset(sa.literal_column("0")).subquery().select())
    return str(sa.union_all(*parts).compile(dialect=dialect))
