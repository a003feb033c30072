"""Hold orders of ledgers, half by half: who prepared, approved or lifted which, and where that stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from core.model.facts import Block, OrderSigned, OrderStep
from core.model.types import AccountId, BlockRef, ChainId, Height
from indexer.projections.logged import forget_blocks, store_events
from indexer.tables import orders


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
    store_events(connection, orders, applied, OrderSigned, _columns)


def _columns(signed: OrderSigned) -> dict[str, Any]:
    return {
        "order_number": signed.order,
        "step": signed.step.value,
        "account": signed.account,
        "officer": signed.officer,
        "reason": signed.reason,
        "case_digest": signed.case,
        "expires": signed.expires,
        "renews": signed.renews,
    }


def revert(connection: Connection, chain: ChainId, hashes: Sequence[bytes]) -> None:
    """Undo what these blocks, the newest of the chain, hold."""
    forget_blocks(connection, orders, chain, hashes)


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
