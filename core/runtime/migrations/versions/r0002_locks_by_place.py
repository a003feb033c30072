"""Locks stand where their events stand: their ids may come again on a chain. What follows from facts is built again."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for table in ("indexer_locks", "indexer_swaps"):
        if has(table):
            op.drop_table(table)
    if has("indexer_projection_version"):
        op.execute(sa.text("DELETE FROM indexer_projection_version"))
