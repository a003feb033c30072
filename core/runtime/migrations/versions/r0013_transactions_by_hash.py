"""An index of events by their transaction: who asks for a transaction waits for no look at every event."""

from alembic import op

from core.runtime.migrations import has

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    if has("indexer_events"):
        op.create_index("ix_indexer_events_tx_hash", "indexer_events", ["tx_hash"])
