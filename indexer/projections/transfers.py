"""Transfers of the canonical chains, newest first. A view over events: nothing of its own is stored."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import AccountId, AssetId, BaseUnits, BlockRef, ChainId, Height
from indexer.tables import events


@dataclass(frozen=True, slots=True)
class TransferRow:
    """Value that moved. An issue has no sender, a burn no receiver. `time_s` is the block's, in Unix seconds."""

    block: BlockRef
    time_s: int
    tx_hash: bytes
    index: int
    asset: AssetId
    sender: AccountId | None
    receiver: AccountId | None
    amount: BaseUnits

    @property
    def sort_key(self) -> tuple[int, str, int, int]:
        """The position in the list, behind which the next page begins."""
        return self.time_s, self.block.chain, self.block.height, self.index


@dataclass(frozen=True, slots=True)
class TransferFilter:
    """`account` fits as sender or receiver."""

    chain: ChainId | None = None
    asset: AssetId | None = None
    account: AccountId | None = None


def list_transfers(
    connection: Connection, wanted: TransferFilter, limit: int, before: tuple[int, str, int, int] | None = None
) -> list[TransferRow]:
    """Transfers, newest first, at most `limit`; `before` is the `sort_key` of the last one of the page before."""
    columns = (events.c.time_s, events.c.chain, events.c.height, events.c.event_index)
    query = (
        sa.select(events)
        .where(events.c.kind == "transferred", events.c.canonical)
        .order_by(*(column.desc() for column in columns))
        .limit(limit)
    )
    if wanted.chain is not None:
        query = query.where(events.c.chain == wanted.chain)
    if wanted.asset is not None:
        query = query.where(events.c.asset == wanted.asset)
    if wanted.account is not None:
        query = query.where(sa.or_(events.c.sender == wanted.account, events.c.receiver == wanted.account))
    if before is not None:
        bound = [sa.bindparam(None, value, type_=column.type) for column, value in zip(columns, before, strict=True)]
        query = query.where(sa.tuple_(*columns) < sa.tuple_(*bound))
    return [
        TransferRow(
            block=BlockRef(ChainId(row.chain), Height(row.height), bytes(row.block_hash)),
            time_s=row.time_s,
            tx_hash=bytes(row.tx_hash),
            index=row.event_index,
            asset=AssetId(row.asset),
            sender=None if row.sender is None else AccountId(row.sender),
            receiver=None if row.receiver is None else AccountId(row.receiver),
            amount=BaseUnits(row.amount),
        )
        for row in connection.execute(query)
    ]
