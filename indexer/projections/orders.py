"""Hold orders of ledgers, half by half: who prepared, approved or lifted which, and where that stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block, OrderSigned, OrderStep
from core.model.types import AccountId, BlockRef, ChainId, Height
from indexer.tables import orders
from indexer.writing import insert_many

CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One half of an order. `time_s` is its block's, in Unix seconds."""

    signed: OrderSigned
    block: BlockRef
    index: int
    tx_hash: bytes
    time_s: int


def apply(connection: Connection, applied: Sequence[Block]) -> None:
    """Store the halves in these blocks, oldest first."""
    rows: list[dict[str, Any]] = []
    for block in applied:
        header = block.header
        for logged in block.events:
            if isinstance(logged.event, OrderSigned):
                signed = logged.event
                rows.append(
                    {
                        "chain": header.chain,
                        "height": header.height,
                        "event_index": logged.index,
                        "order_number": signed.order,
                        "step": signed.step.value,
                        "account": signed.account,
                        "officer": signed.officer,
                        "reason": signed.reason,
                        "case_digest": signed.case,
                        "expires": signed.expires,
                        "renews": signed.renews,
                        "block_hash": header.ref.hash,
                        "tx_hash": logged.tx_hash,
                        "time_s": header.time.seconds,
                    }
                )
    insert_many(connection, orders, rows)


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks, the newest of the chain, hold."""
    for first in range(0, len(hashes), CHUNK):
        part = hashes[first : first + CHUNK]
        connection.execute(sa.delete(orders).where(orders.c.chain == chain, orders.c.block_hash.in_(part)))


def order_row(row: Any) -> OrderRow:
    """A typed half from a row of `indexer_orders`."""
    signed = OrderSigned(
        order=row.order_number,
        step=OrderStep(row.step),
        account=AccountId(row.account),
        officer=AccountId(row.officer),
        reason=row.reason,
        case=bytes(row.case_digest),
        expires=row.expires,
        renews=row.renews,
    )
    block = BlockRef(ChainId(row.chain), Height(row.height), bytes(row.block_hash))
    return OrderRow(signed, block, row.event_index, bytes(row.tx_hash), row.time_s)
