"""Indexes of events by their transaction, and of an asset's events in their order: a page of them needs no sorting."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    if has("indexer_events"):
        op.create_index("ix_indexer_events_tx_hash", "indexer_events", ["tx_hash"])
        op.drop_index("ix_indexer_events_asset", "indexer_events")
        op.create_index(
            "ix_indexer_events_asset",
            "indexer_events",
            ["asset", "time_s", "chain", "height", "event_index"],
            sqlite_where=sa.text("asset IS NOT NULL"),
            postgresql_where=sa.text("asset IS NOT NULL"),
        )
