"""A swap's row says if its opening was proven, if the initiator's lock is final and verified, and what is given for it.
What was opened before has reserved from its opening on, as it was agreed: it counts as proven."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    if not has("relayer_swaps"):
        return
    for column in (
        sa.Column("proven", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("verified", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("given_asset", sa.Text),
        sa.Column("given_amount", sa.LargeBinary(32)),
    ):
        op.add_column("relayer_swaps", column)
