"""Transactions say if they are exits, and their signed forms if they cancel. What was on its way before has nothing
reserved: the purse is checked without it until it is settled."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0004"
down_revision = "0003"

_EXITS = ("claim", "refund", "reveal")


def upgrade() -> None:
    for table, column in (("relayer_transactions", "exits"), ("relayer_transaction_attempts", "cancels")):
        if has(table):
            op.add_column(table, sa.Column(column, sa.Boolean, nullable=False, server_default=sa.false()))
    if has("relayer_transactions"):
        rows = sa.table("relayer_transactions", sa.column("effect_key", sa.Text), sa.column("exits", sa.Boolean))
        kinds = [rows.c.effect_key.like(f"%:{kind}-%") for kind in _EXITS]
        op.execute(sa.update(rows).where(sa.or_(*kinds)).values(exits=True))
