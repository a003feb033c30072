"""Effects name whose work they are: those of swaps, and those of questions, are executed apart."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    if has("outbox"):
        op.add_column("outbox", sa.Column("queue", sa.Text, nullable=False, server_default="swaps"))
        op.drop_index("ix_outbox_status_due_ns", "outbox")
        op.create_index("ix_outbox_queue_status_due_ns", "outbox", ["queue", "status", "due_ns"])
