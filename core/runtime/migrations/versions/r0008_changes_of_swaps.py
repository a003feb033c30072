"""Swaps are found by when they changed: for streams that go on where they broke, and for webhooks."""

from alembic import op

from core.runtime.migrations import has

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    if has("relayer_swaps"):
        op.create_index("ix_relayer_swaps_updated_ns_swap_id", "relayer_swaps", ["updated_ns", "swap_id"])
