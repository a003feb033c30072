"""Transfers by what is asked of them, newest first, in pages that each cost the same wherever they are.

Whose transfers they are decides which way they are found: by the account's own history, by the histories of all
accounts that a restricted caller may see, or by time. What no index answers is looked for among `MAX_SCANNED` rows at
a time: a page may then be short, and its `next` goes on behind the last row that was looked at.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, Height
from core.runtime.web import after_named, key_values
from indexer import tables
from indexer.moves import Direction, MoveKind
from indexer.projections.moves import NOBODY, account_number, select_moves
from indexer.projections.transfers import TransferRow
from regulator_api.view.base import View

MAX_SCANNED: Final = 20_000
CHUNK: Final = 200
Key = tuple[int, str, int, int]
"""Block time, chain, height and index: behind which a page begins."""
_PLACE: Final = ("time_s", "chain", "height", "event_index")
_TRANSFERS: Final = (MoveKind.TRANSFER, MoveKind.COVERED)


@dataclass(frozen=True, slots=True)
class TransferFilter:
    """The transfers that are wanted; None filters nothing. `account` fits as sender or receiver, with
    `counterparty` on the other side. Times are Unix seconds, from and to inclusive; amounts base units."""

    chain: ChainId | None = None
    asset: AssetId | None = None
    account: AccountId | None = None
    counterparty: AccountId | None = None
    tx_hash: bytes | None = None
    since_s: int | None = None
    until_s: int | None = None
    min_amount: int | None = None
    max_amount: int | None = None


@dataclass(frozen=True, slots=True)
class TransferPage:
    """Rows in their order, and the key to go on behind; None if there are no more."""

    rows: list[TransferRow]
    next: Key | None


class _Shape(NamedTuple):
    """Which conditions a list has: statements are made by it, and their values are given with each execution."""

    walk: str
    """The rows that are gone through: those of one `account`, of all `members` that a caller may see, or `events`."""
    given: frozenset[str]
    """The members of `TransferFilter` that are not None."""
    behind: bool


class _Statements(NamedTuple):
    """The query of one page, and that of the last row which it looks at, None if it looks at no more than it gives."""

    page: sa.Select[Any]
    last: sa.Select[Any] | None


_FIELDS: Final = tuple(one.name for one in fields(TransferFilter))


def list_transfers(view: View, wanted: TransferFilter, limit: int, before: Key | None = None) -> TransferPage:
    """Return the newest transfers that fit, at most `limit`, behind `before`."""
    given = {name: value for name in _FIELDS if (value := getattr(wanted, name)) is not None}
    walk = "members" if view.restricted else "events"
    if "tx_hash" in given:
        walk = "events"
    elif wanted.account is not None:
        number = account_number(view.connection, wanted.account) or NOBODY
        walk, given["number"] = "account", number
    shape = _Shape(walk, frozenset(given), before is not None)
    statements = _plain(shape) if view.plain else _statements(shape, view)
    values = {f"of_{name}": value for name, value in given.items() if name not in _unused(shape)}
    values |= key_values(_PLACE, before)
    found = view.connection.execute(statements.page, values | {"most": limit + 1}).all()
    end = _key(found[limit - 1]) if len(found) > limit else None
    if end is None and statements.last is not None:
        last = view.connection.execute(statements.last, values).first()
        end = None if last is None else _key(last)
    return TransferPage(_rows(view, found[:limit]), end)


def _unused(shape: _Shape) -> frozenset[str]:
    """The members of the filter that say nothing beyond what others do."""
    unused = {"account"} if shape.walk == "account" else set()
    if "asset" in shape.given or shape.walk == "account":
        unused.add("chain")
    return frozenset(unused)


@lru_cache(maxsize=512)
def _plain(shape: _Shape) -> _Statements:
    return _statements(shape, None)


def _statements(shape: _Shape, view: View | None) -> _Statements:
    """The statements of a shape. `view` None: of everybody who sees everything, as of now."""
    walk = _walk(shape, view)
    place = [walk.selected_columns[name] for name in _PLACE]
    if shape.behind:
        walk = walk.where(after_named(place, descending=True))
    if "since_s" in shape.given:
        walk = walk.where(place[0] >= sa.bindparam("of_since_s"))
    if "until_s" in shape.given:
        walk = walk.where(place[0] <= sa.bindparam("of_until_s"))
    walk = walk.order_by(*(column.desc() for column in place))
    most = sa.bindparam("most", type_=sa.Integer)
    scanned = walk.limit(MAX_SCANNED).subquery()
    left = _left(shape, scanned.c)
    if not left:
        return _Statements(walk.limit(most), None)
    newest = (scanned.c[name].desc() for name in _PLACE)
    page = sa.select(scanned).where(*left).order_by(*newest).limit(most)
    return _Statements(page, walk.limit(1).offset(MAX_SCANNED - 1))


def _walk(shape: _Shape, view: View | None) -> sa.Select[Any]:
    """The rows in an order that an index has."""
    moves, events = tables.moves.c, tables.events.c
    if shape.walk == "account":
        number = sa.bindparam("of_number", type_=sa.Integer)
        # A transfer to oneself has two rows.
        once = sa.or_(moves.direction == Direction.OUT, moves.other_id.is_(None), moves.other_id != number)
        mine = select_moves() if view is None else view.few.moves()
        return mine.where(moves.account_id == number, moves.kind.in_(_TRANSFERS), once)
    if shape.walk == "members" and view is not None:
        return _of_members(view)
    if view is not None and "tx_hash" in shape.given:
        view = view.few
    walk = sa.select(tables.events).where(events.canonical) if view is None else view.events()
    walk = walk.where(events.kind == "transferred")
    if "tx_hash" in shape.given:
        walk = walk.where(events.tx_hash == sa.bindparam("of_tx_hash"))
    if "asset" in shape.given:
        walk = walk.where(events.asset == sa.bindparam("of_asset"), events.asset.is_not(None))
    return walk


def _of_members(view: View) -> sa.Select[Any]:
    """The transfers of all accounts that the caller may see, each once."""
    moves = tables.moves.c
    mine, theirs = view.members("account_id"), view.members("account_id")
    twice = sa.and_(moves.direction == Direction.IN, moves.other_id.is_not(None), moves.other_id.in_(theirs))
    query = select_moves().where(view.exists(moves.chain, moves.height), moves.kind.in_(_TRANSFERS))
    return query.where(moves.account_id.in_(mine), sa.not_(twice))


def _left(shape: _Shape, columns: Any) -> list[sa.ColumnElement[bool]]:
    """The conditions that the walk leaves to be looked at row by row."""
    of_move = "direction" in columns
    given = shape.given - _unused(shape)
    parties = (columns.account, columns.other) if of_move else (columns.sender, columns.receiver)
    left: list[sa.ColumnElement[bool]] = []
    if "chain" in given:
        left.append(columns.chain == sa.bindparam("of_chain"))
    if "asset" in given and of_move:
        left.append(columns.asset == sa.bindparam("of_asset"))
    for name in ("account", "counterparty"):
        if name in given:
            left.append(sa.or_(*(party == sa.bindparam(f"of_{name}") for party in parties)))
    if "min_amount" in given:
        left.append(columns.amount >= sa.bindparam("of_min_amount"))
    if "max_amount" in given:
        left.append(columns.amount <= sa.bindparam("of_max_amount"))
    return left


def _key(row: Any) -> Key:
    return row.time_s, row.chain, row.height, row.event_index


def _rows(view: View, found: Sequence[Any]) -> list[TransferRow]:
    hashes = block_hashes(view, {(row.chain, row.height) for row in found if "direction" in row._fields})
    made: list[TransferRow] = []
    for row in found:
        if "direction" in row._fields:
            out = row.direction == Direction.OUT
            sender, receiver = (row.account, row.other) if out else (row.other, row.account)
            block_hash = hashes[row.chain, row.height]
        else:
            sender, receiver, block_hash = row.sender, row.receiver, bytes(row.block_hash)
        block = BlockRef(ChainId(row.chain), Height(row.height), block_hash)
        asset, amount = AssetId(row.asset), BaseUnits(row.amount)
        made.append(
            TransferRow(block, row.time_s, bytes(row.tx_hash), row.event_index, asset, sender, receiver, amount)
        )
    return made


def block_hashes(view: View, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
    """Return the hashes of canonical blocks by chain and height."""
    by_chain: dict[str, set[int]] = defaultdict(set)
    for chain, height in places:
        by_chain[chain].add(height)
    blocks, found = tables.blocks.c, dict[tuple[str, int], bytes]()
    for chain, heights in by_chain.items():
        wanted = sorted(heights)
        for first in range(0, len(wanted), CHUNK):
            of = blocks.chain == chain, tables.CANONICAL_BLOCK, blocks.height.in_(wanted[first : first + CHUNK])
            for row in view.connection.execute(sa.select(blocks.height, blocks.hash).where(*of)):
                found[chain, row.height] = bytes(row.hash)
    return found
