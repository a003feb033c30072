"""Webhooks of a supervision have a place in the stream of swaps."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    if has("regulator_hook_places"):
        op.add_column("regulator_hook_places", sa.Column("swaps_seq", sa.BigInteger))
