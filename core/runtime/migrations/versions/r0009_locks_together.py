"""Locks share a transaction: each item of a batch has its own deadline, and a form of it may be without some."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    if has("relayer_transaction_attempts"):
        without = sa.Column("without", sa.Text, nullable=False, server_default="")
        op.add_column("relayer_transaction_attempts", without)
    if has("relayer_batch_items"):
        op.add_column("relayer_batch_items", sa.Column("deadline_ns", sa.BigInteger))
