"""Orders about one account, out of the index."""

import sqlalchemy as sa

from core.model.types import AccountId, chain_of
from core.runtime.web import after
from indexer import tables
from indexer.projections.orders import OrderRow, order_row
from regulator_api.view.base import View

Key = tuple[int, int]
"""Height and event index of a half."""


def orders_about(view: View, account: AccountId, limit: int, before: Key | None = None) -> list[OrderRow]:
    """Return the halves of orders about an account, the newest first, at most `limit`."""
    row = tables.orders.c
    query = sa.select(tables.orders).where(row.account == account, row.chain == chain_of(account))
    query = query.where(view.exists(row.chain, row.height), view.few.seen(row.account))
    query = query.where(after((row.height, row.event_index), before, descending=True))
    query = query.order_by(row.height.desc(), row.event_index.desc()).limit(limit)
    return [order_row(found) for found in view.connection.execute(query)]
