"""Transfers by what is asked of them, newest first, in pages that each cost the same wherever they are.

Whose transfers they are decides which way they are found: by the account's own history, by the histories of all
accounts that a restricted caller may see, or by time. What no index answers is looked for among `MAX_SCANNED` rows at
a time: a page may then be short, and its `next` goes on behind the last row that was looked at.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, Height
from core.runtime.web import after
from indexer import tables
from indexer.moves import Direction, MoveKind
from indexer.projections.moves import account_number, select_moves
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


def list_transfers(view: View, wanted: TransferFilter, limit: int, before: Key | None = None) -> TransferPage:
    """Return the newest transfers that fit, at most `limit`, behind `before`."""
    walk = _walk(view, wanted)
    if walk is None:
        return TransferPage([], None)
    place = [walk.selected_columns[name] for name in _PLACE]
    walk = walk.where(after(place, before, descending=True))
    if wanted.since_s is not None:
        walk = walk.where(place[0] >= wanted.since_s)
    if wanted.until_s is not None:
        walk = walk.where(place[0] <= wanted.until_s)
    walk = walk.order_by(*(column.desc() for column in place))
    scanned = walk.limit(MAX_SCANNED).subquery()
    left = _left(wanted, scanned.c)
    query = walk.limit(limit + 1)
    if left:
        newest = (scanned.c[name].desc() for name in _PLACE)
        query = sa.select(scanned).where(*left).order_by(*newest).limit(limit + 1)
    found = view.connection.execute(query).all()
    end = _key(found[limit - 1]) if len(found) > limit else None
    if end is None and left:
        last = view.connection.execute(walk.limit(1).offset(MAX_SCANNED - 1)).first()
        end = None if last is None else _key(last)
    return TransferPage(_rows(view, found[:limit]), end)


def _walk(view: View, wanted: TransferFilter) -> sa.Select[Any] | None:
    """The rows in an order that an index has; None if there cannot be any."""
    moves, events = tables.moves.c, tables.events.c
    if wanted.account is not None and wanted.tx_hash is None:
        number = account_number(view.connection, wanted.account)
        if number is None:
            return None
        # A transfer to oneself has two rows.
        once = sa.or_(moves.direction == Direction.OUT, moves.other_id.is_(None), moves.other_id != number)
        return view.moves().where(moves.account_id == number, moves.kind.in_(_TRANSFERS), once)
    if view.restricted and wanted.tx_hash is None:
        return _of_members(view)
    walk = view.events().where(events.kind == "transferred")
    if wanted.tx_hash is not None:
        walk = walk.where(events.tx_hash == wanted.tx_hash)
    if wanted.asset is not None:
        walk = walk.where(events.asset == wanted.asset, events.asset.is_not(None))
    return walk


def _of_members(view: View) -> sa.Select[Any]:
    """The transfers of all accounts that the caller may see, each once."""
    moves = tables.moves.c
    mine, theirs = view.members("account_id"), view.members("account_id")
    twice = sa.and_(moves.direction == Direction.IN, moves.other_id.is_not(None), moves.other_id.in_(theirs))
    query = select_moves().where(view.exists(moves.chain, moves.height), moves.kind.in_(_TRANSFERS))
    return query.where(moves.account_id.in_(mine), sa.not_(twice))


def _left(wanted: TransferFilter, columns: Any) -> list[sa.ColumnElement[bool]]:
    """The conditions that the walk leaves to be looked at row by row."""
    of_move = "direction" in columns
    left: list[sa.ColumnElement[bool]] = []
    if wanted.chain is not None and wanted.asset is None and wanted.account is None:
        left.append(columns.chain == wanted.chain)
    if wanted.asset is not None and of_move:
        left.append(columns.asset == wanted.asset)
    if wanted.account is not None and not of_move:
        left.append(sa.or_(columns.sender == wanted.account, columns.receiver == wanted.account))
    if wanted.counterparty is not None:
        other = (columns.account, columns.other) if of_move else (columns.sender, columns.receiver)
        left.append(sa.or_(*(column == wanted.counterparty for column in other)))
    if wanted.min_amount is not None:
        left.append(columns.amount >= wanted.min_amount)
    if wanted.max_amount is not None:
        left.append(columns.amount <= wanted.max_amount)
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
