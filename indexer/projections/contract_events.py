"""Events of the contracts that the operator named, to be found by contract, event and arguments."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.model.facts import ArgumentValue, Block, ContractEvent, LoggedEvent
from core.model.types import AccountId, BlockRef, ChainId, Height
from indexer.encoding import decode_event
from indexer.projections.logged import forget_blocks
from indexer.tables import contract_arguments, contract_events, events
from indexer.writing import insert_many

MAX_SEARCHABLE_CHARS: Final = 256
MAX_CONDITIONS: Final = 8
MAX_EVENTS: Final = 1_000
"""Events that one call may list."""


@dataclass(frozen=True, slots=True)
class ContractEventFilter:
    """`arguments` have to have exactly these values, written as `ContractEvent` writes them; booleans true or false."""

    contract: AccountId
    name: str | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    first: Height = Height(0)
    last: Height | None = None


def apply(connection: Connection, blocks: Sequence[Block]) -> None:
    """Store what these blocks say of contracts."""
    made: list[dict[str, Any]] = []
    arguments: list[dict[str, Any]] = []
    for block in blocks:
        for logged in block.events:
            if isinstance(logged.event, ContractEvent):
                place = {"chain": block.header.chain, "block_hash": block.header.ref.hash, "event_index": logged.index}
                event = logged.event
                made.append({**place, "contract": event.contract, "name": event.name, "height": block.header.height})
                arguments += [
                    {**place, "argument": name, "value": text}
                    for name, value in event.arguments
                    if (text := _searchable(value)) is not None
                ]
    insert_many(connection, contract_events, made)
    insert_many(connection, contract_arguments, arguments)


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks said."""
    for table in (contract_events, contract_arguments):
        forget_blocks(connection, table, chain, hashes)


def list_contract_events(
    connection: Connection, wanted: ContractEventFilter, limit: int, after: tuple[int, int] | None = None
) -> list[LoggedEvent]:
    """Events of the canonical chain, oldest first, at most `limit` (1 … `MAX_EVENTS`).

    `after` is (height, index) of the last one of the page before. Raise `RejectedError` for a limit, or a number of
    conditions, out of bounds.
    """
    if not 1 <= limit <= MAX_EVENTS or len(wanted.arguments) > MAX_CONDITIONS:
        raise RejectedError(f"1 to {MAX_EVENTS} events can be listed, by at most {MAX_CONDITIONS} arguments")
    found = contract_events
    place = sa.and_(
        events.c.chain == found.c.chain,
        events.c.block_hash == found.c.block_hash,
        events.c.event_index == found.c.event_index,
    )
    query = (
        sa.select(events)
        .join(found, place)
        .where(found.c.contract == wanted.contract, found.c.height >= wanted.first)
        .order_by(found.c.height, found.c.event_index)
        .limit(limit)
    )
    if wanted.name is not None:
        query = query.where(found.c.name == wanted.name)
    if wanted.last is not None:
        query = query.where(found.c.height <= wanted.last)
    if after is not None:
        query = query.where(sa.tuple_(found.c.height, found.c.event_index) > sa.tuple_(*after))
    for name, value in wanted.arguments.items():
        query = query.where(_has_argument(name, value))
    return [
        LoggedEvent(
            BlockRef(ChainId(row.chain), Height(row.height), bytes(row.block_hash)),
            bytes(row.tx_hash),
            row.event_index,
            decode_event(row),
        )
        for row in connection.execute(query)
    ]


def _has_argument(name: str, value: str) -> sa.ColumnElement[bool]:
    of = contract_arguments.alias()
    return sa.exists().where(
        of.c.chain == contract_events.c.chain,
        of.c.block_hash == contract_events.c.block_hash,
        of.c.event_index == contract_events.c.event_index,
        of.c.argument == name,
        of.c.value == value,
    )


def _searchable(value: ArgumentValue) -> str | None:
    """None for lists and long texts, and for texts with a zero character, which PostgreSQL stores nowhere."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str) or len(value) > MAX_SEARCHABLE_CHARS or "\0" in value:
        return None
    return value
