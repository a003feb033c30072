"""A hashlock is used once by swaps whose leg we fund, and by watched ones as often as people like; a lock's place is
unique among open swaps. A swap's row says who opened it and until when its reservation holds."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if has("relayer_swaps"):
        with op.batch_alter_table("relayer_swaps") as table:
            table.drop_constraint("uq_relayer_swaps_hashlock", type_="unique")
            table.add_column(sa.Column("caller", sa.Text))
            table.add_column(sa.Column("hold_until_ns", sa.BigInteger))
            table.add_column(sa.Column("reserved_ns", sa.BigInteger))
        op.create_index("ix_relayer_swaps_hashlock", "relayer_swaps", ["hashlock"])
        op.create_index(
            "uq_relayer_swaps_funded_hashlock",
            "relayer_swaps",
            ["hashlock"],
            unique=True,
            sqlite_where=sa.text("own_asset IS NOT NULL"),
            postgresql_where=sa.text("own_asset IS NOT NULL"),
        )
    if has("relayer_locks"):
        with op.batch_alter_table("relayer_locks") as table:
            table.drop_constraint("uq_relayer_locks_chain_lock_id", type_="unique")
        op.create_index("ix_relayer_locks_chain_lock_id", "relayer_locks", ["chain", "lock_id"])
