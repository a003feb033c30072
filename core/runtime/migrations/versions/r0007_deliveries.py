"""Reports are deliveries, as all that is sent to others: what waits goes on waiting, in the order of its time."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0007"
down_revision = "0006"

_KEPT = ("body", "status", "attempts", "due_ns", "reason")


def upgrade() -> None:
    if not has("relayer_reports"):
        return
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_ns", sa.BigInteger, nullable=False),
        sa.Column("tried_ns", sa.BigInteger),
        sa.Column("settled_ns", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_queue_status_due_ns", "deliveries", ["queue", "status", "due_ns"])
    op.create_index("ix_deliveries_queue_destination_topic", "deliveries", ["queue", "destination", "topic"])
    old = sa.table("relayer_reports", sa.column("swap_id"), *map(sa.column, _KEPT))
    new = sa.table("deliveries", *map(sa.column, ("queue", "destination", "topic", "settled_ns", *_KEPT)))
    settled = sa.case((old.c.status != "pending", old.c.due_ns))
    kept = sa.select(
        sa.literal("reports"),
        sa.literal("regulator"),
        old.c.swap_id,
        settled,
        *(old.c[name] for name in _KEPT),
    ).order_by(old.c.due_ns)
    op.execute(sa.insert(new).from_select([column.name for column in new.c], kept))
    op.drop_table("relayer_reports")
