"""The beginning of a trace: one transfer, or everything that one account sends or receives of an asset."""

from dataclasses import dataclass
from typing import Final

from core.model.errors import NotFoundError, RejectedError
from core.model.types import AccountId, AssetId, ChainId, Height
from indexer import tables
from indexer.moves import Direction, MoveKind
from indexer.projections.moves import account_number, key_columns
from regulator_api.tracing.model import Edge, Ledger, Place, Way
from regulator_api.view.base import View
from regulator_api.view.edges import Locks, edge_of_move, read_locks
from regulator_api.view.histories import beyond_lock

MAX_OF_TRANSACTION: Final = 500
MAX_OF_ACCOUNT: Final = 1_000
"""Moves of an account that can be the source of one trace."""
_LOCKS: Final = ("locked", "claimed", "refunded")


@dataclass(frozen=True, slots=True)
class Source:
    """The edges whose value is traced, the edges behind the locks that they touch, and the account, if it is one's."""

    edges: tuple[Edge, ...]
    through: tuple[Edge, ...]
    origin: Ledger | None


def of_transaction(view: View, way: Way, chain: ChainId, tx_hash: bytes, index: int | None) -> Source:
    """Return the one movement of value of a transaction, or the one at `index` of its block.

    Raise `NotFoundError` if there is none, `RejectedError` if there are several to choose from.
    """
    event = tables.events.c
    query = view.events().where(event.tx_hash == tx_hash, event.chain == chain).order_by(event.event_index)
    rows = view.connection.execute(query.limit(MAX_OF_TRANSACTION)).all()
    verbs = (
        tables.events.select()
        .where(event.tx_hash == tx_hash, event.chain == chain, event.canonical, event.kind.in_(_LOCKS))
        .where(view.exists(event.chain, event.height))
        .limit(MAX_OF_TRANSACTION)
    )
    places = [(row.chain, row.height, row.event_index) for row in view.connection.execute(verbs).all()]
    locks = read_locks(view, places, places) if places else Locks()
    edges = [_lock_edge(locks, place) for place in places]
    covered = {edge.received.asset for edge in edges if edge is not None and edge.received is not None}
    for row in rows:
        keeper = view.keepers() & {row.sender, row.receiver}
        if row.kind == "transferred" and not (keeper and row.asset in covered):
            place = Place(row.time_s, ChainId(row.chain), Height(row.height), row.event_index)
            sent = None if row.sender is None else Ledger(AccountId(row.sender), AssetId(row.asset))
            received = None if row.receiver is None else Ledger(AccountId(row.receiver), AssetId(row.asset))
            edges.append(Edge(place, place, sent, received, row.amount, bytes(row.tx_hash)))
    found = [edge for edge in edges if edge is not None and index in (None, edge.place.event_index)]
    if not found:
        raise NotFoundError(f"no movement of value of this transaction is indexed on {chain}")
    if len(found) > 1:
        choice = ", ".join(str(edge.place.event_index) for edge in found[:20])
        raise RejectedError(f"the transaction moves value {len(found)} times: name one by its index ({choice})")
    return Source(tuple(found), _through(found, locks, way), None)


def of_account(view: View, way: Way, ledger: Ledger, since_s: int | None, until_s: int | None) -> Source:
    """Return all that the account sends of the asset (backward: receives) in that time.

    Raise `NotFoundError` if that is nothing, `RejectedError` for more than `MAX_OF_ACCOUNT` movements.
    """
    number = account_number(view.connection, ledger.account)
    move = tables.moves.c
    direction = Direction.OUT if way is Way.FORWARD else Direction.IN
    query = view.moves().where(move.account_id == number, move.direction == direction, move.kind != MoveKind.COVERED)
    query = query.where(tables.asset_numbers.c.asset == ledger.asset).order_by(*key_columns())
    if since_s is not None:
        query = query.where(move.time_s >= since_s)
    if until_s is not None:
        query = query.where(move.time_s <= until_s)
    rows = view.connection.execute(query.limit(MAX_OF_ACCOUNT + 1)).all()
    if len(rows) > MAX_OF_ACCOUNT:
        raise RejectedError(f"more than {MAX_OF_ACCOUNT} movements are the source: ask for a shorter time")
    places = [(row.chain, row.height, row.event_index) for row in rows if row.kind != MoveKind.TRANSFER]
    locks = read_locks(view, places, places) if places else Locks()
    edges = [
        edge
        for row in rows
        if (edge := edge_of_move(row, locks, ledger, None if row.other is None else AccountId(row.other))) is not None
    ]
    if not edges:
        moved = "sent" if way is Way.FORWARD else "received"
        raise NotFoundError(f"{ledger.account} has {moved} nothing of {ledger.asset} in that time")
    return Source(tuple(edges), _through(edges, locks, way), ledger)


def _lock_edge(locks: Locks, place: tuple[str, int, int]) -> Edge | None:
    if place in locks.by_place:
        return locks.inflow(locks.by_place[place])
    return locks.settlement(locks.by_end[place]) if place in locks.by_end else None


def _through(edges: list[Edge], locks: Locks, way: Way) -> tuple[Edge, ...]:
    return tuple(beyond for edge in edges if (beyond := beyond_lock(edge, locks, way)) is not None)
