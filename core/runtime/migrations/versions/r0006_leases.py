"""The fence of an account is a lease, as that of everything else that one process does at a time: its epoch goes on
from where it stood."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    if not has("relayer_accounts"):
        return
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("until_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    accounts = sa.table("relayer_accounts", sa.column("account", sa.Text), sa.column("epoch", sa.BigInteger))
    leases = sa.table("leases", *(sa.column(name) for name in ("name", "holder", "epoch", "until_ns")))
    name, holder = sa.literal("account ") + accounts.c.account, sa.literal("an older version")
    kept = sa.select(name, holder, accounts.c.epoch, sa.literal(0))
    op.execute(sa.insert(leases).from_select(["name", "holder", "epoch", "until_ns"], kept))
    with op.batch_alter_table("relayer_accounts") as table:
        table.drop_column("epoch")
